"""docs/retention.toml says of every table and topic what ends it, and what it says is what the code does."""

import tomllib
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from common.events.topics import SERVICES, TOPICS
from common.messaging.housekeeping import COMMON, House
from common.messaging.tables import Base as Messaging
from common.settings import RetentionSettings, ServiceSettings
from common.web.tables import Base as Web

RETENTION: dict[str, dict[str, dict[str, str]]] = tomllib.loads(
    (Path(__file__).parents[2] / "docs" / "retention.toml").read_text(encoding="utf-8")
)
WAYS = {"housekeeping", "archive", "kafka", "use case", "erasure", "command", "nobody"}
GROUPS = ("common", *SERVICES)
ENTRIES = [(group, name, entry) for group, entries in RETENTION.items() for name, entry in entries.items()]


def tables_of(group: str) -> set[str]:
    if group == "common":
        return {*Messaging.metadata.tables, *Web.metadata.tables}
    return set(import_module(f"{group}.models").Base.metadata.tables)


def retention_of(group: str) -> RetentionSettings:
    if group == "common":
        return RetentionSettings()
    settings: type[ServiceSettings] = import_module(f"{group}.settings").Settings
    default: RetentionSettings = settings.model_fields["retention"].default
    return default


def own_purges_of(group: str) -> set[tuple[str, str]]:
    """What housekeeping removes of this service alone: table and setting, as its worker is given them."""
    if group == "common":
        return {(purge.table, purge.kept) for purge in COMMON}
    told: Any = type("Told", (), {"retention": retention_of(group)})
    house: House = import_module(f"{group}.worker").house_of(told)
    return {(purge.table, purge.kept) for purge in house.own}


@pytest.mark.parametrize("group", GROUPS)
def test_every_table_has_an_entry_and_every_entry_a_table(group: str) -> None:
    assert set(RETENTION[group]) == tables_of(group)


def test_every_topic_has_an_entry_and_every_entry_a_topic() -> None:
    assert set(RETENTION["topics"]) == set(TOPICS)
    assert set(RETENTION) == {*GROUPS, "topics"}


@pytest.mark.parametrize(("group", "name", "entry"), ENTRIES)
def test_an_entry_says_how_long_what_removes_it_and_why(group: str, name: str, entry: dict[str, str]) -> None:
    assert set(entry) - {"setting"} == {"kept", "removed_by", "why"}
    assert entry["removed_by"] in WAYS
    assert all(entry.values())
    assert ("setting" in entry) == (entry["removed_by"] in {"housekeeping", "archive"}), f"{group}.{name}"


@pytest.mark.parametrize("group", GROUPS)
def test_housekeeping_removes_what_it_should_and_nothing_else(group: str) -> None:
    promised = {
        (name, entry["setting"])
        for name, entry in RETENTION[group].items()
        if entry["removed_by"] == "housekeeping"
    }

    assert own_purges_of(group) == promised


@pytest.mark.parametrize(("group", "name", "entry"), [each for each in ENTRIES if "setting" in each[2]])
def test_the_age_is_the_default_of_its_setting(group: str, name: str, entry: dict[str, str]) -> None:
    age: timedelta = getattr(retention_of(group), entry["setting"])

    assert entry["kept"] == f"{age.days} days", name


@pytest.mark.parametrize("group", SERVICES)
def test_every_age_of_the_settings_removes_something(group: str) -> None:
    named = {
        entry["setting"]
        for each in ("common", group)
        for entry in RETENTION[each].values()
        if "setting" in entry
    }

    assert named == set(type(retention_of(group)).model_fields)


@pytest.mark.parametrize("name", sorted(TOPICS))
def test_a_topic_is_kept_as_long_as_it_was_created_for(name: str) -> None:
    assert RETENTION["topics"][name]["kept"] == f"{TOPICS[name].retention.days} days"
    assert TOPICS[name].retention < RetentionSettings().archive  # a replay outlives the topic
