from datetime import timedelta
from itertools import product

import pytest

from booking.domain.lifecycle import (
    BUSY,
    FINAL,
    LIVE,
    DocumentIssued,
    Move,
    MoveRefused,
    Status,
    TooEarly,
    TooLate,
    after,
    check_absence,
    check_failure,
    check_start,
)
from booking.models import BUSY_SQL, LIVE_SQL
from support.records import NOW

ALLOWED = {
    (Status.REQUESTED, Move.CONFIRM): Status.CONFIRMED,
    (Status.REQUESTED, Move.ABANDON): Status.ABANDONED,
    (Status.REQUESTED, Move.CANCEL): Status.CANCELLED,
    (Status.CONFIRMED, Move.ABANDON): Status.ABANDONED,
    (Status.CONFIRMED, Move.CANCEL): Status.CANCELLED,
    (Status.CONFIRMED, Move.RESCHEDULE): Status.CONFIRMED,
    (Status.CONFIRMED, Move.START): Status.STARTED,
    (Status.CONFIRMED, Move.DECLARE_UNSUITABLE): Status.NOT_BILLED,
    (Status.CONFIRMED, Move.REPORT_PRACTITIONER_ABSENT): Status.NOT_BILLED,
    (Status.CONFIRMED, Move.REPORT_TECHNICAL_FAILURE): Status.NOT_BILLED,
    (Status.CONFIRMED, Move.REPORT_PATIENT_ABSENT): Status.PATIENT_ABSENT,
    (Status.STARTED, Move.COMPLETE): Status.COMPLETED,
    (Status.STARTED, Move.DECLARE_UNSUITABLE): Status.NOT_BILLED,
    (Status.STARTED, Move.REPORT_TECHNICAL_FAILURE): Status.NOT_BILLED,
    (Status.STARTED, Move.REPORT_PATIENT_ABSENT): Status.PATIENT_ABSENT,
}


@pytest.mark.parametrize(("status", "move"), list(product(Status, Move)))
def test_every_pair_is_decided(status: Status, move: Move) -> None:
    if (status, move) in ALLOWED:
        assert after(status, move) is ALLOWED[status, move]
    else:
        with pytest.raises(MoveRefused):
            after(status, move)


def test_nothing_moves_out_of_a_final_status() -> None:
    assert {status for status in Status if not any(start is status for start, _ in ALLOWED)} == FINAL


@pytest.mark.parametrize(("statuses", "sql"), [(LIVE, LIVE_SQL), (BUSY, BUSY_SQL)])
def test_the_constraints_and_the_domain_name_the_same_statuses(statuses, sql) -> None:
    assert "status IN ({})".format(", ".join(f"'{each}'" for each in Status if each in statuses)) == sql


def test_a_consultation_opens_fifteen_minutes_before_its_time_and_not_earlier() -> None:
    check_start(starts_at=NOW + timedelta(minutes=15), now=NOW)

    with pytest.raises(TooEarly):
        check_start(starts_at=NOW + timedelta(minutes=15, seconds=1), now=NOW)


def test_nobody_is_absent_before_ten_minutes_after_the_time() -> None:
    check_absence(starts_at=NOW - timedelta(minutes=10), now=NOW)

    for passed in (timedelta(seconds=2), timedelta(minutes=10) - timedelta(microseconds=1)):
        with pytest.raises(TooEarly):
            check_absence(starts_at=NOW - passed, now=NOW)


def test_others_report_a_failure_until_ten_minutes_after_the_start_and_before_a_document() -> None:
    early, late = NOW - timedelta(minutes=10, microseconds=-1), NOW - timedelta(minutes=10)
    check_failure(started_at=None, document_issued=False, now=NOW)
    check_failure(started_at=early, document_issued=False, now=NOW)

    with pytest.raises(TooLate):
        check_failure(started_at=late, document_issued=False, now=NOW)
    with pytest.raises(DocumentIssued):
        check_failure(started_at=early, document_issued=True, now=NOW)
