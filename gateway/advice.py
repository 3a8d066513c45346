"""What a host could do better, in words: from what is measured of the stream to sentences a streamer can act on.

Pure. The English sentence is for the API; the console has the same in Chinese by ``code`` and ``values``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from stream.meter import Reading
from stream.relay import StreamInfo

GOP_MS_MAX = 4_500
"""Encoders set to 4 s are left in peace. One who joins, or was slow, waits for the next key frame."""
LOW_BITS_PER_PIXEL = 0.02
"""Below it x264 smears anything that moves: 0.55 Mbps at 720p and 30 pictures a second."""
HIGH_BPS = 6_000_000
"""More than many a phone's line carries without a pause, and each viewer is paid for."""
FPS_MIN = 15
PACE_MIN = 0.93
"""Below it viewers pause: their players hold 1 to 3 s in reserve, which is gone in half a minute."""
RTT_MS_MAX = 300
SILENT_MS_MAX = 3_000


@dataclass(frozen=True, slots=True)
class Advice:
    """One thing to do: ``level`` is ``bad`` (viewers suffer now) or ``warn``; ``values`` fill the sentence."""

    code: str
    level: Literal["bad", "warn"]
    text: str
    values: dict[str, float | str] = field(default_factory=dict)


def advise(info: StreamInfo, reading: Reading, *, protocol: str | None, rtt_ms: int | None) -> list[Advice]:
    """Advice to the host of a live stream, the gravest first; none while it is not live."""
    if not info.live:
        return []
    found = [*_line(reading, rtt_ms), *_tracks(info, reading)]
    if info.video_codec is not None:
        found += _picture(info, reading, protocol)
    return sorted(found, key=lambda advice: advice.level != "bad")


def _line(reading: Reading, rtt_ms: int | None) -> list[Advice]:
    if reading.silent_ms > SILENT_MS_MAX:
        seconds = round(reading.silent_ms / 1000)
        text = f"nothing has come from you for {seconds} s: check the network of the encoder"
        return [Advice("silent", "bad", text, {"seconds": seconds})]
    found: list[Advice] = []
    if reading.pace is not None and reading.pace < PACE_MIN and reading.video_bps is not None:
        percent, mbps = round(reading.pace * 100), _mbps(reading.video_bps * reading.pace * 0.8)
        text = f"your upload keeps up only {percent} %: viewers pause; set {mbps} Mbps or use a better line"
        found.append(Advice("slow_line", "bad", text, {"percent": percent, "mbps": mbps}))
    if rtt_ms is not None and rtt_ms > RTT_MS_MAX:
        text = f"the way to the server takes {rtt_ms} ms: a wired line or a nearer server loses fewer pictures"
        found.append(Advice("far", "warn", text, {"rtt": rtt_ms}))
    return found


def _tracks(info: StreamInfo, reading: Reading) -> list[Advice]:
    if info.audio_codec is None:
        text = "there is no sound: add a microphone to the encoder's sources and see that it is not muted"
        return [Advice("no_sound", "bad", text)]
    if reading.audio_bps == 0:
        return [Advice("sound_stopped", "bad", "the sound has stopped: check the microphone and its cable")]
    if info.video_codec is None:
        return [Advice("no_picture", "bad", "there is no picture: choose a camera or a scene in the encoder")]
    return []


def _picture(info: StreamInfo, reading: Reading, protocol: str | None) -> list[Advice]:
    found: list[Advice] = []
    if not (info.video_codec or "").startswith("avc1"):
        text = "viewers in WeChat and many browsers see H.264 only: choose H.264 (x264) as the encoder"
        found.append(Advice("codec", "bad", text, {"codec": info.video_codec or ""}))
    # A browser makes a key frame when it is asked for one, and none without need.
    if reading.gop_ms is not None and reading.gop_ms > GOP_MS_MAX and protocol != "whip":
        seconds = round(reading.gop_ms / 1000)
        text = f"key frames every {seconds} s: set 2 s in OBS (Settings, Output, Advanced, Keyframe Interval)"
        found.append(Advice("key_frames", "warn", text, {"seconds": seconds}))
    if reading.b_frames:
        text = "B-frames: viewers by WebRTC cannot watch; set B-frames to 0 in OBS (x264: tune zerolatency)"
        found.append(Advice("b_frames", "warn", text))
    return found + _rates(info, reading)


def _rates(info: StreamInfo, reading: Reading) -> list[Advice]:
    fps, bps = reading.fps, reading.video_bps
    if fps is None or bps is None:
        return []
    found: list[Advice] = []
    if fps < FPS_MIN:
        text = f"only {fps:g} pictures a second: the encoder is overloaded, or the light is too dim for the camera"
        found.append(Advice("few_pictures", "warn", text, {"fps": fps}))
    if bps > HIGH_BPS:
        text = f"{_mbps(bps)} Mbps is more than many phones take without a pause: set 2.5 to 4 Mbps"
        found.append(Advice("rate_high", "warn", text, {"mbps": _mbps(bps)}))
    elif info.width and info.height and fps and bps < LOW_BITS_PER_PIXEL * info.width * info.height * fps:
        # What moves needs about five times the bits at which it falls apart.
        better = _mbps(5 * LOW_BITS_PER_PIXEL * info.width * info.height * max(fps, 25.0))
        size = f"{info.width}×{info.height}"
        text = f"{_mbps(bps)} Mbps is too little for {size}: what moves is smeared; set {better} Mbps or a smaller size"
        found.append(Advice("rate_low", "warn", text, {"mbps": _mbps(bps), "better": better, "size": size}))
    return found


def _mbps(bps: float) -> float:
    return round(bps / 1_000_000, 1 if bps >= 1_000_000 else 2)
