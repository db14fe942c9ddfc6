"""ETag and If-Match: nobody writes over what they have not seen."""

from typing import Annotated

from fastapi import Depends, Request

from common.web.problems import Problem


def etag(version: int) -> str:
    """The value of the ETag header for a row with this version."""
    return f'"{version}"'


def check(if_match: str | None, version: int) -> None:
    """Raises 428 when the caller named no version, 412 when it is not the current one."""
    if if_match is None:
        raise Problem(428, "precondition-required", "Send If-Match with the ETag of what you read.")
    named = {each.strip() for each in if_match.split(",")}
    if etag(version) not in named and named != {"*"}:
        raise Problem(412, "precondition-failed", "It has changed since you read it; read it again.")


async def required_version(request: Request) -> str:
    if_match = request.headers.get("if-match")
    if if_match is None:
        raise Problem(428, "precondition-required", "Send If-Match with the ETag of what you read.")
    return if_match


async def optional_version(request: Request) -> str | None:
    return request.headers.get("if-match")


IfMatch = Annotated[str, Depends(required_version)]
IfMatchOptional = Annotated[str | None, Depends(optional_version)]  # PUT; then `check`
