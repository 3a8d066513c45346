"""What was committed, by this process and by others, read from the outbox they share (PostgreSQL).

Rows get their number when they are written and become visible when they are committed, so a lower number may appear
after a higher one. The follower therefore keeps the numbers that it has not seen below the highest that it has: each is
looked for again until it shows up, or until no transaction can be that old any more. So nothing is skipped, nothing is
told twice, and no long transaction elsewhere holds anything up. The events of one merchant come in the order of their
commits: whoever writes them has the merchant's turn until the commit, and so do the numbers.

A NOTIFY after each commit wakes it; without one it looks by itself.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any

import orjson
from sqlalchemy import Connection, Row, text
from sqlalchemy.exc import DBAPIError

from commerce.events import Event
from commerce.outbox_sql import Heard, as_event
from commerce.store_sql import Store
from commerce.turns_sql import CHANNEL

log = logging.getLogger(__name__)

POLL_S = 0.25
"""How often the table is read when nobody wakes us: what a lost NOTIFY costs at most."""
READ_MAX = 2_000
"""Rows of one read."""
MISSING_MAX = 20_000
"""Numbers looked for again: those of some 20 batches that were rolled back or are on their way."""
MISSING_S = 60.0
"""How long a number is looked for: several times as long as the server lets a transaction of ours last."""
LOOK_BACK = 1_000
"""At the start, so many numbers below the highest are taken for ones that may still be on their way."""
RECONNECT_S = 0.5
CAUGHT_UP_S = 5.0
TAKEN_S = 30.0
"""How long the loop may take over one read before it is told more anyway."""

_HIGHEST = text("SELECT coalesce(max(seq), 0) FROM outbox")
_THERE = text("SELECT seq FROM outbox WHERE seq > :low AND seq <= :high")
_ROW = "SELECT seq, id, type, body, coalesce(writer, '') AS writer FROM outbox WHERE"
_READ = text(f"{_ROW} seq > :high ORDER BY seq LIMIT :limit")
_READ_LATE = text(
    f"{_ROW} seq = ANY (ARRAY(SELECT CAST(value AS bigint)"  # noqa: S608 - constants
    " FROM jsonb_array_elements_text(CAST(:missing AS jsonb)) AS r(value))) ORDER BY seq LIMIT :limit"
)


class Seen:
    """Which numbers of a growing table were read: all up to ``high`` but the missing ones."""

    def __init__(self, high: int, missing: Sequence[int], now_s: float) -> None:
        self.high = high
        self._missing = dict.fromkeys(missing, now_s)

    @property
    def missing(self) -> list[int]:
        """Numbers to look for again."""
        return list(self._missing)

    def read(self, numbers: Sequence[int], now_s: float) -> None:
        """Take note of rows that were read, in rising order; forget what has been missing for too long."""
        for number in numbers:
            if number <= self.high:
                self._missing.pop(number, None)
                continue
            # A crash of the server skips numbers in the dozens; more than we look for cannot be on their way.
            for gone in range(max(self.high + 1, number - MISSING_MAX), number):
                self._missing[gone] = now_s
            self.high = number
        for number, since_s in list(self._missing.items()):
            if now_s - since_s <= MISSING_S and len(self._missing) <= MISSING_MAX:
                break
            del self._missing[number]


class OutboxFollower:
    """A thread that hands the events of a shared store's other processes to the loop."""

    def __init__(self, store: Store, on_events: Callable[[Sequence[tuple[Event, Heard]]], None]) -> None:
        self._store = store
        self._writer = store.turns.writer
        self._on_events = on_events
        self._going = True
        self._told = 0
        self._waiting: list[tuple[int, asyncio.Event]] = []
        self._seen: Seen | None = None
        self._ready = threading.Event()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin; returns when every event committed from now on will be heard of. Raises TimeoutError."""
        self._loop = loop
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)
        self._thread.start()
        if not await loop.run_in_executor(None, self._ready.wait, TAKEN_S):
            raise TimeoutError("the outbox cannot be read")

    async def caught_up(self) -> bool:
        """Wait until all that is committed now was told of; whether that came in time."""
        high = await self._store.read(lambda connection: int(connection.execute(_HIGHEST).scalar_one()))
        if self._told >= high:
            return True
        there = asyncio.Event()
        self._waiting.append((high, there))
        try:
            async with asyncio.timeout(CAUGHT_UP_S):
                await there.wait()
        except TimeoutError:
            return False
        finally:
            self._waiting.remove((high, there))
        return True

    async def close(self) -> None:
        """End the thread."""
        self._going = False
        if self._thread is not None:
            await asyncio.get_running_loop().run_in_executor(None, self._end, self._thread)

    def _end(self, thread: threading.Thread) -> None:
        try:
            with self._store.writer.connect() as connection:
                self._store.turns.tell(connection)
        except DBAPIError as error:
            log.info("the follower ends at its next look: %s", error.orig)
        thread.join()

    def _run(self) -> None:
        pause = threading.Event()
        while self._going:
            try:
                with self._store.session() as connection:
                    connection.exec_driver_sql(f"LISTEN {CHANNEL}")
                    self._follow(connection)
            except DBAPIError as error:
                log.warning("the outbox cannot be read, will try again: %s", error.orig)
                pause.wait(RECONNECT_S)
            except Exception:
                # Without this thread the rooms of this process would stand still: it goes on, and says so.
                log.exception("the outbox was not read, will try again")
                pause.wait(RECONNECT_S)

    def _follow(self, connection: Connection) -> None:
        if self._seen is None:
            self._seen = self._begin(connection)
        self._ready.set()
        driver: Any = connection.connection.dbapi_connection
        while self._going:
            while self._read(connection, self._seen):
                pass
            for _ in driver.notifies(timeout=POLL_S, stop_after=1):
                pass

    def _begin(self, connection: Connection) -> Seen:
        high = int(connection.execute(_HIGHEST).scalar_one())
        low = max(0, high - LOOK_BACK)
        there = set(connection.execute(_THERE, {"low": low, "high": high}).scalars())
        self._told = high
        return Seen(high, [number for number in range(low + 1, high + 1) if number not in there], monotonic())

    def _read(self, connection: Connection, seen: Seen) -> bool:
        """Read once and hand over; whether there may be more."""
        rows: list[Row[Any]] = []
        if seen.missing:
            late = {"missing": orjson.dumps(seen.missing).decode(), "limit": READ_MAX}
            rows += connection.execute(_READ_LATE, late).all()
        rows += connection.execute(_READ, {"high": seen.high, "limit": READ_MAX}).all()
        seen.read([row.seq for row in rows], monotonic())
        told = [
            (event, Heard.OWN if row.writer == self._writer else Heard.OTHERS)
            for row in rows
            if (event := as_event(row)) is not None
        ]
        if rows and self._loop is not None:
            taken = threading.Event()
            self._loop.call_soon_threadsafe(self._hand_over, told, seen.high, taken)
            taken.wait(TAKEN_S)
        return len(rows) >= READ_MAX

    def _hand_over(self, told: Sequence[tuple[Event, Heard]], high: int, taken: threading.Event) -> None:
        try:
            if self._going:
                self._on_events(told)
        finally:
            self._told = high
            for wanted, there in self._waiting:
                if wanted <= high:
                    there.set()
            taken.set()
