"""What merchants are told of their streams, and how they are asked before one begins."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
from collections.abc import AsyncIterator, Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson
import pytest

from commerce import webhooks_sql
from commerce.domain.webhook import ORDER_TYPES
from gateway import media_events
from stream.origin import Origin
from tests.gateway.rig import Rig, rig
from tests.gateway.test_access import RtmpPeer, make_key, play, revoke_key, rtmp, text_of, whip
from tests.gateway.test_webhooks import Receiver, hook
from tests.stream import rtmp_peer
from tests.stream.media import make_clip
from tests.stream.stage import Host

PATIENCE_S = 60
MEDIA = ["stream.published", "stream.unpublished", "stream.played", "stream.stopped", "stream.recorded"]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    server = Receiver()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def live(tmp_path: Path) -> AsyncIterator[Rig]:
    async with rig(tmp_path, record=True) as running:
        yield running


async def until(condition: Callable[[], Any]) -> None:
    """Wait until ``condition`` holds, which it goes on to do."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.02)


def told(receiver: Receiver, kind: str) -> list[dict[str, Any]]:
    return [body for _, body, _ in receiver.got if body["type"] == kind]


async def test_a_show_from_its_first_frame_to_its_recording_is_told_signed(live: Rig, receiver: Receiver) -> None:
    made, room = await hook(live, receiver.url, MEDIA), live.shop.room
    directory = live.application.services.directory
    publication = directory.publish(room, Host(), live.clock(), Origin("rtmp", "k1", "OBS 演播室", "192.0.2.1"))
    for packet in make_clip(2, (160, 96), b_frames=0).looped(3):
        publication.push(packet, live.clock())
    async with rtmp(live, play(room)) as player:
        await player.status("NetStream.Play.Start")
        await until(lambda: told(receiver, "stream.played"))
    await until(lambda: told(receiver, "stream.stopped"))
    publication.end("the host stopped", live.clock())
    live.clock.ahead_ms += 120_000
    directory.sweep(live.clock())
    await until(lambda: {body["type"] for _, body, _ in receiver.got} == set(MEDIA))
    began, ended = told(receiver, "stream.published")[0], told(receiver, "stream.unpublished")[0]
    assert (began["room"], began["protocol"], began["key"], began["name"]) == (room, "rtmp", "k1", "OBS 演播室")
    assert (began["width"], began["height"]) == (160, 96) and began["video"].startswith("avc1")
    assert ended["reason"] == "the host stopped" and ended["key"] == "k1"
    came, went = (told(receiver, kind)[0]["viewers"] for kind in ("stream.played", "stream.stopped"))
    assert [(one["protocol"], one["viewer"]) for one in came] == [("rtmp", went[0]["viewer"])]
    assert went[0]["watched_ms"] >= 0
    recorded = told(receiver, "stream.recorded")[0]
    assert recorded["replay"] == f"/replay/{room}/{recorded['show']}/index.m3u8"
    # Neither an address nor a key leaves the shop.
    assert "192.0.2.1" not in str(receiver.got) and live.shop.stream_key not in str(receiver.got)
    for headers, body, raw in receiver.got:
        expected = hmac.new(made["secret"].encode(), f"{headers['siyu-timestamp']}.".encode() + raw, sha256)
        assert headers["siyu-signature"] == f"v1={expected.hexdigest()}"
        assert headers["siyu-event"] == body["type"] and headers["siyu-event-id"] == body["id"]


async def test_who_names_no_event_hears_of_orders_only(live: Rig, receiver: Receiver) -> None:
    assert set((await hook(live, receiver.url))["events"]) == ORDER_TYPES
    services = live.application.services
    assert services.media_events._listener("stream.published", live.shop.room) is None
    await hook(live, receiver.url, ["stream.published"])
    assert services.media_events._listener("stream.published", live.shop.room) is not None
    assert services.media_events._listener("stream.published", live.other.room) is None


async def test_a_whole_audience_at_once_is_told_in_few_events_and_bounded(
    live: Rig, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(media_events, "VIEWER_EVENTS_MAX", 450)
    await hook(live, receiver.url, ["stream.played"])
    visits = live.application.streaming.visits
    for number in range(500):
        visits.enter(live.shop.room, "flv", f"192.0.2.{number % 200}", None, Nobody())
    stats = live.application.services.media_events.stats()
    assert (stats.queued, stats.dropped) == (450, 50)
    await until(lambda: sum(len(event["viewers"]) for event in told(receiver, "stream.played")) == 450)
    assert [len(event["viewers"]) for event in told(receiver, "stream.played")] == [200, 200, 50]


async def test_a_receiver_that_is_down_does_not_fill_the_shop(
    live: Rig, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks_sql, "MEDIA_WAITING_MAX", 2)
    receiver.answer = b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n"
    made = await hook(live, receiver.url, ["stream.published"])
    events = live.application.services.media_events
    for number in range(5):
        events.tell("stream.published", live.shop.room, live.clock(), {"number": number})
    await until(lambda: events.stats().dropped == 3)
    path = f"/webhooks/{made['webhook']}/deliveries"
    waiting = (await live.call("GET", path, token=live.shop.merchant_token)).json()
    assert len(waiting) == 2 and {delivery["state"] for delivery in waiting} == {"waiting"}
    sender = live.application.services.sender
    await until(lambda: sender.stats().waiting == 2 and sender.stats().failed >= 1)


class Nobody:
    """A viewer that cannot be closed, as it is none."""

    def expel(self, code: str, detail: str) -> None:
        raise AssertionError("nobody was to be closed")


# — the question before a broadcast —


class Judge:
    """A merchant's server that answers with a status and a body, or not at all."""

    def __init__(self) -> None:
        self.status = 200
        self.body = b"{}"
        self.silent = False
        self.asked: list[tuple[dict[str, str], bytes]] = []
        self.port = 0
        self.hears = asyncio.Event()
        self._over = asyncio.Event()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server is not None
        self._over.set()
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {line.partition(":")[0].lower(): line.partition(":")[2].strip() for line in lines[1:] if line}
            self.asked.append((headers, await reader.readexactly(int(headers["content-length"]))))
            self.hears.set()
            if self.silent:
                await self._over.wait()
            head = f"HTTP/1.1 {self.status} X\r\ncontent-length: {len(self.body)}\r\n\r\n"
            writer.write(head.encode() + self.body)
            await writer.drain()
        writer.close()


@pytest.fixture
async def judge() -> AsyncIterator[Judge]:
    server = Judge()
    await server.start()
    yield server
    await server.stop()


async def ask_at(live: Rig, judge: Judge, **more: Any) -> str:
    body = {"url": f"http://127.0.0.1:{judge.port}/publish", "timeout_ms": 4_000, **more}
    answer = await live.call("PUT", "/media-hook", body, token=live.shop.merchant_token)
    assert answer.status_code == 200, answer.text
    secret: str = answer.json()["secret"]
    return secret


def host(live: Rig, key: str | None = None) -> contextlib.AbstractAsyncContextManager[RtmpPeer]:
    return rtmp(live, rtmp_peer.publish(f"{live.shop.room}?key={key or live.shop.stream_key}"))


async def test_a_host_begins_when_the_merchant_agrees(live: Rig, judge: Judge) -> None:
    secret = await ask_at(live, judge)
    key = await make_key(live)
    async with host(live, text_of(key)) as publishing:
        await publishing.status("NetStream.Publish.Start")
    headers, raw = judge.asked[0]
    question = orjson.loads(raw)
    expected = hmac.new(secret.encode(), f"{headers['siyu-timestamp']}.".encode() + raw, sha256).hexdigest()
    assert headers["siyu-signature"] == f"v1={expected}"
    assert question["type"] == headers["siyu-event"] == "publish.authorize"
    named = {name: question[name] for name in ("room", "protocol", "key", "name", "address")}
    assert named == {
        "room": live.shop.room,
        "protocol": "rtmp",
        "key": key["key"],
        "name": "OBS 演播室",
        "address": "127.0.0.1",
    }
    assert text_of(key) not in raw.decode()
    # Another merchant asks nobody, and a wrong key is refused without a question.
    assert (await whip(live, live.other.stream_key, live.other.room))[0] == 201
    assert (await whip(live, "wrong"))[0] == 401
    assert len(judge.asked) == 1


async def test_a_merchant_refuses_a_host_and_rtmp_and_whip_say_why(live: Rig, judge: Judge) -> None:
    await ask_at(live, judge)
    judge.status, judge.body = 403, orjson.dumps({"reason": "今晚八点\n开播"})
    status, code, detail = await whip(live, live.shop.stream_key)
    assert (status, code, detail) == (403, "publish_refused", "the shop refused this broadcast: 今晚八点 开播")
    async with host(live) as publishing:
        assert (await publishing.status("NetStream.Publish.Denied"))["description"] == detail
        await publishing.closed()
    judge.body = b"<html>"
    assert (await whip(live, live.shop.stream_key))[2].endswith("it answered 403")
    assert live.application.services.publish_hook.stats().refused == 3
    assert not live.application.services.directory.origins()


@pytest.mark.parametrize("fail_open", [False, True])
@pytest.mark.parametrize("how", ["silent", "broken", "gone"])
async def test_without_an_answer_it_is_as_the_merchant_chose(
    live: Rig, judge: Judge, how: str, fail_open: bool
) -> None:
    await ask_at(live, judge, timeout_ms=200, fail_open=fail_open)
    if how == "silent":
        judge.silent = True
    elif how == "broken":
        judge.status = 502
    else:
        await judge.stop()
    status, code, detail = await whip(live, live.shop.stream_key)
    async with host(live) as publishing:
        if fail_open:
            assert status == 201
            await publishing.status("NetStream.Publish.Start")
        else:
            assert (status, code) == (503, "hook_unanswered")
            assert (await publishing.status("NetStream.Publish.Denied"))["description"] == detail
    assert live.application.services.publish_hook.stats().unanswered == 2


@pytest.mark.parametrize("named", [True, False])
async def test_a_key_revoked_while_the_merchant_was_asked_opens_nothing(live: Rig, judge: Judge, named: bool) -> None:
    await ask_at(live, judge)
    key = await make_key(live)
    judge.silent = True
    async with host(live, text_of(key) if named else None) as publishing:
        async with asyncio.timeout(PATIENCE_S):
            await judge.hears.wait()
        await revoke_key(live, key["key"] if named else "room")
        judge._over.set()
        assert "was revoked" in (await publishing.status("NetStream.Publish.BadName"))["description"]
    assert not live.application.services.directory.origins()


async def test_the_hook_is_the_merchant_s_own_to_set_read_and_take_away(live: Rig, judge: Judge) -> None:
    await ask_at(live, judge)
    merchant, path = live.shop.merchant_token, "/media-hook"
    shown = (await live.call("GET", path, token=merchant)).json()
    assert shown["secret"] is None and shown["fail_open"] is False and shown["timeout_ms"] == 4_000
    assert (await live.call("GET", path, token=live.other.merchant_token)).status_code == 404
    assert (await live.call("PUT", path, {"url": "http://x/"}, token=live.shop.host_token)).status_code == 403
    for bad in ({"url": "ftp://x/"}, {"url": "http://x/", "timeout_ms": 99_000}):
        assert (await live.call("PUT", path, bad, token=merchant)).status_code == 400
    assert (await live.call("DELETE", path, token=merchant)).status_code == 200
    assert (await live.call("DELETE", path, token=merchant)).status_code == 404
    assert (await whip(live, live.shop.stream_key))[0] == 201 and judge.asked == []
