"""Several processes on one PostgreSQL do random things and are killed at random; then the server itself is.

Nothing is oversold, nothing that was acknowledged is lost, no hold leaks, and the database is what the clients' logs
say: all that they were told, and nothing that nobody asked for.
"""

import asyncio
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import text

from commerce.audit_sql import audit
from commerce.payment_sandbox import SandboxProvider
from commerce.shop import Shop
from commerce.store_sql import open_store, read_engine
from tests.commerce.shop_world import MERCHANT, OTHER_SKU, ROOM, SKU, seed_catalogue
from tests.commerce.test_ledger_durability import come_to_rest, now_ms
from tests.postgres import Cluster

ROOT = Path(__file__).parents[2]
READY_S = 60
UNITS = 400
HOLD_S = 3
KEPT = {
    "hold": "SELECT person, id FROM hold",
    "coupon": "SELECT person, id FROM coupon",
    "order": "SELECT person, id FROM orders",
    "cancel": "SELECT person, id FROM orders WHERE status = 'cancelled'",
    "paid": "SELECT person, id FROM orders WHERE status NOT IN ('pending', 'cancelled')",
    "refund": "SELECT o.person, r.id FROM refund AS r JOIN orders AS o ON o.id = r.order_id WHERE r.kind = 'order'",
}


class Child:
    """One process and what it says."""

    def __init__(self, address: str) -> None:
        command = [sys.executable, "-m", "tests.commerce.hammer_child", address, "600"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, env=environment)
        self.lines: list[str] = []
        self.ready = threading.Event()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            # What was cut off by the kill was not said.
            if line.endswith(b"\n"):
                self.lines.append(line.decode().strip())
            if line == b"ready\n":
                self.ready.set()
        self.ready.set()

    def kill(self) -> list[list[str]]:
        """End it; what it had said, in words."""
        assert self.process.poll() is None, "it ended by itself: see its errors above"
        self.process.kill()
        self.process.wait(30)
        self._reader.join(30)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return [line.split() for line in self.lines if line != "ready"]


async def open_doors(address: str) -> None:
    """A sale that sells out and reopens as its holds end, a drop, and goods on the shelf."""
    store = open_store(address)
    await store.write(seed_catalogue)
    shop = Shop(store, clock=now_ms, provider=SandboxProvider(b"s", clock=now_ms), sweep_s=0, database_time=True)
    await shop.start()
    await shop.stock_up(MERCHANT, SKU, 100_000)
    await shop.stock_up(MERCHANT, OTHER_SKU, 100_000)
    sale = await shop.create_sale(MERCHANT, ROOM, SKU, 500, 900, UNITS, 1, HOLD_S, 3_600)
    await shop.start_sale(MERCHANT, sale.sale, 0)
    await shop.start_drop(MERCHANT, ROOM, "t", "r", 100, 0, 5_000, 1, 3_600, 3_600)
    await shop.close()
    store.close()


def compare(address: str, said: list[list[str]]) -> None:
    """The clients' logs against the database."""
    engine = read_engine(address)
    with engine.connect() as connection:
        kept = {kind: {tuple(row) for row in connection.execute(text(query))} for kind, query in KEPT.items()}
    engine.dispose()
    for kind, there in kept.items():
        told = {(words[1], words[2]) for words in said if words[0] == kind}
        assert told <= there, f"told and lost: {kind} {sorted(told - there)[:5]}"
        asked = {words[2] for words in said if words[0] == "ask"}
        assert {person for person, _ in there} <= asked, f"nobody asked for these: {kind}"


@pytest.mark.parametrize(
    ("processes", "kills", "crashes"),
    [(2, 5, 0), pytest.param(3, 200, 10, marks=pytest.mark.soak)],
    ids=["short", "long"],
)
async def test_processes_killed_at_random_lose_oversell_and_leak_nothing(
    cluster: Cluster, processes: int, kills: int, crashes: int
) -> None:
    own = Cluster(cluster.programs) if crashes else cluster
    if crashes:
        own.start()
        own.template()
    address = own.address(own.database())
    await open_doors(address)
    said: list[list[str]] = []
    children = [Child(address) for _ in range(processes)]
    try:
        for kill in range(1, kills + 1):
            victim = children.pop(0)
            assert victim.ready.wait(READY_S)
            await asyncio.sleep(random.uniform(0.0, 0.4))
            said += victim.kill()
            children.append(Child(address))
            if crashes and kill % (kills // crashes) == 0:
                own.kill(random.choice([signal.SIGKILL, signal.SIGQUIT]))
                await asyncio.sleep(random.uniform(0.0, 1.0))
                own.start()
        for child in children:
            assert child.ready.wait(READY_S)
        # The last ones live until one of them has sold something, however slow the machine is.
        deadline = time.monotonic() + READY_S
        while not any(line.startswith("paid") for child in children for line in child.lines):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)
        while children:
            said += children.pop().kill()
        await come_to_rest(address)
        compare(address, said)
        broken = [finding for finding in audit(address) if not finding.ok]
        assert not broken, broken
    finally:
        for child in children:
            child.process.kill()
        if crashes:
            own.close()
