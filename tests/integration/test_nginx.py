"""deploy/nginx.conf in front of a real server: HTTP/2 and TLS for Apple's players, wss, and nothing held back."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin

import httpx
import pytest
from websockets.sync.client import connect

from tests.harness import LiveServer, live_server
from tests.integration.outsiders import PATIENCE_S, FlvPlayer, publishing, wait_until
from tests.integration.proxy import Proxy, in_front_of

SHOWN_S = 2
"""How long the short host is on air."""


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """nginx before a server whose host is on air."""
    flags = ["--forwarded-allow-ips", "127.0.0.1"]
    with (
        live_server(tmp_path_factory.mktemp("behind"), flags=flags) as server,
        in_front_of(server, tmp_path_factory.mktemp("nginx")) as running,
        publishing(server.publish_url, gop=25),
    ):
        yield running


def room_of(server: LiveServer, title: str) -> tuple[str, str]:
    """A new room: its id and where its host publishes."""
    token = server.seed["merchant_token"]
    room = server.call("POST", "/rooms", {"title": title}, token=token).json()["id"]
    url: str = server.call("GET", f"/rooms/{room}/streams", token=token).json()["publish"]["url"]
    return room, url


async def until_ok(client: httpx.AsyncClient, url: str) -> httpx.Response:
    deadline = time.monotonic() + PATIENCE_S
    while (answer := await client.get(url)).status_code != 200:
        assert time.monotonic() < deadline, answer.text
        await asyncio.sleep(0.1)
    return answer


async def test_low_latency_hls_is_held_over_one_http2_connection(proxy: Proxy) -> None:
    address = f"{proxy.secure}/live/{proxy.server.room}/index.m3u8?seat=7"
    # One connection: what is held must not hold up the rest, which is what Apple asks HTTP/2 for.
    limits = httpx.Limits(max_connections=1)
    async with httpx.AsyncClient(http2=True, verify=proxy.trust, timeout=PATIENCE_S, limits=limits) as client:
        index = await until_ok(client, address)
        assert index.http_version == "HTTP/2"
        assert index.headers["content-type"] == "application/vnd.apple.mpegurl"
        media = urljoin(address, next(line for line in index.text.splitlines() if line and line[0] != "#"))
        listed = await client.get(media)
        assert listed.headers["content-encoding"] == "gzip"
        number = int(re.findall(r"media-sequence:(\d+)", listed.text, re.IGNORECASE)[0])
        number += len(re.findall(r"^[^#\s]", listed.text, re.MULTILINE))
        ahead = [client.get(f"{media}&_HLS_msn={number}&_HLS_part={part}") for part in (2, 0, 1)]
        hint = re.search(r'PRELOAD-HINT:TYPE=PART,URI="([^"]+)"', listed.text)
        assert hint
        *playlists, part, picture = await asyncio.gather(
            *ahead, client.get(urljoin(media, hint[1])), client.get(f"{proxy.secure}/static/icon.svg")
        )
    assert [answer.status_code for answer in (*playlists, part, picture)] == [200] * 5
    assert all(answer.http_version == "HTTP/2" for answer in (*playlists, part, picture))
    assert part.content[4:8] in (b"moof", b"styp")
    assert "immutable" in part.headers["cache-control"]
    assert all("seat=7" in line for answer in playlists for line in answer.text.splitlines() if "URI=" in line)


def test_the_hub_is_reached_by_wss(proxy: Proxy) -> None:
    guest = proxy.server.guest("加密观众")
    url = f"{proxy.secure.replace('https', 'wss')}/ws/{proxy.server.room}?token={guest['token']}"
    with connect(url, ssl=proxy.trust, open_timeout=PATIENCE_S) as hub:
        (room, *_) = json.loads(hub.recv(PATIENCE_S))
        assert room["t"] == "room"
        hub.send(json.dumps({"id": 1, "cmd": "chat.send", "text": "加密连接"}))
        heard: list[dict[str, object]] = []
        while not any(frame.get("re") == 1 and frame.get("ok") for frame in heard):
            heard += json.loads(hub.recv(PATIENCE_S))
        while not any(frame.get("text") == "加密连接" for frame in heard):
            heard += json.loads(hub.recv(PATIENCE_S))


@pytest.mark.parametrize("way", ["plain", "secure"])
def test_nothing_of_a_live_stream_stays_in_the_proxy(proxy: Proxy, way: str) -> None:
    """The host leaves; what it sent last has come through, though the answer goes on waiting for its return."""
    server = proxy.server
    room, url = room_of(server, f"近路与远路 {way}")
    base = proxy.secure if way == "secure" else proxy.plain
    with publishing(url, seconds=SHOWN_S) as host, httpx.Client(verify=proxy.trust, timeout=PATIENCE_S) as client:
        direct = FlvPlayer(server, room)
        with client.stream("GET", f"{base}/live/{room}.flv") as answer:
            assert answer.headers["content-type"] == "video/x-flv"
            pieces = answer.iter_raw()
            host.wait(PATIENCE_S)
            wait_until(lambda: not server.call("GET", f"/rooms/{room}").json()["stream"]["live"], "the host's end")
            settled = ""
            while settled != direct.frames()[-1].digest:
                settled = direct.frames()[-1].digest
                time.sleep(0.5)
            last = direct.last_body
            got = b""
            while last not in got[-len(last) - 4 :]:
                # Where something is held back this waits in vain, and httpx gives up.
                got += next(pieces)
            assert not direct.ended
        direct.leave()


def test_server_sent_events_come_one_by_one(proxy: Proxy) -> None:
    server = proxy.server
    guest = server.guest("听众")
    url = f"{proxy.secure}/sse/{server.room}?token={guest['token']}"
    with (
        httpx.Client(http2=True, verify=proxy.trust, timeout=PATIENCE_S) as client,
        client.stream("GET", url) as answer,
    ):
        assert answer.http_version == "HTTP/2"
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.iter_lines()
        until_said(lines, '"t":"room"')
        for name in ("甲", "乙"):
            talker = server.guest(name)
            with connect(server.ws_url(talker["token"]), open_timeout=PATIENCE_S) as hub:
                hub.send(json.dumps({"id": 1, "cmd": "chat.send", "text": f"{name}来了"}))
                # The next one talks only after this one was heard: each line comes by itself.
                until_said(lines, f"{name}来了")


def until_said(lines: Iterator[str], text: str) -> None:
    """Read until a line holds ``text``."""
    deadline = time.monotonic() + PATIENCE_S
    read: list[str] = []
    while text not in "".join(read[-1:]):
        assert time.monotonic() < deadline, f"never came: {text}; so far {read}"
        read.append(next(lines))


def test_addresses_begin_as_the_client_asked(proxy: Proxy) -> None:
    with httpx.Client(verify=proxy.trust, timeout=PATIENCE_S) as client:
        play = client.get(f"{proxy.secure}/api/v1/rooms/{proxy.server.room}").json()["play"]
    media = ("flv", "mp4", "hls", "whep")
    assert [play[name].startswith(f"{proxy.secure}/") for name in media] == [True] * len(media)


def test_the_metrics_stay_inside_and_no_token_is_written_down(proxy: Proxy) -> None:
    guest = proxy.server.guest("路过")
    with httpx.Client(verify=proxy.trust, timeout=PATIENCE_S) as client:
        assert client.get(f"{proxy.secure}/metrics").status_code == 404
        client.get(f"{proxy.secure}/live/{proxy.server.room}/index.m3u8?token={guest['token']}")
        asked = f"/live/{proxy.server.room}/index.m3u8"
        wait_until(lambda: asked in proxy.access_log(), "the request's line")
    assert guest["token"] not in proxy.access_log()


def test_a_client_that_does_not_know_the_certificate_is_not_connected(proxy: Proxy, tmp_path: Path) -> None:
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx.get(f"{proxy.secure}/healthz", timeout=PATIENCE_S)
    wss = f"{proxy.secure.replace('https', 'wss')}/ws/{proxy.server.room}"
    with pytest.raises(ssl.SSLCertVerificationError):
        connect(wss, ssl=ssl.create_default_context(), open_timeout=PATIENCE_S)
