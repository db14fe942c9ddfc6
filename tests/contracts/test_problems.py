"""Every refusal that the code can answer stands in the catalogue of errors, with both titles."""

import ast
import pkgutil
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from claims.domain.identifiers import Check
from claims.domain.refusals import RefusalCode
from common.errors import DomainError
from common.events.topics import SERVICES
from common.web.problem_catalogue import CATALOGUE, preferred, title_of
from common.web.problems import STATUS

ROOT = Path(__file__).parents[2]
PACKAGES = {"common": ROOT / "libs/common/src/common"} | {
    service: ROOT / f"services/{service}/src/{service}" for service in SERVICES
}
WHERE_THE_CODE_IS = {"Problem": 1, "problem": 1, "_refused": 0, "CoverageRefused": 0}
# Raised as what it is in the domain, answered as 400 to the card provider.
ANSWERED_OTHERWISE = {"signature-invalid"}


def _loaded() -> Iterator[str]:
    for package in PACKAGES:
        for module in pkgutil.walk_packages(import_module(package).__path__, f"{package}."):
            if not module.name.endswith("__main__"):
                import_module(module.name)
                yield module.name


def _refusals(kind: type[DomainError]) -> Iterator[type[DomainError]]:
    for each in kind.__subclasses__():
        if each.__module__.partition(".")[0] in PACKAGES:
            yield each
        yield from _refusals(each)


def _raised_codes() -> Iterator[tuple[str, str, str]]:
    """Package, code and place of every code that is written into a call."""
    for package, folder in PACKAGES.items():
        for path in sorted(folder.rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                    continue
                position = WHERE_THE_CODE_IS.get(node.func.id)
                if position is None or len(node.args) <= position:
                    continue
                code = node.args[position]
                if isinstance(code, ast.Constant) and isinstance(code.value, str):
                    yield package, code.value, f"{path.relative_to(ROOT)}:{node.lineno}"


def _identifier_codes() -> Iterator[str]:
    for field in ("nir", "nia", "amc-number"):
        yield from (f"{field}-{check}" for check in Check)
    for field in ("ame-number", "amc-member-number"):
        yield from (f"{field}-{check}" for check in (Check.LENGTH, Check.CHARACTER))


def test_every_domain_error_stands_in_the_catalogue_with_its_status() -> None:
    assert list(_loaded())
    for kind in _refusals(DomainError):
        code = getattr(kind, "code", None)
        if code is None:
            continue  # one class with many codes: the next tests
        assert code in CATALOGUE, f"{kind.__module__}.{kind.__name__} answers {code}: add it to problems.toml"
        assert CATALOGUE[code].status == STATUS[kind.refusal] or code in ANSWERED_OTHERWISE, code
        package = kind.__module__.partition(".")[0]
        assert package == "common" or {package, "all"} & set(CATALOGUE[code].services), code


def test_every_code_that_is_written_into_a_call_stands_in_the_catalogue() -> None:
    found = list(_raised_codes())

    assert len(found) > 20
    for package, code, place in found:
        assert code in CATALOGUE, f"{place} answers {code}: add it to problems.toml"
        assert package == "common" or {package, "all"} & set(CATALOGUE[code].services), place


@pytest.mark.parametrize("code", [*_identifier_codes(), *(each.value for each in RefusalCode)])
def test_codes_that_are_put_together_stand_in_the_catalogue(code: str) -> None:
    assert CATALOGUE[code].status == 422


def test_a_code_of_the_catalogue_is_answered_by_somebody() -> None:
    _ = list(_loaded())
    written = "\n".join(
        path.read_text(encoding="utf-8") for folder in PACKAGES.values() for path in folder.rglob("*.py")
    )
    known = set(_identifier_codes())

    assert [code for code in CATALOGUE if f'"{code}"' not in written and code not in known] == []


@pytest.mark.parametrize("known", CATALOGUE.values(), ids=lambda known: known.code)
def test_an_entry_says_everything_in_both_languages(known) -> None:
    assert known.title
    assert known.title_fr not in {"", known.title}
    assert known.do.endswith(".")
    assert set(known.services) <= {*SERVICES, "all"}
    assert title_of(known.code, "fr") == known.title_fr
    assert known.code in (ROOT / "docs/errors.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "en"),
        ("fr", "fr"),
        ("fr-FR,fr;q=0.9,en;q=0.8", "fr"),
        ("en-GB, fr;q=0.7", "en"),
        ("de, *;q=0.5", "en"),
        ("fr;q=0", "en"),
        ("fr;q=much", "en"),
        ("FR;q=0.2, de", "fr"),
    ],
)
def test_titles_are_french_where_french_is_preferred(header: str, language: str) -> None:
    assert preferred(header) == language
