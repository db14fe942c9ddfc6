"""The topics: what keys them, who writes and reads them, how long they are kept."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal

Service = Literal["booking", "claims", "payment", "documents"]
SERVICES: Final[tuple[Service, ...]] = ("booking", "claims", "payment", "documents")

PARTITIONS: Final = 12  # never changed in place: a key must stay on its partition


@dataclass(frozen=True, slots=True)
class Topic:
    name: str
    owner: Service  # its only producer
    key: Literal["appointment", "practitioner", "patient"]
    holds: Literal["facts", "state"]
    readers: tuple[Service, ...]
    about: str
    partitions: int = PARTITIONS
    retention: timedelta = timedelta(days=30)
    compacted: bool = False  # a topic of facts never is: each of them counts

    def __post_init__(self) -> None:
        if self.compacted and self.holds == "facts":
            raise ValueError(f"{self.name} carries facts and cannot be compacted")


_TOPICS: Final = (
    Topic(
        "booking.appointment",
        owner="booking",
        key="appointment",
        holds="facts",
        readers=("claims", "payment", "documents"),
        about="The life of an appointment, from the request to the end of the consultation.",
    ),
    Topic(
        "booking.practitioner",
        owner="booking",
        key="practitioner",
        holds="state",
        readers=("claims", "payment", "documents"),
        about="What is public about a practitioner.",
    ),
    Topic(
        "booking.patient",
        owner="booking",
        key="patient",
        holds="state",
        readers=("claims", "payment", "documents"),
        about="Which account may act for which patient, and who was erased.",
    ),
    Topic(
        "claims.appointment",
        owner="claims",
        key="appointment",
        holds="facts",
        readers=("booking", "payment", "documents"),
        about="Who pays what for an appointment, and how the payers answer.",
    ),
    Topic(
        "payment.appointment",
        owner="payment",
        key="appointment",
        holds="facts",
        readers=("booking", "claims", "documents"),
        about="What is held on a card for an appointment, captured, released and refunded.",
    ),
    Topic(
        "documents.appointment",
        owner="documents",
        key="appointment",
        holds="facts",
        readers=("booking",),
        about="The documents of a consultation.",
    ),
)

TOPICS: Final[Mapping[str, Topic]] = {topic.name: topic for topic in _TOPICS}


def topics_read_by(service: str) -> tuple[Topic, ...]:
    return tuple(topic for topic in _TOPICS if service in topic.readers)


def topics_of(service: str) -> tuple[Topic, ...]:
    return tuple(topic for topic in _TOPICS if topic.owner == service)
