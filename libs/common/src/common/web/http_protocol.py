"""The HTTP parser's side of a connection: what cannot be read is answered with problem details as well."""

import logging
from typing import Any, Final
from uuid import uuid4

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from common.web import problems
from common.web.problems import Problem

MAX_URL_BYTES: Final = 8 * 1024
MAX_HEADER_BYTES: Final = 32 * 1024  # of all header lines together; a token of an issuer has a few kB

# After a refusal the rest of the request is read and dropped. A socket that is closed with unread bytes is
# reset, and then the client may not read the answer.
_MOST_DROPPED_BYTES: Final = 1024 * 1024
_DROP_SECONDS: Final = 2.0

_MALFORMED: Final = Problem(400, "malformed-request", "This is no HTTP request that can be read.")
_URL_TOO_LONG: Final = Problem(414, "url-too-long", f"A URL has at most {MAX_URL_BYTES} bytes.")
_HEADERS_TOO_LARGE: Final = Problem(
    431, "headers-too-large", f"All headers together have at most {MAX_HEADER_BYTES} bytes."
)

_log: Final = logging.getLogger(__name__)


class _Refused(Exception):
    """Ends the parsing of a request. httptools reports it as a parser error."""


class Protocol(HttpToolsProtocol):
    """uvicorn's protocol with limits and refusals of our own. `extra_headers` are on every answer."""

    extra_headers: tuple[tuple[bytes, bytes], ...] = ()
    _refusal: Problem | None = None
    _size = 0
    _dropped: int | None = None  # bytes, once a request was refused

    def data_received(self, data: bytes) -> None:
        if self._dropped is None:
            super().data_received(data)
            return
        self._dropped += len(data)
        if self._dropped > _MOST_DROPPED_BYTES:
            self.transport.close()

    def on_message_begin(self) -> None:
        self._size = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        if len(self.url) + len(url) > MAX_URL_BYTES:
            self._refuse(_URL_TOO_LONG)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._size += len(name) + len(value)
        if self._size > MAX_HEADER_BYTES:
            self._refuse(_HEADERS_TOO_LARGE)
        super().on_header(name, value)

    def _refuse(self, refusal: Problem) -> None:
        self._refusal = refusal
        raise _Refused

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - the text of uvicorn
        refusal = self._refusal or _MALFORMED
        self._dropped = 0
        cycle: Any = self.cycle
        if cycle is not None and not cycle.response_complete:
            if not cycle.more_body or cycle.response_started:
                # An earlier request of this connection is being answered: its answer is the last one.
                cycle.keep_alive = False
                return
            cycle.disconnected = True  # its body cannot be read: the app waits for no more of it
            cycle.message_event.set()
        self._answer(refusal)
        if self.transport.can_write_eof():
            self.transport.write_eof()
            self.loop.call_later(_DROP_SECONDS, self.transport.close)
        else:  # TLS knows no half-closed connection
            self.transport.close()

    def _answer(self, refusal: Problem) -> None:
        request_id = uuid4().hex
        known = [each for each in self.headers or () if each[0] == b"accept-language"]
        scope = {"path": "/", "headers": known, "state": {"request_id": request_id}}
        answer = problems.response(scope, refusal)
        headers = [
            *self.server_state.default_headers,
            *answer.raw_headers,
            (b"x-request-id", request_id.encode()),
            *self.extra_headers,
            (b"connection", b"close"),
        ]
        lines = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
        self.transport.write(STATUS_LINE[refusal.status] + lines + b"\r\n" + bytes(answer.body))
        _log.info(
            "refused %s",
            refusal.code,
            extra={"status": refusal.status, "route": "none", "request_id": request_id},
        )
