"""Publish with PyAV in a process of its own: `python -m tests.stream.pyav_host URL FRAMES`.

PyAV keeps the interpreter's lock while it connects, so a server on another thread of one process could never answer it.
"""

import sys
from fractions import Fraction

import av
import numpy as np


def main(url: str, frames: int) -> None:
    with av.open(url, "w", format="flv") as container:
        video = container.add_stream("libx264", rate=25, options={"preset": "ultrafast", "tune": "zerolatency"})
        video.width, video.height, video.pix_fmt = 160, 96, "yuv420p"
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(np.full((96, 160, 3), number * 5 % 256, np.uint8), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
