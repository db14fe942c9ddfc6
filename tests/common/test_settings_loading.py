"""Wrong settings: one line per variable, by its real name, without a value; the process ends with 2."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr
from pydantic_settings import SettingsConfigDict

from booking.settings import Settings as BookingSettings
from claims.settings import Settings as ClaimsSettings
from common.settings import ServiceSettings
from common.settings_loading import SettingsRefused, load, variables
from documents.settings import Settings as DocumentsSettings
from payment.settings import Settings as PaymentSettings

KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
GOOD = {
    "SMALL_POSTGRES__DSN": "postgresql://small:secret-word@db/small",
    "SMALL_KAFKA__BOOTSTRAP_SERVERS": "kafka:9092",
    "SMALL_TOKENS__ISSUER": "https://id",
    "SMALL_TOKENS__JWKS_URL": "https://id/keys",
    "SMALL_TOKENS__AUDIENCE": "platform",
    "SMALL_IDENTITY__TOKEN_URL": "https://id/token",
    "SMALL_IDENTITY__CLIENT_ID": "small",
    "SMALL_IDENTITY__CLIENT_SECRET": "secret-word",
    "SMALL_KEYS__MASTER__FIRST": KEY,
    "SMALL_KEYS__ACTIVE": "first",
    "SMALL_KEYS__INDEX": KEY,
    "SMALL_KEYS__CURSOR": KEY,
    "SMALL_PROVIDER_KEY": "real",
}
DEPLOY = Path(__file__).parents[2] / "deploy"


class Settings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="SMALL_", env_nested_delimiter="__", frozen=True)

    provider_key: SecretStr


def lines_for(monkeypatch: pytest.MonkeyPatch, **changed: str | None) -> tuple[str, ...]:
    for name, value in (GOOD | changed).items():
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    with pytest.raises(SettingsRefused) as refused:
        load(Settings)
    return refused.value.lines


def test_good_settings_are_loaded(monkeypatch) -> None:
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)

    assert load(Settings).keys.active == "first"


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"SMALL_HTTP__PORT": "secret-word"}, "SMALL_HTTP__PORT: input should be a valid integer"),
        ({"SMALL_HTTP__PORT": "99999"}, "SMALL_HTTP__PORT: input should be less than or equal to 65535"),
        (
            {"SMALL_ENVIRONMENT": "secret-word"},
            "SMALL_ENVIRONMENT: input should be 'development' or 'production'",
        ),
        ({"SMALL_PROVIDER_KEY": None}, "SMALL_PROVIDER_KEY: missing"),
        ({"SMALL_POSTGRES__DSN": None}, "SMALL_POSTGRES__DSN: missing"),
        ({"SMALL_KEYS__INDEX": "secret-word"}, "SMALL_KEYS__INDEX: a key is base64 text"),
        ({"SMALL_KEYS__MASTER__FIRST": "c2VjcmV0"}, "SMALL_KEYS__MASTER__FIRST: a key has 32 bytes"),
        ({"SMALL_KEYS__ACTIVE": "secret-word"}, "SMALL_KEYS__ACTIVE: no master key has this name"),
        (
            {"SMALL_PROVIDER_KEY": "sample-secret-word"},
            "SMALL_PROVIDER_KEY: production refuses sample secrets",
        ),
        ({"SMALL_POSTGRES": "{secret-word"}, "SMALL_POSTGRES: not JSON"),
        (
            {"SMALL_POSTGRES__DNS": "x"},
            "SMALL_POSTGRES__DNS: no such setting; did you mean SMALL_POSTGRES__DSN?",
        ),
        ({"SMALL_QQQQ": "x"}, "SMALL_QQQQ: no such setting"),
    ],
)
def test_one_wrong_variable_is_named_without_its_value(monkeypatch, changed, line) -> None:
    [said] = lines_for(monkeypatch, **changed)

    assert said.startswith(line)
    assert "secret-word" not in said


def test_all_wrong_variables_are_named_at_once(monkeypatch) -> None:
    lines = lines_for(
        monkeypatch, SMALL_HTTP__PORT="x", SMALL_TOKENS__ISSUER=None, SMALL_CLOCK="x", SMALL_KEYS__INDEX="x"
    )

    assert [line.partition(":")[0] for line in lines] == [
        "SMALL_CLOCK",
        "SMALL_TOKENS__ISSUER",
        "SMALL_KEYS__INDEX",
        "SMALL_HTTP__PORT",
    ]


def test_a_group_that_is_missing_is_all_its_variables(monkeypatch) -> None:
    tokens = {name: None for name in GOOD if name.startswith("SMALL_TOKENS__")}

    assert lines_for(monkeypatch, **tokens) == tuple(f"{name}: missing" for name in tokens)


def test_no_value_is_in_the_texts_of_settings(monkeypatch) -> None:
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)
    settings = load(Settings)

    assert "secret-word" not in repr(settings) + str(settings) + repr(settings.postgres)


@pytest.mark.parametrize("service", ["booking", "payment", "claims", "documents"])
@pytest.mark.parametrize("command", [["api"], ["worker"], ["migrate"], ["tasks", "list"], ["keys", "rotate"]])
def test_every_command_ends_with_2_and_a_line_for_each_variable(service, command) -> None:
    prefix = service.upper()
    environment = {
        f"{prefix}_POSTGRES__DSN": "secret-word",
        f"{prefix}_HTTP__PORT": "secret-word",
        "PATH": "",
    }

    done = subprocess.run(
        [sys.executable, "-m", service, *command],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    lines = done.stderr.splitlines()
    assert done.returncode == 2
    assert all(line.startswith(f"{service}: {prefix}_") for line in lines), done.stderr
    assert any(line.startswith(f"{service}: {prefix}_HTTP__PORT: ") for line in lines)
    assert f"{service}: {prefix}_KEYS__ACTIVE: missing" in lines
    assert "secret-word" not in done.stderr + done.stdout


@pytest.mark.parametrize(
    ("settings", "service"),
    [
        (BookingSettings, "booking"),
        (PaymentSettings, "payment"),
        (ClaimsSettings, "claims"),
        (DocumentsSettings, "documents"),
    ],
)
def test_the_deployment_files_name_settings_that_exist(settings, service) -> None:
    prefix = f"{service.upper()}_"
    known = {name for name, _, _ in variables(settings, prefix)}
    free = tuple(name.removesuffix("NAME") for name in known if name.endswith("__NAME"))
    texts = [
        path.read_text(encoding="utf-8") for path in DEPLOY.rglob("*") if path.suffix in {".env", ".yaml"}
    ]
    words = {word for text in texts for word in re.findall(r"[A-Z_0-9]+", text)}
    named = {word for word in words if word.startswith(prefix)}

    assert {each for each in named if each not in known and not each.startswith(free)} == set()
    assert f"{prefix}POSTGRES__DSN" in named
