"""Each of our own rules finds what it is for, and lets its escape pass."""

import pytest

from tools.lint_rules import ROOT, findings

USECASE = ROOT / "services/booking/src/booking/usecases.py"
ROUTE = ROOT / "services/booking/src/booking/api/routes.py"
STORE = ROOT / "services/booking/src/booking/store.py"


@pytest.mark.parametrize(
    ("rule", "path", "source"),
    [
        ("commit", USECASE, "async def cancel(session):\n    await session.commit()\n"),
        ("store", USECASE, "query = select(1)\n"),
        ("sql-clock", STORE, "QUERY = 'SELECT * FROM offer WHERE starts_at > now()'\n"),
        ("sql-clock", STORE, "query = func.now()\n"),
        ("float-money", USECASE, "from common.money import Cents\nhalf = total / 2\n"),
        ("float-money", USECASE, "from common.money import share\nvalue = float(3)\n"),
        ("transaction", ROUTE, "Session = Depends(get_session)\n"),
    ],
)
def test_a_rule_finds_what_it_is_for(rule: str, path, source: str) -> None:
    assert [each.rule for each in findings(path, source)] == [rule]

    escaped = "\n".join(f"{line}  # lint-skip: {rule}" for line in source.splitlines() if line)
    assert findings(path, escaped) == []


def test_paths_may_be_joined_beside_money() -> None:
    source = "from common.money import Cents\npath = folder / 'tariffs.csv'\n"

    assert findings(USECASE, source) == []


def test_queries_may_stand_in_the_store() -> None:
    assert findings(STORE, "query = select(1)\n") == []
