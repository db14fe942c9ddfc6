"""Where the sealed files are: a local folder or an S3 bucket, by configuration."""

import asyncio
import contextlib
import logging
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import LocalStore, ObjectStore, from_url

from common import outages
from common.telemetry import Metrics

_PROBED: Final = "readiness"  # no object has this name: the answer is that it is not there
_PROBE_SECONDS: Final = 2.0
# A person waits: the library's own patience of three minutes is too long. The limit of one call is kept here,
# because client options given here would replace those of the environment (AWS_ALLOW_HTTP, a proxy).
_CALL_SECONDS: Final = 10.0
_OF_S3: Final[dict[str, Any]] = {
    "retry_config": {"max_retries": 2, "retry_timeout": timedelta(seconds=8)},
}

_log: Final = logging.getLogger(__name__)


class FileMissing(Exception):
    """The storage does not have a file that the database names."""


class StorageAway(Exception):
    """The storage did not answer, or refused us. Trying again later may help."""


class Storage:
    """Objects are written once and never changed. Every failed call is counted and raises StorageAway."""

    def __init__(self, url: str, metrics: Metrics | None = None) -> None:
        self.metrics = metrics
        parts = urlsplit(url)
        self._folder: Path | None = None
        if parts.scheme == "file":
            self._folder = Path(unquote(parts.path))
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._store: ObjectStore = LocalStore(self._folder, mkdir=True)
        else:
            options: dict[str, Any] = _OF_S3 if parts.scheme == "s3" else {}
            self._store = from_url(url, **options)

    async def put(self, key: str, content: bytes) -> None:
        """Keeps `content` under `key`; the same content under the same key again is no error.

        Raises StorageAway.
        """
        with self._watched("put"):
            try:
                async with asyncio.timeout(_CALL_SECONDS):
                    await obstore.put_async(self._store, key, content, mode="create")
            except AlreadyExistsError:
                if await self.get(key) != content:
                    raise
            if self._folder is not None:
                # The local store renames into place but does not sync: a document must survive a power cut.
                await asyncio.to_thread(_sync, self._folder / key)

    async def get(self, key: str) -> bytes:
        """Raises FileMissing, StorageAway."""
        with self._watched("get"):
            try:
                async with asyncio.timeout(_CALL_SECONDS):
                    found = await obstore.get_async(self._store, key)
                    return bytes(await found.bytes_async())
            except FileNotFoundError:
                raise FileMissing(key) from None

    async def problems(self) -> list[str]:
        """`["storage"]` when it does not answer within two seconds, else nothing: for readiness."""
        try:
            async with asyncio.timeout(_PROBE_SECONDS):
                with self._watched("probe"), contextlib.suppress(FileNotFoundError):
                    await obstore.head_async(self._store, _PROBED)
        except (StorageAway, TimeoutError):
            return ["storage"]
        return []

    @contextlib.contextmanager
    def _watched(self, operation: str) -> Iterator[None]:
        """Counts failures and turns those of the outside system into StorageAway."""
        try:
            yield
        except (FileMissing, StorageAway, AlreadyExistsError):
            raise
        except (BaseError, OSError) as error:
            if isinstance(error, FileNotFoundError) and operation != "put":
                raise
            if self.metrics is not None:
                self.metrics.count("storage_failures_total", operation=operation)
                self.metrics.set("storage_up", 0)
            outages.report(_log, "storage", error, f"the document storage does not answer a {operation}")
            raise StorageAway(type(error).__name__) from error
        else:
            if self.metrics is not None:
                self.metrics.set("storage_up", 1)


_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY


def _sync(path: Path) -> None:
    for each, flags in ((path, os.O_RDONLY), (path.parent, _DIRECTORY)):
        handle = os.open(each, flags)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
