"""What the sandbox provider remembers over a restart: a line of JSON for each change of a payment; the last one counts.

A real provider keeps its books at its own place; this one is for trials, so its file is written without a sync and a
power cut may take the last lines. Several processes may keep one book: whoever writes holds a lock on the file beside
it, and reads what the others wrote by `news`. When it has grown it is written anew without what is superseded.
"""

import contextlib
import fcntl
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

log = logging.getLogger(__name__)

SANDBOX_FILE = "sandbox.jsonl"
LINE_BYTES_MAX = 16_384
"""A payment with its refunds has some hundred bytes; what is longer is not ours."""
LINES_A_PAYMENT = 4
"""Lines for each payment that may be remembered before the file is written anew: started, decided, two refunds."""
LOCK_S = 1.0
"""Longest wait for another process: it holds the lock for one line, or while it writes the file anew."""
LOCK_PAUSE_S = 0.001

Entry = dict[str, Any]


class SandboxBook:
    """The file at ``path``; ``payments_max`` payments are remembered."""

    def __init__(self, path: Path, *, payments_max: int) -> None:
        self._path = path
        self._payments_max = payments_max
        self._file: int | None = None
        self._read = 0
        self._lines = 0
        self._failed = False
        self._lock = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def news(self) -> list[Entry]:
        """The last entry of each payment that was told of since the last call, in order of their first.

        Lines that a crash cut short are left out.
        """
        try:
            return self._unread()
        except OSError as error:
            self._complain(error)
            return []

    def _unread(self) -> list[Entry]:
        file = self._newest()
        size = os.fstat(file).st_size
        if size <= self._read:
            return []
        data = os.pread(file, size - self._read, self._read)
        # What another process is writing at this moment is read the next time.
        data = data[: data.rfind(b"\n") + 1]
        self._read += len(data)
        lines = data.split(b"\n")[:-1]
        self._lines += len(lines)
        entries: dict[str, Entry] = {}
        for line in lines:
            _take(line, entries)
        return list(entries.values())

    def write(self, entry: Entry) -> None:
        """Append the state of a payment. A disk that refuses is told of once: trials go on, and forget."""
        try:
            with self._turn():
                if self._lines >= self._payments_max * LINES_A_PAYMENT:
                    self._compact()
                self._append(orjson.dumps(entry) + b"\n")
        except (OSError, TimeoutError) as error:
            self._complain(error)

    def _complain(self, error: Exception) -> None:
        if not self._failed:
            log.warning("the sandbox cannot keep its payments over a restart: %s", error)
        self._failed = True

    def _append(self, line: bytes) -> None:
        file = self._newest()
        size = os.fstat(file).st_size
        # A crash may have cut the last line short: it must not take this one with it.
        data = b"\n" + line if size and os.pread(file, 1, size - 1) != b"\n" else line
        if os.write(file, data) < len(data):
            raise OSError("the disk is full")
        if self._read == size and data is line:
            # Nobody else has written since: there is no news in it.
            self._read += len(line)
            self._lines += 1

    def compact(self) -> None:
        """Write the file anew without what is superseded; whole or not at all. Raises OSError and TimeoutError."""
        with self._turn():
            self._compact()

    def close(self) -> None:
        """Let the files go."""
        for file in (self._file, self._lock):
            if file is not None:
                os.close(file)
        self._file, self._lock = None, -1

    def _newest(self) -> int:
        """The file that the path names now: another process may have written it anew."""
        if self._file is not None:
            with contextlib.suppress(FileNotFoundError):
                if os.fstat(self._file).st_ino == self._path.stat().st_ino:
                    return self._file
            os.close(self._file)
            self._file = None
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._read = self._lines = 0
        return self._file

    def _compact(self) -> None:
        self._newest()
        entries: dict[str, Entry] = {}
        with self._path.open("rb") as file:
            for line in file:
                _take(line, entries)
        part = self._path.with_name(self._path.name + ".part")
        kept = list(entries.values())[-self._payments_max :]
        with part.open("wb") as file:
            part.chmod(0o600)
            file.writelines(orjson.dumps(entry) + b"\n" for entry in kept)
        part.replace(self._path)

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        deadline = time.monotonic() + LOCK_S
        while True:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise TimeoutError("another process does not let go of the sandbox's book") from None
                time.sleep(LOCK_PAUSE_S)
        try:
            yield
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)


def _take(line: bytes, entries: dict[str, Entry]) -> None:
    if not line.strip():
        return
    try:
        if len(line) > LINE_BYTES_MAX:
            raise ValueError(len(line))
        entry = orjson.loads(line)
        entries[str(entry["payment"])] = entry
    except (KeyError, TypeError, ValueError):
        log.warning("a line of the sandbox's book cannot be read and is left out")
