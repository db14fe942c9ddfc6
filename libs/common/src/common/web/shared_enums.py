"""The closed enums that several services share, by the names that they have in the OpenAPI documents."""

from collections.abc import Mapping, Sequence
from typing import Final, get_args

from common.events.base import (
    AgeGroup,
    AppointmentFact,
    PathwayAnswer,
    Profession,
    Sector,
    TerritoryAnswer,
    ThirdPartyPayment,
    Zone,
)
from common.events.booking import Outcome, OverrunQualifier
from common.events.catalogue import CATALOGUE

SHARED: Final[Mapping[str, Sequence[str]]] = {
    "AgeGroup": get_args(AgeGroup),
    "ConsultationOutcome": get_args(Outcome),
    "OverrunQualifier": get_args(OverrunQualifier),
    "PathwayAnswer": get_args(PathwayAnswer),
    "PractitionerProfession": get_args(Profession),
    "ConventionSector": get_args(Sector),
    "TariffZone": get_args(Zone),
    "TerritoryAnswer": get_args(TerritoryAnswer),
    "ThirdPartyPayment": get_args(ThirdPartyPayment),
}


def facts() -> Sequence[str]:
    """The types of all events about an appointment, as histories name them."""
    return sorted({kind for (kind, _), event in CATALOGUE.items() if issubclass(event, AppointmentFact)})
