"""What the rules of care ask about an age; the date of birth itself never leaves the service."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Final
from zoneinfo import ZoneInfo

LEGAL_ZONE: Final = ZoneInfo("Europe/Paris")  # of the days on which a rule of ours begins or ends
_PATHWAY_AGE: Final = 16
_MAJORITY: Final = 18
# The first age of each group after the first one, and the group that begins there.
_FIRST_GROUP: Final = "under-3"
_GROUPS: Final = ((3, "3-to-5"), (6, "6-to-15"), (16, "16-to-25"), (26, "26-to-79"), (80, "80-or-more"))


@dataclass(frozen=True, slots=True)
class Ages:
    under_16: bool  # on the day of care
    minor_on_1_january: bool  # of the year of care
    group: str  # AgeGroup of the events, on the day of care


def ages(born_on: date, *, starts_at: datetime, clock: ZoneInfo) -> Ages:
    """On the day of care by the clock of the place where the practitioner works.

    A person born on 29 February has their birthday on 1 March in common years.
    """
    care_on = starts_at.astimezone(clock).date()
    age = _age(born_on, care_on)
    return Ages(
        under_16=age < _PATHWAY_AGE,
        minor_on_1_january=_age(born_on, date(care_on.year, 1, 1)) < _MAJORITY,
        group=next((group for first, group in reversed(_GROUPS) if age >= first), _FIRST_GROUP),
    )


def _age(born_on: date, on: date) -> int:
    return on.year - born_on.year - ((on.month, on.day) < (born_on.month, born_on.day))
