"""A record as the loop hands it over, and the ways it can end."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


@dataclass(frozen=True, slots=True)
class Record:
    topic: str
    key: str
    origin: str  # cluster, partition and offset
    headers: Mapping[str, str]
    body: bytes


class Ending(StrEnum):
    APPLIED = "applied"
    IGNORED = "ignored"
    WAITING = "waiting"
    REJECTED = "rejected"
    PARKED = "parked"
    DUPLICATE = "duplicate"


@dataclass(frozen=True, slots=True)
class Outcome:
    """In every ending the offset moves on; `code` is counted, so it comes from a short list."""

    ending: Ending
    code: str = ""


APPLIED: Final = Outcome(Ending.APPLIED)
DUPLICATE: Final = Outcome(Ending.DUPLICATE)
PARKED: Final = Outcome(Ending.PARKED)


def ignored(reason: str) -> Outcome:
    """The state has moved on: expected, nothing to repair."""
    return Outcome(Ending.IGNORED, reason)


def waiting(predecessor: str) -> Outcome:
    """A fact from another topic must come first; this one is stored as a mark that the other will find."""
    return Outcome(Ending.WAITING, predecessor)


class RecordRejected(Exception):
    """Raised for a record that can never be applied: it becomes a dead letter and its key is parked."""


class PartitionStopped(Exception):
    """Raised for a known type in a version this release cannot read: only a newer release helps."""
