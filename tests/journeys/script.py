"""The journeys of the demonstration, as what people do in them one after the other."""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final
from uuid import UUID, uuid4

from journeys.order import Act, Chance, Order, in_order
from journeys.world import Practitioner, World
from local.journeys.script import CARD, JOURNEYS, Journey, nir_of

AHEAD: Final = timedelta(hours=5)
NOTICE: Final = timedelta(hours=3)
VISIT: Final = timedelta(minutes=9)
RUN: Final = 1
_VISITS_EACH: Final = 4  # a day: from the fifth on the fund keeps back less
_CHANGING: Final = frozenset({"9", "10", "corrected", "dearer", "dearer, accepted", "dearer than nothing"})
_DOCTOR: Final = {
    "profession": "physician",
    "specialty": "05",  # no supplement at night or on a Sunday: a visit has one price at any hour
    "sector": "s1",
    "third_party_payment": "full",
    "fee_cents": 2500,
    "billing_number": "296991102",
    "title": "Docteur",
}
_PSYCHOLOGIST: Final = {
    "profession": "psychologist",
    "specialty": "00",
    "sector": "none",
    "third_party_payment": "none",
    "fee_cents": 6000,
    "billing_number": None,
    "title": "",
}
_PRACTITIONERS: Final = {
    "gp": _DOCTOR,
    "direct-gp": _DOCTOR | {"third_party_payment": "none"},
    "psychologist": _PSYCHOLOGIST,
}
_BOOKING, _PAYMENT, _DOCUMENTS = (frozenset({each}) for each in ("booking", "payment", "documents"))
_BOTH: Final = _BOOKING | _PAYMENT
BY_NUMBER: Final = {journey.number: journey for journey in JOURNEYS}


@dataclass
class Case:
    """A patient of a journey, with everything that is known of them, before the first card and booking."""

    world: World
    journey: Journey
    practitioner: Practitioner
    began_at: datetime
    account: UUID
    patient: UUID
    appointment: UUID | None = None
    moved_by: timedelta = timedelta()

    @property
    def booked_at(self) -> datetime:
        """The time that is booked first."""
        return self.began_at + AHEAD

    @property
    def visit_at(self) -> datetime:
        return self.booked_at + self.moved_by

    @property
    def member_number(self) -> str:
        """Of a person, so that their insurer can be scripted."""
        return f"{self.patient.int % 10**12:012d}"

    # --- what people do -----------------------------------------------------------------------------------

    async def as_patient(self, method: str, path: str, body: Any = None) -> Any:
        return await self.world.call(method, path, body, role="patient", subject=self.account)

    async def as_doctor(self, method: str, path: str, body: Any = None) -> Any:
        doctor = self.practitioner
        return await self.world.call(
            method, path, body, role="practitioner", subject=doctor.id, rpps=doctor.rpps
        )

    async def save_card(self, number: str | None = None) -> None:
        mandate = {"text_version": "2026-01", "accepted": True, "ceiling_cents": 3000}
        token = await self.world.token(number or self.journey.card)
        await self.as_patient("POST", "/payment/v1/cards", {"provider_token": token, "mandate": mandate})

    async def cover(self, *, nir: bool, amc: str | None = None) -> None:
        number = {"contracted": "99100001", "not-contracted": "99100004", None: None}[amc or self.journey.amc]
        member = {"number": number, "member_number": self.member_number} if number else None
        body = {
            "nir": nir_of(self.journey, RUN) if nir else None,
            "birth_date": self.journey.born_on,
            "insured": "yes",
            "amc": member,
            "amc_status_declared": "none",
            "exemptions": [{"kind": "ald", "from": "2020-01-01", "to": None}] if self.journey.ald else [],
            "scheme": "general",
            "sponsor_code": None,
        }
        await self.as_patient("PUT", f"/claims/v1/patients/{self.patient}/coverage", body)

    async def book(self, order: Order) -> None:
        asked = {"pathway": "regular-doctor", "territory": "near", "exemption_related": self.journey.ald}
        preview = await self.as_patient(
            "POST",
            "/claims/v1/previews",
            {
                "practitioner_id": str(self.practitioner.id),
                "care_on": self.booked_at.date().isoformat(),
                "patient_id": str(self.patient),
                **asked,
            },
        )
        body = {
            "offer_id": str(self.practitioner.offers[self.booked_at]),
            "patient_id": str(self.patient),
            "reason_code": self.journey.reason,
            "preview_id": preview["id"],
            **asked,
        }
        made = await self.as_patient("POST", "/booking/v1/appointments", body)
        self.appointment = order.appointment_id = UUID(made["id"])
        order.names[self.appointment] = "appointment"

    async def answer_challenge(self) -> None:
        url = await self._asked()
        assert url is not None
        await self.world.answer_challenge(url, accepted=self.journey.accepts_challenge)

    async def cancel(self) -> None:
        await self.as_patient("POST", f"/booking/v1/appointments/{self.appointment}/cancellation")

    async def move(self, *, by: timedelta) -> None:
        body = {"offer_id": str(self.practitioner.offers[self.booked_at + by])}
        await self.as_patient("POST", f"/booking/v1/appointments/{self.appointment}/move", body)

    async def accept_price(self) -> None:
        path = f"/payment/v1/appointments/{self.appointment}/price-acceptance"
        await self.as_patient("POST", path, {"advance_cents": self.practitioner.fee_cents})

    async def correct(self) -> None:
        leg_id = await self.world.lens("claims").fetchval(
            "SELECT id FROM leg WHERE appointment_id = $1 AND state = 'rejected'", self.appointment
        )
        path = f"/claims/v1/appointments/{self.appointment}/legs/{leg_id}/correction"
        await self.as_patient("POST", path)

    async def nothing(self) -> None:
        """They only look."""

    async def start(self) -> None:
        await self.as_doctor("POST", f"/booking/v1/appointments/{self.appointment}/start")

    async def declare_unsuitable(self) -> None:
        await self.as_doctor("POST", f"/booking/v1/appointments/{self.appointment}/unsuitable")

    async def prescribe(self, body: Any) -> None:
        await self.as_doctor("POST", f"/documents/v1/appointments/{self.appointment}/prescriptions", body)

    async def complete(self) -> None:
        is_doctor = self.journey.practitioner != "psychologist"
        body = {
            "acts": [{"code": "TCS"}] if is_doctor else [],
            "fee_cents": self.practitioner.fee_cents,
            "overrun_qualifier": None,
            "outcome": "treated" if is_doctor else "advice-given",
            "exemption_related": self.journey.ald,
            "pathway": None,
        }
        await self.as_doctor("POST", f"/booking/v1/appointments/{self.appointment}/completion", body)

    # --- what they see ------------------------------------------------------------------------------------

    async def always(self) -> bool:
        return True

    async def is_confirmed(self) -> bool:
        status = await self.world.lens("booking").fetchval(
            "SELECT status FROM appointment WHERE id = $1", self.appointment
        )
        assert status in {"requested", "confirmed"}, f"the appointment is {status}"
        return bool(status == "confirmed")

    async def is_settled_before(self) -> bool:
        """Confirmed, and payment knows: hours go by now, and it would give up waiting after 25 minutes."""
        return await self.is_confirmed() and await self._payment_knows()

    async def is_asked_for_more(self) -> bool:
        action = await self.world.lens("payment").fetchval(
            "SELECT action FROM stream WHERE id = $1", self.appointment
        )
        return bool(action == "price-above-preview")

    async def is_asked_no_more(self) -> bool:
        return not await self.is_asked_for_more()

    async def is_held_again(self) -> bool:
        status = await self.world.lens("payment").fetchval(
            "SELECT status FROM hold WHERE appointment_id = $1 AND attempt = 2", self.appointment
        )
        return bool(status == "held")

    async def is_rejected(self) -> bool:
        return bool(
            await self.world.lens("claims").fetchval(
                "SELECT count(*) FROM leg WHERE appointment_id = $1 AND state = 'rejected'", self.appointment
            )
        )

    async def _payment_knows(self) -> bool:
        return bool(
            await self.world.lens("payment").fetchval(
                "SELECT confirmed_at IS NOT NULL FROM stream WHERE id = $1", self.appointment
            )
        )

    async def may_write(self) -> bool:
        visit = await self.world.lens("documents").fetchval(
            "SELECT visit FROM stream WHERE id = $1 AND profession IS NOT NULL", self.appointment
        )
        return visit in {"started", "completed"}

    async def is_challenged(self) -> bool:
        return await self._asked() is not None

    async def _asked(self) -> str | None:
        url: str | None = await self.world.lens("payment").fetchval(
            "SELECT action_url FROM hold WHERE appointment_id = $1 AND status = 'action-required'",
            self.appointment,
        )
        return url


Acts = Callable[[Case, Order], deque[Act]]


def acts_of(case: Case, order: Order) -> deque[Act]:
    """What people do in the journeys of the demonstration."""
    journey = case.journey
    acts = deque(
        [
            Act("save a card", case.save_card, case.always),
            Act("book", lambda: case.book(order), case.always),
        ]
    )
    if journey.card != CARD:
        acts.append(Act("answer the challenge", case.answer_challenge, case.is_challenged, _PAYMENT))
    if journey.nir_added_later:
        acts.append(Act("add the NIR", lambda: case.cover(nir=True), case.is_confirmed, _BOOKING))
    acts.extend(_endings(case))
    return acts


def _endings(case: Case) -> list[Act]:
    match case.journey.ending:
        case "refused":
            return []
        case "cancelled":
            return [Act("cancel", case.cancel, case.is_settled_before, _BOTH, case.visit_at - NOTICE)]
        case "unsuitable":
            return [Act("unsuitable", case.declare_unsuitable, case.is_settled_before, _BOTH, case.visit_at)]
        case "completed":
            return visit(case)


def visit(case: Case) -> list[Act]:
    written = [
        Act("prescribe", partial(case.prescribe, body), case.may_write, _DOCUMENTS)
        for body in case.journey.prescriptions
    ]
    return [
        Act("start", case.start, case.is_settled_before, _BOTH, case.visit_at),
        *written,
        Act("complete", case.complete, case.always, at=case.visit_at + VISIT),
    ]


@dataclass(frozen=True, slots=True)
class Story:
    """A journey with what people do in it."""

    name: str
    journey: Journey
    acts: Acts = acts_of


async def begin(world: World, story: Story) -> Case:
    """The people of a journey, known to every service; the clock at the time of their booking.

    They come again and again, unless something of them changes on the way.
    """
    journey = story.journey
    practitioner = await world.practitioner(story.name, **_PRACTITIONERS[journey.practitioner])
    began_at = world.begin(practitioner)
    if practitioner.patients and practitioner.used % _VISITS_EACH and story.name not in _CHANGING:
        account, patient = practitioner.patients[-1]
        return Case(world, journey, practitioner, began_at, account, patient)
    case = Case(world, journey, practitioner, began_at, uuid4(), uuid4())
    await _register(case)
    practitioner.patients.append((case.account, case.patient))
    return case


async def _register(case: Case) -> None:
    world, journey = case.world, case.journey
    body = {
        "relation": "self",
        "first_names": journey.given_name,
        "birth_name": journey.family_name,
        "birth_date": journey.born_on,
        "sex": journey.sex,
        "address": {"street": "12 rue des Lilas", "postal_code": "75011", "city": "Paris"},
        "phone": "+33 6 12 34 56 78",
        "email": None,
    }
    made = await case.as_patient("POST", "/booking/v1/patients", body)
    case.patient = UUID(made["id"])
    consent = {"text_version": "2026-01", "channel": "app"}
    await case.as_patient("POST", f"/booking/v1/patients/{case.patient}/consents", consent)
    await Order(world, in_order).play()
    await case.cover(nir=journey.nir)


def with_a_dearer_price(case: Case, order: Order) -> deque[Act]:
    """The insured number is withdrawn: the patient would advance more, does not agree, and comes."""
    acts = acts_of(case, order)
    acts.insert(2, Act("withdraw the NIR", partial(case.cover, nir=False), case.is_settled_before, _BOTH))
    acts.insert(3, Act("see the price", case.nothing, case.is_asked_for_more, _PAYMENT))
    return acts


def with_a_dearer_price_accepted(case: Case, order: Order) -> deque[Act]:
    acts = with_a_dearer_price(case, order)
    acts.insert(4, Act("accept the price", case.accept_price, case.is_asked_for_more, _PAYMENT))
    acts.insert(5, Act("see the hold", case.nothing, case.is_held_again, _PAYMENT))
    return acts


def with_a_move(case: Case, order: Order) -> deque[Act]:
    later = timedelta(minutes=15)
    case.moved_by = later
    acts = acts_of(case, order)
    acts.insert(2, Act("move", partial(case.move, by=later), case.is_settled_before, _BOTH))
    return acts


def with_a_correction(case: Case, order: Order) -> deque[Act]:
    """The complementary insurer rejects its part, and pays it when it is sent again."""
    acts = acts_of(case, order)
    acts.append(Act("correct the claim", case.correct, case.is_rejected, frozenset({"claims"})))
    return acts


STORIES: Final = {journey.number: Story(journey.number, journey) for journey in JOURNEYS} | {
    "dearer": Story("dearer", BY_NUMBER["2"], with_a_dearer_price),
    "dearer than nothing": Story("dearer than nothing", BY_NUMBER["1"], with_a_dearer_price),
    "dearer, accepted": Story("dearer, accepted", BY_NUMBER["2"], with_a_dearer_price_accepted),
    "moved": Story("moved", BY_NUMBER["2"], with_a_move),
    "corrected": Story("corrected", BY_NUMBER["1"], with_a_correction),
}


async def play(
    world: World, story: Story, chance: Chance, *, late: Mapping[str, int] | None = None
) -> tuple[Case, Order]:
    """A story from its first card to its last timer, in the order that `chance` gives."""
    case = await begin(world, story)
    if story.journey.amc_rejects:
        await world.reject(case.member_number)
    if story.acts is with_a_correction:
        await world.reject(case.member_number, times=1)
    order = Order(world, chance, late=late or {})
    order.acts = story.acts(case, order)
    await order.play()
    return case, order
