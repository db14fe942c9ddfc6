"""Programs that a registry brings once and that stay in var/cache."""

import asyncio
import hashlib
import os
import shutil
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import mkdtemp

from local.errors import LocalError
from local.paths import REPOSITORY, make_directory
from local.processes import start_child

_KEPT = ("PATH", "HOME", "JAVA_HOME", "MAVEN_OPTS", "MAVEN_ARGS", "LANG", "SSL_CERT_FILE", "SSL_CERT_DIR")
_KEPT_TOO = ("GO", "HTTP", "NO_PROXY", "ALL_PROXY", "http", "no_proxy", "all_proxy")  # how names begin


def environment() -> dict[str, str]:
    """What tools need that reach a registry from this machine."""
    return {
        name: value
        for name, value in os.environ.items()  # noqa: TID251 - for Java, Maven and Go
        if name in _KEPT or name.startswith(_KEPT_TOO)
    }


async def fetched(name: str, recipe: str, make: Callable[[Path], Awaitable[None]], *, megabytes: int) -> Path:
    """The folder that `make` filled, once for each `recipe`. Raises LocalError when it cannot be made."""
    cache = REPOSITORY / "var" / "cache"
    kept = cache / f"{name}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"
    if kept.is_dir():
        return kept
    make_directory(cache, megabytes=megabytes)
    fresh = Path(mkdtemp(dir=cache))
    try:
        await make(fresh)
        with suppress(OSError):  # two may fetch at the same time: the first one's stays
            fresh.rename(kept)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return kept


async def run(
    name: str,
    argv: Sequence[str],
    *,
    directory: Path,
    told: Mapping[str, str] | None = None,
    within: float = 300,
) -> None:
    """Raises LocalError with what it said last when it fails, or takes more than `within` seconds."""
    log = directory / f"{name}.log"
    child = await start_child(name, argv, env=environment() | dict(told or {}), log=log, directory=directory)
    try:
        if await asyncio.wait_for(child.wait(), within):
            raise LocalError(f"{name} failed: {child.last_lines(3)}")
    except TimeoutError:
        raise LocalError(f"{name} did not end within {within} s") from None
    finally:
        await child.kill()
