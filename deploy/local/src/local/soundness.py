"""What must hold over all databases of a platform at rest, counted by SQL."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import asyncpg

from local.configuration import SERVICES
from local.republish import missing

_DOUBLE_BOOKINGS: Final = """
    SELECT count(*) FROM appointment AS one JOIN appointment AS other
        ON one.practitioner_id = other.practitioner_id AND one.id < other.id
        AND tstzrange(one.starts_at, one.ends_at) && tstzrange(other.starts_at, other.ends_at)
    WHERE one.status IN ('requested', 'confirmed', 'started', 'completed')
        AND other.status IN ('requested', 'confirmed', 'started', 'completed')
"""
_COMPLETED: Final = "SELECT id FROM appointment WHERE status = 'completed'"
_ENDED: Final = """
    SELECT id FROM appointment
    WHERE status IN ('completed', 'cancelled', 'abandoned', 'not-billed', 'patient-absent')
"""
_HOLDS: Final = """
    SELECT appointment_id, provider_id, status, held_cents, captured_cents, released_cents, refunded_cents
    FROM hold
"""
_PROVIDER: Final = """
    SELECT id, status, authorized_cents, captured_cents, released_cents, refunded_cents
    FROM card_payment WHERE NOT automatic
"""
# What the ledger says the provider owes us, from captures and charges less refunds.
_LEDGER: Final = "SELECT coalesce(sum(amount_cents), 0) FROM ledger_entry WHERE account = 'provider-clearing'"
_PROVIDER_OWES: Final = "SELECT coalesce(sum(captured_cents - refunded_cents), 0) FROM card_payment"
_UNBALANCED: Final = """
    SELECT count(*) FROM (SELECT 1 FROM ledger_entry GROUP BY journal HAVING sum(amount_cents) <> 0) AS wrong
"""


@dataclass(frozen=True, slots=True)
class Counts:
    double_bookings: int
    captures_without_consultation: int
    ledger_difference_cents: int
    live_holds_on_ended_appointments: int
    events_unapplied: int

    @property
    def is_sound(self) -> bool:
        return not any(
            (
                self.double_bookings,
                self.captures_without_consultation,
                self.ledger_difference_cents,
                self.live_holds_on_ended_appointments,
                self.events_unapplied,
            )
        )


async def count(dsns: Mapping[str, str]) -> Counts:
    """`dsns` by service, and that of the simulators' books."""
    booking, payment, provider = [
        await asyncpg.connect(dsns[name]) for name in ("booking", "payment", "simulators")
    ]
    try:
        completed = {row["id"] for row in await booking.fetch(_COMPLETED)}
        ended = {row["id"] for row in await booking.fetch(_ENDED)}
        holds = await payment.fetch(_HOLDS)
        books = {row["id"]: row for row in await provider.fetch(_PROVIDER)}
        difference = abs(await payment.fetchval(_LEDGER) - await provider.fetchval(_PROVIDER_OWES))
        difference += await payment.fetchval(_UNBALANCED)
        difference += sum(_difference(hold, books.pop(hold["provider_id"], None)) for hold in holds)
        # an authorisation that no hold of ours knows of is money nobody will give back
        difference += sum(row["authorized_cents"] - row["released_cents"] for row in books.values())
        return Counts(
            double_bookings=await booking.fetchval(_DOUBLE_BOOKINGS),
            captures_without_consultation=sum(
                hold["captured_cents"] > 0 and hold["appointment_id"] not in completed for hold in holds
            ),
            ledger_difference_cents=difference,
            live_holds_on_ended_appointments=sum(
                hold["status"] in {"pending", "unknown", "action-required", "held"}
                and hold["appointment_id"] in ended
                for hold in holds
            ),
            events_unapplied=await _unapplied(dsns),
        )
    finally:
        for connection in (booking, payment, provider):
            await connection.close()


def _difference(hold: asyncpg.Record, row: asyncpg.Record | None) -> int:
    """Cents by which our row and the provider's disagree."""
    if row is None:
        return abs(int(hold["held_cents"]))
    pairs = (
        (hold["held_cents"], row["authorized_cents"]),
        (hold["captured_cents"], row["captured_cents"]),
        (hold["released_cents"], row["released_cents"]),
        (hold["refunded_cents"], row["refunded_cents"]),
    )
    return sum(abs(int(ours) - int(theirs)) for ours, theirs in pairs)


async def _unapplied(dsns: Mapping[str, str]) -> int:
    """Events in an outbox, and archived ones that some declared reader has not applied, or has parked."""
    waiting = len(await missing(dsns))
    for service in SERVICES:
        connection = await asyncpg.connect(dsns[service])
        try:
            waiting += await connection.fetchval("SELECT count(*) FROM outbox")
            waiting += await connection.fetchval("SELECT count(*) FROM dead_letter")
        finally:
            await connection.close()
    return waiting
