"""The server's one secret and what is derived from it.

``data/secret.key`` holds 32 random bytes in hex, readable by its owner only. Purposes get keys of their own
(HMAC-SHA256 over the purpose's name), so that a leaked one opens nothing else.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from pathlib import Path

KEY_FILE = "secret.key"
SECRET_BYTES = 32
STREAM_KEY_CHARACTERS = 22
_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


class SecretError(RuntimeError):
    """The secret file cannot be read or made."""


class Secrets:
    """Keys by purpose, from one root secret."""

    __slots__ = ("_root",)

    def __init__(self, root: bytes) -> None:
        if len(root) < SECRET_BYTES:
            raise SecretError(f"the secret must have at least {SECRET_BYTES} bytes")
        self._root = root

    def key(self, purpose: str) -> bytes:
        """32 bytes for ``purpose``."""
        return hmac.digest(self._root, purpose.encode(), hashlib.sha256)

    def stream_key(self, room: str, generation: int = 0) -> str:
        """The room's own publish key, 22 characters of base62; each renewal is a generation of its own."""
        return self._code("stream-key", f"{room}#{generation}" if generation else room)

    def named_key(self, room: str, key: str) -> str:
        """The text of the room's key with the id ``key``: the id, and a code that only we can make for it."""
        return f"{key}-{self._code('publish-key', f'{room}/{key}')}"

    def partner_key(self, partner: str, generation: int) -> str:
        """The text of a partner's key: its id, and a code that only we can make for it and this generation."""
        return f"{partner}-{self._code('partner-key', f'{partner}#{generation}')}"

    def is_partner_key(self, given: str, partner: str, generation: int) -> bool:
        """Whether a key is the partner's of now; it has none (generation 0) before one was made."""
        wanted = self.partner_key(partner, generation)
        return generation > 0 and hmac.compare_digest(wanted.encode(), given.encode())

    def _code(self, purpose: str, text: str) -> str:
        number = int.from_bytes(hmac.digest(self.key(purpose), text.encode(), hashlib.sha256), "big")
        out = []
        for _ in range(STREAM_KEY_CHARACTERS):
            number, digit = divmod(number, 62)
            out.append(_BASE62[digit])
        return "".join(out)


def open_secrets(data: Path) -> Secrets:
    """Read the secret of folder ``data``, or make it on first use. Raises ``SecretError``."""
    path = data / KEY_FILE
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        pass
    else:
        with os.fdopen(handle, "w") as file:
            file.write(os.urandom(SECRET_BYTES).hex())
            file.flush()
            os.fsync(file.fileno())
    try:
        return Secrets(bytes.fromhex(path.read_text().strip()))
    except ValueError as error:
        raise SecretError(f"{path} is not a secret of ours: expected hex digits; restore it from a backup") from error
