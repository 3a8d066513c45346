"""What readers get while a room's host is away: the last picture or a slate, with silence, in the room's time.

Pure. Without a word from the server a mini-program's player counts failed reconnects, an HLS player takes the playlist
for dead, and Media Source stops at the hole that is left when the host returns. So the stream goes on: a `Reel` of
frames over and over, and frames of silence that fit the decoder that the host's sound configured.

Default reel: the last key frame again and again. It fits every decoder configuration and each of them is a point to
begin at; that the picture steps back to it from the last one costs less than a second decoder would.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from stream.packet import Codec, Kind, Packet
from stream.protocol.silence import silent_frame

PICTURE_MS: Final = 300
"""Between two copies of the last key frame: an LL-HLS part holds a whole one, and its length may not be exceeded …"""

PICTURE_BYTES_PER_S_MAX: Final = 1_000_000
"""… unless that made more than this: a still picture may not cost a viewer more than the show did."""

FRAME_MS: Final = 40
"""How long a track's last picture is taken to last."""

BEHIND_MS_MAX: Final = 5_000
"""Nobody looked for longer than this (the loop stood still): what is older is left out rather than made up for. It is
more than the silence after which a host that is still connected counts as away."""

_ACCESS_UNIT_DELIMITER: Final = bytes((0, 0, 0, 2, 0x09, 0x10))
"""H.264 7.3.2.4 with its length before it. Two copies of one key frame have the same idr_pic_id, by which a decoder
that looks for the next picture would take them for one (7.4.1.2.4)."""


@dataclass(frozen=True, slots=True)
class Reel:
    """Frames to show over and over. `config`: their decoder's, None for the host's own.

    `frames`: (ms from the reel's start, frame), the first one a key frame; `length_ms` from its start to the next.
    """

    config: Packet | None
    frames: tuple[tuple[int, Packet], ...]
    length_ms: int


MakeReel = Callable[[int, int], Reel | None]
"""Gives the slate for a picture of this width and height, None while there is none."""


def last_picture(key: Packet, length_bytes: int = 4) -> Reel:
    """Make the reel that shows one key frame of the host's; `length_bytes` is the size of its NAL length fields."""
    data = key.data
    if key.codec is Codec.H264:
        unit = _ACCESS_UNIT_DELIMITER[4:]
        if data[length_bytes : length_bytes + 1] != unit[:1]:
            data = len(unit).to_bytes(length_bytes, "big") + unit + data
    every_ms = max(PICTURE_MS, len(data) * 1000 // PICTURE_BYTES_PER_S_MAX)
    return Reel(None, ((0, replace(key, data=data)),), every_ms)


class StandIn:
    """Frames of one absence. `until` gives them as time goes by.

    `video_ms`: where the picture may go on (None: the stream has none), `audio_ms`: its last sound.
    """

    def __init__(self, reel: Reel | None, video_ms: int, audio: tuple[Packet, bytes] | None, audio_ms: int) -> None:
        self._reel = reel
        self._config_told = reel is None or reel.config is None
        self._turn_ms = video_ms
        self._next = 0
        self._sound: tuple[Packet, float] | None = None
        self._audio_from_ms = float(audio_ms)
        self._audio_frames = 0
        if audio is not None:
            config, last = audio
            found = silent_frame(config.codec, config.data, last)
            if found is not None:
                data, frame_ms = found
                self._sound = Packet(Kind.AUDIO, config.codec, 0, 0, True, False, data), frame_ms
                self._audio_from_ms += frame_ms

    def until(self, media_ms: int) -> list[Packet]:
        """Give all frames up to the room's time `media_ms`, in order of time."""
        out = self._pictures(media_ms) + self._silence(media_ms)
        out.sort(key=lambda packet: packet.dts_ms)
        return out

    def finish(self, media_ms: int) -> list[Packet]:
        """Give what is left before the host's first frame at `media_ms`: silence up to it, no picture."""
        return self._silence(media_ms)

    def _pictures(self, media_ms: int) -> list[Packet]:
        reel = self._reel
        out: list[Packet] = []
        if reel is None:
            return out
        if media_ms - self._turn_ms > BEHIND_MS_MAX + reel.length_ms:
            self._turn_ms, self._next = media_ms, 0
        while True:
            offset_ms, frame = reel.frames[self._next]
            at_ms = self._turn_ms + offset_ms
            if at_ms > media_ms:
                return out
            if not self._config_told and reel.config is not None:
                self._config_told = True
                out.append(replace(reel.config, dts_ms=at_ms))
            out.append(replace(frame, dts_ms=at_ms))
            self._next += 1
            if self._next == len(reel.frames):
                self._next = 0
                self._turn_ms += reel.length_ms

    def _silence(self, media_ms: int) -> list[Packet]:
        """Frames that end by `media_ms`, but for half a frame: the host's own sound may follow there."""
        if self._sound is None:
            return []
        frame, frame_ms = self._sound
        if media_ms - self._audio_from_ms - self._audio_frames * frame_ms > BEHIND_MS_MAX:
            self._audio_from_ms, self._audio_frames = media_ms, 0
        end_ms = media_ms - frame_ms / 2
        out: list[Packet] = []
        while (at_ms := self._audio_from_ms + self._audio_frames * frame_ms) <= end_ms:
            out.append(replace(frame, dts_ms=round(at_ms)))
            self._audio_frames += 1
        return out
