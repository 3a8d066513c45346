"""The outbox's dispatcher: events that were committed reach every listener at least once (promise P13).

The fast path hands a batch's events over in memory right after its commit. The table is the truth: what was not marked
delivered (a crash in between, a listener that failed) is read again at the next start.

Where several processes share a database, all of them, also the one that committed, hear of events from the table, in
the order of commits (outbox_follow_sql): had each its own first, a room could end on a figure that was overtaken. And
each event has one process that answers for it (``outbox.writer``): the one that committed it. Should that end before it
marked the event delivered, whoever has the duty adopts the row (claimed by ``FOR UPDATE SKIP LOCKED``). So there are
listeners of everything, and listeners of what this process has to answer for.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from functools import partial
from typing import Any

import msgspec
import orjson
from sqlalchemy import Connection, Row, text

from commerce.events import EVENT_TYPES, Event

log = logging.getLogger(__name__)

Listener = Callable[[Event], None]
Answerer = Callable[[Event], "asyncio.Future[Any] | None"]
"""May give a future: the event is delivered when that is done, and told again when it fails."""

UNDELIVERED_READ_MAX = 10_000
"""Rows read back in one go after a crash."""
RETRIES_WAITING_MAX = 1_000
"""Events kept for another try because a listener failed; past it they wait in the table for the next start."""
TRIES_MAX = 5
"""After so many failures an event waits in the table for the next start."""

ADOPT_AFTER_MS = 15_000
"""An event that nobody marked for so long has lost its process: marks come every second, or at a drain's end."""
ADOPTED_MAX = 500
"""Events adopted in one sweep."""

_ADOPT = text(
    "UPDATE outbox SET writer = :writer WHERE seq IN (SELECT seq FROM outbox WHERE delivered_ms IS NULL"
    " AND created_ms <= :before AND writer IS DISTINCT FROM :writer ORDER BY seq LIMIT :limit FOR UPDATE SKIP LOCKED)"
    " RETURNING seq, id, type, body"
)
_UNDELIVERED = text("SELECT id, type, body FROM outbox WHERE delivered_ms IS NULL ORDER BY seq LIMIT :limit")


def read_undelivered(connection: Connection) -> list[Event]:
    """Events that were committed but not marked delivered, oldest first. Types of a newer program are skipped."""
    return as_events(connection.execute(_UNDELIVERED, {"limit": UNDELIVERED_READ_MAX}))


def adopt(connection: Connection, writer: str, now_ms: int) -> list[Event]:
    """Events whose process ended before it told of them, oldest first; from now on ``writer`` answers for them."""
    asked = {"writer": writer, "before": now_ms - ADOPT_AFTER_MS, "limit": ADOPTED_MAX}
    return as_events(sorted(connection.execute(_ADOPT, asked).all(), key=lambda row: int(row.seq)))


def as_events(rows: Iterable[Row[Any]]) -> list[Event]:
    """Rows with id, type and body as events; types of a newer program are skipped."""
    return [event for row in rows if (event := as_event(row)) is not None]


def as_event(row: Row[Any]) -> Event | None:
    """One row as an event; None for a type of a newer program."""
    kind = EVENT_TYPES.get(row.type)
    if kind is None:
        log.warning("the outbox holds an event of unknown type %s", row.type)
        return None
    return msgspec.convert(orjson.loads(row.body), kind)


class Heard(Enum):
    """Why this process hears of an event: it committed it, another did, or it answers for one that another left."""

    OWN = "own"
    OTHERS = "others"
    ADOPTED = "adopted"


class Dispatcher:
    """Calls listeners, and remembers which events are to be marked delivered."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []
        self._answering: list[Answerer] = []
        self._delivered: list[str] = []
        self._retries: dict[str, tuple[Event, int, Heard]] = {}

    def listen(self, listener: Listener) -> None:
        """Call ``listener`` with each event from now on, on the loop's thread; it must not block."""
        self._listeners.append(listener)

    def answer(self, listener: Answerer) -> None:
        """Call ``listener`` with the events that this process has to answer for: not with those of other processes."""
        self._answering.append(listener)

    def dispatch(self, events: Sequence[Event]) -> None:
        """Give events that are this process's own to every listener, in order."""
        for event in events:
            self._give(event, 1, Heard.OWN)

    def follow(self, events: Sequence[tuple[Event, Heard]]) -> None:
        """Give events to whom they concern."""
        for event, heard in events:
            self._give(event, 1, heard)

    def retry(self) -> None:
        """Try those again at which a listener failed."""
        retries, self._retries = self._retries, {}
        for event, tries, heard in retries.values():
            self._give(event, tries + 1, heard)

    def take_delivered(self) -> tuple[str, ...]:
        """The ids to be marked delivered; each is given once."""
        delivered, self._delivered = tuple(self._delivered), []
        return delivered

    def give_back(self, delivered: Sequence[str]) -> None:
        """Ids whose marking failed."""
        self._delivered.extend(delivered)

    def _give(self, event: Event, tries: int, heard: Heard) -> None:
        failed = False
        listeners = () if heard is Heard.ADOPTED else self._listeners
        answering = () if heard is Heard.OTHERS else self._answering
        waits: set[asyncio.Future[Any]] = set()
        for listener in (*listeners, *answering):
            try:
                wait = listener(event)
                if wait is not None:
                    waits.add(wait)
            except Exception:
                # One listener's fault must not cost the others the event.
                log.exception("a listener failed at %s %s", type(event).__name__, event.id)
                failed = True
        for wait in tuple(waits) if not failed else ():
            wait.add_done_callback(partial(self._answered, event, tries, heard, waits))
        if failed or not waits:
            self._settle(event, tries, heard, failed=failed)

    def _answered(
        self, event: Event, tries: int, heard: Heard, waits: set[asyncio.Future[Any]], done: asyncio.Future[Any]
    ) -> None:
        """One of the futures of an event is done; the last of them, or the first that failed, settles it."""
        if done not in waits:
            return
        waits.discard(done)
        failed = done.cancelled() or done.exception() is not None
        if failed:
            waits.clear()
        if not waits:
            self._settle(event, tries, heard, failed=failed)

    def _settle(self, event: Event, tries: int, heard: Heard, *, failed: bool) -> None:
        if not failed:
            if heard is not Heard.OTHERS:
                self._delivered.append(event.id)
        elif tries < TRIES_MAX and len(self._retries) < RETRIES_WAITING_MAX:
            self._retries[event.id] = (event, tries, heard)
