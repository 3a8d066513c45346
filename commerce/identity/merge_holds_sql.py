"""A person's holds and quotas when two become one or two again.

No index leads from a person to their holds: it would cost each hold a third (decision 18). What leads there are the
merchant's sales: each person's quota of one is found by its key, and from ``quota.latest`` a chain leads through all of
their holds that were asked for by a key. Those without one are few, or of an order.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Row, String, bindparam, text

from commerce.ledger_batch_sql import Batch

_QUOTAS = text(
    "SELECT q.scope, q.used, q.latest FROM sale AS s CROSS JOIN quota AS q"
    " WHERE s.merchant = :merchant AND q.scope = s.id AND q.person = :younger"
    " UNION ALL SELECT q.scope, q.used, q.latest FROM"
    " (SELECT DISTINCT drop_id FROM coupon WHERE merchant = :merchant AND person = :younger) AS c"
    " CROSS JOIN quota AS q WHERE q.scope = c.drop_id AND q.person = :younger"
)
_QUOTA_SET = text(
    "INSERT INTO quota (scope, person, used) VALUES (:scope, :person, :used)"
    " ON CONFLICT (scope, person) DO UPDATE SET used = quota.used + excluded.used"
)
_QUOTA_GONE = text("DELETE FROM quota WHERE scope = :scope AND person = :person")
_QUOTA_LESS = text("UPDATE quota SET used = used - :used WHERE scope = :scope AND person = :person")

_ON = "SELECT h.earlier FROM chain AS c CROSS JOIN hold AS h WHERE h.id = c.id AND h.earlier IS NOT NULL"
_HOLDS = text(
    f"WITH RECURSIVE chain(id) AS (SELECT id FROM hold WHERE id IN :latest UNION {_ON})"  # noqa: S608 - a constant
    " UPDATE hold SET person = :elder WHERE person = :younger AND merchant = :merchant AND id IN (SELECT id FROM chain"
    # What was won or waited for was asked for by no key.
    " UNION SELECT id FROM hold WHERE person = :younger AND key IS NULL AND order_id IS NULL"
    " UNION SELECT h.id FROM orders AS o CROSS JOIN hold AS h WHERE h.order_id = o.id AND o.merchant = :merchant"
    " AND o.person = :younger) RETURNING id"
).bindparams(bindparam("latest", expanding=True, type_=String()))
_CHAIN = text(
    "WITH RECURSIVE chain(id) AS (SELECT latest FROM quota WHERE scope IN :sales AND person = :person"  # noqa: S608
    f" AND latest IS NOT NULL UNION {_ON}) SELECT id FROM chain"
).bindparams(bindparam("sales", expanding=True))
# A hold has the key of the request that took it, so those that have ended are the answers of keys, too (decision 18).
_KEYED = text(
    "SELECT id, sale, person, key, hash, earlier FROM hold WHERE id IN :ids AND key IS NOT NULL ORDER BY sale, id"
).bindparams(bindparam("ids", expanding=True))
_KEY = text("UPDATE hold SET key = :key, hash = :hash, earlier = NULL WHERE id = :id AND person = :person")
_EARLIER = text("UPDATE hold SET earlier = :earlier WHERE id = :id")
_LATEST = text("UPDATE quota SET latest = :latest WHERE scope = :sale AND person = :person")
_TO = text("UPDATE hold SET person = :to WHERE person = :from AND id IN :ids").bindparams(
    bindparam("ids", expanding=True)
)
_HELD = text("SELECT id, sale, quantity, state, order_id FROM hold WHERE person = :elder AND id IN :ids").bindparams(
    bindparam("ids", expanding=True)
)


def quotas_of(batch: Batch, merchant: str, younger: str) -> Sequence[Row[Any]]:
    """What a person has used of sales and drops, while their coupons are still theirs."""
    return batch.run(_QUOTAS, merchant=merchant, younger=younger).all()


def take_quotas(batch: Batch, elder: str, younger: str, quotas: Iterable[Row[Any]]) -> None:
    """What both have used is added up."""
    for row in quotas:
        batch.run(_QUOTA_GONE, scope=row.scope, person=younger)
        batch.run(_QUOTA_SET, scope=row.scope, person=elder, used=row.used)


def give_back_quotas(batch: Batch, elder: str, younger: str, used: Mapping[str, int]) -> None:
    """What is behind the rows that went back counts where they are."""
    for scope, units in used.items():
        batch.run(_QUOTA_LESS, scope=scope, person=elder, used=units)
        batch.run(_QUOTA_SET, scope=scope, person=younger, used=units)


def take_holds(batch: Batch, merchant: str, elder: str, younger: str, quotas: Iterable[Row[Any]]) -> list[str]:
    """Make the younger's holds the elder's, but those of others' orders, before the orders move.

    Gives their ids.
    """
    latest = [row.latest for row in quotas if row.latest is not None]
    return list(batch.run(_HOLDS, merchant=merchant, elder=elder, younger=younger, latest=latest).scalars())


def take_keys(batch: Batch, elder: str, moved: Sequence[str]) -> list[list[str]]:
    """Lead the elder's chains through the holds that came; where both used a key, the elder's stays.

    Gives [hold, key, hash] of those whose key is gone.
    """
    came = _keyed(batch, moved)
    sales = {row.sale for row in came}
    theirs = _keyed(batch, _chained(batch, elder, sales))
    own = {(row.sale, row.key) for row in theirs}
    gone = [row for row in came if (row.sale, row.key) in own]
    batch.run_many(_KEY, [{"id": row.id, "person": elder, "key": None, "hash": None} for row in gone])
    stay = [row for row in came if (row.sale, row.key) not in own]
    _chain(batch, elder, sales, sorted([*theirs, *stay], key=lambda row: row.id))
    return [[row.id, row.key, row.hash] for row in gone]


def give_back_holds(batch: Batch, elder: str, younger: str, moved: Mapping[str, Any]) -> None:
    """Holds that no later order of the elder's took go back, with what they count and the keys that they answer."""
    ids = moved["hold"]
    if not ids:
        return
    orders = set(moved["orders"])
    there = batch.run(_HELD, ids=ids, elder=elder).all()
    sales = {row.sale for row in there if row.sale is not None}
    keyed = {*_chained(batch, elder, sales), *_chained(batch, younger, sales), *(key[0] for key in moved["key"])}
    back = [row for row in there if row.order_id is None or row.order_id in orders]
    if back:
        batch.run(_TO, ids=[row.id for row in back], **{"from": elder, "to": younger})
    used: dict[str, int] = {}
    for row in back:
        if row.sale is not None:
            used[row.sale] = used.get(row.sale, 0) + (row.quantity if row.state in ("held", "sold") else 0)
    give_back_quotas(batch, elder, younger, used)
    keys = [{"id": hold, "person": younger, "key": key, "hash": body} for hold, key, body in moved["key"]]
    batch.run_many(_KEY, keys)
    rows = _keyed(batch, sorted(keyed))
    for person in (elder, younger):
        _chain(batch, person, sales, [row for row in rows if row.person == person])


def _chained(batch: Batch, person: str, sales: Iterable[str]) -> list[str]:
    """The holds with a key that a person has of some sales."""
    asked = sorted(sales)
    return list(batch.run(_CHAIN, person=person, sales=asked).scalars()) if asked else []


def _keyed(batch: Batch, holds: Sequence[str]) -> Sequence[Row[Any]]:
    return batch.run(_KEYED, ids=list(holds)).all() if holds else []


def _chain(batch: Batch, person: str, sales: Iterable[str], rows: Iterable[Row[Any]]) -> None:
    """Lead from ``quota.latest`` through a person's keyed ``rows``, the oldest first, in each of ``sales``."""
    latest: dict[str, str | None] = dict.fromkeys(sales)
    for row in rows:
        if row.sale not in latest:
            continue
        if row.earlier != latest[row.sale]:
            batch.run(_EARLIER, id=row.id, earlier=latest[row.sale])
        latest[row.sale] = row.id
    batch.run_many(_LATEST, [{"sale": sale, "person": person, "latest": newest} for sale, newest in latest.items()])
