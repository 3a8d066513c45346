"""Passwords as argon2id hashes (RFC 9106, second recommended option), so that a stolen database gives none away."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from commerce.errors import Busy

T = TypeVar("T")

PASSWORD_CHARACTERS_MIN = 8  # NIST SP 800-63B 3.1.1
PASSWORD_CHARACTERS_MAX = 128  # hashing time must not grow with what a stranger sends
HASH_THREADS = 2  # each hash takes 64 MiB and four lanes for tens of milliseconds
HASHES_WAITING_MAX = 32  # about two seconds of work; a flood of logins is told to come back


class Passwords:
    """Hash and check passwords. Both calls burn tens of milliseconds of CPU: never on the event loop."""

    __slots__ = ("_dummy", "_hasher")

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        """Take an argon2 hasher; the default costs 64 MiB and three passes."""
        self._hasher = hasher or PasswordHasher()
        self._dummy: str | None = None

    def hash(self, password: str) -> str:
        """Hash a password with a salt of its own."""
        return self._hasher.hash(password)

    def matches(self, stored: str | None, password: str) -> bool:
        """Say whether ``password`` is the one behind ``stored``.

        An unknown login is checked against a throw-away hash, so that its answer takes as long as a wrong password's.
        """
        if self._dummy is None:
            self._dummy = self._hasher.hash("nobody's password")
        try:
            right = self._hasher.verify(stored or self._dummy, password[: PASSWORD_CHARACTERS_MAX + 1])
        except (VerificationError, InvalidHashError):
            return False
        return right and stored is not None


class Hashing:
    """The threads on which passwords are hashed, and how many may wait for them."""

    def __init__(self) -> None:
        self.threads = ThreadPoolExecutor(HASH_THREADS, thread_name_prefix="password")
        self._waiting = 0

    async def run(self, work: Callable[[], T]) -> T:
        """Do ``work`` on one of the threads. Raises ``Busy`` when too many wait."""
        if self._waiting >= HASHES_WAITING_MAX:
            raise Busy("too many logins at once", retry_ms=2_000)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self.threads, work)
        finally:
            self._waiting -= 1
