"""Every pair of operations through every transaction boundary: the audit is clean, the money is where both sides say.

Each operation alone first: it succeeds, and together they send every command that the ledger knows. Then two at a time,
in every order of their transactions, and with one's process killed after each of its transactions and asked again.
"""

import asyncio
import itertools
import os
import random
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import Connection, create_engine, text

from commerce.audit_sql import audit_all
from commerce.courier_sandbox import SandboxCourier
from commerce.domain.credit import ACCOUNT
from commerce.errors import CommerceError
from commerce.ledger_sql import _HOT
from commerce.payment_sandbox import SandboxProvider
from commerce.replay_sql import REPLAYS, replay_one
from commerce.store_sql import Store, open_store, sqlite_engine
from commerce.transfer_sandbox import SandboxTransfers
from commerce.turns_sql import SqliteTurns
from tests.commerce.crowded_desk import OPERATIONS, Desk, Names, Wallet, copied
from tests.commerce.crowded_shop import furnish
from tests.commerce.interleaver import Gate, Run, Stage, explore
from tests.commerce.shop_world import ManualClock, seed_catalogue
from tests.commerce.test_ledger_machine import template
from tests.postgres import Cluster, need_postgres

FAULTS = {"internal", "busy"}
"""What no rule says: a fault of ours, or a transaction that could not be."""
DAYS_OF_REST = 2
_MONEY = text(
    "SELECT p.id, p.provider, coalesce((SELECT sum(e.amount) FROM payment_event AS e WHERE e.payment = p.id"
    " AND e.provider = p.provider AND e.kind = 'paid'), 0) AS paid, coalesce((SELECT sum(r.amount - r.stored)"
    " FROM refund AS r WHERE r.payment = p.id AND r.state <> 'failed'), 0) AS back FROM payment AS p"
)
_FAILED = text("SELECT id FROM refund WHERE state = 'failed'")
_LEFT = text(
    "SELECT (SELECT count(*) FROM hold WHERE state = 'held') AS held,"
    " (SELECT count(*) FROM orders WHERE status = 'pending') AS pending,"
    " (SELECT count(*) FROM orders AS o JOIN person_alias AS a ON a.alias = o.person AND a.person <> o.person) AS lost,"
    " (SELECT count(*) FROM hold AS h JOIN person_alias AS a ON a.alias = h.person AND a.person <> h.person"
    "  WHERE h.state IN ('held', 'sold')) AS strayed,"
    " (SELECT count(*) FROM account AS c JOIN person_alias AS a ON a.alias = c.owner AND a.person <> c.owner"
    "  WHERE c.balance <> 0) AS forgotten,"
    " (SELECT count(*) FROM courier_errand WHERE ended_ms IS NULL) AS on_the_road,"
    " (SELECT count(*) FROM ticket WHERE state = 'reserved') AS reserved"
)


class Site:
    """Where the crowded shop is kept, and copies of it."""

    processes = 1

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.provider = SandboxProvider(b"s", clock=self.clock, deliveries=0)
        self.courier = SandboxCourier(b"c", clock=self.clock)
        self.names: Names = {}
        self.known: set[type] = set()
        self.loop = asyncio.new_event_loop()
        self.loop.run_until_complete(self._furnish())
        self.begun_ms = self.clock()

    async def _furnish(self) -> None:
        store = self.first()
        with store.writer.begin() as connection:
            if not connection.execute(text("SELECT count(*) FROM merchant")).scalar_one():
                seed_catalogue(connection)
        wallet, transfers = Wallet(b"w", clock=self.clock), SandboxTransfers(b"t")
        desk = Desk(store, self.clock, self.provider, wallet, transfers, self.courier)
        self.known = {*desk.shop.ledger._handlers, *_HOT}
        await desk.shop.start()
        try:
            self.names = await furnish(desk)
            await desk.shop.payments.idle()
            await clean(desk)
        finally:
            await desk.close()

    def first(self) -> Store:
        """The store to be furnished."""
        raise NotImplementedError

    def copy(self) -> list[Store]:
        """Stores of as many processes on a copy of it."""
        raise NotImplementedError

    def drop(self) -> None:
        """The copy is not needed any more."""

    def close(self) -> None:
        """Nor is the original."""
        self.loop.close()


class SqliteSite(Site):
    """One process and a file."""

    def __init__(self) -> None:
        # In memory where there is such a folder: thousands of copies are no matter of the disk.
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.folder = Path(tempfile.mkdtemp(prefix="interleaver-", dir=memory))
        super().__init__()

    def first(self) -> Store:
        shutil.copyfile(template() / "shop.db", self.folder / "shop.db")
        return open_store(self.folder, synchronous="OFF")

    def copy(self) -> list[Store]:
        path = self.folder / "copy" / "shop.db"
        path.parent.mkdir()
        shutil.copyfile(self.folder / "shop.db", path)
        # As open_store does, less the look at the migrations.
        writer = sqlite_engine(path, writing=True, synchronous="OFF", pool_size=2)
        return [Store(path.parent, writer, sqlite_engine(path, writing=False), SqliteTurns())]

    def drop(self) -> None:
        shutil.rmtree(self.folder / "copy", ignore_errors=True)

    def close(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        super().close()


class PostgresSite(Site):
    """Two processes and a database; it may forget a power cut."""

    processes = 2

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.original = self.cluster.database()
        self.admin = create_engine(
            self.cluster.address().replace("postgresql:", "postgresql+psycopg:"), isolation_level="AUTOCOMMIT"
        )
        super().__init__()

    def first(self) -> Store:
        return open_store(self.cluster.address(self.original), synchronous="OFF")

    def copy(self) -> list[Store]:
        with self.admin.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {self.original}_copy TEMPLATE {self.original}"))
        return [
            open_store(self.cluster.address(f"{self.original}_copy"), synchronous="OFF") for _ in range(self.processes)
        ]

    def drop(self) -> None:
        with self.admin.connect() as connection:
            connection.execute(text(f"DROP DATABASE IF EXISTS {self.original}_copy WITH (FORCE)"))

    def close(self) -> None:
        self.admin.dispose()
        super().close()


def _findings(db: Connection, now_ms: int) -> list[Any]:
    found = audit_all(db, now_ms) + [replay_one(db, one) for one in REPLAYS]
    return [finding for finding in found if not finding.ok]


async def clean(desk: Desk) -> None:
    """The audit finds nothing, and every balance can be rebuilt."""
    broken = await desk.store.read(lambda db: _findings(db, desk.clock()))
    assert not broken, broken


async def money_agrees(desk: Desk) -> None:
    """What each provider took and gave back is what the shop says."""
    rows = await desk.store.read(lambda db: db.execute(_MONEY).all())
    # The provider was said to refuse these: what it knows of them says nothing.
    failed = set(await desk.store.read(lambda db: db.execute(_FAILED).scalars().all()))
    for row in rows:
        if row.provider == ACCOUNT:
            # Nobody outside knows of it: the audit compares each with its debt.
            continue
        known = desk.shop.payments.named(row.provider)._transactions.get(row.id)  # type: ignore[attr-defined]
        paid = known.request.amount if known is not None and known.state == "paid" else 0
        gone = {} if known is None else known.refunds
        back = sum(amount for refund, amount in gone.items() if refund not in failed)
        assert (row.paid, row.back) == (paid, back), f"{row.provider} has {paid} less {back} of {row}"


async def come_to_rest(desks: Sequence[Desk], gate: Gate) -> None:
    """Days pass: everything that is due is done, refunds are confirmed, couriers arrive, nothing is held any more."""
    gate.open = True
    for step in gate.waiting:
        step.go()
    gate.waiting.clear()
    desk = desks[-1]
    for day in range(DAYS_OF_REST * 2):
        desk.clock.advance(86_400_000 if day % 2 else 60_000)
        more = True
        while more:
            swept = await desk.shop.sweep()
            desk.shop.payments.follow(swept)
            await asyncio.gather(*(one.shop.payments.idle() for one in desks))
            more = swept.more
        await _confirm_refunds(desk)
        await desk.couriers.chase()
    left = await desk.store.read(lambda db: db.execute(_LEFT).one())
    assert not any(left), left
    await clean(desk)
    await money_agrees(desk)


async def _confirm_refunds(desk: Desk) -> None:
    query = text(
        "SELECT id, payment, merchant, provider, amount - stored AS amount FROM refund WHERE state = 'requested'"
    )
    for row in await desk.store.read(lambda db: db.execute(query).all()):
        provider: Any = desk.shop.payments.named(row.provider)
        known = provider._transactions.get(row.payment)
        if known is None or row.id not in known.refunds:
            continue
        body = {"number": f"r-{row.id}", "kind": "refunded", "payment": row.payment, "merchant": row.merchant}
        message = provider.sign(orjson.dumps(body | {"amount": row.amount, "refund": row.id}))
        await desk.shop.settle(row.provider, message.body, message.headers)


class Example:
    """One run on a fresh copy."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.gate = Gate()
        self.desks: list[Desk] = []

    async def __aenter__(self) -> "Example":
        clock = ManualClock(self.site.begun_ms)
        provider = SandboxProvider(b"s", clock=clock, deliveries=0)
        courier = SandboxCourier(b"c", clock=clock)
        copied(provider, self.site.provider, courier, self.site.courier)
        wallet, transfers = Wallet(b"w", clock=clock, deliveries=0), SandboxTransfers(b"t")
        for store in self.site.copy():
            desk = Desk(store, clock, provider, wallet, transfers, courier)
            self.desks.append(desk)
            await desk.shop.start()
        for desk in self.desks:
            await desk.shop.told()
            await desk.shop.payments.idle()
            self.gate.guard(desk.shop, desk.store)
        self.stage = Stage(self.gate, [desk.shop for desk in self.desks], self._told)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.gate.open = True
        for desk in self.desks:
            await desk.close()
        self.site.drop()

    async def _told(self) -> None:
        if len(self.desks) > 1:
            for desk in self.desks:
                await desk.shop.told()

    def enter(self, actor: str, name: str) -> None:
        """Begin an operation, each actor at a process of its own where there are two."""
        desk = self.desks[0 if actor == "a" else -1]
        self.stage.enter(actor, lambda: OPERATIONS[name](desk, self.site.names))


def faults(answers: dict[str, Any]) -> dict[str, Any]:
    """Answers that no rule gives."""
    return {
        actor: answer
        for actor, answer in answers.items()
        if isinstance(answer, CommerceError) and answer.code in FAULTS
    }


def both(site: Site, one: str, other: str, prefix: Sequence[str]) -> Run:
    """Run two operations in one order of their transactions."""

    async def run() -> Run:
        async with Example(site) as example:
            example.enter("a", one)
            example.enter("b", other)
            done = await example.stage.play(prefix)
            try:
                assert not faults(done.answers), faults(done.answers)
                await clean_after(example)
                await come_to_rest(example.desks, example.gate)
            except AssertionError as error:
                raise AssertionError(f"{one} with {other}: {' | '.join(done.trace)}: {error}") from error
            return done

    return site.loop.run_until_complete(run())


async def clean_after(example: Example) -> None:
    """The audit of what stands now, before anything else is done."""
    example.gate.open = True
    desk = example.desks[0]
    found = await desk.store.read(lambda db: audit_all(db, desk.clock()))
    broken = [finding for finding in found if not finding.ok]
    assert not broken, broken
    example.gate.open = False


def cut(site: Site, one: str, other: str, after: int) -> None:
    """Kill one's process after so many of its transactions, do the other, ask again."""

    async def run() -> None:
        async with Example(site) as example:
            stage, gate = example.stage, example.gate
            example.enter("a", one)
            trace = []
            for _ in range(after):
                await stage.settle()
                mine = gate.of("a")
                if not mine:
                    return
                trace.append(mine[0].what)
                await gate.let(mine[0])
            await stage.leave("a")
            example.enter("b", other)
            try:
                done = await stage.play()
                example.enter("c", one)
                again = await stage.play()
                assert not faults(done.answers | again.answers), faults(done.answers | again.answers)
                await clean_after(example)
                await come_to_rest(example.desks, gate)
            except AssertionError as error:
                raise AssertionError(f"{one}, killed after {trace}, {other}, and again: {error}") from error

    site.loop.run_until_complete(run())


def tried(site: Site, one: str, other: str) -> int:
    """All orders of a pair, and all cuts between the transactions of one; how many runs that were."""
    runs = list(explore(lambda prefix: both(site, one, other, prefix)))
    cuts = [(one, other, after) for after in range(1, runs[0].steps("a"))]
    if one != other:
        cuts += [(other, one, after) for after in range(1, runs[0].steps("b"))]
    for each in cuts:
        cut(site, *each)
    return len(runs) + len(cuts)


def alone(site: Site, name: str) -> tuple[Any, set[type]]:
    """An operation by itself: its answer, and the commands that were not refused."""

    async def run() -> tuple[Any, set[type]]:
        async with Example(site) as example:
            example.enter("a", name)
            done = await example.stage.play()
            return done.answers["a"], example.gate.done

    return site.loop.run_until_complete(run())


def pairs_of(count: int, seed: int) -> list[tuple[str, str]]:
    """Some pairs, others by another seed; each operation is with itself in some."""
    every = list(itertools.combinations_with_replacement(sorted(OPERATIONS), 2))
    return random.Random(seed).sample(every, count)


@pytest.fixture(scope="module")
def sqlite() -> Iterator[Site]:
    """The crowded shop in a file."""
    site = SqliteSite()
    yield site
    site.close()


def test_each_operation_succeeds_alone_and_together_they_are_all_commands_of_the_ledger(sqlite: Site) -> None:
    found = {name: alone(sqlite, name) for name in OPERATIONS}
    refused = {name: answer for name, (answer, _) in found.items() if isinstance(answer, CommerceError)}
    assert not refused, "an operation that is refused tries nothing: see how crowded_shop furnishes the shop"
    done = set[type]().union(*(commands for _, commands in found.values()))
    missing = {command.__name__ for command in sqlite.known - done}
    assert not missing, f"the interleaver does not know {missing}: add an operation to crowded_shop or crowded_back"


def test_some_pairs_of_operations_leave_the_books_right_in_every_order(sqlite: Site) -> None:
    for one, other in pairs_of(5, 1):
        assert tried(sqlite, one, other) > 1


def test_some_pairs_of_operations_on_two_processes_leave_the_books_right(cluster: Cluster) -> None:
    site = PostgresSite(cluster)
    try:
        for one, other in pairs_of(1, 2):
            assert tried(site, one, other) > 1
    finally:
        site.close()


@pytest.mark.soak
def test_every_pair_of_operations_leaves_the_books_right_in_every_order(sqlite: Site) -> None:
    every = list(itertools.combinations_with_replacement(sorted(OPERATIONS), 2))
    runs = sum(tried(sqlite, one, other) for one, other in every)
    print(f"{len(OPERATIONS)} operations, {len(every)} pairs, {runs} runs on SQLite")


@pytest.mark.soak
def test_every_pair_of_operations_on_two_processes_leaves_the_books_right() -> None:
    # What a power cut leaves is the hammer's matter.
    own = Cluster(need_postgres(), settings=("fsync=off", "full_page_writes=off"))
    own.start()
    own.template()
    site = PostgresSite(own)
    try:
        every = list(itertools.combinations_with_replacement(sorted(OPERATIONS), 2))
        runs = sum(tried(site, one, other) for one, other in every)
        print(f"{len(OPERATIONS)} operations, {len(every)} pairs, {runs} runs on PostgreSQL")
    finally:
        site.close()
        own.close()
