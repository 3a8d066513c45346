"""RTMP play: `rtmp://HOST/live/ROOM`, what WeChat's live-player, VLC, ffmpeg and televisions play.

Each packet is cut into chunks once per stream: every message has a whole header (type 0), stands on message stream
PLAY_STREAM and on the same chunk stream for all viewers, so that the very same bytes fit each of them at any point.
"""

from collections.abc import Awaitable, Callable
from typing import Final

from stream.directory import Clock, Directory
from stream.fanout import ViewerLimits
from stream.packet import Kind, Packet
from stream.protocol import amf0, flv
from stream.protocol.rtmp_chunk import write_message
from stream.protocol.rtmp_session import CHUNK_BYTES_OUT, PLAY_STREAM
from stream.rtmp_peers import Line, PlayRequest
from stream.tag_encoder import TagEncoder
from stream.viewer import ProgressiveOutput, Seat

CHUNK_STREAMS: Final = {Kind.AUDIO: 4, Kind.VIDEO: 6, Kind.DATA: 7}
"""The session answers on 2, 3 and 5."""

_SAMPLE_ACCESS: Final = write_message(
    CHUNK_STREAMS[Kind.DATA], Kind.DATA, PLAY_STREAM, 0, amf0.encode("|RtmpSampleAccess", True, True)
)
"""Flash players show nothing of a stream whose samples they may not touch."""


class RtmpEncoder(TagEncoder):
    """RTMP messages of one stream, in chunks."""

    content_type = ""

    def tag(self, packet: Packet, dts_ms: int) -> bytes:
        """Give one message; its time is taken modulo 2**32, over 4 h 40 it stands in the extended field."""
        body = flv.body_prefix(packet) + packet.data
        stream = CHUNK_STREAMS[packet.kind]
        return write_message(stream, packet.kind, PLAY_STREAM, dts_ms, body, chunk_bytes=CHUNK_BYTES_OUT)

    def head(self, dts_ms: int) -> bytes:
        """Leave to touch the samples, then metadata and configurations."""
        return _SAMPLE_ACCESS + self.config(dts_ms)


Authorize = Callable[[PlayRequest], Awaitable[None]]
OnSeat = Callable[[PlayRequest, Seat], Callable[[], None]]
"""Told of each player as it is given its place; gives what is called when it leaves."""


class RtmpSeat(Seat):
    """One player's place; its connection does the talking."""

    __slots__ = ("_line", "_on_lost")

    def __init__(
        self, output: ProgressiveOutput, request: PlayRequest, line: Line, on_seat: OnSeat, source: str
    ) -> None:
        super().__init__(output, source, low_delay=request.low_delay)
        self._line = line
        self._on_lost = on_seat(request, self)

    def leave(self) -> None:
        """Give the place up, once."""
        super().leave()
        on_lost, self._on_lost = self._on_lost, _nobody_asked
        on_lost()

    def refuse(self, status: int, phrase: str, code: str, detail: str) -> None:
        """Say that there is nothing to play."""
        if not self._ended:
            self.stop()
            self._line.not_live(detail)

    def end(self, *, going_down: bool = False) -> None:
        """Say that the broadcast is over; a paused player would keep the connection open for ever, so it is cut."""
        if self.transport is None or self._ended:
            return
        self.stop()
        if self.paused:
            self.transport.abort()
        else:
            self._line.over()

    def expel(self, code: str, detail: str) -> None:
        """Say why it may watch no longer."""
        if not self._ended:
            self.stop()
            self._line.expelled(detail)


def _nobody_asked() -> None:
    """Stand for `on_lost` where nobody wants to know."""


def _seat_of_anyone(request: PlayRequest, seat: Seat) -> Callable[[], None]:
    return _nobody_asked


class RtmpOutput(ProgressiveOutput):
    """Players on RTMP connections, which tell them to go when their server drains.

    `authorize` is awaited for each play and raises PlayRefused. `source` names the relay that plays a room.
    """

    def __init__(
        self,
        directory: Directory,
        authorize: Authorize,
        clock: Clock,
        limits: ViewerLimits | None = None,
        on_seat: OnSeat = _seat_of_anyone,
        source: Callable[[str], str] = str,
    ) -> None:
        super().__init__(directory, RtmpEncoder, clock=clock, limits=limits, fixed_tracks=False)
        self._authorize = authorize
        self._on_seat = on_seat
        self._source = source

    async def authorize(self, request: PlayRequest) -> None:
        """Check the token. Raises PlayRefused."""
        await self._authorize(request)

    def seat(self, request: PlayRequest, line: Line) -> RtmpSeat:
        """Give a player its place; call its `sit(transport)` once play was answered."""
        return RtmpSeat(self, request, line, self._on_seat, self._source(request.room))
