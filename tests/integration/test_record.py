"""Recording at a live server, seen by outsiders: killed and replayed, kept off a full disk, and the clock of pins."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.sync.client import connect

from tests.harness import LiveServer, live_server
from tests.integration.outsiders import FlvPlayer, Mp4Player, metric, publishing, wait_until
from tests.outside import need

FRAME_MS = 40


def shows(server: LiveServer) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = server.call("GET", f"/rooms/{server.room}/shows").json()["items"]
    return items


def recorded(server: LiveServer, least_ms: int) -> bool:
    return any(show["length_ms"] >= least_ms for show in shows(server))


def decode(source: str) -> tuple[int, float]:
    """Let ffprobe decode all of ``source``: frames of the picture, and the last one's end in seconds from the first."""
    command = [need("ffprobe"), "-loglevel", "error", "-of", "json", "-select_streams", "v"]
    done = subprocess.run(
        [*command, "-show_entries", "frame=pts_time", source], capture_output=True, text=True, timeout=180, check=False
    )
    assert done.returncode == 0 and done.stderr == "", done.stderr
    times = [float(frame["pts_time"]) for frame in json.loads(done.stdout)["frames"]]
    assert times == sorted(times)
    return len(times), times[-1] - times[0] + FRAME_MS / 1000


def test_a_killed_server_s_show_replays_to_its_last_part(tmp_path: Path) -> None:
    need("ffmpeg")
    with live_server(tmp_path, flags=["--record"]) as server:
        with publishing(server.publish_url):
            wait_until(lambda: shows(server) and shows(server)[0]["length_ms"] >= 6_000, "six recorded seconds")
            before = shows(server)[0]
            server.kill()
        server.start()
        (show,) = shows(server)
        assert (show["show"], show["started"]) == (before["show"], before["started"])
        assert show["ended"] is not None and show["length_ms"] >= before["length_ms"]
        text = httpx.get(show["url"]).text
        assert "#EXT-X-PLAYLIST-TYPE:VOD" in text and text.endswith("#EXT-X-ENDLIST\n")
        frames, length_s = decode(show["url"])
        assert abs(length_s * 1_000 - show["length_ms"]) <= 2 * FRAME_MS
        assert abs(frames * FRAME_MS - show["length_ms"]) <= 2 * FRAME_MS
        # Another broadcast is another show; the first one stays.
        with publishing(server.publish_url):
            wait_until(lambda: len(shows(server)) == 2, "a second show")
        assert shows(server)[1]["show"] == show["show"]


def test_a_host_s_return_is_one_show_that_ffmpeg_plays_through(tmp_path: Path) -> None:
    need("ffmpeg")
    with live_server(tmp_path, flags=["--record"]) as server:
        for least_ms in (4_000, 9_000):
            with publishing(server.publish_url):
                wait_until(partial(recorded, server, least_ms), "the recording")
        assert server.stop() == 0
        server.start()
        (show,) = shows(server)
        text = httpx.get(show["url"]).text
        assert text.count("#EXT-X-DISCONTINUITY\n") == 1
        out = tmp_path / "replay.mp4"
        command = [need("ffmpeg"), "-loglevel", "error", "-nostdin", "-i", show["url"], "-c", "copy", str(out)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
        assert done.returncode == 0, done.stderr
        frames, _ = decode(str(out))
        assert abs(frames * FRAME_MS - show["length_ms"]) <= 4 * FRAME_MS
        picture = httpx.get(f"{server.base}/live/{server.room}.jpg")
        assert picture.status_code == 200 and len(picture.content) <= 60_000


def test_less_room_than_asked_for_records_nothing_and_the_show_goes_on(tmp_path: Path) -> None:
    need("ffmpeg")
    more = shutil.disk_usage(tmp_path).free + 10 * 1024**3
    with live_server(tmp_path, flags=["--record", "--record-min-free", str(more)]) as server:
        with publishing(server.publish_url):
            player = FlvPlayer(server)
            wait_until(lambda: len(player.frames()) > 60, "the picture")
            assert metric(server, "siyu_record_resting") == 1
            assert metric(server, "siyu_record_dropped_parts_total") > 0
            player.leave()
        assert shows(server) == []
        assert list((server.data / "recordings").iterdir()) == []
        assert "nearly full" in server.log()
        assert server.stop() == 0


class Hub:
    """The events of a room, as a viewer reads them."""

    def __init__(self, server: LiveServer, connection: Any) -> None:
        self._connection = connection
        self.snapshot: dict[str, Any] = json.loads(connection.recv(20))[0]

    def next(self, kind: str) -> dict[str, Any]:
        """The next event of a kind."""
        deadline = time.monotonic() + 60
        while True:
            for event in json.loads(self._connection.recv(max(0.1, deadline - time.monotonic()))):
                if event.get("t") == kind:
                    found: dict[str, Any] = event
                    return found


@contextlib.contextmanager
def hub_of(server: LiveServer) -> Iterator[Hub]:
    with connect(server.ws_url(server.guest()["token"]), open_timeout=60) as connection:
        yield Hub(server, connection)


@pytest.fixture(scope="module")
def on_air(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    need("ffmpeg")
    with live_server(tmp_path_factory.mktemp("clock")) as server, publishing(server.publish_url):
        yield server


def test_a_pin_names_the_frame_that_flv_and_mp4_show_at_that_moment(on_air: LiveServer) -> None:
    server = on_air
    flv, mp4 = FlvPlayer(server, query="?delay=low"), Mp4Player(server)
    wait_until(lambda: len(flv.frames()) > 25 and len(mp4.starts.get(1, [])) > 2, "a picture in both players")
    with hub_of(server) as hub:
        product = hub.snapshot["shelf"][0]["product"]
        before = flv.frames()[-1]
        body = {"product": product, "explaining": True}
        token = server.seed["host_token"]
        assert server.call("POST", f"/rooms/{server.room}/pin", body, token=token).status_code == 200
        pin = hub.next("pin")
        at = pin["media_ms"]
        wait_until(lambda: flv.frames()[-1].time_ms > at + 500, "the pin's frame")
        wait_until(lambda: mp4.starts[1][-1] / 90 > at + 500, "the pin's frame in MP4")
    # The command came after the frame `before` had been shown, and before the next ones had come in: the pin names a
    # frame of that moment. A request takes some milliseconds, on a busy machine some frames.
    taken = [frame.time_ms for frame in flv.frames()]
    nearest = min(taken, key=lambda time_ms: abs(time_ms - at))
    assert abs(nearest - at) <= FRAME_MS
    assert -FRAME_MS <= at - before.time_ms <= 1_000
    # One clock for both: fragments begin at frames of the FLV stream.
    starts = [round(start / 90) for start in mp4.starts[1] if taken[0] <= start / 90 <= taken[-1]]
    assert starts and all(min(abs(start - time_ms) for time_ms in taken) <= 1 for start in starts)
    flv.leave()
    mp4.leave()


def test_a_pin_while_the_host_is_away_names_the_very_frame_that_is_shown(tmp_path: Path) -> None:
    """Its last picture comes three times a second: the pin's clock is the time of one of them, exactly."""
    need("ffmpeg")
    with live_server(tmp_path) as server, publishing(server.publish_url, sound=False) as host:
        flv = FlvPlayer(server, query="?delay=low")
        wait_until(lambda: len(flv.frames()) > 30, "a picture")
        host.kill()
        last = len(flv.frames())
        wait_until(lambda: len(flv.frames()) > last + 3, "its last picture, again")
        before_ms = flv.frames()[-1].time_ms
        body = {"product": server.call("GET", f"/rooms/{server.room}/products").json()[0]["product"]}
        token = server.seed["host_token"]
        assert server.call("POST", f"/rooms/{server.room}/pin", body, token=token).status_code == 200
        (card,) = server.call("GET", f"/rooms/{server.room}").json()["pins"]
        assert card["media_ms"] >= before_ms
        wait_until(lambda: flv.frames()[-1].time_ms > card["media_ms"], "a picture after the pin")
        assert card["media_ms"] in {frame.time_ms for frame in flv.frames()}
        flv.leave()


def test_drops_sales_and_unpins_carry_the_clock_and_the_stream_maps_it_to_the_wall(on_air: LiveServer) -> None:
    server = on_air
    token, base = server.seed["host_token"], f"/rooms/{server.room}"
    player = FlvPlayer(server, query="?delay=low")
    wait_until(lambda: len(player.frames()) > 25, "a picture")
    with hub_of(server) as hub:
        stream = hub.snapshot["stream"]
        offset_ms = stream["now"] - stream["media_ms"]
        body = {"title": "立减", "reason": "上新", "amount": 300, "threshold": 500, "total": 5, "seconds": 60}
        assert server.call("POST", f"{base}/drops", body, token=token).status_code == 201
        drop = hub.next("drop")
        assert server.call(
            "POST", f"{base}/sales/{server.seed['sale']}/start", {"countdown_s": 0}, token=token
        ).is_success
        sale = hub.next("sale")
        newest_ms = player.frames()[-1].time_ms
        assert drop["media_ms"] == drop["drop"]["media_ms"] and sale["media_ms"] == sale["sale"]["media_ms"]
        for event in (drop, sale):
            assert abs(event["media_ms"] - newest_ms) <= 2_000
        # The drop's own start, on the wall's clock, is the same moment.
        assert abs(drop["drop"]["starts"] - offset_ms - drop["media_ms"]) <= 500
        assert server.call("POST", f"{base}/drops/{drop['drop']['drop']}/close", token=token).is_success
        closed = hub.next("drop")
        assert closed["drop"]["media_ms"] == drop["media_ms"] <= closed["media_ms"]
    player.leave()


def test_hls_tells_the_same_clock(on_air: LiveServer) -> None:
    """Segment's first frame: by its wall clock through the stream's mapping, and by its own decoding time."""
    server = on_air
    base = f"{server.base}/live/{server.room}"
    assert httpx.get(f"{base}/index.m3u8", timeout=60).status_code == 200
    text = httpx.get(f"{base}/media.m3u8", timeout=60).text
    when, name = re.findall(r"PROGRAM-DATE-TIME:(\S+)\n(?:#EXT-X-PART.*\n)*#EXTINF.*\n(\S+)", text)[-1]
    data = httpx.get(f"{base}/{name}", timeout=60).content
    at = data.index(b"tfdt") + 8
    media_ms = int.from_bytes(data[at : at + 8], "big") / 90
    parsed = httpx.get(f"{server.base}/api/v1/rooms/{server.room}", timeout=60).json()["stream"]
    wall_ms = datetime.fromisoformat(when.replace("Z", "+00:00")).timestamp() * 1_000
    assert abs((wall_ms - media_ms) - (parsed["now"] - parsed["media_ms"])) <= 500
