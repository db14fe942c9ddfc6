"""A price as it is stored: amounts in clear, question and reasons encrypted, all it takes to ask again."""

import json
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from claims.domain.pricing import (
    Inputs,
    Priced,
    claimed,
    inputs_from_json,
    inputs_to_json,
    policy_from_json,
    policy_to_json,
    price,
    priced_to_json,
)
from claims.domain.refusals import WarningCode
from claims.models import PricedColumns
from claims.usecases import encryption
from claims.usecases.config import ClaimsConfig
from common.money import Cents

_FIELD: Final = "price"
_INPUTS: Final = "price-inputs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recomputed:
    """A stored price asked for again, with the tables of today as they were known then."""

    same: bool
    same_tables: bool
    same_engine: bool
    stored: dict[str, Any]
    again: dict[str, Any]


def unverified(config: ClaimsConfig, priced: Priced) -> Priced:
    """The same price with the warning that nobody could check the rights it rests on."""
    warning = WarningCode.RIGHTS_UNVERIFIED
    sentence = config.tables.sentences.written(f"warning/{warning.value}", None, {})
    return replace(
        priced,
        warnings=(*priced.warnings, warning),
        explanations=(*priced.explanations, sentence),
    )


def inputs_index(config: ClaimsConfig, inputs: Inputs) -> bytes:
    """Equal for equal questions; tells nothing to who has no key."""
    text = json.dumps(inputs_to_json(inputs), sort_keys=True, separators=(",", ":"))
    return config.keyring.blind_index(text, field=_INPUTS)


async def columns(
    session: AsyncSession,
    config: ClaimsConfig,
    inputs: Inputs,
    priced: Priced,
    *,
    owner: UUID,
    kept: bool,
    known_at: datetime,
    now: datetime,
) -> dict[str, Any]:
    """The columns of PricedColumns; `kept` encrypts under the key that erasure does not destroy."""
    amo_claim, amc_claim = claimed(priced)
    whole = {"inputs": inputs_to_json(inputs), "result": priced_to_json(priced)}
    return {
        "fee_cents": priced.fee_cents,
        "base_cents": priced.base_cents,
        "amo_cents": priced.amo_cents,
        "amc_cents": priced.amc_cents,
        "sponsor_cents": priced.sponsor_cents,
        "advance_cents": priced.advance_cents,
        "deferred_deductions_cents": priced.deferred_deductions_cents,
        "amo_claim_cents": amo_claim,
        "amc_claim_cents": amc_claim,
        "sheet_mode": priced.sheet_mode.value,
        "table_version": priced.tables_version,
        "engine_version": priced.engine_version,
        "policy": policy_to_json(config.policy),
        "known_at": known_at,
        "inputs_index": inputs_index(config, inputs),
        "encrypted": await encryption.encrypt_json(
            session, config, owner, whole, field=_FIELD, now=now, kept=kept
        ),
    }


def event_amounts(row: PricedColumns) -> dict[str, Any]:
    """The amounts as events carry them."""
    return {
        "currency": "EUR",
        "fee_cents": row.fee_cents,
        "base_cents": row.base_cents,
        "amo_cents": row.amo_cents,
        "amc_cents": row.amc_cents,
        "sponsor_cents": row.sponsor_cents,
        "advance_cents": row.advance_cents,
        "deferred_deductions_cents": row.deferred_deductions_cents,
        "amo_claim_cents": row.amo_claim_cents,
        "amc_claim_cents": row.amc_claim_cents,
        "sheet_mode": row.sheet_mode,
        "table_version": row.table_version,
    }


async def result_of(
    session: AsyncSession, config: ClaimsConfig, row: PricedColumns, *, owner: UUID, kept: bool
) -> dict[str, Any]:
    """The whole stored answer of the calculator: amounts, lines, trace, warnings, explanations."""
    whole = await encryption.decrypt_json(session, config, owner, row.encrypted, field=_FIELD, kept=kept)
    result: dict[str, Any] = whole["result"]
    result["amo_claim_cents"], result["amc_claim_cents"] = row.amo_claim_cents, row.amc_claim_cents
    return result


async def inputs_again(
    session: AsyncSession, config: ClaimsConfig, row: PricedColumns, *, owner: UUID, kept: bool
) -> Inputs:
    whole = await encryption.decrypt_json(session, config, owner, row.encrypted, field=_FIELD, kept=kept)
    return inputs_from_json(whole["inputs"])


async def recompute(
    session: AsyncSession, config: ClaimsConfig, row: PricedColumns, *, owner: UUID, kept: bool
) -> Recomputed:
    """Asks the stored question again. Raises PricingRefused when today's tables refuse it."""
    inputs = await inputs_again(session, config, row, owner=owner, kept=kept)
    priced = price(inputs, config.tables, policy_from_json(row.policy), as_known_at=row.known_at)
    stored = await result_of(session, config, row, owner=owner, kept=kept)
    again: dict[str, Any] = json.loads(json.dumps(priced_to_json(priced)))
    amounts = sorted(name for name in again if name.endswith("_cents"))
    return Recomputed(
        same=all(stored[name] == again[name] for name in amounts),
        same_tables=row.table_version == priced.tables_version,
        same_engine=row.engine_version == priced.engine_version,
        stored={name: Cents(stored[name]) for name in amounts},
        again={name: Cents(again[name]) for name in amounts},
    )


def with_insurance_of(inputs: Inputs, other: Inputs) -> Inputs:
    """`inputs`, the care as it was done, with what `other` knows of the patient's insurance.

    What a sponsor gives was settled when the care was priced: a cap that is used up since changes nothing.
    """
    return replace(
        inputs,
        born_on=other.born_on,
        insured=other.insured,
        nir=other.nir,
        amc=other.amc,
        exemptions=other.exemptions,
        scheme=other.scheme,
        pf_exempt=other.pf_exempt,
    )
