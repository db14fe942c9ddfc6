"""What the rules of care ask about an age; the date of birth itself never leaves the service."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Final
from zoneinfo import ZoneInfo

# The legal day of care is the French one, wherever patient and practitioner are.
LEGAL_ZONE: Final = ZoneInfo("Europe/Paris")
_PATHWAY_AGE: Final = 16
_MAJORITY: Final = 18


@dataclass(frozen=True, slots=True)
class Ages:
    under_16: bool  # on the day of care
    minor_on_1_january: bool  # of the year of care


def ages(born_on: date, *, starts_at: datetime) -> Ages:
    """A person born on 29 February has their birthday on 1 March in common years."""
    care_on = starts_at.astimezone(LEGAL_ZONE).date()
    return Ages(
        under_16=_age(born_on, care_on) < _PATHWAY_AGE,
        minor_on_1_january=_age(born_on, date(care_on.year, 1, 1)) < _MAJORITY,
    )


def _age(born_on: date, on: date) -> int:
    return on.year - born_on.year - ((on.month, on.day) < (born_on.month, born_on.day))
