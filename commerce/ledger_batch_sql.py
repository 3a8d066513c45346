"""One write transaction of the ledger: its connection, time, ids, request keys, events, and what it moved.

Events are collected while commands are decided and written as outbox rows at the end, stock figures once per sale
and coupon figures once per drop, so that 5,000 attempts do not make 5,000 messages.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from sqlalchemy import Connection, CursorResult, Executable, Row, text

from commerce.domain.coupon import DropRow, DropState, drop_state
from commerce.domain.sale import SaleRow, SaleState, state_of
from commerce.errors import Conflict
from commerce.events import DropChanged, Event, SaleChanged, StockChanged
from commerce.fresh_ids import fresh_ids
from commerce.ledger import LATCH_HOLDERS_MAX, LATCH_KEPT_MS, LATCH_MS
from commerce.ledger_text_sql import TEXTS
from commerce.views_sql import drop_row, drop_view, sale_row, sale_view

_REQUEST = text(
    "SELECT hash, answer FROM request WHERE merchant = :merchant AND person = :person AND route = :route AND key = :key"
)
_REMEMBER = text(
    "INSERT INTO request (merchant, person, route, key, hash, answer, created_ms)"
    " VALUES (:merchant, :person, :route, :key, :hash, :answer, :now)"
)
_ANNOUNCE_SALE = text("UPDATE sale SET announced = :state WHERE id = :id")
_ANNOUNCE_DROP = text("UPDATE drop_ SET announced = :state WHERE id = :id")
_NEXT_EXPIRY = text("SELECT expires_ms FROM hold WHERE state = 'held' ORDER BY expires_ms LIMIT 1")
_HOLDERS = text("SELECT person FROM quota WHERE scope = :scope LIMIT :limit")


def as_rows(values: Iterable[Any]) -> str:
    """The JSON text of one set statement's parameter."""
    return orjson.dumps(list(values)).decode()


@dataclass(frozen=True, slots=True)
class Latch:
    """A hint that a sale or drop of this room refuses with ``code`` until ``lapses_ms``; from ``again_ms`` on one asks.

    ``holders`` are the people who have something of it: their requests may be repeats and go to the ledger.
    """

    scope: str
    merchant: str
    room: str
    code: str
    again_ms: int
    lapses_ms: int
    holders: frozenset[str]


@dataclass(slots=True)
class Outcome:
    """What a finished batch tells the loop besides its answers; ``now_ms`` is the time by which it was decided."""

    now_ms: int = 0
    events: list[Event] = field(default_factory=list)
    latches: list[Latch] = field(default_factory=list)
    unlatched: list[str] = field(default_factory=list)


class Batch:
    """The state of one transaction while its commands are decided."""

    def __init__(
        self,
        connection: Connection,
        now_ms: int,
        on_finish: "Callable[[Batch, Sequence[Event]], None] | None" = None,
        writer: str | None = None,
    ) -> None:
        self.connection = connection
        self.on_finish = on_finish
        self.now_ms = now_ms
        self.writer = writer
        self.texts = TEXTS[connection.dialect.name]
        self.events: list[Event] = []
        self.reclaimed: set[str] = set()
        self._moved: set[str] = set()
        self._empty: set[str] = set()
        self._drops: set[str] = set()
        self._gone: set[str] = set()
        self._ids: Iterator[str] = iter(())

    def mint(self) -> str:
        """A new id of this moment."""
        for identifier in self._ids:
            return identifier
        self._ids = iter(self.mint_many(64))
        return next(self._ids)

    def mint_many(self, count: int) -> list[str]:
        """New ids of this moment."""
        return fresh_ids(self.now_ms, count)

    def run(self, statement: Executable, **parameters: Any) -> CursorResult[Any]:
        """Execute a statement."""
        return self.connection.execute(statement, parameters)

    def run_many(self, statement: Executable, parameters: Sequence[Mapping[str, Any]]) -> None:
        """Execute a statement once per mapping, if there is one."""
        if parameters:
            self.connection.execute(statement, parameters)

    def one(self, statement: Executable, **parameters: Any) -> Row[Any] | None:
        """The single row of a statement, or None."""
        return self.connection.execute(statement, parameters).one_or_none()

    def replay(self, merchant: str, person: str, route: str, key: str, body_hash: str) -> str | None:
        """The answer stored under a request key, or None. Raises Conflict when it was for another body."""
        row = self.one(_REQUEST, merchant=merchant, person=person, route=route, key=key)
        if row is None:
            return None
        if row.hash != body_hash:
            raise Conflict
        return str(row.answer)

    def remember(self, merchant: str, person: str, route: str, key: str, body_hash: str, answer: str) -> None:
        """Store the id of a request's effect under its key, in the effect's own transaction."""
        self.run(
            _REMEMBER,
            merchant=merchant,
            person=person,
            route=route,
            key=key,
            hash=body_hash,
            answer=answer,
            now=self.now_ms,
        )

    def emit(self, event: Event) -> None:
        """Queue an event for the outbox."""
        self.events.append(event)

    def sale_moved(self, sale: str) -> None:
        """Units or the state of a sale changed: tell so once, at the end."""
        self._moved.add(sale)

    def sale_refused(self, sale: str) -> None:
        """A sale had nothing left for somebody."""
        self._empty.add(sale)

    def drop_moved(self, drop: str) -> None:
        """Coupons left or the state of a drop changed."""
        self._drops.add(drop)

    def drop_refused(self, drop: str) -> None:
        """A drop had nothing left for somebody."""
        self._gone.add(drop)

    def sales(self, ids: Iterable[str]) -> dict[str, SaleRow]:
        """Sales by id."""
        return {row["id"]: sale_row(row) for row in self.run(self.texts.sales, rows=as_rows(ids)).mappings()}

    def drops(self, ids: Iterable[str]) -> dict[str, DropRow]:
        """Drops by id."""
        return {row["id"]: drop_row(row) for row in self.run(self.texts.drops, rows=as_rows(ids)).mappings()}

    def finish(self) -> Outcome:
        """Write the outbox rows; to be called last, inside the transaction."""
        outcome = Outcome(self.now_ms, self.events)
        if self._moved or self._empty:
            for sale in self.sales(self._moved | self._empty).values():
                self._finish_sale(sale, outcome)
        if self._drops or self._gone:
            for drop in self.drops(self._drops | self._gone).values():
                self._finish_drop(drop, outcome)
        if self.events:
            body = as_rows((event.id, type(event).__name__, orjson.dumps(event).decode()) for event in self.events)
            self.run(self.texts.insert_events, rows=body, now=self.now_ms, writer=self.writer)
            if self.on_finish is not None:
                self.on_finish(self, self.events)
        return outcome

    def _finish_sale(self, sale: SaleRow, outcome: Outcome) -> None:
        state = state_of(sale, self.now_ms)
        if state is SaleState.SOLD_OUT:
            lapses_ms = min(self._next_expiry(), sale.closes_ms or 0)
            self._latch(outcome, sale.id, sale.merchant, sale.room, "sold_out", lapses_ms)
        else:
            outcome.unlatched.append(sale.id)
        if sale.id not in self._moved:
            return
        common = (self.mint(), sale.merchant, sale.room, self.now_ms)
        # Whoever changed the row's other fields has blanked ``announced``.
        if state != sale.announced:
            self.run(_ANNOUNCE_SALE, id=sale.id, state=str(state))
            self.emit(SaleChanged(*common, sale_view(sale, self.now_ms, state)))
        else:
            self.emit(StockChanged(*common, sale.id, sale.free, str(state), sale.waiting, sale.reserved))

    def _finish_drop(self, drop: DropRow, outcome: Outcome) -> None:
        state = drop_state(drop, self.now_ms)
        if state is DropState.GONE:
            self._latch(outcome, drop.id, drop.merchant, drop.room, "gone", drop.ends_ms)
        if drop.id not in self._drops:
            return
        if state != drop.announced:
            self.run(_ANNOUNCE_DROP, id=drop.id, state=str(state))
        if drop.way != "drop":
            # Nobody taps for these: the room shows nothing of them.
            return
        self.emit(DropChanged(self.mint(), drop.merchant, drop.room, self.now_ms, drop_view(drop, self.now_ms)))

    def _next_expiry(self) -> int:
        row = self.one(_NEXT_EXPIRY)
        return self.now_ms + LATCH_KEPT_MS if row is None else int(row.expires_ms)

    def _latch(self, outcome: Outcome, scope: str, merchant: str, room: str, code: str, lapses_ms: int) -> None:
        lapses_ms = min(lapses_ms, self.now_ms + LATCH_KEPT_MS)
        if lapses_ms <= self.now_ms:
            return
        again_ms = min(lapses_ms, self.now_ms + LATCH_MS)
        holders = self.run(_HOLDERS, scope=scope, limit=LATCH_HOLDERS_MAX + 1).scalars().all()
        if len(holders) <= LATCH_HOLDERS_MAX:
            outcome.latches.append(Latch(scope, merchant, room, code, again_ms, lapses_ms, frozenset(holders)))
