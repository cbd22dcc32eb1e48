"""Seal the secrets that the service has to use, with a key that the database never holds.

The cipher is AES-256-GCM. A sealed value opens only for the purpose and the account that it was sealed for, so an
attacker who writes to the database can't use one account's secret for another.
"""

import hashlib
import json
import os
import re
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from private_integrations.contract import SEALING_KEY_PREFIX
from private_integrations.errors import ConfigurationError

_VERSION = 1
_KEY = re.compile(f"{SEALING_KEY_PREFIX}[0-9a-f]{{64}}")

# A sealed value: one byte of version, four of the key's id, the nonce, then ciphertext and tag.
_ID = slice(1, 5)
_NONCE = slice(5, 17)
_CIPHERTEXT = slice(17, None)
_SHORTEST = 17 + 16


class SealBroken(Exception):
    """Report why a sealed value can't be opened, without any part of the value."""


class Sealer:
    """Seal with the first of its keys and open with any of them.

    A key is `psk-` and 64 hex digits (256 bits). Nonces are 96 random bits, good for 2^32 seals with one key
    (NIST SP 800-38D, 8.3). Raises ConfigurationError if there is no key or one isn't shaped like a key.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        if not keys:
            raise ConfigurationError("there is no sealing key; `private-integrations upstreams new-key` makes one")
        secrets = [_secret(key) for key in keys]
        self._keys = {_id_of(secret): AESGCM(secret) for secret in secrets}
        self._first = _id_of(secrets[0])

    @property
    def first_key(self) -> str:
        """Return the id of the key that seals: 8 hex digits."""
        return self._first.hex()

    def seal(self, value: str, *, purpose: str, account: str) -> bytes:
        """Seal a value with the first key, so that it opens for this purpose and account only."""
        nonce = os.urandom(12)
        sealed = self._keys[self._first].encrypt(nonce, value.encode(), _bound(purpose, account))
        return bytes([_VERSION]) + self._first + nonce + sealed

    def open(self, sealed: bytes, *, purpose: str, account: str) -> str:
        """Open a value that was sealed for this purpose and account; raises SealBroken."""
        if len(sealed) < _SHORTEST or sealed[0] != _VERSION:
            raise SealBroken("what is stored was not sealed by this release")
        key = self._keys.get(sealed[_ID])
        if key is None:
            raise SealBroken(f"it is sealed with key {key_of(sealed)}, which is not among the sealing keys")
        try:
            opened = key.decrypt(sealed[_NONCE], sealed[_CIPHERTEXT], _bound(purpose, account))
        except InvalidTag:
            raise SealBroken("it was changed in the database, or sealed for another account") from None
        return opened.decode()

    def __repr__(self) -> str:
        """Return a text without the keys."""
        return f"Sealer({', '.join(sorted(key.hex() for key in self._keys))})"


def key_of(sealed: bytes) -> str:
    """Return the id of the key that a value was sealed with: 8 hex digits."""
    return sealed[_ID].hex()


def _secret(key: str) -> bytes:
    if not _KEY.fullmatch(key):
        raise ConfigurationError(
            f"a sealing key is {SEALING_KEY_PREFIX} and 64 hex digits, and one of those given is not; "
            "`private-integrations upstreams new-key` makes one"
        )
    return bytes.fromhex(key.removeprefix(SEALING_KEY_PREFIX))


def _id_of(secret: bytes) -> bytes:
    return hashlib.sha256(b"private-integrations sealing key\0" + secret).digest()[:4]


def _bound(purpose: str, account: str) -> bytes:
    """Return the additional data of the tag, in which purpose and account can't be confused."""
    return json.dumps([purpose, account]).encode()
