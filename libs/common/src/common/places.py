"""The clock of the place where a practitioner works: it says on which day care is given."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from types import MappingProxyType
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

# The time of each tariff zone, for a practitioner of whom no other is known.
TIME_ZONES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "metropole": "Europe/Paris",
        "guadeloupe": "America/Guadeloupe",
        "martinique": "America/Martinique",
        "guyane": "America/Cayenne",
        "reunion": "Indian/Reunion",
        "mayotte": "Indian/Mayotte",
    }
)
_EASTERNMOST: Final = timedelta(hours=14)  # the largest offset of any zone


def clock_of(time_zone: str | None, *, zone: str) -> ZoneInfo:
    """The practitioner's own time zone; where none is given, or an unknown one, the tariff zone's."""
    try:
        return ZoneInfo(time_zone or TIME_ZONES[zone])
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo(TIME_ZONES[zone])


def latest_day(instant: datetime) -> date:
    """The day that has begun by then where a day begins first: no date of the past is after it."""
    return (instant.astimezone(UTC) + _EASTERNMOST).date()
