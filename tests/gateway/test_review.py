"""Lines that a merchant's own server looks at before they are shown."""

from __future__ import annotations

import asyncio
import hmac
import itertools
from collections.abc import AsyncIterator, Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway import review_hook
from tests.gateway.rig import Rig, rig
from tests.gateway.test_webhooks import Receiver

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
NUMBERS = itertools.count(1)


class Judge(Receiver):
    """A merchant's server that denies lines by their text."""

    def __init__(self) -> None:
        super().__init__()
        self.deny: dict[str, str] = {}
        self.gate = asyncio.Event()
        self.gate.set()
        self.asked: list[list[str]] = []

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        lines = head.split("\r\n")
        headers = {line.partition(":")[0].lower(): line.partition(":")[2].strip() for line in lines[1:] if line}
        raw = await reader.readexactly(int(headers["content-length"]))
        body = orjson.loads(raw)
        self.got.append((headers, body, raw))
        self.asked.append([one["text"] for one in body["lines"]])
        await self.gate.wait()
        denied = {one["line"]: self.deny[one["text"]] for one in body["lines"] if one["text"] in self.deny}
        answer = orjson.dumps({"deny": denied})
        writer.write(self.answer or b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(answer), answer))
        await writer.drain()
        writer.close()


@pytest.fixture
async def judge() -> AsyncIterator[Judge]:
    server = Judge()
    server.answer = None
    await server.start()
    yield server
    server.gate.set()
    await server.stop()


@pytest.fixture
async def live(tmp_path: Path) -> AsyncIterator[Rig]:
    async with rig(tmp_path) as running:
        yield running


async def look(live: Rig, url: str, room: str | None = None, **more: Any) -> dict[str, Any]:
    """Have lines looked at."""
    path = "/review-hook" if room is None else f"/rooms/{room}/review-hook"
    body = {"url": url, "timeout_ms": 3_000, **more}
    answer = await live.call("PUT", path, body, token=live.shop.merchant_token)
    assert answer.status_code == 200, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def say(live: Rig, token: str, text: str) -> dict[str, Any]:
    """The answer to a line."""
    path = f"/rooms/{live.shop.room}/commands"
    answer = await live.call("POST", path, {"id": next(NUMBERS), "cmd": "chat.send", "text": text}, token=token)
    assert answer.status_code == 200, answer.text
    (only,) = answer.json()
    said: dict[str, Any] = only
    return said


async def sees(live: Rig, *texts: str) -> None:
    """The room shows these lines and no others: what staff say after them comes right after them."""
    mark = f"完{next(NUMBERS)}"
    assert (await say(live, live.shop.host_token, mark))["ok"]
    token = (await live.guest())["token"]
    async with asyncio.timeout(60):
        while True:
            answer = await live.client.get(f"/poll/{live.shop.room}", params={"token": token})
            lines = [event["text"] for event in answer.json()["items"][0]["history"] if event["t"] == "chat"]
            if lines[-1:] == [mark]:
                break
            await asyncio.sleep(0.05)
    assert [line for line in lines if not line.startswith("完")] == list(texts)


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


async def test_a_line_is_shown_when_it_was_let_through_and_its_speaker_told_why_when_not(
    live: Rig, judge: Judge
) -> None:
    made = await look(live, judge.url)
    judge.deny = {"加微信私聊": "no addresses here"}
    guest = await live.guest(name="小雨")
    assert (await say(live, guest["token"], "有黑色吗"))["ok"]
    refused = await say(live, guest["token"], "加微信私聊")
    assert refused["error"]["code"] == "refused" and refused["error"]["message"] == "no addresses here"
    await sees(live, "有黑色吗")
    headers, body, raw = judge.got[0]
    assert (body["type"], body["room"]) == ("chat.review", live.shop.room)
    assert [(one["person"], one["name"], one["text"]) for one in body["lines"]] == [
        (guest["person"], "小雨", "有黑色吗")
    ]
    expected = hmac.new(made["secret"].encode(), f"{headers['siyu-timestamp']}.".encode() + raw, sha256)
    assert headers["siyu-signature"] == f"v1={expected.hexdigest()}"


async def test_while_a_line_is_held_back_all_else_in_the_room_goes_on(live: Rig, judge: Judge) -> None:
    await look(live, judge.url)
    judge.gate.clear()
    token = (await live.guest())["token"]
    held = asyncio.create_task(say(live, token, "等等我"))
    await until(lambda: judge.asked)
    # Staff are not looked at, and speak at once.
    assert (await say(live, live.shop.host_token, "欢迎大家"))["ok"]
    notice = {"kind": "notice", "text": "还有三分钟开抢"}
    answer = await live.call("POST", f"/rooms/{live.shop.room}/messages", notice, token=live.shop.host_token)
    assert answer.status_code == 200
    await sees(live, "欢迎大家")
    judge.gate.set()
    assert (await held)["ok"]
    await sees(live, "欢迎大家", "等等我")


@pytest.mark.parametrize("fail_open", [True, False])
async def test_what_happens_without_an_answer_is_the_merchants_choice(live: Rig, judge: Judge, fail_open: bool) -> None:
    await look(live, judge.url, timeout_ms=100, fail_open=fail_open)
    judge.gate.clear()
    said = await say(live, (await live.guest())["token"], "有人吗")
    assert said.get("ok", False) is fail_open
    await sees(live, *(["有人吗"] if fail_open else []))
    stats = live.application.services.review.stats()
    assert (stats.asked, stats.unanswered, stats.held) == (1, 1, 0)


async def test_a_refusal_of_all_shows_none_and_a_broken_answer_counts_as_none(live: Rig, judge: Judge) -> None:
    await look(live, judge.url)
    token = (await live.guest())["token"]
    judge.answer = b"HTTP/1.1 403 No\r\ncontent-length: 0\r\n\r\n"
    assert (await say(live, token, "一"))["error"]["code"] == "refused"
    judge.answer = b"HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n"
    assert (await say(live, token, "二"))["error"]["code"] == "refused"
    judge.answer = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n[{}]"
    assert (await say(live, token, "三"))["ok"]
    await sees(live, "三")


async def test_lines_gather_while_others_are_looked_at_and_beyond_the_bound_the_speaker_is_told(
    live: Rig, judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(review_hook, "POSTS_MAX", 1)
    monkeypatch.setattr(review_hook, "HELD_MAX", 3)
    await look(live, judge.url)
    judge.gate.clear()
    guests = [await live.guest() for _ in range(5)]
    first = asyncio.create_task(say(live, guests[0]["token"], "0"))
    await until(lambda: judge.asked)
    more = [asyncio.create_task(say(live, guest["token"], str(n))) for n, guest in enumerate(guests[1:4], 1)]
    await until(lambda: live.application.services.review.stats().held == 4)
    refused = await say(live, guests[4]["token"], "4")
    assert refused["error"]["code"] == "busy" and refused["error"]["retry_ms"] > 0
    judge.gate.set()
    answers = await asyncio.gather(first, *more)
    assert all(answer["ok"] for answer in answers)
    assert [sorted(asked) for asked in judge.asked] == [["0"], ["1", "2", "3"]]


async def test_lines_of_one_person_are_shown_in_the_order_they_were_said(
    live: Rig, judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(review_hook, "LINES_A_POST", 1)
    await look(live, judge.url)
    judge.gate.clear()
    token = (await live.guest())["token"]
    said = []
    for number in range(3):
        said.append(asyncio.create_task(say(live, token, str(number))))
        await until(lambda: len(judge.asked) == len(said))
    judge.gate.set()
    await asyncio.gather(*said)
    await sees(live, "0", "1", "2")


async def test_who_was_muted_while_their_line_was_looked_at_is_not_heard(live: Rig, judge: Judge) -> None:
    await look(live, judge.url)
    judge.gate.clear()
    guest = await live.guest()
    held = asyncio.create_task(say(live, guest["token"], "广告"))
    await until(lambda: judge.asked)
    live.application.services.hub.mute(live.shop.room, guest["person"], live.clock() + 60_000)
    judge.gate.set()
    assert (await held)["error"]["code"] == "muted"
    await sees(live)


async def test_a_rooms_own_hook_stands_before_the_one_of_all_rooms(live: Rig, judge: Judge) -> None:
    elsewhere = await look(live, "http://127.0.0.1:9/nobody")
    assert elsewhere["room"] is None
    own = await look(live, judge.url, room=live.shop.room)
    assert own["room"] == live.shop.room
    token = (await live.guest())["token"]
    assert (await say(live, token, "一"))["ok"]
    path = f"/rooms/{live.shop.room}/review-hook"
    read = await live.call("GET", path, token=live.shop.merchant_token)
    assert read.json()["url"] == judge.url and read.json()["secret"] is None
    assert (await live.call("DELETE", path, token=live.shop.merchant_token)).status_code == 200
    assert (await say(live, token, "二"))["error"]["code"] == "refused"
    assert (await live.call("DELETE", "/review-hook", token=live.shop.merchant_token)).status_code == 200
    assert (await say(live, token, "三"))["ok"]
    assert (await live.call("GET", "/review-hook", token=live.shop.merchant_token)).status_code == 404
    # Neither for other roles nor over another merchant's rooms.
    body = {"url": judge.url}
    assert (await live.call("PUT", path, body, token=live.shop.host_token)).status_code == 403
    other = f"/rooms/{live.other.room}/review-hook"
    assert (await live.call("PUT", other, body, token=live.shop.merchant_token)).status_code in {403, 404}


async def test_hooks_outlast_a_restart(tmp_path: Path, judge: Judge) -> None:
    async with rig(tmp_path) as live:
        await look(live, judge.url)
        store = live.application.services.review.hooks
        await store.load()
        found = store.of(live.shop.merchant, live.shop.room)
        assert found is not None and (found.url, found.timeout_ms, found.fail_open) == (judge.url, 3_000, False)
