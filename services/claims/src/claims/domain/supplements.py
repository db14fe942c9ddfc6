"""The supplements that a consultation will have: they follow from the patient's age, the day and the hour."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import Final

from claims.domain.coding import GP, OVERRUN_CLASS, TC, acts_before_coding
from claims.domain.inputs import GIVEN, ActLine, Inputs, Pathway, Sector
from claims.domain.situation import age_on, find_specialty
from claims.domain.tables import Act, Book, SpecialtyRow, Tables
from common.money import Cents

_SUNDAY: Final = 6


def with_supplements(inputs: Inputs, tables: Tables, *, hour: int | None, ordinary_fee: bool) -> Inputs:
    """The question with the lines that the consultation will have, as far as nobody has coded it.

    `hour` is that of the place where the practitioner works; None: it is not known yet. With `ordinary_fee`
    the fee is that of a consultation without supplements, which come on top of it; a fee above the tariff of
    such a consultation already holds them. Without it the fee is what is charged, and shows by itself
    whether supplements are. Raises PricingRefused for an unknown specialty.
    """
    if inputs.acts and not ordinary_fee:
        return inputs
    book = tables.known_at(None)
    specialty = find_specialty(inputs.specialty, book, on=inputs.care_on)
    if not specialty.physician or any(line.code == GIVEN for line in inputs.acts):
        return inputs
    if inputs.acts:
        extra = tuple(line for line in inputs.acts if _is_supplement(line, book, on=inputs.care_on))
        main = tuple(line for line in inputs.acts if line not in extra)
    else:
        main = acts_before_coding(inputs, specialty, book)
        extra = _expected(inputs, specialty, tables, main, hour=hour)
    of_main = _tariff(inputs, specialty, book, main, beside=main)
    of_extra = _tariff(inputs, specialty, book, extra, beside=main)
    if not extra or of_main is None or of_extra is None:
        return inputs
    fee = inputs.fee_cents
    if fee <= of_main:
        if not ordinary_fee:
            return inputs
        fee = Cents(fee + of_extra)
    return replace(inputs, acts=inputs.acts or (*main, *extra), fee_cents=fee)


def _is_supplement(line: ActLine, book: Book, *, on: date) -> bool:
    act = book.acts.find((line.code,), on=on)
    return act is not None and act.supplement


def _expected(
    inputs: Inputs, specialty: SpecialtyRow, tables: Tables, main: Sequence[ActLine], *, hour: int | None
) -> tuple[ActLine, ...]:
    """Those for the age, and one at most for the time: a night is paid as a night on a Sunday too."""
    book = tables.known_at(None)
    priced = [
        act
        for act in book.acts.all(on=inputs.care_on)
        if act.expected and _tariff(inputs, specialty, book, [ActLine(act.code)], beside=main) is not None
    ]
    for_age = [act for act in priced if "age" in act.expected and _is_of_age(inputs, act)]
    words = {"sunday"} if inputs.care_on.weekday() == _SUNDAY else set()
    if inputs.care_on in tables.public_holidays(inputs.care_on.year):
        words.add("holiday")
    for_hour = [act for act in priced if hour is not None and _is_at(hour, act)]
    for_day = [act for act in priced if words & set(act.expected)]
    return tuple(ActLine(act.code) for act in (*for_age, *(for_hour or for_day)[:1]))


def _is_of_age(inputs: Inputs, act: Act) -> bool:
    age = age_on(inputs.born_on, inputs.care_on)
    fits = (act.min_age is None or age >= act.min_age) and (act.max_age is None or age <= act.max_age)
    return fits and not (act.other_than_regular_doctor and inputs.pathway is Pathway.REGULAR_DOCTOR)


def _is_at(hour: int, act: Act) -> bool:
    spans = [word.split("-") for word in act.expected if "-" in word]
    return any(int(begin) <= hour < int(end) for begin, end in spans)


def _tariff(
    inputs: Inputs,
    specialty: SpecialtyRow,
    book: Book,
    lines: Sequence[ActLine],
    *,
    beside: Sequence[ActLine],
) -> int | None:
    """Cents of all lines together for this practitioner; None: one of them has no row."""
    sector = Sector.S1 if inputs.company else inputs.sector
    overrun = sector is Sector.S2 and specialty.tariff_group == GP and TC in beside
    key = (specialty.tariff_group, OVERRUN_CLASS if overrun else sector.value, inputs.zone)
    rows = [book.tariffs.find((line.code, *key), on=inputs.care_on) for line in lines]
    found = [row.base_cents for row in rows if row is not None]
    return sum(found) if len(found) == len(rows) else None
