"""A process that sells as fast as it can and says so: ``ledger_child.py FOLDER SYNCHRONOUS SECONDS [WRITER]``.

After each answered hold it writes the line ``ack PERSON HOLD`` to descriptor 1 with one ``os.write``; before the first
batch of a round ``ask``. It is to be killed, or traced.
"""

import asyncio
import os
import random
import sys
import time
from pathlib import Path
from typing import Any

from commerce.errors import CommerceError
from commerce.ledger import HoldGranted
from commerce.payment_sandbox import SandboxProvider
from commerce.shop import Shop
from commerce.store_sql import open_store
from tests.commerce.shop_world import MERCHANT, ROOM

ROUNDS = 10
"""At least so many, of some ten people each, however slow the machine is."""


def clock() -> int:
    """Unix milliseconds."""
    return time.time_ns() // 1_000_000


def say(line: str) -> None:
    """Write one line at once."""
    os.write(1, f"{line}\n".encode())


async def round_of(shop: Shop, sale: str, people: list[str]) -> None:
    """Ask for a unit for each person at once, acknowledge what is granted, pay for some."""
    say("ask")

    async def one(person: str) -> None:
        try:
            held: Any = await shop.hold(MERCHANT, ROOM, person, sale, 1, "k")
        except CommerceError as error:
            assert error.code in ("sold_out", "limit"), error
            return
        assert isinstance(held, HoldGranted)
        say(f"ack {person} {held.hold}")
        if random.random() < 0.2:
            try:
                order = await shop.create_order(MERCHANT, ROOM, person, "o", hold=held.hold)
                paid = await shop.pay_order(MERCHANT, person, order.order, "p")
            except CommerceError as error:
                # The machine stood still for as long as a hold lasts.
                assert error.code in ("expired", "gone"), error
                return
            say(f"paid {person} {paid.order}")

    await asyncio.gather(*(one(person) for person in people))


async def main(folder: Path, synchronous: str, seconds: float, writer: str = "thread") -> None:
    """Sell from the sale of the folder's database until the time is over, and for some rounds at least."""
    store = open_store(folder, synchronous=synchronous)
    provider = SandboxProvider(b"s", clock=clock, deliveries=0)
    shop = Shop(store, clock=clock, provider=provider, sweep_s=0.05, writer_process=writer == "process")
    await shop.start()
    sale = (await shop.sales(ROOM))[0].sale
    say("ready")
    until = time.monotonic() + seconds
    n = 0
    while n < ROUNDS or time.monotonic() < until:
        people = [f"{os.getpid()}-{n}-{k}" for k in range(random.randint(1, 20))]
        n += 1
        await round_of(shop, sale, people)
    await shop.close()
    store.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]), *sys.argv[4:]))
