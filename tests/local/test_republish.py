"""A new broker is given no more of a topic at once than a partition of it can hold."""

from local.republish import UNREAD, Archived, _portion


def archived(topic: str, count: int) -> list[Archived]:
    return [Archived(topic, "one-key", number, {}, b"") for number in range(1, count + 1)]


def test_a_portion_holds_at_most_what_one_partition_may() -> None:
    left = [*archived("booking.appointment", UNREAD + 5), *archived("claims.appointment", 3)]

    portion = _portion(left)

    assert [each.sequence for each in portion if each.topic == "booking.appointment"] == list(
        range(1, UNREAD + 1)
    )
    assert len(portion) == UNREAD + 3


def test_what_fits_is_sent_at_once_and_in_its_order() -> None:
    left = archived("booking.appointment", 10)

    assert _portion(left) == left
