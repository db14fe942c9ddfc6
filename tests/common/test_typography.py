"""Texts and amounts as they are set in French and in English."""

import pytest

from common.typography import euros_en, euros_fr, french, percent_en, percent_fr

B, T, A = "\N{NO-BREAK SPACE}", "\N{NARROW NO-BREAK SPACE}", "\N{RIGHT SINGLE QUOTATION MARK}"


@pytest.mark.parametrize(
    ("cents", "french_text", "english_text"),
    [
        (0, f"0,00{B}€", "€0.00"),
        (5, f"0,05{B}€", "€0.05"),
        (750, f"7,50{B}€", "€7.50"),
        (123456, f"1{T}234,56{B}€", "€1,234.56"),
        (123456789, f"1{T}234{T}567,89{B}€", "€1,234,567.89"),
    ],
)
def test_euros_are_written_from_whole_cents(cents: int, french_text: str, english_text: str) -> None:
    assert (euros_fr(cents), euros_en(cents)) == (french_text, english_text)


@pytest.mark.parametrize(
    ("points", "french_text", "english_text"),
    [(7000, f"70{B}%", "70%"), (8550, f"85,5{B}%", "85.5%"), (5, f"0,05{B}%", "0.05%")],
)
def test_rates_are_written_from_basis_points(points: int, french_text: str, english_text: str) -> None:
    assert (percent_fr(points), percent_en(points)) == (french_text, english_text)


@pytest.mark.parametrize(
    ("typed", "typeset"),
    [
        ("C'est une urgence : appelez !", f"C{A}est une urgence{B}: appelez{B}!"),
        ("payé à 100 % ; quoi ?", f"payé à 100{B}%{B}; quoi{B}?"),
        ("« l'acte »", f"«{B}l{A}acte{B}»"),
        ("à 10:30, sur https://exemple.fr", "à 10:30, sur https://exemple.fr"),
        (f"déjà{B}: fait", f"déjà{B}: fait"),
    ],
)
def test_french_is_set_from_what_is_typed(typed: str, typeset: str) -> None:
    assert french(typed) == typeset
    assert french(typeset) == typeset
