from datetime import timedelta

import pytest

from booking.domain.cancellation import Cancellation, Party, judge
from booking.domain.lifecycle import TooLate
from support.records import NOW

FREE = Cancellation(free=True, strike=False)
LATE = Cancellation(free=False, strike=True)


@pytest.mark.parametrize(
    ("ahead", "expected"),
    [
        (timedelta(days=3), FREE),
        (timedelta(hours=2), FREE),
        (timedelta(hours=2) - timedelta(microseconds=1), LATE),
        (timedelta(microseconds=1), LATE),
    ],
)
def test_a_patient_cancels_freely_until_exactly_two_hours_before(ahead, expected) -> None:
    assert judge(Party.PATIENT, starts_at=NOW + ahead, now=NOW) == expected


def test_a_patient_cannot_cancel_once_the_time_has_come() -> None:
    with pytest.raises(TooLate):
        judge(Party.PATIENT, starts_at=NOW, now=NOW)


@pytest.mark.parametrize("party", [Party.PRACTITIONER, Party.PLATFORM])
def test_nobody_else_gets_a_strike(party) -> None:
    assert judge(party, starts_at=NOW, now=NOW + timedelta(minutes=5)) == FREE
