"""Coverage of a patient: stated in versions, read at an instant, encrypted at rest."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from claims import store
from claims.domain import identifiers
from claims.domain.asking import NOTHING_KNOWN, AmcDeclared, Exemption, ExemptionKind, Insurance
from claims.domain.calendar import day_in_paris
from claims.domain.pricing import Insured, Nir, Sponsor, SponsorKind
from claims.domain.rights import PayerKind, RightsAnswer, RightsStatus, RightsVerdict, applied, judged
from claims.models import Coverage, CoverageVersion, SponsorOffer
from claims.models import RightsAnswer as RightsAnswerRow
from claims.usecases import encryption, sponsors
from claims.usecases.config import ClaimsConfig, InsuredPerson
from claims.usecases.statements import CoverageRefused, Statement, checked, require_holder
from common import vault
from common.messaging import tasks

_FIELD: Final = "coverage"
RIGHTS_FIELD: Final = "rights"
LOOK_UP: Final = "look-up-rights"
_JUST_AFTER: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class CoverageSnapshot:
    """A coverage version, opened, with what payers' rights services said about it."""

    version: int
    valid_from: datetime | None
    insurance: Insurance  # as the services know it
    declared: Insurance  # as the patient stated it
    person: InsuredPerson
    nir_verdict: str | None = None
    offer: SponsorOffer | None = None
    answers: Sequence[RightsAnswer] = ()

    def verdict(self, payer_kind: PayerKind, *, care_on: date) -> RightsVerdict:
        return judged(self.answers, payer_kind, care_on=care_on)[0]

    def verdicts_for(self, payer_kind: str, *, care_on: date) -> set[RightsVerdict]:
        """What a claim to this payer rests on: a complementary insurer pays what the fund has settled."""
        kinds: tuple[PayerKind, ...] = ("amo",) if payer_kind == "amo" else ("amo", "amc")
        return {self.verdict(kind, care_on=care_on) for kind in kinds}

    def unverified(self, *, care_on: date) -> bool:
        """A rights service was asked and is down; what it said before does not reach this day."""
        kinds: tuple[PayerKind, ...] = ("amo", "amc") if self.person.amc_number else ("amo",)
        return any(self.verdict(kind, care_on=care_on) is RightsVerdict.UNAVAILABLE for kind in kinds)

    @property
    def latest(self) -> list[RightsAnswer]:
        """The last answer of each service."""
        return list({each.payer_kind: each for each in self.answers}.values())

    @property
    def has_numbers(self) -> bool:
        """Whether a rights service can be asked about anything."""
        person = self.person
        return bool(person.nir or person.nia or person.ame_number)


async def put_coverage(
    session: AsyncSession,
    config: ClaimsConfig,
    patient_id: UUID,
    statement: Statement,
    *,
    head: Coverage,
    stated_by: UUID,
    now: datetime,
) -> CoverageVersion:
    """Adds a version and asks for new quotes of the patient's live appointments. `head` is locked.

    Raises IdentifierRefused, CoverageRefused.
    """
    today = day_in_paris(now)
    facts = checked(config, statement, now=now)
    require_holder(config, statement, today=today)
    offer = await _sponsor_offer(session, config, statement.sponsor_code, day=today)
    # A final price may already rest on "nothing newer at that instant": a new version begins after it.
    begins = now
    if head.priced_until is not None and head.priced_until >= begins:
        begins = head.priced_until + _JUST_AFTER
    head.version += 1
    member = facts["amc_member_number"]
    version = CoverageVersion(
        patient_id=patient_id,
        version=head.version,
        valid_from=begins,
        stated_by=stated_by,
        insured=statement.is_insured.value,
        scheme=statement.scheme,
        amc_number=facts.pop("amc_number"),
        amc_declared=statement.amc_declared.value,
        sponsor_offer_id=offer.id if offer else None,
        encrypted=await encryption.encrypt_json(session, config, patient_id, facts, field=_FIELD, now=now),
        nir_index=config.keyring.blind_index(facts["nir"], field="nir") if facts["nir"] else None,
        member_index=config.keyring.blind_index(member, field="amc-member") if member else None,
    )
    session.add(version)
    await session.flush()
    if config.terms.look_up_rights and any(facts[name] for name in ("nir", "nia", "ame_number")):
        plan_look_up(session, patient_id, key=f"{patient_id}:{head.version}", care_on=today, due_at=now)
    for appointment_id in await store.list_live_appointments(session, patient_id):
        tasks.add(
            session,
            "price-again",
            f"{appointment_id}:{head.version}",
            due_at=now,
            payload={"appointment_id": str(appointment_id)},
        )
    return version


def plan_look_up(
    session: AsyncSession, patient_id: UUID, *, key: str, care_on: date, due_at: datetime
) -> None:
    """The rights services are asked by a task: never inside a transaction."""
    payload = {"patient_id": str(patient_id), "care_on": care_on.isoformat()}
    tasks.add(session, LOOK_UP, key, due_at=due_at, payload=payload)


def _exemptions(stored: Sequence[dict[str, Any]]) -> tuple[Exemption, ...]:
    return tuple(
        Exemption(
            kind=ExemptionKind(each["kind"]),
            first_on=date.fromisoformat(each["first_on"]),
            last_on=_day(each["last_on"]),
        )
        for each in stored
    )


async def _sponsor_offer(
    session: AsyncSession, config: ClaimsConfig, code: str | None, *, day: date
) -> SponsorOffer | None:
    if code is None:
        return None
    index = sponsors.code_index(config.keyring, code)
    offer = await store.find_sponsor_offer(session, code_index=index, day=day)
    if offer is None:
        raise CoverageRefused("sponsor-code-unknown", "no offer holds under this code", field="sponsor_code")
    return offer


async def opened(
    session: AsyncSession,
    config: ClaimsConfig,
    row: CoverageVersion | None,
    *,
    care_on: date,
    known_at: datetime | None = None,
) -> CoverageSnapshot:
    """What a version says; no version says nothing. A sponsor's offer counts if it holds on the care date.

    With the answers of the rights services that were known at `known_at`; all of them without one.
    """
    if row is None:
        return _nothing(0)
    try:
        facts = await encryption.decrypt_json(session, config, row.patient_id, row.encrypted, field=_FIELD)
    except vault.DataErased:
        return _nothing(row.version)
    offer = await store.get_sponsor_offer(session, row.sponsor_offer_id) if row.sponsor_offer_id else None
    amc = config.tables.find_amc(row.amc_number, on=care_on) if row.amc_number else None
    insurance = _insurance(
        facts,
        insured=Insured(row.insured),
        amc_number=row.amc_number,
        amc_declared=AmcDeclared(row.amc_declared),
        scheme=row.scheme,
        sponsor=_sponsor(offer, care_on) if offer else None,
    )
    answers = await _answers(session, config, row, known_at=known_at)
    return CoverageSnapshot(
        version=row.version,
        valid_from=row.valid_from,
        insurance=applied(insurance, answers, care_on=care_on),
        declared=insurance,
        person=InsuredPerson(
            coverage_version=row.version,
            nir=facts["nir"],
            provisional=insurance.nir is Nir.PROVISIONAL,
            nia=facts["nia"],
            ame_number=facts["ame_number"],
            born_on=insurance.born_on,
            holder_name=facts["holder_name"],
            scheme=row.scheme,
            amc_number=row.amc_number,
            amc_name=amc.name if amc else None,
            amc_contracted=bool(amc and amc.contracted),
            amc_member_number=facts["amc_member_number"],
        ),
        nir_verdict=facts["nir_verdict"],
        offer=offer,
        answers=answers,
    )


async def _answers(
    session: AsyncSession, config: ClaimsConfig, row: CoverageVersion, *, known_at: datetime | None
) -> list[RightsAnswer]:
    if not config.terms.look_up_rights:
        return []
    rows = await store.list_rights_answers(session, row.patient_id, version=row.version, known_at=known_at)
    return [await _answer(session, config, each) for each in rows]


async def _answer(session: AsyncSession, config: ClaimsConfig, row: RightsAnswerRow) -> RightsAnswer:
    told = await encryption.decrypt_json(session, config, row.patient_id, row.encrypted, field=RIGHTS_FIELD)
    exemptions = told["exemptions"]
    return RightsAnswer(
        payer_kind="amo" if row.payer_kind == "amo" else "amc",
        status=RightsStatus(row.status),
        valid_from=row.valid_from,
        valid_to=row.valid_to,
        exemptions=None if exemptions is None else _exemptions(exemptions),
        reference=told["reference"],
        known_from=row.known_from,
    )


async def stated(
    session: AsyncSession, config: ClaimsConfig, statement: Statement, *, care_on: date, now: datetime
) -> tuple[Insurance, SponsorOffer | None]:
    """What a statement would price with, without keeping it. Raises IdentifierRefused, CoverageRefused."""
    today = day_in_paris(now)
    facts = checked(config, statement, now=now)
    offer = await _sponsor_offer(session, config, statement.sponsor_code, day=today)
    insurance = _insurance(
        facts,
        insured=statement.is_insured,
        amc_number=facts["amc_number"],
        amc_declared=statement.amc_declared,
        scheme=statement.scheme,
        sponsor=_sponsor(offer, care_on) if offer else None,
    )
    return insurance, offer


async def for_preview(
    session: AsyncSession,
    config: ClaimsConfig,
    patient_id: UUID | None,
    statement: Statement | None,
    *,
    care_on: date,
    now: datetime,
) -> tuple[Insurance, SponsorOffer | None]:
    """What is stated; else what is known of the patient; else nothing. With the offer of a sponsor."""
    if statement is not None:
        return await stated(session, config, statement, care_on=care_on, now=now)
    if patient_id is None:
        return NOTHING_KNOWN, None
    row = await store.find_current_coverage(session, patient_id)
    known = await opened(session, config, row, care_on=care_on)
    return known.insurance, known.offer


async def get_current(session: AsyncSession, patient_id: UUID) -> CoverageVersion:
    row = await store.find_current_coverage(session, patient_id)
    if row is None:
        raise store.CoverageNotFound("nothing is known of this patient's insurance")
    return row


def _insurance(
    facts: dict[str, Any],
    *,
    insured: Insured,
    amc_number: str | None,
    amc_declared: AmcDeclared,
    scheme: str,
    sponsor: Sponsor | None,
) -> Insurance:
    return Insurance(
        insured=insured,
        nir=_nir(facts),
        born_on=_day(facts["born_on"]),
        amc_number=amc_number,
        amc_declared=amc_declared,
        amc_first_on=_day(facts["amc_first_on"]),
        amc_last_on=_day(facts["amc_last_on"]),
        exemptions=_exemptions(facts["exemptions"]),
        contribution_exempt=facts.get("contribution_exempt", False),  # earlier versions were not asked
        scheme=scheme,
        sponsor=sponsor,
    )


def _nothing(version: int) -> CoverageSnapshot:
    person = InsuredPerson(coverage_version=version)
    return CoverageSnapshot(
        version=version, valid_from=None, insurance=NOTHING_KNOWN, declared=NOTHING_KNOWN, person=person
    )


def _nir(facts: dict[str, Any]) -> Nir:
    if facts["ame_number"]:
        return Nir.AME
    if facts["nia"]:
        return Nir.PROVISIONAL  # a waiting identifier until the number is certified
    if facts["nir"] is None:
        return Nir.NONE
    return Nir.PROVISIONAL if identifiers.is_provisional(facts["nir"]) else Nir.DEFINITIVE


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None


def _sponsor(offer: SponsorOffer, care_on: date) -> Sponsor | None:
    if care_on < offer.valid_from or (offer.valid_to is not None and care_on > offer.valid_to):
        return None
    return Sponsor(
        kind=SponsorKind(offer.kind),
        cents=offer.cents,
        percent=offer.percent,
        max_cents=offer.max_cents,
        specialties=None if offer.covered_specialties is None else tuple(offer.covered_specialties),
    )


async def erase(session: AsyncSession, config: ClaimsConfig, patient_id: UUID) -> None:
    """Destroys the patient's erasable key and the searchable hashes; care acts keep theirs, by law."""
    # Answers of rights services are encrypted with the same key: nobody reads them any more.
    await store.lock_coverage(session, patient_id)
    await store.forget_indexes(session, patient_id)
    await encryption.destroy(session, config, patient_id)
