"""`docs/rules.md` says all of every rule, and a rule without its text, its table or its code stops it."""

import shutil
import tomllib
from pathlib import Path

import pytest

from claims.domain.sentences import RULES
from tools import rule_documents

ROOT = Path(__file__).parents[2]
CLAIMS = "services/claims/src/claims"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for folder in ("data", "domain"):
        shutil.copytree(ROOT / CLAIMS / folder, tmp_path / CLAIMS / folder)
    return tmp_path


def test_every_rule_stands_there_with_its_sentences_source_and_code(copy) -> None:
    [text] = rule_documents.generated(copy).values()
    sentences = tomllib.loads((copy / CLAIMS / "data/sentences.toml").read_text())

    for code in RULES:
        _, part = text.split(f"\n## {code}\n", 1)
        part = part.split("\n## ", 1)[0]
        said = [each["fr"] for name, each in sentences.items() if name.partition("/")[0] == code]
        assert said
        assert all(each in part for each in said), code
        assert "- Source: " in part
        assert ".py](../services/claims/" in part


def test_a_rule_without_its_text_is_refused(copy) -> None:
    path = copy / CLAIMS / "data/rules.toml"
    path.write_text(path.read_text().replace("[A6]", "[A7]"))

    with pytest.raises(ValueError, match="A6"):
        rule_documents.generated(copy)


def test_a_table_that_is_gone_is_refused(copy) -> None:
    (copy / CLAIMS / "data/surcharges.csv").unlink()

    with pytest.raises(ValueError, match=r"E3 names tables that are not there: surcharges\.csv"):
        rule_documents.generated(copy)


def test_a_rule_that_no_code_decides_is_refused(copy) -> None:
    for path in (copy / CLAIMS / "domain").rglob("*.py"):
        path.write_text(path.read_text().replace('"S2"', '"S1"'))

    with pytest.raises(ValueError, match="S2"):
        rule_documents.generated(copy)
