"""Events the booking service publishes."""

from typing import Annotated, ClassVar, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from common.events.base import (
    ActCode,
    AgeGroup,
    AppointmentFact,
    Currency,
    Event,
    NonNegativeCents,
    PathwayAnswer,
    PositiveCents,
    Profession,
    Sector,
    SpecialtyCode,
    TerritoryAnswer,
    ThirdPartyPayment,
    TimeZoneName,
    Zone,
)

AbandonReason = Literal[
    "decide-by-passed", "hold-failed", "hold-expired", "price-refused", "taken-over", "action-refused"
]
# Why a practitioner's visits are cancelled together.
CancelReason = Literal["practitioner-unavailable", "practitioner-left", "agenda-changed"]
Party = Literal["patient", "practitioner", "platform"]
NotBilledReason = Literal["unsuitable", "practitioner-absent", "technical-failure"]
Outcome = Literal["advice-given", "treated", "redirected-in-person", "referred-to-specialist"]
OverrunQualifier = Literal["DE", "DP"]


class BookingFact(AppointmentFact):
    topic: ClassVar[str] = "booking.appointment"

    patient_id: UUID
    account_id: UUID  # who pays
    practitioner_id: UUID
    schedule_no: int = Field(ge=1)  # raised by a move: what names an older one is ignored
    starts_at: AwareDatetime
    ends_at: AwareDatetime


class AppointmentRequestedV1(BookingFact):
    """A time is claimed; it stays so until `decide_by` unless a hold is placed or waived before."""

    type: ClassVar[str] = "booking.appointment-requested"
    version: ClassVar[int] = 1

    decide_by: AwareDatetime
    biller_id: UUID
    preview_id: UUID | None
    profession: Profession
    specialty: SpecialtyCode
    sector: Sector
    zone: Zone
    agreed_company: bool
    third_party_payment: ThirdPartyPayment
    currency: Currency
    fee_cents: PositiveCents
    pathway: PathwayAnswer
    territory: TerritoryAnswer
    exemption_related: bool
    under_16: bool  # at the start
    minor_on_1_january: bool
    age_group: AgeGroup | None = None  # None: as before there were groups
    overrun_qualifier: OverrunQualifier | None = None  # what is known of it before the visit
    seen_in_person: bool | None = None  # in the last 12 months; None: nobody was asked
    time_zone: TimeZoneName | None = None  # where the practitioner works; None: that of the tariff zone


class AppointmentConfirmedV1(BookingFact):
    type: ClassVar[str] = "booking.appointment-confirmed"
    version: ClassVar[int] = 1


class AppointmentAbandonedV1(BookingFact):
    """The time is free again and nobody came to a decision about it."""

    type: ClassVar[str] = "booking.appointment-abandoned"
    version: ClassVar[int] = 1

    reason: AbandonReason


class AppointmentCancelledV1(BookingFact):
    type: ClassVar[str] = "booking.appointment-cancelled"
    version: ClassVar[int] = 1

    cancelled_by: Party
    cancelled_at: AwareDatetime
    reason: CancelReason | None = None  # None: nobody was asked


class AppointmentMovedV1(BookingFact):
    """The appointment has another time; `schedule_no` is the new one."""

    type: ClassVar[str] = "booking.appointment-moved"
    version: ClassVar[int] = 1

    decide_by: AwareDatetime
    # At the new time; None: as they were, or not known.
    under_16: bool | None = None
    minor_on_1_january: bool | None = None
    age_group: AgeGroup | None = None
    time_zone: TimeZoneName | None = None  # where the practitioner works; None: as it was
    # The time that was given up, by whom and when, as a cancellation says it. None: not known.
    moved_from: AwareDatetime | None = None
    moved_by: Party | None = None
    moved_at: AwareDatetime | None = None


class ConsultationStartedV1(BookingFact):
    type: ClassVar[str] = "booking.consultation-started"
    version: ClassVar[int] = 1

    started_at: AwareDatetime


class CodedAct(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    code: ActCode


class ConsultationCompletedV1(BookingFact):
    """The practitioner's word: what was done, at what fee. The final price rests on it."""

    type: ClassVar[str] = "booking.consultation-completed"
    version: ClassVar[int] = 1

    completed_at: AwareDatetime
    biller_id: UUID
    profession: Profession
    specialty: SpecialtyCode
    sector: Sector
    zone: Zone
    agreed_company: bool
    third_party_payment: ThirdPartyPayment
    acts: Annotated[list[CodedAct], Field(max_length=10)]
    currency: Currency
    fee_cents: PositiveCents
    overrun_qualifier: OverrunQualifier | None
    outcome: Outcome
    pathway: PathwayAnswer
    territory: TerritoryAnswer
    exemption_related: bool
    under_16: bool
    minor_on_1_january: bool
    age_group: AgeGroup | None = None
    seen_in_person: bool | None = None
    time_zone: TimeZoneName | None = None  # where the practitioner works; None: that of the tariff zone


class ConsultationNotBilledV1(BookingFact):
    type: ClassVar[str] = "booking.consultation-not-billed"
    version: ClassVar[int] = 1

    reason: NotBilledReason


class PatientAbsentV1(BookingFact):
    type: ClassVar[str] = "booking.patient-absent"
    version: ClassVar[int] = 1


class PractitionerFact(Event):
    topic: ClassVar[str] = "booking.practitioner"

    practitioner_id: UUID

    def key(self) -> str:
        return str(self.practitioner_id)


class PractitionerPublishedV1(PractitionerFact):
    """What is public about a practitioner; the newest one replaces those before it."""

    type: ClassVar[str] = "booking.practitioner-published"
    version: ClassVar[int] = 1

    rpps: Annotated[str, Field(pattern=r"^[0-9]{11}$")]
    biller_id: UUID
    profession: Profession
    specialty: SpecialtyCode
    sector: Sector
    zone: Zone
    agreed_company: bool
    third_party_payment: ThirdPartyPayment
    currency: Currency
    fee_cents: NonNegativeCents
    permanent_overrun: bool = False  # the permanent right (DP) to charge above the tariff in sector 1
    time_zone: TimeZoneName | None = None  # None: that of the tariff zone


class PractitionerWithdrawnV1(PractitionerFact):
    type: ClassVar[str] = "booking.practitioner-withdrawn"
    version: ClassVar[int] = 1


class PatientFact(Event):
    topic: ClassVar[str] = "booking.patient"

    patient_id: UUID

    def key(self) -> str:
        return str(self.patient_id)


class PatientLinkedV1(PatientFact):
    """An account may act for this patient from now on."""

    type: ClassVar[str] = "booking.patient-linked"
    version: ClassVar[int] = 1

    account_id: UUID


class PatientUnlinkedV1(PatientFact):
    type: ClassVar[str] = "booking.patient-unlinked"
    version: ClassVar[int] = 1

    account_id: UUID


class PatientErasedV1(PatientFact):
    """Whoever keeps data of this patient destroys its keys, but for what the law keeps."""

    type: ClassVar[str] = "booking.patient-erased"
    version: ClassVar[int] = 1
