"""A host that drops and returns again and again, seen by a viewer of every protocol on a running server."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.harness import LiveServer, live_server
from tests.integration.outsiders import (
    FlvPlayer,
    Mp4Player,
    end,
    packets_command,
    publish,
    read_packets,
    wait_until,
)
from tests.outside import need
from tests.stream import hls_rules
from tests.stream.media import packets


class WsPlayer(threading.Thread):
    """FLV over WebSocket."""

    def __init__(self, server: LiveServer) -> None:
        super().__init__(daemon=True)
        self.data = b""
        self.closed = False
        url = f"ws://127.0.0.1:{server.http_port}/live/{server.room}.flv"
        self._stack = contextlib.ExitStack()
        self._socket = self._stack.enter_context(connect(url, max_size=None, open_timeout=60))
        self.start()

    def run(self) -> None:
        try:
            while True:
                message = self._socket.recv()
                assert isinstance(message, bytes)
                self.data += message
        except ConnectionClosed:
            self.closed = True

    def leave(self) -> None:
        self._stack.close()
        self.join(20)


class HlsPlayer(threading.Thread):
    """Follows the playlist by blocking reloads, as a player of LL-HLS does, and fetches each part."""

    def __init__(self, server: LiveServer) -> None:
        super().__init__(daemon=True)
        self.base = f"{server.base}/live/{server.room}/"
        self.failures: list[str] = []
        self.parts = 0
        self.discontinuities = 0
        self.leaving = False
        self.start()

    def run(self) -> None:
        try:
            with httpx.Client(timeout=60) as client:
                self._follow(client)
        except (AssertionError, httpx.HTTPError) as error:
            self.failures.append(repr(error))

    def _follow(self, client: httpx.Client) -> None:
        last: hls_rules.Playlist | None = None
        fetched: set[str] = set()
        broken: set[int] = set()
        query = ""
        while not self.leaving:
            answer = client.get(self.base + "media.m3u8" + query)
            if answer.status_code == 503 or (last is None and answer.status_code == 404):
                # Late, or not begun: a player asks again.
                continue
            assert answer.status_code == 200, answer.text
            playlist = hls_rules.check(answer.text)
            if last is not None:
                hls_rules.check_reload(last, playlist)
            last = playlist
            newest = playlist.segments[-1]
            broken |= {segment.number for segment in playlist.segments if segment.discontinuity}
            self.discontinuities = len(broken)
            for part in newest.parts:
                if part.uri not in fetched:
                    fetched.add(part.uri)
                    assert client.get(self.base + part.uri).status_code in {200, 404}
            self.parts = len(fetched)
            number, part_number = (newest.number + 1, 0) if newest.uri else (newest.number, len(newest.parts))
            query = f"?_HLS_msn={number}&_HLS_part={part_number}"

    def leave(self) -> None:
        self.leaving = True
        self.join(60)


class WhepPlayer(threading.Thread):
    """aiortc as a viewer of WebRTC; notes the times of what it decodes."""

    def __init__(self, server: LiveServer) -> None:
        super().__init__(daemon=True)
        self.times: dict[str, list[float]] = {"video": [], "audio": []}
        self.state = "new"
        self._url = f"{server.base}/whep/{server.room}"
        self._loop = asyncio.new_event_loop()
        self._leave = asyncio.Event()
        self.start()

    def run(self) -> None:
        self._loop.run_until_complete(self._play())

    async def _play(self) -> None:
        connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        tasks: list[asyncio.Task[None]] = []

        @connection.on("track")
        def on_track(track: MediaStreamTrack) -> None:
            tasks.append(asyncio.ensure_future(self._watch(track)))

        for kind in ("video", "audio"):
            connection.addTransceiver(kind, direction="recvonly")
        await connection.setLocalDescription(await connection.createOffer())
        async with httpx.AsyncClient(timeout=60) as client:
            headers = {"content-type": "application/sdp"}
            answer = await client.post(self._url, content=connection.localDescription.sdp, headers=headers)
        assert answer.status_code == 201, answer.text
        await connection.setRemoteDescription(RTCSessionDescription(answer.text, "answer"))
        while not self._leave.is_set():
            self.state = connection.connectionState
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._leave.wait(), 0.1)
        await connection.close()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _watch(self, track: MediaStreamTrack) -> None:
        with contextlib.suppress(MediaStreamError):
            while True:
                frame: Any = await track.recv()
                self.times[track.kind].append(float(frame.pts * frame.time_base))

    def leave(self) -> None:
        self._loop.call_soon_threadsafe(self._leave.set)
        self.join(20)


def configurations(flv: FlvPlayer) -> int:
    return sum(tag.config for tag in flv.tags if tag.kind == 9)


def more_than(count: Callable[[], int], before: int) -> bool:
    return count() > before


def increase(times: list[Any]) -> bool:
    return all(after > before for before, after in pairwise(times))


def slate_flags(tmp_path: Path) -> list[str]:
    slate = tmp_path / "slate.png"
    source = ["-f", "lavfi", "-i", "color=red:size=200x200", "-frames:v", "1"]
    subprocess.run([need("ffmpeg"), "-v", "error", *source, str(slate)], check=True, timeout=180)
    return ["--slate", str(slate)]


@pytest.mark.parametrize(
    ("drops", "slate"),
    [
        (2, True),
        pytest.param(20, True, marks=pytest.mark.soak),
        pytest.param(20, False, marks=pytest.mark.soak),
    ],
)
def test_no_viewer_is_closed_and_no_time_goes_back(drops: int, slate: bool, tmp_path: Path) -> None:
    flags = slate_flags(tmp_path) if slate else []
    with live_server(tmp_path / "server", flags=flags) as server:
        host = publish(server.publish_url, gop=25)
        hls = HlsPlayer(server)
        flv, mp4, ws = FlvPlayer(server), Mp4Player(server), WsPlayer(server)
        rtmp = subprocess.Popen(packets_command(server.publish_url.partition("?")[0]), stdout=subprocess.PIPE)
        wait_until(lambda: len(flv.frames()) > 20 and hls.parts and len(mp4.starts.get(1, [])) > 1, "a first picture")
        whep = WhepPlayer(server)
        wait_until(lambda: whep.times["video"] and whep.times["audio"], "a picture by WebRTC")

        def progress() -> dict[str, int]:
            return {
                "FLV": len(flv.frames()),
                "WebSocket": len(ws.data),
                "MP4": len(mp4.starts[1]),
                "HLS": hls.parts,
                "WebRTC": len(whep.times["video"]),
            }

        try:
            for drop in range(drops):
                # By turns gone for good, and silent with a connection that looks alive.
                host.send_signal(signal.SIGKILL if drop % 2 == 0 else signal.SIGSTOP)
                time.sleep(1.5)
                again = publish(server.publish_url, gop=25)
                told = configurations(flv)
                wait_until(partial(more_than, partial(configurations, flv), told), "the return")
                for name, seen in progress().items():
                    wait_until(partial(lambda one, before: progress()[one] > before or hls.failures, name, seen), name)
                assert hls.failures == []
                end(host)
                host = again
            assert not (flv.ended or mp4.ended or ws.closed)
            assert (rtmp.poll(), whep.state) == (None, "connected")
            assert hls.discontinuities >= drops
        finally:
            end(host)
            for player in (flv, mp4, ws, hls, whep):
                player.leave()
            rtmp.terminate()
            played = read_packets(rtmp.communicate(timeout=180)[0].decode())
        assert increase([tag.time_ms for tag in flv.frames(9)]) and increase([tag.time_ms for tag in flv.frames(8)])
        assert all(increase(starts) for starts in mp4.starts.values())
        over_ws = [packet for packet in packets(ws.data) if not packet.config]
        for kind in (8, 9):
            assert increase([packet.dts_ms for packet in over_ws if packet.kind == kind])
        for stream in played.units:
            assert increase([packet.dts for packet in played.of(stream)])
        assert len(played.packets) > 100
        assert increase(whep.times["video"]) and increase(whep.times["audio"])
