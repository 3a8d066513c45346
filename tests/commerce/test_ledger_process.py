"""The ledger's writer as a process: what it says arrives, and nothing acknowledged is lost whichever end dies."""

import asyncio
import logging
import os
import pickle
import random
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from commerce import errors
from commerce.errors import Busy, CommerceError, Refused
from commerce.events import SaleChanged, StockChanged
from commerce.ledger import HoldGranted
from commerce.ledger_process import ProcessLedger
from commerce.ledger_wire import MESSAGE_BYTES_MAX, Unpacker, packed
from commerce.payment_sandbox import SandboxProvider
from commerce.shop import Shop
from commerce.store_sql import open_store
from tests.chat.rig import eventually
from tests.commerce.shop_world import MERCHANT, ROOM, SKU, World, seed_catalogue
from tests.commerce.template import migrated

ROOT = Path(__file__).parents[2]


class SystemClock:
    """As the writer's process has it."""

    def __call__(self) -> int:
        return time.time_ns() // 1_000_000


@asynccontextmanager
async def world_with_writer(where: Path | str) -> AsyncIterator[World]:
    """A shop whose ledger writes in another process; the audit is clean when it closes."""
    migrated(where)
    store, clock = open_store(where), SystemClock()
    try:
        await store.write(seed_catalogue)
        provider = SandboxProvider(b"s", clock=clock, callback_delay_s=0.01)
        shop = Shop(store, clock=clock, provider=provider, sweep_s=0, database_time=True, writer_process=True)
        provider.deliver_to(shop.settle)
        world = World(store, clock, shop, provider)  # type: ignore[arg-type]
        await shop.start()
        try:
            yield world
        finally:
            await provider.aclose()
            await shop.close()
        world.assert_clean()
    finally:
        store.close()


def ledger(world: World) -> ProcessLedger:
    assert isinstance(world.shop.ledger, ProcessLedger)
    return world.shop.ledger


def gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


async def test_it_sells_and_tells_as_the_thread_does(place: Path | str) -> None:
    async with world_with_writer(place) as world:
        sale = await world.sale(total=3, per_person=1)
        granted = [await world.hold(sale.sale, person) for person in ("a", "b", "c")]
        assert all(isinstance(one, HoldGranted) for one in granted)
        with pytest.raises(Refused) as refused:
            await world.hold(sale.sale, "d")
        assert refused.value.code == "sold_out"
        # The hint has come over, too: the next one is refused without a transaction.
        assert world.shop.latched(MERCHANT, ROOM, "e", sale.sale, "k") == "sold_out"
        order = await world.shop.create_order(MERCHANT, ROOM, "a", "o", hold=granted[0].hold)
        assert (await world.shop.pay_order(MERCHANT, "a", order.order, "p")).order == order.order
        said = [event.sale.state for event in await world.told() if isinstance(event, SaleChanged)]
        assert said[-1] == "sold_out"
        pid = ledger(world).pid
    assert pid is not None and gone(pid)


async def replaced(world: World, pid: int) -> None:
    """Wait until another writer is there."""
    await eventually(lambda: ledger(world).pid not in (None, pid))


@pytest.mark.parametrize("kills", [2, pytest.param(30, marks=pytest.mark.soak)])
async def test_a_writer_that_is_killed_is_replaced_and_nothing_acknowledged_is_lost(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, kills: int
) -> None:
    async with world_with_writer(tmp_path) as world:
        sale = await world.sale(total=100 * kills, per_person=1)
        granted: dict[str, str] = {}
        for turn in range(kills):
            people = [f"{turn}-{number}" for number in range(100)]
            asked = {person: world.shop.hold(MERCHANT, ROOM, person, sale.sale, 1, "k") for person in people}
            # Before it has heard, while it decides, or after some were answered.
            await asyncio.sleep(random.uniform(0, 0.02) * (turn % 3))
            pid = ledger(world).pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            for person, future in asked.items():
                try:
                    granted[person] = (await future).hold
                except Busy:
                    continue
            await replaced(world, pid)
            for person in people:
                # What was asked for comes out once, and what was granted is the same.
                again = (await world.shop.hold(MERCHANT, ROOM, person, sale.sale, 1, "k")).hold
                assert granted.setdefault(person, again) == again
        assert ledger(world).losses == kills
        assert "the ledger's process ended (-9)" in caplog.text
        kept = {row.person: row.id for row in await world.query("SELECT person, id FROM hold")}
        assert kept == granted
        left = await world.query("SELECT free FROM sale WHERE id = :id", id=sale.sale)
        assert left[0].free == 100 * kills - len(granted)


async def test_what_a_lost_writer_committed_is_told_by_the_next(tmp_path: Path) -> None:
    async with world_with_writer(tmp_path) as world:
        sale = await world.sale(total=9, per_person=1)
        pid = ledger(world).pid
        assert pid is not None
        ledger(world)._writer._heard = lambda _: None  # type: ignore[union-attr]
        asked = world.shop.hold(MERCHANT, ROOM, "a", sale.sale, 1, "k")
        async with asyncio.timeout(60):
            while not await world.query("SELECT 1 FROM hold"):
                await asyncio.sleep(0.01)
        before = len(world.events)
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(Busy):
            await asked
        await eventually(
            lambda: any(isinstance(event, StockChanged) and event.left == 8 for event in world.events[before:])
        )


async def renamed(world: World, name: str) -> None:
    """What a rare writer does."""
    statement = text("UPDATE merchant SET name = :name WHERE id = 'm1'")
    await world.store.write(lambda connection: connection.execute(statement, {"name": name}))


async def test_a_rare_writer_gets_its_turn_between_two_batches(tmp_path: Path) -> None:
    async with world_with_writer(tmp_path) as world:
        sale = await world.sale(total=100_000, per_person=1)
        going = True
        asked = 0

        async def ask() -> None:
            nonlocal asked
            while going:
                asked += 1
                await world.shop.hold(MERCHANT, ROOM, f"p{asked}", sale.sale, 1, "k")

        crowd = [asyncio.create_task(ask()) for _ in range(50)]
        for number in range(20):
            await renamed(world, f"shop {number}")
        going = False
        await asyncio.gather(*crowd)
        assert [row.name for row in await world.query("SELECT name FROM merchant WHERE id = 'm1'")] == ["shop 19"]


async def test_a_rare_writer_does_not_wait_for_a_writer_that_is_lost(tmp_path: Path) -> None:
    async with world_with_writer(tmp_path) as world:
        # It has written, so it is asked.
        await world.sale(total=1)
        pid = ledger(world).pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        try:
            change = asyncio.create_task(renamed(world, "x"))
            await asyncio.sleep(0.1)
            waits = not change.done()
        finally:
            os.kill(pid, signal.SIGKILL)
        async with asyncio.timeout(60):
            await change
    assert waits


async def test_a_writer_that_does_not_end_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("commerce.ledger_process.CLOSE_S", 0.2)
    async with world_with_writer(tmp_path) as world:
        sale = await world.sale(total=1)
        pid = ledger(world).pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        asked = world.shop.hold(MERCHANT, ROOM, "a", sale.sale, 1, "k")
        await ledger(world).close()
        assert gone(pid) and isinstance(asked.exception(), Busy)


async def test_the_log_of_the_writer_is_in_our_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with world_with_writer(tmp_path) as world:
        await world.store.write(lambda c: c.execute(text("ALTER TABLE quota RENAME TO elsewhere")))
        sale = await world.sale(total=1, per_person=1)
        with caplog.at_level(logging.ERROR), pytest.raises(CommerceError):
            await world.hold(sale.sale, "a")
        await world.store.write(lambda c: c.execute(text("ALTER TABLE elsewhere RENAME TO quota")))
    assert "no such table: quota" in caplog.text and "Traceback" in caplog.text


async def test_the_writer_of_a_server_that_was_killed_ends_and_gives_the_folder_back(tmp_path: Path) -> None:
    migrated(tmp_path)
    store = open_store(tmp_path)
    await store.write(seed_catalogue)
    shop = Shop(store, clock=SystemClock(), provider=SandboxProvider(b"s", clock=SystemClock()), sweep_s=0)
    await shop.start()
    await shop.stock_up(MERCHANT, SKU, 100_000)
    sale = await shop.create_sale(MERCHANT, ROOM, SKU, 100, 200, 100_000, 1, 60, 3_600)
    await shop.start_sale(MERCHANT, sale.sale, 0)
    await shop.close()
    store.close()
    command = [sys.executable, "-m", "tests.commerce.ledger_child", str(tmp_path), "FULL", "60", "process"]
    child = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert child.stdout is not None
    lines = [child.stdout.readline() for _ in range(100)]
    child.kill()
    lines += child.stdout.readlines()
    child.wait(60)
    child.stdout.close()
    acknowledged = {line.split()[2].decode() for line in lines if line.startswith(b"ack ") and line.endswith(b"\n")}
    # Waits for what wrote for it.
    store = await asyncio.to_thread(open_store, tmp_path)
    kept = await store.read(lambda c: set(c.execute(text("SELECT id FROM hold")).scalars()))
    store.close()
    assert acknowledged and acknowledged <= kept


def test_messages_are_found_however_they_are_cut() -> None:
    data = b"".join(packed(message) for message in ([1, "二"], [], ["x" * 70_000]))
    for step in (1, 3, 1_000, len(data)):
        unpacker = Unpacker()
        found: list[Any] = []
        for start in range(0, len(data), step):
            found += unpacker.feed(data[start : start + step])
        assert found == [[1, "二"], [], ["x" * 70_000]]
    with pytest.raises(ValueError, match="a message of"):
        list(Unpacker().feed((MESSAGE_BYTES_MAX + 1).to_bytes(4, "big")))


@pytest.mark.parametrize(
    "error",
    [
        errors.NotFound("no sale", sale="s"),
        errors.Refused("limit", "2 each", 10, left=1),
        errors.Conflict(),
        errors.Busy(retry_ms=7),
        errors.Invalid("no number", field="quantity"),
        CommerceError("internal", "x"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_refusal_says_the_same_after_the_way(error: CommerceError) -> None:
    again: Any = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error) and str(again) == str(error)
    assert (again.code, again.message, again.retry_ms, again.extra) == (
        error.code,
        error.message,
        error.retry_ms,
        error.extra,
    )
