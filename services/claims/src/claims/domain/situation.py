"""What several rules ask about a question: ages, what is proven, which exceptions hold."""

from dataclasses import dataclass
from datetime import date

from claims.domain.inputs import GIVEN, Inputs, Insured, Nir
from claims.domain.policy import Policy
from claims.domain.refusals import PricingRefused, RefusalCode
from claims.domain.tables import Book, Exemption, PartnerPsychology, SpecialtyRow

PSYCHOLOGIST = "psychologist"
MON_SOUTIEN_PSY = ("mon-soutien-psy",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    inputs: Inputs
    book: Book
    policy: Policy
    specialty: SpecialtyRow
    age: int
    in_person: bool
    nir_usable: bool
    css: Exemption | None  # proven
    ame: Exemption | None  # proven
    maternity: Exemption | None  # care date in the window, or act on the list
    ald: Exemption | None  # act related
    partner: PartnerPsychology | None  # rule A6 holds

    def exemption(self, key: str) -> Exemption:
        """Raises PricingRefused `no-rate` when the tables do not reach the care date."""
        return _exemption(self.book, key, on=self.inputs.care_on)


def age_on(born_on: date, day: date) -> int:
    """Whole years; born on 29 February, a year more on 1 March of common years."""
    return day.year - born_on.year - ((day.month, day.day) < (born_on.month, born_on.day))


def read_situation(inputs: Inputs, book: Book, policy: Policy) -> Situation:
    """Raises PricingRefused for an unknown specialty or a care date before the tables."""
    on, said = inputs.care_on, inputs.exemptions
    specialty = find_specialty(inputs.specialty, book, on=on)
    usable = inputs.nir in (Nir.DEFINITIVE, Nir.AME) or (
        inputs.nir is Nir.PROVISIONAL and policy.provisional_nir_usable
    )
    proven = usable and inputs.insured is Insured.YES
    age = age_on(inputs.born_on, on)
    return Situation(
        inputs=inputs,
        book=book,
        policy=policy,
        specialty=specialty,
        age=age,
        in_person=_in_person(inputs, book),
        nir_usable=usable,
        css=_exemption(book, "css", on=on) if said.css and proven else None,
        ame=_exemption(book, "ame", on=on) if said.ame and proven else None,
        maternity=_maternity(inputs, book),
        ald=_exemption(book, "ald", on=on) if said.ald else None,
        partner=_partner(inputs, book, policy, specialty, age),
    )


def find_specialty(word: str, book: Book, *, on: date) -> SpecialtyRow:
    """Raises PricingRefused `invalid-input`, or `no-tariff` on a day that the tables do not reach."""
    row = book.specialties.find((word,), on=on)
    if row is not None:
        return row
    if book.specialties.knows((word,)):
        raise PricingRefused(RefusalCode.NO_TARIFF, "care_on", "the-tables-reach-the-care-date")
    raise PricingRefused(RefusalCode.INVALID_INPUT, "specialty", "known-specialty")


def _exemption(book: Book, key: str, *, on: date) -> Exemption:
    row = book.exemptions.find((key,), on=on)
    if row is None:
        raise PricingRefused(RefusalCode.NO_RATE, "exemptions", f"{key}-has-a-row-at-the-care-date")
    return row


def _in_person(inputs: Inputs, book: Book) -> bool:
    for line in inputs.acts:
        if line.code != GIVEN:
            act = book.acts.find((line.code,), on=inputs.care_on)
            if act is not None and act.in_person:
                return True
    return False


def _maternity(inputs: Inputs, book: Book) -> Exemption | None:
    window = inputs.exemptions.maternity
    if window is not None and window.first_on <= inputs.care_on <= window.last_on:
        return _exemption(book, "maternity", on=inputs.care_on)
    if inputs.exemptions.maternity_list:
        return _exemption(book, "maternity-list", on=inputs.care_on)
    return None


def _partner(
    inputs: Inputs, book: Book, policy: Policy, specialty: SpecialtyRow, age: int
) -> PartnerPsychology | None:
    if not policy.partner_psychologist or specialty.specialty != PSYCHOLOGIST:
        return None
    row = book.partner_psychology.find(MON_SOUTIEN_PSY, on=inputs.care_on)
    if row is None or inputs.psychologist_session > row.sessions_per_year or age < row.min_age:
        return None
    return row
