"""The group-commit ledger: commands from the loop, decided and committed on one thread, answered in one go.

    loop thread                              writer thread (owns one connection)
    submit ─▶ bounded queue ───────────────▶ gather ≤ 2 ms ─▶ BEGIN IMMEDIATE
                                             segments in arrival order:
                                               runs of holds, runs of claims   (sets, ledger_hot_sql)
                                               anything else                   (one by one, a SAVEPOINT each)
                                             outbox rows ─▶ COMMIT (synced)
    futures, latches, events ◀── one call_soon_threadsafe ──┘

A future is resolved only after the commit that holds its effect has been synced. A command that fails takes only itself
back. When the store itself fails (disk full, no turn within the time-out), nothing of the batch is kept and each
command is answered ``busy``: its key tells, on the next try, whether it had been done after all.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, IntegrityError

from commerce.errors import Busy, CommerceError
from commerce.events import Event
from commerce.holds_sql import LostHold
from commerce.ledger import (
    BATCH_REQUESTS_MAX,
    BATCH_ROWWISE_MAX,
    BUSY_RETRY_MS,
    GATHER_MS,
    REQUESTS_WAITING_MAX,
    Claim,
    Clock,
    Hold,
)
from commerce.ledger_batch_sql import Batch, Latch, Outcome
from commerce.ledger_hot_sql import refusal, run_claims, run_holds
from commerce.store_sql import Store

log = logging.getLogger(__name__)

Handler = Callable[[Batch, Any], Any]
Submitted = tuple[Any, "asyncio.Future[Any]"]
_HOT: Mapping[type, Callable[[Batch, Any], list[Any]]] = {Hold: run_holds, Claim: run_claims}
_STOP: Any = object()


class GroupCommitLedger:
    """A ``Ledger`` on one writing connection of a store. ``handlers`` maps each row-wise command's type to its rule.

    ``on_finish`` writes what else belongs to the events of a batch, in its transaction.
    ``on_events`` is called on the loop, after the answers of the batch, with the events that it committed.
    """

    def __init__(
        self,
        store: Store,
        handlers: Mapping[type, Handler],
        *,
        clock: Clock,
        on_events: Callable[[Sequence[Event]], None],
        on_finish: Callable[[Batch, Sequence[Event]], None] | None = None,
        requests_waiting_max: int = REQUESTS_WAITING_MAX,
    ) -> None:
        self._store = store
        self._handlers = handlers
        self._clock = clock
        self._on_events = on_events
        self._on_finish = on_finish
        self._waiting_max = requests_waiting_max
        self._waiting = 0
        self._queue: SimpleQueue[Submitted] = SimpleQueue()
        self._latches: dict[str, Latch] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._crowded = False
        self.batches = 0
        self.commands = 0

    @property
    def waiting(self) -> int:
        """Commands queued or being decided."""
        return self._waiting

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start the writer's thread; answers go to ``loop``."""
        self._loop = loop
        self._thread = threading.Thread(target=self._run, name="ledger", daemon=True)
        self._thread.start()

    async def close(self) -> None:
        """Refuse new commands, commit and answer all that are queued, end the thread."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._queue.put((_STOP, _STOP))
            await asyncio.get_running_loop().run_in_executor(None, thread.join)

    def submit(self, command: Any) -> "asyncio.Future[Any]":
        """Queue a command (on the loop's thread). The future fails at once with Busy or with a latched refusal."""
        loop = self._loop
        if loop is None:
            raise RuntimeError("the ledger was not started")
        if type(command) not in _HOT and type(command) not in self._handlers:
            raise TypeError(f"the ledger has no rule for {type(command).__name__}")
        future = loop.create_future()
        refused = self._refuse(command)
        if refused is not None:
            future.set_exception(refused)
            return future
        self._waiting += 1
        self._queue.put((command, future))
        return future

    def _refuse(self, command: Any) -> CommerceError | None:
        if self._latches:
            latch = None
            if type(command) is Hold:
                latch = self._latches.get(command.sale)
            elif type(command) is Claim:
                latch = self._latches.get(command.drop)
            if latch is not None and self._latched(latch, command):
                return refusal(latch.code)
        if self._thread is None or self._waiting >= self._waiting_max:
            return Busy(retry_ms=BUSY_RETRY_MS)
        return None

    def _latched(self, latch: Latch, command: Hold | Claim) -> bool:
        if self._clock() >= latch.lapses_ms:
            del self._latches[latch.scope]
            return False
        return command.person not in latch.holders and command.merchant == latch.merchant and command.room == latch.room

    # --- the writer's thread -------------------------------------------------------------------------------------

    def _run(self) -> None:
        with self._store.writer.connect() as connection:
            going = True
            while going:
                requests, going = self._gather()
                if requests:
                    self._commit(connection, requests)

    def _gather(self) -> tuple[list[Submitted], bool]:
        """Wait for commands; give those that came, in order, and whether to go on."""
        requests = [self._queue.get()]
        rowwise = 0
        # A lone command is not kept waiting; after a batch that had company, some more is expected.
        deadline = monotonic() + (GATHER_MS / 1000 if self._crowded else 0)
        while True:
            command = requests[-1][0]
            if command is _STOP:
                return requests[:-1], False
            rowwise += type(command) not in _HOT
            if len(requests) >= BATCH_REQUESTS_MAX or rowwise >= BATCH_ROWWISE_MAX:
                break
            try:
                requests.append(self._queue.get_nowait())
            except Empty:
                rest = deadline - monotonic()
                if rest <= 0:
                    break
                try:
                    requests.append(self._queue.get(timeout=rest))
                except Empty:
                    break
        self._crowded = len(requests) > 1
        return requests, True

    def _commit(self, connection: Connection, requests: Sequence[Submitted]) -> None:
        batch = Batch(connection, self._clock(), on_finish=self._on_finish)
        outcome = Outcome()
        try:
            with connection.begin():
                results = self._decide(batch, [command for command, _ in requests])
                finished = batch.finish()
            outcome = finished
        except Exception:
            # Whatever it was, the thread lives on and everybody is answered.
            log.exception("a batch of %d commands was not committed", len(requests))
            connection.rollback()
            results = [Busy("the store could not commit", BUSY_RETRY_MS) for _ in requests]
        self.batches += 1
        self.commands += len(requests)
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(self._answer, requests, results, outcome)
        except RuntimeError:
            log.warning("the loop closed before %d committed commands were answered", len(requests))

    def _decide(self, batch: Batch, commands: Sequence[Any]) -> list[Any]:
        results: list[Any] = []
        start = 0
        while start < len(commands):
            kind = type(commands[start])
            end = start + 1
            if kind in _HOT:
                while end < len(commands) and type(commands[end]) is kind:
                    end += 1
                results += self._segment(batch, _HOT[kind], commands[start:end])
            else:
                results.append(self._rowwise(batch, self._handlers[kind], commands[start]))
            start = end
        return results

    def _segment(self, batch: Batch, run: Callable[[Batch, Any], list[Any]], commands: Sequence[Any]) -> list[Any]:
        events = len(batch.events)
        try:
            with batch.connection.begin_nested():
                return run(batch, commands)
        except (IntegrityError, LostHold) as error:
            del batch.events[events:]
            batch.reclaimed.clear()
            if len(commands) == 1:
                log.exception("a command met the database's own check")
                return [_unable(error)]
        log.warning("a run of %d commands met the database's own check; running them one by one", len(commands))
        results: list[Any] = []
        for command in commands:
            results += self._segment(batch, run, [command])
        return results

    def _rowwise(self, batch: Batch, handler: Handler, command: Any) -> Any:
        events = len(batch.events)
        try:
            with batch.connection.begin_nested():
                return handler(batch, command)
        except CommerceError as error:
            del batch.events[events:]
            return error
        except Exception as error:
            if isinstance(error, DBAPIError) and not isinstance(error, IntegrityError):
                raise
            # A fault of ours must not take the other commands of the batch with it.
            del batch.events[events:]
            log.exception("%s failed", type(command).__name__)
            return _unable(error)

    # --- back on the loop ----------------------------------------------------------------------------------------

    def _answer(self, requests: Sequence[Submitted], results: Sequence[Any], outcome: Outcome) -> None:
        self._waiting -= len(requests)
        for scope in outcome.unlatched:
            self._latches.pop(scope, None)
        for latch in outcome.latches:
            self._latches[latch.scope] = latch
        for (_, future), result in zip(requests, results, strict=True):
            if future.done():
                continue
            if isinstance(result, CommerceError):
                future.set_exception(result)
            else:
                future.set_result(result)
        if outcome.events:
            self._on_events(outcome.events)


def _unable(error: Exception) -> CommerceError:
    """What a caller hears of a fault of ours; the log has the rest."""
    return CommerceError("internal", f"the request could not be decided ({type(error).__name__})")
