"""What one client remembers of a room between frames and connections (docs/hub.md). Pure: no socket, no clock."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from chat.message import encode

RETURN_SPREAD_MS = 1_000
"""Random wait before coming back at once: a whole room that was drained must not come as one."""
RETURN_UNKNOWN_MS = 2_000
"""Wait when the server says "later" and not when."""
BACKOFF_MS_MAX = 15_000

_RETRY = re.compile(r"\bretry_ms=(\d{1,9})")


class ProtocolBreach(ValueError):
    """A frame of the server that docs/hub.md does not allow."""


@dataclass(slots=True)
class Frame:
    """One frame, sorted: room object, events, answers by command id, and what is to be acknowledged."""

    room: Mapping[str, Any] | None = None
    events: list[Mapping[str, Any]] = field(default_factory=list)
    answers: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    ack: int | None = None
    oldest_ms: int | None = None
    """Server time of the oldest event that carries one: how long it was on its way."""
    disorder: int = 0
    """Events whose offset was not above the last one: each arrives once and in order, so this is a bug."""


class HubSession:
    """Epoch, offset, personal sequence and command ids of one viewer."""

    def __init__(self) -> None:
        self.epoch = ""
        self.offset = 0
        self._acked = 0
        self._ids = 0

    @property
    def since(self) -> str:
        """The value of ``since=`` for the next connection; '' before the first frame."""
        return f"{self.epoch}:{self.offset}" if self.epoch else ""

    def command(self, name: str, fields: Mapping[str, Any]) -> tuple[int, bytes]:
        """A new command's id and bytes."""
        self._ids += 1
        return self._ids, encode({"id": self._ids, "cmd": name, **fields})

    def acknowledgement(self, to: int) -> bytes:
        """The command that acknowledges personal events; without an id it is not answered."""
        return encode({"cmd": "ack", "to": to})

    def receive(self, data: bytes) -> Frame:
        """Sort one frame and remember where the room is now. Raises ``ProtocolBreach``."""
        try:
            items = orjson.loads(data)
        except orjson.JSONDecodeError as error:
            raise ProtocolBreach(f"not JSON: {error}") from error
        if not isinstance(items, list):
            raise ProtocolBreach("a frame is an array")
        frame = Frame()
        for item in items:
            if "re" in item:
                frame.answers[item["re"]] = item
            elif item.get("t") == "room":
                self._enter(item, frame)
            elif "t" in item:
                self._event(item, frame)
            else:
                raise ProtocolBreach("neither an event nor an answer")
        return frame

    def _enter(self, room: Mapping[str, Any], frame: Frame) -> None:
        if room["epoch"] != self.epoch:
            self._acked = 0
        self.epoch = room["epoch"]
        self.offset = room["offset"]
        frame.room = room

    def _event(self, event: Mapping[str, Any], frame: Frame) -> None:
        offset = event.get("o")
        if offset is not None:
            if offset <= self.offset:
                frame.disorder += 1
            self.offset = max(self.offset, offset)
        sequence = event.get("a")
        if sequence is not None:
            if sequence <= self._acked:
                return
            self._acked = sequence
            frame.ack = sequence
        now_ms = event.get("now")
        if now_ms is not None and (frame.oldest_ms is None or now_ms < frame.oldest_ms):
            frame.oldest_ms = now_ms
        frame.events.append(event)


def return_after_ms(code: int, reason: str, attempt: int, chance: float) -> int | None:
    """How long a closed client waits before it comes back; None when it must not.

    ``attempt`` counts failed tries in a row from 0, ``chance`` is a random number from 0 to 1.
    """
    if 4400 <= code <= 4499:
        return None
    said = _RETRY.search(reason)
    if 4200 <= code <= 4399:
        return int(said[1]) if said else RETURN_UNKNOWN_MS
    spread_ms = int(said[1]) if said else RETURN_SPREAD_MS
    backoff_ms = min(BACKOFF_MS_MAX, 500 * 2 ** min(attempt, 10)) if attempt else 0
    return int(chance * spread_ms) + backoff_ms
