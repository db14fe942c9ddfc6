"""Numbers and codes: readable, checkable, without personal data."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from documents.domain.content import Kind
from documents.domain.numbers import (
    ALPHABET,
    draw_code,
    draw_number,
    normal_number,
    same_code,
    verification_url,
)


@given(st.integers(0, 2**45 - 1), st.sampled_from(list(Kind)))
def test_a_number_survives_being_read_aloud(entropy, kind) -> None:
    number = draw_number(kind, year=2026, entropy=entropy)

    assert normal_number(number) == number
    assert normal_number(number.lower().replace("-", " ")) == number


@given(st.integers(0, 2**45 - 1), st.integers(0, 9), st.integers(1, 31))
def test_one_wrong_letter_is_noticed(entropy, place, step) -> None:
    number = draw_number(Kind.PRESCRIPTION, year=2026, entropy=entropy)
    head, body = number[:9], number[9:].replace("-", "")
    wrong = ALPHABET[(ALPHABET.index(body[place]) + step) % len(ALPHABET)]

    assert normal_number(head + body[:place] + wrong + body[place + 1 :]) is None


def test_look_alikes_are_read_as_what_was_meant() -> None:
    code = draw_code(entropy=0x1000000000000000000000000000000F)

    assert same_code(code, code.lower().replace("0", "o").replace("1", "l").replace("-", " "))
    assert not same_code(code, draw_code())


@pytest.mark.parametrize(
    "text", ["", "ORD", "ORD-2026-AAAAA-AAAA", "XYZ-2026-00000-00000", "ORD-2026-UUUUU-UUUUU"]
)
def test_what_cannot_be_a_number_is_none(text) -> None:
    assert normal_number(text) is None


def test_codes_have_128_bits_and_differ() -> None:
    assert len({draw_code() for _ in range(100)}) == 100
    assert draw_code(entropy=2**128 - 1).replace("-", "").startswith("7ZZZZ")


def test_the_address_holds_the_number_and_the_code_only() -> None:
    url = verification_url("https://example.org/", number="ORD-2026-007C0-AHVFJ", code="AAAAA-BBBBB")

    assert url == "https://example.org/documents/v1/verifications/ORD-2026-007C0-AHVFJ?code=AAAAABBBBB"
