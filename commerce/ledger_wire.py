"""What the ledger's loop and its writer say to one another when the writer is a process of its own.

Two sockets join them. On the first, messages: four bytes of length (big-endian), then a pickle; both ends are one
program, started by one another. On the second, five bytes each way, for who wants to write to the same file between two
batches: ``P`` and a number asks for a pause, ``G`` and the number grants it, ``R`` and the number ends it.
"""

import pickle
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from commerce.ledger_batch_sql import Outcome
from commerce.store_sql import WriterPlace

HEAD = struct.Struct(">I")
READ_BYTES = 256 * 1024
"""Read at once; a batch of a thousand holds has 100 KB."""
MESSAGE_BYTES_MAX = 256 * 1024 * 1024
"""More than any batch has; a length above it is no length."""

PAUSE = struct.Struct(">cI")
ASK, GRANT, RESUME = b"P", b"G", b"R"
PAUSE_S = 30.0
"""How long a writer rests at the most when nobody ends a pause: the file's own lock keeps the two apart then."""


@dataclass(frozen=True, slots=True)
class Hello:
    """The first message: where to write, and whether a shared database's clock decides."""

    place: WriterPlace
    database_time: bool


@dataclass(frozen=True, slots=True)
class Said:
    """A line of the log, with its traceback."""

    logger: str
    level: int
    text: str


@dataclass(frozen=True, slots=True)
class Answers:
    """The results of the oldest commands that wait, in their order, and what else the loop hears of their batch.

    The first has no results: the writer is there.
    """

    results: list[Any]
    outcome: Outcome
    ahead_ms: int
    said: list[Said]


def packed(message: Any) -> bytes:
    """One message as bytes."""
    body = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    return HEAD.pack(len(body)) + body


class Unpacker:
    """Messages from bytes, however these are cut."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Any]:
        """Give the messages that are complete now. Raises ValueError when the other end speaks something else."""
        buffer = self._buffer
        buffer += data
        start = 0
        while len(buffer) - start >= HEAD.size:
            (length,) = HEAD.unpack_from(buffer, start)
            if length > MESSAGE_BYTES_MAX:
                raise ValueError(f"a message of {length} bytes")
            end = start + HEAD.size + length
            if len(buffer) < end:
                break
            # From the other half of this very program, over a socket that nobody else has.
            with memoryview(buffer) as view:
                message = pickle.loads(view[start + HEAD.size : end])  # noqa: S301
            start = end
            yield message
        del buffer[:start]
