"""A synthetic host: publishes a moving picture with a clock and a tone as real RTMP, through PyAV.

Run as ``python -m gateway.demo_host`` with the RTMP URL in ``SIYU_DEMO_URL`` (an argument would show the key in the
process list). Ends on SIGTERM or SIGINT, or after ``SIYU_DEMO_SECONDS``.
"""

from __future__ import annotations

import logging
import math
import os
import signal
import sys
import time
from array import array
from collections.abc import Callable
from fractions import Fraction

import av
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from gateway.demo_end import end_with_the_demo
from gateway.demo_picture import FPS, HEIGHT, WIDTH, Painter

RATE = 44_100
SAMPLES = 1_024
RETRY_S = 2.0

logger = logging.getLogger("siyu.demo.host")


def _tone() -> array[int]:
    """Two seconds of a soft two-note chime, signed 16 bit."""
    out = array("h")
    for index in range(2 * RATE):
        second = index / RATE
        note = 523.25 if second < 1 else 659.25
        within = second % 1
        level = 2_600 * math.exp(-3.2 * within) * min(1.0, within * 60)
        out.append(int(level * (math.sin(2 * math.pi * note * second) + 0.3 * math.sin(4 * math.pi * note * second))))
    return out


def _frame(painter: Painter, number: int, fps: int, started: float) -> VideoFrame:
    frame = VideoFrame(WIDTH, HEIGHT, "yuv420p")
    when = started + number / fps
    clock = time.strftime("%H:%M:%S", time.localtime(when)) + f".{int(when * 10) % 10}"
    for plane, data in zip(frame.planes, painter.paint(number / fps, clock), strict=True):
        # A plane's lines may be padded to the codec's liking.
        if plane.line_size == plane.width:
            plane.update(data)
        else:
            pad = bytes(plane.line_size - plane.width)
            rows = range(0, len(data), plane.width)
            plane.update(b"".join(data[row : row + plane.width] + pad for row in rows))
    frame.pts = number
    frame.time_base = Fraction(1, fps)
    return frame


class SyntheticHost:
    """Encodes and publishes in real time until told to stop; `fps` pictures a second."""

    fps = FPS

    def __init__(self, url: str) -> None:
        self._url = url
        self.stopping = False

    def stop(self, *_: object) -> None:
        """End after the present frame."""
        self.stopping = True

    def rest(self, seconds: float) -> None:
        """Wait for a frame's time (a negative one is past), so that it goes out as a camera's would."""
        time.sleep(max(0.0, seconds))

    def publish(self, seconds: float | None) -> None:
        """Publish once, until stopped, ``seconds`` or a lost connection (``av.FFmpegError``)."""
        with av.open(self._url, "w", format="flv", options={"flvflags": "no_duration_filesize"}, timeout=10) as output:
            video: VideoStream = output.add_stream("libx264", rate=self.fps)
            video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
            video.bit_rate = 1_200_000
            video.options = {
                "preset": "ultrafast",
                "tune": "zerolatency",
                "g": str(self.fps * 2),
                "profile": "baseline",
                "x264-params": "scenecut=0",
            }
            audio: AudioStream = output.add_stream("aac", rate=RATE, layout="mono")
            audio.bit_rate = 64_000
            self._pump(output, video, audio, seconds)

    def _pump(self, output: OutputContainer, video: VideoStream, audio: AudioStream, seconds: float | None) -> None:
        painter, tone = Painter(), _tone()
        resampler = AudioResampler(format="fltp", layout="mono", rate=RATE)
        started, wall = time.monotonic(), time.time()
        number = sample = 0
        while not self.stopping and (seconds is None or number / self.fps < seconds):
            for packet in video.encode(_frame(painter, number, self.fps, wall)):
                output.mux(packet)
            number += 1
            while sample / RATE < number / self.fps:
                piece = array("h", (tone[(sample + index) % len(tone)] for index in range(SAMPLES)))
                frame = AudioFrame(format="s16", layout="mono", samples=SAMPLES)
                frame.planes[0].update(piece.tobytes())
                frame.sample_rate, frame.pts, frame.time_base = RATE, sample, Fraction(1, RATE)
                sample += SAMPLES
                for resampled in resampler.resample(frame):
                    for packet in audio.encode(resampled):
                        output.mux(packet)
            self.rest(started + number / self.fps - time.monotonic())


def main(make: Callable[[str], SyntheticHost] = SyntheticHost) -> int:
    """Publish, and come back after a lost connection as OBS does."""
    url = os.environ.get("SIYU_DEMO_URL")
    if not url:
        sys.stderr.write("demo_host: set SIYU_DEMO_URL to the RTMP address with its key\n")
        return 2
    seconds = float(os.environ["SIYU_DEMO_SECONDS"]) if "SIYU_DEMO_SECONDS" in os.environ else None
    host = make(url)
    signal.signal(signal.SIGTERM, host.stop)
    signal.signal(signal.SIGINT, host.stop)
    end_with_the_demo()
    while not host.stopping:
        try:
            host.publish(seconds)
        except (av.FFmpegError, OSError) as error:
            # The whole text of the error holds the address, and that the stream key.
            logger.warning("publishing ended: %s", error.strerror or type(error).__name__)
        if seconds is not None:
            break
        deadline = time.monotonic() + RETRY_S
        while not host.stopping and time.monotonic() < deadline:
            time.sleep(0.1)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
