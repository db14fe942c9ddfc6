"""What documents must be told to run."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import SettingsConfigDict

from common.settings import ServiceSettings


class Settings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="DOCUMENTS_", env_nested_delimiter="__", frozen=True)

    claims_url: str
    public_url: str  # what the QR codes name: where people reach this service from outside
    storage_url: str  # file:///... or s3://bucket/prefix
    seal_directory: Path | None = None  # development only: a seal is made there at the first start
    seal_file: Path | None = None  # key, certificate and chain
    seal_format: Literal["pem", "pkcs12"] = "pem"
    seal_passphrase: SecretStr | None = None
    render_workers: int = Field(default=2, ge=1, le=32)

    @model_validator(mode="after")
    def _one_seal(self) -> Self:
        if (self.seal_directory is None) == (self.seal_file is None):
            raise ValueError("give either seal_file or, in development, seal_directory")
        if self.environment == "production" and self.seal_file is None:
            raise ValueError("production needs a seal of its own: seal_file")
        return self
