"""The ledger's writer as a process: ``python -m commerce.ledger_writer MESSAGES PAUSES`` (two open sockets).

It decides and commits what the loop's process sends, batch by batch, and answers. It ends when that process closes the
socket, or is gone: signals are for the other one, which waits for our answers before it ends.
"""

import gc
import logging
import select
import signal
import socket
import sys
import time
import traceback
from collections import deque
from collections.abc import Sequence
from time import monotonic
from typing import Any

from commerce.batch_writer_sql import HOT, BatchWriter
from commerce.handlers_sql import HANDLERS, ON_FINISH
from commerce.ledger import BATCH_REQUESTS_MAX, BATCH_ROWWISE_MAX, GATHER_MS
from commerce.ledger_batch_sql import Outcome
from commerce.ledger_wire import ASK, GRANT, PAUSE, PAUSE_S, READ_BYTES, Answers, Hello, Said, Unpacker, packed

SAID_MAX = 200
"""Lines of the log kept until the next answer; of more only the count is told."""
YOUNG_OBJECTS = 100_000
"""Objects between two looks of the collector: a batch makes some thousands and leaves none."""


class Teller(logging.Handler):
    """Keep the log's lines for the process that has a log."""

    def __init__(self) -> None:
        super().__init__()
        self._said: list[Said] = []
        self._lost = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line, with its traceback."""
        if len(self._said) >= SAID_MAX:
            self._lost += 1
            return
        text = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            text += "\n" + "".join(traceback.format_exception(record.exc_info[1]))
        self._said.append(Said(record.name, record.levelno, text))

    def take(self) -> list[Said]:
        """What was said since the last time."""
        said, self._said = self._said, []
        if self._lost:
            said.append(Said(__name__, logging.WARNING, f"{self._lost} more lines were not kept"))
            self._lost = 0
        return said


class Writer:
    """One turn after the other: take what was sent, write it, answer; rest when asked to."""

    def __init__(self, messages: socket.socket, pauses: socket.socket, teller: Teller) -> None:
        self._messages = messages
        self._pauses = pauses
        self._teller = teller
        self._unpacker = Unpacker()
        self._waiting: deque[Any] = deque()
        self._open = True
        self._crowded = False

    def run(self) -> None:
        """Write until the other end closes and all it sent is answered."""
        hello = None
        while hello is None and self._listen(None):
            hello = self._waiting.popleft() if self._waiting else None
        if not isinstance(hello, Hello):
            return
        engine, turns = hello.place.open()
        writer = BatchWriter(
            engine,
            turns,
            HANDLERS,
            clock=lambda: time.time_ns() // 1_000_000,
            on_finish=ON_FINISH,
            database_time=hello.database_time,
        )
        self._messages.sendall(packed(Answers([], Outcome(), 0, [])))
        while commands := self._gather():
            results, outcome = writer.write(commands)
            self._messages.sendall(packed(Answers(results, outcome, writer.ahead_ms, self._teller.take())))
            if outcome.events:
                writer.tell()
        writer.close()
        engine.dispose()

    def _gather(self) -> Sequence[Any]:
        """Wait for commands; give those that came, in order; none: all is done."""
        waiting = self._waiting
        while self._listen(0 if waiting else None) and not waiting:
            pass
        # As the thread does: a lone command is not kept waiting; after a batch that had company, more is expected.
        deadline = monotonic() + (GATHER_MS / 1000 if self._crowded else 0)
        while self._open and len(waiting) < BATCH_REQUESTS_MAX and (rest := deadline - monotonic()) > 0:
            self._listen(rest)
        batch: list[Any] = []
        rowwise = 0
        while waiting and len(batch) < BATCH_REQUESTS_MAX and rowwise < BATCH_ROWWISE_MAX:
            batch.append(waiting.popleft())
            rowwise += type(batch[-1]) not in HOT
        self._crowded = len(batch) > 1
        return batch

    def _listen(self, seconds: float | None) -> bool:
        """Take what comes within so long (None: until something does); whether the other end is there."""
        sockets = [self._messages, self._pauses] if self._open else []
        if not sockets:
            return False
        ready, _, _ = select.select(sockets, [], [], seconds)
        if self._pauses in ready:
            self._rest()
        if self._messages in ready:
            data = self._messages.recv(READ_BYTES)
            self._open = bool(data)
            for message in self._unpacker.feed(data):
                self._waiting.extend(message if isinstance(message, list) else [message])
        return self._open

    def _rest(self) -> None:
        """Let somebody of the other process write."""
        verb, number = self._hear()
        if verb != ASK:
            return
        self._pauses.sendall(PAUSE.pack(GRANT, number))
        self._pauses.settimeout(PAUSE_S)
        try:
            while True:
                verb, ended = self._hear()
                if verb == b"" or ended == number:
                    return
        except TimeoutError:
            logging.getLogger(__name__).warning("a pause was not ended within %d s", PAUSE_S)
        finally:
            self._pauses.settimeout(None)

    def _hear(self) -> tuple[bytes, int]:
        data = self._pauses.recv(PAUSE.size, socket.MSG_WAITALL)
        if len(data) < PAUSE.size:
            self._open = False
            return b"", 0
        verb, number = PAUSE.unpack(data)
        return verb, number


def main(messages: int, pauses: int) -> None:
    """Write for whoever has the other ends of these descriptors."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    teller = Teller()
    logging.basicConfig(level=logging.INFO, handlers=[teller])
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS)
    try:
        Writer(socket.socket(fileno=messages), socket.socket(fileno=pauses), teller).run()
    except (BrokenPipeError, ConnectionResetError):
        # Nobody is there to be answered; what was asked for is committed, and a command's key tells.
        return


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
