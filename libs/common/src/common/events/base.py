"""The base classes of every event, and the coded words that several of them share."""

from typing import Annotated, ClassVar, Final, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from common.money import Cents

Currency = Literal["EUR"]
NonNegativeCents = Annotated[Cents, Field(ge=0)]
PositiveCents = Annotated[Cents, Field(gt=0)]

Profession = Literal[
    "physician",
    "psychologist",
    "osteopath",
    "dietician",
    "dentist",
    "midwife",
    "physiotherapist",
    "speech-therapist",
    "nurse",
]
# Two digits of the national list of specialties for a physician (IR_SPE); "00" for every other profession.
SpecialtyCode = Annotated[str, Field(pattern=r"^[0-9]{2}$")]
# Those of physicians whose care has a price here: the codes of `specialties.csv` of claims.
_WITH_PRICES: Final = (
    1,
    3,
    5,
    7,
    8,
    *range(11, 19),
    22,
    23,
    32,
    33,
    34,
    42,
    44,
    45,
    46,
    69,
    70,
    75,
    77,
    79,
    85,
)
PRICED_SPECIALTIES: Final = frozenset(f"{number:02d}" for number in _WITH_PRICES)
Sector = Literal["s1", "optam", "s2", "none"]
ThirdPartyPayment = Literal["none", "amo", "full"]
Zone = Literal["metropole", "guadeloupe", "martinique", "guyane", "reunion", "mayotte"]
TimeZoneName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_+/-]{1,64}$")]  # of the IANA database
PathwayAnswer = Literal[
    "regular-doctor",
    "referred",
    "locum",
    "sas",
    "emergency",
    "away",
    "organisation",
    "institution",
    "exception",
    "none",
    "unanswered",
]
# In whole years on the day of care where the practitioner works, no finer than the rules of claims ask.
AgeGroup = Literal["under-3", "3-to-5", "6-to-15", "16-to-25", "26-to-79", "80-or-more"]
TerritoryAnswer = Literal["near", "organisation", "priority-zone", "far", "unanswered"]
PathwayIndicator = Literal["T", "N", "O", "D", "U", "H", "R", "S", "A", "B", "J"]
SheetMode = Literal["TP", "TP+RECEIPT", "FSE", "PAPER", "INVOICE"]
ActCode = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9]{0,4}$")]
PayerKind = Literal["amo", "amc"]


class Event(BaseModel):
    """A fact other services rely on. A released version only ever gains optional fields."""

    # strict: neither 19.0 nor "19" is an amount of cents
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    topic: ClassVar[str]
    type: ClassVar[str]
    version: ClassVar[int]

    def key(self) -> str:
        """Events with one key and topic are numbered without a gap and read in that order."""
        raise NotImplementedError

    def upgrade(self) -> "Event":
        """The same fact in the next version. A version with a newer one beside it has this of its own."""
        raise NotImplementedError

    @classmethod
    def dataschema(cls) -> str:
        return f"urn:event:{cls.type}:v{cls.version}"


_THINGS = ("document_id", "leg_id", "balance_id", "refund_id", "hold_id")  # the most specific first


def thing_of(event: object) -> UUID | None:
    """The id of the thing that an event is about, besides its appointment; None: the appointment itself."""
    ids = (getattr(event, name, None) for name in _THINGS)
    return next((each for each in ids if each is not None), None)


class AppointmentFact(Event):
    """What a `<service>.appointment` topic carries: the key is the appointment."""

    appointment_id: UUID

    def key(self) -> str:
        return str(self.appointment_id)


class Priced(BaseModel):
    """The amounts of a price, in cents; the identity at the counter holds over them."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    currency: Currency
    fee_cents: NonNegativeCents
    base_cents: NonNegativeCents
    amo_cents: NonNegativeCents  # before the flat contribution
    amc_cents: NonNegativeCents  # all that the complementary insurer pays, to whomever
    sponsor_cents: NonNegativeCents
    advance_cents: NonNegativeCents  # what the patient's card is asked for
    deferred_deductions_cents: NonNegativeCents  # kept back by the fund later; never on the card
    amo_claim_cents: NonNegativeCents
    amc_claim_cents: NonNegativeCents
    sheet_mode: SheetMode
    table_version: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
