"""What a stream's readers see of it and what it asks of them: the seam between relays (or views of one) and outputs."""

from dataclasses import dataclass
from typing import Protocol

from stream.packet import Packet


@dataclass(frozen=True, slots=True)
class RelayLimits:
    """What one room may keep."""

    gop_bytes_max: int = 16 * 1024 * 1024
    """Bytes from one key frame to the next: 20 s at 6 Mbit/s. Over it, new readers wait for the next key frame."""
    gop_ms_max: int = 20_000
    """Media time from one key frame to the next: OBS sends a key frame each 8 s or so when it is not told otherwise."""
    gop_packets_max: int = 8_000
    """Packets from one key frame to the next: 20 s of 240 pictures and 160 sounds a second. Empty ones cost, too."""


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """What is known of a room's stream: codecs as in RFC 6381 (None: no such track), times in ms, size in pixels."""

    live: bool
    since_ms: int | None
    video_codec: str | None
    audio_codec: str | None
    width: int | None
    height: int | None
    media_clock_ms: int
    away: bool = False
    """Whether the host is connected and says nothing: viewers see a stand-in."""


class Reader(Protocol):
    """What the relay asks of an output. Each call must be quick: it runs on the host's path."""

    def on_start(self, now_ms: int) -> None:
        """Tracks are settled; take `relay.gop` and the configurations."""

    def on_packet(self, packet: Packet, now_ms: int) -> None:
        """The next packet, after those that `gop` held at the start."""

    def on_stop(self, now_ms: int) -> None:
        """The run is over (at `relay.run_ends_ms`, where that is known); nothing comes until the next `on_start`."""

    def on_close(self, now_ms: int) -> None:
        """The stream is over for good."""


class Source(Protocol):
    """A stream as its readers see it: a relay, or a view of one (`aac_view.py`)."""

    @property
    def room(self) -> str: ...
    @property
    def limits(self) -> RelayLimits: ...
    @property
    def live(self) -> bool: ...
    @property
    def standing_in(self) -> bool: ...
    @property
    def run_ends_ms(self) -> int | None: ...
    @property
    def playing(self) -> bool: ...
    @property
    def bytes_per_s(self) -> int: ...
    @property
    def media_clock_ms(self) -> int: ...
    @property
    def metadata(self) -> Packet | None: ...
    @property
    def sound_ms(self) -> int | None: ...
    @property
    def gop(self) -> list[Packet]: ...
    def configs(self) -> tuple[Packet, ...]: ...
    def info(self) -> StreamInfo: ...
    def attach(self, reader: Reader, now_ms: int) -> None: ...
    def detach(self, reader: Reader) -> None: ...
