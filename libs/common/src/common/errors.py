"""What a use case may refuse, in words every service shares. HTTP status codes live in common.web."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, ClassVar


class Refusal(StrEnum):
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    INVALID = "invalid"
    FORBIDDEN = "forbidden"


class DomainError(Exception):
    """A rule said no. Expected: answered to the caller, never paged on.

    `detail` is for people and carries no personal data; `extra` are further members of the answer, such as
    the next free times; `retry_after` are the seconds after which the same question may go well.
    """

    code: ClassVar[str]
    refusal: ClassVar[Refusal]

    def __init__(
        self, detail: str = "", *, extra: Mapping[str, Any] | None = None, retry_after: int | None = None
    ) -> None:
        super().__init__(detail)
        self.extra: Mapping[str, Any] = extra or {}
        self.retry_after = retry_after


def at_field(pointer: str, code: str, detail: str) -> dict[str, Any]:
    """`extra` of a refusal that one field of the request is the reason of."""
    return {"errors": [{"pointer": pointer, "code": code, "detail": detail}]}
