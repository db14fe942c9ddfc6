"""What is sealed opens in its own place only, and keys never show in what is printed."""

from typing import Any

import pytest

from common.crypto import Keyring, NotDecryptable, associated, decrypt, encrypt

KEY, OTHER = b"k" * 32, b"o" * 32


def ring(**overrides: Any) -> Keyring:
    values = {"master": {"first": KEY}, "active": "first", "index": OTHER, "service": "claims"}
    return Keyring(**values | overrides)


def test_it_opens_with_its_key_and_its_place() -> None:
    encrypted = encrypt(KEY, b"text", bound_to=b"here")

    assert decrypt(KEY, encrypted, bound_to=b"here") == b"text"
    assert encrypt(KEY, b"text", bound_to=b"here") != encrypted


@pytest.mark.parametrize(
    ("key", "bound_to", "change"),
    [
        (OTHER, b"here", lambda encrypted: encrypted),
        (KEY, b"there", lambda encrypted: encrypted),
        (KEY, b"here", lambda encrypted: encrypted[:-1] + bytes([encrypted[-1] ^ 1])),
        (KEY, b"here", lambda encrypted: b"\x02" + encrypted[1:]),
        (KEY, b"here", lambda encrypted: encrypted[:5]),
        (KEY, b"here", lambda _: b""),
    ],
    ids=["key", "place", "last byte", "version", "cut", "nothing"],
)
def test_any_other_key_place_or_byte_does_not_open_it(key, bound_to, change) -> None:
    encrypted = change(encrypt(KEY, b"text", bound_to=b"here"))

    with pytest.raises(NotDecryptable):
        decrypt(key, encrypted, bound_to=bound_to)


def test_parts_that_join_to_the_same_text_are_told_apart() -> None:
    assert associated("ab", "c") != associated("a", "bc")


def test_a_wrapped_key_names_its_master_key_and_belongs_to_its_owner() -> None:
    keyring = ring(master={"first": KEY, "second": OTHER}, active="second")

    wrapped, name = keyring.wrap(b"d" * 32, owner="patient")

    assert name == "second"
    assert keyring.unwrap(wrapped, master_key="second", owner="patient") == b"d" * 32
    for master_key, owner in (("first", "patient"), ("second", "another"), ("gone", "patient")):
        with pytest.raises(NotDecryptable):
            keyring.unwrap(wrapped, master_key=master_key, owner=owner)


def test_a_blind_index_finds_equal_values_of_one_field_of_one_service() -> None:
    indexes = {
        ring().blind_index("1850578006084", field="nir"),
        ring().blind_index("1850578006084", field="member"),
        ring(service="booking").blind_index("1850578006084", field="nir"),
        ring(index=KEY).blind_index("1850578006084", field="nir"),
        ring().blind_index("1850578006085", field="nir"),
    }

    assert len(indexes) == 5
    assert ring().blind_index("1850578006084", field="nir") in indexes


@pytest.mark.parametrize("wrong", [{"active": "gone"}, {"index": b"short"}, {"master": {"first": b"short"}}])
def test_a_keyring_that_cannot_work_is_refused(wrong) -> None:
    with pytest.raises(ValueError, match="key"):
        ring(**wrong)


def test_a_keyring_prints_no_keys() -> None:
    assert "kkkk" not in repr(ring())
    assert "oooo" not in repr(ring())
