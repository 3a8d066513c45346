"""What can go wrong in a room.

ChatError
├── BadFrame          the peer sent what is no frame of commands; its connection is closed with 4400
├── TokenRefused      the token opens no room; carries the close code (4401, 4403 or 4404)
├── CommandRefused    a rule said no; becomes an error answer, the connection goes on
├── BusLost           the bus between the nodes does not answer; rooms go on alone
├── BadEntry          the bus brought what no node of this version says; it is skipped
└── RoomNotOpen       our own mistake: something was published to a room nobody opened
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any


class CloseCode(IntEnum):
    """Close codes of the hub: 4000–4199 come back at once with jitter, 4200–4399 after retry_ms, 4400–4499 do not."""

    INTERNAL = 1011
    DRAIN = 4000
    SLOW = 4008
    JOINS_LIMITED = 4229
    BAD_FRAME = 4400
    TOKEN = 4401
    BANNED = 4403
    NO_ROOM = 4404
    TOO_LONG = 4413
    FLOODING = 4429


NOT_AGAIN = 4400
"""Close codes from here on mean: do not come back by yourself."""


class ChatError(Exception):
    """Root of all errors of the package."""


class BadFrame(ChatError):
    """The peer sent a frame that is not JSON or not of the shape of commands."""


class TokenRefused(ChatError):
    """The token does not open this room.

    `code` is the close code (4401 bad or expired token, 4403 banned, 4404 no such room); `reason` is short English.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class CommandRefused(ChatError):
    """A command was understood and refused.

    `code` is for programs (`sold_out`), `message` for people, `retry_ms` says when to try again; `extra` goes into the
    error object as it is, so it must be JSON.
    """

    def __init__(self, code: str, message: str, retry_ms: int | None = None, **extra: Any) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.retry_ms = retry_ms
        self.extra = extra


class BadEntry(ChatError):
    """The bus brought what no node of this version says."""


class BusLost(ChatError):
    """The bus does not answer; the text says what happened."""


class RoomNotOpen(ChatError, LookupError):
    """`open_room` was not called for this room, or `close_room` was."""
