"""A deterministic interleaver: operations on one shop, cut at every transaction boundary and run in every order.

    operation A ──▶ ┌──────────────────────┐ waiting steps: one transaction each, named by who asked for it
    operation B ──▶ │ Gate: the ledger's   │ ──▶ a schedule lets one step at a time through, to its commit
    what follows ─▶ │ queue, Store._run    │
                    └──────────────────────┘
A command waits after it was submitted and before it is decided, so what was looked up for it is as old as it can be. A
reading transaction is a step, too. As one step goes at a time, each runs where it is let through, on the loop's own
thread: by the ledger's own code and the store's, without the hand-over between threads that cost more than the step.
What an operation's events set off (calls to providers) is the third actor, ``after``. Steps of reading transactions
alone commute: their order is not tried.

``explore`` runs an example anew for each order that there is, by depth first search over the choices made so far.
"""

import asyncio
import pickle
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar, copy_context
from dataclasses import dataclass, field
from queue import Empty
from typing import Any

from commerce.errors import CommerceError
from commerce.ledger_sql import _STOP
from commerce.shop import Shop
from commerce.store_sql import Store

ACTOR: ContextVar[str] = ContextVar("actor", default="")
STREAM: ContextVar[str] = ContextVar("stream", default="")
"""Whose chance is drawn from: an operation's, a call's, or nobody's."""
AFTER = "after"
STEP_S = 60.0
"""How long one step may take on a machine that stands still."""
STEPS_MAX = 60
"""Steps of one run: more is an operation that never ends."""


@dataclass(slots=True)
class Step:
    """A transaction that somebody wants to begin."""

    actor: str
    what: str
    reads: bool
    go: Callable[[], None]
    stop: Callable[[], object] = lambda: None
    """Its process was killed: who waits for it ends, too, be it in a task of its own (a change of the catalogue)."""
    stream: str = field(default_factory=STREAM.get)
    finished: asyncio.Event = field(default_factory=asyncio.Event)


class AtOnce(ThreadPoolExecutor):
    """Threads that are none: what is to be done is done when it is asked for."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told to whom it was done for
            done.set_exception(error)
        return done


class Gate:
    """Holds every transaction of the actors back until it is let through; without an actor nothing is held back."""

    def __init__(self) -> None:
        self.waiting: list[Step] = []
        self.open = False
        self.done: set[type] = set()
        self.at_once = AtOnce(1)

    def of(self, actor: str) -> list[Step]:
        """Steps of an actor that wait."""
        return [step for step in self.waiting if step.actor == actor]

    def hold(self, step: Step) -> None:
        """Let a step wait for its turn."""
        if self.open or not step.actor:
            step.go()
        else:
            self.waiting.append(step)

    async def let(self, step: Step) -> None:
        """Let one through and wait until it is over."""
        self.waiting.remove(step)
        drawn = STREAM.set(step.stream)
        step.go()
        STREAM.reset(drawn)
        async with asyncio.timeout(STEP_S):
            await step.finished.wait()

    def guard(self, shop: Shop, store: Store) -> None:
        """Stand before a shop's ledger, its store, and the calls that its events set off."""
        ledger: Any = shop.ledger
        ledger._queue = HeldQueue(self, ledger)
        ledger._writer.write = _between_processes(ledger._writer.write)
        store._run = self._transaction(store)  # type: ignore[method-assign]
        begin = shop.payments.call

        def begun(name: str, call: Any) -> bool:
            context = copy_context()
            context.run(ACTOR.set, AFTER)
            context.run(STREAM.set, name)
            return context.run(begin, name, call)

        shop.payments.call = begun  # type: ignore[method-assign]

    def leave(self, store: Store) -> None:
        """Stand before a store no more."""
        del store._run

    def _transaction(self, store: Store) -> Any:
        run = store._run

        async def held(_executor: Any, engine: Any, work: Any) -> Any:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()

            def begin() -> None:
                # Who waited may have been cancelled.
                if not turn.done():
                    turn.set_result(None)

            name = getattr(work, "__qualname__", "?")
            step = Step(ACTOR.get(), name, engine is store.reader, begin, turn.cancel)
            self.hold(step)
            await turn
            try:
                return await run(self.at_once, engine, work)
            finally:
                step.finished.set()

        return held


def _between_processes(write: Callable[..., Any]) -> Callable[..., Any]:
    """A writer that gets its commands, and gives its answers, as it would from another process."""

    def written(commands: Sequence[Any]) -> Any:
        done = write(pickle.loads(pickle.dumps(commands)))
        return pickle.loads(pickle.dumps(done))

    return written


class HeldQueue:
    """The ledger's queue, behind the gate: what is let through is decided there and then, a batch of one."""

    def __init__(self, gate: Gate, ledger: Any) -> None:
        self._gate = gate
        self._decide = ledger._run
        self._end = ledger._queue.put
        self._now: deque[Any] = deque()

    def get(self) -> Any:
        """What was let through, then the end of it."""
        return self._now.popleft() if self._now else (_STOP, _STOP)

    def get_nowait(self) -> Any:
        """There is no second one."""
        raise Empty

    def put(self, item: Any) -> None:
        """Hold a command back until its turn; what ends the thread goes through."""
        command, future = item
        if not isinstance(future, asyncio.Future):
            self._end(item)
            return

        def go() -> None:
            self._now.append(item)
            self._decide()

        step = Step(ACTOR.get(), type(command).__name__, False, go)

        def decided(_: Any) -> None:
            if not future.cancelled() and future.exception() is None:
                self._gate.done.add(type(command))
            step.finished.set()

        future.add_done_callback(decided)
        self._gate.hold(step)


@dataclass(slots=True)
class Run:
    """What one order of steps did: who went at each choice, who else could have gone, and each actor's answers."""

    chosen: list[str] = field(default_factory=list)
    others: list[tuple[str, ...]] = field(default_factory=list)
    reads: list[bool] = field(default_factory=list)
    """Of each step in ``trace``."""
    answers: dict[str, Any] = field(default_factory=dict)
    trace: list[str] = field(default_factory=list)

    def cuts(self, actor: str) -> list[int]:
        """After how many of an actor's transactions to kill it: what it has only read so far, nobody knows of."""
        mine = [reads for line, reads in zip(self.trace, self.reads, strict=True) if line.startswith(f"{actor}: ")]
        return [after for after, reads in enumerate(mine[:-1], 1) if not reads]


Operation = Callable[[], Awaitable[Any]]


async def answer_of(operation: Operation) -> Any:
    """What an operation gives, or its refusal."""
    try:
        return await operation()
    except CommerceError as error:
        return error


class Stage:
    """Runs actors on gated shops, one step after the other. ``calm`` waits until events were told of."""

    def __init__(self, gate: Gate, shops: Sequence[Shop], calm: Callable[[], Awaitable[None]]) -> None:
        self._gate = gate
        self._shops = shops
        self._calm = calm
        self._tasks: dict[str, asyncio.Task[Any]] = {}

    def enter(self, actor: str, stream: str, operation: Operation) -> None:
        """Begin an operation: it runs to its first transaction."""
        context = copy_context()
        context.run(ACTOR.set, actor)
        context.run(STREAM.set, stream)
        loop = asyncio.get_running_loop()
        self._tasks[actor] = loop.create_task(answer_of(operation), context=context)

    async def leave(self, actor: str) -> None:
        """The operation's process is gone: nothing more of it is done; what was committed stays."""
        task = self._tasks.pop(actor)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        for step in self._gate.of(actor):
            self._gate.waiting.remove(step)
            step.stop()

    async def settle(self) -> None:
        """Wait until everybody is at the gate or through."""
        await self._calm()
        async with asyncio.timeout(STEP_S):
            while not self._still():
                await asyncio.sleep(0)

    def _still(self) -> bool:
        calls = [call for shop in self._shops for call in shop.payments._calls.values() if not call.done()]
        if len(self._gate.of(AFTER)) < len(calls):
            return False
        return all(task.done() or self._gate.of(actor) for actor, task in self._tasks.items())

    async def play(self, prefix: Sequence[str] = ()) -> Run:
        """Let step after step through: by ``prefix`` first, then always the first who can."""
        run = Run()
        for _ in range(STEPS_MAX):
            await self.settle()
            ready = {step.actor: step for step in reversed(self._gate.waiting)}
            if not ready:
                break
            first, *rest = sorted(ready)
            if rest and not all(step.reads for step in ready.values()):
                if len(run.chosen) < len(prefix):
                    first = prefix[len(run.chosen)]
                run.chosen.append(first)
                run.others.append(tuple(name for name in sorted(ready) if name != first))
            step = ready[first]
            run.trace.append(f"{step.actor}: {step.what}")
            run.reads.append(step.reads)
            await self._gate.let(step)
        else:
            raise AssertionError(f"no end after {STEPS_MAX} steps: {run.trace}")
        run.answers = {actor: task.result() for actor, task in self._tasks.items()}
        return run


def explore(example: Callable[[Sequence[str]], Run]) -> Iterator[Run]:
    """Run ``example`` with every order of its steps; it begins anew each time and obeys the choices given."""
    waiting: list[tuple[str, ...]] = [()]
    while waiting:
        prefix = waiting.pop()
        run = example(prefix)
        assert tuple(run.chosen[: len(prefix)]) == prefix, "an example is not the same twice"
        yield run
        for place in range(len(prefix), len(run.chosen)):
            waiting += [(*run.chosen[:place], other) for other in run.others[place]]
