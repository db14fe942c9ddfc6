"""What an erased patient leaves in documents: sealed under the key the law keeps, and shown to nobody."""

from sqlalchemy import select

from common import vault
from common.web.tables import DataKeyRow
from documents.models import Document
from documents.usecases import writing
from support.documents import PATIENT, PRACTITIONER, PRESCRIPTION, Facts, keyed
from support.records import NOW


async def test_the_erasable_key_is_destroyed_and_the_record_stays_sealed_for_the_law(
    world, client, app
) -> None:
    facts = Facts()
    await world.hear(*facts.rights(), facts.requested(), facts.started())
    url = f"/appointments/{facts.appointment_id}/prescriptions"
    written = await client.post(url, json=PRESCRIPTION, headers=keyed(PRACTITIONER))
    assert written.status_code == 201, written.text
    await world.work()
    keyring = app.state.keyring
    async with world.sessions.begin() as session:
        await vault.encrypt(
            session, keyring, facts.patient_id, "camille@example.test", field="email", now=NOW
        )

    await world.hear(facts.erased(), facts.erased())

    async with world.sessions() as session:
        kinds = list(await session.scalars(select(DataKeyRow.kind)))
        document = (await session.scalars(select(Document))).one()
        content = await writing.open_content(session, keyring, document)
        file = await writing.open_file(
            session, keyring, document, await world.resources.storage.get(document.storage_key)
        )
    assert kinds == ["kept"]
    assert document.restricted_at == world.clock.now()
    assert content["lines"][0]["label"] == "AMOXICILLINE 1 g"
    assert file.startswith(b"%PDF-")
    for headers in (PATIENT, PRACTITIONER):
        seen = await client.get(f"/documents/{document.id}/content", headers=headers)
        assert seen.status_code == 404
