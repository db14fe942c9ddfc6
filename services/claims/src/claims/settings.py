"""What claims must be told to run."""

from datetime import timedelta

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from claims.domain.policy import DEFAULT_POLICY, OutOfPathway, Policy
from claims.domain.rendering import Format
from claims.domain.terms import Terms
from common.settings import Piece, RetentionSettings, ServiceSettings


class ClaimingSettings(Piece):
    """How claims leave and how their answers are fetched."""

    amc_after_amo: bool = True  # false: both parts of a claim leave together
    gather_for: timedelta = Field(default=timedelta(seconds=5), ge=timedelta())
    batch_size: int = Field(default=100, ge=1, le=500)
    attempts: int = Field(default=3, ge=1)  # of a file refused or never acknowledged
    poll_every: timedelta = Field(default=timedelta(seconds=30), gt=timedelta())  # while answers are due
    poll_idle_every: timedelta = Field(default=timedelta(minutes=10), gt=timedelta())
    collect_balances: bool = False  # true: payment charges a balance, within the mandate given at booking
    verify_before: timedelta = Field(default=timedelta(hours=24), ge=timedelta())
    rights_fresh_for: timedelta = Field(default=timedelta(hours=12), ge=timedelta())


class PolicySettings(Piece):
    """What the sources contradict each other about, with the default this platform takes (domain.md 10)."""

    out_of_pathway: OutOfPathway = DEFAULT_POLICY.out_of_pathway  # Q1
    amc_needs_nir: bool = DEFAULT_POLICY.amc_needs_nir  # Q3
    provisional_nir_usable: bool = DEFAULT_POLICY.provisional_nir_usable  # Q4
    compulsory_tp: bool = DEFAULT_POLICY.compulsory_tp  # Q5
    partner_psychologist: bool = DEFAULT_POLICY.partner_psychologist  # Q6
    direct_access_age_limits: bool = DEFAULT_POLICY.direct_access_age_limits  # Q7
    tp_with_overrun: bool = DEFAULT_POLICY.tp_with_overrun  # Q22


class ClaimsRetention(RetentionSettings):
    previews: timedelta = Field(default=timedelta(days=90), ge=timedelta(days=1))


class Settings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="CLAIMS_", env_nested_delimiter="__", frozen=True)

    retention: ClaimsRetention = ClaimsRetention()
    gateway_url: str  # POST {gateway_url}/batches, GET {gateway_url}/returns
    gateway_key: SecretStr
    gateway_format: Format = "json-2"  # json-1 and b2-0 know no direct payment
    gateway_unconfirmed: bool = False  # true: b2-0 also writes the positions that no source confirms
    rights_url: str | None = None  # POST {rights_url}/rights and /amc-rights; none: what is declared counts
    claiming: ClaimingSettings = ClaimingSettings()
    policy: PolicySettings = PolicySettings()

    @property
    def pricing_policy(self) -> Policy:
        return Policy(**self.policy.model_dump())

    @property
    def terms(self) -> Terms:
        return Terms(**self.claiming.model_dump(), look_up_rights=self.rights_url is not None)
