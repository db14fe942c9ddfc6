"""One port for many apps: the first part of the path says which."""

import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


@dataclass(slots=True)
class Front:
    """Longest prefix wins; the app sees the whole path."""

    index: Mapping[str, str]  # what the root answers: name -> path
    _apps: dict[str, App] = field(default_factory=dict)

    def mount(self, prefix: str, app: App) -> None:
        self._apps[prefix] = app
        self._apps = dict(sorted(self._apps.items(), key=lambda item: -len(item[0])))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"{scope['type']} is not served here")
        path: str = scope["path"]
        for prefix, app in self._apps.items():
            if path == prefix or path.startswith(prefix + "/"):
                await app(scope, receive, send)
                return
        await self._root(path, send)

    async def _root(self, path: str, send: Send) -> None:
        found = path == "/"
        problem = {"type": "urn:problem:not-found", "title": "not found", "status": 404, "instance": path}
        body = json.dumps(dict(self.index) if found else problem, indent=2).encode()
        kind = b"application/json" if found else b"application/problem+json"
        headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200 if found else 404, "headers": headers})
        await send({"type": "http.response.body", "body": body})


async def start_lifespan(stack: AsyncExitStack, app: Any) -> None:
    """What uvicorn does for a single app: its pools open now and close with `stack`."""
    await stack.enter_async_context(app.router.lifespan_context(app))
