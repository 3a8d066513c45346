"""A shop of one or several processes on a loop of its own, for state machines: each example has a fresh database."""

import asyncio
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hypothesis.stateful import RuleBasedStateMachine

from commerce.errors import CommerceError
from commerce.events import Event
from commerce.payment_sandbox import SandboxProvider
from commerce.shop import Shop
from commerce.store_sql import open_store
from tests.commerce.shop_world import ManualClock, seed_catalogue
from tests.commerce.test_ledger_machine import template
from tests.postgres import Cluster


class LoopMachine(RuleBasedStateMachine):
    """What is done goes to one process after the other."""

    processes = 1

    def __init__(self) -> None:
        super().__init__()
        where = self.make()
        self.loop = asyncio.new_event_loop()
        self.clock = ManualClock()
        self.provider = SandboxProvider(b"s", clock=self.clock, deliveries=0)
        self.stores = [open_store(where, synchronous="OFF") for _ in range(self.processes)]
        self.shops = [Shop(store, clock=self.clock, provider=self.provider, sweep_s=0) for store in self.stores]
        self.events: list[Event] = []
        for shop in self.shops:
            self.loop.run_until_complete(shop.start(self.loop))
        self.shops[0].listen(self.events.append)
        self.calls = self.keys = 0

    def make(self) -> Path | str:
        """A seeded database of this example's own."""
        self.folder = Path(tempfile.mkdtemp(prefix="moments-machine-"))
        shutil.copyfile(template() / "shop.db", self.folder / "shop.db")
        return self.folder

    def do(self, call: Any) -> Any:
        """The result of ``call`` with the next process's shop, or the code of its refusal."""
        self.calls += 1
        shop = self.shops[self.calls % len(self.shops)]
        shop.ledger._latches.clear()

        async def run() -> Any:
            try:
                return await call(shop)
            except CommerceError as error:
                return error.code

        return self.loop.run_until_complete(run())

    def key(self) -> str:
        self.keys += 1
        return f"k{self.keys}"

    def teardown(self) -> None:
        for shop in self.shops:
            self.loop.run_until_complete(shop.close())
        for store in self.stores:
            store.close()
        self.loop.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def on_postgres(machine: type[LoopMachine], cluster: Cluster) -> type[LoopMachine]:
    """The same machine with two processes on one PostgreSQL database, emptied for each example."""
    name = cluster.database()

    class TwoProcesses(machine):  # type: ignore[misc, valid-type]
        """The same, but every other command goes to another process."""

        processes = 2

        def make(self) -> str:
            self.folder = Path(name)
            cluster.empty(name)
            store = open_store(cluster.address(name))
            with store.writer.begin() as connection:
                seed_catalogue(connection)
            store.close()
            return cluster.address(name)

    return TwoProcesses
