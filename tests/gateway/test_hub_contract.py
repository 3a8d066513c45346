"""/asyncapi.json against a running server: every command's answer and every event is of the shape it promises."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import time
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from websockets.asyncio.client import ClientConnection, connect

from chat.errors import CloseCode
from gateway.desk import stream_view
from gateway.hub_contract import CLOSES, COMMANDS, EVENTS, ErrorAnswer, asyncapi, come_back
from stream.directory import Directory
from tests.harness import LiveServer, live_server

ROOT = Path(__file__).resolve().parent.parent.parent
HUB_DOC = (ROOT / "docs" / "hub.md").read_text("utf-8")
WAIT_S = 60.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    with live_server(tmp_path_factory.mktemp("contract")) as server:
        yield server


def covers(whole: Any, part: Any) -> bool:
    """Whether all that ``part`` says is in ``whole``: a field that no struct knows is lost on the way through one."""
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(name in whole and covers(whole[name], part[name]) for name in part)
    if isinstance(part, list):
        return len(whole) == len(part) and all(map(covers, whole, part))
    return bool(whole == part)


def conforms(item: dict[str, Any], kind: Any) -> None:
    """Raise when ``item`` is not what ``kind`` says, no more and no less."""
    through = msgspec.to_builtins(msgspec.convert(item, kind, strict=True))
    assert covers(through, item), f"{kind.__name__} lacks something of {item}"


class Visitor:
    """A client that checks all it sees."""

    def __init__(self, socket: ClientConnection, seen: set[str]) -> None:
        self._socket = socket
        self._seen = seen
        self._ids = itertools.count(1)
        self._items: list[dict[str, Any]] = []
        self._events: defaultdict[str, deque[dict[str, Any]]] = defaultdict(deque)

    async def _next(self) -> dict[str, Any]:
        if not self._items:
            self._items = json.loads(await asyncio.wait_for(self._socket.recv(), WAIT_S))
        item = self._items.pop(0)
        if "t" in item:
            conforms(item, EVENTS[item["t"]])
            for kept in item.get("history", ()):
                conforms(kept, EVENTS[kept["t"]])
            self._seen.add(item["t"])
            self._events[item["t"]].append(item)
        return item

    async def event(self, kind: str) -> dict[str, Any]:
        """The next event of a type that nobody has asked for yet."""
        while not self._events[kind]:
            await self._next()
        return self._events[kind].popleft()

    async def ask(self, cmd: str, **arguments: Any) -> dict[str, Any]:
        """The answer to a command that must succeed."""
        number = next(self._ids)
        msgspec.convert(arguments, COMMANDS[cmd][0], strict=True)
        await self._socket.send(json.dumps({"id": number, "cmd": cmd, **arguments}))
        while True:
            item = await self._next()
            if item.get("re") == number:
                assert item.get("ok") is True, (cmd, item)
                fields = {name: value for name, value in item.items() if name not in {"re", "ok"}}
                conforms(fields, COMMANDS[cmd][1])
                self._seen.add("> " + cmd)
                return item


@asynccontextmanager
async def visit(server: LiveServer, token: str, seen: set[str]) -> AsyncIterator[Visitor]:
    async with connect(server.ws_url(token), compression=None, proxy=None, max_size=None) as socket:
        visitor = Visitor(socket, seen)
        await visitor.event("room")
        yield visitor


async def run_the_room(host: Visitor, ann: Visitor, person: str) -> None:
    """All that concerns people and talk."""
    await host.ask("chat.audience", who="members")
    await host.ask("chat.audience", who="everyone")
    await host.ask("chat.slow", seconds=1)
    await host.ask("chat.slow", seconds=0)
    await ann.event("rules")
    await host.ask("words.set", words=["spam"])
    await host.ask("words.list")
    await ann.ask("chat.send", text="spam?")
    line = await ann.event("chat")
    await host.ask("recall", offset=line["o"])
    await ann.ask("like", n=3)
    await ann.ask("touch", kind="card_click", sku="k1")
    await ann.ask("ack", to=0)
    await host.ask("mute", person=person, seconds=60)
    await host.ask("unmute", person=person)
    await host.ask("moderator.add", person=person)
    await host.ask("moderators.list")
    await host.ask("moderator.remove", person=person)
    for role, muted in (("viewer", True), ("viewer", False), ("moderator", False), ("viewer", False)):
        you = (await ann.event("you"))["you"]
        assert (you["role"], "muted" in you) == (role, muted)
    await host.ask("notice", text="a")
    await host.ask("announce", text="b")
    await host.ask("notice.pin", text="c")
    await host.ask("notice.unpin")
    for text in ("d", "e"):
        await ann.ask("question.ask", text=text)
    first, second = (await host.ask("question.list"))["questions"]
    await host.ask("question.answer", question=first["question"], text="f")
    await ann.ask("question.drop", question=second["question"])
    poll = (await host.ask("poll.start", title="?", options=["x", "y"]))["poll"]["poll"]
    await ann.ask("poll.vote", poll=poll, option=0)
    for kind in ("votes", "recall", "likes", "questions"):
        await host.event(kind)
    await host.ask("poll.end", poll=poll)
    for kind in ("notice", "announcement", "pinned", "answered", "poll"):
        await ann.event(kind)


async def run_the_shop(host: Visitor, ann: Visitor, server: LiveServer) -> None:
    """All that concerns goods."""
    shelf = (await asyncio.to_thread(server.call, "GET", f"/rooms/{server.room}/products")).json()
    card = shelf[1]
    await host.ask("pin", product=card["product"], explaining=True)
    await ann.event("pin")
    await host.ask("unpin", product=card["product"])
    await ann.event("unpin")
    drop = (await host.ask("drop.start", title="t", reason="r", amount=100, total=5))["drop"]["drop"]
    await ann.event("drop")
    await ann.ask("coupon.claim", drop=drop, key="c")
    await ann.event("coupon")
    await host.ask("drop.close", drop=drop)
    sale = (await host.ask("sale.create", sku=card["sku"], price=1, total=5, per_person=5))["sale"]["sale"]
    await host.ask("sale.start", sale=sale, countdown_s=0)
    while (await ann.event("sale"))["sale"]["state"] != "open":
        pass
    hold = (await ann.ask("sale.hold", sale=sale, quantity=1, key="h"))["hold"]
    await ann.event("stock")
    order = (await ann.ask("order.create", hold=hold, key="o"))["order"]["order"]
    await ann.ask("order.pay", order=order, key="p")
    await ann.event("order")
    await host.ask("sale.pause", sale=sale)
    await host.ask("sale.resume", sale=sale)
    await host.ask("sale.close", sale=sale)
    await host.ask("sale.reopen", sale=sale)
    await run_the_moments(host, ann, card["sku"])
    await host.event("left")
    body = {"title": "new", "price": 100, "stock": 3}
    token = server.seed["host_token"]
    made = await asyncio.to_thread(server.call, "POST", f"/rooms/{server.room}/products", body, token=token)
    assert made.status_code == 201
    await ann.event("shelf")
    told = {"name": "fireworks", "data": {"colour": "red"}}
    event = await asyncio.to_thread(server.call, "POST", f"/rooms/{server.room}/events", told, token=token)
    assert event.status_code == 200
    await ann.event("custom")


async def ask_an_advisor(host: Visitor, ann: Visitor, server: LiveServer, guest: str) -> None:
    """A member's question comes to the host who advises, and the answer to the member."""

    def call(method: str, path: str, body: dict[str, Any], token: str) -> dict[str, Any]:
        answer = server.call(method, path, body, token=token)
        assert answer.status_code < 300, answer.text
        return dict(answer.json())

    owner, hosts = server.seed["merchant_token"], server.seed["host_token"]
    accounts = (await asyncio.to_thread(server.call, "GET", "/advisors", token=owner)).json()["accounts"]
    staff = next(one["staff"] for one in accounts if one["role"] == "host")
    await asyncio.to_thread(call, "PUT", f"/advisors/{staff}", {}, owner)
    made = await asyncio.to_thread(call, "POST", "/questions", {"body": "?", "room": server.room}, guest)
    assert (await host.event("question"))["question"]["question"] == made["question"]
    await asyncio.to_thread(call, "POST", f"/questions/{made['question']}/answers", {"body": "!"}, hosts)
    assert (await ann.event("answer"))["answer"]["body"] == "!"


async def run_the_moments(host: Visitor, ann: Visitor, sku: str) -> None:
    """Reminders, lines, draws and groups."""
    one = {"sku": sku, "price": 1, "total": 1, "hold_s": 1}
    soon = (await host.ask("sale.create", **one))["sale"]["sale"]
    await host.ask("sale.start", sale=soon, countdown_s=30)
    await ann.ask("sale.remind", sale=soon)
    await ann.event("reminder")
    rare = (await host.ask("sale.create", **one, per_person=2))["sale"]["sale"]
    await host.ask("sale.start", sale=rare, countdown_s=0)
    await ann.ask("sale.hold", sale=rare, quantity=1, key="rare")
    await ann.ask("sale.wait", sale=rare)
    await ann.ask("sale.leave", sale=rare)
    await ann.ask("sale.wait", sale=rare)
    # The hold ends after a second, and goes to who waits: to herself.
    await ann.event("hold")
    bag = {"kind": "bag", "sku": sku, "winners": 1, "seconds": 3600, "task": "comment", "word": "福"}
    draw = (await host.ask("draw.open", **bag))["draw"]["draw"]
    await ann.ask("draw.enter", draw=draw, comment="来福气")
    await ann.event("draw")
    await host.ask("draw.void", draw=draw)
    groups = {"sku": sku, "price": 1, "total": 2, "mode": "team", "team_size": 2, "team_s": 600}
    offer = (await host.ask("sale.create", **groups))["sale"]["sale"]
    await host.ask("sale.start", sale=offer, countdown_s=0)
    await ann.ask("team.join", sale=offer, key="t")
    await owe_a_balance(host, ann, sku)


async def owe_a_balance(host: Visitor, ann: Visitor, sku: str) -> None:
    """A presale whose balance can be paid a moment after its deposit."""
    now_ms = time.time_ns() // 1_000_000
    terms = {"deposit": 1, "balance_from": now_ms + 2_000, "balance_until": now_ms + 3_600_000}
    presale = (await host.ask("sale.create", sku=sku, price=3, total=1, per_person=1, **terms))["sale"]["sale"]
    await host.ask("sale.start", sale=presale, countdown_s=0)
    hold = (await ann.ask("sale.hold", sale=presale, quantity=1, key="presale"))["hold"]
    order = (await ann.ask("order.create", hold=hold, key="deposit"))["order"]["order"]
    await ann.ask("order.pay", order=order, key="deposit")
    due = await ann.event("balance")
    assert due["order"]["presale"]["part"] == "balance"
    await ann.event("team")
    await ann.ask("follow", on=True)


async def answer_a_request(server: LiveServer, ann: Visitor, token: str) -> None:
    """Goods whose price is asked for, and the shop's answer."""

    async def call(method: str, path: str, body: object, who: str, key: str | None = None) -> Any:
        answer = await asyncio.to_thread(server.call, method, path, body, token=who, key=key)
        assert answer.status_code < 300, answer.text
        return answer.json()

    sku, boss = (await call("GET", f"/rooms/{server.room}/products", None, token))[0]["sku"], "merchant_token"
    await call("PUT", f"/custom/forms/{sku}", {"asked": True}, server.seed[boss])
    asked = await call("POST", "/custom/requests", {"room": server.room, "sku": sku}, token, "ask")
    now_ms = time.time_ns() // 1_000_000
    offer = {"price": 5, "valid": now_ms + 3_600_000, "deliver": now_ms + 7_200_000}
    await call("POST", f"/custom/requests/{asked['request']}/offer", offer, server.seed[boss])
    await ann.event("offer")


async def ask_after_the_sale(server: LiveServer, ann: Visitor, token: str) -> None:
    """What was bought is not wanted any more."""

    async def call(method: str, path: str, body: object, key: str | None = None) -> Any:
        answer = await asyncio.to_thread(server.call, method, path, body, token=token, key=key)
        assert answer.status_code < 300, answer.text
        return answer.json()

    orders = (await call("GET", "/orders?limit=50", None))["items"]
    paid = next(one for one in orders if one["status"] == "paid" and one["presale"] is None)
    body = {"kind": "refund", "reason": "mind", "lines": [{"sku": paid["lines"][0]["sku"]}]}
    asked = await call("POST", f"/orders/{paid['order']}/after-sales", body, "mind")
    assert (await ann.event("after_sale"))["request"] == asked


async def test_every_answer_and_every_event_is_as_promised(server: LiveServer) -> None:
    seen: set[str] = set()
    guest = server.guest("安")
    async with visit(server, server.seed["host_token"], seen) as host, visit(server, guest["token"], seen) as ann:
        await host.event("viewers")
        await run_the_room(host, ann, guest["person"])
        await run_the_shop(host, ann, server)
        await answer_a_request(server, ann, guest["token"])
        await ask_after_the_sale(server, ann, guest["token"])
        await ask_an_advisor(host, ann, server, guest["token"])
        await host.ask("kick", person=guest["person"])
        await ann.event("kick")
        await host.ask("ban", person=guest["person"])
        await host.ask("bans.list")
        await host.ask("unban", person=guest["person"])
    commands = {name.removeprefix("> ") for name in seen if name.startswith("> ")}
    events = {name for name in seen if not name.startswith("> ")}
    assert set(COMMANDS) - commands == set()
    # A stream begins when a host publishes, an epoch when a bus is lost: their events are looked at below. A debt comes
    # due after half a day at the soonest: tests/gateway/test_credit_told.py moves the clock.
    assert set(EVENTS) - events == {"stream", "epoch", "debt"}


async def test_a_refusal_is_as_promised(server: LiveServer) -> None:
    guest = server.guest()
    body = [{"id": 1, "cmd": "ban", "person": "x"}, {"id": 2, "cmd": "none"}, {"id": 3, "cmd": "sale.hold"}]
    body.append({"id": 4, "cmd": "touch", "kind": "clip_view", "clip": "never-cut"})
    path = f"/rooms/{server.room}/commands"
    answers = (await asyncio.to_thread(server.call, "POST", path, body, token=guest["token"])).json()
    for answer in answers:
        conforms(answer, ErrorAnswer)
    assert [answer["error"]["code"] for answer in answers] == ["forbidden", "unknown_command", "invalid", "not_found"]


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for name, value in node.items():
            if name == "$ref":
                yield value
            else:
                yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def test_the_published_document_is_whole(server: LiveServer) -> None:
    document = httpx.get(f"{server.base}/asyncapi.json", timeout=60).json()
    assert document["asyncapi"] == "3.0.0" and document["info"]["version"]
    assert document == json.loads(json.dumps(asyncapi(version=document["info"]["version"])))
    for reference in references(document):
        node = document
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]
    received = {name for name, one in document["operations"].items() if one["action"] == "receive"}
    assert received == set(COMMANDS)
    assert {one["code"] for one in document["x-close-codes"]} == set(CloseCode) == set(CLOSES)
    assert [come_back(code) for code in (1011, 4000, 4229, 4403)] == [
        "after a while",
        "at once",
        "after retry_ms",
        "not by yourself",
    ]


def rows(heading: str) -> set[str]:
    """The names in the first column of the first table below a heading of docs/hub.md, without its head."""
    section = HUB_DOC.partition(f"\n{heading}\n")[2]
    table = re.search(r"^\|.*\n\|[-| ]+\n((?:\|.*\n)+)", section, re.MULTILINE)
    assert table
    cells = [line.split("|")[1] for line in table[1].splitlines()]
    return {name for cell in cells for name in re.findall(r"`([\w.]+)`", cell)}


def test_the_guide_lists_the_same_events_and_commands() -> None:
    assert rows("### Events") == set(EVENTS) - {"room"}
    assert rows("## Commands") == set(COMMANDS)


def test_the_event_of_a_stream_is_as_promised() -> None:
    view = stream_view(Directory(clock=lambda: 0).info("show"), 0)
    conforms({"t": "stream", "stream": view, "o": 1}, EVENTS["stream"])


def test_the_event_of_an_epoch_is_as_promised() -> None:
    conforms({"t": "epoch", "epoch": "3f9.2"}, EVENTS["epoch"])
