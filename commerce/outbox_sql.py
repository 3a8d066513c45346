"""The outbox's dispatcher: events that were committed reach every listener at least once (promise P13).

The fast path hands a batch's events over in memory right after its commit. The table is the truth: what was not marked
delivered (a crash in between, a listener that failed) is read again at the next start.
"""

import logging
from collections.abc import Callable, Sequence

import msgspec
import orjson
from sqlalchemy import Connection, text

from commerce.events import EVENT_TYPES, Event

log = logging.getLogger(__name__)

Listener = Callable[[Event], None]

UNDELIVERED_READ_MAX = 10_000
"""Rows read back in one go after a crash."""
RETRIES_WAITING_MAX = 1_000
"""Events kept for another try because a listener failed; past it they wait in the table for the next start."""
TRIES_MAX = 5
"""After so many failures an event waits in the table for the next start."""

_UNDELIVERED = text("SELECT id, type, body FROM outbox WHERE delivered_ms IS NULL ORDER BY seq LIMIT :limit")


def read_undelivered(connection: Connection) -> list[Event]:
    """Events that were committed but not marked delivered, oldest first. Types of a newer program are skipped."""
    events: list[Event] = []
    for row in connection.execute(_UNDELIVERED, {"limit": UNDELIVERED_READ_MAX}):
        kind = EVENT_TYPES.get(row.type)
        if kind is None:
            log.warning("the outbox holds an event of unknown type %s", row.type)
            continue
        events.append(msgspec.convert(orjson.loads(row.body), kind))
    return events


class Dispatcher:
    """Calls listeners, and remembers which events are to be marked delivered."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []
        self._delivered: list[str] = []
        self._retries: dict[str, tuple[Event, int]] = {}

    def listen(self, listener: Listener) -> None:
        """Call ``listener`` with each event from now on, on the loop's thread; it must not block."""
        self._listeners.append(listener)

    def dispatch(self, events: Sequence[Event]) -> None:
        """Give events to every listener, in order."""
        for event in events:
            self._give(event, 1)

    def retry(self) -> None:
        """Try those again at which a listener failed."""
        retries, self._retries = self._retries, {}
        for event, tries in retries.values():
            self._give(event, tries + 1)

    def take_delivered(self) -> tuple[str, ...]:
        """The ids to be marked delivered; each is given once."""
        delivered, self._delivered = tuple(self._delivered), []
        return delivered

    def give_back(self, delivered: Sequence[str]) -> None:
        """Ids whose marking failed."""
        self._delivered.extend(delivered)

    def _give(self, event: Event, tries: int) -> None:
        failed = False
        for listener in self._listeners:
            try:
                listener(event)
            except Exception:
                # One listener's fault must not cost the others the event.
                log.exception("a listener failed at %s %s", type(event).__name__, event.id)
                failed = True
        if not failed:
            self._delivered.append(event.id)
        elif tries < TRIES_MAX and len(self._retries) < RETRIES_WAITING_MAX:
            self._retries[event.id] = (event, tries)
