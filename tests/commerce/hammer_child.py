"""A gateway process's shop that does random things as fast as it can and says so: ``hammer_child.py ADDRESS SECONDS``.

It runs beside others of its kind on one PostgreSQL, and is to be killed at any moment. Before it asks it writes a line
``ask KIND PERSON``, after the answer ``KIND PERSON ID [MORE]``, each with one ``os.write`` to descriptor 1. When the
database is away it asks again under the same key, as a client does.
"""

import asyncio
import os
import random
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

from commerce.errors import Busy, CommerceError, StoreError
from commerce.payment_sandbox import SandboxProvider
from commerce.shop import Shop
from commerce.store_sql import Store, open_store
from tests.commerce.ledger_child import clock, say
from tests.commerce.shop_world import MERCHANT, OTHER_SKU, ROOM

REFUSALS = {"sold_out", "limit", "gone", "expired", "already", "not_open", "coupon_invalid", "over_refund", "closed"}
BUSY_TRIES_MAX = 400
BUSY_PAUSE_S = 0.05


class Customer:
    """One person's visit."""

    def __init__(self, shop: Shop, person: str, sale: str, drop: str) -> None:
        self.shop = shop
        self.person = person
        self.sale = sale
        self.drop = drop

    async def ask(self, kind: str, call: Callable[[], Awaitable[Any]]) -> Any:
        """The answer, or None when it was refused."""
        say(f"ask {kind} {self.person}")
        for _ in range(BUSY_TRIES_MAX):
            try:
                return await call()
            except Busy:
                await asyncio.sleep(BUSY_PAUSE_S)
            except CommerceError as error:
                assert error.code in REFUSALS, error
                return None
        raise RuntimeError("the database was away for too long")

    async def visit(self) -> None:
        """Take a unit and perhaps a coupon, order, pay, change one's mind, send back."""
        shop, person = self.shop, self.person
        coupon = None
        if random.random() < 0.3:
            coupon = await self.ask("coupon", lambda: shop.claim_coupon(MERCHANT, ROOM, person, self.drop, "c"))
            if coupon is not None:
                say(f"coupon {person} {coupon.coupon}")
        held = await self.ask("hold", lambda: shop.hold(MERCHANT, ROOM, person, self.sale, 1, "h"))
        if held is None:
            return
        say(f"hold {person} {held.hold}")
        if random.random() < 0.5:
            return
        lines = [(OTHER_SKU, 1)] if random.random() < 0.3 else []
        used = None if coupon is None else coupon.coupon
        made = await self.ask(
            "order", lambda: shop.create_order(MERCHANT, ROOM, person, "o", hold=held.hold, lines=lines, coupon=used)
        )
        if made is None:
            return
        say(f"order {person} {made.order}")
        if random.random() < 0.3:
            ended = await self.ask("cancel", lambda: shop.cancel_order(MERCHANT, person, made.order))
            if ended is not None and ended.status == "cancelled":
                say(f"cancel {person} {made.order}")
            return
        paid = await self.ask("paid", lambda: shop.pay_order(MERCHANT, person, made.order, "p"))
        if paid is None or paid.status != "paid":
            return
        say(f"paid {person} {made.order}")
        if random.random() < 0.3:
            back = await self.ask("refund", lambda: shop.aftersale.refund(MERCHANT, "boss", made.order, f"r-{person}"))
            if back is not None:
                say(f"refund {person} {back.refund} {back.amount}")


async def opened(address: str) -> Store:
    """The store; while the database is away it is tried again, as whoever runs a server does."""
    for _ in range(BUSY_TRIES_MAX):
        try:
            return open_store(address)
        except StoreError:
            await asyncio.sleep(BUSY_PAUSE_S)
    raise RuntimeError("the database was away for too long")


async def main(address: str, seconds: float) -> None:
    """Have customers come until the time is over."""
    store = await opened(address)
    provider = SandboxProvider(b"s", clock=clock, callback_delay_s=0.01)
    shop = Shop(store, clock=clock, provider=provider, sweep_s=0.05, database_time=True)
    provider.deliver_to(shop.settle)
    await shop.start()
    somebody = Customer(shop, "nobody", "", "")
    sale = (await somebody.ask("look", lambda: shop.sales(ROOM)))[0].sale
    drop = (await somebody.ask("look", lambda: shop.drops(ROOM)))[0].drop
    say("ready")
    until = time.monotonic() + seconds
    n = 0
    while time.monotonic() < until:
        n += 1
        people = [f"{os.getpid()}-{n}-{k}" for k in range(random.randint(1, 20))]
        await asyncio.gather(*(Customer(shop, person, sale, drop).visit() for person in people))
    await provider.aclose()
    await shop.close()
    store.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], float(sys.argv[2])))
