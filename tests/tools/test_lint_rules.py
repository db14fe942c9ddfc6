"""Each of our own rules finds what it is for, and lets its escape pass."""

import pytest

from tools.lint_rules import ROOT, findings, names_what_is_not_here

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


@pytest.mark.parametrize("named", ["domain" + ".md 3.4", "case " + "L10", "Q" + "22", "seed " + "001"])
def test_a_reference_to_what_the_repository_does_not_hold_is_found(named: str) -> None:
    source = f"first = 1\nsecond = 2  # as {named} says\n"

    assert [line for line, _ in names_what_is_not_here(source)] == [2]
    assert list(names_what_is_not_here("# rule A6 of docs/rules.md, article L162-5\n")) == []
