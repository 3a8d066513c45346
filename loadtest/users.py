"""The people of a show: viewers, chatters, coupon catchers, rushers, and the host who runs it.

Each comes as a browser does: a guest token over the API, one WebSocket to the hub, personal messages acknowledged,
back again by the close code's range. A frame is a Locust request event (its time is that of the oldest dated event in
it, on its way to us); so is a command with its answer.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Mapping
from typing import Any, ClassVar

import gevent
from gevent.event import AsyncResult
from gevent.queue import Empty, Full, Queue
from locust import FastHttpUser, between, constant, task

from loadtest.hub_client import HubClient, HubLost, hub_url
from loadtest.hub_session import HubSession, ProtocolBreach, return_after_ms
from loadtest.options import Target
from loadtest.shape import DROP_AT, SALES_AT, scale
from loadtest.tally import Tally

COMMAND_TIMEOUT_S = 15.0
"""The hub gives up after 10 s and says so; a little more lets its answer arrive."""
WISHES_MAX = 20
"""Drops and sales one person has still to look at; an older one has ended anyway."""
WISH_WAIT_S = 1.0
"""How long a task waits for one: short, so that a user who is told to stop does."""
RUSH_TRIES = 3
"""How often a thumb hits a button that says "sold out"."""
ABANDON_CHANCE = 0.1
COUNTDOWN_S = 1
HOLD_S_MAX = 1_800
# Refusals by a rule of the shop: answers, not failures.
RULES = frozenset({"sold_out", "limit", "not_open", "closed", "paused", "gone", "already", "price_changed", "expired"})
LINES = (
    "主播好！",
    "这个茶是今年的吗？",
    "包邮吗？",
    "已经拍了，坐等发货",
    "Hello from Singapore!",
    "666",
    "求讲讲泡法",
)


class CommandFailed(Exception):
    """A command's answer that no rule of the shop explains; the text is the code."""


class Visitor(FastHttpUser):
    """One browser tab: a guest with a connection to the hub that comes back by itself."""

    abstract = True
    target: ClassVar[Target]
    tally: ClassVar[Tally] = Tally()
    wait_time = constant(0)

    def on_start(self) -> None:
        self._chance = random.Random(os.urandom(8))
        self._session = HubSession()
        self._client: HubClient | None = None
        self._waiting: dict[int, AsyncResult[Mapping[str, Any]]] = {}
        self._seen: set[str] = set()
        self.wishes: Queue[Mapping[str, Any]] = Queue(WISHES_MAX)
        self._base = str(self.host)
        self._token = self._enter()
        self._reader = gevent.spawn(self._live)

    def on_stop(self) -> None:
        self._reader.kill(timeout=5)
        if self._client is not None:
            self._client.close()

    def _enter(self) -> str:
        body = {"room": self.target.room, "name": f"压测{self._chance.randrange(10**6):06}"}
        while True:
            with self.client.post("/api/v1/auth/guest", json=body, name="auth/guest") as answer:
                if answer.status_code == 200:
                    return str(answer.json()["token"])
            gevent.sleep(1 + self._chance.random())

    # — connection —

    def _live(self) -> None:
        """Join, read until the connection ends, come back as the close code says."""
        attempt = 0
        while True:
            joined = False
            try:
                for frame in self._frames():
                    joined = True
                    self._take(*frame)
                raise HubLost(1000, "")
            except (OSError, ProtocolBreach) as error:
                lost = error if isinstance(error, HubLost) else HubLost(1006, str(error))
            self._drop_connection(lost)
            attempt = 0 if joined else attempt + 1
            wait_ms = return_after_ms(lost.code, lost.reason, attempt, self._chance.random())
            if wait_ms is None:
                return
            gevent.sleep(wait_ms / 1000)

    def _frames(self) -> Any:
        """Connect, then yield each frame's bytes with the ms since the connection was begun (first frame) or None."""
        began = time.perf_counter()
        url = hub_url(self._base, self.target.room, self._token, self._session.since)
        self._client = client = HubClient(url, self._base)
        yield client.read(), (time.perf_counter() - began) * 1000
        while True:
            yield client.read(), None

    def _drop_connection(self, lost: HubLost) -> None:
        self.tally[f"closed/{lost.code}"] += 1
        self._report("HUB", "closed", None, 0, lost if lost.code >= 4400 or lost.code == 1002 else None)
        if self._client is not None:
            self._client.close()
            self._client = None
        for waiting in self._waiting.values():
            waiting.set_exception(lost)
        self._waiting.clear()

    def _take(self, data: bytes, joined_ms: float | None) -> None:
        now_ms = time.time_ns() // 1_000_000
        frame = self._session.receive(data)
        self.tally["frames"] += 1
        self.tally["bytes"] += len(data)
        self.tally["disorder"] += frame.disorder
        age_ms = None if frame.oldest_ms is None else float(max(0, now_ms - frame.oldest_ms))
        if joined_ms is not None:
            self.tally["joins"] += 1
            self.tally["resumed"] += bool(frame.room and frame.room["resumed"])
            self._report("HUB", "join", joined_ms, len(data))
        else:
            self._report("HUB", "frame", age_ms, len(data))
        if frame.ack is not None and self._client is not None:
            self._client.send(self._session.acknowledgement(frame.ack))
        for number, answer in frame.answers.items():
            waiting = self._waiting.pop(number, None)
            if waiting is not None:
                waiting.set(answer)
        if frame.room is not None:
            for kind in ("drop", "sale"):
                for view in frame.room.get(f"{kind}s", ()):
                    self._wish(kind, view)
        for event in frame.events:
            self.tally[f"event/{event['t']}"] += 1
            if event["t"] in {"drop", "sale"}:
                self._wish(event["t"], event[event["t"]])

    def _wish(self, kind: str, view: Mapping[str, Any]) -> None:
        if view["state"] == "open" and view[kind] not in self._seen:
            self._seen.add(view[kind])
            try:
                self.wishes.put_nowait({"kind": kind, **view})
            except Full:
                self.tally["wishes_dropped"] += 1

    def _report(self, kind: str, name: str, ms: float | None, length: int, error: Exception | None = None) -> None:
        self.environment.events.request.fire(
            request_type=kind, name=name, response_time=ms, response_length=length, exception=error, context={}
        )

    # — commands —

    def command(self, name: str, **fields: Any) -> Mapping[str, Any] | None:
        """Send one command and wait; the answer, or None when it was refused or lost (reported either way)."""
        if self._client is None:
            gevent.sleep(0.2)
            return None
        number, data = self._session.command(name, fields)
        waiting: AsyncResult[Mapping[str, Any]] = AsyncResult()
        self._waiting[number] = waiting
        began = time.perf_counter()
        error: Exception | None = None
        answer: Mapping[str, Any] = {}
        try:
            self._client.send(data)
            answer = waiting.get(timeout=COMMAND_TIMEOUT_S)
        except (OSError, gevent.Timeout) as lost:
            error = CommandFailed(f"no answer: {lost}")
        finally:
            self._waiting.pop(number, None)
        ms = (time.perf_counter() - began) * 1000
        code = answer.get("error", {}).get("code")
        if code is not None:
            self.tally[f"refused/{name}/{code}"] += 1
            if code not in RULES:
                error = CommandFailed(code)
        label = name if code is None else f"{name} ({code})"
        self._report("CMD", label, ms, len(data), error)
        return None if error or code else answer

    def next_wish(self, kind: str) -> Mapping[str, Any] | None:
        """The next open drop or sale this person has not tried yet; None after ``WISH_WAIT_S``."""
        until = time.monotonic() + WISH_WAIT_S
        while (left_s := until - time.monotonic()) > 0:
            try:
                wish = self.wishes.get(timeout=left_s)
            except Empty:
                return None
            if wish["kind"] == kind:
                return dict(wish)
        return None

    def like(self) -> None:
        """Tap for a while, merged into one command as the page does."""
        self.command("like", n=self._chance.randint(1, 12))


class Viewer(Visitor):
    """Watches, and likes now and then."""

    weight = 50
    wait_time = between(2, 8)

    @task
    def watch(self) -> None:
        self.like()


class Chatter(Visitor):
    """Talks."""

    weight = 15
    wait_time = between(1.5, 6)

    @task
    def talk(self) -> None:
        self.command("chat.send", text=self._chance.choice(LINES))


class CouponCatcher(Visitor):
    """Waits for a coupon, and asks twice with one key."""

    weight = 15

    @task
    def catch(self) -> None:
        drop = self.next_wish("drop")
        if drop is None:
            return
        gevent.sleep(self._chance.uniform(0, 0.4))
        key = f"claim-{drop['drop']}"
        first = self.command("coupon.claim", drop=drop["drop"], key=key)
        if first is None:
            return
        self.tally[f"claimed/{drop['drop']}"] += 1
        # The same key again, as after a lost answer: it must be the same coupon, not a second one.
        again = self.command("coupon.claim", drop=drop["drop"], key=key)
        if again is not None and again["coupon"]["coupon"] != first["coupon"]["coupon"]:
            self.tally["twice"] += 1


class Rusher(Visitor):
    """Buys in a flash sale: hold, order, pay."""

    weight = 20

    @task
    def rush(self) -> None:
        sale = self.next_wish("sale")
        if sale is None:
            return
        gevent.sleep(self._chance.uniform(0, 0.3))
        hold = self._hold(sale)
        if hold is None or self._chance.random() < ABANDON_CHANCE:
            return
        gevent.sleep(self._chance.uniform(0.1, 0.6))
        made = self.command("order.create", hold=hold["hold"], key=f"order-{hold['hold']}")
        if made is None:
            return
        gevent.sleep(self._chance.uniform(0.1, 0.6))
        order = made["order"]["order"]
        paid = self.command("order.pay", order=order, key=f"pay-{order}")
        if paid is not None and paid["order"]["status"] == "paid":
            self.tally[f"paid/{self.target.room}"] += 1

    def _hold(self, sale: Mapping[str, Any]) -> Mapping[str, Any] | None:
        for _ in range(RUSH_TRIES):
            hold = self.command("sale.hold", sale=sale["sale"], quantity=1, key=f"hold-{sale['sale']}")
            if hold is not None:
                self.tally[f"held/{sale['sale']}"] += int(hold["quantity"])
                return hold
            gevent.sleep(self._chance.uniform(0.1, 0.5))
        return None


class Host(FastHttpUser):
    """Runs the show over the API: a pin, a drop, two flash sales. Does nothing without a host's token."""

    fixed_count = 1
    target: ClassVar[Target]
    wait_time = constant(3_600)

    @task
    def run_show(self) -> None:
        if not self.target.host_token:
            return
        seconds, users = scale(self.environment.parsed_options)
        began = time.monotonic()
        with self.client.get(self._path("products"), name="rooms/products") as answer:
            card = answer.json()[0]
        self._post("pin", {"product": card["product"], "explaining": True})
        gevent.sleep(max(0.0, began + DROP_AT * seconds - time.monotonic()))
        self._post("drops", self._drop(users, seconds))
        # Fewer units than one in three of those who rush: each sale is sold out.
        for at in SALES_AT:
            gevent.sleep(max(0.0, began + at * seconds - COUNTDOWN_S - time.monotonic()))
            sale = self._post("sales", self._sale(card, max(1, users // 20), seconds))
            if sale is not None:
                self._post(f"sales/{sale['sale']}/start", {"countdown_s": COUNTDOWN_S}, "sales/start")

    def _drop(self, users: int, seconds: float) -> dict[str, Any]:
        return {
            "title": "压测券",
            "reason": "压测",
            "amount": 100,
            "threshold": 200,
            "total": max(1, users // 15),
            "per_person": 1,
            "seconds": max(5, int(seconds / 2)),
        }

    def _sale(self, card: Mapping[str, Any], total: int, seconds: float) -> dict[str, Any]:
        return {
            "sku": card["sku"],
            "price": max(1, int(card["price"]) // 10),
            "total": total,
            "per_person": 1,
            # No hold ends within the run, so what was granted and what is taken can be compared at its end.
            "hold_s": min(HOLD_S_MAX, int(seconds) + 120),
            "length_s": int(seconds) + 60,
        }

    def _path(self, rest: str) -> str:
        return f"/api/v1/rooms/{self.target.room}/{rest}"

    def _post(self, rest: str, body: Mapping[str, Any], name: str | None = None) -> Any:
        headers = {"authorization": f"Bearer {self.target.host_token}"}
        path, label = self._path(rest), f"rooms/{name or rest}"
        with self.client.post(path, json=body, headers=headers, name=label, catch_response=True) as answer:
            if answer.ok:
                return answer.json()
            answer.failure(f"{answer.status_code} {answer.text[:200] if answer.text else ''}")
            return None
