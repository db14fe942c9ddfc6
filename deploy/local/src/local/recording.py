"""What is asked and answered through the front, written down: examples of the documents are made of it."""

import json
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl

from local.front import App, Receive, Scope, Send

_MOST_BYTES: Final = 1_000_000


class Recording:
    """One line of JSON for each call of a service; bodies that are no JSON and no text are left out."""

    def __init__(self, app: App, file: Path) -> None:
        self._app = app
        self._file = file
        file.write_text("", encoding="utf-8")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked, answered = bytearray(), bytearray()
        status, kind = 0, ""

        async def hear() -> MutableMapping[str, Any]:
            message = await receive()
            asked.extend(message.get("body", b""))
            return message

        async def tell(message: MutableMapping[str, Any]) -> None:
            nonlocal status, kind
            if message["type"] == "http.response.start":
                status = message["status"]
                kind = dict(message["headers"]).get(b"content-type", b"").decode()
            elif len(answered) < _MOST_BYTES:
                answered.extend(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, hear, tell)
        finally:
            call = {
                "method": scope["method"].lower(),
                "path": scope["path"],
                "query": dict(parse_qsl(scope["query_string"].decode())),
                "status": status,
                "request": _read(bytes(asked), "application/json"),
                "answer": _read(bytes(answered), kind),
            }
            with self._file.open("a", encoding="utf-8") as file:
                file.write(json.dumps(call, ensure_ascii=False) + "\n")


def _read(body: bytes, kind: str) -> Any:
    if kind.startswith("text/"):
        return body.decode()
    if not body or "json" not in kind:
        return None
    try:
        return json.loads(body)
    except ValueError:
        return None
