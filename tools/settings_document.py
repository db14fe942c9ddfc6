"""`docs/configuration.md`: every variable of every service, from the settings models."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, get_args

from pydantic import BaseModel, SecretStr
from pydantic_core import PydanticUndefined

from booking.settings import Settings as BookingSettings
from claims.settings import Settings as ClaimsSettings
from common.settings import ServiceSettings
from common.settings_loading import variables
from documents.settings import Settings as DocumentsSettings
from payment.settings import Settings as PaymentSettings

_SERVICES: Final[dict[str, type[ServiceSettings]]] = {
    "booking": BookingSettings,
    "payment": PaymentSettings,
    "claims": ClaimsSettings,
    "documents": DocumentsSettings,
}
_HEAD: Final = """# Configuration

Written by `make docs` from the settings of the services.

- Every setting is an environment variable. `deploy/env` has a file of them for each service, for development.
- `SERVICE` stands for `BOOKING`, `PAYMENT`, `CLAIMS` or `DOCUMENTS`.
- Lengths of time are written `P30D`, `PT15M` or `HH:MM:SS`.
- A process checks all variables at its start. For each one that is wrong, missing or unknown it prints a line
  with the name, never with the value, and ends with status 2.

"""
_OTHERS: Final[dict[str, tuple[str, str]]] = {
    "`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`": (
        "documents: the key of the bucket, with `s3://` in `DOCUMENTS_STORAGE_URL`",
        "yes",
    ),
    "`AWS_SESSION_TOKEN`": ("documents: belongs to a temporary key", "yes"),
    "`AWS_REGION`": ("documents: the region of the bucket", ""),
    "`AWS_ENDPOINT`": ("documents: another address than Amazon's, for S3-compatible servers", ""),
    "`AWS_ALLOW_HTTP`": ("documents: `true` allows an endpoint without TLS; for tests", ""),
    "`HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY`": (
        "calls to issuer, card provider, gateway, rights services and bucket go through it",
        "if it has a password",
    ),
    "`NO_PROXY`": ("hosts that are called directly: name the other services here", ""),
    "`SSL_CERT_FILE`": ("authorities that outgoing HTTPS calls trust, instead of those built in", ""),
}


def generated(root: Path) -> dict[Path, str]:
    """The document by its path. Raises ValueError for a setting without a description."""
    described = {
        service: {name.removeprefix(f"{service.upper()}_"): row for name, row in _rows(service, settings)}
        for service, settings in _SERVICES.items()
    }
    shared = [name for name in described["booking"] if all(name in each for each in described.values())]
    alike = [name for name in shared if len({each[name] for each in described.values()}) == 1]
    parts = [
        _HEAD,
        "## Every service\n\n",
        _table("SERVICE", [(each, described["booking"][each]) for each in alike]),
    ]
    for service, rows in described.items():
        own = [(name, row) for name, row in rows.items() if name not in alike]
        parts += [f"## {service.capitalize()}\n\n", _table(service.upper(), own)]
    return {root / "docs/configuration.md": "".join([*parts, _of_libraries()])}


def _of_libraries() -> str:
    head = "## Variables of libraries\n\nLibraries that talk to the outside read these.\n\n"
    rows = [f"| {names} | {meaning} | {secret} |" for names, (meaning, secret) in _OTHERS.items()]
    return head + "\n".join(["| variable | meaning | secret |", "|---|---|---|", *rows, ""])


def _table(prefix: str, rows: list[tuple[str, str]]) -> str:
    lines = [f"| `{prefix}_{name}` | {row}" for name, row in rows]
    return "\n".join(["| variable | meaning | default | secret |", "|---|---|---|---|", *lines, "", ""])


def _rows(service: str, settings: type[ServiceSettings]) -> Iterator[tuple[str, str]]:
    for name, model, field in variables(settings, f"{service.upper()}_"):
        info = model.model_fields[field]
        if not info.description:
            raise ValueError(f"{name} has no description")
        group = settings.model_fields.get(name.partition("_")[2].lower().partition("__")[0])
        about = group.description if group is not None and group is not info else None
        text = f"{about} {info.description}" if about else info.description
        default = _written(_default(settings, name, info.default))
        secret = "yes" if SecretStr in (info.annotation, *_inside(info.annotation)) else ""
        yield name, f"{' '.join(text.split())} | {default} | {secret} |"


def _default(settings: type[ServiceSettings], name: str, default: Any) -> Any:
    """The default of the group, where the service gives the group another one than its model."""
    value: Any = settings
    for part in name.partition("_")[2].lower().split("__"):
        fields = value.model_fields if isinstance(value, type) and issubclass(value, BaseModel) else {}
        if isinstance(value, BaseModel):
            value = getattr(value, part, default)
        elif part in fields:
            found = fields[part]
            value = found.annotation if found.default is PydanticUndefined else found.default
    return value if isinstance(value, str | int | timedelta | Path) else default


def _inside(annotation: Any) -> Iterator[Any]:
    for each in get_args(annotation):
        yield each
        yield from _inside(each)


def _written(value: Any) -> str:
    match value:
        case _ if value is PydanticUndefined:
            return "required"
        case None:
            return "none"
        case bool():
            return f"`{str(value).lower()}`"
        case timedelta():
            return f"`{_iso(value)}`"
        case _:
            return f"`{value}`"


def _iso(value: timedelta) -> str:
    seconds = int(value.total_seconds())
    days, rest = divmod(seconds, 86_400)
    if seconds and not rest:
        return f"P{days}D"
    hours, minutes, left = seconds // 3600, seconds // 60 % 60, seconds % 60
    parts = f"{hours}H" if hours else "", f"{minutes}M" if minutes else "", f"{left}S" if left else ""
    return "PT" + ("".join(parts) or "0S")
