"""Publish Enhanced RTMP with PyAV in a process of its own: `python -m tests.stream.enhanced_host URL VIDEO AUDIO`.

VIDEO and AUDIO are names of encoders, or `-` for none. See pyav_host for why it is a process.
"""

import sys
from typing import cast

import av
import numpy as np
from av.audio.stream import AudioStream
from av.video.stream import VideoStream

RATE = 48_000


def main(url: str, picture: str, sound: str) -> None:
    with av.open(url, "w", format="flv") as container:
        # Both streams are added before anything is written.
        video = cast(VideoStream, container.add_stream(picture, rate=25)) if picture != "-" else None
        audio = cast(AudioStream, container.add_stream(sound, rate=RATE, layout="stereo")) if sound != "-" else None
        if video is not None:
            video.width, video.height, video.pix_fmt = 320, 180, "yuv420p"
            video.options = {"x265-params": "log-level=none"} if picture == "libx265" else {}
            for number in range(50):
                pixels = np.full((180, 320, 3), number * 5 % 256, np.uint8)
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                frame.pts = number
                container.mux(video.encode(frame))
            container.mux(video.encode())
        if audio is not None:
            context = audio.codec_context
            cutter = av.AudioResampler(
                format=context.format, layout="stereo", rate=RATE, frame_size=context.frame_size or 960
            )
            silence = av.AudioFrame.from_ndarray(np.zeros((2, RATE * 2), np.float32), "fltp", "stereo")
            silence.sample_rate, silence.pts = RATE, 0
            for piece in cutter.resample(silence):
                container.mux(audio.encode(piece))
            container.mux(audio.encode())


if __name__ == "__main__":
    main(*sys.argv[1:4])
