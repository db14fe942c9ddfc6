"""deploy/env: each file is a service's whole configuration for development, which production refuses."""

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

from common.events.topics import SERVICES
from common.settings import ServiceSettings

DEPLOY = Path(__file__).parents[2] / "deploy"
NAMED = re.compile(r"^(# )?([A-Z0-9_]+)=(.*)$", re.MULTILINE)


def variables(service: str, *, proposed: bool = False) -> dict[str, str]:
    """What the file sets, and with `proposed` what it names in a comment too."""
    found = NAMED.findall((DEPLOY / "env" / f"{service}.env").read_text(encoding="utf-8"))
    return {name: value for comment, name, value in found if proposed or not comment}


def settings_of(service: str) -> type[ServiceSettings]:
    settings: type[ServiceSettings] = import_module(f"{service}.settings").Settings
    return settings


def names_of(model: type[BaseModel], prefix: str) -> Iterator[str]:
    for field, info in model.model_fields.items():
        name = f"{prefix}{field.upper()}"
        kind = info.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from names_of(kind, f"{name}__")
        elif field == "master":
            yield f"{name}__FIRST"  # a key by name
        else:
            yield name


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, service: str) -> dict[str, str]:
    """The file's variables are the environment."""
    given = variables(service)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    return given


@pytest.mark.parametrize("service", SERVICES)
def test_a_file_is_understood_in_development(service: str, told: dict[str, str]) -> None:
    settings = settings_of(service)()

    assert settings.environment == "development"
    assert settings.identity.client_id == service
    assert settings.postgres.dsn.get_secret_value() == told[f"{service.upper()}_POSTGRES__DSN"]


@pytest.mark.usefixtures("told")
@pytest.mark.parametrize("service", SERVICES)
def test_production_refuses_its_samples_and_names_them(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{service.upper()}_ENVIRONMENT", "production")

    with pytest.raises(ValidationError) as refused:
        settings_of(service)()

    said = str(refused.value)
    secret = ("postgres.dsn", "identity.client_secret", "keys.master.first", "keys.index", "keys.cursor")
    assert "production refuses sample secrets" in said
    assert [name for name in secret if name not in said] == []


@pytest.mark.usefixtures("told")
@pytest.mark.parametrize("service", SERVICES)
def test_production_is_the_default(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(f"{service.upper()}_ENVIRONMENT")

    with pytest.raises(ValidationError, match="production refuses"):
        settings_of(service)()


@pytest.mark.parametrize("service", SERVICES)
def test_every_setting_is_named_and_nothing_else(service: str) -> None:
    assert set(variables(service, proposed=True)) == set(
        names_of(settings_of(service), f"{service.upper()}_")
    )


@pytest.mark.parametrize("service", SERVICES)
def test_what_is_only_proposed_is_the_default_or_an_example_that_is_understood(
    service: str, told: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    proposed = {
        name: value
        for name, value in variables(service, proposed=True).items()
        if name not in told and value and "SEAL" not in name
    }
    for name, value in proposed.items():
        monkeypatch.setenv(name, value)

    changed = settings_of(service)()

    assert changed.retention == settings_of(service).model_fields["retention"].default
    assert (changed.kafka.profile, changed.kafka.replication_factor) == ("kafka", -1)
