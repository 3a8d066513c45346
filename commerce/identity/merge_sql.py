# ruff: noqa: S608 (statements are put together from this module's constants alone)
"""Making two persons one, and two again, inside a ledger's transaction: no hold is decided in between.

What is the younger's becomes the elder's, row by row, and the journal keeps which rows: so an unmerge gives back
exactly those, and what was done meanwhile stays with the elder. Limits only tighten: what each has used of a sale or
drop is added up. Touches are never rewritten: they are read through ``person_alias``, as are votes, and what staff
decided about somebody in a room (bans, mutes).

A table of another part joins in by a line in ``MOVED`` (its key columns), as long as two persons' rows do not clash.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import orjson
from sqlalchemy import Connection, TextClause, bindparam, text

from commerce.errors import NotFound, Refused
from commerce.identity.merge_holds_sql import (
    give_back_holds,
    give_back_quotas,
    quotas_of,
    take_holds,
    take_keys,
    take_quotas,
)
from commerce.identity.wallet_merge_sql import give_back_wallet, rank_both, take_wallet
from commerce.ledger_batch_sql import Batch

MOVED_MAX = 5_000
"""Rows of one person that one merge moves: tens of milliseconds in which nobody of the merchant is served."""


@dataclass(frozen=True)
class Moved:
    """A table whose rows of a person move whole: its key, and what is left behind."""

    table: str
    key: str
    unless: str = ""
    scoped: bool = True
    """Whether the table names the merchant. A person is of one anyhow."""

    @cached_property
    def take(self) -> TextClause:
        """Move all of a person's rows; gives their keys."""
        return text(
            f"UPDATE {self.table} SET person = :elder WHERE person = :younger{self._scope}{self.unless}"
            f" RETURNING {self.key}"
        )

    @cached_property
    def give_back(self) -> TextClause:
        """Move some rows, by their keys, back."""
        return text(
            f"UPDATE {self.table} SET person = :younger WHERE person = :elder{self._scope} AND {self.key} IN :keys"
        ).bindparams(bindparam("keys", expanding=True))

    @property
    def _scope(self) -> str:
        return " AND merchant = :merchant" if self.scoped else ""


MOVED = (
    Moved("orders", "id"),
    Moved("points_lot", "id"),
    Moved("payment_gift", "payment"),
    Moved("pos_receipt", "id"),
    Moved("distributor", "person"),
    Moved("pass_", "id"),
    Moved("membership", "id"),
    Moved("custom_request", "id"),
    Moved("custom_picture", "id"),
    Moved("receivable", "order_id"),
    Moved("credit_booking", "id"),
    Moved("repayment", "id"),
    Moved("credit_reminder", "id"),
    # Of two limits the elder's stands, as the lower one.
    Moved(
        "credit_line",
        "merchant",
        " AND NOT EXISTS (SELECT 1 FROM credit_line AS o WHERE o.merchant = credit_line.merchant"
        " AND o.person = :elder)",
    ),
    Moved("station", "id"),
    Moved("commission", "id"),
    Moved("withdrawal", "id"),
    # Of two tickets to one event the elder's stands.
    Moved(
        "ticket",
        "id",
        " AND (state = 'cancelled' OR NOT EXISTS (SELECT 1 FROM ticket AS o WHERE o.event = ticket.event"
        " AND o.person = :elder AND o.state <> 'cancelled'))",
    ),
    # Of two who are both bound the elder's binding stands.
    Moved(
        "binding",
        "id",
        " AND NOT (closed_ms IS NULL AND EXISTS (SELECT 1 FROM binding AS o WHERE o.merchant = binding.merchant"
        " AND o.person = :elder AND o.role = binding.role AND o.closed_ms IS NULL)) AND issuer <> :elder",
    ),
    # Once a day, whoever of the two it was.
    Moved(
        "sign_in",
        "day",
        " AND NOT EXISTS (SELECT 1 FROM sign_in AS o"
        " WHERE o.merchant = sign_in.merchant AND o.person = :elder AND o.day = sign_in.day)",
    ),
    # What each was told counts against the caps of the one who goes on.
    Moved("message", "id"),
    Moved("question", "id"),
    Moved("visit_note", "id"),
    Moved("answer", "id", scoped=False),
    Moved(
        "person_tag",
        "tag",
        " AND NOT EXISTS (SELECT 1 FROM person_tag AS o"
        " WHERE o.merchant = person_tag.merchant AND o.person = :elder AND o.tag = person_tag.tag)",
    ),
    *(
        Moved(
            table,
            key,
            f" AND NOT EXISTS (SELECT 1 FROM {table} AS o WHERE o.{key} = {table}.{key} AND o.person = :elder){among}",
            scoped=key == "merchant",
        )
        for table, key, among in (
            ("reminder", "subject", ""),
            ("waiter", "sale", ""),
            # An index by person would cost each entry of a crowd; a shop's draws are few.
            ("draw_entry", "draw", " AND draw IN (SELECT id FROM draw WHERE merchant = :merchant)"),
            ("follower", "merchant", ""),
            ("community_member", "community", ""),
            ("customer_advisor", "merchant", ""),
            ("help_poster", "task", ""),
        )
    ),
    Moved(
        "seat",
        "hold",
        " AND NOT EXISTS (SELECT 1 FROM seat AS o WHERE o.team = seat.team AND o.person = :elder)",
        scoped=False,
    ),
)

_JOURNAL = text(
    'INSERT INTO merge_journal (id, merchant, elder, younger, cause, "by", reason, moved, merged_ms)'
    " VALUES (:id, :merchant, :elder, :younger, :cause, :by, :reason, :moved, :now)"
)
_ENTRY = text("SELECT * FROM merge_journal WHERE id = :id AND merchant = :merchant")
_LATER = text("SELECT id FROM merge_journal WHERE elder = :elder AND id > :id AND undone_ms IS NULL LIMIT 1")
_UNDO = text("UPDATE merge_journal SET undone_ms = :now, undone_by = :by WHERE id = :id")

_POINT = text(
    "INSERT INTO person_alias (alias, merchant, person, changed_ms) VALUES (:alias, :merchant, :person, :now)"
    " ON CONFLICT (alias) DO UPDATE SET person = excluded.person, changed_ms = excluded.changed_ms"
)
_POINTING = text("SELECT alias FROM person_alias WHERE person = :person AND alias <> :person ORDER BY alias")
_SURVIVOR = text("SELECT person FROM person_alias WHERE alias = :id")
_SINCE = text("SELECT alias, person, changed_ms FROM person_alias WHERE changed_ms >= :since")

_IDENTITIES = text(
    "UPDATE identity SET person = :elder WHERE merchant = :merchant AND person = :younger RETURNING kind, value"
)
_IDENTITY_BACK = text(
    "UPDATE identity SET person = :younger"
    " WHERE merchant = :merchant AND kind = :kind AND value = :value AND person = :elder"
)
_PHONE = text(
    "UPDATE person_phone SET person = :elder WHERE person = :younger"
    " AND NOT EXISTS (SELECT 1 FROM person_phone WHERE person = :elder)"
)
_PHONE_BACK = text("UPDATE person_phone SET person = :younger WHERE person = :elder")

_PHONE_AGAIN = text(
    "INSERT INTO person_phone (person, merchant, digest, sealed, verified_ms, created_ms)"
    " VALUES (:person, :merchant, :digest, :sealed, :verified_ms, :created_ms) ON CONFLICT DO NOTHING"
)
_IDENTITY_AGAIN = text(
    "INSERT INTO identity (merchant, kind, value, person, created_ms)"
    " VALUES (:merchant, 'phone', :digest, :person, :created_ms) ON CONFLICT DO NOTHING"
)

_PAYMENTS = text(
    "UPDATE payment SET person = :to WHERE person = :from AND order_id IN :orders RETURNING id"
).bindparams(bindparam("orders", expanding=True))
# What was asked of an order stays with it, whenever it was asked.
_AFTER_SALE = text("UPDATE after_sale SET person = :to WHERE person = :from AND order_id IN :orders").bindparams(
    bindparam("orders", expanding=True)
)

_COUPONS = text("SELECT id, drop_id, n, order_id FROM coupon WHERE merchant = :merchant AND person = :person")
_COUPON_TO = text("UPDATE coupon SET person = :person, n = :n WHERE id = :id")

_REQUESTS = text(
    "WITH RECURSIVE s(route) AS (SELECT min(route) FROM request WHERE merchant = :merchant UNION ALL"
    " SELECT (SELECT min(q.route) FROM request AS q WHERE q.merchant = :merchant AND q.route > s.route) FROM s"
    " WHERE s.route IS NOT NULL) SELECT q.route, q.key, q.hash, q.answer, q.created_ms FROM s JOIN request AS q"
    " ON q.merchant = :merchant AND q.route = s.route AND q.person = :person"
)
_REQUEST_TO = text(
    "UPDATE request SET person = :to WHERE merchant = :merchant AND route = :route AND person = :from AND key = :key"
    " AND NOT EXISTS (SELECT 1 FROM request AS o WHERE o.merchant = :merchant AND o.route = :route"
    " AND o.person = :to AND o.key = :key)"
)
_REQUEST_GONE = text(
    "DELETE FROM request WHERE merchant = :merchant AND route = :route AND person = :person AND key = :key"
)
# A payment begun for an order under the elder goes back with the order; a key that its owner had already stays.
_BEGUN_BACK = text(
    "UPDATE request SET person = :to WHERE merchant = :merchant AND route = 'pay' AND person = :from"
    " AND answer IN :orders AND NOT EXISTS (SELECT 1 FROM request AS o WHERE o.merchant = request.merchant"
    " AND o.route = request.route AND o.person = :to AND o.key = request.key)"
).bindparams(bindparam("orders", expanding=True))
_BEGUN_GONE = text(
    "DELETE FROM request WHERE merchant = :merchant AND route = 'pay' AND person = :from AND answer IN :orders"
).bindparams(bindparam("orders", expanding=True))
_REQUEST_AGAIN = text(
    "INSERT INTO request (merchant, route, person, key, hash, answer, created_ms)"
    " VALUES (:merchant, :route, :person, :key, :hash, :answer, :created_ms) ON CONFLICT DO NOTHING"
)


@dataclass(frozen=True, slots=True)
class Merged:
    """Who goes on, who was merged away, the journal's entry, and what changed in the alias table."""

    entry: str
    elder: str
    younger: str
    aliases: Mapping[str, str]


def survivor(db: Connection, person: str) -> str:
    """Who a person is now."""
    found = db.execute(_SURVIVOR, {"id": person}).scalar_one_or_none()
    return person if found is None else str(found)


def aliases_of(db: Connection, person: str) -> list[str]:
    """All ids under which a person who goes on has been known, themselves first."""
    return [person, *db.execute(_POINTING, {"person": person}).scalars()]


def aliases_since(db: Connection, since_ms: int) -> tuple[dict[str, str], int]:
    """Rows of the alias table changed since then, and the newest time among them (0 when there are none)."""
    found = db.execute(_SINCE, {"since": since_ms}).all()
    return {row.alias: row.person for row in found}, max((row.changed_ms for row in found), default=0)


def merge(
    batch: Batch,
    merchant: str,
    elder: str,
    younger: str,
    cause: str,
    by: str | None,
    reason: str,
    freed: Mapping[str, Any] | None = None,
) -> Merged:
    """Make two persons one; both go on by themselves so far. Raises Refused (limit) when there is too much to move.

    ``freed`` is the row of a number that one of them had only on a list, taken away for the other's.
    """
    who = {"merchant": merchant, "elder": elder, "younger": younger}
    entry = batch.mint()
    quotas = quotas_of(batch, merchant, younger)
    moved: dict[str, Any] = {"hold": take_holds(batch, merchant, elder, younger, quotas), "freed": freed}
    for one in MOVED:
        moved[one.table] = [row[0] for row in batch.run(one.take, **who)]
    moved["payment"] = _payments(batch, younger, elder, moved["orders"] + moved["repayment"])
    moved["coupon"] = _take_coupons(batch, merchant, elder, younger)
    take_quotas(batch, elder, younger, quotas)
    moved["request"], moved["dropped"] = _take_requests(batch, merchant, elder, younger)
    moved["key"] = take_keys(batch, elder, moved["hold"])
    moved["identity"] = [[row.kind, row.value] for row in batch.run(_IDENTITIES, **who)]
    moved["phone"] = bool(batch.run(_PHONE, elder=elder, younger=younger).rowcount)
    moved["wallet"] = take_wallet(batch, merchant, elder, younger, entry)
    rank_both(batch, merchant, elder, younger)
    if sum(len(rows) for rows in moved.values() if isinstance(rows, list)) > MOVED_MAX:
        raise Refused("limit", f"more than {MOVED_MAX} rows would move")
    moved["alias"] = list(batch.run(_POINTING, person=younger).scalars())
    changed = dict.fromkeys((younger, *moved["alias"]), elder)
    _point(batch, merchant, changed)
    batch.run(
        _JOURNAL,
        id=entry,
        cause=cause,
        by=by,
        reason=reason,
        moved=orjson.dumps(moved).decode(),
        now=batch.now_ms,
        **who,
    )
    return Merged(entry, elder, younger, changed)


def unmerge(batch: Batch, merchant: str, entry: str, by: str) -> Merged:
    """Give a merged person what was theirs; what came since stays. Raises NotFound, Refused (already, not_open).

    The newest merge of a person is undone first, or rows that moved on with a later one would be lost to it.
    """
    row = batch.one(_ENTRY, id=entry, merchant=merchant)
    if row is None:
        raise NotFound("no such merge")
    if row.undone_ms is not None:
        raise Refused("already", "this merge was undone")
    elder, younger = row.elder, row.younger
    if survivor(batch.connection, elder) != elder or batch.one(_LATER, elder=elder, id=entry) is not None:
        raise Refused("not_open", "a later merge of this person must be undone first")
    moved = orjson.loads(row.moved)
    who = {"merchant": merchant, "elder": elder, "younger": younger}
    give_back_holds(batch, elder, younger, moved)
    for one in MOVED:
        # A journal knows only the tables of its time.
        if keys := moved.get(one.table):
            batch.run(one.give_back, keys=keys, **who)
    _payments(batch, elder, younger, moved["orders"] + moved.get("repayment", []))
    _give_back_coupons(batch, merchant, elder, younger, moved)
    give_back_wallet(batch, merchant, elder, younger, entry, moved["wallet"], moved["points_lot"], moved["orders"])
    rank_both(batch, merchant, elder, younger)
    for route, key in moved["request"]:
        batch.run(_REQUEST_TO, merchant=merchant, route=route, key=key, **{"from": elder, "to": younger})
    batch.run_many(_REQUEST_AGAIN, [{"merchant": merchant, "person": younger, **one} for one in moved["dropped"]])
    if moved["orders"]:
        for begun in (_BEGUN_BACK, _BEGUN_GONE):
            batch.run(begun, merchant=merchant, orders=moved["orders"], **{"from": elder, "to": younger})
    for kind, value in moved["identity"]:
        batch.run(_IDENTITY_BACK, kind=kind, value=value, **who)
    if moved["phone"]:
        batch.run(_PHONE_BACK, **who)
    if moved["freed"] is not None:
        _list_again(batch, moved["freed"])
    changed = {younger: younger} | dict.fromkeys(moved["alias"], younger)
    _point(batch, merchant, changed)
    batch.run(_UNDO, id=entry, now=batch.now_ms, by=by)
    return Merged(entry, elder, younger, changed)


def _list_again(batch: Batch, freed: Mapping[str, Any]) -> None:
    """The number that went for another's comes back, unless it is somebody's by now."""
    if batch.run(_PHONE_AGAIN, **freed).rowcount:
        batch.run(_IDENTITY_AGAIN, **freed)


def _point(batch: Batch, merchant: str, changed: Mapping[str, str]) -> None:
    rows = [{"alias": alias, "merchant": merchant, "person": to, "now": batch.now_ms} for alias, to in changed.items()]
    batch.run_many(_POINT, rows)


def _payments(batch: Batch, of: str, to: str, orders: Sequence[str]) -> list[str]:
    """Payments, and requests after the sale, of some orders (and repayments)."""
    if not orders:
        return []
    batch.run(_AFTER_SALE, orders=list(orders), **{"from": of, "to": to})
    return [row.id for row in batch.run(_PAYMENTS, orders=list(orders), **{"from": of, "to": to})]


def _take_coupons(batch: Batch, merchant: str, elder: str, younger: str) -> list[list[Any]]:
    """The younger's coupons are numbered on behind the elder's of the same drop; gives [id, number before]."""
    numbers: dict[str, int] = {}
    for row in batch.run(_COUPONS, merchant=merchant, person=elder):
        numbers[row.drop_id] = max(numbers.get(row.drop_id, 0), row.n)
    moved = []
    for row in sorted(batch.run(_COUPONS, merchant=merchant, person=younger), key=lambda row: (row.drop_id, row.n)):
        numbers[row.drop_id] = numbers.get(row.drop_id, 0) + 1
        batch.run(_COUPON_TO, id=row.id, person=elder, n=numbers[row.drop_id])
        moved.append([row.id, row.n])
    return moved


def _take_requests(batch: Batch, merchant: str, elder: str, younger: str) -> tuple[list[Any], list[Any]]:
    """A repeat of the younger's finds its answer under the elder; where both used a key, the elder's stays."""
    moved, dropped = [], []
    for row in batch.run(_REQUESTS, merchant=merchant, person=younger).all():
        where = {"merchant": merchant, "route": row.route, "key": row.key}
        if batch.run(_REQUEST_TO, **where, **{"from": younger, "to": elder}).rowcount:
            moved.append([row.route, row.key])
            continue
        batch.run(_REQUEST_GONE, person=younger, **where)
        dropped.append(dict(row._mapping))  # noqa: SLF001 - SQLAlchemy's documented name of a row's mapping
    return moved, dropped


def _give_back_coupons(batch: Batch, merchant: str, elder: str, younger: str, moved: Mapping[str, Any]) -> None:
    """Coupons go back under their numbers, but those that a later order of the elder's took; the elder's close up."""
    orders = set(moved["orders"])
    theirs = dict(moved["coupon"])
    drops: dict[str, int] = {}
    kept = []
    for row in batch.run(_COUPONS, merchant=merchant, person=elder).all():
        if row.id in theirs and (row.order_id is None or row.order_id in orders):
            batch.run(_COUPON_TO, id=row.id, person=younger, n=theirs[row.id])
            drops[row.drop_id] = drops.get(row.drop_id, 0) + 1
        else:
            kept.append(row)
    numbers: dict[str, int] = {}
    # In the order of their numbers each moves down, if at all: no two meet.
    for row in sorted(kept, key=lambda row: (row.drop_id, row.n)):
        numbers[row.drop_id] = numbers.get(row.drop_id, 0) + 1
        if row.drop_id in drops and row.n != numbers[row.drop_id]:
            batch.run(_COUPON_TO, id=row.id, person=elder, n=numbers[row.drop_id])
    give_back_quotas(batch, elder, younger, drops)
