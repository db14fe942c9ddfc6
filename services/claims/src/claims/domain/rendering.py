"""Versioned ways to write a lot of claims: the neutral JSON first; an old version stays readable."""

import json
from dataclasses import dataclass
from typing import Literal, Protocol

from claims.domain import b2
from claims.domain.claimfile import Batch, Version, to_json

Format = Literal["json-1", "json-2", "b2-0"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    media_type: str
    content: bytes


class Renderer(Protocol):
    def render(self, batch: Batch) -> Rendered:
        """Raises BatchUnrenderable when this format has no place for something."""


class NeutralJson:
    """A version of the neutral claim file."""

    def __init__(self, version: Version) -> None:
        self._version = version

    def render(self, batch: Batch) -> Rendered:
        content = json.dumps(to_json(batch, self._version), separators=(",", ":")).encode()
        return Rendered(media_type="application/json", content=content)


class FixedWidth:
    """The B2-style export for funds; complementary insurers get the neutral JSON.

    `unconfirmed` also writes what no source confirms. Without it a record has the confirmed positions alone.
    """

    def __init__(self, *, unconfirmed: bool) -> None:
        self._unconfirmed = unconfirmed

    def render(self, batch: Batch) -> Rendered:
        if not batch.payer.startswith("amo:"):
            return NeutralJson(1).render(batch)
        text = b2.write(batch, unconfirmed=self._unconfirmed)
        return Rendered(media_type="text/plain; charset=us-ascii", content=text.encode("ascii"))


def renderer_of(format_: Format, *, unconfirmed: bool) -> Renderer:
    match format_:
        case "json-1":
            return NeutralJson(1)
        case "json-2":
            return NeutralJson(2)
        case "b2-0":
            return FixedWidth(unconfirmed=unconfirmed)
