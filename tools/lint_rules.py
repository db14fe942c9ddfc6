"""Rules that ruff cannot say, read from the syntax tree; each names its escape, `# lint-skip: <rule>`."""

import ast
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
SOURCES: Final = ("libs/*/src", "services/*/src", "deploy/*/src")

_SKIP: Final = re.compile(r"#\s*lint-skip:\s*([a-z-]+)")
_SQL_NOW: Final = re.compile(
    r"\b(now\s*\(\s*\)|current_timestamp|clock_timestamp|statement_timestamp)", re.IGNORECASE
)
_STATEMENT: Final = re.compile(r"\b(SELECT|INSERT|UPDATE|DELETE)\b")


@dataclass(frozen=True, slots=True)
class Finding:
    path: Path
    line: int
    rule: str
    message: str


Rule = Callable[[Path, ast.Module], Iterator[tuple[int, str]]]


def _in_service(path: Path) -> bool:
    return path.is_relative_to(ROOT / "services")


def only_common_commits(path: Path, tree: ast.Module) -> Iterator[tuple[int, str]]:
    """A request or event is one transaction; a commit in the middle of it splits it in two halves."""
    if not _in_service(path):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "commit":
            yield node.lineno, "commit() belongs to common: one request or event is one transaction"


def queries_live_in_store(path: Path, tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Every query has a name in store.py (or hot.py), so that its lock and its index can be found."""
    if not _in_service(path) or path.stem.startswith(("store", "hot")) or "store" in path.parts:
        return
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in {"select", "update", "delete", "insert"}
        ):
            yield node.lineno, f"{node.func.id}() belongs into store.py"


def no_sql_clock(path: Path, tree: ast.Module) -> Iterator[tuple[int, str]]:
    """One clock: the database's own is not shifted with it."""
    if not _in_service(path):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if _STATEMENT.search(node.value) and _SQL_NOW.search(node.value):
                yield node.lineno, "SQL reads its own clock: pass `now` as a parameter"
        elif (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id == "func"
            and node.attr in {"now", "current_timestamp", "clock_timestamp"}
        ):
            yield node.lineno, "SQL reads its own clock: pass `now` as a parameter"


def no_float_near_money(_: Path, tree: ast.Module) -> Iterator[tuple[int, str]]:
    """A file that handles Cents neither divides with `/` nor makes a float or a Decimal."""
    imports_cents = any(
        isinstance(node, ast.ImportFrom)
        and node.module == "common.money"
        and any(name.name in {"Cents", "share"} for name in node.names)
        for node in ast.walk(tree)
    )
    if not imports_cents:
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and not _joins_paths(node):
            yield node.lineno, "`/` makes a float: use share() or //"
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in {"float", "Decimal"}
        ):
            yield node.lineno, f"{node.func.id}() beside money: amounts are whole cents"


def _joins_paths(node: ast.BinOp) -> bool:
    """`directory / "name"`: a string on either side cannot be a number."""
    return any(
        isinstance(side, ast.JoinedStr) or (isinstance(side, ast.Constant) and isinstance(side.value, str))
        for side in (node.left, node.right)
    )


def one_transaction_dependency(path: Path, tree: ast.Module) -> Iterator[tuple[int, str]]:
    """A session from another dependency commits after the client has its answer."""
    if not _in_service(path) or "api" not in path.parts:
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Depends":
            for argument in node.args:
                name = argument.id if isinstance(argument, ast.Name) else ""
                if "session" in name or "transaction" in name:
                    yield node.lineno, "take Transaction from common.web.deps"


RULES: Final[dict[str, Rule]] = {
    "commit": only_common_commits,
    "store": queries_live_in_store,
    "sql-clock": no_sql_clock,
    "float-money": no_float_near_money,
    "transaction": one_transaction_dependency,
}


# Files and lists that are not in the repository: a reader cannot look them up.
_ELSEWHERE: Final = re.compile(
    r"\b(?:domain|design|style|pains|stack|reported-cases)\.md\b|\b[Cc]ase L\d+\b|\bQ\d{1,2}\b|\bseed \d{3}\b"
)
_TEXTS: Final = (
    "libs/**/*.py",
    "services/**/*.py",
    "deploy/**/*.py",
    "tests/**/*.py",
    "docs/**/*.md",
    "*.md",
)


def names_what_is_not_here(source: str) -> Iterator[tuple[int, str]]:
    """References to files and numbered lists that the repository does not hold."""
    for number, line in enumerate(source.splitlines(), 1):
        for found in _ELSEWHERE.finditer(line):
            yield number, f"{found[0]} is not in the repository: say the thing itself"


def findings(path: Path, source: str) -> list[Finding]:
    tree = ast.parse(source)
    skipped = {
        number: found[1]
        for number, line in enumerate(source.splitlines(), 1)
        if (found := _SKIP.search(line))
    }
    return [
        Finding(path, line, name, message)
        for name, rule in RULES.items()
        for line, message in rule(path, tree)
        if skipped.get(line) != name
    ]


def _is_made(path: Path) -> bool:
    """By tools or by this machine, and not by a person."""
    return bool({".venv", "build", "var", "node_modules"} & set(path.relative_to(ROOT).parts))


def main() -> int:
    paths = [
        path for pattern in SOURCES for root in ROOT.glob(pattern) for path in sorted(root.rglob("*.py"))
    ]
    found = [each for path in paths for each in findings(path, path.read_text(encoding="utf-8"))]
    texts = [path for pattern in _TEXTS for path in sorted(ROOT.glob(pattern)) if not _is_made(path)]
    found += [
        Finding(path, line, "elsewhere", message)
        for path in texts
        for line, message in names_what_is_not_here(path.read_text(encoding="utf-8"))
    ]
    for each in found:
        print(f"{each.path.relative_to(ROOT)}:{each.line}: {each.rule}: {each.message}")
    print(f"lint rules: {len(RULES) + 1} rules, {len(texts)} files, {len(found)} findings")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
