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
    _upgraded: dict[tuple[str, int], tuple[type[Event], Handler[Any]]] = field(default_factory=dict)
    _prepare: Preparation | None = None
    _conclude: Conclusion | None = None

    def on(self, event: type[E]) -> Callable[[Handler[E]], Handler[E]]:
        """The handler of a version reads the earlier ones too, upgraded, unless they have their own."""

        def register(handler: Handler[E]) -> Handler[E]:
            versions = self._by_type.setdefault(event.type, {})
            if event.version in versions:
                raise ValueError(f"two handlers for {event.type} v{event.version}")
            versions[event.version] = (event, handler)
            earlier = event.earlier
            while earlier is not None:
                self._upgraded[earlier.type, earlier.version] = (earlier, _upgrading(event, handler))
                earlier = earlier.earlier
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
        found = self._by_type[meta.type].get(meta.version) or self._upgraded.get((meta.type, meta.version))
        if found is None:
            raise PartitionStopped(f"{meta.type} v{meta.version} needs a newer release")
        return found


def _upgrading(newest: type[E], handler: Handler[E]) -> Handler[Event]:
    async def upgrade(session: AsyncSession, event: Event, meta: Meta, now: datetime) -> Outcome:
        while not isinstance(event, newest):
            event = event.upgrade()
        return await handler(session, event, meta, now)

    return upgrade
