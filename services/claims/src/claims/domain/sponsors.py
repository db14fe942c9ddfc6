"""What a school or company pays: only what no payer refunds (rules S1, S2)."""

from claims.domain.inputs import Sponsor, SponsorKind
from common.money import Cents, share

PERCENT = 100  # basis points


def sponsored(sponsor: Sponsor | None, *, copayment_cents: int, other_cents: int) -> Cents:
    """`copayment_cents` is the copayment that no payer refunds, `other_cents` the rest that nobody does."""
    if sponsor is None:
        return Cents(0)
    remainder = Cents(copayment_cents + other_cents)
    paid = _paid(sponsor, copayment=Cents(copayment_cents), remainder=remainder)
    return paid if sponsor.max_cents is None else Cents(min(paid, sponsor.max_cents))


def _paid(sponsor: Sponsor, *, copayment: Cents, remainder: Cents) -> Cents:
    match sponsor.kind:
        case SponsorKind.COPAYMENT:
            return copayment
        case SponsorKind.FULL:
            return remainder
        case SponsorKind.FIXED:
            return Cents(min(sponsor.cents or 0, remainder))
        case SponsorKind.PERCENT:
            return share(remainder, (sponsor.percent or 0) * PERCENT)
