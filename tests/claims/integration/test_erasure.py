"""What an erased patient leaves in claims: no key and no hash but those of what the law keeps."""

import pytest
from sqlalchemy import select

from claims.models import CareAct, CoverageVersion, Preview, Quote
from claims.usecases import encryption
from common.events.booking import PatientErasedV1
from common.vault import DataErased
from common.web.tables import DataKeyRow
from support.claims import CONTRACTED, NIR, PATIENT, STARTS, Facts
from support.records import record

COVERED = {"nir": NIR, "birth_date": "1985-05-14", "amc": CONTRACTED}


async def test_keys_and_hashes_are_destroyed_and_only_the_care_act_stays_readable(
    world, client, given_coverage
) -> None:
    facts, stranger = Facts(), Facts()
    await given_coverage(facts, **COVERED)
    await given_coverage(stranger, **COVERED)
    asked = {
        "patient_id": str(facts.patient_id),
        "practice": {
            "profession": "osteopath",
            "sector": "none",
            "third_party_payment": "none",
            "fee_cents": 6000,
        },
        "care_on": STARTS.date().isoformat(),
    }
    assert (await client.post("/previews", json=asked, headers=PATIENT)).status_code == 201
    await world.hear(facts.requested(), facts.completed(), stranger.requested())

    erased = record(PatientErasedV1(patient_id=facts.patient_id), sequence=9)
    await world.hear(erased, erased)

    async with world.sessions() as session:
        keys = set(await session.execute(select(DataKeyRow.patient_id, DataKeyRow.kind)))
        versions = {row.patient_id: row for row in await session.scalars(select(CoverageVersion))}
        quotes = {row.appointment_id: row for row in await session.scalars(select(Quote))}
        [preview] = await session.scalars(select(Preview))
        care_act = (await session.scalars(select(CareAct))).one()
        with pytest.raises(DataErased):
            await encryption.decrypt_json(
                session,
                world.config,
                facts.patient_id,
                versions[facts.patient_id].encrypted,
                field="coverage",
            )
        kept = await encryption.decrypt_json(
            session,
            world.config,
            facts.patient_id,
            care_act.insured_encrypted,
            field="insured-person",
            kept=True,
        )
    assert keys == {
        (facts.patient_id, "kept"),
        (stranger.patient_id, "erasable"),
    }
    gone, left = versions[facts.patient_id], versions[stranger.patient_id]
    assert (gone.nir_index, gone.member_index) == (None, None)
    assert (left.nir_index is not None, left.member_index is not None) == (True, True)
    assert [preview.inputs_index, quotes[facts.appointment_id].inputs_index] == [b"", b""]
    assert len(quotes[stranger.appointment_id].inputs_index) == 32
    assert NIR in str(kept)
