"""Cards on file, later charges under their mandate, refunds, and the erasure of an account."""

from uuid import UUID, uuid4

import pytest

from common.events.booking import PatientErasedV1, PatientLinkedV1, PatientUnlinkedV1
from common.events.claims import BalanceSettledV1
from common.messaging.records import APPLIED, ignored, waiting
from payment.domain.holds import HoldStatus
from payment.models import CardStatus
from support.payments import ASKS_OFF_SESSION, DAY, DECLINED, OK, THREE_D_SECURE, Desk, Visit, timedelta

SECOND = timedelta(seconds=1)


async def test_a_card_is_saved_with_its_mandate_and_without_its_number(desk: Desk) -> None:
    account = uuid4()
    card_id = await desk.save(account)

    [card] = (await desk.get("/cards", account)).json()["items"]

    assert (card["id"], card["status"], card["ready_for_later"]) == (str(card_id), "active", True)
    assert (card["network"], card["last4"], card["expiry_year"]) == ("visa", "4242", 2099)
    assert card["mandate"] == {
        "text_version": "2026-01",
        "reason": "patient-balance",
        "currency": "EUR",
        "ceiling_cents": 5000,
        "within_days": 90,
        "accepted_at": "2030-06-01T09:00:00Z",
    }
    assert "provider_token" not in card


async def test_a_card_that_asks_is_saved_once_its_holder_agrees(desk: Desk) -> None:
    account = uuid4()
    card_id = await desk.save(account, THREE_D_SECURE)
    before = (await desk.get(f"/cards/{card_id}", account)).json()

    await desk.answer(before["action_url"], "accept")
    await desk.settle_down()
    after = (await desk.get(f"/cards/{card_id}", account)).json()

    assert (before["status"], before["ready_for_later"]) == ("action-required", False)
    assert (after["status"], after["ready_for_later"], after["action_url"]) == ("active", True, None)


async def test_a_token_the_provider_does_not_know_is_refused(desk: Desk) -> None:
    account = uuid4()
    body = {
        "provider_token": "tok_unknown",
        "mandate": {"text_version": "2026-01", "accepted": True, "ceiling_cents": 1},
    }

    card_id = (await desk.post("/cards", body, account)).json()["id"]
    await desk.settle_down()

    assert (await desk.get(f"/cards/{card_id}", account)).json()["status"] == "refused"


async def test_a_card_belongs_to_its_account(desk: Desk) -> None:
    owner, stranger, visit = uuid4(), uuid4(), Visit()
    card_id = await desk.save(owner)
    await desk.hear(visit.quote(750))

    read = await desk.get(f"/cards/{card_id}", stranger)
    removed = await desk.delete(f"/cards/{card_id}", stranger)
    chosen = await desk.post(f"/appointments/{visit.id}/card", {"card_id": str(card_id)}, visit.account)

    assert [each.status_code for each in (read, removed, chosen)] == [404, 404, 404]
    assert (await desk.card(card_id)).status is CardStatus.ACTIVE


async def test_a_removed_card_is_deleted_at_the_provider_and_used_no_more(desk: Desk) -> None:
    visit = Visit()
    card_id = await desk.save(visit.account)

    answers = [await desk.delete(f"/cards/{card_id}", visit.account) for _ in range(2)]
    await desk.settle_down()
    await desk.hear(visit.quote(750))

    assert [each.status_code for each in answers] == [204, 204]
    card = await desk.card(card_id)
    assert (card.status, card.last4, card.forgotten_at is not None) == (CardStatus.REMOVED, None, True)
    assert ("DELETE", f"/methods/{card.provider_token}") in desk.wire.sent
    assert (await desk.payment(visit))["action"]["kind"] == "card-missing"


async def given_a_visit_that_took_place(desk: Desk, number: str = OK, **mandate: object) -> Visit:
    visit = Visit()
    await desk.save(visit.account, number, **mandate)  # type: ignore[arg-type]
    await desk.hear(visit.quote(0), visit.confirmed())
    desk.wait_until(visit.ends_at)
    await desk.hear(visit.priced(0))
    return visit


async def test_a_balance_is_charged_under_the_mandate_as_a_charge_of_its_own(desk: Desk) -> None:
    visit = await given_a_visit_that_took_place(desk)
    balance = visit.balance(750)

    outcomes = await desk.hear(balance, balance)
    await desk.settle_down()

    assert outcomes == [APPLIED, ignored("balance-known")]
    assert await desk.facts(visit) == ["hold-waived", "balance-charged"]
    [charged] = await desk.bodies(visit, "balance-charged")
    assert (UUID(charged["balance_id"]), charged["amount_cents"]) == (balance.balance_id, 750)
    assert await desk.holds(visit) == []
    assert await desk.ledger_difference() == 0


@pytest.mark.parametrize(
    ("number", "mandate", "cents", "reason"),
    [
        (OK, {"accepted": False}, 750, "no-mandate"),
        (OK, {"ceiling": 749}, 750, "above-ceiling"),
        (DECLINED, {}, 750, "declined"),
        (ASKS_OFF_SESSION, {}, 750, "action-required"),
        (THREE_D_SECURE, {}, 750, "no-mandate"),  # never agreed to at the bank
    ],
)
async def test_a_balance_no_mandate_covers_is_not_charged(
    desk: Desk, number: str, mandate: dict[str, object], cents: int, reason: str
) -> None:
    visit = await given_a_visit_that_took_place(desk, number, **mandate)

    await desk.hear(visit.balance(cents))
    await desk.settle_down()

    assert await desk.facts(visit) == ["hold-waived", "balance-charge-failed"]
    assert (await desk.bodies(visit, "balance-charge-failed"))[0]["reason"] == reason
    assert (await desk.books.totals())["captured_cents"] == 0
    assert await desk.ledger_difference() == 0


async def test_a_balance_that_is_only_shown_is_never_charged(desk: Desk) -> None:
    visit = await given_a_visit_that_took_place(desk)

    await desk.hear(visit.balance(750, collect=False))
    await desk.settle_down()

    assert await desk.facts(visit) == ["hold-waived"]
    assert (await desk.books.totals())["payments"] == 0


async def test_a_mandate_ends_after_its_delay_and_at_its_ceiling(desk: Desk) -> None:
    visit = await given_a_visit_that_took_place(desk, ceiling=1000)

    await desk.hear(visit.balance(600))
    await desk.settle_down()
    desk.wait(SECOND)
    await desk.hear(visit.balance(600).model_copy(update={"balance_id": uuid4()}))
    await desk.settle_down()
    desk.wait(91 * DAY)
    await desk.hear(visit.balance(1).model_copy(update={"balance_id": uuid4()}))
    await desk.settle_down()

    failed = await desk.bodies(visit, "balance-charge-failed")
    assert [each["reason"] for each in failed] == ["above-ceiling", "no-mandate"]
    assert len(await desk.bodies(visit, "balance-charged")) == 1


async def test_a_charge_whose_answer_was_lost_is_made_once(desk: Desk) -> None:
    visit = await given_a_visit_that_took_place(desk)
    await desk.play(muted=True)
    await desk.hear(visit.balance(750))
    desk.wire.cut = 1

    first = await desk.work()
    desk.wait(SECOND)
    second = await desk.work()

    assert (first, second) == ([("charge-balance", "retry")], [("charge-balance", "done")])
    assert (await desk.books.totals())["captured_cents"] == 750
    assert await desk.facts(visit) == ["hold-waived", "balance-charged"]


@pytest.mark.parametrize("first", ["opened", "settled"])
async def test_a_balance_a_payer_settles_is_not_charged(desk: Desk, first: str) -> None:
    visit = await given_a_visit_that_took_place(desk)
    opened = visit.balance(750)
    about = opened.model_dump(include=set(BalanceSettledV1.model_fields))
    settled = BalanceSettledV1(**about, settled_by="payer")

    outcomes = await desk.hear(*([opened, settled] if first == "opened" else [settled, opened]))
    await desk.settle_down()

    assert outcomes == (
        [APPLIED, APPLIED] if first == "opened" else [waiting("balance-opened"), ignored("balance-settled")]
    )
    assert await desk.facts(visit) == ["hold-waived"]
    assert (await desk.books.totals())["payments"] == 0


async def test_a_refund_gives_back_what_was_captured_and_no_cent_more(desk: Desk) -> None:
    visit = Visit()
    await desk.held(visit, 2500)
    await desk.hear(visit.priced(2500))
    await desk.settle_down()
    path = f"/appointments/{visit.id}/refunds"

    async def refund(
        cents: int, *, role: str = "support", key: str | None = None
    ) -> tuple[int, dict[str, str]]:
        answer = await desk.post(path, {"amount_cents": cents}, visit.account, role=role, key=key)
        return answer.status_code, answer.json()

    first = await refund(1000, key="one")
    again = await refund(1000, key="one")
    above = await refund(1501)
    rest = await refund(1500)
    patient = await refund(1, role="patient")
    await desk.settle_down()

    assert (first[0], first[1]["status"], again[1]["id"]) == (201, "pending", first[1]["id"])
    assert (above[0], above[1]["type"]) == (409, "urn:problem:refund-above-captured")
    assert (rest[0], patient[0]) == (201, 403)
    assert await desk.amounts(visit) == [("captured", 2500, 2500, 0, 2500)]
    assert await desk.facts(visit) == ["hold-placed", "captured", "refund-made", "refund-made"]
    assert (await desk.payment(visit))["refunded_cents"] == 2500
    listed = (await desk.get(path, visit.account)).json()["items"]
    assert {(each["amount_cents"], each["status"]) for each in listed} == {(1000, "made"), (1500, "made")}
    assert await desk.ledger_difference() == 0


async def test_a_later_charge_can_be_refunded_too(desk: Desk) -> None:
    visit = await given_a_visit_that_took_place(desk)
    await desk.hear(visit.balance(750))
    await desk.settle_down()

    answer = await desk.post(
        f"/appointments/{visit.id}/refunds", {"amount_cents": 750}, visit.account, role="administrator"
    )
    await desk.settle_down()

    assert answer.status_code == 201
    assert await desk.facts(visit) == ["hold-waived", "balance-charged", "refund-made"]
    assert await desk.ledger_difference() == 0


async def test_what_was_only_held_cannot_be_refunded(desk: Desk) -> None:
    visit = Visit()
    await desk.held(visit, 750)

    answer = await desk.post(
        f"/appointments/{visit.id}/refunds", {"amount_cents": 1}, visit.account, role="support"
    )

    assert answer.status_code == 409
    assert (await desk.holds(visit))[0].status is HoldStatus.HELD


async def test_the_cards_of_an_account_go_with_its_last_patient(desk: Desk) -> None:
    account, myself, child, former = uuid4(), uuid4(), uuid4(), uuid4()
    card_id = await desk.save(account)
    for patient in (myself, child, former):
        await desk.hear(PatientLinkedV1(patient_id=patient, account_id=account))
    await desk.hear(PatientUnlinkedV1(patient_id=former, account_id=account))

    await desk.hear(PatientErasedV1(patient_id=myself))
    await desk.settle_down()
    kept = await desk.card(card_id)
    await desk.hear(PatientErasedV1(patient_id=child))
    await desk.settle_down()
    gone = await desk.card(card_id)

    assert kept.status is CardStatus.ACTIVE
    assert (gone.status, gone.forgotten_at is not None) == (CardStatus.REMOVED, True)
