"""The slate: files in, reels out, and what viewers see of it."""

import io
import time
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from stream.encode_av import H264Encoder
from stream.packet import Codec, Kind, Packet
from stream.protocol import h264
from stream.slate_av import FileSlate, SlateError
from stream.stand_in import Reel
from tests.stream.media import ASC, SILENCE, packets
from tests.stream.test_stand_in import Show

RED = (200, 20, 20)


def write(file: Path, codec: str, count: int, size: tuple[int, int] = (200, 300)) -> Path:
    """A red picture, or a red video that grows darker, 10 pictures a second."""
    sink = io.BytesIO()
    with av.open(sink, "w", format="mp4" if codec == "libx264" else "image2pipe") as container:
        stream = container.add_stream(codec, rate=10)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height = size
        stream.pix_fmt = {"png": "rgb24", "mjpeg": "yuvj420p", "libx264": "yuv420p"}[codec]
        for index in range(count):
            colour = np.array([max(0, part - index * 5) for part in RED], np.uint8)
            picture = VideoFrame.from_ndarray(np.tile(colour, (size[1], size[0], 1)), format="rgb24")
            picture.pts = index
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    file.write_bytes(sink.getvalue())
    return file


def made(slate: FileSlate, width: int, height: int) -> Reel:
    slate.prepare(width, height)
    latest = time.monotonic() + 60
    while (reel := slate.reel(width, height)) is None:
        assert time.monotonic() < latest
        time.sleep(0.01)
    return reel


def decode(config: Packet | None, frames: list[Packet]) -> list[VideoFrame]:
    assert config is not None
    decoder = VideoCodecContext.create("h264", "r")
    decoder.extradata = config.data
    out = []
    for frame in frames:
        piece = av.Packet(frame.data)
        piece.pts = piece.dts = frame.dts_ms
        out += decoder.decode(piece)
    return out + decoder.decode(None)


@pytest.mark.parametrize("codec", ["png", "mjpeg"])
def test_a_still_becomes_a_second_of_pictures_of_the_streams_size_with_black_beside_it(
    codec: str, tmp_path: Path
) -> None:
    slate = FileSlate(write(tmp_path / "slate", codec, 1))
    reel = made(slate, 640, 360)
    assert reel.length_ms == 1_000
    assert [(at, frame.key) for at, frame in reel.frames] == [(at, at == 0) for at in range(0, 1_000, 100)]
    assert reel.config is not None
    assert h264.parse_avcc(reel.config.data).codec.startswith("avc1.42")
    pictures = decode(reel.config, [frame for _, frame in reel.frames])
    assert len(pictures) == 10
    shown = pictures[-1].to_ndarray(format="rgb24")
    assert shown.shape == (360, 640, 3)
    assert np.abs(shown[180, 320].astype(int) - RED).max() < 30
    assert shown[180, 20].max() < 30
    slate.close()


def test_a_video_is_shown_at_25_pictures_a_second_with_a_key_frame_each_second(tmp_path: Path) -> None:
    slate = FileSlate(write(tmp_path / "slate.mp4", "libx264", 25))
    reel = made(slate, 320, 240)
    assert reel.length_ms == pytest.approx(2_500, abs=80)
    times = [at for at, _ in reel.frames]
    assert {after - before for before, after in pairwise(times)} == {40}
    assert [at for at, frame in reel.frames if frame.key] == [0, 1_000, 2_000]
    assert len(decode(reel.config, [frame for _, frame in reel.frames])) == len(reel.frames)
    slate.close()


def test_a_stream_of_an_odd_size_gets_one_too(tmp_path: Path) -> None:
    slate = FileSlate(write(tmp_path / "slate.png", "png", 1))
    reel = made(slate, 321, 241)
    assert reel.config is not None
    assert (h264.parse_avcc(reel.config.data).width, h264.parse_avcc(reel.config.data).height) == (320, 240)
    slate.close()


def test_sizes_are_bounded(tmp_path: Path) -> None:
    slate = FileSlate(write(tmp_path / "slate.png", "png", 1))
    for width in range(64, 64 + 2 * 20, 2):
        slate.prepare(width, 64)
    slate.prepare(16_000, 16_000)
    assert sum(width in {size[0] for size in slate._reels} for width in range(64, 104, 2)) == 8
    slate.close()


@pytest.mark.parametrize("content", [None, b"", b"words", b"RIFF\x24\0\0\0WAVEfmt "])
def test_a_file_of_no_use_is_refused_in_words(content: bytes | None, tmp_path: Path) -> None:
    file = tmp_path / "slate"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SlateError, match="give a PNG or JPEG, or a short MP4"):
        FileSlate(file)


def test_viewers_see_the_slate_between_two_hosts_and_every_picture_decodes(tmp_path: Path) -> None:
    slate = FileSlate(write(tmp_path / "slate.png", "png", 1))
    reel = made(slate, 320, 240)
    show = Show(reels={(320, 240): reel})
    clip = encoded()
    for _ in range(2):
        publication = show.come(configs=())
        for packet in clip:
            publication.push(packet, show.now_ms + packet.dts_ms)
        show.now_ms += 1_000
        show.leave()
        show.wait(2_000)
    show.directory.close()
    found = packets(show.recordings[0].data)
    pictures = 0
    config: Packet | None = None
    run: list[Packet] = []
    for packet in [*found, Packet(Kind.VIDEO, clip[0].codec, 0, 0, True, True, b"")]:
        if packet.kind is not Kind.VIDEO:
            continue
        if not packet.config:
            run.append(packet)
            continue
        if run:
            shown = decode(config, run)
            assert len(shown) == len(run)
            pictures += len(shown)
        config, run = packet, []
    assert pictures == len([packet for packet in found if packet.kind is Kind.VIDEO and not packet.config])
    assert pictures >= 2 * 25 + 2 * 15
    slate.close()


def encoded() -> list[Packet]:
    """One second of a host, with sound."""
    encoder = H264Encoder(320, 240, bits_per_s=500_000)
    out = [encoder.config, Packet(Kind.AUDIO, Codec.AAC, 0, 0, True, True, ASC)]
    for at in range(0, 1_000, 40):
        picture = VideoFrame.from_ndarray(np.full((240, 320, 3), at // 4, np.uint8), format="rgb24")
        out += encoder.encode(picture.reformat(format="yuv420p"), at, key=at == 0)
        out.append(Packet(Kind.AUDIO, Codec.AAC, at, 0, True, False, SILENCE))
    return out
