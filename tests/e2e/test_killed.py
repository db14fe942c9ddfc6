"""A platform that is killed in the middle resumes its journeys: once here, many times in `make drill`."""

import random
from pathlib import Path

from local import postgres
from local.configuration import SERVICES
from local.drill import Drilled
from local.soundness import count


async def test_a_killed_platform_resumes_its_journeys_and_nothing_is_lost(tmp_path: Path) -> None:
    platform = Drilled(tmp_path)
    step = random.randrange(10, 110)

    written = await platform.killed_run(step, 0.05)
    status = await platform.resumed_run()

    assert status == 0, f"killed after step {written}: {platform.said()}"
    database = postgres.start(tmp_path / "postgres")
    try:
        counts = await count({name: database.dsn(name) for name in (*SERVICES, "simulators")})
    finally:
        database.stop()
    assert counts.is_sound, f"killed after step {written}: {counts}"
