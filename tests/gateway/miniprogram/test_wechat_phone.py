"""The mini-program with WeChat behind it: signing in, the phone's number, paying in the wallet, messages later.

The shop's server asks stand-ins that follow WeChat's documents; they run on a loop of their own in a thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest

from gateway.clock import system_clock
from tests.commerce.stand_in import served
from tests.commerce.stand_in_wechat import APPID
from tests.commerce.stand_in_wechat import WechatStandIn as Wallet
from tests.gateway.miniprogram.phone import ANSWER_S, Phone, pocket, unpack
from tests.gateway.miniprogram.shop import Shop
from tests.gateway.test_payments import PUBLIC_URL, write_accounts
from tests.gateway.wechat_stand_in import SECRET, WechatStandIn, wechat_stand_in
from tests.harness import live_server

Stood = TypeVar("Stood")
TEMPLATE = "wDBx-show"


@contextlib.contextmanager
def beside(standing: AbstractAsyncContextManager[Stood]) -> Iterator[Stood]:
    """What an asynchronous context gives, kept alive on a loop in a thread."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield asyncio.run_coroutine_threadsafe(standing.__aenter__(), loop).result(ANSWER_S)
        asyncio.run_coroutine_threadsafe(standing.__aexit__(None, None, None), loop).result(ANSWER_S)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(ANSWER_S)
        loop.close()


@dataclass
class World:
    shop: Shop
    door: WechatStandIn
    wallet: Wallet
    folder: Path


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("wechat")
    clock: Any = system_clock
    wallet = Wallet(clock)
    with beside(wechat_stand_in()) as door, beside(served(wallet.app())) as wallet.url:
        accounts = write_accounts(folder, wallet.url)
        flags = ["--payments", str(accounts), "--public-url", PUBLIC_URL]
        with live_server(folder, flags=flags, environment={"SIYU_WECHAT_API": door.base}) as running:
            shop = Shop(running)
            shop.ask("PUT", "/wechat-app", {"appid": APPID, "secret": SECRET})
            yield World(shop, door, wallet, unpack(running, tmp_path_factory.mktemp("sample"), TEMPLATE))


def sign_ins(world: World, phone: Phone, openid: str, *codes: str) -> None:
    """The codes that ``wx.login`` gives on this phone, one after the other."""
    world.door.logins |= dict.fromkeys(codes, (openid, ""))
    phone.bearer(logins=list(codes))


def test_who_shows_their_number_finds_their_orders_on_another_phone(world: World) -> None:
    world.door.phones = {"p1": ("86", "13800138022"), "p2": ("86", "13800138022")}
    sku = world.shop.goods("碧螺春", 7200)
    with pocket(world.folder) as mine, pocket(world.folder) as other:
        sign_ins(world, mine, "open-a", "a1", "a2", "a3")
        assert mine.open("my/me/me")["phone"] == ""
        mine.call("onPhone", {"detail": {"errMsg": "getPhoneNumber:fail user deny"}})
        assert mine.screen()["toasts"] == []
        mine.call("onPhone", {"detail": {"code": "p1", "errMsg": "getPhoneNumber:ok"}})
        assert mine.screen()["phone"] == "138****8022"
        line = {"sku": sku, "quantity": 1}
        made = world.shop.ask("POST", "/orders", {"room": world.shop.room, "lines": [line]}, token=mine.call("token"))
        # Another openid: what joins them is the number.
        sign_ins(world, other, "open-b", "b1", "b2")
        other.open("my/me/me")
        assert other.open("shop/orders/orders")["orders"] == []
        other.back()
        other.call("onPhone", {"detail": {"code": "p2", "errMsg": "getPhoneNumber:ok"}})
        assert [one["order"] for one in other.open("shop/orders/orders")["orders"]] == [made["order"]["order"]]


def test_an_order_is_paid_in_wechats_own_sheet_and_not_before_the_money_came(world: World) -> None:
    sku = world.shop.goods("六安瓜片", 8800)
    with pocket(world.folder) as mine:
        sign_ins(world, mine, "open-c", "c1")
        before = len(world.wallet.trades)
        mine.open("shop/checkout/checkout", sku=sku)
        mine.bearer(pays=False)
        shown = mine.tap("onPay")
        assert not shown["paid"] and shown["toasts"] == [] and len(shown["wallet"]) == 1
        mine.bearer(pays=True)
        paying = mine.tell(call="onPay")
        deadline = time.monotonic() + ANSWER_S
        while len(mine.screen()["wallet"]) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        [(payment, trade)] = list(world.wallet.trades.items())[before:]
        assert trade.request["payer"] == {"openid": "open-c"}
        assert world.shop.newest()["status"] == "pending"
        message = world.wallet.pay(payment)
        told = httpx.post(
            f"{world.shop.server.base}/api/v1/payments/wechat",
            content=message.body,
            headers=dict(message.headers),
            timeout=ANSWER_S,
        )
        assert told.status_code == 200, told.text
        mine.end(paying)
        assert mine.screen()["paid"] and world.shop.newest()["status"] == "paid"
        first, second = mine.screen()["wallet"]
        assert first["package"] == second["package"] and first["package"].startswith("prepay_id=")


@pytest.mark.soak
def test_the_shop_may_write_once_for_each_yes_and_not_after_a_no(world: World) -> None:
    with pocket(world.folder) as mine:
        sign_ins(world, mine, "open-d", "d1")
        assert mine.open("my/me/me")["reminds"]
        assert mine.tap("onRemind")["toasts"] == []
        mine.bearer(grants=[TEMPLATE])
        assert mine.tap("onRemind")["toasts"] == ["开播时会通知你一次"]
        again = world.shop.ask("POST", "/me/message-grants", {"templates": [TEMPLATE]}, token=mine.call("token"))
        assert again == {TEMPLATE: 2}


@pytest.mark.soak
def test_a_shop_whose_mini_program_is_not_set_right_still_has_its_show(world: World) -> None:
    with pocket(world.folder) as mine:
        mine.bearer(logins=["never-given"])
        mine.open("pages/room/room")
        mine.sees(lambda room: room.get("title"))
        mine.open("my/me/me")
        mine.call("onPhone", {"detail": {"code": "p9", "errMsg": "getPhoneNumber:ok"}})
        assert mine.screen()["toasts"][-1] == "登录已过期，请再点一次"
