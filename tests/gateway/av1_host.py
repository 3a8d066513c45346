"""Publish AV1 over Enhanced RTMP in real time until killed: `python -m tests.gateway.av1_host URL`."""

import sys
import time

import av
import numpy as np


def main(url: str) -> None:
    with av.open(url, "w", format="flv") as container:
        video = container.add_stream("libsvtav1", rate=25)
        video.width, video.height, video.pix_fmt = 320, 180, "yuv420p"
        video.options = {"preset": "12", "g": "25", "svtav1-params": "pred-struct=1:lp=1"}
        started_s = time.monotonic()
        ramp = np.add.outer(np.arange(180), np.arange(320))
        number = 0
        while True:
            pixels = np.stack([(ramp + number * step) % 256 for step in (3, 5, 7)], axis=-1).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts = number
            container.mux(video.encode(frame))
            number += 1
            time.sleep(max(0.0, started_s + number / 25 - time.monotonic()))


if __name__ == "__main__":
    main(sys.argv[1])
