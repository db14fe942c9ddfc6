"""Plays the journeys in the order of the clock: book, change one's mind, visit, wait for the payers."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID, uuid4, uuid5

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from claims.domain.tables import load_tables
from local.configuration import CARD_PROVIDER
from local.journeys import bodies
from local.journeys.api import Api, JourneyFailed, Person, Refused
from local.journeys.diary import Diary
from local.journeys.report import Outcome, read_outcome
from local.journeys.script import JOURNEYS, Journey
from local.platform import Platform
from local.simulators import CONTROLS

_POLL_SECONDS: Final = 0.05
_PATIENCE_SECONDS: Final = 90
_ENDS: Final = {"provider": {"paid", "rejected"}, "insured": {"acked"}}  # by whom the payer pays


async def play(platform: Platform, console: Console, *, again: bool = False) -> list[tuple[Journey, Outcome]]:
    """Every journey to its end, those of a killed run from where they were; what the API tells of them."""
    diary = Diary(platform.directory / "journeys.jsonl")
    run: int = diary["run"] if "run" in diary else 0  # noqa: SIM401 - a diary is no dict
    finished = f"{run}.finished" in diary
    if run == 0 or (again and finished):
        run += 1
        diary.note("run", result=run)
        finished = False
    api = Api(platform.addresses)
    try:
        player = _Player(platform, api, diary, run)
        if finished:
            console.print(f"the journeys of run {run} are here already; AGAIN=1 plays them anew")
        else:
            columns = (TextColumn("{task.description:28}"), BarColumn(), MofNCompleteColumn())
            with Progress(*columns, console=console) as progress:
                await player.play(progress)
            diary.note(f"{run}.finished", result="yes")
        return await player.read()
    finally:
        await api.aclose()


class _Player:
    def __init__(self, platform: Platform, api: Api, diary: Diary, run: int) -> None:
        self._platform = platform
        self._api = api
        self._diary = diary
        self._run = run
        self._practitioners: dict[str, Any] = {}

    async def play(self, progress: Progress) -> None:
        total = len(JOURNEYS)
        await self._each(progress, "people and agendas", list(bodies.PRACTITIONERS), self._practitioner)
        first = await self._once("first-visit", self._first_visit)
        await self._each(progress, "book", JOURNEYS, lambda journey: self._book(journey, _instant(first)))
        cancelled = [journey for journey in JOURNEYS if journey.ending == "cancelled"]
        await self._each(progress, "cancel in time", cancelled, self._cancel)
        changed = [journey for journey in JOURNEYS if journey.nir_added_later]
        await self._each(progress, "add an insured number", changed, self._add_nir)
        visits = [journey for journey in JOURNEYS if journey.ending in {"completed", "unsuitable"}]
        visits.sort(key=lambda journey: str(self._appointment(journey)["starts_at"]))
        task = progress.add_task("visit", total=len(visits))
        for journey in visits:  # one after the other: the clock goes one way
            await self._visit(journey)
            progress.advance(task)
        await self._each(progress, "payers, card, documents", JOURNEYS, self._settle)
        progress.add_task("journeys complete", total=total, completed=total)

    async def read(self) -> list[tuple[Journey, Outcome]]:
        folder = self._platform.directory / "documents" / str(self._run)
        folder.mkdir(parents=True, exist_ok=True)
        return [
            (journey, await read_outcome(self._api, journey, self._appointment(journey), folder))
            for journey in JOURNEYS
        ]

    async def _each(
        self,
        progress: Progress,
        title: str,
        items: Any,
        do: Callable[[Any], Awaitable[None]],
    ) -> None:
        task = progress.add_task(title, total=len(items))

        async def one(item: Any) -> None:
            await do(item)
            progress.advance(task)

        await asyncio.gather(*[one(item) for item in items])

    # people

    async def _practitioner(self, kind: str) -> None:
        admin = self._api.administrator(str(await self._diary.once("administrator", _new_id)))
        described = bodies.practitioner(kind)

        async def create() -> Any:
            made = await admin.post("/booking/v1/practitioners", described, key=f"practitioner-{kind}")
            await admin.put(f"/booking/v1/practitioners/{made['id']}/agenda", bodies.agenda())
            return {"id": made["id"], "subject": str(uuid4())}

        made = await self._diary.once(f"practitioner.{kind}", create)
        self._practitioners[kind] = made | {
            "api": self._api.practitioner(made["subject"], str(described["rpps"]))
        }

    async def _first_visit(self) -> str:
        holidays = load_tables().public_holidays
        return bodies.first_visit(self._platform.clock.now(), holidays=holidays).isoformat()

    # booking

    async def _book(self, journey: Journey, first: datetime) -> None:
        account = str(await self._once(journey, "account", _new_id))
        me = self._api.patient(account)
        patient = await self._once(journey, "patient", lambda: self._register(me, journey))
        await self._once(journey, "coverage", lambda: self._cover(me, journey, patient, nir=journey.nir))
        await self._once(journey, "card", lambda: self._save_card(me, journey))
        if journey.amc_rejects:
            await self._once(journey, "script", lambda: self._script_reject(journey))
        preview = await self._once(journey, "preview", lambda: self._preview(me, journey, patient, first))
        appointment = await self._once(
            journey, "appointment", lambda: self._request(me, journey, patient, preview, account, first)
        )
        if journey.card != JOURNEYS[0].card:
            await self._once(journey, "challenge", lambda: self._answer_challenge(me, journey, appointment))
        wanted = {"abandoned"} if journey.ending == "refused" else {"confirmed"}
        await self._once(journey, "decided", lambda: self._until(me, appointment, wanted))

    async def _register(self, me: Person, journey: Journey) -> str:
        made = await me.post(
            "/booking/v1/patients", bodies.patient(journey), key=self._key(journey, "patient")
        )
        path = f"/booking/v1/patients/{made['id']}/consents"
        await me.post(path, bodies.CONSENT, key=self._key(journey, "consent"))
        return str(made["id"])

    async def _cover(self, me: Person, journey: Journey, patient: str, *, nir: bool) -> int:
        number = None
        if journey.amc is not None:
            listed = await me.get("/claims/v1/amc-directory", q="99100")
            contracted = journey.amc == "contracted"
            number = next(each["number"] for each in listed["items"] if each["contracted"] is contracted)
        body = bodies.coverage(journey, self._run, nir=nir, amc_number=number)
        return int((await me.put(f"/claims/v1/patients/{patient}/coverage", body))["version"])

    async def _save_card(self, me: Person, journey: Journey) -> str:
        # Noted before it is used: after a kill the same request has to come with the same token.
        token = await self._once(journey, "card-token", lambda: self._tokenise(journey))
        body = {"provider_token": token, "mandate": bodies.MANDATE}
        return str((await me.post("/payment/v1/cards", body, key=self._key(journey, "card")))["id"])

    async def _tokenise(self, journey: Journey) -> str:
        made = await self._outside("POST", f"{CARD_PROVIDER}/tokens", bodies.card(journey))
        return str(made["token"])

    async def _script_reject(self, journey: Journey) -> bool:
        await self._outside("POST", f"{CONTROLS}/payers/scripts", bodies.rejection(journey, self._run))
        return True

    async def _preview(self, me: Person, journey: Journey, patient: str, first: datetime) -> Any:
        wanted = first + bodies.APART * JOURNEYS.index(journey)
        body = {
            "practitioner_id": self._practitioners[journey.practitioner]["id"],
            "starts_at": wanted.isoformat(),
            "patient_id": patient,
            **bodies.care(journey),
        }
        return (await me.post("/claims/v1/previews", body, key=self._key(journey, "preview")))["id"]

    async def _request(
        self, me: Person, journey: Journey, patient: str, preview: str, account: str, first: datetime
    ) -> Any:
        practitioner = self._practitioners[journey.practitioner]
        path = f"/booking/v1/practitioners/{practitioner['id']}/offers"
        # a quarter of an hour of its own, or the next one when somebody was quicker
        wanted = first + bodies.APART * JOURNEYS.index(journey)
        listed = await me.get(path, **{"from": wanted.isoformat(), "limit": 20})
        for number, offer in enumerate(listed["items"]):
            body = {
                "offer_id": offer["id"],
                "patient_id": patient,
                "reason_code": journey.reason,
                "preview_id": preview,
                **bodies.care(journey),
            }
            key = self._key(journey, f"appointment-{number}-{offer['id']}")
            try:
                made = await me.post("/booking/v1/appointments", body, key=key, wait=5)
            except Refused as refused:
                if refused.code != "time-taken":
                    raise
                continue
            kept = ("id", "starts_at", "ends_at")
            return {name: made[name] for name in kept} | {"account_id": account, "offer_id": offer["id"]}
        raise JourneyFailed(f"journey {journey.number}: no free time was found")

    async def _answer_challenge(self, me: Person, journey: Journey, appointment: Mapping[str, Any]) -> bool:
        async def asked() -> str | None:
            payment = await me.get(f"/payment/v1/appointments/{appointment['id']}")
            action = payment["action"]
            return action["url"] if action and action["kind"] == "three-d-secure" else None

        url = await self._eventually(f"journey {journey.number}: 3-D Secure", asked)
        outcome = "accept" if journey.accepts_challenge else "refuse"
        await self._outside("POST", url, {"outcome": outcome})
        return True

    # before the visit

    async def _cancel(self, journey: Journey) -> None:
        appointment = self._appointment(journey)
        await self._clock_at(_instant(appointment["starts_at"]) - bodies.NOTICE)
        me = self._api.patient(appointment["account_id"])
        path = f"/booking/v1/appointments/{appointment['id']}/cancellation"
        await self._once(journey, "cancelled", lambda: self._move(me, path, done="cancelled"))

    async def _add_nir(self, journey: Journey) -> None:
        appointment = self._appointment(journey)
        me = self._api.patient(appointment["account_id"])
        patient = self._diary[self._step(journey, "patient")]
        await self._once(journey, "nir-added", lambda: self._cover(me, journey, patient, nir=True))

    # the visit

    async def _visit(self, journey: Journey) -> None:
        appointment = self._appointment(journey)
        path = f"/booking/v1/appointments/{appointment['id']}"
        doctor: Person = self._practitioners[journey.practitioner]["api"]
        starts_at = _instant(appointment["starts_at"])
        await self._clock_at(starts_at)
        if journey.ending == "unsuitable":
            await self._once(
                journey, "ended", lambda: self._move(doctor, f"{path}/unsuitable", done="not-billed")
            )
            return
        await self._once(journey, "started", lambda: self._move(doctor, f"{path}/start", done="started"))
        for number, prescription in enumerate(journey.prescriptions):
            where = f"/documents/v1/appointments/{appointment['id']}/prescriptions"
            key = self._key(journey, f"prescription-{number}")
            await self._once(
                journey,
                f"prescription-{number}",
                lambda b=prescription, w=where, k=key: self._id(doctor, w, b, k),
            )
        await self._clock_at(starts_at + bodies.VISIT)
        completion = bodies.completion(journey)
        done = lambda: self._move(doctor, f"{path}/completion", completion, done="completed")  # noqa: E731
        await self._once(journey, "ended", done)

    async def _settle(self, journey: Journey) -> None:
        """Until the payers, the card and the documents have come to an end."""
        appointment = self._appointment(journey)
        me = self._api.patient(appointment["account_id"])
        await self._once(
            journey,
            "settled",
            lambda: self._eventually(
                f"journey {journey.number} to settle", lambda: self._is_settled(me, journey, appointment)
            ),
        )

    async def _is_settled(self, me: Person, journey: Journey, appointment: Mapping[str, Any]) -> bool:
        payment = await me.get(f"/payment/v1/appointments/{appointment['id']}")
        if payment["held_cents"] != payment["captured_cents"] + payment["released_cents"]:
            return False
        if journey.ending != "completed":
            return True
        care = await me.get(f"/claims/v1/appointments/{appointment['id']}/care-act")
        if any(leg["state"] not in _ENDS[leg["paid_to"]] for leg in care["legs"]):
            return False
        due = care["price"]["advance_cents"]
        if payment["captured_cents"] != due:
            return False
        listed = await me.get(
            f"/documents/v1/patients/{self._diary[self._step(journey, 'patient')]}/documents"
        )
        kinds = [each["kind"] for each in listed["items"] if each["status"] == "issued"]
        return len(kinds) - kinds.count("prescription") >= 1 and kinds.count("prescription") >= len(
            journey.prescriptions
        )

    # small things

    def _step(self, journey: Journey, step: str) -> str:
        return f"{self._run}.{journey.number}.{step}"

    def _key(self, journey: Journey, step: str) -> str:
        """The same for the same step of the same run on these data, and for nothing else."""
        return str(uuid5(UUID(self._diary["administrator"]), self._step(journey, step)))

    async def _once(self, about: Journey | str, *rest: Any) -> Any:
        if isinstance(about, Journey):
            step, do = rest
            return await self._diary.once(self._step(about, step), do)
        return await self._diary.once(f"{self._run}.{about}", rest[0])

    def _appointment(self, journey: Journey) -> Any:
        return self._diary[self._step(journey, "appointment")]

    async def _id(self, person: Person, path: str, body: Any, key: str) -> str:
        return str((await person.post(path, body, key=key, wait=5))["id"])

    async def _move(self, person: Person, path: str, body: Any = None, *, done: str) -> str:
        """A move has no key: where a kill fell between answer and diary, the state says that it was made."""
        try:
            return str((await person.post(path, body))["status"])
        except Refused as refused:
            now = await person.get(path.rpartition("/")[0])
            if refused.status == 409 and now["status"] == done:  # noqa: PLR2004
                return done
            raise

    async def _until(self, me: Person, appointment: Mapping[str, Any], wanted: set[str]) -> str:
        async def reached() -> str | None:
            now = await me.get(f"/booking/v1/appointments/{appointment['id']}")
            if now["status"] in {"requested", *wanted}:
                return str(now["status"]) if now["status"] in wanted else None
            raise JourneyFailed(f"the appointment is {now['status']} and not {' or '.join(wanted)}")

        return str(await self._eventually(f"{' or '.join(sorted(wanted))}", reached))

    async def _eventually(self, what: str, check: Callable[[], Awaitable[Any]]) -> Any:
        deadline = asyncio.get_running_loop().time() + _PATIENCE_SECONDS
        while True:
            found = await check()
            if found:
                return found
            if asyncio.get_running_loop().time() > deadline:
                raise JourneyFailed(f"waited {_PATIENCE_SECONDS} s for {what}")
            await asyncio.sleep(_POLL_SECONDS)

    async def _clock_at(self, instant: datetime) -> None:
        clock = self._platform.clock
        shift = clock.shift + (instant - clock.now())
        if shift > clock.shift:
            await self._platform.advance(shift)

    async def _outside(self, method: str, path: str, body: Any) -> Any:
        """A call to what is not the platform: the provider's own page, or a simulator's controls."""
        url = path if path.startswith("http") else self._platform.addresses.front + path
        response = await self._api.http.request(method, url, json=body)
        response.raise_for_status()
        return response.json() if response.content else None


async def _new_id() -> str:
    return str(uuid4())


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
