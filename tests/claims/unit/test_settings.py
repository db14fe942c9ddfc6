"""What an operator decides: the contradictions of the sources, as settings."""

import pytest
from sqlalchemy import make_url

from claims.domain.policy import DEFAULT_POLICY, OutOfPathway, Policy
from claims.settings import PolicySettings
from support.claims import settings_for

URL = make_url("postgresql://nobody@127.0.0.1:1/none")


def test_what_nobody_decides_is_the_default_of_the_engine() -> None:
    assert settings_for(URL).pricing_policy == DEFAULT_POLICY


@pytest.mark.parametrize(
    ("variable", "value", "policy"),
    [
        ("OUT_OF_PATHWAY", "REDUCED_30", Policy(out_of_pathway=OutOfPathway.REDUCED_30)),
        ("AMC_NEEDS_NIR", "false", Policy(amc_needs_nir=False)),
        ("PROVISIONAL_NIR_USABLE", "false", Policy(provisional_nir_usable=False)),
        ("COMPULSORY_TP", "false", Policy(compulsory_tp=False)),
        ("PARTNER_PSYCHOLOGIST", "true", Policy(partner_psychologist=True)),
        ("DIRECT_ACCESS_AGE_LIMITS", "true", Policy(direct_access_age_limits=True)),
        ("TP_WITH_OVERRUN", "false", Policy(tp_with_overrun=False)),
    ],
)
def test_each_switch_is_a_variable_of_the_environment(monkeypatch, variable, value, policy) -> None:
    monkeypatch.setenv(f"CLAIMS_POLICY__{variable}", value)

    assert settings_for(URL).pricing_policy == policy


def test_every_switch_of_the_engine_can_be_set_but_the_one_that_must_stay_off() -> None:
    assert set(PolicySettings.model_fields) == set(Policy.__dataclass_fields__) - {"pf_on_card"}
