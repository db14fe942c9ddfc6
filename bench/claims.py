"""(j) Claims from the facts that price them to the payers' money, and what more stored claims make of it."""

from typing import Final

from bench.claims_growth import multiply
from bench.claims_side import Batch, Side, side
from bench.ground import Ground, Scale
from bench.measure import Goal, interleaved
from bench.report import Part

_CLAIMS: Final = 10_000
_STORED: Final = 1_000
_TIMES: Final = 100
_MORE: Final = 500  # claims of one measurement beside the stored ones
_WARM: Final = 40
_WITHIN: Final = 420.0
_GOAL: Final = Goal(1.3, at_least=False)
_STAGES: Final = {"care-act": "priced", "sent": "sent", "acked": "acknowledged", "paid": "paid"}


async def measure(ground: Ground, scale: Scale) -> Part:
    part = Part("j", "claims")
    async with side(ground, "claims") as paying:
        await paying.pay(_WARM, within=_WITHIN)
        batch = await paying.pay(scale.of(_CLAIMS), within=_WITHIN)
        _state(part, batch)
        part.same(**await paying.counts())
    await _grow(part, ground, scale)
    return part


def _state(part: Part, batch: Batch) -> None:
    part.state("claims, from the fact that prices them to paid", "/s", [batch.claims / batch.seconds])
    for name, stage in _STAGES.items():
        part.state(f"  until all {batch.claims:,} are {stage}", "s", [batch.stages[name]])
    part.state("  processor time of the worker, each", "ms", [1000 * batch.worker_seconds / batch.claims])
    part.state("  of the simulated payers, each", "ms", [1000 * batch.payers_seconds / batch.claims])


async def _grow(part: Part, ground: Ground, scale: Scale) -> None:
    """Two workers on databases of their own take turns; each is idle while the other is measured."""
    times, more = max(scale.of(_TIMES), 2), scale.of(_MORE) // 2 * 2
    async with side(ground, "few") as few, side(ground, "many") as many:
        for each in (few, many):
            await each.pay(_STORED, within=_WITHIN)
            await each.told()
        async with many.pool.acquire() as connection:
            await multiply(connection, times)
        await few.pool.execute("VACUUM ANALYZE")

        async def cost(of: Side) -> Batch:
            return await of.pay(more, within=_WITHIN)

        grown, small = await interleaved(lambda: cost(many), lambda: cost(few), repetitions=scale.repetitions)
        what = f"a claim beside {_STORED * times:,} stored ones, to {_STORED:,}"
        part.compare(what, "ms", _each(grown, "seconds"), _each(small, "seconds"), goal=_GOAL)
        part.compare(
            "  of it processor time of the worker",
            "ms",
            _each(grown, "worker_seconds"),
            _each(small, "worker_seconds"),
        )
        part.counts["stored_before"] = await many.pool.fetchval("SELECT count(*) FROM leg") - more * (
            scale.repetitions + 1
        )


def _each(batches: list[Batch], of: str) -> list[float]:
    """Milliseconds a claim."""
    return [1000 * float(getattr(batch, of)) / batch.claims for batch in batches]
