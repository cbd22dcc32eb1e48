"""The state of a stack as its file has it, with secrets in clear: `pulumi stack export` takes half a second."""

import base64
import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_SIGNATURE = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270"}  # of secrets
_ROUNDS = 1_000_000


def resources(state: Path, passphrase: str) -> list[dict[str, Any]]:
    """List the resources in a stack's file of the file backend, as an export with secrets does."""
    stored = state.read_text()
    _, salt, _ = json.loads(stored)["checkpoint"]["latest"]["secrets_providers"]["state"]["salt"].split(":", 2)
    cipher = AESGCM(_key(passphrase, salt))

    def decrypted(entry: dict[str, Any]) -> dict[str, Any]:
        if "ciphertext" not in entry:
            return entry
        nonce, text = map(base64.b64decode, entry["ciphertext"].split(":")[1:])
        return {**_SIGNATURE, "plaintext": cipher.decrypt(nonce, text, None).decode()}

    return list(json.loads(stored, object_hook=decrypted)["checkpoint"]["latest"].get("resources", []))


def outputs(entries: list[dict[str, Any]]) -> dict[str, Any]:
    """The outputs of the stack among these resources, secret or not."""

    def value(entry: dict[str, Any]) -> Any:
        return json.loads(entry["plaintext"]) if _SIGNATURE.items() <= entry.items() else entry

    [stack] = [entry for entry in entries if entry["type"] == "pulumi:pulumi:Stack"]
    return dict(json.loads(json.dumps(stack.get("outputs", {})), object_hook=value))


@cache
def _key(passphrase: str, salt: str) -> bytes:
    """Derive the key of a stack as the engine does, with all its rounds."""
    return hashlib.pbkdf2_hmac("sha256", passphrase.encode(), base64.b64decode(salt), _ROUNDS, 32)
