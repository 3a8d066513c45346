"""The flash-and-beep film, as an FLV file that RTMP hosts publish packet by packet."""

from __future__ import annotations

import subprocess
from pathlib import Path

import av

from tests.matrix.flashes import BURST_S, TONE_HZ, Seen
from tests.outside import need

FRAME_RATE = 30
SIZE = (320, 180)
SAMPLE_RATE = 48_000


def make_film(path: Path, *, seconds: int, sound_late_s: float = 0.0) -> Path:
    """Write the film; with ``sound_late_s`` each beep comes so long after its flash."""
    white = f"drawbox=t=fill:color=white:enable='lt(mod(t\\,1)\\,{BURST_S})'"
    tone = f"0.5*sin(2*PI*{TONE_HZ}*t)*between(mod(t-{sound_late_s}+1\\,1)\\,0\\,{BURST_S})"
    command = [need("ffmpeg"), "-hide_banner", "-loglevel", "error", "-nostdin", "-y"]
    command += ["-f", "lavfi", "-i", f"color=black:size={SIZE[0]}x{SIZE[1]}:rate={FRAME_RATE},{white}"]
    command += ["-f", "lavfi", "-i", f"aevalsrc='{tone}|{tone}':sample_rate={SAMPLE_RATE}"]
    command += ["-t", str(seconds), "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-bf", "0"]
    command += ["-g", str(FRAME_RATE), "-sc_threshold", "0", "-c:a", "aac", "-b:a", "96k", "-f", "flv", str(path)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return path


def watch_file(path: Path, seconds: float) -> Seen:
    """Decode the beginning of a file: what there is to be seen of it."""
    seen = Seen()
    with av.open(str(path)) as container:
        watch_container(container, seen, lambda: bool(seen.pictures) and seen.pictures[-1][0] > seconds)
    return seen


def watch_container(container: av.container.InputContainer, seen: Seen, over: object) -> None:
    """Decode until the end or until ``over()``."""
    assert callable(over)
    for packet in container.demux():
        if packet.dts is not None and packet.time_base is not None:
            seen.stamp(packet.stream.type, float(packet.dts * packet.time_base))
        for frame in packet.decode():
            note_frame(frame, seen)
        if over():
            return


def note_frame(frame: object, seen: Seen) -> None:
    """Note a decoded picture or piece of sound at its presentation time."""
    if isinstance(frame, av.VideoFrame):
        plane = frame.reformat(width=32, height=18, format="gray").to_ndarray()
        assert frame.time is not None
        seen.picture(frame.time, float(plane.mean()))
    elif isinstance(frame, av.AudioFrame):
        assert frame.time is not None
        seen.sound(frame.time, samples_of(frame), frame.sample_rate)


def samples_of(frame: av.AudioFrame) -> object:
    """Mono samples, -1 to 1."""
    data = frame.to_ndarray()
    channels = frame.layout.nb_channels
    mono = data.reshape(-1, channels).mean(axis=1) if not frame.format.is_planar else data.mean(axis=0)
    return mono / 32768 if frame.format.name.startswith("s16") else mono
