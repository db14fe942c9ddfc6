"""The terms of claiming, as settings state them."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How claims leave and how their answers are fetched."""

    amc_after_amo: bool = True  # false: both parts leave together (single management)
    gather_for: timedelta = timedelta(seconds=5)  # claims of one biller and payer wait so long for company
    batch_size: int = 100
    attempts: int = 3  # of a file that is refused or never acknowledged; then a person decides
    poll_every: timedelta = timedelta(seconds=30)
    poll_idle_every: timedelta = timedelta(minutes=10)
    collect_balances: bool = False  # true: payment charges them, within the mandate; false: only shown
    look_up_rights: bool = False  # true: payers' rights services are asked
    verify_before: timedelta = timedelta(hours=24)  # the visit: rights are asked again so long before it
    rights_fresh_for: timedelta = timedelta(hours=12)  # an answer younger than this is not asked for again
