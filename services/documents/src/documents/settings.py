"""What documents must be told to run."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import SettingsConfigDict

from common.settings import ServiceSettings, refused


class Settings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="DOCUMENTS_", env_nested_delimiter="__", frozen=True)

    claims_url: str
    """Where claims is asked for the insured number and the lines of a price."""
    public_url: str
    """Where people reach this service from outside: QR codes name it."""
    storage_url: str
    """Where PDF files are kept: `file:///directory` or `s3://bucket/prefix`."""
    seal_directory: Path | None = None
    """Development only: a seal is made there at the first start."""
    seal_file: Path | None = None
    """Key, certificate and chain of the seal."""
    seal_format: Literal["pem", "pkcs12"] = "pem"
    """How the seal file is written."""
    seal_passphrase: SecretStr | None = None
    """The passphrase of the seal file."""
    render_workers: int = Field(default=2, ge=1, le=32)
    """How many documents are drawn at once."""

    @model_validator(mode="after")
    def _one_seal(self) -> Self:
        if (self.seal_directory is None) == (self.seal_file is None):
            raise refused(["seal_file"], "give it or, in development, DOCUMENTS_SEAL_DIRECTORY; not both")
        if self.environment == "production" and self.seal_file is None:
            raise refused(["seal_file"], "production needs a seal of its own")
        return self
