"""Production starts with real secrets or not at all."""

from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError
from pydantic_settings import SettingsConfigDict

from common.settings import KeySettings, ServiceSettings, sample_key
from common.vault import keyring_of

KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
KEYS = {"master": {"first": KEY}, "active": "first", "index": KEY, "cursor": KEY}


class Settings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="SMALL_", env_nested_delimiter="__", frozen=True)

    provider_key: SecretStr = SecretStr("real")


def values(**overrides: Any) -> dict[str, Any]:
    usual = {
        "postgres": {"dsn": "postgresql://small:secret@db/small"},
        "kafka": {"bootstrap_servers": "kafka:9092"},
        "tokens": {"issuer": "https://id", "jwks_url": "https://id/keys", "audience": "platform"},
        "identity": {"token_url": "https://id/token", "client_id": "small", "client_secret": "s"},
        "keys": KEYS,
    }
    return usual | overrides


def test_production_is_the_default() -> None:
    assert Settings(**values()).environment == "production"


@pytest.mark.parametrize(
    ("overrides", "named"),
    [
        ({"provider_key": "change-me"}, "provider_key"),
        ({"provider_key": "sample-provider"}, "provider_key"),
        ({"postgres": {"dsn": "postgresql://small:sample-password@db/small"}}, "postgres.dsn"),
        ({"clock_shift": timedelta(hours=1)}, "clock_shift"),
        ({"keys": KEYS | {"master": {"first": sample_key("m")}}}, "keys.master.first"),
        ({"tokens": {"issuer": "http://x/simulators/issuer", "jwks_url": "x", "audience": "x"}}, "issuer"),
    ],
)
def test_production_refuses_what_is_meant_for_development(overrides, named) -> None:
    with pytest.raises(ValidationError, match=named):
        Settings(**values(**overrides))
    assert Settings(**values(environment="development", **overrides))


@pytest.mark.parametrize(
    "keys",
    [
        {"master": {"first": "short"}, "active": "first", "index": KEY, "cursor": KEY},
        {"master": {"first": "AAAA"}, "active": "first", "index": KEY, "cursor": KEY},
        {"master": {"first": KEY}, "active": "second", "index": KEY, "cursor": KEY},
    ],
)
def test_keys_that_cannot_work_stop_the_start_and_are_not_printed(keys) -> None:
    with pytest.raises(ValidationError) as refused:
        KeySettings(**keys)
    assert KEY not in str(refused.value)


def test_settings_come_from_the_environment_in_pieces(monkeypatch) -> None:
    for name, value in {
        "POSTGRES__DSN": "postgresql://small:secret@db/small",
        "POSTGRES__API_POOL": "3",
        "KAFKA__BOOTSTRAP_SERVERS": "kafka:9092",
        "TOKENS__ISSUER": "https://id",
        "TOKENS__JWKS_URL": "https://id/keys",
        "TOKENS__AUDIENCE": "platform",
        "IDENTITY__TOKEN_URL": "https://id/token",
        "IDENTITY__CLIENT_ID": "small",
        "IDENTITY__CLIENT_SECRET": "s",
        "KEYS__MASTER__first": KEY,
        "KEYS__ACTIVE": "first",
        "KEYS__INDEX": KEY,
        "KEYS__CURSOR": KEY,
    }.items():
        monkeypatch.setenv(f"SMALL_{name}", value)

    settings = Settings()  # type: ignore[call-arg]

    assert settings.postgres.api_pool == 3
    assert keyring_of(settings.keys, service="small").active == "first"
    assert ":secret@" not in repr(settings)
