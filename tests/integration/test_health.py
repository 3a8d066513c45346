"""What hosts and operators are told of a stream, with a real encoder that is set as OBS is when nobody sets it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.harness import LiveServer, live_server
from tests.integration.outsiders import FlvPlayer, publishing, wait_until

KEY_FRAMES = 200
"""8 s at 25 pictures a second: OBS's own choice."""


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server whose host sends key frames every 8 s and B-frames."""
    with (
        live_server(tmp_path_factory.mktemp("health")) as server,
        publishing(server.publish_url, gop=KEY_FRAMES, b_frames=2),
    ):
        yield server


def streams(server: LiveServer) -> dict[str, Any]:
    answer = server.call("GET", f"/rooms/{server.room}/streams", token=server.seed["host_token"])
    assert answer.status_code == 200, answer.text
    view: dict[str, Any] = answer.json()
    return view


def advised(server: LiveServer) -> dict[str, str]:
    return {advice["code"]: advice["text"] for advice in streams(server)["health"]["advice"]}


def test_the_host_is_told_of_far_key_frames_and_b_frames(live: LiveServer) -> None:
    found = wait_until(
        lambda: told if (told := advised(live)).keys() >= {"key_frames", "b_frames"} else None, "the advice"
    )
    assert "set 2 s in OBS" in found["key_frames"]
    health = streams(live)["health"]
    assert health["protocol"] == "rtmp"
    assert health["rtt_ms"] >= 1
    assert health["fps"] > 0
    assert health["video_bps"] > health["audio_bps"] > 0
    assert health["packets_dropped"] == 0


def test_viewers_are_counted_by_how_they_play(live: LiveServer) -> None:
    room = live.room
    players = [FlvPlayer(live), FlvPlayer(live, query="?delay=low")]
    httpx.get(f"{live.base}/live/{room}/index.m3u8", timeout=60)
    wait_until(lambda: streams(live)["players"]["flv"] == 2, "two players by FLV")
    seen = streams(live)["players"]
    assert seen == {"flv": 2, "ws_flv": 0, "mp4": 0, "rtmp": 0, "hls": 1, "whep": 0}
    for player in players:
        player.leave()
    wait_until(lambda: streams(live)["players"]["flv"] == 0, "the players' end")


def test_operators_see_all_live_streams_of_the_shop_and_what_is_advised(live: LiveServer) -> None:
    wait_until(lambda: "key_frames" in advised(live), "the advice")
    items = live.call("GET", "/streams", token=live.seed["merchant_token"]).json()["items"]
    assert [item["room"] for item in items] == [live.room]
    assert items[0]["video"].startswith("avc1.")
    assert (items[0]["width"], items[0]["height"]) == (320, 180)
    assert live.call("GET", "/streams", token=live.guest()["token"]).status_code == 403
    figures = httpx.get(f"{live.base}/metrics", timeout=60).text
    assert 'siyu_stream_health_advised{of="key_frames"} 1.0' in figures
    assert "siyu_rtmp_ingest_tracks_left_out_total 0.0" in figures
