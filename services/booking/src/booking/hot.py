"""What booking does in one statement on raw asyncpg: the statement decides, a second one explains a no."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

from booking.domain.agenda import LONGEST_SLOT
from booking.models import BUSY_SQL, LIVE_SQL
from common.db import Direct
from common.messaging.tables import OutboxRow

# Rights, consent, terms and an earlier answer under the same key, in one round trip. A patient for whom the
# account may not act reads as if they were not there.
_READ_REQUEST: Final = """
    SELECT true AS locked, i.fingerprint, i.status, i.reference,
           o.starts_at, o.ends_at, o.taken_by,
           p.id AS practitioner_id, p.no AS practitioner_no, p.biller_id, p.profession, p.specialty, p.sector,
           p.zone, p.agreed_company, p.third_party_payment, p.currency, p.fee_cents,
           p.permanent_overrun, p.time_zone, t.id AS patient_id, t.no AS patient_no,
           t.born_on, k.wrapped, k.master_key,
           (SELECT c.id FROM consent AS c
            WHERE c.patient_id = t.id ORDER BY c.given_at DESC LIMIT 1) AS consent_id
    FROM (VALUES (1)) AS one
    LEFT JOIN idempotency AS i ON i.scope = $1
    LEFT JOIN offer AS o ON o.id = $2
    LEFT JOIN practitioner AS p ON p.id = o.practitioner_id AND p.withdrawn_at IS NULL
    LEFT JOIN link AS l ON l.account_id = $3 AND l.patient_id = $4
    LEFT JOIN patient AS t ON t.id = l.patient_id AND t.erased_at IS NULL
    LEFT JOIN data_key AS k ON k.patient_id = t.id AND k.kind = 'erasable'
"""

_COLUMNS: Final = (
    "id",
    "version",
    "status",
    "schedule_no",
    "practitioner_id",
    "practitioner_no",
    "patient_id",
    "patient_no",
    "account_id",
    "starts_at",
    "ends_at",
    "decide_by",
    "requested_at",
    "consent_id",
    "preview_id",
    "reason",
    "pathway",
    "territory",
    "exemption_related",
    "under_16",
    "minor_on_1_january",
    "age_group",
    "overrun_qualifier",
    "seen_in_person",
    "biller_id",
    "profession",
    "specialty",
    "sector",
    "zone",
    "agreed_company",
    "third_party_payment",
    "currency",
    "fee_cents",
    "payment_sequence",
)
_LONGEST: Final = timedelta(minutes=LONGEST_SLOT)
_FIRST: Final = 15  # the parameters before the columns of the appointment


def _column(name: str) -> str:
    return f"${_FIRST + 1 + _COLUMNS.index(name)}"


# An earlier request under the same key that commits between snapshot and lock is not seen here: then the
# primary key of idempotency ends the whole statement.
_CLAIM_TIME: Final = f"""
    WITH alone AS MATERIALIZED (
        SELECT pg_try_advisory_xact_lock($1::bigint) AS locked
    ), claimed AS (
        INSERT INTO appointment ({", ".join(_COLUMNS)})
        SELECT {", ".join(map(_column, _COLUMNS))} FROM alone WHERE locked
        ON CONFLICT DO NOTHING
        RETURNING id
    ), answered AS (
        INSERT INTO idempotency (scope, fingerprint, status, reference, created_at)
        SELECT $2, $3, $4, $5, $6 FROM claimed
    ), published AS (
        INSERT INTO outbox (topic, key, sequence, headers, body)
        SELECT $7, $8, $9, $10, $11 FROM claimed
    ), noted AS (
        INSERT INTO history (appointment_id, sequence, fact, at)
        SELECT claimed.id, $9, $12, $6 FROM claimed
        RETURNING id
    ), timed AS (
        INSERT INTO task (kind, key, due_at, attempt)
        SELECT $13, $8, $14, 0 FROM claimed
    ), taken AS (
        UPDATE offer SET taken_by = claimed.id FROM claimed
        WHERE offer.practitioner_no = {_column("practitioner_no")}
          AND offer.starts_at > {_column("starts_at")} - $15::interval
          AND offer.starts_at < {_column("ends_at")} AND offer.ends_at > {_column("starts_at")}
    )
    SELECT alone.locked, (SELECT noted.id FROM noted) AS history_id FROM alone
"""  # noqa: S608  our own column names

_EXPLAIN_REFUSAL: Final = f"""
    SELECT i.scope IS NOT NULL AS answered,
           EXISTS (
               SELECT FROM appointment AS a
               WHERE a.status = 'requested' AND a.decide_by <= $5
                 AND int4range(a.practitioner_no, a.practitioner_no, '[]') && int4range($2, $2, '[]')
                 AND tstzrange(a.starts_at, a.ends_at) && tstzrange($3, $4)
           ) OR EXISTS (
               SELECT FROM appointment AS a
               WHERE a.status = 'requested' AND a.decide_by <= $5 AND a.patient_no IS NOT NULL
                 AND int4range(a.patient_no, a.patient_no, '[]') && int4range($7, $7, '[]')
                 AND tstzrange(a.starts_at, a.ends_at) && tstzrange($3, $4)
           ) AS overdue,
           EXISTS (
               SELECT FROM appointment AS a
               WHERE a.{LIVE_SQL}
                 AND int4range(a.practitioner_no, a.practitioner_no, '[]') && int4range($2, $2, '[]')
                 AND tstzrange(a.starts_at, a.ends_at) && tstzrange($3, $4)
           ) AS taken,
           (
               SELECT a.id FROM appointment AS a
               WHERE a.{BUSY_SQL} AND a.patient_no IS NOT NULL
                 AND int4range(a.patient_no, a.patient_no, '[]') && int4range($7, $7, '[]')
                 AND tstzrange(a.starts_at, a.ends_at) && tstzrange($3, $4)
               LIMIT 1
           ) AS busy_with,
           EXISTS (SELECT FROM offer AS o WHERE o.id = $6 AND o.taken_by IS NULL) AS shown_free
    FROM (VALUES (1)) AS one
    LEFT JOIN idempotency AS i ON i.scope = $1
"""  # noqa: S608  our own constant


class Claimed(NamedTuple):
    locked: bool  # False: another request with this key is being answered
    history_id: int | None  # None: somebody else has a part of this time, or the patient another visit


class Refusal(NamedTuple):
    answered: bool  # the same request was answered meanwhile
    overdue: bool  # a request whose decision is overdue has the time, of the practitioner or the patient
    taken: bool  # of the practitioner
    busy_with: UUID | None  # another appointment of the patient
    shown_free: bool


async def read_request(
    connection: Direct, *, scope: str, offer_id: UUID, account_id: UUID, patient_id: UUID
) -> Mapping[str, Any]:
    row: Mapping[str, Any] = await connection.fetchrow(_READ_REQUEST, scope, offer_id, account_id, patient_id)
    return row


async def claim_time(
    connection: Direct,
    fields: Mapping[str, Any],
    *,
    lock: int,
    answer: tuple[str, bytes, int, str, datetime],
    requested: OutboxRow,
    fact: str,
    timer: str,
) -> Claimed:
    """Everything a request writes, or nothing. A claim in flight is waited for, then judged."""
    row = await connection.fetchrow(
        _CLAIM_TIME,
        lock,
        *answer,
        requested.topic,
        requested.key,
        requested.sequence,
        json.dumps(requested.headers),
        requested.body,
        fact,
        timer,
        fields["decide_by"],
        _LONGEST,
        *[fields[name] for name in _COLUMNS],
    )
    return Claimed(row["locked"], row["history_id"])


async def explain_refusal(
    connection: Direct,
    *,
    scope: str,
    practitioner_no: int,
    patient_no: int,
    starts_at: datetime,
    ends_at: datetime,
    offer_id: UUID,
    now: datetime,
) -> Refusal:
    row = await connection.fetchrow(
        _EXPLAIN_REFUSAL, scope, practitioner_no, starts_at, ends_at, now, offer_id, patient_no
    )
    return Refusal(row["answered"], row["overdue"], row["taken"], row["busy_with"], row["shown_free"])


async def count_unsent(connection: Direct, *, at_most: int) -> int:
    """Events the broker has not got, counted no further than `at_most`."""
    unsent: int = await connection.fetchval(
        "SELECT count(*) FROM (SELECT FROM outbox LIMIT $1) AS unsent", at_most
    )
    return unsent
