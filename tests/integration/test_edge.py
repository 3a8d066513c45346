"""An edge between a real server and its viewers: one pull for all, every way out, tokens, rings, and lost origins."""

from __future__ import annotations

import asyncio
import io
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import av
import httpx
import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from websockets.sync.client import connect

from tests.harness import LiveServer, live_server
from tests.integration.edges import EdgeServer, edge_of
from tests.integration.outsiders import PATIENCE_S, FlvPlayer, metric, publish, publishing, wait_until
from tests.outside import need


@dataclass(frozen=True)
class Pair:
    """A server with a live room, and its edge."""

    origin: LiveServer
    edge: EdgeServer


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("edge")
    with live_server(folder) as origin, publishing(origin.publish_url, gop=25):
        wait_until(lambda: origin.call("GET", f"/rooms/{origin.room}").json()["stream"]["live"], "the host")
        with edge_of(folder, origin.base, room=origin.room, flags=["--pull-linger-s", "0.2"]) as edge:
            yield Pair(origin, edge)


def get(edge: EdgeServer, path: str, **headers: str) -> httpx.Response:
    return httpx.get(edge.base + path, headers=headers, timeout=PATIENCE_S)


def test_twenty_viewers_of_an_edge_cost_the_origin_one(pair: Pair) -> None:
    wait_until(lambda: metric(pair.origin, "siyu_playback_flv_viewers") == 0, "quiet")
    before = metric(pair.origin, "siyu_playback_flv_joined_total")
    players = [FlvPlayer(pair.edge) for _ in range(20)]  # type: ignore[arg-type]
    wait_until(lambda: all(len(player.frames()) > 30 for player in players), "twenty pictures")
    assert metric(pair.origin, "siyu_playback_flv_viewers") == 1
    assert metric(pair.origin, "siyu_playback_flv_joined_total") == before + 1
    direct = FlvPlayer(pair.origin)
    wait_until(lambda: len(direct.frames()) > 60, "a picture at the origin")
    seen = {(tag.time_ms, tag.digest) for tag in players[0].frames()}
    assert len(seen & {(tag.time_ms, tag.digest) for tag in direct.frames()}) > 20, "same frames at the same media time"
    for player in (*players, direct):
        player.leave()
    wait_until(lambda: metric(pair.origin, "siyu_playback_flv_viewers") == 0, "the edge to let go")
    assert metric(pair.edge, "siyu_pull_streams") == 0  # type: ignore[arg-type]


async def test_webrtc_plays_from_an_edge_that_has_not_got_the_stream_yet(pair: Pair) -> None:
    wait_until(lambda: metric(pair.edge, "siyu_pull_streams") == 0, "nothing pulled")  # type: ignore[arg-type]
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    peer.addTransceiver("video", direction="recvonly")
    await peer.setLocalDescription(await peer.createOffer())
    async with httpx.AsyncClient(timeout=PATIENCE_S) as client:
        sdp = {"content-type": "application/sdp"}
        url = f"{pair.edge.base}/whep/{pair.origin.room}"
        answer = await client.post(url, content=peer.localDescription.sdp, headers=sdp)
        assert answer.status_code == 201, answer.text
        await peer.setRemoteDescription(RTCSessionDescription(answer.text, "answer"))
        async with asyncio.timeout(PATIENCE_S):
            frame = await peer.getReceivers()[0].track.recv()
        assert frame.width == 320  # type: ignore[union-attr]
        deleted = await client.delete(pair.edge.base + answer.headers["location"])
        assert deleted.status_code == 200
    await peer.close()


def test_mp4_and_websocket_flv_play_from_an_edge(pair: Pair) -> None:
    with httpx.stream("GET", f"{pair.edge.base}/live/{pair.origin.room}.mp4", timeout=PATIENCE_S) as answer:
        body = b""
        for chunk in answer.iter_bytes():
            body += chunk
            if len(body) > 200_000:
                break
    with av.open(io.BytesIO(body), "r") as container:
        assert {stream.type for stream in container.streams} == {"video", "audio"}
        assert next(container.decode(video=0)).width == 320
    url = f"ws://127.0.0.1:{pair.edge.http_port}/live/{pair.origin.room}.flv"
    with connect(url, open_timeout=PATIENCE_S) as socket:
        first = socket.recv(PATIENCE_S)
        assert isinstance(first, bytes) and first.startswith(b"FLV\x01\x05")


def test_hls_and_rtmp_play_from_an_edge(pair: Pair) -> None:
    base = f"/live/{pair.origin.room}/"
    assert "avc1" in get(pair.edge, base + "index.m3u8").text
    media = get(pair.edge, base + "media.m3u8").text
    segment = [line for line in media.splitlines() if line and not line.startswith("#")][-1]
    assert get(pair.edge, base + segment).content[4:8] in (b"styp", b"moof")
    url = f"rtmp://127.0.0.1:{pair.edge.rtmp_port}/live/{pair.origin.room}"
    command = [need("ffprobe"), "-v", "error", "-of", "csv", "-show_entries", "stream=codec_name,width", url]
    seen = subprocess.run(command, capture_output=True, text=True, timeout=180, check=True).stdout
    assert "h264,320" in seen and "aac" in seen


def test_an_edge_says_what_it_is_not(pair: Pair) -> None:
    for path in ("/", f"/r/{pair.origin.room}", f"/api/v1/rooms/{pair.origin.room}", f"/ws/{pair.origin.room}"):
        answer = get(pair.edge, path)
        assert (answer.status_code, answer.json()["code"]) == (404, "edge")
    unknown = get(pair.edge, "/live/nosuchroom.flv")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "no_stream")
    host = publish(f"rtmp://127.0.0.1:{pair.edge.rtmp_port}/live/{pair.origin.room}?key=any", seconds=5)
    assert host.wait(60) != 0
    assert "NetStream.Publish.Denied" in pair.edge.log()
    assert not (pair.edge.folder / "none").exists(), "an edge keeps nothing"


def test_viewers_of_an_edge_stay_while_the_origin_is_killed_and_comes_back(pair: Pair) -> None:
    """The last one here: the fixture's host does not come back."""
    player = FlvPlayer(pair.edge)  # type: ignore[arg-type]
    wait_until(lambda: len(player.frames()) > 30, "a picture")
    pair.origin.kill()
    wait_until(lambda: "cannot be pulled" in pair.edge.log(), "the edge to notice")
    before = len(player.frames())
    pair.origin.start()
    with publishing(pair.origin.publish_url, gop=25):
        wait_until(lambda: len(player.frames()) > before + 50 or player.ended, "the picture's return")
    assert not player.ended
    times = [tag.time_ms for tag in player.frames()]
    assert times == sorted(set(times))
    player.leave()
    assert pair.edge.stop() == 0
