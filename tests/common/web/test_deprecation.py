"""A route that will end says so in every answer and in its document."""

from datetime import UTC, datetime

import pytest
from fastapi import APIRouter

from common.web.deprecation import deprecated
from support.small_app import client_of, small_app
from support.tokens import Issuer

SINCE = datetime(2030, 1, 1, tzinfo=UTC)
SUNSET = datetime(2030, 7, 1, 12, tzinfo=UTC)


async def test_a_deprecated_route_says_since_when_until_when_and_what_comes_instead(sessions) -> None:
    router = APIRouter(prefix="/small/v1")
    ends = deprecated(since=SINCE, sunset=SUNSET, successor="/small/v2/things")

    @router.get("/ending", dependencies=[ends])
    async def read_ending() -> dict[str, str]:
        return {}

    app = small_app(sessions, verifier=Issuer().verifier())
    app.include_router(router)
    async with client_of(app) as client:
        response = await client.get("/small/v1/ending")

    assert response.headers["deprecation"] == "@1893456000"
    assert response.headers["sunset"] == "Mon, 01 Jul 2030 12:00:00 GMT"
    assert response.headers["link"] == '</small/v2/things>; rel="successor-version"'
    document = app.openapi()
    operation = document["paths"]["/small/v1/ending"]["get"]
    assert operation["deprecated"] is True
    assert {"Deprecation", "Sunset", "Link"} <= operation["responses"]["200"]["headers"].keys()
    assert "deprecated" not in document["paths"]["/small/v1/things"]["get"]


def test_a_route_cannot_end_before_it_is_deprecated() -> None:
    with pytest.raises(ValueError, match="ends after"):
        deprecated(since=SUNSET, sunset=SINCE, successor="/small/v2/things")
