"""A whole shop on two workers, with PostgreSQL and Redis: hosts, viewers and chat at any of them."""

from __future__ import annotations

import contextlib
import json
import signal
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from websockets.sync.client import ClientConnection, connect

from tests import postgres, redis_server
from tests.harness import LiveServer
from tests.integration.outsiders import PATIENCE_S, FlvPlayer, end, publish, wait_until

WORKERS = 2


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    folder = tmp_path_factory.mktemp("shop")
    with contextlib.ExitStack() as stack:
        cluster = postgres.Cluster(postgres.need_postgres())
        cluster.start()
        stack.callback(cluster.close)
        cluster.template()
        redis = redis_server.RedisServer(folder)
        redis.start()
        stack.callback(redis.kill)
        flags = ["--workers", str(WORKERS), "--redis-url", redis.url, "--drain-s", "8", "--record"]
        environment = {"SIYU_DATABASE_URL": cluster.address(cluster.database())}
        server = LiveServer(folder / "data", flags=flags, environment=environment)
        server.start()
        try:
            wait_until(lambda: f"{WORKERS} workers" in server.said(), "every worker")
            yield server
        finally:
            if server.process is not None and server.process.poll() is None:
                server.stop()
            print(server.log()[-8_000:])


def figures(server: LiveServer, name: str) -> list[float]:
    """One figure of each worker."""
    lines = httpx.get(f"{server.base}/metrics", timeout=PATIENCE_S).text.splitlines()
    return [float(line.rpartition(" ")[2]) for line in lines if line.startswith(f'{name}{{worker="')]


def read(socket: ClientConnection, wanted: dict[str, Any]) -> dict[str, Any]:
    """The next event that holds `wanted`, others read over."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        for event in json.loads(socket.recv(max(0.1, deadline - time.monotonic()))):
            if wanted.items() <= event.items():
                found: dict[str, Any] = event
                return found
    raise AssertionError(f"never came: {wanted}")


def test_a_show_and_its_picture_are_those_of_every_worker(shop: LiveServer) -> None:
    def anywhere(path: str) -> list[httpx.Response]:
        """What a dozen connections get: any worker may take one."""
        return [httpx.get(f"{shop.base}{path}", timeout=PATIENCE_S) for _ in range(12)]

    host = publish(shop.publish_url, gop=25)

    def listed() -> list[dict[str, Any]]:
        """The show as each answer has it."""
        answers = [answer.json()["items"] for answer in anywhere(f"/api/v1/rooms/{shop.room}/shows")]
        return [show for shows in answers for show in shows]

    try:
        wait_until(lambda: len(shows := listed()) == 12 and min(one["length_ms"] for one in shows) > 5_000, "the show")
        (name,) = {show["show"] for show in listed()}
        wait_until(
            lambda: (
                {(a.status_code, a.headers["content-type"]) for a in anywhere(f"/live/{shop.room}.jpg")}
                == {(200, "image/jpeg")}
            ),
            "its picture",
        )
    finally:
        end(host)
    address = f"/replay/{shop.room}/{name}/"
    texts = anywhere(f"{address}index.m3u8")
    assert all("#EXTINF" in text.text for text in texts)
    media = anywhere(f"{address}init-0.mp4")
    assert {answer.status_code for answer in media} == {200} and len({answer.content for answer in media}) == 1


def test_hosts_viewers_and_chat_meet_whichever_worker_they_are_at(shop: LiveServer) -> None:
    with contextlib.ExitStack() as stack:
        sockets: list[ClientConnection] = []

        def everywhere() -> bool:
            for _ in range(3):
                url = shop.ws_url(shop.guest()["token"])
                sockets.append(stack.enter_context(connect(url, compression=None, open_timeout=PATIENCE_S)))
                read(sockets[-1], {"t": "room"})
            return all(figures(shop, "siyu_hub_connections"))

        wait_until(everywhere, "somebody at each worker")
        host = publish(shop.publish_url, gop=25)
        players: list[FlvPlayer] = []
        try:
            for socket in sockets:
                assert read(socket, {"t": "stream"})["stream"]["live"]
            sockets[0].send(json.dumps({"id": 1, "cmd": "chat.send", "text": "大家好"}))
            for socket in sockets:
                read(socket, {"t": "chat", "text": "大家好"})

            def watched() -> bool:
                players.extend(FlvPlayer(shop) for _ in range(3))
                wait_until(lambda: all(len(player.frames()) > 10 for player in players), "every picture")
                return all(figures(shop, "siyu_playback_flv_viewers"))

            wait_until(watched, "viewers at each worker")
            assert sorted(figures(shop, "siyu_playback_worker_viewers")) == [0, 1]
            lives = [shop.call("GET", f"/rooms/{shop.room}").json()["stream"]["live"] for _ in range(8)]
            assert all(lives)
        finally:
            end(host)
            for player in players:
                player.leave()


def test_a_host_that_hangs_is_taken_over_at_whichever_worker_it_returns_to(shop: LiveServer) -> None:
    hosts = [publish(shop.publish_url, gop=25)]
    players = [FlvPlayer(shop) for _ in range(6)]
    try:
        wait_until(lambda: all(len(player.frames()) > 10 for player in players), "every picture")
        for _ in range(3):
            hosts[-1].send_signal(signal.SIGSTOP)
            seen = [len(player.frames()) for player in players]
            hosts.append(publish(shop.publish_url, gop=25))
            wait_until(
                lambda seen=seen: all(len(p.frames()) > n + 10 for p, n in zip(players, seen, strict=True)),  # type: ignore[misc]
                "the picture of the host's return",
            )
            assert hosts[-1].poll() is None, "its first attempt succeeds"
        for player in players:
            times = [tag.time_ms for tag in player.frames()]
            assert not player.ended and times == sorted(set(times))
        assert sum(figures(shop, "siyu_rtmp_publishing")) == 1
    finally:
        for host in hosts:
            end(host)
        for player in players:
            player.leave()


def test_a_room_and_its_keys_are_those_of_every_worker(shop: LiveServer) -> None:
    token = shop.seed["merchant_token"]

    def call(method: str, path: str, body: Any = None) -> httpx.Response:
        # A connection each time: any worker may take it.
        headers = {"authorization": f"Bearer {token}"}
        return httpx.request(method, f"{shop.base}/api/v1{path}", json=body, headers=headers, timeout=PATIENCE_S)

    room = call("POST", "/rooms", {"title": "第二间"}).json()["id"]
    wait_until(lambda: all(call("GET", f"/rooms/{room}").status_code == 200 for _ in range(12)), "it at every worker")
    made = call("POST", f"/rooms/{room}/keys", {"name": "OBS"}).json()
    key = made["publish"]["stream_key"].partition("key=")[2]

    def opens() -> list[bool]:
        """Whether the key opens the room, asked of a WHIP endpoint at any worker: 415 comes after the key's check."""
        url, headers = f"{shop.base}/whip/{room}", {"authorization": f"Bearer {key}"}
        return [httpx.post(url, headers=headers, timeout=PATIENCE_S).status_code != 401 for _ in range(12)]

    wait_until(lambda: all(opens()), "the key at every worker")
    assert call("DELETE", f"/rooms/{room}/keys/{made['key']}").status_code == 200
    wait_until(lambda: not any(opens()), "its end at every worker")


def test_sigterm_ends_the_shop_in_order(shop: LiveServer) -> None:
    assert shop.stop() == 0
    assert '"level":"error"' not in shop.log() and '"level":"critical"' not in shop.log()
