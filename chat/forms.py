"""A batch in each form that a socket may want it in: prepared once for all sockets of the kind."""

from __future__ import annotations

from chat import frame
from chat.message import Tier
from chat.room import Batch
from chat.sink import Kind

PADDING_BYTES = 8 * 1024
"""Comment behind an event: a proxy that buffers passes on what fills one of its buffers, 4 or 8 KiB at nginx."""
PADDING = b":%b\n\n" % (b" " * (PADDING_BYTES - 3))


class DeflatedBatch(Batch):
    """A batch as a compressed WebSocket frame, for those who offered permessage-deflate."""

    __slots__ = ()

    def prepare(self, items: list[bytes]) -> bytes:
        """Return the frame of some of the entries; not compressed when that would not make it shorter."""
        return frame.deflated(b"[" + b",".join(items) + b"]")


class StreamBatch(Batch):
    """A batch in the form of a server-sent event; `position` is EPOCH:OFFSET after it."""

    __slots__ = ("_position",)

    def __init__(self, entries: list[tuple[Tier, bytes]], position: bytes) -> None:
        super().__init__(entries)
        self._position = position

    def prepare(self, items: list[bytes]) -> bytes:
        """Return the event of some of the entries."""
        return b"id: %b\ndata: [%b]\n\n" % (self._position, b",".join(items))


class PaddedBatch(StreamBatch):
    """A batch as a server-sent event with a comment behind it."""

    __slots__ = ()

    def prepare(self, items: list[bytes]) -> bytes:
        """Return the event of some of the entries, and what pushes it out of a proxy's buffer."""
        return super().prepare(items) + PADDING


class PollBatch(Batch):
    """A batch as the middle of a JSON array: batches that wait for a client are simply put together."""

    __slots__ = ()

    def prepare(self, items: list[bytes]) -> bytes:
        """Return some of the entries, each with a comma behind it."""
        return b"".join(item + b"," for item in items)


def in_form(kind: Kind, batch: Batch, position: bytes) -> Batch:
    """Return a batch for the sockets of a kind; `position` is EPOCH:OFFSET after it."""
    if kind is Kind.FRAME:
        return batch
    if kind is Kind.DEFLATED:
        return DeflatedBatch(batch.entries)
    if kind is Kind.EVENT:
        return StreamBatch(batch.entries, position)
    if kind is Kind.PADDED:
        return PaddedBatch(batch.entries, position)
    return PollBatch(batch.entries)
