"""What commerce refuses, and why.

CommerceError(code, message, retry_ms)
├── NotFound    not_found     the thing is not there, or belongs to another merchant or person
├── Refused     sold_out limit not_open closed paused price_changed gone already coupon_invalid expired
│               amount_mismatch bad_signature declined …   a rule said no; nothing was changed
├── Conflict    key_reused    the same key came with another body
├── Busy        busy          a bounded queue is full or the store could not commit: come back with the same key
└── Invalid     invalid       the request itself is malformed

StoreError      the database cannot be opened (second writer, newer schema, unknown address)
"""

from typing import Any


class CommerceError(Exception):
    """A refusal with a stable ``code``, a sentence for people, and perhaps milliseconds to wait.

    ``extra`` holds further fields for the answer, JSON-ready (``price_changed`` has ``price`` and ``version``).
    """

    def __init__(self, code: str, message: str, retry_ms: int | None = None, **extra: Any) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retry_ms = retry_ms
        self.extra = extra

    def __reduce__(self) -> tuple[Any, ...]:
        # Each kind is made from other arguments; between processes go those of the base.
        return _again, (type(self), self.code, self.message, self.retry_ms, self.extra)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.code!r}, {self.message!r})"


class NotFound(CommerceError):
    """The thing is not there, or is not this merchant's or person's."""

    def __init__(self, message: str, **extra: Any) -> None:
        super().__init__("not_found", message, None, **extra)


class Refused(CommerceError):
    """A rule of the shop said no; nothing was changed."""


class Conflict(CommerceError):
    """The idempotency key was used before for another body."""

    def __init__(self, message: str = "this key was used for another request") -> None:
        super().__init__("key_reused", message)


class Busy(CommerceError):
    """Not decided for lack of room or of a working disk; repeat with the same key after ``retry_ms``."""

    def __init__(self, message: str = "the shop is busy", retry_ms: int = 500) -> None:
        super().__init__("busy", message, retry_ms)


class Invalid(CommerceError):
    """The request is malformed; repeating it will not help."""

    def __init__(self, message: str, **extra: Any) -> None:
        super().__init__("invalid", message, None, **extra)


def _again(kind: type[CommerceError], code: str, message: str, retry_ms: int | None, extra: Any) -> CommerceError:
    error = kind.__new__(kind)
    CommerceError.__init__(error, code, message, retry_ms, **extra)
    return error


class StoreError(Exception):
    """The database cannot be opened; the message says what to do."""
