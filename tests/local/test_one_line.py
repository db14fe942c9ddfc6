"""What went wrong is one line, however deep in the running platform it was raised."""

import pytest

from local.__main__ import _said_by
from local.errors import LocalError
from local.journeys.api import JourneyFailed


def wrapped(error: Exception) -> ExceptionGroup:
    return ExceptionGroup("a group", [ExceptionGroup("in a group", [error])])


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (LocalError("port 8080 is in use"), "port 8080 is in use"),
        (wrapped(LocalError("the disk is full")), "the disk is full"),
        (wrapped(JourneyFailed("waited for 3-D Secure")), "waited for 3-D Secure"),
        (OSError(28, "No space left on device"), "No space left on device"),
        (wrapped(KeyError("a bug")), None),
        (ExceptionGroup("two", [LocalError("one"), LocalError("other")]), None),
    ],
)
def test_what_a_person_can_mend_is_one_line_and_a_bug_keeps_its_stack(
    error: Exception, line: str | None
) -> None:
    assert _said_by(error) == line
