"""Batches of commands: decided in arrival order and committed in one synced transaction each, on one connection.

    BEGIN, the merchants' turn (turns_sql)
    segments in arrival order:
      runs of holds, runs of claims   (sets, ledger_hot_sql)
      anything else                   (one by one, a SAVEPOINT each)
    outbox rows ─▶ COMMIT (synced)

A command that fails takes only itself back. When the store itself fails (disk full, no turn within the time-out),
nothing of the batch is kept and each command is answered ``busy``. When the connection is lost, the database is asked
on a new one whether the batch had been committed: if so it is answered, if not it is run again, and if nobody answers
in time all are told ``busy``: a command's key tells, on the next try, whether it had been done after all.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import count
from time import monotonic, sleep
from typing import Any

from msgspec import Struct, structs
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

from commerce.draws_sql import run_entries
from commerce.errors import Busy, CommerceError
from commerce.events import Event
from commerce.holds_sql import LostHold
from commerce.identity.aliases import Aliases
from commerce.ledger import (
    BUSY_RETRY_MS,
    COMMIT_TRIES,
    RESOLVE_PAUSE_S,
    RESOLVE_S,
    Claim,
    Clock,
    Hold,
    merchants_of,
)
from commerce.ledger_batch_sql import Batch, Outcome
from commerce.ledger_hot_sql import run_claims, run_holds
from commerce.ledger_moments import Enter
from commerce.postgres_sql import connection_lost, taken_back
from commerce.store_sql import outside_fault
from commerce.turns_sql import Turns

log = logging.getLogger(__name__)

Handler = Callable[[Batch, Any], Any]
OnFinish = Callable[[Batch, Sequence[Event]], None]
HOT: Mapping[type, Callable[[Batch, Any], list[Any]]] = {Hold: run_holds, Claim: run_claims, Enter: run_entries}
"""What a rush is made of: runs of one kind are decided together."""


class BatchWriter:
    """Decide and commit batches, on one connection that belongs to whoever calls.

    ``handlers`` maps each row-wise command's type to its rule; ``on_finish`` writes what else belongs to the events of
    a batch, in its transaction. With ``database_time`` a shared database's clock decides; ``ahead_ms`` is how far it
    was before ``clock`` at the last batch.
    """

    def __init__(
        self,
        engine: Engine,
        turns: Turns,
        handlers: Mapping[type, Handler],
        *,
        clock: Clock,
        on_finish: OnFinish | None = None,
        database_time: bool = False,
    ) -> None:
        self.ahead_ms = 0
        self._engine = engine
        self._turns = turns
        self._handlers = handlers
        self._clock = clock
        self._on_finish = on_finish
        self._database_time = database_time
        self._connection: Connection | None = None
        self._numbers = count(1)
        # As of the last batch; begun anew when one was taken back.
        self._aliases = Aliases()

    def write(self, commands: Sequence[Any]) -> tuple[list[Any], Outcome]:
        """Answer each command by its result or a CommerceError, after a synced commit. Never raises an Exception."""
        try:
            if self._connection is None:
                self._connection = self._engine.connect()
            return self._commit(self._connection, commands)
        except Exception as error:
            # Whatever it was, the writer lives on and everybody is answered.
            if isinstance(error, DBAPIError) and outside_fault(error):
                log.error("a batch of %d commands was not committed: %s", len(commands), error.orig)
            else:
                log.exception("a batch of %d commands was not committed", len(commands))
            return [Busy("the store could not commit", BUSY_RETRY_MS) for _ in commands], Outcome()

    def tell(self) -> None:
        """Wake the other processes: there are events."""
        connection = self._connection
        if connection is None:
            return
        try:
            self._turns.tell(connection)
        except DBAPIError as error:
            # They look by themselves a moment later.
            connection.rollback()
            log.warning("the other processes were not woken: %s", error.orig)

    def close(self) -> None:
        """Give the connection back."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

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
        turns = self._turns
        # Others may write beside us only where processes have names.
        merchants = merchants_of(commands) if turns.writer is not None else None
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
        self.ahead_ms = stored_ms - local_ms
        return stored_ms

    def _resolve(self, connection: Connection, number: int) -> bool:
        """Whether a batch whose connection was lost is committed. Raises DBAPIError when nobody answers in time."""
        deadline = monotonic() + RESOLVE_S
        while True:
            try:
                with connection.begin():
                    return bool(self._turns.signed(connection, number))
            except DBAPIError:
                connection.rollback()
                if monotonic() >= deadline:
                    raise
            sleep(RESOLVE_PAUSE_S)

    def _decide(self, batch: Batch, commands: Sequence[Any]) -> list[Any]:
        results: list[Any] = []
        start = 0
        commands = self._as_now(commands)
        while start < len(commands):
            kind = type(commands[start])
            end = start + 1
            if kind in HOT:
                while end < len(commands) and type(commands[end]) is kind:
                    end += 1
                results += self._segment(batch, HOT[kind], commands[start:end])
            else:
                results.append(self._rowwise(batch, self._handlers[kind], commands[start]))
                if getattr(results[-1], "aliases", None):
                    self._aliases.learn(results[-1].aliases)
                    commands = self._as_now(commands)
            start = end
        return results

    def _as_now(self, commands: Sequence[Any]) -> Sequence[Any]:
        """The commands as of who goes on by now: between asking and deciding, another process too may have merged."""
        return [of_person(command, self._aliases.now) for command in commands] if self._aliases else commands

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


def of_person(command: Any, now: Callable[[str], str]) -> Any:
    """The command for who goes on for its person."""
    person = getattr(command, "person", None)
    if person is None or (goes_on := now(person)) == person:
        return command
    change = structs.replace if isinstance(command, Struct) else replace
    return change(command, person=goes_on)


def _unable(error: Exception) -> CommerceError:
    """What a caller hears of a fault of ours; the log has the rest."""
    return CommerceError("internal", f"the request could not be decided ({type(error).__name__})")
