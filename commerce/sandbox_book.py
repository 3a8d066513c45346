"""What the sandbox provider remembers over a restart: a line of JSON for each change of a payment; the last one counts.

A real provider keeps its books at its own place; this one is for trials, so its file is written without a sync and a
power cut may take the last lines. At the start it is read and written anew without what is superseded.
"""

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson

log = logging.getLogger(__name__)

SANDBOX_FILE = "sandbox.jsonl"
LINE_BYTES_MAX = 16_384
"""A payment with its refunds has some hundred bytes; what is longer is not ours."""
LINES_A_PAYMENT = 4
"""Lines for each payment that may be remembered before the file is written anew: started, decided, two refunds."""


class SandboxBook:
    """The file at ``path``; ``payments_max`` payments are remembered."""

    def __init__(self, path: Path, *, payments_max: int) -> None:
        self._path = path
        self._payments_max = payments_max
        self._lines = 0
        self._file: Any = None
        self._failed = False

    def load(self) -> list[dict[str, Any]]:
        """The last entry of each payment, oldest payment first; lines that a crash cut short are left out."""
        entries: dict[str, dict[str, Any]] = {}
        try:
            with self._path.open("rb") as file:
                while line := file.readline(LINE_BYTES_MAX):
                    self._read(line, entries)
        except FileNotFoundError:
            return []
        return list(entries.values())[-self._payments_max :]

    @staticmethod
    def _read(line: bytes, entries: dict[str, dict[str, Any]]) -> None:
        try:
            entry = orjson.loads(line)
            entries[str(entry["payment"])] = entry
        except (orjson.JSONDecodeError, KeyError, TypeError):
            log.warning("a line of the sandbox's book cannot be read and is left out")

    def compact(self, entries: Iterable[dict[str, Any]]) -> None:
        """Begin the file anew with ``entries``; whole or not at all."""
        self.close()
        part = self._path.with_name(self._path.name + ".part")
        lines = [orjson.dumps(entry) + b"\n" for entry in entries]
        with part.open("wb") as file:
            part.chmod(0o600)
            file.writelines(lines)
        part.replace(self._path)
        self._lines = len(lines)
        self._file = self._path.open("ab", buffering=0)

    @property
    def full(self) -> bool:
        """Whether it is time to write it anew."""
        return self._lines >= self._payments_max * LINES_A_PAYMENT

    def write(self, entry: dict[str, Any]) -> None:
        """Append the state of a payment. A disk that refuses is told of once: trials go on, and forget."""
        if self._file is None:
            return
        try:
            self._file.write(orjson.dumps(entry) + b"\n")
        except OSError as error:
            if not self._failed:
                log.warning("the sandbox cannot keep its payments over a restart: %s", error)
            self._failed = True
            return
        self._lines += 1

    def close(self) -> None:
        """Let the file go."""
        if self._file is not None:
            self._file.close()
            self._file = None
