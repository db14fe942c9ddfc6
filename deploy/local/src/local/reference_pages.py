"""`/docs`: the API reference of the running platform, with no asset but its own."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any, Final

import httpx

from local.examples import illustrate
from local.front import App, Receive, Scope, Send
from local.reference import index, page, reference

Load = Callable[[], Awaitable[Mapping[str, Any]]]

STYLE: Final = Path(__file__).with_name("reference.css")
_POLICY: Final = (
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HTML: Final = "text/html; charset=utf-8"


def reference_pages(documents: Mapping[str, Load]) -> App:
    """An app for the prefix /docs; a document is loaded when somebody asks for its page."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001 - a GET has no body
        name = scope["path"].removeprefix("/docs").strip("/")
        if scope["method"] not in {"GET", "HEAD"}:
            await _answer(send, 405, "text/plain", "only GET", {"allow": "GET, HEAD"})
        elif name == STYLE.name:
            await _answer(send, 200, "text/css", STYLE.read_text(encoding="utf-8"))
        elif not name:
            await _answer(send, 200, _HTML, index({each: await load() for each, load in documents.items()}))
        elif name in documents:
            document = deepcopy(await documents[name]())
            illustrate(document)
            await _answer(send, 200, _HTML, page(reference(document), others=documents))
        else:
            await _answer(send, 404, "text/plain", "there is no such page")

    return app


def of_app(app: Any) -> Load:
    """The document of a FastAPI app in this process."""

    async def load() -> Mapping[str, Any]:
        # made once, in a second or two: consumers in this process go on meanwhile
        document: Mapping[str, Any] = await asyncio.to_thread(app.openapi)
        return document

    return load


def at(address: str) -> Load:
    """The document that a process of its own serves at `address`."""

    async def load() -> Mapping[str, Any]:
        async with httpx.AsyncClient(timeout=10) as client:
            document: Mapping[str, Any] = (await client.get(address)).raise_for_status().json()
            return document

    return load


async def _answer(
    send: Send, status: int, kind: str, text: str, more: Mapping[str, str] | None = None
) -> None:
    body = text.encode()
    headers = {
        "content-type": kind,
        "content-length": str(len(body)),
        "content-security-policy": _POLICY,
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        **(more or {}),
    }
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": body})
