"""Renditions on a running server: WebRTC of a host with B-frames, and a ladder by HLS, FLV and MP4."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest

from tests.harness import LiveServer, live_server
from tests.integration.outsiders import metric, probe, publishing, wait_until
from tests.integration.test_host_drops import WhepPlayer
from tests.stream import hls_rules


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    flags = ["--transcode", "--abr", "480,144"]
    with (
        live_server(tmp_path_factory.mktemp("renditions"), flags=flags) as server,
        publishing(server.publish_url, gop=50, b_frames=2),
    ):
        wait_until(lambda: server.call("GET", f"/rooms/{server.room}/streams").json().get("live", True), "the host")
        wait_until(lambda: get(server, "index.m3u8").status_code == 200, "a first segment")
        yield server


def get(server: LiveServer, file: str) -> httpx.Response:
    return httpx.get(f"{server.base}/live/{server.room}/{file}", timeout=60)


def test_webrtc_plays_a_host_with_b_frames_and_the_rendition_ends_with_its_viewers(server: LiveServer) -> None:
    viewer = WhepPlayer(server)
    wait_until(lambda: len(viewer.times["video"]) > 10 and len(viewer.times["audio"]) > 10, "picture and sound")
    assert viewer.times["video"] == sorted(set(viewer.times["video"]))
    assert metric(server, "siyu_renditions_active") >= 1
    viewer.leave()


def test_hls_offers_the_rungs_below_the_picture_and_plays_them_in_its_time(server: LiveServer) -> None:
    master = get(server, "index.m3u8?token=x").text
    assert re.findall(r"RESOLUTION=(\d+x\d+)", master) == ["320x180", "256x144"]
    assert re.findall(r'CODECS="([^"]+)"', master)[1] == "avc1.42c01f,mp4a.40.2"
    media = [line for line in master.splitlines() if not line.startswith("#")]
    assert media == ["media.m3u8?token=x", "media.m3u8?token=x&rendition=144"]
    wait_until(lambda: "EXTINF" in get(server, media[1]).text, "a segment of the rendition")
    wait_until(lambda: get(server, media[1]).text.count("#EXTINF") > 3, "some segments of the rendition")
    low, own = (hls_rules.check(get(server, name).text) for name in media[::-1])
    assert all(part.uri.endswith("?token=x&rendition=144") for segment in low.segments for part in segment.parts)
    assert low.target_s == own.target_s
    dates = [segment.date.timestamp() for segment in own.segments if segment.date]
    # Where it was asked for it began; from the room's next key frame on its segments are those of the room.
    mine = [segment.date.timestamp() for segment in low.segments[3:] if segment.date]
    assert mine and all(min(abs(at - one) for one in dates) < 0.3 for at in mine)
    found = probe(f"{server.base}/live/{server.room}/media.m3u8?rendition=144")
    assert {(s.get("width"), s.get("height")) for s in found["streams"] if s["codec_type"] == "video"} == {(256, 144)}


@pytest.mark.parametrize("form", ["flv", "mp4"])
def test_flv_and_mp4_play_a_rendition(server: LiveServer, form: str) -> None:
    found = probe(f"{server.base}/live/{server.room}.{form}?rendition=144", seconds=1)
    kinds = {stream["codec_type"]: stream for stream in found["streams"]}
    assert (kinds["video"]["width"], kinds["video"]["height"], kinds["video"]["has_b_frames"]) == (256, 144, 0)
    assert kinds["audio"]["codec_name"] == "aac"


@pytest.mark.parametrize("file", [".flv?rendition=999", ".mp4?rendition=999", "/media.m3u8?rendition=999"])
def test_a_rendition_that_there_is_not_is_told_in_words(server: LiveServer, file: str) -> None:
    answer = httpx.get(f"{server.base}/live/{server.room}{file}", timeout=60)
    assert (answer.status_code, answer.json()["code"]) == (404, "no_rendition")
