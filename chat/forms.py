"""A batch in each form that a socket may want it in: prepared once for all sockets of the kind."""

from __future__ import annotations

from chat import frame
from chat.message import Tier
from chat.room import Batch
from chat.sink import Kind


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
    return PollBatch(batch.entries)
