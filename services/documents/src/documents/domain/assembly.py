"""From what is known to what a document says: pure, so that each line of it can be tested."""

import tomllib
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from common.errors import DomainError, Refusal
from common.money import Cents
from documents.domain.content import (
    Act,
    Address,
    AnyDocument,
    CareSheet,
    ClaimStatement,
    ConsultationReport,
    DeviceLine,
    DrugLine,
    Folder,
    FreeLine,
    Insured,
    Invoice,
    Issue,
    Kind,
    Line,
    Patient,
    Practitioner,
    Prescription,
    Receipt,
    ReportSection,
    Settlement,
    Sex,
    SheetMode,
    Substitution,
)
from documents.domain.numbers import draw_code, draw_number, verification_url
from documents.domain.sheets import document_of
from documents.domain.sources import CareAct, Charged, Identity, KnownInsured

REGULAR_DOCTOR = "T"  # the pathway indicator of the patient's regular doctor


class SignerDiffers(DomainError):
    """Whoever wrote it is not the practitioner of the consultation."""

    code: ClassVar[str] = "signer-differs"
    refusal: ClassVar[Refusal] = Refusal.FORBIDDEN


class InsuredNotFound(DomainError):
    """A document for an insurer needs the number of the insured person."""

    code: ClassVar[str] = "insured-unknown"
    refusal: ClassVar[Refusal] = Refusal.INVALID


@cache
def _table(name: str) -> Mapping[str, Any]:
    text = files("documents.domain").joinpath(f"data/{name}.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def specialty(profession: str, code: str) -> str:
    """How a specialty is printed: of a physician by its code, else the profession."""
    table = _table("specialties")
    if profession == "physician" and code in table["physician"]:
        return str(table["physician"][code])
    return str(table["profession"].get(profession, profession))


def act_label(code: str) -> str:
    table = _table("acts")
    return str(table["act"].get(code, table["default"]))


def issue_of(kind: Kind, *, identity: Identity, written_at: datetime, public_url: str) -> Issue:
    """A new number and code, at the practitioner's place and in their zone."""
    zone = identity.practitioner.time_zone
    number = draw_number(kind, year=written_at.astimezone(ZoneInfo(zone)).year)
    code = draw_code()
    return Issue(
        number=number,
        verification_code=code,
        verification_url=verification_url(public_url, number=number, code=code),
        issued_at=written_at,
        zone=zone,
        place=identity.practitioner.address.city,
    )


def practitioner_of(identity: Identity) -> Practitioner:
    known = identity.practitioner
    return Practitioner(
        title=known.title,
        first_name=known.first_name,
        last_name=known.last_name,
        profession=known.profession,
        specialty=specialty(known.profession, known.specialty),
        rpps=known.rpps,
        billing_number=known.billing_number,
        address=Address(
            street=known.address.street, postal_code=known.address.postal_code, city=known.address.city
        ),
        phone=known.phone,
    )


def patient_of(
    identity: Identity, *, weight_grams: int | None = None, height_cm: int | None = None
) -> Patient:
    known = identity.patient
    return Patient(
        first_names=known.first_names,
        birth_name=known.birth_name,
        used_name=known.used_name,
        sex=Sex(known.sex),
        born_on=known.birth_date,
        weight_grams=weight_grams,
        height_cm=height_cm,
    )


def written(
    content: Mapping[str, Any], *, kind: Kind, issue: Issue, identity: Identity, by_rpps: str
) -> AnyDocument:
    """The prescription or report of what a practitioner wrote. Raises SignerDiffers."""
    if identity.practitioner.rpps != by_rpps:
        raise SignerDiffers("only the practitioner of the consultation signs its documents")
    visited_at = identity.started_at or identity.starts_at
    patient = patient_of(
        identity, weight_grams=content.get("weight_grams"), height_cm=content.get("height_cm")
    )
    if kind is Kind.PRESCRIPTION:
        return Prescription(
            issue=issue,
            practitioner=practitioner_of(identity),
            patient=patient,
            consulted_on=visited_at.astimezone(ZoneInfo(issue.zone)).date(),
            folder=Folder(content["folder"]),
            lines=tuple(line_of(row) for row in content["lines"]),
        )
    label = identity.reason.label_fr if identity.reason is not None else "non précisé"
    return ConsultationReport(
        issue=issue,
        practitioner=practitioner_of(identity),
        patient=patient,
        consulted_at=visited_at,
        reason=content["reason"] or label,
        sections=tuple(ReportSection(**section) for section in content["sections"]),
        regular_doctor_name=content["regular_doctor_name"],
    )


def line_of(row: Mapping[str, Any]) -> Line:
    """A line as the API takes it and the sealed content keeps it: `type` says which of the three it is."""
    values = {name: value for name, value in row.items() if name != "type"}
    match row["type"]:
        case "drug":
            reason = values.pop("not_substitutable", None)
            return DrugLine(**values, not_substitutable=None if reason is None else Substitution(reason))
        case "device":
            return DeviceLine(**values)
        case _:
            return FreeLine(**values)


def acts_of(care_act: CareAct, *, fee_cents: Cents) -> tuple[Act, ...]:
    """The acts with their fees: what exceeds the tariffs belongs to the first."""
    lines = care_act.price.lines
    if not lines:
        return (Act(code="—", label=act_label(""), performed_on=care_act.care_on, amount_cents=fee_cents),)
    above = fee_cents - sum(line.base_cents for line in lines)
    return tuple(
        Act(
            code=line.code,
            label=act_label(line.code),
            performed_on=care_act.care_on,
            amount_cents=Cents(line.base_cents + (above if place == 0 else 0)),
        )
        for place, line in enumerate(lines)
    )


def settlement_of(charged: Charged, care_act: CareAct, *, paid_cents: Cents) -> Settlement:
    """Who paid what. Raises ValueError when the price does not add up to its fee."""
    return Settlement(
        fee_cents=charged.fee_cents,
        base_cents=charged.base_cents,
        paid_cents=paid_cents,
        outstanding_cents=Cents(charged.advance_cents - paid_cents),
        amo_cents=charged.amo_claim_cents,
        amc_cents=charged.amc_claim_cents,
        sponsor_cents=charged.sponsor_cents,
        flat_contribution_cents=care_act.price.flat_contribution_cents,
    )


def billed(
    charged: Charged,
    *,
    issue: Issue,
    identity: Identity,
    care_act: CareAct,
    known_insured: KnownInsured,
    paid_cents: Cents,
) -> AnyDocument:
    """The document of the way the visit was billed. Raises InsuredNotFound; ValueError for a wrong price."""
    mode = SheetMode(charged.sheet_mode)
    practitioner, patient = practitioner_of(identity), patient_of(identity)
    acts = acts_of(care_act, fee_cents=charged.fee_cents)
    settlement = settlement_of(charged, care_act, paid_cents=paid_cents)
    code = care_act.price.exemption_code
    exemption = None if code in {None, "0"} else f"oui (code {code})"
    amc_name = known_insured.amc.name if known_insured.amc is not None else None
    insured = None
    number = known_insured.nir or known_insured.nia or known_insured.ame_number
    if number is not None:
        insured = Insured(
            nir=number,
            holder_name=known_insured.holder_name,
            provisional=known_insured.provisional,
        )
    match document_of(mode):
        case Kind.INVOICE:
            return Invoice(
                issue=issue, practitioner=practitioner, patient=patient, acts=acts, settlement=settlement
            )
        case Kind.CARE_SHEET:
            return CareSheet(
                issue=issue,
                practitioner=practitioner,
                patient=patient,
                insured=insured,
                mode=mode,
                acts=acts,
                settlement=settlement,
                exemption=exemption,
                regular_doctor=care_act.price.pathway_indicator == REGULAR_DOCTOR,
            )
        case kind:
            if insured is None:
                raise InsuredNotFound("claims knows no number of the insured person")
    if kind is Kind.RECEIPT:
        return Receipt(
            issue=issue,
            practitioner=practitioner,
            patient=patient,
            insured=insured,
            acts=acts,
            settlement=settlement,
            amc_name=amc_name,
        )
    return ClaimStatement(
        issue=issue,
        practitioner=practitioner,
        patient=patient,
        insured=insured,
        acts=acts,
        settlement=settlement,
        amc_name=amc_name,
        exemption=exemption,
    )
