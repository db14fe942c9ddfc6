"""The age groups that booking tells, and a birth date that stands in for one nobody gave."""

from datetime import MINYEAR, date
from types import MappingProxyType
from typing import Final

# First and last age of each group, in whole years on the care date. Whatever age a table asks for is an edge.
AGE_GROUPS: Final = MappingProxyType(
    {
        "under-3": (0, 2),
        "3-to-5": (3, 5),
        "6-to-15": (6, 15),
        "16-to-25": (16, 25),
        "26-to-79": (26, 79),
        "80-or-more": (80, None),
    }
)
PATHWAY_AGE: Final = 16  # what the flag `under_16` asks, on the care date
MAJORITY: Final = 18  # what the flag `minor_on_1_january` asks

# An age on 1 January of the year of care, inside its group all that year.
_YEARS: Final = MappingProxyType(
    {"under-3": 1, "3-to-5": 4, "6-to-15": 10, "16-to-25": 20, "26-to-79": 40, "80-or-more": 90}
)
_MINOR_YEARS: Final = 17


def contradicted(age_group: str, *, under_16: bool | None, minor_on_1_january: bool | None) -> str | None:
    """The flag that nobody of this group can have so, if there is one. A flag of None was not given."""
    first, last = AGE_GROUPS[age_group]
    if under_16 is not None and under_16 is (first >= PATHWAY_AGE):
        return "under_16"
    # On 1 January one is as old as on the care date, or a year younger.
    always_minor = last is not None and last < MAJORITY
    never_minor = first > MAJORITY
    if (minor_on_1_january is True and never_minor) or (minor_on_1_january is False and always_minor):
        return "minor_on_1_january"
    return None


def stand_in_birth(*, age_group: str | None, under_16: bool, minor_on_1_january: bool, care_on: date) -> date:
    """A birth date of this group that gives the same answers to the two flags: no rule asks more of an age.

    Older events have no group: then the flags decide, and whatever else rests on the age is guessed.
    """
    if age_group is None and under_16:
        age_group = "6-to-15"
    elif age_group is None:
        age_group = "16-to-25" if minor_on_1_january else "26-to-79"
    still_minor = minor_on_1_january and age_group == "16-to-25"
    years = _MINOR_YEARS if still_minor else _YEARS[age_group]
    return date(max(care_on.year - years, MINYEAR), 1, 1)  # no tariff is that old, but a refusal is due
