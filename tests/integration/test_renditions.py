"""Renditions on a running server: WebRTC of a host with B-frames, and a ladder by HLS, FLV and MP4."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from aiortc import RTCSessionDescription

from tests.harness import LiveServer, live_server
from tests.integration.outsiders import metric, probe, publishing, wait_until
from tests.integration.test_host_drops import WhepPlayer
from tests.stream import hls_rules
from tests.stream.webrtc_host import outside_host


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


class Vp8Host(threading.Thread):
    """aiortc as a host that has no H.264; ``status`` is the answer to its offer."""

    def __init__(self, server: LiveServer) -> None:
        super().__init__(daemon=True)
        self.status = 0
        self._server = server
        self._loop = asyncio.new_event_loop()
        self._leave = asyncio.Event()
        self.start()

    def run(self) -> None:
        self._loop.run_until_complete(self._publish())

    async def _publish(self) -> None:
        async with outside_host("video/VP8") as host, httpx.AsyncClient(timeout=60) as client:
            headers = {"content-type": "application/sdp", "authorization": f"Bearer {self._server.seed['stream_key']}"}
            url = f"{self._server.base}/whip/{self._server.room}"
            answer = await client.post(url, content=await host.offer(), headers=headers)
            if answer.status_code == 201:
                await host.connection.setRemoteDescription(RTCSessionDescription(answer.text, "answer"))
            self.status = answer.status_code
            await self._leave.wait()

    def leave(self) -> None:
        self._loop.call_soon_threadsafe(self._leave.set)
        self.join(20)


def test_a_webrtc_host_without_h264_is_seen_everywhere(tmp_path: Path) -> None:
    with live_server(tmp_path, flags=["--transcode"]) as server:
        host = Vp8Host(server)
        wait_until(lambda: host.status, "an answer")
        assert host.status == 201
        whep, sdp = f"{server.base}/whep/{server.room}", {"content-type": "application/sdp"}
        # 409 until there is a picture; then it is the offer that is not good.
        wait_until(lambda: httpx.post(whep, content="v=0", headers=sdp, timeout=60).status_code == 400, "a picture")
        viewer = WhepPlayer(server)
        try:
            wait_until(lambda: len(viewer.times["video"]) > 10 and len(viewer.times["audio"]) > 10, "picture and sound")
            # As it came: nothing is encoded for those who have VP8.
            assert metric(server, "siyu_renditions_active") == 0
            rtmp = server.publish_url.partition("?")[0]
            wait_until(lambda: get(server, "media.m3u8").status_code == 200, "a first segment")
            for url in (f"{server.base}/live/{server.room}.flv", rtmp, f"{server.base}/live/{server.room}/media.m3u8"):
                kinds = {stream["codec_type"]: stream["codec_name"] for stream in probe(url, seconds=1)["streams"]}
                assert kinds == {"video": "h264", "audio": "aac"}, url
        finally:
            viewer.leave()
            host.leave()
