"""The end-to-end tests' host: a few seconds of the demo's picture, encoded once and published in a circle.

    python -m tests.e2e.camera FILE       with the RTMP URL in ``SIYU_DEMO_URL``

To draw and encode each frame anew took a seventh of a core for as long as the tests last. What the pages show is the
same, and the demo's own host is tried in tests/gateway/test_demo_host.py.
"""

from __future__ import annotations

import atexit
import functools
import itertools
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import av

from gateway.demo_host import SyntheticHost, main

TURN_S = 4.0


class Camera(SyntheticHost):
    """Publishes a film again and again, in real time, without encoding it."""

    def publish(self, seconds: float | None) -> None:
        """Until stopped or a lost connection (``av.FFmpegError``)."""
        with (
            av.open(sys.argv[1]) as source,
            av.open(self._url, "w", format="flv", options={"flvflags": "no_duration_filesize"}, timeout=60) as output,
        ):
            streams = {stream.index: output.add_stream_from_template(stream) for stream in source.streams}
            packets = [packet for packet in source.demux() if packet.dts is not None]
            started, turn_s = time.monotonic(), max(_end_s(packet) for packet in packets)
            for turn in itertools.count():
                for kept in packets:
                    assert kept.dts is not None and kept.pts is not None
                    self.rest(started + turn * turn_s + float(kept.dts * kept.time_base) - time.monotonic())
                    if self.stopping:
                        return
                    packet = av.Packet(bytes(kept))
                    packet.stream, packet.time_base = streams[kept.stream.index], kept.time_base
                    packet.is_keyframe = kept.is_keyframe
                    ahead = round(turn * turn_s / kept.time_base)
                    packet.pts, packet.dts = kept.pts + ahead, kept.dts + ahead
                    output.mux(packet)


def _end_s(packet: Any) -> float:
    """When the packet has been shown or heard."""
    return float((packet.dts + packet.duration) * packet.time_base)


class Cutter(SyntheticHost):
    """Writes its picture to a file as fast as it is drawn; of few frames, as every page of a test shows each."""

    fps = 10

    def rest(self, seconds: float) -> None:
        """No camera has to be waited for."""


@functools.cache
def film() -> Path:
    """A few seconds of the demo's picture, made once in each process of the tests."""
    folder = Path(tempfile.mkdtemp(prefix="siyu-film-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = folder / "film.flv"
    Cutter(str(path)).publish(TURN_S)
    return path


if __name__ == "__main__":
    raise SystemExit(main(Camera))
