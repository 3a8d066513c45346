"""A stream cut into windows: bytes of one format that every viewer gets as they are, in one write.

Sans-I/O. A window ends when it spans enough time or bytes, and before each key frame, so that a viewer who lost some
can go on exactly at a window. `Gop` holds the windows a new viewer gets at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

from stream.packet import Kind, Packet
from stream.relay import AUDIO_ONLY_CACHE_MS, RelayLimits

WINDOW_BYTES_MAX: Final = 1024 * 1024
"""A window is closed early at this size, whatever the rate: one write of a viewer stays well under its buffer limit."""


class Encoder(Protocol):
    """Packets of one stream to bytes of one format. May hold packets back until it knows how long they last."""

    @property
    def content_type(self) -> str:
        """The response's media type, with codecs where the format names them."""

    @property
    def tracks(self) -> tuple[Kind, ...]:
        """The tracks it carries; none: the format cannot carry this stream."""

    def head(self, dts_ms: int) -> bytes:
        """What a new viewer needs before a key frame of this time."""

    def config(self, dts_ms: int) -> bytes:
        """What a viewer needs who has had a head, when the configuration changed while it missed windows."""

    def take(self, packet: Packet) -> None:
        """Add a packet to the window."""

    def split(self, packet: Packet) -> bytes:
        """Give all before `packet`, which opens the next window."""

    def cut(self) -> bytes:
        """Give what is complete; b"" when nothing is, or when a key frame that opened the window is not yet."""

    def flush(self, end_ms: int | None = None) -> bytes:
        """Give all, the run ends here; its picture lasts until `end_ms`, where that is known."""


@dataclass(frozen=True, slots=True)
class Window:
    """Some media time of the stream as bytes.

    `key`: a decoder can begin with it, after `head` (a new viewer) or `config` (one that has had other
    configurations; `version` tells them apart). `fresh`: the first after the stream's start or return.
    """

    data: bytes
    key: bool
    start_ms: int
    end_ms: int
    version: int
    head: bytes = b""
    config: bytes = b""
    fresh: bool = False


def merge(windows: Sequence[Window]) -> Window:
    """Give consecutive windows as one."""
    if len(windows) == 1:
        return windows[0]
    return replace(windows[0], data=b"".join([window.data for window in windows]), end_ms=windows[-1].end_ms)


class Windows:
    """Cuts one run of a stream (from a key frame to the host's end) into windows of `window_ms`, 0 for each packet.

    `exact`: by the times of the picture (without one: of the sound) that is whole, however late it comes.
    """

    def __init__(self, encoder: Encoder, window_ms: int, *, exact: bool = False) -> None:
        self.encoder = encoder
        self._window_ms = window_ms
        self._exact = exact
        self._lead = Kind.VIDEO if Kind.VIDEO in encoder.tracks else Kind.AUDIO
        self._lead_from_ms: int | None = None
        self._lead_ms: int | None = None
        self._step_ms = 0
        self.longest_ms: float | None = None
        """An exact window ends before a frame that would make it longer than this, if frames go on as they came."""
        self._video = Kind.VIDEO in encoder.tracks
        self._begun = False
        self._open: Window | None = None
        self._opened_ms = 0
        self._bytes = 0
        self._end_ms = 0
        self._version = 0

    @property
    def opens_with_key(self) -> bool:
        """Whether the window under way begins with a key frame: cut now, it is the best start for a new viewer."""
        return self._open is not None and self._open.key and self._video

    @property
    def opened_ms(self) -> int | None:
        """Where the window under way begins, in media time; None: there is none."""
        return self._lead_from_ms

    def push(self, packet: Packet, now_ms: int) -> list[Window]:
        """Take a packet; give the windows that it completes: none, one or two."""
        done: list[Window] = []
        if packet.kind is not Kind.DATA and packet.kind not in self.encoder.tracks:
            return done
        media = packet.kind is not Kind.DATA and not packet.config
        if media and (packet.kind is Kind.VIDEO and packet.key if self._video else not self._open):
            before = self.encoder.split(packet)
            if self._begun:
                self._close(before, done)
            self._begun = True
            self._begin(packet, True, now_ms)
        elif not self._begun:
            # The cached key frame was given up, see RelayLimits: wait for the next one.
            if not media:
                self.encoder.take(packet)
            return done
        else:
            if self._open is None:
                self._begin(packet, False, now_ms)
            self.encoder.take(packet)
            if packet.config:
                self._version += 1
        self._end_ms = max(self._end_ms, packet.dts_ms)
        if media and packet.kind is self._lead:
            self._step_ms = 0 if self._lead_ms is None else packet.dts_ms - self._lead_ms
            self._lead_ms = packet.dts_ms
            if self._lead_from_ms is None:
                self._lead_from_ms = packet.dts_ms
        self._bytes += len(packet.data)
        if media and self._is_full(now_ms):
            self._close(self.encoder.cut(), done)
        return done

    def cut(self) -> list[Window]:
        """End the window under way, if something in it is complete."""
        done: list[Window] = []
        self._close(self.encoder.cut(), done)
        return done

    def flush(self, end_ms: int | None = None) -> list[Window]:
        """End the last window; the picture lasts until `end_ms`, where that is known."""
        done: list[Window] = []
        self._close(self.encoder.flush(end_ms), done)
        return done

    def _is_full(self, now_ms: int) -> bool:
        window = self._open
        if self._exact and window is not None and self._bytes < WINDOW_BYTES_MAX:
            newest_ms, from_ms = self._lead_ms, self._lead_from_ms
            if newest_ms is None or from_ms is None or newest_ms == from_ms:
                return False
            whole_ms = newest_ms - from_ms
            longer = self.longest_ms is not None and whole_ms + self._step_ms > self.longest_ms
            return longer or whole_ms >= self._window_ms
        return window is not None and (
            now_ms - self._opened_ms >= self._window_ms
            or self._end_ms - window.start_ms >= self._window_ms
            or self._bytes >= WINDOW_BYTES_MAX
        )

    def _begin(self, packet: Packet, key: bool, now_ms: int) -> None:
        self._opened_ms, self._bytes, self._end_ms = now_ms, 0, packet.dts_ms
        if key:
            self._lead_from_ms = None
        encoder = self.encoder
        head, config = (encoder.head(packet.dts_ms), encoder.config(packet.dts_ms)) if key else (b"", b"")
        self._open = Window(b"", key, packet.dts_ms, packet.dts_ms, self._version, head, config)

    def _close(self, data: bytes, done: list[Window]) -> None:
        if data:
            # Without an open window these are packets that the encoder held back at the last cut.
            window = self._open or Window(b"", False, self._end_ms, self._end_ms, self._version)
            done.append(replace(window, data=data, end_ms=self._end_ms))
            self._open = None
            # The newest picture is held back until the next one tells how long it lasts: the next window begins there.
            self._lead_from_ms = self._lead_ms


class Gop:
    """The windows since the last key frame (without picture: of the last second), bounded like the relay's packets."""

    def __init__(self, limits: RelayLimits) -> None:
        self._limits = limits
        self._windows: list[Window] = []
        self.bytes = 0

    def clear(self) -> None:
        """Forget all: new viewers wait for the next key window."""
        self._windows.clear()
        self.bytes = 0

    def add(self, window: Window, *, video: bool) -> None:
        """Take the next window of the stream."""
        if window.key and video:
            self.clear()
        elif not self._windows and not window.key:
            return
        self._windows.append(window)
        self.bytes += len(window.data)
        if not video:
            while window.end_ms - self._windows[0].start_ms > AUDIO_ONLY_CACHE_MS and len(self._windows) > 1:
                self.bytes -= len(self._windows.pop(0).data)
        elif (
            self.bytes > self._limits.gop_bytes_max
            or window.end_ms - self._windows[0].start_ms > self._limits.gop_ms_max
        ):
            self.clear()

    def start(self, *, video: bool) -> Window | None:
        """Give all of it as one window that begins with a key frame; None while there is none."""
        if not self._windows:
            return None
        if not video:
            return merge(self._windows)
        # Kept joined, so that a rush of viewers shares the one object and nothing is held twice.
        self._windows = [merge(self._windows)]
        return self._windows[0]
