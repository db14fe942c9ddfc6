"""A priced consultation as JSON: what a quote stores and an API answers."""

from claims.domain.dated import RowReference
from claims.domain.priced import Priced

AMOUNTS = (
    "fee_cents",
    "base_cents",
    "overrun_cents",
    "amo_cents",
    "amc_cents",
    "amo_refund_expected_cents",
    "amc_refund_expected_cents",
    "sponsor_cents",
    "flat_contribution_cents",
    "surcharge_cents",
    "deferred_deductions_cents",
    "advance_cents",
    "patient_final_cents",
)


def priced_to_json(priced: Priced) -> dict[str, object]:
    """Amounts are whole cents, enums their values, days ISO dates."""
    return {
        "engine_version": priced.engine_version,
        "tables_version": priced.tables_version,
        "reimbursable": priced.reimbursable,
        **{name: getattr(priced, name) for name in AMOUNTS},
        "sheet_mode": priced.sheet_mode.value,
        "lines": [{**line._asdict(), "row": _reference(line.row)} for line in priced.lines],
        "claim_parts": [
            {
                "payer": part.payer.value,
                "amount_cents": part.amount_cents,
                "lines": [{**line._asdict(), "benefit": line.benefit.value} for line in part.lines],
            }
            for part in priced.claim_parts
        ],
        "pathway_indicator": priced.pathway_indicator,
        "exemption_code": priced.exemption_code,
        "trace": [{**entry._asdict(), "row": _reference(entry.row)} for entry in priced.trace],
        "warnings": [warning.value for warning in priced.warnings],
        "explanations": [explanation._asdict() for explanation in priced.explanations],
    }


def _reference(row: RowReference | None) -> dict[str, object] | None:
    return None if row is None else {**row._asdict(), "valid_from": row.valid_from.isoformat()}
