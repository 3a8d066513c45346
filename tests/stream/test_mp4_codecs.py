"""HEVC and AV1 as MP4 carries them: recorded, cut and pictured as they came, decoded by FFmpeg."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import av
import pytest

from stream.mp4_encoder import Mp4Encoder
from stream.packet import Codec, Kind, Packet
from stream.protocol import recording
from stream.protocol.recording import INDEX_FILE
from stream.record import Recorder
from stream.replay import cut_clip
from stream.thumbnail_av import decode_jpeg
from tests.stream import enhanced_host
from tests.stream.media import packets
from tests.stream.stage import Stage, clock_ms


@pytest.fixture
async def recorder(stage: Stage, tmp_path: Path) -> AsyncIterator[Recorder]:
    made = Recorder(stage.directory, tmp_path / "recordings", clock=clock_ms)
    await made.start()
    yield made
    await made.close()


@pytest.mark.parametrize(
    ("encoder", "codec", "name", "entry"),
    [("libx265", Codec.HEVC, "hevc", "hvc1.1.6.L60.90"), ("libsvtav1", Codec.AV1, "libdav1d", "av01.0.00M.08")],
)
async def test_a_show_of_another_codec_is_recorded_cut_and_pictured_as_it_came(
    stage: Stage, recorder: Recorder, tmp_path: Path, encoder: str, codec: Codec, name: str, entry: str
) -> None:
    file = tmp_path / "host.flv"
    await asyncio.to_thread(enhanced_host.main, str(file), encoder, "aac")
    sent = packets(file.read_bytes())
    assert {packet.codec for packet in sent if packet.kind is Kind.VIDEO} == {codec}
    publication = stage.publish()
    for turn in range(3):
        again = [
            replace(packet, dts_ms=packet.dts_ms + turn * 2_000) for packet in sent if turn == 0 or not packet.config
        ]
        await stage.feed(publication, sorted(again, key=lambda packet: packet.dts_ms))
    encoded = Mp4Encoder(stage.directory.relay("room"))
    assert encoded.tracks == (Kind.VIDEO, Kind.AUDIO)
    assert encoded.content_type == f'video/mp4; codecs="{entry}, mp4a.40.2"'
    stage.directory.close()
    (show,) = recorder.shows("room")
    await recorder.close()
    place = recorder.place(show)
    index, _ = recording.parse_index((place / INDEX_FILE).read_bytes())
    assert index.inits[0].codecs == f"{entry},mp4a.40.2" and (index.inits[0].width, index.inits[0].height) == (320, 180)
    data = (place / "init-0.mp4").read_bytes() + (place / "media-0.m4s").read_bytes()
    with av.open(io.BytesIO(data), "r") as container:
        assert container.streams.video[0].codec_context.name == name
        assert len(list(container.decode(video=0))) == 150
    made = cut_clip(place, 3_000, 8_000, tmp_path / "clip.mp4")
    with av.open(str(tmp_path / "clip.mp4"), "r") as container:
        assert container.streams.video[0].codec_context.name == name
        assert len(list(container.decode(video=0))) == round(made.length_ms / 40)
    record, key = _first_key(sent)
    with av.open(io.BytesIO(decode_jpeg(codec, record.data, key.data)), "r") as picture:
        assert next(picture.decode(video=0)).width == 320


def _first_key(sent: list[Packet]) -> tuple[Packet, Packet]:
    pictures = [packet for packet in sent if packet.kind is Kind.VIDEO]
    return pictures[0], next(packet for packet in pictures if packet.key and not packet.config)
