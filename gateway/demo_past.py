"""The demo's past: a fortnight of its shop, lived through the shop's own API before the doors open.

Acts, in the order of time → a clock that is moved on to each → ASGI → the handlers → the ledger. Nothing is inserted:
each figure on the merchant's board comes of a visit, an order or a delivery that was asked for and answered. The draws
are seeded, so one demo's fortnight is another's, but for the hour at which it breaks off: what was due later (a parcel
to be sent, a return to be judged) is left for whoever looks.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

import httpx

from commerce.domain.day import DAY_MS, day_bounds_ms, day_of
from gateway.app import open_application
from gateway.config import Settings
from gateway.demo_back import SELLERS, open_back, people_of_the_shop
from gateway.secrets import Secrets
from gateway.seed import Seeded, seed

SEED = 7
DAYS = 14
MINUTE_MS, HOUR_MS = 60_000, 3_600_000
SHOW_HOUR = 20
SHOW_MINUTES = 80
CUSTOMERS = 44
FRIENDS = 0.25
"""Of the customers: those whom another customer brought."""
FILES = 256
"""Open files that the application may count on: nobody connects to it."""
COUPON, COUPON_FROM = 500, 3_000
"""分: what the fortnight's coupons take off, and of orders from which sum on."""

PLACES = (
    "上海市静安区南京西路 1025 弄 7 号",
    "杭州市西湖区龙井路 88 号",
    "成都市武侯区科华北路 12 号",
    "广州市越秀区东风中路 9 号",
)
NAMES = (
    "林晓满", "陈杰", "Lily", "周伯", "青青子衿", "Momo", "大橘", "晚风", "Kevin", "豆豆妈", "南山", "一只柚子",
    "Summer", "阿龙", "桃子", "半夏", "老马识茶", "苏苏", "小鱼干", "白露", "梁师傅", "Anna", "不加糖", "云上",
)  # fmt: skip
REASONS = (("no_reason", "买多了"), ("no_reason", "口味不合适"), ("damaged", "包装破损"))
"""Why goods go back: by the shop's list, and in the buyer's words."""
CARRIERS = ("顺丰速运", "中通快递")
WEIGHTS = (5, 4, 4, 1)
"""How often each of the seed's products is wanted."""

Act = Callable[[], Awaitable[None]]


class PastError(Exception):
    """The shop refused something that it grants to everybody: the demo's script is wrong, or the shop is."""


class PastClock:
    """Where the fortnight stands; it goes only on."""

    def __init__(self, now_ms: int) -> None:
        self.now_ms = now_ms

    def __call__(self) -> int:
        return self.now_ms


@dataclass
class Customer:
    """Somebody who comes again and again: by which link, how fond of buying, what they have."""

    number: int
    name: str
    fond: float
    channel: int | None
    friend: Customer | None = None
    token: str = ""
    link: str = ""
    person: str = ""
    coupon: str = ""
    orders: int = 0
    met: set[str] = field(default_factory=set)
    """What they do once: ways to be with the shop, and drops."""

    @property
    def device(self) -> str:
        """What their browser is known by."""
        return f"demo-past-{self.number:04}"

    @property
    def phone(self) -> str:
        """A number that is given to nobody (the last eight count up from zero)."""
        return f"199{self.number:08}"


class Fortnight:
    """Lives the acts of the shop's people, each at its time."""

    def __init__(self, client: httpx.AsyncClient, clock: PastClock, seeded: Seeded) -> None:
        self._client = client
        self._clock = clock
        self._due: list[tuple[int, int, Act]] = []
        self._numbers = itertools.count()
        self.seeded = seeded
        self.random = Random(SEED)
        self.links: list[str] = []
        self.piece = self.piece_link = self.group = self.drop = self.event = ""

    @property
    def now_ms(self) -> int:
        """The time of the act under way."""
        return self._clock.now_ms

    def at(self, ms: int, act: Act) -> None:
        """Do something at a time that is still to come."""
        heapq.heappush(self._due, (ms, next(self._numbers), act))

    async def live(self, until_ms: int) -> None:
        """Do all that is due before ``until_ms``; what is due later is left undone."""
        while self._due and self._due[0][0] < until_ms:
            ms, _, act = heapq.heappop(self._due)
            self._clock.now_ms = max(self._clock.now_ms, ms)
            await act()

    async def ask(self, method: str, path: str, body: Any = None, token: str = "", allowed: str = "") -> Any:
        """The answer to one request under /api/v1; None when it was refused by the code ``allowed``. Text goes as CSV.

        Raises ``PastError``.
        """
        headers = {"idempotency-key": f"past-{next(self._numbers)}"}
        if token:
            headers["authorization"] = f"Bearer {token}"
        sent: dict[str, Any] = {"content": body.encode()} if isinstance(body, str) else {"json": body}
        answer = await self._client.request(method, f"/api/v1{path}", headers=headers, **sent)
        if answer.status_code < 300:
            return answer.json() if answer.content else None
        if allowed and answer.json().get("code") == allowed:
            return None
        raise PastError(f"{method} {path}: {answer.status_code} {answer.text}")

    async def boss(self, method: str, path: str, body: Any = None) -> Any:
        """A request of the merchant's. Raises ``PastError``."""
        return await self.ask(method, path, body, self.seeded.merchant_token)

    # --- customers -----------------------------------------------------------------------------------------------

    async def visit(self, who: Customer, *, evening: bool) -> None:
        """One visit: come in, look at a card, perhaps catch a coupon, sign in, ask a friend, buy."""
        chance, room = self.random.random, self.seeded.room
        scene = who.friend.link if who.friend else "" if who.channel is None else self.links[who.channel]
        await self._enter(who, scene)
        product = self.random.choices(self.seeded.products, WEIGHTS)[0]
        if chance() < 0.7:
            await self.ask("POST", "/touches", {"kind": "card_click", "room": room, "sku": product["sku"]}, who.token)
        if chance() < 0.3:
            await self.ask("POST", "/member/sign-in", None, who.token, allowed="already")
        if not who.link and (who.number < SELLERS or chance() < 0.1):
            body = {"room": room, **({"parent": scene} if scene else {})}
            who.link = (await self.ask("POST", "/links", body, who.token))["token"]
        if evening and self.drop not in who.met and chance() < 0.35:
            await self._catch(who)
        if who.number < SELLERS or chance() < 0.25:
            await people_of_the_shop(self, who)
        if chance() < who.fond:
            await self._buy(who, product)

    async def _enter(self, who: Customer, scene: str = "") -> None:
        """Come in; a token lasts for a day, so whoever comes back begins anew."""
        body = {"room": self.seeded.room, "name": who.name, "device": who.device}
        guest = await self.ask("POST", "/auth/guest", {**body, **({"scene": scene} if scene else {})})
        who.token, who.person = guest["token"], guest["person"]

    async def _catch(self, who: Customer) -> None:
        who.met.add(self.drop)
        command = [{"id": next(self._numbers), "cmd": "coupon.claim", "drop": self.drop, "key": f"c{self.drop}"}]
        [answer] = await self.ask("POST", f"/rooms/{self.seeded.room}/commands", command, who.token)
        who.coupon = answer["coupon"]["coupon"] if answer.get("ok") else ""

    async def _buy(self, who: Customer, product: dict[str, Any]) -> None:
        quantity = self.random.choices((1, 2, 3), (6, 3, 1))[0]
        body: dict[str, Any] = {
            "room": self.seeded.room,
            "lines": [{"sku": product["sku"], "quantity": quantity}],
            "delivery": {
                "method": "express",
                "name": who.name,
                "phone": who.phone,
                "address": PLACES[who.number % len(PLACES)],
            },
        }
        if who.coupon and quantity * int(product["price"]) >= COUPON_FROM:
            body["coupon"], who.coupon = who.coupon, ""
        order = (await self.ask("POST", "/orders", body, who.token))["order"]
        chance, when = self.random.random(), self.now_ms + self.random.randrange(30_000, 4 * MINUTE_MS)
        if chance < 0.84:
            self.at(when, lambda: self._pay(who, order, product["sku"], quantity))
        elif chance < 0.9:
            self.at(when, lambda: self._cancel(who, order))

    async def _cancel(self, who: Customer, order: dict[str, Any]) -> None:
        await self.ask("POST", f"/orders/{order['order']}/cancel", None, who.token)

    async def _pay(self, who: Customer, order: dict[str, Any], sku: str, quantity: int) -> None:
        path = f"/orders/{order['order']}"
        await self.ask("POST", f"{path}/pay", {}, who.token)
        who.orders += 1
        chance, morning = self.random.random(), _morning(self.now_ms)
        if chance < 0.05:
            # Called off before it went out.
            refund = {"reason": "顾客改变主意", "stock": "sellable"}
            self.at(morning - HOUR_MS, lambda: self.boss("POST", f"{path}/refunds", refund))
            return
        if chance < 0.13:
            part = {"reason": "发货延迟补偿", "amount": min(500, order["amount"] // 4)}
            self.at(morning + 2 * HOUR_MS, lambda: self.boss("POST", f"{path}/refunds", part))
        elif chance < 0.19:
            self.at(self.now_ms + HOUR_MS, lambda: self.ask("POST", f"{path}/invoice", {"title": who.name}, who.token))
        number = {"carrier": self.random.choice(CARRIERS), "number": f"SF{self.random.randrange(10**11):011}"}
        self.at(morning + self.random.randrange(HOUR_MS), lambda: self.boss("POST", f"{path}/ship", number))
        there = morning + self.random.randrange(28, 70) * HOUR_MS
        self.at(there, lambda: self._arrive(who, path))
        if chance > 0.9:
            lines = [{"sku": sku, "quantity": quantity}]
            self.at(there + 3 * HOUR_MS, lambda: self._send_back(who, path, lines))

    async def _arrive(self, who: Customer, path: str) -> None:
        await self._enter(who)
        await self.ask("POST", f"{path}/done", None, who.token)

    async def _send_back(self, who: Customer, path: str, lines: list[dict[str, Any]]) -> None:
        reason, words = self.random.choice(REASONS)
        body = {"kind": "return", "lines": lines, "reason": reason, "words": words}
        await self._enter(who)
        asked = await self.ask("POST", f"{path}/after-sales", body, who.token)
        request = f"/after-sales/{asked['request']}"
        number = {"carrier": self.random.choice(CARRIERS), "number": f"SF{self.random.randrange(10**11):011}"}
        came = {"lines": [{"sku": line["sku"], "sellable": 0, "quarantined": line["quantity"]} for line in lines]}
        morning = _morning(self.now_ms)
        self.at(morning, lambda: self.boss("POST", f"{request}/approve", {"answer": "收到退货后原路退款"}))
        self.at(morning + 5 * HOUR_MS, lambda: self._hand_over(who, request, number))
        self.at(_morning(morning + DAY_MS), lambda: self.boss("POST", f"{request}/receive", came))

    async def _hand_over(self, who: Customer, request: str, number: dict[str, str]) -> None:
        await self._enter(who)
        await self.ask("POST", f"{request}/send", number, who.token)

    # --- shows ---------------------------------------------------------------------------------------------------

    async def show(self, number: int) -> None:
        """An evening's coupons; who comes has been planned."""
        drop = {
            "title": "全场立减券",
            "reason": ("开播礼", "上新", "老客回馈")[number % 3],
            "amount": COUPON,
            "threshold": COUPON_FROM,
            "total": 12,
            "seconds": SHOW_MINUTES * 60,
            # Longer than the fortnight: nobody's is refused at the till.
            "valid_s": 2 * DAYS * DAY_MS // 1000,
        }
        self.drop = (await self.boss("POST", f"/rooms/{self.seeded.room}/drops", drop))["drop"]

    def plan(self, customers: list[Customer], today_ms: int, number: int) -> None:
        """Who comes on a day: most while the show is on, more each day and on a week's last two."""
        random = self.random
        self.at(today_ms + SHOW_HOUR * HOUR_MS, lambda: self.show(number))
        here = customers[: 14 + 2 * number]
        # By the number and not by the date: whenever the demo is started, it is the same fortnight.
        weekend = number % 7 in (5, 6)
        for _ in range(5 + number // 2 + 3 * weekend):
            minute = int(random.triangular(2, SHOW_MINUTES, 15))
            self._come(random.choice(here), today_ms + SHOW_HOUR * HOUR_MS + minute * MINUTE_MS, evening=True)
        for _ in range(2):
            self._come(random.choice(here), today_ms + random.randrange(8 * 60, 19 * 60) * MINUTE_MS, evening=False)

    def _come(self, who: Customer, ms: int, *, evening: bool) -> None:
        self.at(ms + self.random.randrange(MINUTE_MS), lambda: self.visit(who, evening=evening))


def _morning(ms: int) -> int:
    """Ten o'clock of the next day in the shop's zone."""
    return day_bounds_ms(day_of(ms))[1] + 10 * HOUR_MS


def _customers(random: Random) -> list[Customer]:
    """Everybody, in the order in which they find the shop; friends were brought by an earlier one."""
    made: list[Customer] = []
    for number in range(CUSTOMERS):
        name = NAMES[number % len(NAMES)] + ("" if number < len(NAMES) else str(number))
        channel = random.choice((0, 0, 1, 1, 2, 3, 4, None))
        friend = random.choice(made[:SELLERS]) if len(made) > SELLERS and random.random() < FRIENDS else None
        made.append(Customer(number, name, random.choice((0.15, 0.35, 0.6)), channel, friend))
    return made


async def seed_with_past(settings: Settings, secrets: Secrets, clock: Callable[[], int]) -> Seeded:
    """Seed the shop as it was a fortnight ago and live until now; what opens its doors. Raises ``PastError``.

    For a data folder of its own alone: others' rooms must not live in the past.
    """
    now_ms = clock()
    began_ms = day_bounds_ms(day_of(now_ms - DAYS * DAY_MS))[0]
    past = PastClock(began_ms + 9 * HOUR_MS)
    seeded = await seed(settings, secrets, clock=past)
    hidden = replace(settings, rtmp_port=0, udp_port=0, record=False)
    application = await open_application(hidden, http_port=settings.http_port, files=FILES, clock=past)
    transport = httpx.ASGITransport(app=application.asgi)
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://past") as client:
            fortnight = Fortnight(client, past, seeded)
            await open_back(fortnight, now_ms)
            customers = _customers(fortnight.random)
            for number in range(DAYS + 1):
                fortnight.plan(customers, began_ms + number * DAY_MS, number)
            await fortnight.live(now_ms)
    finally:
        await application.drain()
        await application.close()
    return seeded
