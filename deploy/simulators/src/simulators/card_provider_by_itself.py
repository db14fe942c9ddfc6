"""What is done at the simulated provider by its own means: on its dashboard, or by a bank."""

from typing import Any
from uuid import uuid4

from simulators.card_provider_books import Entry, Refused


async def refund(entry: Entry, payment_id: str, *, amount_cents: int) -> dict[str, Any]:
    """A refund without a reference of ours. Raises Refused above what is left of the capture."""
    return await entry.refund(payment_id, amount_cents=amount_cents, reference=f"re_{uuid4().hex}")


async def capture(entry: Entry, payment_id: str, *, amount_cents: int, closes: bool) -> dict[str, Any]:
    """`closes`: the rest of the authorisation is released; else it can be captured later."""
    return await entry.capture(payment_id, amount_cents=amount_cents, closes=closes)


async def withdraw_card(entry: Entry, token: str) -> int:
    """The bank takes the card back: it is not saved any more. Returns how many setups were withdrawn."""
    rows = await entry.connection.fetch(
        "UPDATE card_setup SET status = 'declined', version = version + 1 WHERE token = $1"
        " AND status = 'succeeded' RETURNING reference",
        token,
    )
    if not rows:
        raise Refused("not-found", status=404)
    for row in rows:
        await entry.announce("setup.updated", await entry.setup(reference=row["reference"]))
    return len(rows)
