import unicodedata

import pytest

from common.folding import folded

# The letters of the Latin, Greek and Cyrillic alphabets that European languages are written with.
RANGES = [(0x00C0, 0x0180), (0x0218, 0x021C), (0x1E00, 0x1F00), (0x0386, 0x03CF), (0x0400, 0x0460)]
LETTERS = [
    chr(code)
    for first, last in RANGES
    for code in range(first, last)
    if unicodedata.category(chr(code)) in {"Lu", "Ll"}
]
WITHOUT_SOUND = set("ЪЬъь")  # the hard and the soft sign


@pytest.mark.parametrize(
    ("written", "typed"),
    [
        ("Œuvray", "oeuvray"),
        ("Læticia", "laeticia"),
        ("Weiß", "weiss"),
        ("Sørensen", "sorensen"),
        ("Łukasz", "lukasz"),
        ("Đorđević", "dordevic"),
        ("Þórsson", "thorsson"),
        ("Guðrún", "gudrun"),
        ("Y\u0131ld\u0131z İpek", "yildiz ipek"),
        ("Ħal", "hal"),
        ("Ştefăniță", "stefanita"),
        ("Dvořák", "dvorak"),
        ("e\u0301va", "eva"),
        ("Éva  Lôve-Ly", "eva love ly"),
        ("L\u2019Haÿ-les-Roses", "l hay les roses"),
        ("Иванов", "ivanov"),
        ("Νίκος", "nikos"),
    ],
)
def test_a_name_is_found_as_it_is_typed(written, typed) -> None:
    assert folded(written) == folded(written.upper()) == folded(typed) == typed


def test_every_letter_of_a_european_name_has_letters_to_type() -> None:
    assert {each for each in LETTERS if not folded(each).replace(" ", "").isalpha()} <= WITHOUT_SOUND
    assert all(folded(each).isascii() for each in LETTERS)
