"""Versioned ways to write a lot of claims: the neutral JSON first; an old version stays readable."""

import json
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from claims.domain import b2
from claims.domain.claimfile import Batch, to_json

Format = Literal["json-1", "b2-0"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    media_type: str
    content: bytes


class Renderer(Protocol):
    def render(self, batch: Batch) -> Rendered:
        """Raises BatchUnrenderable when this format has no place for something."""


class NeutralJson:
    """Version 1 of the neutral claim file."""

    def render(self, batch: Batch) -> Rendered:
        content = json.dumps(to_json(batch), separators=(",", ":")).encode()
        return Rendered(media_type="application/json", content=content)


class FixedWidth:
    """The B2-style export for funds; complementary insurers get the neutral JSON.

    `unconfirmed` also writes what no source confirms. Without it a record has the confirmed positions alone.
    """

    def __init__(self, *, unconfirmed: bool) -> None:
        self._unconfirmed = unconfirmed

    def render(self, batch: Batch) -> Rendered:
        if not batch.payer.startswith("amo:"):
            return _NEUTRAL.render(batch)
        text = b2.write(batch, unconfirmed=self._unconfirmed)
        return Rendered(media_type="text/plain; charset=us-ascii", content=text.encode("ascii"))


_NEUTRAL: Final = NeutralJson()


def renderer_of(format_: Format, *, unconfirmed: bool) -> Renderer:
    return _NEUTRAL if format_ == "json-1" else FixedWidth(unconfirmed=unconfirmed)
