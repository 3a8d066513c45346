"""Webhooks and their deliveries: written with the event, in its own transaction, so none is lost (promise P13).

Who sends them reads what is due and marks what became of it; both may happen twice, so a receiver drops repeats by the
event's id.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, text

from commerce.domain.ids import ENTROPY_BYTES, new_id
from commerce.domain.refund import back_off_ms
from commerce.domain.webhook import (
    BACK_OFF_FIRST_MS,
    BACK_OFF_MOST_MS,
    DEBT_TYPES,
    EVENT_TYPES,
    ORDER_TYPES,
    REQUEST_TYPES,
    TRIES_MAX,
    TYPES,
    WEBHOOKS_MAX,
    url_fault,
)
from commerce.errors import Invalid, NotFound, Refused
from commerce.events import Event, RepaymentChanged
from commerce.fresh_ids import fresh_id, fresh_ids
from commerce.ledger import Clock
from commerce.ledger_batch_sql import Batch
from commerce.store_sql import Store

KEPT_MS = 7 * 86_400_000
"""How long a delivery that ended is kept, to look at after trouble."""
FORGET_MAX = 500
SHOWN_MAX = 100
SECRET_BYTES = 32
MEDIA_WAITING_MAX = 2_000
"""Deliveries that wait for one webhook above which events of streams are not added: a receiver that is down for a day
must not fill the shop's database with who came and went. Orders are never left out."""
PRIVATE_FIELDS = ("delivery", "decision")
"""Fields of an order that stay in the shop: where the buyer lives, and who is credited. Its API tells them."""
REQUEST_PRIVATE_FIELDS = ("words", "answer", "carrier", "number")
"""The same of a request after the sale: what people wrote, and a number that leads to who sent it."""

_OF_MERCHANT = text("SELECT * FROM webhook WHERE merchant = :merchant ORDER BY id")
_ALL = text("SELECT merchant, events FROM webhook")
_WAITING = text("SELECT count(*) FROM webhook_delivery WHERE webhook = :webhook AND state = 'waiting'")
_INSERT = text(
    "INSERT INTO webhook (id, merchant, url, secret, events, created_ms)"
    " VALUES (:id, :merchant, :url, :secret, :events, :now)"
)
_DELETE = text("DELETE FROM webhook WHERE id = :id AND merchant = :merchant")
_ABANDON = text(
    "UPDATE webhook_delivery SET state = 'dead', error = 'the webhook was removed', done_ms = :now"
    " WHERE webhook = :id AND state = 'waiting'"
)
_DELIVER = text(
    "INSERT INTO webhook_delivery (id, webhook, event, type, body, state, tries, next_ms, created_ms)"
    " VALUES (:id, :webhook, :event, :type, :body, 'waiting', 0, :now, :now) ON CONFLICT (webhook, event) DO NOTHING"
)
_DUE = text(
    "SELECT d.*, w.url, w.secret FROM webhook_delivery AS d JOIN webhook AS w ON w.id = d.webhook"
    " WHERE d.state = 'waiting' AND d.next_ms <= :now AND d.id = (SELECT min(f.id) FROM webhook_delivery AS f"
    " WHERE f.webhook = d.webhook AND f.state = 'waiting' AND f.next_ms <= :now) ORDER BY d.next_ms LIMIT :limit"
)
_NEXT = text(
    "SELECT min(CASE WHEN next_ms > :now THEN next_ms END), count(*) FROM webhook_delivery WHERE state = 'waiting'"
)
_DONE = text(
    "UPDATE webhook_delivery SET state = 'delivered', tries = tries + 1, status = :status, error = NULL, done_ms = :now"
    " WHERE id = :id AND state = 'waiting'"
)
_FAILED = text(
    "UPDATE webhook_delivery SET state = :state, tries = tries + 1, status = :status, error = :error,"
    " next_ms = :next_ms, done_ms = :done_ms WHERE id = :id AND state = 'waiting'"
)
_FORGET = text(
    "DELETE FROM webhook_delivery WHERE id IN (SELECT id FROM webhook_delivery WHERE id < :before"
    " AND state <> 'waiting' ORDER BY id LIMIT :limit)"
)
_SHOWN = text(
    "SELECT d.* FROM webhook_delivery AS d JOIN webhook AS w ON w.id = d.webhook"
    " WHERE w.id = :id AND w.merchant = :merchant ORDER BY d.id DESC LIMIT :limit"
)


@dataclass(frozen=True, slots=True)
class WebhookView:
    """Where a merchant's events go; ``secret`` is told once, when it is made."""

    webhook: str
    url: str
    events: tuple[str, ...]
    created: int
    secret: str | None = None


@dataclass(frozen=True, slots=True)
class DeliveryView:
    """One event on its way to one webhook: state waiting, delivered or dead; ``status`` is the last HTTP answer's."""

    delivery: str
    event: str
    type: str
    state: str
    tries: int
    status: int | None
    error: str | None
    created: int
    next: int | None
    done: int | None


@dataclass(frozen=True, slots=True)
class DueDelivery:
    """What is to be sent now, and where."""

    id: str
    webhook: str
    event: str
    type: str
    url: str
    secret: str
    body: str
    tries: int


@dataclass(frozen=True, slots=True)
class MediaEvent:
    """Something about a stream that a merchant is told; ``body`` is JSON-ready and has no id, type or time yet."""

    id: str
    type: str
    merchant: str
    room: str
    created_ms: int
    body: Mapping[str, Any]


def _delivery(identifier: str, webhook: str, event: MediaEvent, now_ms: int) -> dict[str, Any]:
    head = {"id": event.id, "type": event.type, "room": event.room, "created": event.created_ms}
    return {
        "id": identifier,
        "webhook": webhook,
        "event": event.id,
        "type": event.type,
        "body": orjson.dumps({**head, **event.body}).decode(),
        "now": now_ms,
    }


def enter_deliveries(batch: Batch, events: Sequence[Event]) -> None:
    """Write a delivery for each webhook that wants one of ``events``, in the transaction of the events."""
    told = [(event, EVENT_TYPES[type(event).__name__]) for event in events if type(event).__name__ in EVENT_TYPES]
    if not told:
        return
    webhooks = {
        merchant: [(row.id, frozenset(orjson.loads(row.events))) for row in batch.run(_OF_MERCHANT, merchant=merchant)]
        for merchant in {event.merchant for event, _ in told}
    }
    batch.run_many(
        _DELIVER,
        [
            {
                "id": batch.mint(),
                "webhook": webhook,
                "event": event.id,
                "type": kind,
                "body": _body(event, kind),
                "now": batch.now_ms,
            }
            for event, kind in told
            for webhook, wanted in webhooks[event.merchant]
            if kind in wanted
        ],
    )


def _body(event: Any, kind: str) -> str:
    head = {"id": event.id, "type": kind, "room": event.room, "created": event.now_ms}
    if isinstance(event, RepaymentChanged):
        return orjson.dumps({**head, "repayment": event.repayment}).decode()
    if kind in DEBT_TYPES:
        return orjson.dumps({**head, "person": event.person, "debt": event.debt}).decode()
    if kind in REQUEST_TYPES:
        request = orjson.loads(orjson.dumps(event.request))
        for name in REQUEST_PRIVATE_FIELDS:
            del request[name]
        return orjson.dumps({**head, "request": request}).decode()
    order = orjson.loads(orjson.dumps(event.order))
    for name in PRIVATE_FIELDS:
        order.pop(name, None)
    body = {**head, "order": order}
    refund = getattr(event, "refund", None)
    if refund is not None:
        body["refund"] = refund
    return orjson.dumps(body).decode()


class Webhooks:
    """Webhooks of all merchants of one database. Its writes are rare and short, and none is of stock or money."""

    def __init__(self, store: Store, *, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def create(self, merchant: str, url: str, events: Sequence[str]) -> WebhookView:
        """Send a merchant's events (those of orders when none is named) to ``url``. Raises Invalid, Refused (limit)."""
        fault = url_fault(url)
        if fault is not None:
            raise Invalid(fault, field="url")
        unknown = set(events) - TYPES
        if unknown:
            raise Invalid("events are of " + ", ".join(sorted(TYPES)), field="events")
        wanted = tuple(sorted(set(events) or ORDER_TYPES))
        now_ms = self._clock()
        view = WebhookView(
            webhook=fresh_id(now_ms),
            url=url,
            events=wanted,
            created=now_ms,
            secret=secrets.token_hex(SECRET_BYTES),
        )

        def insert(connection: Connection) -> None:
            there = connection.execute(_OF_MERCHANT, {"merchant": merchant}).all()
            if len(there) >= WEBHOOKS_MAX:
                raise Refused("limit", f"a merchant has at most {WEBHOOKS_MAX} webhooks")
            row = {"id": view.webhook, "merchant": merchant, "url": url, "secret": view.secret, "now": now_ms}
            connection.execute(_INSERT, row | {"events": orjson.dumps(wanted).decode()})

        await self._store.write(insert)
        return view

    async def webhooks(self, merchant: str) -> list[WebhookView]:
        """A merchant's webhooks, oldest first."""
        return await self._store.read(
            lambda connection: [
                WebhookView(row.id, row.url, tuple(orjson.loads(row.events)), row.created_ms)
                for row in connection.execute(_OF_MERCHANT, {"merchant": merchant})
            ]
        )

    async def delete(self, merchant: str, webhook: str) -> None:
        """Send no more; what waits is given up. Raises NotFound."""

        def delete(connection: Connection) -> None:
            if not connection.execute(_DELETE, {"id": webhook, "merchant": merchant}).rowcount:
                raise NotFound("no such webhook")
            connection.execute(_ABANDON, {"id": webhook, "now": self._clock()})

        await self._store.write(delete)

    async def deliveries(self, merchant: str, webhook: str) -> list[DeliveryView]:
        """The latest deliveries of a webhook, newest first. Raises NotFound."""
        if all(view.webhook != webhook for view in await self.webhooks(merchant)):
            raise NotFound("no such webhook")
        asked = {"id": webhook, "merchant": merchant, "limit": SHOWN_MAX}
        return await self._store.read(
            lambda connection: [
                DeliveryView(
                    delivery=row.id,
                    event=row.event,
                    type=row.type,
                    state=row.state,
                    tries=row.tries,
                    status=row.status,
                    error=row.error,
                    created=row.created_ms,
                    next=row.next_ms if row.state == "waiting" else None,
                    done=row.done_ms,
                )
                for row in connection.execute(_SHOWN, asked)
            ]
        )

    async def wanted(self) -> dict[str, frozenset[str]]:
        """Which events each merchant with a webhook hears of."""

        def read(connection: Connection) -> dict[str, frozenset[str]]:
            found: dict[str, frozenset[str]] = {}
            for row in connection.execute(_ALL):
                found[row.merchant] = found.get(row.merchant, frozenset()) | frozenset(orjson.loads(row.events))
            return found

        return await self._store.read(read)

    async def tell(self, events: Sequence[MediaEvent]) -> int:
        """Write a delivery for each webhook that wants one of ``events``; how many were too many for theirs."""
        now_ms = self._clock()

        def write(connection: Connection) -> int:
            dropped = 0
            for merchant in {event.merchant for event in events}:
                own = [event for event in events if event.merchant == merchant]
                for row in connection.execute(_OF_MERCHANT, {"merchant": merchant}).all():
                    wanted = frozenset(orjson.loads(row.events))
                    told = [event for event in own if event.type in wanted]
                    room = MEDIA_WAITING_MAX - connection.execute(_WAITING, {"webhook": row.id}).scalar_one()
                    dropped += max(0, len(told) - max(0, room))
                    told = told[: max(0, room)]
                    # Deliveries go out in the order of their ids, and those of one millisecond are random.
                    ids = sorted(fresh_ids(now_ms, len(told)))
                    for identifier, event in zip(ids, told, strict=True):
                        connection.execute(_DELIVER, _delivery(identifier, row.id, event, now_ms))
            return dropped

        return await self._store.write(write)

    async def due(self, limit: int) -> tuple[list[DueDelivery], int | None, int]:
        """The oldest due delivery of each webhook, when (Unix ms) the first that is not yet is due, how many wait."""

        def read(connection: Connection) -> tuple[list[DueDelivery], int | None, int]:
            # One reading of the clock for both: what falls due between two readings would be in neither answer.
            now_ms = self._clock()
            found = connection.execute(_DUE, {"now": now_ms, "limit": limit})
            due = [
                DueDelivery(row.id, row.webhook, row.event, row.type, row.url, row.secret, row.body, row.tries)
                for row in found
            ]
            next_ms, waiting = connection.execute(_NEXT, {"now": now_ms}).one()
            return due, next_ms, int(waiting)

        return await self._store.read(read)

    async def mark(self, delivery: DueDelivery, status: int | None, error: str | None) -> bool:
        """Write down what became of a try: ``error`` None when it was taken; else it is tried later, or dead (True)."""
        now_ms = self._clock()
        tries = delivery.tries + 1
        dead = error is not None and tries >= TRIES_MAX
        row: dict[str, Any] = {"id": delivery.id, "status": status, "now": now_ms}
        if error is not None:
            row = {
                "id": delivery.id,
                "status": status,
                "error": error[:200],
                "state": "dead" if dead else "waiting",
                "next_ms": now_ms + back_off_ms(tries, BACK_OFF_FIRST_MS, BACK_OFF_MOST_MS),
                "done_ms": now_ms if dead else None,
            }

        def write(connection: Connection) -> None:
            connection.execute(_DONE if error is None else _FAILED, row)

        await self._store.write(write)
        return dead

    async def forget(self) -> None:
        """Delete some deliveries that ended long ago."""
        before = new_id(max(0, self._clock() - KEPT_MS), bytes(ENTROPY_BYTES))
        asked = {"before": before, "limit": FORGET_MAX}
        await self._store.write(lambda connection: connection.execute(_FORGET, asked).rowcount)
