"""Where the sealed files are: a local folder or an S3 bucket, by configuration."""

import asyncio
import os
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import AlreadyExistsError
from obstore.store import LocalStore, ObjectStore, from_url


class FileMissing(Exception):
    """The storage does not have a file that the database names."""


class Storage:
    """Objects are written once and never changed."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._folder: Path | None = None
        if parts.scheme == "file":
            self._folder = Path(unquote(parts.path))
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._store: ObjectStore = LocalStore(self._folder, mkdir=True)
        else:
            self._store = from_url(url)

    async def put(self, key: str, content: bytes) -> None:
        """Keeps `content` under `key`; the same content under the same key again is no error."""
        try:
            await obstore.put_async(self._store, key, content, mode="create")
        except AlreadyExistsError:
            if await self.get(key) != content:
                raise
        if self._folder is not None:
            # The local store renames into place but does not sync: a document must survive a power cut.
            await asyncio.to_thread(_sync, self._folder / key)

    async def get(self, key: str) -> bytes:
        """Raises FileMissing."""
        try:
            found = await obstore.get_async(self._store, key)
        except FileNotFoundError:
            raise FileMissing(key) from None
        return bytes(await found.bytes_async())


_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY


def _sync(path: Path) -> None:
    for each, flags in ((path, os.O_RDONLY), (path.parent, _DIRECTORY)):
        handle = os.open(each, flags)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
