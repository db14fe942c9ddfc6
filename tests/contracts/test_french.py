"""The French texts that a person reads, of every table: blanks and apostrophes as French typography asks."""

import re
from collections.abc import Iterator

from booking.domain.reasons import REASONS
from claims.domain import rejects
from claims.domain.tables import load_tables
from common.web.problem_catalogue import CATALOGUE

BAD = re.compile(r"'|[^\u00a0][;:!?%€»]|«[^\u00a0]|  ")


def texts() -> Iterator[str]:
    yield from (each.title_fr for each in CATALOGUE.values())
    yield from (each.label_fr for each in (*REASONS.rows, *REASONS.numbers))
    yield from (each.meaning_fr for each in rejects.listed())
    book = load_tables().known_at(None)
    for rows in (book.acts, book.schemes, book.specialties, book.holidays):
        for row in rows.every():
            yield getattr(row, "label_fr", None) or row.name_fr


def test_every_text_of_a_table_is_set_as_french_asks() -> None:
    found = list(texts())

    assert len(found) > 200
    assert [each for each in found if BAD.search(each)] == []
