"""What an edge asks its origin, what it remembers of the answer, and what it does without one."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from gateway.config import Settings, SettingsError, refuse_unavailable
from gateway.doors import HOPS_MAX, Undecided, Wish
from gateway.edge import EdgeAccess, EdgeLimits, parse_origin
from gateway.edge_app import EdgeApplication
from gateway.errors import Problem
from stream.errors import PublishRefused
from stream.http_call import Peer
from stream.rtmp_peers import PublishRequest
from tests.gateway.serving import serving, shop_settings
from tests.harness import free_port

PATIENCE_S = 60.0
QUICK = EdgeLimits(wait_ms=400, retry_s=0.05)


class Questions:
    """A server that counts the questions and gives whatever answer it is told to."""

    def __init__(self) -> None:
        self.heads: list[bytes] = []
        self.answer = b'HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n{"node":"abc"}'
        self.before: list[bytes] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.heads.append(await reader.readuntil(b"\r\n\r\n"))
        await self.gate.wait()
        writer.write(self.before.pop(0) if self.before else self.answer)
        writer.close()


@contextlib.asynccontextmanager
async def asked(limits: EdgeLimits | None = None) -> AsyncIterator[tuple[EdgeAccess, Questions, list[int]]]:
    """An edge's access, the origin that it asks, and its clock as the one entry of a list."""
    questions, now = Questions(), [1_000_000]
    server = await asyncio.start_server(questions.talk, "127.0.0.1", 0)
    peer = Peer("127.0.0.1", server.sockets[0].getsockname()[1])
    access = EdgeAccess(peer, "/sub", node="me", clock=lambda: now[0], limits=limits)
    try:
        yield access, questions, now
    finally:
        await access.close()
        server.close()


async def test_twenty_who_come_at_once_are_asked_for_once_and_remembered() -> None:
    async with asked() as (access, questions, now):
        questions.gate.clear()
        wishes = [asyncio.create_task(access.play(Wish("room", "t"))) for _ in range(20)]
        await asyncio.sleep(0.05)
        questions.gate.set()
        assert await asyncio.gather(*wishes) == [None] * 20
        assert len(questions.heads) == 1
        assert questions.heads[0].startswith(b"GET /sub/edge/room HTTP/1.1\r\n")
        assert b"bearer t\r\n" in questions.heads[0].lower() and b"siyu-via: me\r\n" in questions.heads[0].lower()
        assert access.glance(Wish("room", "t")) is None
        assert access.glance(Wish("room", "other")) is Undecided.YET
        now[0] += EdgeLimits().granted_ms
        assert access.glance(Wish("room", "t")) is Undecided.YET


async def test_a_no_is_passed_on_and_remembered_for_less_long() -> None:
    async with asked() as (access, questions, now):
        body = b'{"code":"no_stream","detail":"no such","retry_ms":7}'
        questions.answer = b"HTTP/1.1 404 No\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        for _ in range(2):
            refused = await access.play(Wish("room", ""))
            assert isinstance(refused, Problem) and (refused.status, refused.code, refused.retry_ms) == (
                404,
                "no_stream",
                7,
            )
        assert len(questions.heads) == 1
        now[0] += EdgeLimits().refused_ms
        assert access.glance(Wish("room", "")) is Undecided.YET


NO_ANSWERS = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\n[]",
    b'HTTP/1.1 503 Busy\r\nContent-Length: 15\r\n\r\n{"code":"busy"}',
    b"SSH-2.0-x\r\n",
    b"",
]


async def test_an_origin_that_gives_no_answer_is_asked_again() -> None:
    async with asked(EdgeLimits(wait_ms=60_000, retry_s=0.01)) as (access, questions, _):
        questions.before = [*NO_ANSWERS]
        assert await access.play(Wish("room", "")) is None
        assert len(questions.heads) == len(NO_ANSWERS) + 1


async def test_an_origin_that_never_answers_is_told_of_after_the_wait_and_forgotten() -> None:
    async with asked(QUICK) as (access, questions, _):
        questions.answer, good = NO_ANSWERS[0], questions.answer
        refused = await access.play(Wish("room", ""))
        assert isinstance(refused, Problem) and (refused.status, refused.code) == (503, "origin") and refused.retry_ms
        questions.answer, access._limits = good, EdgeLimits()
        assert await access.play(Wish("room", "")) is None


async def test_who_has_been_here_or_through_too_many_is_in_a_ring() -> None:
    async with asked() as (access, questions, _):
        for via in (("a", "me"), tuple(f"e{number}" for number in range(HOPS_MAX))):
            refused = await access.play(Wish("room", "", via))
            assert isinstance(refused, Problem) and (refused.status, refused.code) == (508, "loop")
        assert questions.heads == []
        assert await access.play(Wish("room", "", ("a", "b"))) is None
        assert b"siyu-via: a, b, me" in questions.heads[0].lower()


async def test_a_pull_carries_a_viewers_token_and_drops_one_that_is_refused() -> None:
    async with asked() as (access, _, _now):
        await access.play(Wish("a room", "old"))
        await access.play(Wish("a room", "new", ("behind",)))
        source = await access.find("a room")
        assert source is not None and source.target == "/sub/live/a%20room.flv?delay=low"
        assert dict(source.headers) == {"authorization": "Bearer new", "siyu-via": "behind, me"}
        assert "new" not in repr(source)
        access.refused("a room", 404)
        access.refused("a room", 401)
        source = await access.find("a room")
        assert source is not None and dict(source.headers)["authorization"] == "Bearer old"
        assert access.glance(Wish("a room", "new")) is Undecided.YET


async def test_nobody_publishes_to_an_edge() -> None:
    async with asked() as (access, _, _now):
        with pytest.raises(PublishRefused, match="origin"):
            await access.rtmp_host(PublishRequest("live", "room", "key", "127.0.0.1"))
        with pytest.raises(Problem, match="origin"):
            access.whip_origin("room", "key", "127.0.0.1")


@pytest.mark.parametrize(
    "url",
    ["live.example", "ftp://live.example", "http://", "http://u:p@live.example", "http://h:port", "http://h/?a=b"],
)
def test_an_origin_that_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="--origin"):
        parse_origin(url)


def test_an_origin_may_have_tls_a_port_and_a_path() -> None:
    peer, prefix = parse_origin("https://live.example/shop/")
    assert (peer.host, peer.port, prefix) == ("live.example", 443, "/shop") and peer.tls is not None
    peer, prefix = parse_origin("http://[::1]:8000")
    assert (peer.authority, prefix) == ("[::1]:8000", "") and peer.tls is None


@pytest.mark.parametrize("setting", ["record", "play_auth", "rtmp_challenge"])
def test_what_an_edge_cannot_do_is_refused_and_not_ignored(setting: str) -> None:
    with pytest.raises(SettingsError, match="--origin"):
        refuse_unavailable(Settings(origin="http://h", **{setting: True}))  # type: ignore[arg-type]


async def get(server: object, path: str, token: str = "") -> httpx.Response:
    assert isinstance(server, EdgeApplication)
    headers = {"authorization": f"Bearer {token}"} if token else {}
    async with httpx.AsyncClient(timeout=PATIENCE_S) as client:
        return await client.get(server.addresses.base + path, headers=headers)


async def test_with_play_auth_at_the_origin_its_edges_refuse_as_it_does(tmp_path: Path) -> None:
    settings, room = await shop_settings(tmp_path, play_auth=True)
    async with serving(settings) as origin:
        base = origin.addresses.base
        async with httpx.AsyncClient(timeout=PATIENCE_S) as client:
            guest = await client.post(f"{base}/api/v1/auth/guest", json={"room": room})
        token = guest.json()["token"]
        async with serving(Settings(http_port=0, origin=base)) as edge:
            for path in (f"/live/{room}.flv", f"/live/{room}.mp4", f"/live/{room}/index.m3u8"):
                for wrong in ("", token[:-3]):
                    refused = await get(edge, path, wrong)
                    assert (refused.status_code, refused.json()["code"]) == (401, "token")
                assert (await get(edge, path.replace(room, "nosuch"), token)).json()["code"] == "no_stream"
            assert isinstance(edge, EdgeApplication)
            assert edge.puller.stats().started == 0
            edge.streaming.outputs[".flv"].limits = replace(edge.streaming.outputs[".flv"].limits, host_wait_ms=0)
            waited = await get(edge, f"/live/{room}.flv", token)
            assert (waited.status_code, waited.json()["code"]) == (404, "not_live")
            assert edge.puller.stats().started == 1


async def test_edges_in_a_ring_refuse_at_once(tmp_path: Path) -> None:
    ports = [free_port(), free_port()]
    settings = [
        Settings(http_port=mine, origin=f"http://127.0.0.1:{other}")
        for mine, other in (ports, reversed(ports), (free_port(),) * 2)
    ]
    async with serving(settings[0]) as first, serving(settings[1]) as second, serving(settings[2]) as itself:
        for edge in (first, second, itself):
            for path in ("/live/room.flv", "/live/room/index.m3u8"):
                refused = await get(edge, path)
                assert (refused.status_code, refused.json()["code"]) == (508, "loop")


async def test_without_an_origin_viewers_are_told_so(tmp_path: Path) -> None:
    async with serving(Settings(http_port=0, origin=f"http://127.0.0.1:{free_port()}")) as edge:
        assert isinstance(edge, EdgeApplication)
        edge.access._limits = QUICK
        for path in ("/live/room.flv", "/live/room/index.m3u8"):
            refused = await get(edge, path)
            assert (refused.status_code, refused.json()["code"]) == (503, "origin")
            assert int(refused.headers["retry-after"]) > 0


async def test_a_viewer_who_waits_for_the_origins_answer_is_told_when_the_edge_goes(tmp_path: Path) -> None:
    async with serving(Settings(http_port=0, origin=f"http://127.0.0.1:{free_port()}")) as edge:
        waiting = asyncio.create_task(get(edge, "/live/room.flv"))
        assert isinstance(edge, EdgeApplication)
        async with asyncio.timeout(PATIENCE_S):
            while not edge.streaming._lobby:
                await asyncio.sleep(0.01)
    assert (await waiting).json()["code"] == "draining"
