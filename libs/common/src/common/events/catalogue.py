"""All event classes by type and version: for readers, schemas, documentation and tests."""

from collections.abc import Iterator, Mapping
from typing import Final

from common.events import booking, claims, documents, payment
from common.events.base import Event


def _concrete(cls: type[Event]) -> Iterator[type[Event]]:
    for each in cls.__subclasses__():
        if "type" in each.__dict__:
            yield each
        yield from _concrete(each)


def _published() -> dict[tuple[str, int], type[Event]]:
    modules = {module.__name__ for module in (booking, claims, documents, payment)}
    found: dict[tuple[str, int], type[Event]] = {}
    for event in _concrete(Event):
        if event.__module__ not in modules:
            continue  # a test's own
        if (event.type, event.version) in found:
            raise TypeError(f"{event.type} v{event.version} is declared twice")
        found[event.type, event.version] = event
    return dict(sorted(found.items()))


CATALOGUE: Final[Mapping[tuple[str, int], type[Event]]] = _published()
