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

    amc_after_amo: bool = True
    """The claim to the AMC waits until the fund has acknowledged its part; false: both leave together."""
    gather_for: timedelta = Field(default=timedelta(seconds=5), ge=timedelta())
    """How long claims are gathered into one batch."""
    batch_size: int = Field(default=100, ge=1, le=500)
    """The most claims in a batch."""
    attempts: int = Field(default=3, ge=1)
    """How often a batch that is refused or never acknowledged is sent."""
    poll_every: timedelta = Field(default=timedelta(seconds=30), gt=timedelta())
    """How often the gateway is asked for answers while some are due."""
    poll_idle_every: timedelta = Field(default=timedelta(minutes=10), gt=timedelta())
    """How often it is asked while no answer is due."""
    collect_balances: bool = False
    """true: payment charges a balance to the card, within its mandate."""
    verify_before: timedelta = Field(default=timedelta(hours=24), ge=timedelta())
    """How long before the visit the payers are asked for the rights again."""
    rights_fresh_for: timedelta = Field(default=timedelta(hours=12), ge=timedelta())
    """How long an answer about rights counts without asking again."""


class PolicySettings(Piece):
    """Questions on which the public sources contradict each other, with the answer this platform takes."""

    out_of_pathway: OutOfPathway = DEFAULT_POLICY.out_of_pathway
    """A teleconsultation outside the care pathway: not reimbursed, or reimbursed at the reduced rate."""
    amc_needs_nir: bool = DEFAULT_POLICY.amc_needs_nir
    """false: a contracted AMC is billed even without a usable NIR."""
    provisional_nir_usable: bool = DEFAULT_POLICY.provisional_nir_usable
    """Whether a provisional number allows third-party payment."""
    compulsory_tp: bool = DEFAULT_POLICY.compulsory_tp
    """Whether the law imposes third-party payment for CSS, AME, ALD and maternity on every practitioner."""
    partner_psychologist: bool = DEFAULT_POLICY.partner_psychologist
    """Whether sessions with partner psychologists are reimbursed (rule A6)."""
    direct_access_age_limits: bool = DEFAULT_POLICY.direct_access_age_limits
    """Whether the age limits of direct access in person hold for teleconsultations too."""
    tp_with_overrun: bool = DEFAULT_POLICY.tp_with_overrun
    """false: a fee above the tariff ends voluntary third-party payment."""


class ClaimsRetention(RetentionSettings):
    previews: timedelta = Field(default=timedelta(days=90), ge=timedelta(days=1))
    """Price previews."""


class Settings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="CLAIMS_", env_nested_delimiter="__", frozen=True)

    retention: ClaimsRetention = ClaimsRetention()
    gateway_url: str
    """The claims gateway: `POST {gateway_url}/batches`, `GET {gateway_url}/returns`."""
    gateway_key: SecretStr
    """The key of this platform at the gateway."""
    gateway_format: Format = "json-2"
    """How claims are written; `json-1` and `b2-0` know no direct payment."""
    gateway_unconfirmed: bool = False
    """true: `b2-0` also writes the positions that no public source confirms."""
    rights_url: str | None = None
    """The payers' rights services: `POST {rights_url}/rights` and `/amc-rights`. None: none is asked."""
    claiming: ClaimingSettings = ClaimingSettings()
    policy: PolicySettings = PolicySettings()

    @property
    def pricing_policy(self) -> Policy:
        return Policy(**self.policy.model_dump())

    @property
    def terms(self) -> Terms:
        return Terms(**self.claiming.model_dump(), look_up_rights=self.rights_url is not None)
