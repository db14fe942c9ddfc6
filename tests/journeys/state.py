"""The final state of a journey in all four services, with names for ids; and what may never be."""

from typing import Any, Final
from uuid import UUID

from journeys.script import Case
from journeys.world import SERVICES, World

# What depends on the order and means nothing: ids, times, versions, revisions of a price that nobody paid.
_STATE: Final = {
    "booking": {
        "appointment": """
            SELECT status, schedule_no, end_reason, cancelled_by, free_cancellation, outcome,
                completed_fee_cents, action, exemption_related
            FROM appointment WHERE id = $1
        """,
        "offer": """
            SELECT offer.taken_by IS NOT NULL AS taken, offer.taken_by = appointment.id AS by_this
            FROM offer JOIN appointment USING (practitioner_id, starts_at) WHERE appointment.id = $1
        """,
    },
    "claims": {
        "stream": "SELECT status, schedule_no, facts_wait FROM stream WHERE id = $1",
        "quote": """
            SELECT state, schedule_no FROM quote WHERE appointment_id = $1 ORDER BY revision DESC LIMIT 1
        """,
        "early_fact": "SELECT type FROM early_fact WHERE appointment_id = $1",
        "care_act": """
            SELECT coverage_version, fee_cents, base_cents, amo_cents, amc_cents, advance_cents,
                amo_claim_cents, amc_claim_cents, sheet_mode, pathway_indicator, rights_pending
            FROM care_act WHERE appointment_id = $1
        """,
        "leg": """
            SELECT payer, state, amount_cents, paid_cents, reversed_cents, attempt, reject_code
            FROM leg WHERE appointment_id = $1
        """,
        "posting": """
            SELECT posting.kind, posting.amount_cents, posting.payer
            FROM posting JOIN leg ON leg.id = leg_id WHERE appointment_id = $1
        """,
        "balance": """
            SELECT reason, payer_kind, amount_cents, collect, state, settled_by
            FROM balance WHERE appointment_id = $1
        """,
        "grant": """
            SELECT holder LIKE 'account:%' AS by_account, appointment_id IS NULL AS of_patient
            FROM "grant" WHERE coalesce(appointment_id, $1) = $1
                AND patient_id = (SELECT patient_id FROM stream WHERE id = $1)
        """,
    },
    "payment": {
        "stream": """
            SELECT schedule_no, action, ended_by, kept_cents, due_cents, short_cents,
                priced_at IS NOT NULL AS priced, failed_at IS NOT NULL AS failed,
                lapsed_at IS NOT NULL AS lapsed
            FROM stream WHERE id = $1
        """,
        "hold": """
            SELECT attempt, status, asked_cents, held_cents, captured_cents, released_cents, refunded_cents,
                failure
            FROM hold WHERE appointment_id = $1
        """,
        "ledger": """
            SELECT account, sum(amount_cents)::bigint AS cents FROM ledger_entry WHERE appointment_id = $1
            GROUP BY account
        """,
        "balance": """
            SELECT amount_cents, status, charged_cents, failure FROM balance WHERE appointment_id = $1
        """,
        "card": """
            SELECT card.status FROM card JOIN stream USING (account_id) WHERE stream.id = $1
            ORDER BY card.created_at DESC LIMIT 1
        """,
    },
    "documents": {
        "stream": """
            SELECT visit, paid_cents, price - 'revision' AS price FROM stream WHERE id = $1
        """,
        "document": """
            SELECT kind, folder, status, size_bytes > 0 AS drawn, revision IS NOT NULL AS of_a_price
            FROM document WHERE appointment_id = $1
        """,
        "grant": """
            SELECT holder LIKE 'account:%' AS by_account, appointment_id IS NULL AS of_patient
            FROM "grant" WHERE coalesce(appointment_id, $1) = $1
                AND patient_id = (SELECT patient_id FROM stream WHERE id = $1)
        """,
    },
}
_AT_PROVIDER: Final = """
    SELECT status, amount_cents, authorized_cents, captured_cents, released_cents, refunded_cents
    FROM card_payment WHERE reference = ANY ($1)
"""

State = dict[str, Any]


async def state_of(case: Case) -> State:
    """Equal for two orders of one journey, or there is a fault."""
    world, appointment_id = case.world, case.appointment
    found: State = {}
    for service, queries in _STATE.items():
        for name, query in queries.items():
            rows = await world.lens(service).fetch(query, appointment_id)
            found[f"{service}.{name}"] = sorted(str(dict(row)) for row in rows)
    holds = await world.lens("payment").fetch("SELECT id FROM hold WHERE appointment_id = $1", appointment_id)
    rows = await world.books.fetch(_AT_PROVIDER, [str(row["id"]) for row in holds])
    found["provider"] = sorted(str(dict(row)) for row in rows)
    renderer = world.services["documents"].resources.renderer
    rows = await world.lens("documents").fetch(
        "SELECT number FROM document WHERE appointment_id = $1 AND status = 'issued'", appointment_id
    )
    found["stated in documents"] = sorted(renderer.stated[row["number"]] for row in rows)
    seen = await case.as_patient("GET", f"/payment/v1/appointments/{appointment_id}")
    found["payment as seen"] = {
        name: value for name, value in seen.items() if name not in {"appointment_id", "capture_before"}
    }
    return found


def differences(wanted: State, found: State) -> State:
    return {name: (wanted[name], found[name]) for name in wanted if wanted[name] != found[name]}


_BROKEN: Final = {
    "two live appointments on one time": (
        "booking",
        """
        SELECT count(*) FROM appointment AS one JOIN appointment AS other
            ON one.practitioner_id = other.practitioner_id AND one.id < other.id
            AND tstzrange(one.starts_at, one.ends_at) && tstzrange(other.starts_at, other.ends_at)
        WHERE one.status = ANY ('{requested,confirmed,started,completed}')
            AND other.status = ANY ('{requested,confirmed,started,completed}')
            AND ($1::uuid IS NULL OR $1 IN (one.id, other.id))
        """,
    ),
    "captured or released more than held": (
        "payment",
        """
        SELECT count(*) FROM hold WHERE captured_cents + released_cents > held_cents
            AND ($1::uuid IS NULL OR appointment_id = $1)
        """,
    ),
    "a hold that is over and neither captured nor released": (
        "payment",
        """
        SELECT count(*) FROM hold WHERE status IN ('captured', 'voided', 'expired')
            AND captured_cents + released_cents <> held_cents
            AND ($1::uuid IS NULL OR appointment_id = $1)
        """,
    ),
    "a live hold on an ended appointment": (
        "payment",
        """
        SELECT count(*) FROM hold JOIN stream ON stream.id = appointment_id
        WHERE hold.status IN ('pending', 'unknown', 'action-required', 'held')
            AND (ended_at IS NOT NULL OR priced_at IS NOT NULL OR failed_at IS NOT NULL)
            AND ($1::uuid IS NULL OR appointment_id = $1)
        """,
    ),
    "captured without a price": (
        "payment",
        """
        SELECT count(*) FROM hold JOIN stream ON stream.id = appointment_id
        WHERE captured_cents > 0 AND (priced_at IS NULL OR captured_cents > due_cents)
            AND ($1::uuid IS NULL OR appointment_id = $1)
        """,
    ),
    "due is neither captured nor short": (
        "payment",
        """
        SELECT count(*) FROM stream WHERE priced_at IS NOT NULL
            AND due_cents <> short_cents + coalesce(
                (SELECT sum(captured_cents) FROM hold WHERE appointment_id = stream.id), 0)
            AND ($1::uuid IS NULL OR id = $1)
        """,
    ),
    "a journal that does not balance": (
        "payment",
        """
        SELECT count(*) FROM (
            SELECT 1 FROM ledger_entry WHERE ($1::uuid IS NULL OR appointment_id = $1)
            GROUP BY journal HAVING sum(amount_cents) <> 0
        ) AS wrong
        """,
    ),
    "more paid by a payer than claimed": (
        "claims",
        """
        SELECT count(*) FROM leg WHERE paid_cents > amount_cents
            AND ($1::uuid IS NULL OR appointment_id = $1)
        """,
    ),
    "a fact that waits for ever": (
        "claims",
        "SELECT count(*) FROM early_fact WHERE $1::uuid IS NULL OR appointment_id = $1",
    ),
    "a document that was never drawn": (
        "documents",
        """
        SELECT count(*) FROM document WHERE status IN ('requested', 'failed')
            AND ($1::uuid IS NULL OR appointment_id = $1)
        """,
    ),
    "two billing documents that count": (
        "documents",
        """
        SELECT count(*) FROM (
            SELECT 1 FROM document WHERE revision IS NOT NULL AND status = 'issued'
                AND ($1::uuid IS NULL OR appointment_id = $1)
            GROUP BY appointment_id HAVING count(*) > 1
        ) AS wrong
        """,
    ),
}


async def broken_rules(world: World, appointment_id: UUID | None = None) -> dict[str, Any]:
    """What may never be and is, with how often; of one appointment or of all."""
    found: dict[str, Any] = {}
    for rule, (service, query) in _BROKEN.items():
        found[rule] = await world.lens(service).fetchval(query, appointment_id)
    for service in SERVICES:
        lens = world.lens(service)
        found[f"dead letters of {service}"] = await lens.fetchval("SELECT count(*) FROM dead_letter")
        found[f"unsent events of {service}"] = await lens.fetchval("SELECT count(*) FROM outbox")
    found |= await _against_the_provider(world, appointment_id)
    return {rule: count for rule, count in found.items() if count}


async def _against_the_provider(world: World, appointment_id: UUID | None) -> dict[str, int]:
    """Our holds beside the provider's payments, hold by hold; captures beside completed consultations."""
    holds = await world.lens("payment").fetch(
        """
        SELECT id, appointment_id, held_cents, captured_cents, released_cents, refunded_cents
        FROM hold WHERE $1::uuid IS NULL OR appointment_id = $1
        """,
        appointment_id,
    )
    rows = await world.books.fetch(
        """
        SELECT reference, authorized_cents, captured_cents, released_cents, refunded_cents
        FROM card_payment WHERE reference = ANY ($1)
        """,
        [str(hold["id"]) for hold in holds],
    )
    theirs = {row["reference"]: tuple(row)[1:] for row in rows}
    captured = {hold["appointment_id"] for hold in holds if hold["captured_cents"] > 0}
    completed = await world.lens("booking").fetchval(
        "SELECT count(*) FROM appointment WHERE id = ANY ($1) AND status = 'completed'", list(captured)
    )
    return {
        "the provider's books are not ours": sum(
            theirs.get(str(hold["id"]), (0, 0, 0, 0)) != tuple(hold)[2:] for hold in holds
        ),
        "captured without a completed consultation": len(captured) - completed,
    }
