"""ETag, If-Match and If-None-Match: nobody writes over what they have not seen."""

import re
from typing import Annotated, Final

from fastapi import Depends, Request

from common.web.problems import Problem

# One entity tag. Proxies that compress answers mark the tag as weak (nginx) or add the encoding to it
# (Apache, Jetty). It still names our version, whose number does not depend on how bytes are encoded.
_TAG: Final = re.compile(r'(?:[Ww]/)?"([^"]*?)(?:(?:--?|;)(?:gzip|br|deflate|zstd))?"')


def etag(version: int) -> str:
    """The value of the ETag header for a row with this version."""
    return f'"{version}"'


def is_named(header: str, tag: str) -> bool:
    """Whether If-Match or If-None-Match names `tag`, an ETag of ours: in a list, weak, or by `*`."""
    return header.strip() == "*" or tag.strip('"') in _TAG.findall(header)


def check(if_match: str | None, version: int) -> None:
    """Raises 428 when the caller named no version, 412 when it is not the current one."""
    if if_match is None:
        raise Problem(428, "precondition-required", "Send If-Match with the ETag of what you read.")
    if is_named(if_match, etag(version)):
        return
    if if_match.strip() and not _TAG.search(if_match):
        raise Problem(412, "precondition-failed", "If-Match names no ETag: an ETag stands in double quotes.")
    raise Problem(412, "precondition-failed", "It has changed since you read it; read it again.")


async def required_version(request: Request) -> str:
    if_match = await optional_version(request)
    if if_match is None:
        raise Problem(428, "precondition-required", "Send If-Match with the ETag of what you read.")
    return if_match


async def optional_version(request: Request) -> str | None:
    lines = request.headers.getlist("if-match")
    return ", ".join(lines) if lines else None


IfMatch = Annotated[str, Depends(required_version)]
IfMatchOptional = Annotated[str | None, Depends(optional_version)]  # PUT; then `check`
