"""What a route says that will end: since when, until when, and what to use in its place."""

from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

from fastapi import Depends, Response


class Deprecated:
    """The dependency behind `deprecated`; the OpenAPI document knows a route that will end by it."""

    def __init__(self, since: datetime, sunset: datetime, successor: str) -> None:
        if sunset <= since:
            raise ValueError("a route ends after it is deprecated")
        self._headers = {
            "Deprecation": f"@{int(since.timestamp())}",
            "Sunset": format_datetime(sunset.astimezone(UTC), usegmt=True),
            "Link": f'<{successor}>; rel="successor-version"',
        }

    async def __call__(self, response: Response) -> None:
        response.headers.update(self._headers)


def deprecated(*, since: datetime, sunset: datetime, successor: str) -> Any:
    """For `dependencies=[...]` of a route: headers of RFC 9745 and 8594, `deprecated` in the document.

    Raises ValueError when it ends before it begins to be deprecated.
    """
    return Depends(Deprecated(since, sunset, successor))
