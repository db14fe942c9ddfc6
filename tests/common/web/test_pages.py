"""Cursors are ours or they are refused, and a list is read to its end without a gap."""

import base64
from uuid import uuid4

import pytest

from common.web import pages
from common.web.pages import CursorInvalid
from common.web.tables import PractitionerKeyRow
from support.small_app import client_of, small_app
from support.tokens import Issuer

KEY = b"k" * 32


def test_a_cursor_says_what_it_was_made_from() -> None:
    assert pages.decode(pages.encode(["2030-01-01", "é"], key=KEY), key=KEY) == ["2030-01-01", "é"]


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        "!!!!",
        "é",
        base64.urlsafe_b64encode(b"0" * 16 + b'["1"]').decode(),
        pages.encode(["1"], key=b"o" * 32),
        pages.encode(["1"], key=KEY)[:-2],
        pages.encode(["1"], key=KEY) + "AAAA",
    ],
)
def test_what_was_made_up_or_changed_is_refused(cursor) -> None:
    with pytest.raises(CursorInvalid):
        pages.decode(cursor, key=KEY)


async def test_a_list_is_read_to_its_end_and_a_cursor_of_another_list_is_422(sessions) -> None:
    ids = sorted(uuid4() for _ in range(5))
    async with sessions.begin() as session:
        session.add_all(PractitionerKeyRow(practitioner_id=each, rpps="1") for each in ids)
    found: list[str] = []
    cursor = None
    async with client_of(small_app(sessions, verifier=Issuer().verifier())) as client:
        for _ in range(3):
            parameters = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
            page = (await client.get("/small/v1/things", params=parameters)).json()
            found += page["items"]
            elsewhere = await client.get("/small/v1/others", params={"cursor": cursor or "x"})
            filtered = await client.get("/small/v1/things", params={"cursor": cursor or "x", "colour": "red"})
            cursor = page["next_cursor"]
        too_many = await client.get("/small/v1/things", params={"limit": "101"})

    assert found == [str(each) for each in ids]
    assert cursor is None
    for refused in (elsewhere, filtered):
        assert (refused.status_code, refused.json()["type"]) == (422, "urn:problem:cursor-invalid")
        assert refused.json()["errors"][0]["pointer"] == "/query/cursor"
    assert too_many.json()["errors"][0]["pointer"] == "/query/limit"
