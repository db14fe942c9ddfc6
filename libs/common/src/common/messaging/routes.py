"""Which handler of a service reads which event."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from common.events.base import Event
from common.events.envelope import Meta
from common.messaging.records import Outcome, PartitionStopped

E = TypeVar("E", bound=Event)

# `meta.time` is when the fact happened: rules use it. `now` is the clock: timers and new events use it.
Handler = Callable[[AsyncSession, E, Meta, datetime], Awaitable[Outcome]]

Preparation = Callable[[AsyncSession, Sequence[Event]], Awaitable[None]]
Conclusion = Callable[[AsyncSession, datetime], Awaitable[None]]


@dataclass(slots=True)
class Routes:
    _by_type: dict[str, dict[int, tuple[type[Event], Handler[Any]]]] = field(default_factory=dict)
    _upgraded: set[type[Event]] = field(default_factory=set)
    _prepare: Preparation | None = None
    _conclude: Conclusion | None = None

    def on(self, event: type[E], *older: type[Event]) -> Callable[[Handler[E]], Handler[E]]:
        """The handler of `event`; records of the `older` versions reach it too, upgraded."""

        def register(handler: Handler[E]) -> Handler[E]:
            versions = self._by_type.setdefault(event.type, {})
            known: tuple[type[Event], ...] = (event, *older)
            for each in known:
                if each.type != event.type or each.version in versions:
                    raise ValueError(f"{each.type} v{each.version} for the handler of {event.type}, or twice")
                versions[each.version] = (each, handler)
            self._upgraded.update(older)
            return handler

        return register

    def prepares(self, preparation: Preparation) -> Preparation:
        """Called with the events of a batch before the first is applied, to lock their rows at once."""
        self._prepare = preparation
        return preparation

    async def prepare(self, session: AsyncSession, events: Sequence[Event]) -> None:
        if self._prepare is not None and events:
            await self._prepare(session, events)

    def concludes(self, conclusion: Conclusion) -> Conclusion:
        """Called after the last event of a batch, or a single one: what locks rows that others wait for."""
        self._conclude = conclusion
        return conclusion

    async def conclude(self, session: AsyncSession, now: datetime) -> None:
        if self._conclude is not None:
            await self._conclude(session, now)

    def reads(self, event_type: str) -> bool:
        return event_type in self._by_type

    def find(self, meta: Meta) -> tuple[type[Event], Handler[Any]]:
        try:
            return self._by_type[meta.type][meta.version]
        except KeyError:
            raise PartitionStopped(f"{meta.type} v{meta.version} needs a newer release") from None

    def read(self, meta: Meta, body: bytes) -> tuple[Meta, Event]:
        """The event in the version its handler takes, and the envelope of that version.

        Raises ValidationError when the body does not fit, PartitionStopped like `find`.
        """
        model, _ = self.find(meta)
        event = model.model_validate_json(body)
        if model not in self._upgraded:
            return meta, event
        while type(event) in self._upgraded:
            event = event.upgrade()
        return meta.model_copy(update={"dataschema": event.dataschema()}), event
