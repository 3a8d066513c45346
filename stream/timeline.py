"""One clock per room that never goes back, whatever its hosts' clocks do.

Pure. The two tracks share one offset, so that picture and sound stay together. A host's clock may wrap at 32 bits,
jump, or begin anew with each connection; each such break opens an epoch with a new offset, chosen so that the output
goes on by the time that really passed. While one track has crossed a jump and the other has not yet, packets of the
late track still belong to the epoch before: each packet goes to the epoch whose times it is nearest to.

A room that is pulled from another process keeps its clock instead of making one: all of them then say the same media
time, as sales moments need it. Where that would lead back, it goes on as with any other break.
"""

from dataclasses import dataclass, field
from typing import Final

from stream.packet import Kind

JUMP_MS: Final = 3000
"""A step of a host's clock beyond this is a break, not a gap: twice the skew that live encoders show between tracks."""

BACK_MS: Final = 200
"""Within one track a small step back is clamped; more is a break, or the clamp would pile frames onto one instant."""

START_MS: Final = JUMP_MS
"""Where a room's clock begins: leaves room for a second track that begins earlier than the first one heard."""

_WRAP: Final = 1 << 32


@dataclass(slots=True)
class _Epoch:
    offset_ms: int
    newest_raw_ms: int
    last_raw_ms: dict[Kind, int] = field(default_factory=dict)


class Timeline:
    """Maps a host's times (ms, modulo 2**32) of media packets to the room's.

    `follows`: the times are those of a room already, as they are for a rendition of it.
    """

    __slots__ = (
        "_at_ms",
        "_before",
        "_epoch",
        "_floor_ms",
        "_follows",
        "_keeps",
        "_last_out_ms",
        "heard_ms",
        "newest_ms",
    )

    def __init__(self, *, follows: bool = False) -> None:
        self._follows = follows
        self._epoch: _Epoch | None = None
        self._before: _Epoch | None = None
        self._last_out_ms: dict[Kind, int] = {}
        self._at_ms: int | None = None
        self._floor_ms: int | None = None
        self._keeps = False
        self.heard_ms = 0
        """When the last packet came."""
        self.newest_ms: int | None = None
        """The newest time given out, or None before the first."""

    def restart(self, at_ms: int | None = None, *, keeps: bool = False) -> None:
        """Forget the host's clock: another host, or the same one on a new connection, comes next.

        `at_ms`: the room's time of its first packet, and sound that belongs before it is left out; None: after the time
        that passed. `keeps`: what comes has a room's time already, of another process, which is kept unless it lies
        before what was given out.
        """
        self._epoch = self._before = None
        self._keeps = keeps
        self._at_ms = at_ms
        self._floor_ms = at_ms

    def go_on_from(self, media_ms: int, now_ms: int) -> None:
        """Give out nothing before `media_ms`, which it is now: so far another process counted this room's time."""
        if self.newest_ms is None or media_ms > self.newest_ms:
            self.newest_ms, self.heard_ms = media_ms, now_ms

    def last_of(self, kind: Kind) -> int | None:
        """Give the newest time of one track; None: it had none."""
        return self._last_out_ms.get(kind)

    def last_ms(self, kind: Kind) -> int:
        """Give the newest time of one track; without any, the newest of all."""
        last_ms = self.last_of(kind)
        if last_ms is not None:
            return last_ms
        return START_MS if self.newest_ms is None else self.newest_ms

    def advance(self, kind: Kind, out_ms: int, now_ms: int) -> None:
        """Note a packet that is in the room's time already."""
        self.heard_ms = now_ms
        self._last_out_ms[kind] = out_ms
        self.newest_ms = out_ms if self.newest_ms is None else max(self.newest_ms, out_ms)

    def map(self, kind: Kind, raw_ms: int, now_ms: int) -> int | None:
        """Give the room's time of a media packet, greater than that of the track's packet before.

        None for sound that belongs before the run's first picture.
        """
        if self._follows:
            out = max(raw_ms, self._last_out_ms.get(kind, -1) + 1)
            self.advance(kind, out, now_ms)
            return out
        passed_ms = max(0, now_ms - self.heard_ms)
        self.heard_ms = now_ms
        epoch, raw = self._place(kind, raw_ms, passed_ms)
        epoch.last_raw_ms[kind] = raw
        epoch.newest_raw_ms = max(epoch.newest_raw_ms, raw)
        out = raw + epoch.offset_ms
        if kind is Kind.AUDIO and self._floor_ms is not None and out < self._floor_ms:
            return None
        out = max(out, self._last_out_ms.get(kind, -1) + 1)
        self._last_out_ms[kind] = out
        if self.newest_ms is None or out > self.newest_ms:
            self.newest_ms = out
        return out

    def _place(self, kind: Kind, raw_ms: int, passed_ms: int) -> tuple[_Epoch, int]:
        epoch = self._epoch
        if epoch is None:
            return self._begin(raw_ms & (_WRAP - 1), passed_ms)
        own = epoch.last_raw_ms.get(kind)
        raw = _unwrap(raw_ms, epoch.newest_raw_ms if own is None else own)
        if own is not None:
            # A silence of one track, or of both that matches a real silence, is no jump.
            reach = max(own, epoch.newest_raw_ms) + JUMP_MS + passed_ms
            if own - BACK_MS <= raw <= reach:
                return epoch, raw
            return self._begin(raw, passed_ms)
        distance = abs(raw - epoch.newest_raw_ms)
        before = self._before
        if before is not None and (last := before.last_raw_ms.get(kind)) is not None:
            old = _unwrap(raw_ms, last)
            if abs(old - last) < distance and abs(old - last) <= JUMP_MS:
                return before, old
        if distance <= JUMP_MS + passed_ms:
            return epoch, raw
        return self._begin(raw, passed_ms)

    def _begin(self, raw: int, passed_ms: int) -> tuple[_Epoch, int]:
        at_ms, self._at_ms = self._at_ms, None
        if self._keeps and raw > max(-1 if self.newest_ms is None else self.newest_ms, at_ms or 0):
            out = raw
        elif at_ms is not None:
            out = at_ms
        else:
            out = START_MS if self.newest_ms is None else self.newest_ms + max(1, passed_ms)
        self._before = self._epoch
        self._epoch = _Epoch(out - raw, raw)
        return self._epoch, raw


def _unwrap(raw_ms: int, near_ms: int) -> int:
    """Give the value equal to `raw_ms` modulo 2**32 that is nearest to `near_ms`."""
    return near_ms + ((raw_ms - near_ms + _WRAP // 2) % _WRAP) - _WRAP // 2
