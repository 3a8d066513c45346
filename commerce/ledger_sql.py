"""The group-commit ledger: commands from the loop, decided and committed on one thread, answered in one go.

    loop thread                              writer thread (owns one connection)
    submit ─▶ bounded queue ───────────────▶ gather ≤ 2 ms ─▶ BEGIN, the merchants' turn (turns_sql)
                                             segments in arrival order:
                                               runs of holds, runs of claims   (sets, ledger_hot_sql)
                                               anything else                   (one by one, a SAVEPOINT each)
                                             outbox rows ─▶ COMMIT (synced)
    futures, latches, events ◀── one call_soon_threadsafe ──┘

A future is resolved only after the commit that holds its effect has been synced. A command that fails takes only itself
back. When the store itself fails (disk full, no turn within the time-out), nothing of the batch is kept and each
command is answered ``busy``. When the connection is lost, the database is asked on a new one whether the batch had
been committed: if so it is answered, if not it is run again, and if nobody answers in time all are told ``busy``: a
command's key tells, on the next try, whether it had been done after all.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import count
from queue import Empty, SimpleQueue
from time import monotonic, sleep
from typing import Any

from msgspec import Struct, structs
from sqlalchemy import Connection
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

from commerce.draws_sql import run_entries
from commerce.errors import Busy, CommerceError
from commerce.events import Event
from commerce.holds_sql import LostHold
from commerce.identity.aliases import Aliases
from commerce.ledger import (
    BATCH_REQUESTS_MAX,
    BATCH_ROWWISE_MAX,
    BUSY_RETRY_MS,
    COMMIT_TRIES,
    GATHER_MS,
    GIVE_WAY_EVERY_S,
    GIVE_WAY_S,
    LATCH_MS,
    REQUESTS_WAITING_MAX,
    RESOLVE_PAUSE_S,
    RESOLVE_S,
    Claim,
    Clock,
    Hold,
    merchants_of,
)
from commerce.ledger_batch_sql import Batch, Latch, Outcome
from commerce.ledger_hot_sql import refusal, run_claims, run_holds
from commerce.ledger_moments import Enter
from commerce.postgres_sql import connection_lost, taken_back
from commerce.store_sql import Store

log = logging.getLogger(__name__)

Handler = Callable[[Batch, Any], Any]
Submitted = tuple[Any, "asyncio.Future[Any]"]
_HOT: Mapping[type, Callable[[Batch, Any], list[Any]]] = {Hold: run_holds, Claim: run_claims, Enter: run_entries}
_STOP: Any = object()


class GroupCommitLedger:
    """A ``Ledger`` on one writing connection of a store. ``handlers`` maps each row-wise command's type to its rule.

    ``on_finish`` writes what else belongs to the events of a batch, in its transaction.
    ``now_person`` says who goes on for a person who was merged away: commands count for that one, and are looked at
    again when they are decided.
    ``on_events`` is called on the loop, after the answers of the batch, with the events that it committed. With
    ``database_time`` a shared database's clock decides; ``now`` follows it between batches.
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
        database_time: bool = False,
        now_person: Callable[[str], str] = str,
    ) -> None:
        self._store = store
        self._now_person = now_person
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
        self._looking: asyncio.TimerHandle | None = None
        self._seen = 0
        self._database_time = database_time
        self._ahead_ms = 0
        self._numbers = count(1)
        # The writer's own, as of its last batch; begun anew when a batch was taken back.
        self._aliases = Aliases()
        self.batches = 0
        self.commands = 0

    @property
    def waiting(self) -> int:
        """Commands queued or being decided."""
        return self._waiting

    def now(self) -> int:
        """Unix milliseconds by the clock that decides, as far as this process knows it."""
        return self._clock() + self._ahead_ms

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
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None

    def submit(self, command: Any) -> "asyncio.Future[Any]":
        """Queue a command (on the loop's thread). The future fails at once with Busy or with a latched refusal."""
        loop = self._loop
        if loop is None:
            raise RuntimeError("the ledger was not started")
        if type(command) not in _HOT and type(command) not in self._handlers:
            raise TypeError(f"the ledger has no rule for {type(command).__name__}")
        command = _of_person(command, self._now_person)
        future = loop.create_future()
        refused = self._refuse(command)
        if refused is not None:
            future.set_exception(refused)
            return future
        self._waiting += 1
        self._queue.put((command, future))
        if self._looking is None:
            self._seen = self.batches
            self._looking = loop.call_later(GIVE_WAY_EVERY_S, self._look)
        return future

    def _look(self) -> None:
        """Let the writer get on: rest for a moment when it has finished nothing since the last look."""
        self._looking = None
        if not self._waiting or self._loop is None:
            return
        if self.batches == self._seen:
            # On purpose: the loop's own thread has to let go of the interpreter, and of its core.
            sleep(GIVE_WAY_S)
        self._seen = self.batches
        self._looking = self._loop.call_later(GIVE_WAY_EVERY_S, self._look)

    def latched(self, merchant: str, room: str, person: str, scope: str) -> str | None:
        """The code with which a sale or drop refuses a person, as of a moment ago; None: ask the ledger."""
        latch = self._latches.get(scope)
        if latch is None or self._clock() >= latch.again_ms:
            return None
        if self._now_person(person) in latch.holders or merchant != latch.merchant or room != latch.room:
            return None
        return latch.code

    def _ask_again(self, scope: str) -> None:
        """Note that somebody whom a hint does not refuse asks now."""
        latch, now_ms = self._latches.get(scope), self._clock()
        if latch is None:
            return
        if now_ms >= latch.lapses_ms:
            del self._latches[scope]
        elif now_ms >= latch.again_ms:
            # The hundreds that come in a rush until this one is answered need not ask as well.
            self._latches[scope] = replace(latch, again_ms=min(now_ms + LATCH_MS, latch.lapses_ms))

    def _refuse(self, command: Any) -> CommerceError | None:
        if self._latches and type(command) in (Hold, Claim):
            scope = command.sale if type(command) is Hold else command.drop
            code = self.latched(command.merchant, command.room, command.person, scope)
            if code is not None:
                return refusal(code)
            self._ask_again(scope)
        if self._thread is None or self._waiting >= self._waiting_max:
            return Busy(retry_ms=BUSY_RETRY_MS)
        return None

    # --- the writer's thread -------------------------------------------------------------------------------------

    def _run(self) -> None:
        connection: Connection | None = None
        going = True
        while going:
            requests, going = self._gather()
            if not requests:
                continue
            try:
                if connection is None:
                    connection = self._store.writer.connect()
                results, outcome = self._commit(connection, [command for command, _ in requests])
            except Exception:
                # Whatever it was, the thread lives on and everybody is answered.
                log.exception("a batch of %d commands was not committed", len(requests))
                results, outcome = [Busy("the store could not commit", BUSY_RETRY_MS) for _ in requests], Outcome()
            self._give_out(requests, results, outcome)
            if connection is not None and outcome.events:
                self._tell(connection)
        if connection is not None:
            connection.close()

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

    def _commit(self, connection: Connection, commands: Sequence[Any]) -> tuple[list[Any], Outcome]:
        """Decide and commit; once more when the engine certainly took the first try back. Raises what is left."""
        for attempt in range(1, COMMIT_TRIES + 1):
            number = next(self._numbers)
            done: list[tuple[list[Any], Outcome]] = []
            try:
                with connection.begin():
                    done.append(self._transact(connection, commands, number))
            except DBAPIError as error:
                connection.rollback()
                self._aliases = Aliases()
                if connection_lost(error):
                    log.warning("the connection to the database was lost: %s", error.orig)
                    if self._resolve(connection, number):
                        break
                elif not taken_back(error):
                    raise
                if attempt == COMMIT_TRIES:
                    raise
            except BaseException:
                connection.rollback()
                self._aliases = Aliases()
                raise
            else:
                break
        return done[0]

    def _transact(self, connection: Connection, commands: Sequence[Any], number: int) -> tuple[list[Any], Outcome]:
        turns = self._store.turns
        merchants = merchants_of(commands) if self._store.shared else None
        stored_ms = turns.take(connection, merchants)
        batch = Batch(connection, self._now(stored_ms), self._on_finish, turns.writer)
        self._aliases.read(connection)
        results = self._decide(batch, commands)
        outcome = batch.finish()
        turns.sign(connection, number, batch.now_ms)
        return results, outcome

    def _now(self, stored_ms: int | None) -> int:
        """The database's time, where several processes must agree on one; the clock's own for tests and SQLite."""
        local_ms = self._clock()
        if stored_ms is None or not self._database_time:
            return local_ms
        self._ahead_ms = stored_ms - local_ms
        return stored_ms

    def _resolve(self, connection: Connection, number: int) -> bool:
        """Whether a batch whose connection was lost is committed. Raises DBAPIError when nobody answers in time."""
        deadline = monotonic() + RESOLVE_S
        while True:
            try:
                with connection.begin():
                    return bool(self._store.turns.signed(connection, number))
            except DBAPIError:
                connection.rollback()
                if monotonic() >= deadline:
                    raise
            sleep(RESOLVE_PAUSE_S)

    def _tell(self, connection: Connection) -> None:
        try:
            self._store.turns.tell(connection)
        except DBAPIError as error:
            # They look by themselves a moment later.
            connection.rollback()
            log.warning("the other processes were not woken: %s", error.orig)

    def _give_out(self, requests: Sequence[Submitted], results: Sequence[Any], outcome: Outcome) -> None:
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
        commands = self._as_now(commands)
        while start < len(commands):
            kind = type(commands[start])
            end = start + 1
            if kind in _HOT:
                while end < len(commands) and type(commands[end]) is kind:
                    end += 1
                results += self._segment(batch, _HOT[kind], commands[start:end])
            else:
                results.append(self._rowwise(batch, self._handlers[kind], commands[start]))
                if getattr(results[-1], "aliases", None):
                    self._aliases.learn(results[-1].aliases)
                    commands = self._as_now(commands)
            start = end
        return results

    def _as_now(self, commands: Sequence[Any]) -> Sequence[Any]:
        """The commands as of who goes on by now: between asking and deciding, another process too may have merged."""
        return [_of_person(command, self._aliases.now) for command in commands] if self._aliases else commands

    def _segment(self, batch: Batch, run: Callable[[Batch, Any], list[Any]], commands: Sequence[Any]) -> list[Any]:
        events = len(batch.events)
        try:
            with batch.connection.begin_nested():
                return run(batch, commands)
        except (IntegrityError, DataError, LostHold) as error:
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
            if isinstance(error, DBAPIError) and not isinstance(error, IntegrityError | DataError):
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
            # By this process's own clock: a hint must not last because two clocks differ.
            ahead_ms = self._clock() - outcome.now_ms
            again_ms, lapses_ms = latch.again_ms + ahead_ms, latch.lapses_ms + ahead_ms
            self._latches[latch.scope] = replace(latch, again_ms=again_ms, lapses_ms=lapses_ms)
        for (_, future), result in zip(requests, results, strict=True):
            if future.done():
                continue
            if isinstance(result, CommerceError):
                future.set_exception(result)
            else:
                future.set_result(result)
        if outcome.events:
            self._on_events(outcome.events)


def _of_person(command: Any, now: Callable[[str], str]) -> Any:
    """The command for who goes on for its person."""
    person = getattr(command, "person", None)
    if person is None or (goes_on := now(person)) == person:
        return command
    change = structs.replace if isinstance(command, Struct) else replace
    return change(command, person=goes_on)


def _unable(error: Exception) -> CommerceError:
    """What a caller hears of a fault of ours; the log has the rest."""
    return CommerceError("internal", f"the request could not be decided ({type(error).__name__})")
