"""Questions and policies as JSON that keeps its meaning: a stored quote is priced again years later."""

from collections.abc import Mapping
from dataclasses import fields
from datetime import date
from enum import StrEnum
from typing import Any, Final, TypeVar

from claims.domain.inputs import (
    ActLine,
    Amc,
    Exemptions,
    Inputs,
    Insured,
    MaternityWindow,
    Nir,
    OverrunQualifier,
    Pathway,
    Sector,
    Sponsor,
    SponsorKind,
    Territory,
    ThirdPartyPayment,
)
from claims.domain.policy import OutOfPathway, Policy
from claims.domain.refusals import PricingRefused, RefusalCode
from common.money import Cents

INPUTS_VERSION: Final = 1
POLICY_VERSION: Final = 1
FIELDS: Final = {each.name for each in fields(Inputs)} | {"version"}

E = TypeVar("E", bound=StrEnum)


def inputs_to_json(inputs: Inputs) -> dict[str, object]:
    """Every input, defaults too: a later default must not change an old question."""
    said, sponsor, booked = inputs.exemptions, inputs.sponsor, inputs.booked_on
    window = said.maternity
    return {
        "version": INPUTS_VERSION,
        "care_on": inputs.care_on.isoformat(),
        "born_on": inputs.born_on.isoformat(),
        "specialty": inputs.specialty,
        "sector": inputs.sector.value,
        "fee_cents": inputs.fee_cents,
        "insured": inputs.insured.value,
        "nir": inputs.nir.value,
        "amc": inputs.amc.value,
        "third_party_payment": inputs.third_party_payment.value,
        "acts": [str(line) for line in inputs.acts],
        "pathway": inputs.pathway.value,
        "territory": inputs.territory.value,
        "company": inputs.company,
        "overrun_qualifier": inputs.overrun_qualifier.value,
        "zone": inputs.zone,
        "known_patient": inputs.known_patient,
        "alternation_ok": inputs.alternation_ok,
        "exemptions": {
            "ald": said.ald,
            "ald_unrelated": said.ald_unrelated,
            "maternity": None
            if window is None
            else [window.first_on.isoformat(), window.last_on.isoformat()],
            "maternity_list": said.maternity_list,
            "css": said.css,
            "ame": said.ame,
        },
        "scheme": inputs.scheme,
        "pf_taken_this_year_cents": inputs.pf_taken_this_year_cents,
        "pf_taken_today_cents": inputs.pf_taken_today_cents,
        "pf_exempt": inputs.pf_exempt,
        "psychologist_session": inputs.psychologist_session,
        "sponsor": None
        if sponsor is None
        else {
            "kind": sponsor.kind.value,
            "cents": sponsor.cents,
            "percent": sponsor.percent,
            "max_cents": sponsor.max_cents,
            "specialties": None if sponsor.specialties is None else list(sponsor.specialties),
        },
        "booked_on": None if booked is None else booked.isoformat(),
    }


def inputs_from_json(mapping: Mapping[str, Any]) -> Inputs:
    """Raises PricingRefused `invalid-input` naming the field: missing, unknown, wrong type, unknown word."""
    read = _Reader(mapping, "")
    read.version(INPUTS_VERSION)
    read.only(FIELDS)
    return Inputs(
        care_on=read.day("care_on"),
        born_on=read.day("born_on"),
        specialty=read.text("specialty"),
        sector=read.word("sector", Sector),
        fee_cents=read.cents("fee_cents"),
        insured=read.word("insured", Insured),
        nir=read.word("nir", Nir),
        amc=read.word("amc", Amc),
        third_party_payment=read.word("third_party_payment", ThirdPartyPayment),
        acts=tuple(ActLine.parse(text) for text in read.texts("acts")),
        pathway=read.word("pathway", Pathway),
        territory=read.word("territory", Territory),
        company=read.flag("company"),
        overrun_qualifier=read.word("overrun_qualifier", OverrunQualifier),
        zone=read.text("zone"),
        known_patient=read.flag("known_patient"),
        alternation_ok=read.flag("alternation_ok"),
        exemptions=_exemptions(read.inner("exemptions")),
        scheme=read.text("scheme"),
        pf_taken_this_year_cents=read.cents("pf_taken_this_year_cents"),
        pf_taken_today_cents=read.cents("pf_taken_today_cents"),
        pf_exempt=read.flag("pf_exempt"),
        psychologist_session=read.number("psychologist_session"),
        sponsor=None if read.value("sponsor") is None else _sponsor(read.inner("sponsor")),
        booked_on=None if read.value("booked_on") is None else read.day("booked_on"),
    )


def policy_to_json(policy: Policy) -> dict[str, object]:
    return {
        "version": POLICY_VERSION,
        "out_of_pathway": policy.out_of_pathway.value,
        "amc_needs_nir": policy.amc_needs_nir,
        "provisional_nir_usable": policy.provisional_nir_usable,
        "compulsory_tp": policy.compulsory_tp,
        "partner_psychologist": policy.partner_psychologist,
        "direct_access_age_limits": policy.direct_access_age_limits,
        "tp_with_overrun": policy.tp_with_overrun,
    }


def policy_from_json(mapping: Mapping[str, Any]) -> Policy:
    """Raises PricingRefused `invalid-input` naming the field."""
    read = _Reader(mapping, "policy.")
    read.version(POLICY_VERSION)
    read.only(({each.name for each in fields(Policy)} | {"version"}) - {"pf_on_card"})
    return Policy(
        out_of_pathway=read.word("out_of_pathway", OutOfPathway),
        amc_needs_nir=read.flag("amc_needs_nir"),
        provisional_nir_usable=read.flag("provisional_nir_usable"),
        compulsory_tp=read.flag("compulsory_tp"),
        partner_psychologist=read.flag("partner_psychologist"),
        direct_access_age_limits=read.flag("direct_access_age_limits"),
        tp_with_overrun=read.flag("tp_with_overrun"),
    )


def _exemptions(read: "_Reader") -> Exemptions:
    read.only({each.name for each in fields(Exemptions)})
    window = None
    if read.value("maternity") is not None:
        dates = read.texts("maternity")
        if len(dates) != 2:  # noqa: PLR2004
            raise read.refused("maternity", "first-and-last-day")
        window = MaternityWindow(*(read.date_of("maternity", text) for text in dates))
    return Exemptions(
        ald=read.flag("ald"),
        ald_unrelated=read.flag("ald_unrelated"),
        maternity=window,
        maternity_list=read.flag("maternity_list"),
        css=read.flag("css"),
        ame=read.flag("ame"),
    )


def _sponsor(read: "_Reader") -> Sponsor:
    read.only({each.name for each in fields(Sponsor)})
    return Sponsor(
        kind=read.word("kind", SponsorKind),
        cents=None if read.value("cents") is None else read.cents("cents"),
        percent=None if read.value("percent") is None else read.number("percent"),
        max_cents=None if read.value("max_cents") is None else read.cents("max_cents"),
        specialties=None if read.value("specialties") is None else tuple(read.texts("specialties")),
    )


class _Reader:
    """One JSON object, read with the type each member has to have."""

    def __init__(self, mapping: object, prefix: str) -> None:
        self._prefix = prefix
        if not isinstance(mapping, Mapping):
            raise self.refused("", "is-an-object")
        self._mapping = mapping

    def refused(self, name: str, rule: str) -> PricingRefused:
        return PricingRefused(RefusalCode.INVALID_INPUT, (self._prefix + name).rstrip("."), rule)

    def version(self, known: int) -> None:
        if self.value("version") != known:
            raise self.refused("version", "known-version")

    def only(self, names: set[str]) -> None:
        for name in self._mapping:
            if name not in names:
                raise self.refused(str(name), "known-field")

    def value(self, name: str) -> object:
        if name not in self._mapping:
            raise self.refused(name, "present")
        value: object = self._mapping[name]
        return value

    def inner(self, name: str) -> "_Reader":
        return _Reader(self.value(name), f"{self._prefix}{name}.")

    def text(self, name: str) -> str:
        value = self.value(name)
        if not isinstance(value, str) or not value:
            raise self.refused(name, "is-a-text")
        return value

    def texts(self, name: str) -> list[str]:
        value = self.value(name)
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise self.refused(name, "is-a-list-of-texts")
        return value

    def number(self, name: str) -> int:
        value = self.value(name)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.refused(name, "is-a-whole-number")
        return value

    def cents(self, name: str) -> Cents:
        return Cents(self.number(name))

    def flag(self, name: str) -> bool:
        value = self.value(name)
        if not isinstance(value, bool):
            raise self.refused(name, "is-true-or-false")
        return value

    def day(self, name: str) -> date:
        return self.date_of(name, self.text(name))

    def date_of(self, name: str, text: str) -> date:
        try:
            return date.fromisoformat(text)
        except ValueError:
            raise self.refused(name, "is-a-date") from None

    def word(self, name: str, words: type[E]) -> E:
        value = self.text(name)
        try:
            return words(value)
        except ValueError:
            raise self.refused(name, "known-word") from None
