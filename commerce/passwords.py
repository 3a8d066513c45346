"""Passwords as argon2id hashes (RFC 9106, second recommended option), so that a stolen database gives none away."""

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

PASSWORD_CHARACTERS_MIN = 8  # NIST SP 800-63B 3.1.1
PASSWORD_CHARACTERS_MAX = 128  # hashing time must not grow with what a stranger sends


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
