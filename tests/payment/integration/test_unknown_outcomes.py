"""A lost answer, a kill between call and record, a provider that is away: never two holds."""

import pytest
from sqlalchemy import text

from common.messaging.task_worker import lease
from payment import tasks as payment_tasks
from payment.domain.holds import HoldStatus
from payment.tasks import tasks
from payment.usecases import holds
from support.payments import THREE_D_SECURE, Desk, Visit, timedelta

SECOND = timedelta(seconds=1)


async def test_a_lost_answer_is_asked_for_by_our_own_reference(desk: Desk) -> None:
    visit = Visit()
    await desk.save(visit.account)
    await desk.hear(visit.quote(750))
    desk.wire.cut, desk.wire.sent[:] = 1, []
    await desk.play(muted=True)

    first = await desk.work()
    [unknown] = await desk.holds(visit)
    before = await desk.payment(visit)
    desk.wait(SECOND)
    second = await desk.work()

    assert (first, second) == ([("place-hold", "retry")], [("place-hold", "done")])
    assert (unknown.status, before["status"]) == (HoldStatus.UNKNOWN, "hold-pending")
    assert desk.wire.sent == [("POST", "/payments"), ("GET", "/payments")]
    assert await desk.facts(visit) == ["hold-placed"]
    assert (await desk.books.totals())["payments"] == 1


async def test_a_provider_that_was_away_is_asked_again_under_the_same_key(desk: Desk) -> None:
    visit = Visit()
    await desk.save(visit.account)
    await desk.hear(visit.quote(750))
    desk.wire.down = 3

    outcomes = []
    for _ in range(5):
        outcomes += await desk.work()
        desk.wait(5 * SECOND)

    assert outcomes == [*[("place-hold", "retry")] * 3, ("place-hold", "done")]
    assert await desk.facts(visit) == ["hold-placed"]
    assert (await desk.books.totals())["payments"] == 1


async def test_a_worker_killed_after_the_call_holds_nothing_twice(desk: Desk) -> None:
    """The task is leased and the provider called; nothing of it is recorded. Another worker takes it up."""
    visit = Visit()
    await desk.save(visit.account)
    await desk.hear(visit.quote(750))
    [leased] = await lease(tasks, desk.sessions, clock=desk.clock, limit=1, worker=1)
    async with desk.sessions.begin() as session:
        order = await holds.begin_hold(session, (await desk.holds(visit))[0].id, now=desk.now)
    assert order is not None
    await payment_tasks._placed(desk.resources.provider, order)  # noqa: SLF001  the call and nothing after it

    async with desk.sessions.begin() as session:  # as any living worker does with the leases of the dead
        await session.execute(
            text("UPDATE task SET lease_token = NULL, lease_until = NULL, lease_worker = NULL")
        )
    done = await desk.work()

    assert (leased.kind, done[0]) == ("place-hold", ("place-hold", "done"))
    assert (await desk.books.totals())["payments"] == 1
    assert await desk.amounts(visit) == [("held", 750, 0, 0, 0)]
    assert await desk.facts(visit) == ["hold-placed"]


@pytest.mark.parametrize("kind", ["capture", "release"])
async def test_a_capture_or_a_release_with_a_lost_answer_is_done_once(desk: Desk, kind: str) -> None:
    visit = Visit()
    await desk.held(visit, 2500)
    await desk.play(muted=True)
    await desk.hear(visit.priced(750) if kind == "capture" else visit.cancelled())
    desk.wire.cut = 1

    first = await desk.work()
    desk.wait(SECOND)
    second = await desk.work()

    assert (first, second) == ([("settle-hold", "retry")], [("settle-hold", "done")])
    expected = ("captured", 2500, 750, 1750, 0) if kind == "capture" else ("voided", 2500, 0, 2500, 0)
    assert await desk.amounts(visit) == [expected]
    assert len(await desk.facts(visit)) == 2
    assert await desk.ledger_difference() == 0


async def test_a_cancellation_while_the_outcome_is_unknown_releases_what_was_held(desk: Desk) -> None:
    visit = Visit()
    await desk.save(visit.account)
    await desk.play(muted=True)
    await desk.hear(visit.quote(750))
    desk.wire.cut = 1
    await desk.work()

    await desk.hear(visit.cancelled())
    desk.wait(SECOND)
    await desk.work()

    assert await desk.facts(visit) == ["hold-placed", "hold-released"]
    assert await desk.amounts(visit) == [("voided", 750, 0, 750, 0)]
    assert await desk.ledger_difference() == 0


async def test_what_the_provider_never_heard_of_and_nobody_wants_is_withdrawn(desk: Desk) -> None:
    visit = Visit()
    await desk.save(visit.account)
    await desk.hear(visit.quote(750))
    desk.wire.down = 1
    await desk.work()

    await desk.hear(visit.cancelled())
    desk.wait(SECOND)
    await desk.settle_down()

    assert await desk.facts(visit) == []
    assert await desk.amounts(visit) == [("withdrawn", 0, 0, 0, 0)]
    assert (await desk.books.totals())["payments"] == 0


async def test_an_outage_beyond_the_time_to_decide_holds_nothing(desk: Desk) -> None:
    visit = Visit()
    await desk.save(visit.account)
    await desk.hear(visit.quote(750))
    desk.wire.down = 1
    await desk.work()

    desk.wait_until(visit.decide_by)
    await desk.settle_down()

    assert await desk.facts(visit) == ["hold-failed"]
    assert (await desk.books.totals())["payments"] == 0


async def test_an_appointment_that_ends_while_the_patient_is_asked_is_let_go(desk: Desk) -> None:
    visit = Visit()
    await desk.save(visit.account, THREE_D_SECURE)
    await desk.hear(visit.quote(750))
    await desk.settle_down()
    url = (await desk.payment(visit))["action"]["url"]

    await desk.hear(visit.cancelled())
    await desk.settle_down()

    assert await desk.answer(url, "accept") == 409
    assert await desk.facts(visit) == ["hold-action-required"]
    assert await desk.amounts(visit) == [("failed", 0, 0, 0, 0)]


async def test_a_challenge_accepted_after_the_cancellation_is_released(desk: Desk) -> None:
    visit = Visit()
    await desk.save(visit.account, THREE_D_SECURE)
    await desk.hear(visit.quote(750))
    await desk.settle_down()
    url = (await desk.payment(visit))["action"]["url"]

    await desk.hear(visit.cancelled())
    await desk.answer(url, "accept")
    await desk.webhooks()
    await desk.settle_down()

    assert await desk.facts(visit) == ["hold-action-required", "hold-placed", "hold-released"]
    assert (await desk.books.totals())["live_holds"] == 0
    assert await desk.ledger_difference() == 0


async def test_entries_of_the_ledger_can_neither_be_changed_nor_be_uneven(desk: Desk) -> None:
    visit = Visit()
    await desk.held(visit, 750)
    change = "UPDATE ledger_entry SET amount_cents = 1"
    uneven = """
        INSERT INTO ledger_entry (journal, account, amount_cents, currency, appointment_id, at)
        SELECT 'uneven', 'fees', 1, 'EUR', id, '2030-06-01T09:00:00Z' FROM stream LIMIT 1
    """

    for statement, words in ((change, "never changed"), (uneven, "does not sum to zero")):
        with pytest.raises(Exception, match=words):
            async with desk.sessions.begin() as session:
                await session.execute(text(statement))
