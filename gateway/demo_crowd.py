"""The demo's people: a host who runs the show on a script, and shoppers who chat, like, catch and buy.

Each is a real client of a real server: the JSON API over HTTP and the hub over WebSocket. Nothing here touches the
server's inside. Run as ``python -m gateway.demo_crowd`` with the seed's JSON on standard input.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
import os
import random
import signal
import sys
from collections.abc import Mapping
from typing import Any
from urllib.request import Request, urlopen

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from gateway.demo_end import end_with_the_demo

logger = logging.getLogger("siyu.demo.crowd")

REQUEST_TIMEOUT_S = 10.0
COMMAND_TIMEOUT_S = 10.0
RECONNECT_S = 1.5
CLIPS_EVERY_S = 15.0

LINES = (
    "主播好！",
    "这个茶是今年的吗？",
    "已经拍了，坐等发货",
    "颜色好漂亮",
    "包邮吗？",
    "给爸妈买一份",
    "回购第三次了",
    "Hello from Singapore!",
    "这个蜜结晶吗",
    "手速不够快啊哈哈",
    "优惠券抢到了！",
    "第一次来，多多关照",
    "茶杯真好看",
    "Does it ship to Guangzhou?",
    "桂花糕保质期多久",
    "秒杀几点开始？",
    "朋友推荐来的",
    "上次的很好喝",
    "求讲讲泡法",
    "666",
)
NAMES = (
    "小满",
    "阿杰",
    "Lily",
    "老周",
    "青青子衿",
    "Momo",
    "大橘",
    "晚风",
    "Kevin",
    "豆豆妈",
    "南山",
    "一只柚子",
    "Summer",
    "阿龙",
    "桃子",
    "半夏",
)
REASONS = ("开播礼", "上新", "老板生日", "整点福利")
CHANNELS = ("朋友圈", "社群", "导购", "海报")


class Refused(Exception):
    """The server said no, with a code."""


def _ask(url: str, body: Mapping[str, Any] | None, token: str | None, key: str | None = None) -> Any:
    headers = {"content-type": "application/json"}
    if token:
        headers["authorization"] = f"Bearer {token}"
    if key:
        headers["idempotency-key"] = key
    data, method = (None, "GET") if body is None else (json.dumps(body).encode(), "POST")
    request = Request(url, data, headers, method=method)  # noqa: S310 — our own server
    with urlopen(request, timeout=REQUEST_TIMEOUT_S) as answer:  # noqa: S310
        return json.load(answer)


async def post(url: str, body: Mapping[str, Any], token: str | None = None, key: str | None = None) -> Any:
    """POST JSON off the loop. Raises ``OSError`` (``HTTPError`` is one)."""
    return await asyncio.to_thread(_ask, url, body, token, key)


async def get(url: str, token: str | None = None) -> Any:
    """GET JSON off the loop. Raises ``OSError``."""
    return await asyncio.to_thread(_ask, url, None, token)


class Visitor:
    """One connection to a room's hub: events out, commands in."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.events: asyncio.Queue[dict[str, Any]] = asyncio.Queue(500)

    async def listen(self) -> None:
        """Read frames until the connection ends."""
        async for text in self._socket:
            for event in json.loads(text):
                waiting = self._waiting.pop(event["re"], None) if "re" in event else None
                if waiting is not None and not waiting.done():
                    waiting.set_result(event)
                elif "t" in event:
                    if "a" in event:
                        await self._socket.send(json.dumps({"id": next(self._ids), "cmd": "ack", "to": event["a"]}))
                    if not self.events.full():
                        self.events.put_nowait(event)

    async def command(self, name: str, **fields: Any) -> dict[str, Any]:
        """Send one command and wait for its answer. Raises ``Refused``, ``TimeoutError``."""
        number = next(self._ids)
        waiting = asyncio.get_running_loop().create_future()
        self._waiting[number] = waiting
        try:
            await self._socket.send(json.dumps({"id": number, "cmd": name, **fields}))
            answer: dict[str, Any] = await asyncio.wait_for(waiting, COMMAND_TIMEOUT_S)
        finally:
            self._waiting.pop(number, None)
        if not answer.get("ok"):
            raise Refused(answer.get("error", {}).get("code", "refused"))
        return answer


def _hub_url(seed: Mapping[str, Any], token: str) -> str:
    root = str(seed["api"]).removesuffix("/api/v1").replace("http", "ws", 1)
    return f"{root}/ws/{seed['room']}?token={token}"


class Shopper:
    """A viewer with a temper: how often they talk, and how much they want things."""

    def __init__(
        self,
        seed: Mapping[str, Any],
        number: int,
        scene: str | None,
        friend: Shopper | None,
        clips: Mapping[str, str],
    ) -> None:
        """``clips``: the explanations there are by now, by SKU."""
        self._seed = seed
        self._clips = clips
        self._friend = friend
        self._token: str | None = None
        self._entered = asyncio.Event()
        self._name = NAMES[number % len(NAMES)] + ("" if number < len(NAMES) else str(number))
        self._scene = scene
        self._random = random.Random(number * 7919 + os.getpid())
        self._coupon: dict[str, Any] | None = None

    async def live(self) -> None:
        """Enter, and come back after each lost connection. Who has a friend inside comes by that friend's share."""
        body = {"room": self._seed["room"], "name": self._name, "device": f"demo-{self._name}"}
        while True:
            try:
                if self._friend is not None and self._scene is None:
                    self._scene = await self._friend.share()
                if self._scene is not None:
                    body["scene"] = self._scene
                self._token = (await post(f"{self._seed['api']}/auth/guest", body))["token"]
                self._entered.set()
                async with connect(_hub_url(self._seed, self._token), open_timeout=10, max_size=2**20) as socket:
                    visitor = Visitor(socket)
                    async with asyncio.TaskGroup() as group:
                        group.create_task(visitor.listen())
                        group.create_task(self._talk(visitor))
                        group.create_task(self._watch(visitor))
            except* (OSError, WebSocketException, TimeoutError) as errors:
                logger.info("%s left: %s", self._name, errors.exceptions[0])
            await asyncio.sleep(RECONNECT_S * (1 + self._random.random()))

    async def share(self) -> str:
        """The token of a link of one's own, a child of the link one came by. Raises ``OSError``, ``TimeoutError``."""
        await asyncio.wait_for(self._entered.wait(), REQUEST_TIMEOUT_S)
        body = {"room": self._seed["room"], **({"parent": self._scene} if self._scene else {})}
        token: str = (await post(f"{self._seed['api']}/links", body, self._token))["token"]
        return token

    async def _look(self, sku: str) -> None:
        """Tap a card, and perhaps watch its explanation again, as the page reports it."""
        touch = {"kind": "card_click", "room": self._seed["room"], "sku": sku}
        await post(f"{self._seed['api']}/touches", touch, self._token)
        if sku in self._clips and self._random.random() < 0.5:
            await post(
                f"{self._seed['api']}/touches",
                {**touch, "kind": "clip_view", "clip": self._clips[sku]},
                self._token,
            )

    async def _talk(self, visitor: Visitor) -> None:
        while True:
            await asyncio.sleep(self._random.uniform(2, 14))
            with contextlib.suppress(Refused):
                if self._random.random() < 0.55:
                    await visitor.command("chat.send", text=self._random.choice(LINES))
                else:
                    await visitor.command("like", n=self._random.randint(1, 9))

    async def _watch(self, visitor: Visitor) -> None:
        while True:
            event = await visitor.events.get()
            try:
                await self._react(visitor, event)
            except Refused as refusal:
                logger.debug("%s: %s", self._name, refusal)

    async def _react(self, visitor: Visitor, event: Mapping[str, Any]) -> None:
        kind = event["t"]
        if kind == "drop" and event["drop"]["state"] == "open" and self._coupon is None:
            await asyncio.sleep(self._random.uniform(0.5, 6))
            key = f"{event['drop']['drop']}-{self._name}"
            self._coupon = (await visitor.command("coupon.claim", drop=event["drop"]["drop"], key=key))["coupon"]
        elif kind == "sale" and event["sale"]["state"] == "open" and self._random.random() < 0.8:
            await asyncio.sleep(self._random.uniform(0.2, 5))
            await self._buy(visitor, event["sale"])
        elif kind == "pin" and self._random.random() < 0.12:
            await asyncio.sleep(self._random.uniform(1, 8))
            card = event["card"]
            await self._look(card["sku"])
            line = {"sku": card["sku"], "quantity": 1, "version": card["version"]}
            await self._pay(visitor, {"lines": [line]}, card["price"])

    async def _buy(self, visitor: Visitor, sale: Mapping[str, Any]) -> None:
        key = f"{sale['sale']}-{self._name}"
        hold = await visitor.command("sale.hold", sale=sale["sale"], quantity=1, key=key)
        await self._look(sale["sku"])
        await asyncio.sleep(self._random.uniform(0.5, 4))
        await self._pay(visitor, {"hold": hold["hold"]}, hold["price"])

    async def _pay(self, visitor: Visitor, what: dict[str, Any], amount: int) -> None:
        coupon = self._coupon
        if coupon is not None and amount >= max(coupon["threshold"], coupon["amount"] + 1):
            what, self._coupon = {**what, "coupon": coupon["coupon"]}, None
        order = (await visitor.command("order.create", key=f"o{self._random.getrandbits(64):x}", **what))["order"]
        await asyncio.sleep(self._random.uniform(0.3, 2))
        await visitor.command("order.pay", order=order["order"], key=f"p{order['order']}")


class Director:
    """The host's hands: pins each product in turn, drops coupons, runs flash sales."""

    def __init__(self, seed: Mapping[str, Any]) -> None:
        self._seed = seed
        self._products = list(seed["products"])

    async def live(self) -> None:
        """Run the show, and come back after each lost connection."""
        while True:
            try:
                url = _hub_url(self._seed, self._seed["host_token"])
                async with connect(url, open_timeout=10, max_size=2**20) as socket:
                    visitor = Visitor(socket)
                    async with asyncio.TaskGroup() as group:
                        group.create_task(visitor.listen())
                        group.create_task(self._show(visitor))
                        group.create_task(self._empty(visitor))
            except* (OSError, WebSocketException, TimeoutError) as errors:
                logger.info("the host's console left: %s", errors.exceptions[0])
            await asyncio.sleep(RECONNECT_S)

    async def _empty(self, visitor: Visitor) -> None:
        while True:
            await visitor.events.get()

    async def _show(self, visitor: Visitor) -> None:
        sale: str | None = self._seed.get("sale") or None
        for number in itertools.count():
            product = self._products[number % len(self._products)]
            await self._try(visitor, "pin", product=product["product"], explaining=True)
            await asyncio.sleep(6)
            if number % 2 == 0:
                await self._try(
                    visitor,
                    "drop.start",
                    title="全场立减券",
                    reason=REASONS[number // 2 % len(REASONS)],
                    amount=500,
                    threshold=900,
                    total=30,
                    per_person=1,
                    seconds=25,
                )
                await asyncio.sleep(9)
            if sale is None:
                price = max(100, int(product["price"]) // 8)
                made = await self._try(
                    visitor,
                    "sale.create",
                    sku=product["sku"],
                    price=price,
                    total=8,
                    per_person=1,
                    hold_s=60,
                    length_s=45,
                )
                sale = made["sale"]["sale"] if made else None
            if sale is not None:
                await self._try(visitor, "sale.start", sale=sale, countdown_s=8)
                sale = None
            await asyncio.sleep(35)
            await self._try(visitor, "unpin", product=product["product"])

    async def _try(self, visitor: Visitor, name: str, **fields: Any) -> dict[str, Any] | None:
        try:
            return await visitor.command(name, **fields)
        except Refused as refusal:
            logger.warning("%s was refused: %s", name, refusal)
            return None


async def _keep_library(seed: Mapping[str, Any], clips: dict[str, str]) -> None:
    """Look for new clips of explanations; of the first the shop makes a piece of its library."""
    api, token = seed["api"], seed["merchant_token"]
    skus = {product["product"]: product["sku"] for product in seed["products"]}
    while True:
        await asyncio.sleep(CLIPS_EVERY_S)
        try:
            found = (await get(f"{api}/rooms/{seed['room']}/clips", token))["items"]
            if found and not clips:
                piece = {
                    "kind": "video",
                    "title": f"主播讲解：{found[0]['title']}",
                    "category": "讲解",
                    "room": seed["room"],
                }
                named = {"clips": [found[0]["clip"]], "skus": [skus[found[0]["product"]]]}
                made = await post(f"{api}/contents", {**piece, **named}, token)
                await post(f"{api}/contents/{made['content']}/publish", {"version": 1}, token)
        except OSError as error:
            logger.info("the library waits: %s", error)
            continue
        clips.update((skus[one["product"]], one["clip"]) for one in found)


async def crowd(seed: Mapping[str, Any], shoppers: int) -> None:
    """Run director and shoppers until cancelled: of three one comes unled, one by a link, one by a friend."""
    links: list[str] = []
    clips: dict[str, str] = {}
    for channel in CHANNELS:
        body = {"room": seed["room"], "channel": channel, "campaign": "demo"}
        links.append((await post(f"{seed['api']}/links", body, seed["merchant_token"]))["token"])
    async with asyncio.TaskGroup() as group:
        group.create_task(Director(seed).live())
        group.create_task(_keep_library(seed, clips))
        people: list[Shopper] = []
        for number in range(shoppers):
            scene = links[number // 3 % len(links)] if number % 3 == 1 else None
            # Every other friend was brought by a friend already: a tree with branches.
            friend = people[number - (3 if number // 3 % 2 else 1)] if number % 3 == 2 else None
            people.append(Shopper(seed, number, scene, friend, clips))
            group.create_task(people[-1].live())


async def _main() -> None:
    seed = json.loads(sys.stdin.readline())
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    end_with_the_demo()
    with contextlib.suppress(asyncio.CancelledError, ConnectionClosed):
        await crowd(seed, int(os.environ.get("SIYU_DEMO_SHOPPERS", "12")))


if __name__ == "__main__":
    asyncio.run(_main())
