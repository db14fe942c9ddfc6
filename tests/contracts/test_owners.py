"""Every file of events has somebody who is asked before it changes."""

from pathlib import Path

import pytest

from common.events.topics import SERVICES

ROOT = Path(__file__).parents[2]
OWNED = (ROOT / ".github/CODEOWNERS").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("service", SERVICES)
def test_the_events_of_a_service_belong_to_its_team(service: str) -> None:
    path = f"/libs/common/src/common/events/{service}.py"

    assert (ROOT / path.lstrip("/")).exists()
    assert [line.split()[1:] for line in OWNED if line.startswith(path)] == [[f"@{service}"]]


def test_nobody_owns_what_is_not_there() -> None:
    paths = [line.split()[0] for line in OWNED if line and not line.startswith("#")]

    assert [path for path in paths if path != "*" and not (ROOT / path.strip("/")).exists()] == []
