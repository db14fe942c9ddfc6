"""Bodies of the booking HTTP API."""

from collections.abc import Sequence
from datetime import date, datetime, time
from typing import Annotated, Final, Literal, Self
from uuid import UUID
from zoneinfo import available_timezones

from pydantic import AfterValidator, Field, model_validator
from pydantic.config import JsonDict
from pydantic_core import PydanticCustomError
from stdnum import luhn

from booking.domain import agenda, identity
from booking.domain.agenda import ExceptionKind, Mode
from booking.domain.cancellation import POLICY, Party
from booking.domain.identity import Relation, Sex
from booking.domain.lifecycle import FINAL, Status
from booking.domain.reasons import Reason
from booking.models import (
    AgendaException,
    AgendaRule,
    Appointment,
    Consent,
    Link,
    Offer,
    Practitioner,
)
from booking.usecases.appointments import CompletionReport
from booking.usecases.requests import Requested, Wanted
from common.events.base import (
    PRICED_SPECIALTIES,
    ActCode,
    Currency,
    PathwayAnswer,
    Profession,
    Sector,
    SpecialtyCode,
    TerritoryAnswer,
    ThirdPartyPayment,
    Zone,
)
from common.events.booking import CancelReason, Outcome, OverrunQualifier
from common.messaging.tables import HistoryRow
from common.money import Cents
from common.web.schemas import ONE_LINE, In, Out, Patch, PersonName, unchanged


def _known_zone(name: str) -> str:
    if name not in available_timezones():
        raise PydanticCustomError("unknown_time_zone", "no such time zone")
    return name


def _plausible(day: date) -> date:
    if day.year < 1880:  # noqa: PLR2004
        raise PydanticCustomError("too_long_ago", "nobody is that old")
    return day


def _with_its_key(number: str) -> str:
    if not luhn.is_valid(number):
        raise PydanticCustomError("billing_number_key", "the last digit is the key of the others")
    return number


def _name_the_empty_one(schema: JsonDict) -> None:
    """Generated code has a name for each value of an enum, and cannot say the default by such a name."""
    schema["x-enum-varnames"] = ["DOCTEUR", "NONE"]
    schema.pop("default", None)


Name = Annotated[str, Field(min_length=1, max_length=100, pattern=ONE_LINE)]
Phone = Annotated[str, Field(pattern=r"^\+?[0-9 ().-]{4,24}$")]
NO_SPECIALTY: Final = "00"  # of every profession but physicians
# What counts as a blank differs between the languages of clients: those they do not agree on are named.
_IN_EMAIL: Final = r"[^@\s\u0000-\u001f\u007f-\u009f\ufeff]+"
Email = Annotated[str, Field(max_length=254, pattern=rf"^{_IN_EMAIL}@{_IN_EMAIL}\.{_IN_EMAIL}$")]
Title = Annotated[Literal["Docteur", ""], Field(json_schema_extra=_name_the_empty_one)]
Rpps = Annotated[str, Field(pattern=r"^[0-9]{11}$")]
BillingNumber = Annotated[str, Field(pattern=r"^[0-9]{9}$"), AfterValidator(_with_its_key)]
TimeZone = Annotated[str, Field(max_length=64), AfterValidator(_known_zone)]
Language = Annotated[str, Field(pattern=r"^[a-z]{2}$")]
FeeCents = Annotated[int, Field(gt=0, le=1_000_000)]
WallTime = Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
BirthDate = Annotated[date, AfterValidator(_plausible)]
Code = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=64)]
ExemptionRelated = Annotated[
    bool,
    Field(
        description="The care is for the long-term illness. Where the coverage knows none that holds, and a"
        " maternity that is to begin: an act of the maternity list"
    ),
]
Weekday = Annotated[int, Field(ge=1, le=7, description="ISO: 1 is Monday")]


class AddressIn(In):
    street: Annotated[str, Field(min_length=1, max_length=200, pattern=ONE_LINE)]
    postal_code: Annotated[str, Field(min_length=2, max_length=12, pattern=ONE_LINE)]
    city: Name


class AddressRead(Out):
    street: str
    postal_code: str
    city: str


# Practitioners


def _priced(code: str) -> str:
    if code != NO_SPECIALTY and code not in PRICED_SPECIALTIES:
        raise PydanticCustomError("specialty_without_price", "no care of this specialty has a price here")
    return code


Specialty = Annotated[
    SpecialtyCode, AfterValidator(_priced), Field(description="Of the specialties that the tariffs know")
]


class PractitionerCreate(In):
    """A physician has a specialty of the national list and a sector; everybody else has `00` and `none`."""

    rpps: Rpps
    profession: Profession
    specialty: Specialty
    sector: Sector
    zone: Zone
    agreed_company: bool = False
    third_party_payment: ThirdPartyPayment
    currency: Currency = "EUR"
    fee_cents: FeeCents
    permanent_overrun: bool = Field(
        default=False, description="Has the permanent right to charge above the tariff (DP); sector `s1` only"
    )
    biller_id: UUID | None = Field(default=None, description="The practitioner, unless somebody else bills")
    billing_number: BillingNumber | None = None
    title: Title = ""
    first_name: PersonName
    last_name: PersonName
    display_name: Name
    address: AddressIn
    phone: Phone
    languages: Annotated[list[Language], Field(min_length=1, max_length=10)] = Field(default=["fr"])
    time_zone: TimeZone | None = Field(default=None, description="Left out: that of the tariff zone")

    @model_validator(mode="after")
    def _physician_or_not(self) -> Self:
        physician = self.profession == "physician"
        if physician is (self.specialty == NO_SPECIALTY) or physician is (self.sector == "none"):
            raise PydanticCustomError(
                "not_of_physicians", "specialty and sector belong to physicians, and every physician has both"
            )
        return self

    def fields(self) -> dict[str, object]:
        return _columns({name: getattr(self, name) for name in type(self).model_fields})


class PractitionerUpdate(Patch):
    """What is absent stays as it is.

    Null takes away what a practitioner need not have: `billing_number`; `biller_id`, then the practitioner
    bills; `time_zone`, then it is that of the tariff zone. Null is refused in every other field.
    """

    sector: Sector = unchanged()
    zone: Zone = unchanged()
    agreed_company: bool = unchanged()
    third_party_payment: ThirdPartyPayment = unchanged()
    currency: Currency = unchanged()
    fee_cents: FeeCents = unchanged()
    permanent_overrun: bool = unchanged()
    biller_id: UUID | None = None
    billing_number: BillingNumber | None = None
    title: Title = unchanged()
    first_name: PersonName = unchanged()
    last_name: PersonName = unchanged()
    display_name: Name = unchanged()
    address: AddressIn = unchanged()
    phone: Phone = unchanged()
    languages: Annotated[list[Language], Field(min_length=1, max_length=10)] = unchanged()
    time_zone: TimeZone | None = None

    def changes(self) -> dict[str, object]:
        return _columns(self.given())


def _columns(given: dict[str, object]) -> dict[str, object]:
    address = given.pop("address", None)
    return given | (address.model_dump() if isinstance(address, AddressIn) else {})


class PractitionerRead(Out):
    id: UUID
    rpps: str
    profession: Profession
    physician: bool
    specialty: str
    sector: Sector
    zone: Zone
    agreed_company: bool
    third_party_payment: ThirdPartyPayment
    currency: Currency
    fee_cents: int
    permanent_overrun: bool
    biller_id: UUID
    title: str
    first_name: str
    last_name: str
    display_name: str
    address: AddressRead
    phone: str
    languages: list[str]
    time_zone: str

    @classmethod
    def of(cls, practitioner: Practitioner) -> Self:
        return cls.model_validate(_about(practitioner))


class PractitionerFound(PractitionerRead):
    next_available_at: datetime | None

    @classmethod
    def found(cls, practitioner: Practitioner, next_available_at: datetime | None) -> Self:
        return cls.model_validate(_about(practitioner) | {"next_available_at": next_available_at})


def _about(practitioner: Practitioner) -> dict[str, object]:
    fields = set(PractitionerRead.model_fields) - {"address", "physician"}
    return {name: getattr(practitioner, name) for name in fields} | {
        "physician": practitioner.profession == "physician",
        "address": AddressRead(
            street=practitioner.street, postal_code=practitioner.postal_code, city=practitioner.city
        ),
    }


class PractitionerPage(Out):
    items: list[PractitionerFound]
    next_cursor: str | None


# Agendas and offers


class RuleIn(In):
    """A weekly window on the practitioner's own clock; `to_time` at or before `from_time`: next day."""

    weekday: Weekday
    from_time: WallTime
    to_time: WallTime
    slot_minutes: Annotated[int, Field(ge=agenda.SHORTEST_SLOT, le=agenda.LONGEST_SLOT)]
    valid_from: date | None = None
    valid_to: date | None = None
    mode: Mode = Mode.VIDEO

    def rule(self) -> agenda.Rule:
        return agenda.Rule(
            weekday=self.weekday - 1,
            from_time=time.fromisoformat(self.from_time),
            to_time=time.fromisoformat(self.to_time),
            slot_minutes=self.slot_minutes,
            valid_from=self.valid_from,
            valid_to=self.valid_to,
            mode=self.mode,
        )


class ExceptionIn(In):
    """A day or a range of days that differ: closed (all day, or in a window), or open beside the rules."""

    on: date
    last_on: date | None = Field(
        default=None,
        description="The last day of a range, included; a window is one of each day. Null: `on` alone",
    )
    kind: ExceptionKind
    from_time: WallTime | None = None
    to_time: WallTime | None = None
    slot_minutes: Annotated[int, Field(ge=agenda.SHORTEST_SLOT, le=agenda.LONGEST_SLOT)] | None = None
    mode: Mode = Mode.VIDEO

    def exception(self) -> agenda.SpecialDay:
        return agenda.SpecialDay(
            on=self.on,
            last_on=self.last_on,
            kind=self.kind,
            from_time=time.fromisoformat(self.from_time) if self.from_time else None,
            to_time=time.fromisoformat(self.to_time) if self.to_time else None,
            slot_minutes=self.slot_minutes,
            mode=self.mode,
        )


class AgendaWrite(In):
    rules: Annotated[list[RuleIn], Field(max_length=100)]
    exceptions: Annotated[list[ExceptionIn], Field(max_length=400)] = Field(default=[])


class RuleRead(Out):
    weekday: int
    from_time: str
    to_time: str
    slot_minutes: int
    valid_from: date | None
    valid_to: date | None
    mode: Mode


class ExceptionRead(Out):
    on: date
    last_on: date | None
    kind: ExceptionKind
    from_time: str | None
    to_time: str | None
    slot_minutes: int | None
    mode: Mode


class ConflictRead(Out):
    appointment_id: UUID
    status: Status
    starts_at: datetime
    ends_at: datetime

    @classmethod
    def of(cls, visit: Appointment) -> Self:
        return cls(
            appointment_id=visit.id, status=visit.status, starts_at=visit.starts_at, ends_at=visit.ends_at
        )


class ConflictList(Out):
    items: list[ConflictRead]


class CancellationsCreate(In):
    """Visits of one practitioner, to be cancelled together, all or none."""

    appointment_ids: Annotated[list[UUID], Field(min_length=1, max_length=1000)]
    reason: CancelReason


class CancelledVisitRead(Out):
    appointment_id: UUID
    status: Status
    starts_at: datetime
    cancelled_by: Party | None
    end_reason: str | None

    @classmethod
    def of(cls, visit: Appointment) -> Self:
        return cls(
            appointment_id=visit.id,
            status=visit.status,
            starts_at=visit.starts_at,
            cancelled_by=visit.cancelled_by,
            end_reason=visit.end_reason,
        )


class CancelledVisitList(Out):
    items: list[CancelledVisitRead]


class AgendaRead(Out):
    practitioner_id: UUID
    time_zone: str
    rules: list[RuleRead]
    exceptions: list[ExceptionRead]
    conflicts: list[ConflictRead] = Field(
        description="Visits to come that stand in the way: the agenda does not have their time open"
    )

    @classmethod
    def of(
        cls,
        practitioner: Practitioner,
        rules: Sequence[AgendaRule],
        exceptions: Sequence[AgendaException],
        conflicts: Sequence[Appointment],
    ) -> Self:
        return cls(
            practitioner_id=practitioner.id,
            time_zone=practitioner.time_zone,
            rules=[
                RuleRead(
                    weekday=each.weekday + 1,
                    from_time=_wall(each.from_time),
                    to_time=_wall(each.to_time),
                    slot_minutes=each.slot_minutes,
                    valid_from=each.valid_from,
                    valid_to=each.valid_to,
                    mode=each.mode,
                )
                for each in rules
            ],
            exceptions=[
                ExceptionRead(
                    on=each.on,
                    last_on=each.last_on,
                    kind=each.kind,
                    from_time=_wall(each.from_time) if each.from_time is not None else None,
                    to_time=_wall(each.to_time) if each.to_time is not None else None,
                    slot_minutes=each.slot_minutes,
                    mode=each.mode,
                )
                for each in exceptions
            ],
            conflicts=[ConflictRead.of(each) for each in conflicts],
        )


def _wall(at: time) -> str:
    return at.strftime("%H:%M")


class OfferRead(Out):
    id: UUID
    practitioner_id: UUID
    profession: Profession
    specialty: str
    starts_at: datetime
    ends_at: datetime
    mode: Mode

    @classmethod
    def of(cls, offer: Offer) -> Self:
        return cls.model_validate({name: getattr(offer, name) for name in cls.model_fields})


class OfferPage(Out):
    items: list[OfferRead]
    next_cursor: str | None


class NextOffer(Out):
    offer: OfferRead | None


# Patients


class PatientCreate(In):
    relation: Relation
    first_names: PersonName
    birth_name: PersonName
    used_name: PersonName | None = None
    birth_date: BirthDate
    sex: Sex
    address: AddressIn | None = None
    phone: Phone | None = None
    email: Email | None = None

    def identity(self) -> identity.Identity:
        return identity.Identity(
            first_names=self.first_names,
            birth_name=self.birth_name,
            used_name=self.used_name,
            birth_date=self.birth_date,
            sex=self.sex,
            address=identity.Address(**self.address.model_dump()) if self.address else None,
            phone=self.phone,
            email=self.email,
        )


class PatientUpdate(Patch):
    """What is absent stays as it is.

    Null takes away what a patient need not have: `used_name`, `address`, `phone`, `email`. Null is refused
    in every other field.
    """

    first_names: PersonName = unchanged()
    birth_name: PersonName = unchanged()
    used_name: PersonName | None = None
    birth_date: BirthDate = unchanged()
    sex: Sex = unchanged()
    address: AddressIn | None = None
    phone: Phone | None = None
    email: Email | None = None

    def changes(self) -> dict[str, object]:
        given = self.given()
        if self.address is not None:
            given["address"] = identity.Address(**self.address.model_dump())
        return given


class PatientRead(Out):
    id: UUID
    relation: Relation | None = Field(description="To the account that asks; none for a practitioner")
    first_names: str
    birth_name: str
    used_name: str | None
    birth_date: date
    sex: Sex
    address: AddressRead | None
    phone: str | None
    email: str | None

    @classmethod
    def of(cls, patient_id: UUID, who: identity.Identity, link: Link | None) -> Self:
        return cls(
            id=patient_id,
            relation=Relation(link.relation) if link else None,
            first_names=who.first_names,
            birth_name=who.birth_name,
            used_name=who.used_name,
            birth_date=who.birth_date,
            sex=who.sex,
            address=_address(who.address),
            phone=who.phone,
            email=who.email,
        )


def _address(address: identity.Address | None) -> AddressRead | None:
    if address is None:
        return None
    return AddressRead(street=address.street, postal_code=address.postal_code, city=address.city)


class PatientList(Out):
    items: list[PatientRead]


class ConsentCreate(In):
    text_version: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,32}$")]
    channel: Literal["app", "web", "phone", "in-person"]


class ConsentRead(Out):
    id: UUID
    patient_id: UUID
    text_version: str
    channel: Literal["app", "web", "phone", "in-person"]
    given_at: datetime

    @classmethod
    def of(cls, consent: Consent) -> Self:
        return cls.model_validate({name: getattr(consent, name) for name in cls.model_fields})


class ConsentList(Out):
    items: list[ConsentRead]


# Reasons


class ReasonRead(Out):
    code: str
    label_fr: str
    label_en: str
    red_flag: bool

    @classmethod
    def of(cls, reason: Reason) -> Self:
        return cls(
            code=reason.code, label_fr=reason.label_fr, label_en=reason.label_en, red_flag=reason.red_flag
        )


class EmergencyNumberRead(Out):
    number: str
    label_fr: str
    label_en: str
    confidence: str


class ReasonList(Out):
    items: list[ReasonRead]
    emergency_numbers: list[EmergencyNumberRead]


# Appointments


class AppointmentCreate(In):
    offer_id: UUID
    patient_id: UUID
    reason_code: Code
    preview_id: UUID | None = None
    pathway: PathwayAnswer = "unanswered"
    territory: TerritoryAnswer = "unanswered"
    exemption_related: ExemptionRelated = False
    special_demand: bool = Field(
        default=False,
        description="The patient asks for something special, such as an unusual time: sector 1 may then"
        " charge more than the tariff (DE)",
    )
    seen_in_person: bool | None = Field(
        default=None,
        description="The practitioner has seen the patient in person in the last 12 months; null: not asked",
    )

    def wanted(self, account_id: UUID) -> Wanted:
        return Wanted(
            offer_id=self.offer_id,
            patient_id=self.patient_id,
            account_id=account_id,
            reason_code=self.reason_code,
            preview_id=self.preview_id,
            pathway=self.pathway,
            territory=self.territory,
            exemption_related=self.exemption_related,
            special_demand=self.special_demand,
            seen_in_person=self.seen_in_person,
        )


class MoveCreate(In):
    offer_id: UUID


class ActIn(In):
    code: ActCode


class CompletionCreate(In):
    """What was done, at what fee. Without acts the pricing rules code the consultation."""

    acts: Annotated[list[ActIn], Field(max_length=10)]
    currency: Currency = "EUR"
    fee_cents: FeeCents
    overrun_qualifier: OverrunQualifier | None = Field(
        default=None, description="None: as the appointment was requested"
    )
    outcome: Outcome
    exemption_related: ExemptionRelated
    pathway: PathwayAnswer | None = Field(
        default=None, description="None: as the patient said at the booking"
    )
    seen_in_person: bool | None = Field(
        default=None, description="In the last 12 months. None: as the patient said at the booking"
    )

    def word(self) -> CompletionReport:
        return CompletionReport(
            acts=[act.code for act in self.acts],
            fee_cents=Cents(self.fee_cents),
            overrun_qualifier=self.overrun_qualifier,
            outcome=self.outcome,
            exemption_related=self.exemption_related,
            pathway=self.pathway,
            seen_in_person=self.seen_in_person,
        )


class FactRead(Out):
    """A fact of an appointment; also the data of each server-sent event."""

    id: int = Field(description="The Last-Event-ID of the stream of events")
    fact: str
    sequence: int | None = Field(description="The number of a fact of booking; null: of another service")
    about_id: UUID | None = Field(
        description="The document, hold, leg, refund or balance that it is about; null: the appointment"
    )
    at: datetime

    @classmethod
    def of(cls, row: HistoryRow) -> Self:
        return cls(id=row.id, fact=row.fact, sequence=row.sequence, about_id=row.about_id, at=row.at)


class ActionRead(Out):
    """What the patient must do before the appointment can be confirmed or kept; payment says how."""

    kind: Literal["three-d-secure", "card-missing", "price-above-preview"]
    expires_at: datetime


class AppointmentRead(Out):
    id: UUID
    status: Status
    schedule_no: int
    starts_at: datetime
    ends_at: datetime
    decide_by: datetime
    requested_at: datetime
    free_cancellation_until: datetime
    practitioner_id: UUID
    patient_id: UUID
    account_id: UUID
    profession: Profession
    specialty: str
    currency: Currency
    fee_cents: int = Field(description="As agreed at the booking; after the consultation, as completed")
    pathway: PathwayAnswer
    territory: TerritoryAnswer
    reason_code: str | None = Field(description="None where the caller may not read it, and in lists")
    started_at: datetime | None
    ended_at: datetime | None
    end_reason: str | None
    cancelled_by: Party | None
    free_cancellation: bool | None
    outcome: Outcome | None
    progress: list[FactRead] = Field(description="The newest facts, oldest first")
    action: ActionRead | None

    @classmethod
    def new(cls, requested: Requested, *, reason_code: str) -> Self:
        """What `of` says of an appointment that was written a moment ago, without reading it."""
        fields = requested.fields
        return cls.model_validate(
            {
                **_NOTHING_YET,
                **fields,
                "free_cancellation_until": fields["starts_at"] - POLICY.free_until,
                "reason_code": reason_code,
                "progress": [
                    FactRead(
                        id=requested.history_id,
                        fact=requested.fact,
                        sequence=1,
                        about_id=None,
                        at=fields["requested_at"],
                    )
                ],
            }
        )

    @classmethod
    def of(
        cls, appointment: Appointment, *, progress: Sequence[HistoryRow], reason_code: str | None = None
    ) -> Self:
        plain = set(cls.model_fields) - {
            "free_cancellation_until",
            "fee_cents",
            "reason_code",
            "progress",
            "action",
        }
        return cls.model_validate(
            {name: getattr(appointment, name) for name in plain}
            | {
                "free_cancellation_until": appointment.starts_at - POLICY.free_until,
                "fee_cents": appointment.completed_fee_cents or appointment.fee_cents,
                "reason_code": reason_code,
                "progress": [FactRead.of(row) for row in progress],
                "action": _action(appointment),
            }
        )


_NOTHING_YET: Final[dict[str, object]] = dict.fromkeys(
    (
        "started_at",
        "ended_at",
        "end_reason",
        "cancelled_by",
        "free_cancellation",
        "outcome",
        "action",
    )
)


def _action(appointment: Appointment) -> dict[str, object] | None:
    if appointment.action is None or appointment.status in FINAL:
        return None
    return {"kind": appointment.action, "expires_at": appointment.action_expires_at}


class AppointmentPage(Out):
    items: list[AppointmentRead]
    next_cursor: str | None


# Between services


class RightsAnswer(Out):
    allowed: bool


class PatientIdentity(Out):
    id: UUID
    first_names: str
    birth_name: str
    used_name: str | None
    birth_date: date
    sex: Sex
    address: AddressRead | None
    phone: str | None
    email: str | None


class PractitionerIdentity(PractitionerRead):
    billing_number: str | None


class AppointmentIdentity(Out):
    """Who meets whom: for what another service prints. Every reading of it stands in the access log."""

    appointment_id: UUID
    status: Status
    starts_at: datetime
    ends_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    patient: PatientIdentity
    practitioner: PractitionerIdentity
    reason: ReasonRead | None

    @classmethod
    def of(
        cls,
        appointment: Appointment,
        practitioner: Practitioner,
        who: identity.Identity,
        reason: Reason | None,
    ) -> Self:
        return cls(
            appointment_id=appointment.id,
            status=appointment.status,
            starts_at=appointment.starts_at,
            ends_at=appointment.ends_at,
            started_at=appointment.started_at,
            ended_at=appointment.ended_at,
            patient=PatientIdentity(
                **PatientRead.of(appointment.patient_id, who, None).model_dump(exclude={"relation"})
            ),
            practitioner=PractitionerIdentity.model_validate(
                _about(practitioner) | {"billing_number": practitioner.billing_number}
            ),
            reason=ReasonRead.of(reason) if reason else None,
        )
