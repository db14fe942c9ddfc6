"""What a school or company pays: only what no payer refunds (rules S1, S2)."""

from claims.domain.inputs import Sponsor, SponsorKind
from common.money import Cents, share

PERCENT = 100  # basis points


def sponsored(sponsor: Sponsor | None, *, specialty: str, copayment_cents: int, other_cents: int) -> Cents:
    """Cents: of the copayment that no payer refunds, and of the rest that nobody does.

    A specialty outside of the offer gets nothing.
    """
    if sponsor is None or (sponsor.specialties is not None and specialty not in sponsor.specialties):
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
