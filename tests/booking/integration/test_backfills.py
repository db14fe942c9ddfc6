"""What migrations make of rows that the release before them wrote."""

from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest
from alembic import command

from support.postgres import Server
from support.records import NOW

PRACTITIONER = """
    INSERT INTO practitioner (id, version, rpps, biller_id, profession, specialty, sector, zone,
        agreed_company, third_party_payment, currency, fee_cents, title, first_name, last_name, display_name,
        sort_name, street, postal_code, city, phone, languages, time_zone, words, created_at, agenda_revision)
    VALUES ($1, 1, $2, $1, 'physician', '01', 's1', 'metropole', false, 'full', 'EUR', 2500, 'Docteur',
        'Éloïse', $3::text, 'Dr ' || $3::text, lower($3::text),
        '3 rue du Port', '29200', 'Brest', '+33 2 98 00 00 00',
        '{fr}', 'Europe/Paris', to_tsvector('simple', lower($3::text)), $4, 0)
"""
VISIT = """
    INSERT INTO appointment (id, version, status, schedule_no, practitioner_id, practitioner_no, patient_id,
        account_id, starts_at, ends_at, decide_by, requested_at, consent_id, pathway, territory,
        exemption_related, under_16, minor_on_1_january, biller_id, profession, specialty, sector, zone,
        agreed_company, third_party_payment, currency, fee_cents, payment_sequence)
    VALUES ($1, 1, $2, 1, $3, $4, $5, $5, $6, $7, $6, $6, $5, 'none', 'near', false, false, false, $3,
        'physician', '01', 's1', 'metropole', false, 'full', 'EUR', 2500, 0)
"""


@pytest.fixture
async def before(server: Server) -> AsyncIterator[tuple[str, asyncpg.Connection]]:
    """A database of the release that knew neither numbers of patients nor folded letters."""
    async with server.template("booking", "booking_closures_of_days") as name:
        url = server.url.set(database=name, drivername="postgresql")
        connection = await asyncpg.connect(url.render_as_string(hide_password=False))
        yield name, connection
        await connection.close()


async def test_names_that_are_kept_are_folded(server: Server, before) -> None:
    name, connection = before
    await connection.execute(PRACTITIONER, uuid4(), "10001234565", "Œuvray", NOW)

    await server.alembic(command.upgrade, "booking", name, "head")

    found = "SELECT sort_name FROM practitioner WHERE words @@ to_tsquery('simple', 'oeuvray:* & brest')"
    assert await connection.fetchval(found) == "oeuvray eloise"


async def test_visits_of_a_patient_get_their_number_but_for_those_over_another_one(
    server: Server, before
) -> None:
    name, connection = before
    patient = uuid4()
    await connection.execute(
        "INSERT INTO patient (id, version, revision, created_at) VALUES ($1, 1, 1, $2)", patient, NOW
    )
    # the second one lies over the first, the third was cancelled, the fourth touches the first
    times = [(0, "confirmed"), (5, "confirmed"), (5, "cancelled"), (15, "requested")]
    for number, (minutes, status) in enumerate(times, start=1):
        starts_at = NOW + timedelta(minutes=minutes)
        await connection.execute(
            VISIT,
            UUID(int=number),
            status,
            uuid4(),
            number,
            patient,
            starts_at,
            starts_at + timedelta(minutes=15),
        )

    await server.alembic(command.upgrade, "booking", name, "head")

    kept = await connection.fetch("SELECT patient_no IS NOT NULL AS numbered FROM appointment ORDER BY id")
    assert [row["numbered"] for row in kept] == [True, False, True, False]
