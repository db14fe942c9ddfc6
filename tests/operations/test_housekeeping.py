"""What every service removes once it is old, and what it must not touch."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import func, select, table, text

from booking import store as booking_store
from booking.settings import BookingRetention
from claims import store as claims_store
from claims.settings import ClaimsRetention
from common.clock import Clock
from common.db import Sessions
from common.messaging import housekeeping
from common.messaging.housekeeping import COMMON, AlreadyAtWork, House, keep_house
from payment import store as payment_store
from payment.settings import PaymentRetention
from support.records import NOW

HOUSE = House()
OLD = {"idempotency": 30, "rate_limit": 1, "task": 90, "access_log": 1096, "history": 1096}  # days

FILL = {
    "idempotency": """
        INSERT INTO idempotency (scope, fingerprint, status, reference, created_at)
        VALUES (gen_random_uuid(), '', 201, 'r', :at)
    """,
    "rate_limit": """
        INSERT INTO rate_limit (key, full_at) VALUES (sha256(gen_random_uuid()::text::bytea), :at)
    """,
    "task": """
        INSERT INTO task (kind, key, due_at, attempt, outcome, finished_at)
        VALUES ('call', gen_random_uuid(), :at, 1, 'done', :at)
    """,
    "access_log": """
        INSERT INTO access_log (at, patient_id, subject, role, what, purpose, allowed)
        VALUES (:at, gen_random_uuid(), gen_random_uuid(), 'patient', 'profile', 'self', true)
    """,
    "history": """
        INSERT INTO history (appointment_id, fact, at) VALUES (gen_random_uuid(), 'x.y', :at)
    """,
}


@pytest.fixture
async def pool(database, sessions_on) -> Sessions:
    ready: Sessions = sessions_on(await database("payment"))
    return ready


async def fill(pool, name: str, *ages: timedelta) -> None:
    async with pool.begin() as session:
        for age in ages:
            await session.execute(text(FILL[name]), {"at": NOW - age})


async def count(pool, name: str) -> int:
    async with pool() as session:
        return int(await session.scalar(select(func.count()).select_from(table(name))))


@pytest.mark.parametrize("name", [purge.table for purge in COMMON])
async def test_what_is_older_than_its_age_goes_in_batches_and_the_rest_stays(pool, name) -> None:
    age = timedelta(days=OLD[name])
    second = timedelta(seconds=1)
    await fill(pool, name, *[age + second] * 7, age - second, timedelta())

    removed = await keep_house(HOUSE, pool, now=NOW, batch=3)

    assert removed == {purge.table: 7 if purge.table == name else 0 for purge in COMMON}
    assert await count(pool, name) == 2
    assert await keep_house(HOUSE, pool, now=NOW) == dict.fromkeys(removed, 0)


async def test_a_task_that_is_open_or_has_failed_stays_however_old(pool) -> None:
    await fill(pool, "task", timedelta(days=999), timedelta(days=999), timedelta(days=999))
    async with pool.begin() as session:
        keys = list(await session.scalars(text("SELECT key FROM task")))
        await session.execute(text("UPDATE task SET outcome = 'failed' WHERE key = :key"), {"key": keys[0]})
        await session.execute(
            text("UPDATE task SET outcome = NULL, finished_at = NULL WHERE key = :key"), {"key": keys[1]}
        )

    removed = await keep_house(HOUSE, pool, now=NOW)

    assert removed["task"] == 1
    async with pool() as session:
        assert set(await session.scalars(text("SELECT key FROM task"))) == set(keys[:2])


async def test_a_row_that_somebody_else_holds_is_left_for_the_next_time(pool) -> None:
    await fill(pool, "task", timedelta(days=100), timedelta(days=100))

    async with pool.begin() as session:
        await session.execute(
            text("UPDATE task SET outcome = 'again' WHERE key = (SELECT min(key) FROM task)")
        )
        first = await keep_house(HOUSE, pool, now=NOW)
    second = await keep_house(HOUSE, pool, now=NOW)

    assert (first["task"], second["task"]) == (1, 1)


async def test_two_do_not_keep_one_house(pool) -> None:
    async with pool.begin() as session:
        await session.execute(text(f"SELECT pg_advisory_xact_lock({housekeeping._LOCK})"))  # noqa: SLF001

        with pytest.raises(AlreadyAtWork):
            await keep_house(HOUSE, pool, now=NOW)

    assert (await keep_house(HOUSE, pool, now=NOW))["task"] == 0


OFFERS = """
    INSERT INTO practitioner (id, version, rpps, biller_id, profession, specialty, sector, zone,
        agreed_company,
        third_party_payment, currency, fee_cents, title, first_name, last_name, display_name, sort_name,
        street,
        postal_code, city, phone, languages, time_zone, words, created_at, agenda_revision)
    SELECT gen_random_uuid(), 1, '1000000000' || n, gen_random_uuid(), 'physician', '01', 's1', 'metropole',
        false, 'full', 'EUR', 2500, '', '', '', '', '', '', '', '', '', '{}', 'Europe/Paris', '', :now, 0
    FROM generate_series(1, 2) AS n;
"""
OFFER = """
    INSERT INTO offer (id, practitioner_id, practitioner_no, profession, specialty, starts_at, ends_at, mode,
        taken_by)
    SELECT gen_random_uuid(), id, no, 'physician', '01', CAST(:at AS timestamptz),
        CAST(:at AS timestamptz) + interval '15 minutes', 'video', CAST(:taken_by AS uuid)
    FROM practitioner
"""


async def test_times_that_are_long_over_go_unless_somebody_took_them(database, sessions_on) -> None:
    sessions = sessions_on(await database("booking"))
    async with sessions.begin() as session:
        await session.execute(text(OFFERS), {"now": NOW})
        for days in (-60, -45, -31, -29, 10):
            at = NOW + timedelta(days=days)
            await session.execute(text(OFFER), {"at": at, "taken_by": None})
        at = NOW - timedelta(days=50)
        await session.execute(text(OFFER), {"at": at, "taken_by": str(uuid4())})

    removed = await keep_house(House(booking_store.PURGES, BookingRetention()), sessions, now=NOW, batch=2)

    assert removed["offer"] == 6
    async with sessions() as session:
        left = (await session.execute(text("SELECT starts_at, taken_by IS NULL FROM offer"))).all()
    assert sorted((round((at - NOW) / timedelta(days=1)), free) for at, free in left) == [
        (-50, False),
        (-50, False),
        (-29, True),
        (-29, True),
        (10, True),
        (10, True),
    ]


PREVIEW = """
    INSERT INTO preview (id, created_at, created_by, fee_cents, base_cents, amo_cents, amc_cents,
        sponsor_cents,
        advance_cents, deferred_deductions_cents, amo_claim_cents, amc_claim_cents, sheet_mode, table_version,
        engine_version, policy, known_at, inputs_index, sealed)
    VALUES (gen_random_uuid(), :at, gen_random_uuid(),
        0, 0, 0, 0, 0, 0, 0, 0, 0, '', '', '', '{}', :at, '', '')
"""
PROVIDER_EVENT = """
    INSERT INTO provider_event (id, kind, body, received_at, outcome)
    VALUES (gen_random_uuid(), 'hold', '', :at, 'applied')
"""


@pytest.mark.parametrize(
    ("service", "house", "name", "statement"),
    [
        ("claims", House(claims_store.PURGES, ClaimsRetention()), "preview", PREVIEW),
        ("payment", House(payment_store.PURGES, PaymentRetention()), "provider_event", PROVIDER_EVENT),
    ],
)
async def test_a_service_removes_what_only_it_has(
    database, sessions_on, service: str, house: Any, name: str, statement: str
) -> None:
    sessions = sessions_on(await database(service))
    async with sessions.begin() as session:
        for days in (200, 91, 89, 0):
            await session.execute(text(statement), {"at": NOW - timedelta(days=days)})

    removed = await keep_house(house, sessions, now=NOW)

    assert (removed[name], await count(sessions, name)) == (2, 2)


def test_no_purge_is_untried() -> None:
    own = (*booking_store.PURGES, *claims_store.PURGES, *payment_store.PURGES)

    assert {purge.table for purge in COMMON} == set(FILL)
    assert {purge.table for purge in own} == {"offer", "preview", "provider_event"}


def test_the_inbox_and_the_archive_are_nobodys_to_prune() -> None:
    assert {"inbox", "outbox", "outbox_archive", "dead_letter"}.isdisjoint(
        purge.table for purge in HOUSE.purges
    )


async def test_an_operator_keeps_house_at_once(installed, sessions_on) -> None:
    payment = await installed("payment")
    sessions = sessions_on(payment.database)
    async with sessions.begin() as session:
        for days in (-2000, -10):
            at = Clock().now() + timedelta(days=days)  # the process has the real one
            await session.execute(text(FILL["access_log"]), {"at": at})

    status, said = await payment.run("housekeeping")

    assert status == 0
    assert "access_log: removed 1" in said.splitlines()
    assert await count(sessions, "access_log") == 1
