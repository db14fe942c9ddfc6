"""What payment must be told to run."""

from pydantic import SecretStr
from pydantic_settings import SettingsConfigDict

from common.settings import ServiceSettings


class Settings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="PAYMENT_", env_nested_delimiter="__", frozen=True)

    provider_url: str  # of the card provider's API, without /v1
    provider_key: SecretStr
    webhook_secret: SecretStr  # the provider signs what it reports with it
