"""What payment must be told to run."""

from datetime import timedelta

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from common.settings import RetentionSettings, ServiceSettings


class PaymentRetention(RetentionSettings):
    # longer than a provider repeats a webhook: its id tells that we have it
    provider_events: timedelta = Field(default=timedelta(days=90), ge=timedelta(days=7))
    """Webhooks of the card provider."""


class Settings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="PAYMENT_", env_nested_delimiter="__", frozen=True)

    retention: PaymentRetention = PaymentRetention()
    provider_url: str
    """The card provider's API, without `/v1`."""
    provider_key: SecretStr
    """The key of this platform at the card provider."""
    webhook_secret: SecretStr
    """The card provider signs its webhooks with it."""
