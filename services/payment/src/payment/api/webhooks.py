"""The card provider's webhooks: verified by their signature, kept, answered at once."""

import json
from typing import Annotated

from fastapi import APIRouter, Header, Request, Response

from common.clock import wall
from common.web.deps import Now, Transaction
from common.web.problems import problem, responses
from payment.domain.signatures import SignatureInvalid, verify
from payment.usecases.webhooks import take_provider_event

router = APIRouter(prefix="/payment/v1/provider-events", tags=["webhooks"])

_LONGEST_ID = 200


@router.post("", status_code=204, responses=responses(400))
async def receive_provider_event(
    request: Request,
    transaction: Transaction,
    now: Now,
    provider_signature: Annotated[str, Header()] = "",
) -> Response:
    """2xx for whatever is signed and new or known: the provider need not send it again."""
    raw = await request.body()
    try:
        verify(provider_signature, raw, secret=request.app.state.webhook_secret, now=wall())
    except SignatureInvalid as error:
        raise problem(400, error.code, str(error)) from None
    event_id, kind, data = _read(raw)
    await take_provider_event(transaction, event_id=event_id, kind=kind, data=data, raw=raw, now=now)
    return Response(status_code=204)


def _read(raw: bytes) -> tuple[str, str, dict[str, object]]:
    try:
        body = json.loads(raw)
        event_id, kind, data = body["id"], body["type"], body["data"]
    except (ValueError, KeyError, TypeError):
        raise problem(400, "event-unreadable", "This is not an event.") from None
    named = isinstance(event_id, str) and isinstance(kind, str) and 0 < len(event_id) <= _LONGEST_ID
    if not named or not isinstance(data, dict):
        raise problem(400, "event-unreadable", "This is not an event.")
    return event_id, kind, data
