"""The ledger with its writer as a process of its own: it has an interpreter, and a core if there is one, to itself.

    loop's process                             writer's process (ledger_writer)
    submit ─▶ what a turn of the loop asks ──▶ gather ≤ 2 ms ─▶ BatchWriter.write
    futures, latches, events ◀── one message for a batch ──┘
    rare writers' threads ── a pause between two batches ──▶ rests

Should that process end, all who wait are answered ``busy``: a command's key tells, on the next try, whether it had been
done. Another is started, and what the old one committed and could not tell is told from the outbox. While ours lives it
keeps the folder's lock with us, so nobody else writes before it has ended, even if we are gone.
"""

import asyncio
import logging
import os
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Container, Sequence
from itertools import count
from pathlib import Path
from time import monotonic
from typing import Any

import commerce
from commerce.errors import Busy
from commerce.events import Event
from commerce.ledger import BUSY_RETRY_MS, REQUESTS_WAITING_MAX, Clock
from commerce.ledger_batch_sql import Outcome
from commerce.ledger_front_sql import LedgerFront
from commerce.ledger_wire import ASK, GRANT, PAUSE, READ_BYTES, RESUME, Answers, Hello, Unpacker, packed
from commerce.store_sql import Store

log = logging.getLogger(__name__)

GRANT_S = 10.0
"""How long a rare writer waits for the end of a batch; then it relies on the file's own lock."""
CLOSE_S = 30.0
"""How long the writer may take for what is queued when we end; then it is killed, and its callers' keys tell."""
ENDING_S = 1.0
"""How long a writer that has closed its sockets may take to be gone."""
RESTART_S = 0.1
RESTART_S_MAX = 5.0
"""Between the end of one writer and the start of the next: doubled each time, until one has lived for a minute."""
LIVED_S = 60.0


class ProcessLedger(LedgerFront):
    """A ``Ledger`` whose writer is another process; ``on_loss`` is called on the loop when one was replaced."""

    def __init__(
        self,
        store: Store,
        kinds: Container[type],
        *,
        clock: Clock,
        on_events: Callable[[Sequence[Event]], None],
        on_loss: Callable[[], None],
        requests_waiting_max: int = REQUESTS_WAITING_MAX,
        database_time: bool = False,
        now_person: Callable[[str], str] = str,
    ) -> None:
        super().__init__(
            kinds,
            clock=clock,
            on_events=on_events,
            requests_waiting_max=requests_waiting_max,
            now_person=now_person,
        )
        if store.place is None:
            raise ValueError("another process cannot write to this store")
        self._hello = Hello(store.place, database_time)
        self._store = store
        self._on_loss = on_loss
        self._ahead_ms = 0
        self._asked: list[Any] = []
        self._futures: deque[tuple[Any, asyncio.Future[Any]]] = deque()
        self._writer: _Writer | None = None
        self._restart: asyncio.TimerHandle | None = None
        self._restart_s = RESTART_S
        self._closing = False
        self._pauses = Pauses()

    @property
    def ahead_ms(self) -> int:
        """See LedgerFront."""
        return self._ahead_ms

    @property
    def pid(self) -> int | None:
        """The writer's process."""
        return None if self._writer is None else self._writer.process.pid

    @property
    def _open(self) -> bool:
        return self._writer is not None and not self._closing

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start the writer; answers go to ``loop``."""
        self._loop = loop
        if self._store.turnstile is not None:
            self._store.turnstile.before, self._store.turnstile.after = self._pauses.ask, self._pauses.end
        self._begin()

    def _begin(self) -> None:
        assert self._loop is not None
        self._restart = None
        lock = self._store.lock
        writer = self._writer = _Writer(self._loop, self._heard, self._lost, [] if lock is None else [lock.descriptor])
        writer.send(packed(self._hello))

    async def close(self) -> None:
        """Refuse new commands, have all that are queued committed and answered, end the writer."""
        self._closing = True
        if self._restart is not None:
            self._restart.cancel()
        writer = self._writer
        if writer is not None:
            self._flush()
            writer.finish()
            await asyncio.wait([writer.ended], timeout=CLOSE_S)
            if not writer.ended.done():
                log.error("the ledger's process did not end within %d s and is killed", CLOSE_S)
                writer.process.kill()
                await writer.ended
        if self._store.turnstile is not None:
            self._store.turnstile.before = self._store.turnstile.after = None

    def _put(self, command: Any, future: "asyncio.Future[Any]") -> None:
        self._futures.append((command, future))
        if not self._asked:
            # At the end of this turn: what it asks goes in one message.
            assert self._loop is not None
            self._loop.call_soon(self._flush)
        self._asked.append(command)

    def _flush(self) -> None:
        asked, self._asked = self._asked, []
        if asked and self._writer is not None:
            self._writer.send(packed(asked))

    def _heard(self, answers: Answers) -> None:
        for line in answers.said:
            logging.getLogger(line.logger).log(line.level, "%s", line.text)
        if not answers.results and self._writer is not None:
            # From now on it writes.
            self._pauses.use(self._writer.pauses)
            return
        self._ahead_ms = answers.ahead_ms
        self.batches += 1
        self.commands += len(answers.results)
        requests = [self._futures.popleft() for _ in answers.results]
        self._answer(requests, answers.results, answers.outcome)

    def _lost(self, status: int, lived_s: float) -> None:
        """Answer all who wait, and start another writer."""
        self._writer = None
        self._pauses.use(None)
        self._asked.clear()
        requests, self._futures = list(self._futures), deque()
        if requests or not self._closing:
            log.error("the ledger's process ended (%d) with %d commands unanswered", status, len(requests))
        self._latches.clear()
        gone = Busy("the ledger's process ended; ask again with the same key", BUSY_RETRY_MS)
        self._answer(requests, [gone] * len(requests), Outcome())
        if self._closing or self._loop is None:
            return
        self.losses += 1
        self._restart_s = RESTART_S if lived_s > LIVED_S else min(RESTART_S_MAX, 2 * self._restart_s)
        self._restart = self._loop.call_later(self._restart_s, self._again)

    def _again(self) -> None:
        self._begin()
        self._on_loss()


class _Writer:
    """One process that writes, and the loop's ends of its sockets."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        heard: Callable[[Answers], None],
        lost: Callable[[int, float], None],
        kept: Sequence[int],
    ) -> None:
        self.ended: asyncio.Future[None] = loop.create_future()
        self._loop = loop
        self._heard = heard
        self._lost = lost
        self._unpacker = Unpacker()
        self._out = bytearray()
        self._finishing = False
        self._over = False
        self._began_s = monotonic()
        self._messages, theirs = socket.socketpair()
        self.pauses, their_pauses = socket.socketpair()
        self._messages.setblocking(False)
        with theirs, their_pauses:
            descriptors = (theirs.fileno(), their_pauses.fileno())
            root = str(Path(commerce.__file__).parents[1])
            path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
            self.process = subprocess.Popen(  # noqa: S603 - this program again
                [sys.executable, "-m", "commerce.ledger_writer", *map(str, descriptors)],
                stdin=subprocess.DEVNULL,
                pass_fds=(*descriptors, *kept),
                env={**os.environ, "PYTHONPATH": path},
            )
        loop.add_reader(self._messages, self._read)

    def send(self, data: bytes) -> None:
        """Send a message; what the socket does not take now goes when it does. The front bounds all that waits."""
        if self._over:
            return
        empty = not self._out
        self._out += data
        if empty:
            self._write()

    def _write(self) -> None:
        try:
            del self._out[: self._messages.send(self._out)]
        except BlockingIOError:
            pass
        except OSError as error:
            # Its end is read in a moment.
            log.warning("the ledger's process does not listen: %s", error)
            self._out.clear()
        if self._out:
            self._loop.add_writer(self._messages, self._write)
            return
        self._loop.remove_writer(self._messages)
        if self._finishing:
            self._messages.shutdown(socket.SHUT_WR)

    def finish(self) -> None:
        """Let it end when it has answered all."""
        self._finishing = True
        if not self._out and not self._over:
            self._messages.shutdown(socket.SHUT_WR)

    def _read(self) -> None:
        try:
            data = self._messages.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            log.warning("the ledger's process was not heard: %s", error)
            data = b""
        try:
            for answers in self._unpacker.feed(data):
                self._heard(answers)
        finally:
            if not data:
                self._end()

    def _end(self) -> None:
        self._over = True
        self._loop.remove_reader(self._messages)
        self._loop.remove_writer(self._messages)
        self._messages.close()
        self.pauses.close()
        self._loop.run_in_executor(None, self._status).add_done_callback(self._gone)

    def _status(self) -> int:
        """How it ended, on a thread: it has closed its sockets, so it is ending, or beyond help."""
        try:
            return self.process.wait(ENDING_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def _gone(self, status: "asyncio.Future[int]") -> None:
        self._lost(status.result(), monotonic() - self._began_s)
        self.ended.set_result(None)


class Pauses:
    """Turns for the threads of this process that write to the writer's file; the turnstile lets one at a time ask."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._socket: socket.socket | None = None
        self._numbers = count(1)
        self._number = 0

    def use(self, to: socket.socket | None) -> None:
        """Ask this writer from now on."""
        with self._guard:
            self._socket = to

    def ask(self) -> None:
        """Wait until the writer rests between two batches; some seconds at most."""
        with self._guard:
            to = self._socket
        if to is None:
            return
        # Ended even when it was not granted in time: it may be granted later.
        number = self._number = next(self._numbers)
        try:
            to.settimeout(GRANT_S)
            to.sendall(PAUSE.pack(ASK, number))
            while True:
                data = to.recv(PAUSE.size, socket.MSG_WAITALL)
                if len(data) < PAUSE.size or PAUSE.unpack(data) == (GRANT, number):
                    return
        except OSError as error:
            # It is busy for long, or gone: the file's own lock decides.
            log.warning("the ledger's process did not rest: %s", error)

    def end(self) -> None:
        """Let the writer go on."""
        with self._guard:
            to = self._socket
        if to is None or not self._number:
            return
        try:
            to.sendall(PAUSE.pack(RESUME, self._number))
        except OSError as error:
            log.warning("the ledger's process was not told to go on: %s", error)
        self._number = 0
