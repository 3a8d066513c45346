"""The group-commit ledger: commands from the loop, decided and committed on one thread, answered in one go.

    loop thread                              writer thread (owns one connection)
    submit ─▶ bounded queue ───────────────▶ gather ≤ 2 ms ─▶ BatchWriter.write
    futures, latches, events ◀── one call_soon_threadsafe ──┘

A future is resolved only after the commit that holds its effect has been synced.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from queue import Empty, SimpleQueue
from time import monotonic, sleep
from typing import Any

from commerce.batch_writer_sql import HOT, BatchWriter, Handler, OnFinish
from commerce.events import Event
from commerce.ledger import (
    BATCH_REQUESTS_MAX,
    BATCH_ROWWISE_MAX,
    GATHER_MS,
    GIVE_WAY_EVERY_S,
    GIVE_WAY_S,
    REQUESTS_WAITING_MAX,
    Clock,
)
from commerce.ledger_batch_sql import Outcome
from commerce.ledger_front_sql import LedgerFront, Submitted
from commerce.store_sql import Store

log = logging.getLogger(__name__)

_STOP: Any = object()


class GroupCommitLedger(LedgerFront):
    """A ``Ledger`` whose writer is a thread of this process, on one writing connection of a store."""

    def __init__(
        self,
        store: Store,
        handlers: Mapping[type, Handler],
        *,
        clock: Clock,
        on_events: Callable[[Sequence[Event]], None],
        on_finish: OnFinish | None = None,
        requests_waiting_max: int = REQUESTS_WAITING_MAX,
        database_time: bool = False,
        now_person: Callable[[str], str] = str,
    ) -> None:
        super().__init__(
            handlers,
            clock=clock,
            on_events=on_events,
            requests_waiting_max=requests_waiting_max,
            now_person=now_person,
        )
        self._writer = BatchWriter(
            store.writer,
            store.turns,
            handlers,
            clock=lambda: self._clock(),
            on_finish=on_finish,
            database_time=database_time,
        )
        self._queue: SimpleQueue[Submitted] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._crowded = False
        self._looking: asyncio.TimerHandle | None = None
        self._seen = 0

    @property
    def ahead_ms(self) -> int:
        """See LedgerFront."""
        return self._writer.ahead_ms

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

    @property
    def _open(self) -> bool:
        return self._thread is not None

    def _put(self, command: Any, future: "asyncio.Future[Any]") -> None:
        self._queue.put((command, future))
        if self._looking is None and self._loop is not None:
            self._seen = self.batches
            self._looking = self._loop.call_later(GIVE_WAY_EVERY_S, self._look)

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

    # --- the writer's thread -------------------------------------------------------------------------------------

    def _run(self) -> None:
        going = True
        while going:
            requests, going = self._gather()
            if not requests:
                continue
            results, outcome = self._writer.write([command for command, _ in requests])
            self._give_out(requests, results, outcome)
            if outcome.events:
                self._writer.tell()
        self._writer.close()

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
            rowwise += type(command) not in HOT
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

    def _give_out(self, requests: Sequence[Submitted], results: Sequence[Any], outcome: Outcome) -> None:
        self.batches += 1
        self.commands += len(requests)
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(self._answer, requests, results, outcome)
        except RuntimeError:
            log.warning("the loop closed before %d committed commands were answered", len(requests))
