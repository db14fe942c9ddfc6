"""Who calls booking in tests, and the settings its app is made with."""

from typing import Final
from uuid import UUID, uuid4

from pydantic import SecretStr
from sqlalchemy import URL

from booking.settings import Settings
from common.settings import KafkaSettings, KeySettings, PostgresSettings, ServiceIdentity, sample_key
from support.tokens import TOKENS, Issuer

ISSUER: Final = Issuer()
ACCOUNT: Final = UUID(int=1)
RPPS: Final = "10001234565"

PATIENT: Final = ISSUER.bearer("patient", subject=ACCOUNT)
STRANGER: Final = ISSUER.bearer("patient", subject=UUID(int=2))
PRACTITIONER: Final = ISSUER.bearer("practitioner", subject=UUID(int=3), rpps=RPPS)
OTHER_PRACTITIONER: Final = ISSUER.bearer("practitioner", subject=UUID(int=4), rpps="10000000001")
SUPPORT: Final = ISSUER.bearer("support", subject=UUID(int=5))
ADMINISTRATOR: Final = ISSUER.bearer("administrator", subject=UUID(int=6))
SERVICE: Final = ISSUER.bearer("service", subject=UUID(int=7), client_id="documents")


def keyed(headers: dict[str, str], key: str | None = None) -> dict[str, str]:
    """The headers with an Idempotency-Key, a new one unless it is given."""
    return headers | {"Idempotency-Key": key or uuid4().hex}


def settings_for(url: URL, *, most_unsent: int = 50_000) -> Settings:
    dsn = SecretStr(url.set(drivername="postgresql").render_as_string(hide_password=False))
    return Settings(
        environment="development",
        postgres=PostgresSettings(dsn=dsn, api_pool=5, worker_pool=3, direct_pool=5),
        kafka=KafkaSettings(bootstrap_servers="127.0.0.1:1"),
        tokens=TOKENS,
        identity=ServiceIdentity(
            token_url="http://issuer.test/token", client_id="booking", client_secret=SecretStr("sample")
        ),
        keys=KeySettings(
            master={"one": SecretStr(sample_key("master"))},
            active="one",
            index=SecretStr(sample_key("index")),
            cursor=SecretStr(sample_key("cursor")),
        ),
        most_unsent=most_unsent,
    )
