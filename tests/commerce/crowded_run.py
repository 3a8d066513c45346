"""One run of the interleaver on a copy of the crowded shop: two operations in one order, then rest, then the checks."""

import asyncio
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import orjson
from sqlalchemy import text

from commerce.courier_sandbox import SandboxCourier
from commerce.domain.day import DAY_MS
from commerce.errors import CommerceError
from commerce.payment_sandbox import SandboxProvider
from commerce.transfer_sandbox import SandboxTransfers
from tests.commerce.crowded_checks import audited, clean, money_agrees
from tests.commerce.crowded_desk import OPERATIONS, Desk, Wallet, copied
from tests.commerce.crowded_site import Site
from tests.commerce.crowded_state import Streams, digest
from tests.commerce.interleaver import STREAM, Gate, Run, Stage, explore
from tests.commerce.shop_world import ManualClock

FAULTS = {"internal", "busy"}
"""What no rule says: a fault of ours, or a transaction that could not be."""
DAYS_OF_REST = 2
AGAIN = " again"
ROUNDS_MAX = 6
"""A minute, then days, and again: what one round sets off ends in the next ones."""
_LEFT = text(
    "SELECT (SELECT count(*) FROM hold WHERE state = 'held') AS held,"
    " (SELECT count(*) FROM orders WHERE status = 'pending') AS pending,"
    " (SELECT count(*) FROM orders AS o JOIN person_alias AS a ON a.alias = o.person AND a.person <> o.person) AS lost,"
    " (SELECT count(*) FROM hold AS h JOIN person_alias AS a ON a.alias = h.person AND a.person <> h.person"
    "  WHERE h.state IN ('held', 'sold')) AS strayed,"
    " (SELECT count(*) FROM account AS c JOIN person_alias AS a ON a.alias = c.owner AND a.person <> c.owner"
    "  WHERE c.balance <> 0) AS forgotten,"
    " (SELECT count(*) FROM courier_errand WHERE ended_ms IS NULL) AS on_the_road,"
    " (SELECT count(*) FROM ticket WHERE state = 'reserved') AS reserved,"
    " (SELECT count(*) FROM unheard_payment) AS unheard"
)


async def come_to_rest(desks: Sequence[Desk], gate: Gate) -> None:
    """Days pass: everything that is due is done, refunds are confirmed, couriers arrive, nothing is held any more."""
    gate.open = True
    for step in gate.waiting:
        step.go()
    gate.waiting.clear()
    desk = desks[-1]
    for round_ in range(ROUNDS_MAX):
        desk.clock.advance(DAYS_OF_REST * DAY_MS if round_ % 2 else 60_000)
        more = True
        while more:
            swept = await desk.shop.sweep()
            desk.shop.payments.follow(swept)
            await asyncio.gather(*(one.shop.payments.idle() for one in desks))
            more = swept.more
        confirmed = await _confirm_refunds(desk)
        await desk.couriers.chase()
        left = await desk.store.read(lambda db: db.execute(_LEFT).one())
        if round_ and not confirmed and not any(left):
            break
    else:
        raise AssertionError(f"not at rest after {ROUNDS_MAX} rounds: {left}")
    await clean(desk)
    await money_agrees(desk)


async def _confirm_refunds(desk: Desk) -> int:
    confirmed = 0
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
        confirmed += 1
    return confirmed


class Example:
    """One run on a fresh copy."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.gate = Gate()
        self.desks: list[Desk] = []
        self._chance = ExitStack()

    async def __aenter__(self) -> "Example":
        self._chance.enter_context(Streams(STREAM.get).instead())
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
        self._chance.close()
        self.gate.open = True
        for desk in self.desks:
            await desk.vanish()
            self.gate.leave(desk.store)

    async def _told(self) -> None:
        if len(self.desks) > 1:
            for desk in self.desks:
                await desk.shop.told()

    def enter(self, actor: str, name: str, again: str = "") -> None:
        """Begin an operation, each actor at a process of its own where there are two.

        ``again``: another one of the same name was begun before, and may have used up what chance there is.
        """
        desk = self.desks[0 if actor == "a" else -1]
        self.stage.enter(actor, name + again, lambda: OPERATIONS[name](desk, self.site.names))

    def state(self) -> bytes | None:
        """What stands now, here and at the providers, whoever came first; None where that is not looked for."""
        rows = self.site.rows()
        if rows is None:
            return None
        desk = self.desks[0]
        known = [sorted(one._transactions.items()) for one in (desk.provider, desk.wallet)]
        there = sorted(desk.courier.errands.items()), sorted(desk.transfers_to.transfers.items())
        return digest(desk.clock(), rows, known, there)

    async def holds(self) -> None:
        """The audit of what stands now, and of what it comes to, unless the same was there before."""
        state = self.state()
        if state is not None and state in self.site.at_rest:
            return
        await clean_after(self)
        await come_to_rest(self.desks, self.gate)
        if state is not None:
            self.site.at_rest.add(state)


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
            example.enter("b", other, AGAIN if one == other else "")
            done = await example.stage.play(prefix)
            try:
                assert not faults(done.answers), faults(done.answers)
                await example.holds()
            except AssertionError as error:
                raise AssertionError(f"{one} with {other}: {' | '.join(done.trace)}: {error}") from error
            return done

    return site.loop.run_until_complete(run())


async def clean_after(example: Example) -> None:
    """The audit of what stands now, before anything else is done."""
    example.gate.open = True
    await audited(example.desks[0])
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
            example.enter("b", other, AGAIN if one == other else "")
            try:
                done = await stage.play()
                example.enter("c", one, AGAIN * 2)
                again = await stage.play()
                assert not faults(done.answers | again.answers), faults(done.answers | again.answers)
                await example.holds()
            except AssertionError as error:
                raise AssertionError(f"{one}, killed after {trace}, {other}, and again: {error}") from error

    site.loop.run_until_complete(run())


def tried(site: Site, one: str, other: str) -> int:
    """All orders of a pair, and all cuts after a commit of one; how many runs that were."""
    runs = list(explore(lambda prefix: both(site, one, other, prefix)))
    cuts = [
        (first, second, after) for first, second in {(one, other), (other, one)} for after in by_itself(site, first)
    ]
    for each in cuts:
        cut(site, *each)
    return len(runs) + len(cuts)


def by_itself(site: Site, name: str) -> list[int]:
    """After how many of its transactions an operation is killed: as it goes when it comes first."""
    if name not in site.alone:
        alone(site, name)
    return site.alone[name].cuts("a")


def alone(site: Site, name: str) -> tuple[Any, set[type]]:
    """An operation by itself: its answer, and the commands that were not refused."""

    async def run() -> tuple[Any, set[type]]:
        async with Example(site) as example:
            example.enter("a", name)
            done = await example.stage.play()
            site.alone[name] = done
            return done.answers["a"], example.gate.done

    return site.loop.run_until_complete(run())
