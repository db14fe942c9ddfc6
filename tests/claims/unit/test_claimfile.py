"""The neutral claim file, each version held to its golden form; reject codes and invoice numbers."""

from datetime import UTC, date, datetime
from uuid import UUID

import pytest

from claims.domain.claimfile import Batch, Claim, ClaimedLine, invoice_no, to_json
from claims.domain.rejects import Again, Family, find_reject, normal_code
from common.money import Cents


@pytest.mark.parametrize(
    ("version", "paid_to"), [(1, {}), (2, {"paid_to": "provider"})], ids=["version 1", "version 2"]
)
def test_a_version_of_the_file(version, paid_to) -> None:
    claim = Claim(
        invoice_no="000000007",
        attempt=2,
        appointment_id=UUID(int=3),
        care_on=date(2030, 6, 3),
        rpps="10001234565",
        nir="185057800608491",
        ame_number=None,
        born_on=date(1985, 5, 14),
        amc_number="99100001",
        amc_member_number="A123456",
        pathway_indicator="T",
        exemption_code=None,
        amount_cents=Cents(750),
        lines=[ClaimedLine(code="TCG", benefit="copayment", base_cents=Cents(2500), amount_cents=Cents(750))],
    )
    batch = Batch(
        id=UUID(int=1),
        payer="amc:99100001",
        biller_id=UUID(int=2),
        made_at=datetime(2030, 6, 3, 10, tzinfo=UTC),
        claims=[claim],
    )

    assert to_json(batch, version) == {
        "version": version,
        "batch_id": "00000000-0000-0000-0000-000000000001",
        "payer": {"kind": "amc", "number": "99100001"},
        **paid_to,
        "biller_id": "00000000-0000-0000-0000-000000000002",
        "made_at": "2030-06-03T10:00:00+00:00",
        "currency": "EUR",
        "total_cents": 750,
        "claims": [
            {
                "invoice_no": "000000007",
                "attempt": 2,
                "appointment_id": "00000000-0000-0000-0000-000000000003",
                "care_on": "2030-06-03",
                "rpps": "10001234565",
                "insured": {"nir": "185057800608491", "ame_number": None, "born_on": "1985-05-14"},
                "amc": {"number": "99100001", "member_number": "A123456"},
                "pathway_indicator": "T",
                "exemption_code": None,
                "amount_cents": 750,
                "lines": [{"code": "TCG", "benefit": "copayment", "base_cents": 2500, "amount_cents": 750}],
            }
        ],
    }


@pytest.mark.parametrize("number", [0, -1, 10**9])
def test_an_invoice_number_has_nine_digits_and_is_never_zero(number) -> None:
    with pytest.raises(ValueError, match="invoice number"):
        invoice_no(number)

    assert (invoice_no(1), invoice_no(10**9 - 1)) == ("000000001", "999999999")


@pytest.mark.parametrize(
    ("kind", "code", "family", "again"),
    [
        ("amo", "2900-005", Family.DISPUTE, Again.NEVER),
        ("amo", "0250-050", Family.RIGHTS, Again.AFTER_LOOKUP),
        ("amo", "0317-051", Family.CODING, Again.AFTER_FIX),
        ("amc", "7001-001", Family.AMC, Again.AFTER_FIX),
        ("amo", "9999-999", Family.DISPUTE, Again.AFTER_FIX),
        ("amc", "9999-999", Family.AMC, Again.AFTER_FIX),
    ],
)
def test_a_reject_code_has_a_family_and_says_whether_to_send_again(kind, code, family, again) -> None:
    reject = find_reject(kind, code)

    assert (reject.family, reject.again) == (family, again)


@pytest.mark.parametrize(
    ("raw", "code"),
    [("0250 050", "0250-050"), ("0250050", "0250-050"), ("0250-050", "0250-050"), ("oops", None)],
)
def test_a_code_is_four_and_three_digits_however_it_is_written(raw, code) -> None:
    assert normal_code(raw) == code
