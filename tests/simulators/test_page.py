"""docs/simulators.md names what can be scripted, all of it; its scripts are taken as they stand."""

import json
import re
from pathlib import Path
from typing import get_args

from simulators import payers_messages, payers_rights
from simulators.card_provider_cards import TEST_CARDS
from simulators.payers_messages import Script
from simulators.payers_rights import RightsScript

PAGE = (Path(__file__).parents[2] / "docs/simulators.md").read_text(encoding="utf-8")


def test_every_behaviour_of_the_payers_has_a_row() -> None:
    _, _, section = PAGE.partition("## Payers")
    heading, *rows = re.findall(r"^\| `([a-z-]+)` \|", section.partition("\n## ")[0], re.MULTILINE)

    assert heading == "behaviour"
    assert set(rows) == set(get_args(payers_messages.Behaviour))


def test_every_answer_of_the_rights_services_is_named() -> None:
    _, _, section = PAGE.partition("## Rights services")

    assert {each for each in get_args(payers_rights.Behaviour) if f"`{each}`" not in section} == set()


def test_the_cards_are_those_of_the_provider() -> None:
    _, _, section = PAGE.partition("## Cards")

    assert set(re.findall(r"`([0-9]{15,16})`", section)) == set(TEST_CARDS)


def test_the_scripts_of_the_page_are_taken() -> None:
    sent = re.findall(r"payers/((?:rights-)?scripts) .*-d '(\{.*\})'", PAGE)

    assert sent
    for path, body in sent:
        model = Script if path == "scripts" else RightsScript
        model.model_validate_json(json.dumps(json.loads(body)))
