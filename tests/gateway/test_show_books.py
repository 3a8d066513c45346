"""A show of thirty minutes through the public API, in accelerated time: each report is what a model outside says.

The shoppers come, catch coupons, hold, order, pay, change their minds and send back; the model counts what was
acknowledged to them. When all is over every report of the shop agrees with it to the cent.
"""

from __future__ import annotations

import asyncio
import csv
import io
from collections import defaultdict
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from commerce.audit_sql import audit
from commerce.domain.day import DAY_MS, day_bounds_ms, day_of
from commerce.replay_sql import replay
from tests.gateway.rig import Rig, rig
from tests.gateway.show_model import Bought, Takings

SHOW_S, SLICE_S = 1_800, 10
ABREAST = 50
"""Shoppers of one moment who ask at once."""
PRICES = {"tea": 6_800, "cup": 1_500}
RATES = {"tea": 1_300, "cup": 900}
FLASH, COUPON, THRESHOLD = 990, 500, 1_500
QUIET_S = 600.0
BUSY_TRIES_MAX = 100
Visit = Callable[[], Awaitable[None]]


class Show:
    """The shop, its shoppers and the model beside it."""

    def __init__(self, live: Rig, shoppers: int) -> None:
        self.live = live
        self.shoppers = shoppers
        self.random = Random(5)
        self.model = Takings()
        self.skus: dict[str, str] = {}
        self.due: defaultdict[int, list[Visit]] = defaultdict(list)
        self.sale = self.drop = self.link = ""
        self.second = 0

    async def ask(self, method: str, path: str, body: Any = None, *, refused: tuple[str, ...] = (), **more: Any) -> Any:
        """The answer; None when it was refused as it may be."""
        for _ in range(BUSY_TRIES_MAX):
            answer = await self.live.call(method, path, body, **more)
            if answer.status_code < 300:
                return answer.json()
            if answer.json()["code"] != "busy":
                break
            # A slow machine: as the answer says, and as a client does.
            await asyncio.sleep(answer.json()["retry_ms"] / 1000)
        assert answer.json()["code"] in refused, (method, path, answer.text)
        return None

    async def open(self) -> None:
        """Goods, taxes, a flash sale, a drop of coupons, a link."""
        live, boss, base = self.live, self.live.shop.merchant_token, f"/rooms/{self.live.shop.room}"
        for name, price in PRICES.items():
            stock = self.shoppers * 3
            made = await self.ask(
                "POST", f"{base}/products", {"title": name, "price": price, "stock": stock}, token=boss
            )
            self.skus[name] = made["sku"]
            self.model.received[made["sku"]] += stock
            rate = {"sku": made["sku"], "basis_points": RATES[name]}
            await self.ask("PUT", "/tax-rates", rate, token=boss)
        await self.ask("PUT", "/program", {"yuan_points": 1}, token=boss)
        terms = {"sku": self.skus["tea"], "price": FLASH, "total": self.shoppers // 5, "per_person": 2}
        sale = await self.ask("POST", f"{base}/sales", {**terms, "hold_s": 120, "length_s": SHOW_S}, token=boss)
        self.sale = sale["sale"]
        await self.ask("POST", f"{base}/sales/{self.sale}/start", {"countdown_s": 0}, token=boss)
        coupon = {"title": "开播券", "reason": "开播礼", "amount": COUPON, "threshold": THRESHOLD}
        drop = {**coupon, "total": self.shoppers // 4, "seconds": SHOW_S}
        self.drop = (await self.ask("POST", f"{base}/drops", drop, token=boss))["drop"]
        self.link = (await self.ask("POST", "/links", {"room": live.shop.room, "channel": "poster"}, token=boss))[
            "token"
        ]
        for number in range(self.shoppers):
            second = self.random.randrange(SHOW_S - 300)
            self.at(second, self.shopper(number, self.random.random()))

    def at(self, second: int, visit: Visit) -> None:
        """Do something in a slice of the show."""
        self.due[second // SLICE_S].append(visit)

    def shopper(self, number: int, mood: float) -> Visit:
        """One person's visit."""
        draw = Random(f"{number}")

        async def visit() -> None:
            live = self.live
            linked = draw.random() < 0.6
            scene = {"scene": self.link} if linked else {}
            token = (await live.guest(device=f"d{number}", **scene))["token"]
            self.model.visitors += 1
            coupon = await self.catch(token) if draw.random() < 0.4 else None
            hold = await self.hold(token, draw.randint(1, 2)) if draw.random() < 0.5 else None
            if hold is not None and draw.random() < 0.8:
                await self.order(token, draw, linked, hold=hold)
            if draw.random() < 0.5:
                await self.order(token, draw, linked, coupon=coupon)

        return visit

    async def catch(self, token: str) -> str | None:
        command = [{"id": 1, "cmd": "coupon.claim", "drop": self.drop, "key": "c"}]
        [answer] = await self.ask("POST", f"/rooms/{self.live.shop.room}/commands", command, token=token)
        if not answer.get("ok"):
            assert answer["error"]["code"] == "gone", answer
            return None
        self.model.coupons += 1
        self.model.coupon_worth += COUPON
        return str(answer["coupon"]["coupon"])

    async def hold(self, token: str, units: int) -> tuple[str, int] | None:
        path = f"/rooms/{self.live.shop.room}/sales/{self.sale}/holds"
        answer = await self.ask("POST", path, {"quantity": units}, token=token, key="h", refused=("sold_out",))
        return None if answer is None else (answer["hold"], units)

    async def order(
        self, token: str, draw: Random, linked: bool, *, hold: tuple[str, int] | None = None, coupon: str | None = None
    ) -> None:
        """Order, and pay, cancel or forget it."""
        body: dict[str, Any] = {"room": self.live.shop.room}
        if hold is not None:
            name, units, price = "tea", hold[1], FLASH
            body["hold"] = hold[0]
        else:
            name = draw.choice(sorted(PRICES))
            units, price = draw.randint(1, 3), PRICES[name]
            body["lines"] = [{"sku": self.skus[name], "quantity": units}]
        off = COUPON if coupon is not None and hold is None else 0
        if off:
            body["coupon"] = coupon
        made = (await self.ask("POST", "/orders", body, token=token, key=f"o{hold}"))["order"]
        one = Bought(made["order"], self.skus[name], units, price, RATES[name], off, linked)
        assert (made["goods"], made["amount"]) == (one.goods, one.amount)
        self.model.orders[one.order] = one
        chance = draw.random()
        if chance < 0.1:
            await self.ask("POST", f"/orders/{one.order}/cancel", token=token)
            one.status = "cancelled"
        elif chance < 0.85:
            paid = (await self.ask("POST", f"/orders/{one.order}/pay", token=token, key=f"p{one.order}"))["order"]
            assert paid["status"] == "paid"
            one.status = "paid"
            self.afterwards(one, draw)

    def afterwards(self, one: Bought, draw: Random) -> None:
        """What staff do with a paid order later in the show, in one order or the other."""
        work: list[Visit] = []
        if draw.random() < 0.4:
            work.append(lambda: self.ship(one))
        chance = draw.random()
        if chance < 0.1:
            part = draw.randint(1, one.amount - 1)
            work.append(lambda: self.refund(one, {"amount": part}, part, 0))
        elif chance < 0.2:
            work.append(lambda: self.refund(one, {"stock": "sellable"}, one.amount, one.units))
        draw.shuffle(work)
        # One after the other: what is of one slice happens at once.
        for turn, each in enumerate(work):
            self.at(self.second + SLICE_S * (1 + 10 * turn) + draw.randrange(9 * SLICE_S), each)

    async def ship(self, one: Bought) -> None:
        if one.refunded == one.amount:
            return
        boss = self.live.shop.merchant_token
        await self.ask("POST", f"/orders/{one.order}/ship", {"carrier": "顺丰", "number": "1"}, token=boss)
        one.shipped = True

    async def refund(self, one: Bought, body: dict[str, Any], amount: int, units: int) -> None:
        boss, key = self.live.shop.merchant_token, f"r{one.order}"
        path = f"/orders/{one.order}/refunds"
        done = await self.ask("POST", path, {"reason": "不要了", **body}, token=boss, key=key)
        assert done["refund"]["amount"] == amount
        one.refunded += amount
        one.units_back += units

    async def play(self) -> None:
        """Thirty minutes, slice by slice; what is of one slice happens at once."""
        abreast = asyncio.Semaphore(ABREAST)

        async def take_turn(visit: Visit) -> None:
            async with abreast:
                await visit()

        for number in range(SHOW_S // SLICE_S):
            self.second = number * SLICE_S
            await asyncio.gather(*(take_turn(visit) for visit in self.due.pop(number, [])))
            self.live.clock.ahead_ms += SLICE_S * 1000
        assert not self.due

    async def come_to_rest(self) -> None:
        """Who forgot to pay has lost it, and every refund has arrived."""
        self.live.clock.ahead_ms += 1_800_000
        for one in self.model.those("pending"):
            one.status = "cancelled"
        boss = self.live.shop.merchant_token
        async with asyncio.timeout(QUIET_S):
            while True:
                day = day_of(self.live.clock())
                found = await self.ask("GET", f"/statements?day={day}", token=boss)
                # The seeded sale, of other goods, keeps units set aside.
                ours = [one["closing"]["held"] for one in found["stock"] if one["sku"] in self.skus.values()]
                if found["refunds_open"]["count"] == 0 and not any(ours):
                    return
                await asyncio.sleep(0.1)


async def check_statement(show: Show, day: str) -> None:
    """The day's statement, as JSON and as a file."""
    model, boss = show.model, show.live.shop.merchant_token
    found = await show.ask("GET", f"/statements?day={day}", token=boss)
    paid, cancelled = model.those("paid"), model.those("cancelled")
    refunds = [one for one in paid if one.refunded]
    figures = {
        "orders": (len(model.orders), sum(one.amount for one in model.orders.values())),
        "paid": (len(paid), model.came),
        "cancelled": (len(cancelled), sum(one.amount for one in cancelled)),
        "refunds_booked": (len(refunds), model.went),
        "refunds_done": (len(refunds), model.went),
        "refunds_open": (0, 0),
        "coupons_given": (model.coupons, model.coupon_worth),
        "coupons_used": (sum(bool(one.coupon) for one in paid), sum(one.coupon for one in paid)),
    }
    assert {name: (found[name]["count"], found[name]["amount"]) for name in figures} == figures
    money = {"opening": 0, "came": model.came, "went": model.went, "closing": model.came - model.went}
    assert found["money"] == money
    stock = {one["sku"]: one["closing"] for one in found["stock"]}
    for sku in show.skus.values():
        expected = model.stock(sku)
        assert {name: stock[sku][name] for name in ("free", "held", "sold")} == {
            name: expected[name] for name in ("free", "held", "sold")
        }
    sheet = await show.live.call("GET", f"/statements?day={day}&format=csv", token=boss)
    rows = {(row[0], row[2]): row[3] for row in csv.reader(io.StringIO(sheet.text.lstrip("\ufeff"))) if len(row) > 3}
    for name, (count, amount) in figures.items():
        assert (rows[name, "count"], rows[name, "amount"]) == (str(count), str(amount))


async def check_books(show: Show, day: str) -> None:
    """The general ledger, account by account, and its postings one by one."""
    boss = show.live.shop.merchant_token
    book = await show.ask("GET", f"/books?day={day}", token=boss)
    assert {one["account"]: one["closing"] for one in book["accounts"] if one["closing"]} == show.model.books()
    assert book["debit"] == book["credit"]
    sheet = (await show.live.call("GET", f"/books/entries?day={day}&format=csv", token=boss)).text
    sums: defaultdict[str, int] = defaultdict(int)
    for row in csv.DictReader(io.StringIO(sheet.lstrip("\ufeff"))):
        sums[row["account"]] += round(100 * float(row["debit"])) - round(100 * float(row["credit"]))
    sides = {one["account"]: one["debit"] - one["credit"] for one in book["accounts"]}
    assert dict(sums) == sides


async def check_lists(show: Show) -> None:
    """Every order, page by page; what the room says of today; the board."""
    model, boss = show.model, show.live.shop.merchant_token
    after: str | None = ""
    listed: dict[str, tuple[str, int, int]] = {}
    while after is not None:
        page = await show.ask("GET", f"/orders?limit=100{after and '&after=' + after}", token=boss)
        listed |= {one["order"]: (one["status"], one["amount"], one["refunded"]) for one in page["items"]}
        after = page["next"]
    assert listed == {one.order: (status_of(one), one.amount, one.refunded) for one in model.orders.values()}
    stats = await show.ask("GET", f"/rooms/{show.live.shop.room}/stats", token=boss)
    assert (stats["sold"]["orders"], stats["sold"]["amount"]) == (len(model.those("paid")), model.came)
    board = await show.ask("GET", "/board", token=boss)
    assert (board["gmv"], board["refunded"]) == (model.came, model.went)
    poster = [one for one in board["by_channel"] if one["channel"] == "poster"]
    linked = [one for one in model.those("paid") if one.link]
    assert sum(one["amount"] for one in poster) == sum(one.amount for one in linked)
    assert sum(one["paid"] for one in poster) == len(linked)


def status_of(one: Bought) -> str:
    """The status as the shop words it."""
    if not one.paid:
        return one.status
    if one.refunded:
        return "refunded" if one.refunded == one.amount else "partly_refunded"
    return "fulfilled" if one.shipped else "paid"


async def check_reconciliation(show: Show, day: str) -> None:
    """The provider's own file of the day, against the books."""
    model, boss = show.model, show.live.shop.merchant_token
    show.live.clock.ahead_ms += day_bounds_ms(day)[1] + 3_600_000 - show.live.clock()
    await show.ask("POST", "/reconciliations", {"provider": "sandbox", "day": day}, token=boss)
    [report] = await show.ask("GET", f"/reconciliations?day={day}", token=boss)
    refunds = sum(bool(one.refunded) for one in model.those("paid"))
    assert (report["paid"], report["paid_amount"]) == (len(model.those("paid")), model.came)
    assert (report["refunded"], report["refunded_amount"]) == (refunds, model.went)
    assert (report["net"], report["differences"]) == (model.came - model.went, [])


@pytest.mark.parametrize("shoppers", [40, pytest.param(10_000, marks=pytest.mark.soak)])
async def test_after_a_show_every_report_agrees_with_a_model_outside_to_the_cent(tmp_path: Path, shoppers: int) -> None:
    async with rig(tmp_path) as live:
        live.clock.stop()
        # At noon, so that the show is of one day; of tomorrow, as nothing was sold then.
        today = day_bounds_ms(day_of(live.clock()))[0]
        live.clock.ahead_ms += today + DAY_MS + DAY_MS // 2 - live.clock()
        day = day_of(live.clock())
        show = Show(live, shoppers)
        await show.open()
        await show.play()
        await show.come_to_rest()
        assert len(show.model.those("paid")) > shoppers / 3
        await check_statement(show, day)
        await check_books(show, day)
        await check_lists(show)
        await check_reconciliation(show, day)
        print(f"{shoppers} shoppers, {len(show.model.orders)} orders, {show.model.came} came, {show.model.went} went")
    findings = audit(tmp_path / "data", now_ms=live.clock()) + replay(tmp_path / "data")
    assert [finding for finding in findings if not finding.ok] == []
