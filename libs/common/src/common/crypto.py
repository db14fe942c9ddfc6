"""Encryption of what a database administrator must not read: AES-256-GCM, wrapped keys, keyed hashes."""

import hmac
import secrets
from collections import OrderedDict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_VERSION: Final = b"\x01"
_OPENED_SECONDS: Final = 60.0
_OPENED_KEYS: Final = 10_000


class NotDecryptable(Exception):
    """Wrong key, wrong place (another patient or field), or changed bytes. Which one is not told."""


def encrypt(key: bytes, plaintext: bytes, *, bound_to: bytes) -> bytes:
    """Version, nonce, ciphertext with tag. It opens only with the same key and the same `bound_to`."""
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return _VERSION + nonce + AESGCM(key).encrypt(nonce, plaintext, bound_to)


def decrypt(key: bytes, encrypted: bytes, *, bound_to: bytes) -> bytes:
    """Raises NotDecryptable."""
    if encrypted[:1] != _VERSION or len(encrypted) < 1 + _NONCE_BYTES:
        raise NotDecryptable
    nonce, ciphertext = encrypted[1 : 1 + _NONCE_BYTES], encrypted[1 + _NONCE_BYTES :]
    try:
        return AESGCM(key).decrypt(nonce, ciphertext, bound_to)
    except InvalidTag:
        raise NotDecryptable from None


def associated(*parts: str) -> bytes:
    """Parts joined so that no two lists give the same bytes."""
    return b"".join(len(part.encode()).to_bytes(4) + part.encode() for part in parts)


class OpenedKeys:
    """Data keys that were unwrapped, for a minute: so late it notices an erasure by another process."""

    def __init__(self) -> None:
        self._keys: OrderedDict[Hashable, tuple[bytes, float]] = OrderedDict()

    def get(self, owner: Hashable) -> bytes | None:
        key, until = self._keys.get(owner, (None, 0.0))
        return key if monotonic() < until else None

    def put(self, owner: Hashable, key: bytes) -> None:
        self._keys[owner] = (key, monotonic() + _OPENED_SECONDS)
        if len(self._keys) > _OPENED_KEYS:
            self._keys.popitem(last=False)

    def forget(self, owner: Hashable) -> None:
        self._keys.pop(owner, None)


@dataclass(frozen=True, slots=True)
class Keyring:
    """The long-lived keys of one service. `active` wraps new data keys; the others still open old ones."""

    master: Mapping[str, bytes] = field(repr=False)
    active: str
    index: bytes = field(repr=False)
    service: str
    opened: OpenedKeys = field(default_factory=OpenedKeys, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.active not in self.master:
            raise ValueError("the active master key is not among the master keys")
        if any(len(key) != KEY_BYTES for key in (*self.master.values(), self.index)):
            raise ValueError(f"a key has {KEY_BYTES} bytes")

    def wrap(self, data_key: bytes, *, owner: str) -> tuple[bytes, str]:
        """The wrapped data key, and the name of the master key that opens it."""
        bound_to = associated("data-key", self.service, owner)
        return encrypt(self.master[self.active], data_key, bound_to=bound_to), self.active

    def unwrap(self, wrapped: bytes, *, master_key: str, owner: str) -> bytes:
        """Raises NotDecryptable, also for a master key this service no longer has."""
        if master_key not in self.master:
            raise NotDecryptable(f"master key {master_key} is not configured")
        bound_to = associated("data-key", self.service, owner)
        return decrypt(self.master[master_key], wrapped, bound_to=bound_to)

    def blind_index(self, value: str, *, field: str) -> bytes:
        """HMAC-SHA256 to search an encrypted field for equality. Give it the value in one spelling."""
        return hmac.digest(self.index, associated(self.service, field, value), "sha256")
