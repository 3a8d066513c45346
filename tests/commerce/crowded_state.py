"""What a run of the interleaver left, as a digest: a state that was brought to rest once need not be so again.

Two orders of steps that commute leave the same rows, and so does a killed operation that had changed nothing. For that
the runs' chance must be no chance: each operation draws its ids from a stream of its own, whoever goes before it.
"""

import os
import random
import re
import secrets
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from hashlib import blake2b
from typing import Any
from unittest.mock import patch

from sqlalchemy import Engine, event

ORDER_COLUMNS = {"outbox": ("seq",)}
"""Numbers that say which row came first, and no more."""
_WRITES = re.compile(r"\b(?:INSERT (?:OR \w+ )?INTO|UPDATE(?: OR \w+)?|DELETE FROM|REPLACE INTO)\s+\"?(\w+)", re.I)
_NO_TABLES = {"set", "of"}
"""What stands there in ``DO UPDATE SET`` and ``FOR UPDATE OF``."""


class Streams:
    """Chance that is none: a stream of it for each name, the same in every run."""

    def __init__(self, name: Callable[[], str]) -> None:
        self._name = name
        self._sources: dict[str, random.Random] = {}

    @property
    def _source(self) -> random.Random:
        name = self._name()
        if name not in self._sources:
            self._sources[name] = random.Random(name)
        return self._sources[name]

    @contextmanager
    def instead(self) -> Iterator[None]:
        """Let the program draw from these."""
        with ExitStack() as stack:
            for where, name, draw in (
                (secrets, "token_bytes", lambda size=32: self._source.randbytes(size)),
                (secrets, "token_hex", lambda size=32: self._source.randbytes(size).hex()),
                (secrets, "randbelow", lambda most: self._source.randrange(most)),
                (secrets, "randbits", lambda bits: self._source.getrandbits(bits)),
                (os, "urandom", lambda size: self._source.randbytes(size)),
            ):
                stack.enter_context(patch.object(where, name, draw))
            yield


@cache
def tables_of(statement: str) -> frozenset[str]:
    """Tables that a statement may write."""
    return frozenset(name.lower() for name in _WRITES.findall(statement)) - _NO_TABLES


class Written:
    """Which tables were written through an engine since ``clear``."""

    def __init__(self, engine: Engine) -> None:
        self.tables: set[str] = set()

        @event.listens_for(engine, "before_cursor_execute")
        def _before(_c: Any, _cursor: Any, statement: str, _p: Any, _context: Any, _many: Any) -> None:
            self.tables |= tables_of(statement)

    def clear(self) -> None:
        """Begin anew."""
        self.tables.clear()


@cache
def _columns(table: str, names: tuple[str, ...]) -> str:
    left_out = ORDER_COLUMNS.get(table, ())
    return ", ".join(f'"{name}"' for name in names if name not in left_out)


def rows_of(db: sqlite3.Connection, columns: Mapping[str, tuple[str, ...]], tables: Sequence[str]) -> list[Any]:
    """All rows of these tables, in an order of their own."""
    return [
        sorted(map(repr, db.execute(f"SELECT {_columns(name, columns[name])} FROM {name}").fetchall()))
        for name in tables
    ]


def digest(*parts: Any) -> bytes:
    """One number for all of it."""
    return blake2b(repr(parts).encode(), digest_size=16).digest()
