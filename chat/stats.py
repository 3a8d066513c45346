"""What the hub counts, for /metrics and the host's console."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class RoomStats:
    """One room at this moment; counts are since the room was opened."""

    connections: int
    viewers: int
    likes: int
    offset: int
    history_events: int
    history_bytes: int
    chat_lines: int
    chat_sampled: int
    batches: int
    tick_ms: int
    skipping: int
    messages_out: int
    dropped_by_tier: dict[str, int]
    slow_skipped: int
    joined: int
    """People who came to this node, staff not counted; `left` those who went."""
    left: int
    held: int
    """People with a line that is looked at before it is shown."""


@dataclass(frozen=True, slots=True)
class HubTotals:
    """The whole hub; counts are since it was made."""

    rooms: int
    connections: int
    joins: int
    joins_refused: int
    commands_in: int
    frames_in: int
    bytes_in: int
    messages_out: int
    bytes_out: int
    dropped_by_tier: dict[str, int]
    slow_skipped: int
    chat_sampled: int
    command_errors: int
    closed_by_code: dict[int, int]


@dataclass(slots=True)
class HubCounters:
    """The running figures behind `HubTotals`."""

    joins: int = 0
    joins_refused: int = 0
    commands_in: int = 0
    frames_in: int = 0
    bytes_in: int = 0
    messages_out: int = 0
    bytes_out: int = 0
    dropped: list[int] = field(default_factory=lambda: [0, 0, 0, 0])
    slow_skipped: int = 0
    chat_sampled: int = 0
    command_errors: int = 0
    closed_by_code: dict[int, int] = field(default_factory=dict)

    def add_fanout(self, room: HubCounters) -> None:
        """Add what a room's fan-out has counted."""
        self.messages_out += room.messages_out
        self.bytes_out += room.bytes_out
        self.slow_skipped += room.slow_skipped
        self.dropped = [own + more for own, more in zip(self.dropped, room.dropped, strict=True)]

    def closed(self, code: int) -> None:
        """Count a connection that was closed with a code."""
        self.closed_by_code[code] = self.closed_by_code.get(code, 0) + 1
