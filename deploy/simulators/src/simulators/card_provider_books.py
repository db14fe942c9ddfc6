"""The simulated provider's books in PostgreSQL: what it promised survives its process."""

import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import uuid4

import asyncpg

from common.clock import Clock
from simulators.card_provider_cards import CHALLENGE, TEST_CARDS, Behaviour, has_check_digit, lifetime

_TABLES: Final = """
    CREATE TABLE IF NOT EXISTS card_method (
        token text PRIMARY KEY, behaviour text NOT NULL, network text NOT NULL, last4 text NOT NULL,
        expiry_month int NOT NULL, expiry_year int NOT NULL, deleted_at timestamptz
    );
    CREATE TABLE IF NOT EXISTS card_payment (
        id text PRIMARY KEY, reference text NOT NULL UNIQUE, token text NOT NULL REFERENCES card_method,
        status text NOT NULL, currency text NOT NULL, amount_cents bigint NOT NULL CHECK (amount_cents > 0),
        authorized_cents bigint NOT NULL DEFAULT 0, captured_cents bigint NOT NULL DEFAULT 0,
        released_cents bigint NOT NULL DEFAULT 0, refunded_cents bigint NOT NULL DEFAULT 0,
        off_session bool NOT NULL, automatic bool NOT NULL, metadata jsonb NOT NULL,
        capture_before timestamptz, challenge text UNIQUE, challenge_until timestamptz, decline_code text,
        version int NOT NULL, created_at timestamptz NOT NULL,
        CHECK (captured_cents + released_cents <= authorized_cents),
        CHECK (refunded_cents <= captured_cents)
    );
    CREATE INDEX IF NOT EXISTS card_payment_open ON card_payment (status)
        WHERE status IN ('requires_action', 'authorized');
    CREATE TABLE IF NOT EXISTS card_refund (
        reference text PRIMARY KEY, payment_id text NOT NULL REFERENCES card_payment,
        amount_cents bigint NOT NULL CHECK (amount_cents > 0), created_at timestamptz NOT NULL
    );
    CREATE TABLE IF NOT EXISTS card_setup (
        id text PRIMARY KEY, reference text NOT NULL UNIQUE, token text NOT NULL REFERENCES card_method,
        status text NOT NULL, challenge text UNIQUE, challenge_until timestamptz, version int NOT NULL,
        created_at timestamptz NOT NULL
    );
    CREATE TABLE IF NOT EXISTS card_idempotency (
        key text PRIMARY KEY, fingerprint text NOT NULL, status int NOT NULL, body jsonb NOT NULL
    );
    CREATE TABLE IF NOT EXISTS card_event (
        seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, id text NOT NULL UNIQUE, about text NOT NULL,
        body text NOT NULL, next_at timestamptz NOT NULL, attempts int NOT NULL DEFAULT 0,
        copies int NOT NULL DEFAULT 0, delivered_at timestamptz
    );
    CREATE INDEX IF NOT EXISTS card_event_pending ON card_event (next_at) WHERE delivered_at IS NULL;
    CREATE TABLE IF NOT EXISTS card_scenario (
        only_one bool PRIMARY KEY CHECK (only_one), value jsonb NOT NULL
    );
"""
_CREATING: Final = 7_352_011  # advisory lock: two processes may start at once


@dataclass(frozen=True, slots=True)
class Scenario:
    """How the provider misbehaves; set by the controls, kept in the books."""

    duplicates: int = 0  # further deliveries of each webhook
    delay_seconds: float = 0.0
    before_response: bool = False  # the webhook arrives before our caller has its answer
    newest_first: bool = False  # webhooks wait until several can be sent in the wrong order
    muted: bool = False  # webhooks are written and not sent
    outage: str = "none"  # none | unavailable: refuses | lost-response: does it and answers nothing useful
    slow_seconds: float = 0.0


class Refused(Exception):
    """The provider's no, with the code and status a client sees."""

    def __init__(self, code: str, *, status: int = 409) -> None:
        super().__init__(code)
        self.code = code
        self.status = status


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: dict[str, Any]
    events: tuple[str, ...] = ()
    replayed: bool = False


Work = Callable[["Entry"], Awaitable[dict[str, Any]]]


@dataclass(slots=True)
class Entry:
    """One transaction on the books, and the webhooks it owes."""

    connection: asyncpg.Connection
    now: datetime
    wall: datetime
    public_url: str
    scenario: Scenario
    events: list[str] = field(default_factory=list)

    async def announce(self, kind: str, data: Mapping[str, Any]) -> None:
        event_id = f"evt_{uuid4().hex}"
        body = {"id": event_id, "type": kind, "created_at": _text(self.now), "data": data}
        due = self.wall + timedelta(seconds=self.scenario.delay_seconds)
        await self.connection.execute(
            "INSERT INTO card_event (id, about, body, next_at, copies) VALUES ($1, $2, $3, $4, $5)",
            event_id,
            data["id"],
            json.dumps(body),
            due,
            self.scenario.duplicates,
        )
        self.events.append(event_id)

    # --- cards -------------------------------------------------------------------------------------------

    async def tokenise(self, number: str, *, month: int, year: int) -> dict[str, Any]:
        """Raises Refused for a number that is none, an expired card, a card that is no test card."""
        if not has_check_digit(number):
            raise Refused("number-invalid", status=422)
        if (year, month) < (self.now.year, self.now.month):
            raise Refused("card-expired", status=422)
        card = TEST_CARDS.get(number)
        if card is None:
            raise Refused("not-a-test-card", status=422)
        token = f"tok_{uuid4().hex}"
        await self.connection.execute(
            "INSERT INTO card_method VALUES ($1, $2, $3, $4, $5, $6, NULL)",
            token,
            card.behaviour.value,
            card.network,
            number[-4:],
            month,
            year,
        )
        return {"token": token, "network": card.network, "last4": number[-4:]}

    async def _method(self, token: str) -> asyncpg.Record:
        row = await self.connection.fetchrow("SELECT * FROM card_method WHERE token = $1", token)
        if row is None or row["deleted_at"] is not None:
            raise Refused("unknown-token", status=422)
        return row

    async def forget(self, token: str) -> dict[str, Any]:
        await self.connection.execute(
            "UPDATE card_method SET deleted_at = coalesce(deleted_at, $2), last4 = '' WHERE token = $1",
            token,
            self.now,
        )
        return {"token": token, "deleted": True}

    async def set_up(self, *, token: str, reference: str) -> dict[str, Any]:
        method = await self._method(token)
        asks = method["behaviour"] == Behaviour.THREE_D_SECURE
        await self.connection.execute(
            "INSERT INTO card_setup VALUES ($1, $2, $3, $4, $5, $6, 1, $7)",
            f"set_{uuid4().hex}",
            reference,
            token,
            "requires_action" if asks else "succeeded",
            f"ch_{uuid4().hex}" if asks else None,
            self.now + timedelta(days=1) if asks else None,
            self.now,
        )
        setup = await self.setup(reference=reference)
        await self.announce("setup.updated", setup)
        return setup

    async def setup(self, *, reference: str) -> dict[str, Any]:
        row = await self.connection.fetchrow(
            "SELECT s.*, m.network, m.last4, m.expiry_month, m.expiry_year"
            " FROM card_setup s JOIN card_method m USING (token) WHERE reference = $1 OR id = $1",
            reference,
        )
        if row is None:
            raise Refused("not-found", status=404)
        return {
            "object": "setup",
            "id": row["id"],
            "reference": row["reference"],
            "status": row["status"],
            "version": row["version"],
            "action": self._action(row),
            "card": {key: row[key] for key in ("network", "last4", "expiry_month", "expiry_year")},
        }

    def _action(self, row: asyncpg.Record) -> dict[str, Any] | None:
        if row["status"] != "requires_action":
            return None
        url = f"{self.public_url}/challenges/{row['challenge']}"
        return {"url": url, "expires_at": _text(row["challenge_until"])}

    # --- payments ----------------------------------------------------------------------------------------

    async def authorise(  # what an order is made of
        self,
        *,
        reference: str,
        token: str,
        amount_cents: int,
        currency: str,
        off_session: bool,
        automatic: bool,
        metadata: Mapping[str, str],
    ) -> dict[str, Any]:
        """A hold, or with `automatic` a charge; a second order under one reference is refused."""
        method = await self._method(token)
        behaviour = Behaviour(method["behaviour"])
        decline = {
            Behaviour.DECLINES: "declined",
            Behaviour.INSUFFICIENT_FUNDS: "insufficient-funds",
        }.get(behaviour)
        asks = behaviour is Behaviour.THREE_D_SECURE or (
            behaviour is Behaviour.OFF_SESSION_ACTION and off_session
        )
        row = await self.connection.fetchrow(
            """
            INSERT INTO card_payment (id, reference, token, status, currency, amount_cents, off_session,
                automatic, metadata, challenge, challenge_until, decline_code, version, created_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 1, $13)
            ON CONFLICT (reference) DO NOTHING RETURNING *
            """,
            f"pay_{uuid4().hex}",
            reference,
            token,
            "declined" if decline else "requires_action" if asks else "new",
            currency,
            amount_cents,
            off_session,
            automatic,
            json.dumps(dict(metadata)),
            f"ch_{uuid4().hex}" if asks and not decline else None,
            self.now + CHALLENGE if asks and not decline else None,
            decline,
            self.now,
        )
        if row is None:
            raise Refused("reference-used")
        if row["status"] == "new":
            return await self._grant(row)
        return await self._announced(row)

    async def _grant(self, row: asyncpg.Record) -> dict[str, Any]:
        method = await self.connection.fetchrow("SELECT * FROM card_method WHERE token = $1", row["token"])
        keeps = lifetime(
            method["network"], Behaviour(method["behaviour"]), off_session=bool(row["off_session"])
        )
        return await self._announced(
            await self.connection.fetchrow(
                """
                UPDATE card_payment SET version = version + 1, authorized_cents = amount_cents,
                    status = CASE WHEN automatic THEN 'captured' ELSE 'authorized' END,
                    captured_cents = CASE WHEN automatic THEN amount_cents ELSE 0 END,
                    capture_before = $2, challenge_until = NULL
                WHERE id = $1 RETURNING *
                """,
                row["id"],
                self.now + keeps,
            )
        )

    async def _locked(self, payment_id: str) -> asyncpg.Record:
        row = await self.connection.fetchrow(
            "SELECT * FROM card_payment WHERE id = $1 OR reference = $1 FOR UPDATE", payment_id
        )
        if row is None:
            raise Refused("not-found", status=404)
        return await self._aged(row)

    async def _aged(self, row: asyncpg.Record) -> asyncpg.Record:
        """Time has passed since the row was written: an authorisation or a challenge may be over."""
        if row["status"] == "authorized" and row["capture_before"] <= self.now:
            return await self._close(row, "expired")
        if row["status"] == "requires_action" and row["challenge_until"] <= self.now:
            return await self._close(row, "canceled", code="challenge-expired")
        return row

    async def _close(self, row: asyncpg.Record, status: str, *, code: str | None = None) -> asyncpg.Record:
        closed = await self.connection.fetchrow(
            """
            UPDATE card_payment SET version = version + 1, decline_code = $3,
                status = CASE WHEN captured_cents > 0 THEN 'captured' ELSE $2 END,
                released_cents = authorized_cents - captured_cents
            WHERE id = $1 RETURNING *
            """,
            row["id"],
            status,
            code,
        )
        await self._announced(closed)
        return closed

    async def _announced(self, row: asyncpg.Record) -> dict[str, Any]:
        shown = await self._payment(row)
        await self.announce("payment.updated", shown)
        return shown

    async def _refunds(self, payment_id: str) -> list[dict[str, Any]]:
        rows = await self.connection.fetch(
            "SELECT reference, amount_cents FROM card_refund WHERE payment_id = $1 ORDER BY reference",
            payment_id,
        )
        return [_refund(row["reference"], row["amount_cents"]) for row in rows]

    async def _payment(self, row: asyncpg.Record) -> dict[str, Any]:
        shown = {
            key: row[key]
            for key in (
                "id",
                "reference",
                "status",
                "version",
                "currency",
                "amount_cents",
                "authorized_cents",
                "captured_cents",
                "released_cents",
                "refunded_cents",
                "off_session",
                "decline_code",
            )
        }
        return {
            "object": "payment",
            **shown,
            "capture_before": _text(row["capture_before"]),
            "action": self._action(row),
            "metadata": json.loads(row["metadata"]),
            "refunds": await self._refunds(row["id"]),
        }

    async def payment(self, payment_id: str) -> dict[str, Any]:
        return await self._payment(await self._locked(payment_id))

    async def payments_after(self, payment_id: str, *, limit: int) -> list[dict[str, Any]]:
        """A page of all payments, in the order of their ids."""
        rows = await self.connection.fetch(
            "SELECT * FROM card_payment WHERE id > $1 ORDER BY id LIMIT $2", payment_id, limit
        )
        return [await self._payment(row) for row in rows]

    async def capture(self, payment_id: str, *, amount_cents: int, closes: bool = True) -> dict[str, Any]:
        """At most what is held. A capture that closes the authorisation releases the rest of it."""
        row = await self._locked(payment_id)
        if row["status"] != "authorized":
            raise Refused(f"payment-{row['status'].replace('_', '-')}")
        left = row["authorized_cents"] - row["captured_cents"]
        if amount_cents > left:
            raise Refused("above-the-hold", status=422)
        return await self._announced(
            await self.connection.fetchrow(
                """
                UPDATE card_payment SET version = version + 1, captured_cents = captured_cents + $2,
                    status = CASE WHEN $3 THEN 'captured' ELSE status END,
                    released_cents = CASE WHEN $3 THEN authorized_cents - captured_cents - $2 ELSE 0 END
                WHERE id = $1 RETURNING *
                """,
                row["id"],
                amount_cents,
                closes or amount_cents == left,
            )
        )

    async def void(self, payment_id: str) -> dict[str, Any]:
        row = await self._locked(payment_id)
        if row["status"] not in ("authorized", "requires_action"):
            raise Refused(f"payment-{row['status'].replace('_', '-')}")
        return await self._payment(await self._close(row, "canceled"))

    async def refund(self, payment_id: str, *, amount_cents: int, reference: str) -> dict[str, Any]:
        row = await self._locked(payment_id)
        if row["status"] != "captured":
            raise Refused(f"payment-{row['status'].replace('_', '-')}")
        if row["refunded_cents"] + amount_cents > row["captured_cents"]:
            raise Refused("above-the-capture", status=422)
        written = await self.connection.fetchval(
            "INSERT INTO card_refund VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING RETURNING true",
            reference,
            row["id"],
            amount_cents,
            self.now,
        )
        if written is None:
            raise Refused("reference-used")
        return await self._announced(
            await self.connection.fetchrow(
                "UPDATE card_payment SET refunded_cents = refunded_cents + $2, version = version + 1"
                " WHERE id = $1 RETURNING *",
                row["id"],
                amount_cents,
            )
        )

    async def expire(self, payment_id: str) -> dict[str, Any]:
        """A control: the issuing bank lets the authorisation lapse now."""
        row = await self._locked(payment_id)
        if row["status"] != "authorized":
            raise Refused(f"payment-{row['status'].replace('_', '-')}")
        return await self._payment(await self._close(row, "expired"))

    # --- the patient's word ------------------------------------------------------------------------------

    async def challenged(self, challenge: str) -> dict[str, Any]:
        """What the page shows: how much, and whether it is still asked."""
        row = await self.connection.fetchrow(
            "SELECT id, amount_cents FROM card_payment WHERE challenge = $1", challenge
        )
        if row is not None:
            aged = await self._locked(row["id"])
            return {"open": aged["status"] == "requires_action", "amount_cents": row["amount_cents"]}
        setup = await self.connection.fetchrow("SELECT * FROM card_setup WHERE challenge = $1", challenge)
        if setup is None:
            raise Refused("not-found", status=404)
        return {"open": setup["status"] == "requires_action", "amount_cents": 0}

    async def answer_challenge(self, challenge: str, *, accepted: bool) -> dict[str, Any]:
        """The same answer twice is one answer; another one, or one too late, is refused."""
        found = await self.connection.fetchval("SELECT id FROM card_payment WHERE challenge = $1", challenge)
        if found is None:
            return await self._answer_setup(challenge, accepted=accepted)
        row = await self._locked(found)
        if row["status"] != "requires_action":
            if accepted is (row["status"] in ("authorized", "captured")) and row["status"] != "canceled":
                return {"status": row["status"]}
            raise Refused("challenge-over")
        if accepted:
            return {"status": (await self._grant(row))["status"]}
        return {"status": (await self._close(row, "declined", code="authentication-failed"))["status"]}

    async def _answer_setup(self, challenge: str, *, accepted: bool) -> dict[str, Any]:
        row = await self.connection.fetchrow(
            "SELECT * FROM card_setup WHERE challenge = $1 FOR UPDATE", challenge
        )
        if row is None:
            raise Refused("not-found", status=404)
        status = "succeeded" if accepted else "declined"
        if row["status"] == "requires_action":
            await self.connection.execute(
                "UPDATE card_setup SET status = $2, version = version + 1 WHERE id = $1", row["id"], status
            )
            await self.announce("setup.updated", await self.setup(reference=row["reference"]))
        elif row["status"] != status:
            raise Refused("challenge-over")
        return {"status": status}


@dataclass(slots=True)
class Books:
    pool: asyncpg.Pool
    clock: Clock
    public_url: str
    wall: Clock = field(default_factory=Clock)  # real time, for what is signed and sent

    async def create_tables(self) -> None:
        async with self.pool.acquire() as connection, connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _CREATING)
            await connection.execute(_TABLES)

    async def scenario(self) -> Scenario:
        value = await self.pool.fetchval("SELECT value FROM card_scenario")
        return Scenario(**json.loads(value)) if value else Scenario()

    async def play(self, scenario: Scenario) -> None:
        await self.pool.execute(
            "INSERT INTO card_scenario VALUES (true, $1)"
            " ON CONFLICT (only_one) DO UPDATE SET value = EXCLUDED.value",
            json.dumps(asdict(scenario)),
        )

    @asynccontextmanager
    async def entry(self) -> AsyncIterator[Entry]:
        scenario = await self.scenario()
        async with self.pool.acquire() as connection, connection.transaction():
            yield Entry(connection, self.clock.now(), self.wall.now(), self.public_url, scenario)

    async def once(self, key: str, request: Mapping[str, Any], work: Work) -> Answer:
        """The first answer under a key is the answer; the work and its record commit together."""
        fingerprint = hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()
        async with self.entry() as entry:
            await entry.connection.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", key)
            earlier = await entry.connection.fetchrow("SELECT * FROM card_idempotency WHERE key = $1", key)
            if earlier is not None:
                if earlier["fingerprint"] != fingerprint:
                    raise Refused("idempotency-key-reused")
                return Answer(earlier["status"], json.loads(earlier["body"]), replayed=True)
            body = await work(entry)
            await entry.connection.execute(
                "INSERT INTO card_idempotency VALUES ($1, $2, 200, $3)", key, fingerprint, json.dumps(body)
            )
            return Answer(200, body, tuple(entry.events))

    async def let_time_pass(self) -> int:
        """Closes what is over by the clock, a few at a time; returns how many rows were looked at."""
        async with self.entry() as entry:
            rows = await entry.connection.fetch(
                """
                SELECT * FROM card_payment WHERE status IN ('requires_action', 'authorized')
                    AND coalesce(challenge_until, capture_before) <= $1 LIMIT 50 FOR UPDATE SKIP LOCKED
                """,
                entry.now,
            )
            for row in rows:
                await entry._aged(row)  # noqa: SLF001
        return len(rows)

    async def totals(self) -> dict[str, int]:
        row = await self.pool.fetchrow(
            """
            SELECT coalesce(sum(authorized_cents - captured_cents) FILTER (WHERE status = 'authorized'), 0)
                    ::bigint AS held_cents,
                coalesce(sum(authorized_cents), 0)::bigint AS authorized_cents,
                coalesce(sum(captured_cents), 0)::bigint AS captured_cents,
                coalesce(sum(released_cents), 0)::bigint AS released_cents,
                coalesce(sum(refunded_cents), 0)::bigint AS refunded_cents,
                count(*) AS payments, count(*) FILTER (WHERE status = 'authorized') AS live_holds
            FROM card_payment
            """
        )
        return dict(row)


def _refund(reference: str, amount_cents: int) -> dict[str, Any]:
    """One that the provider made by itself carries no reference of its customer."""
    ours = None if reference.startswith("re_") else reference
    return {"id": reference, "reference": ours, "amount_cents": amount_cents}


def _text(at: datetime | None) -> str | None:
    return at.isoformat() if at is not None else None
