"""Units of a sale that change hands without a request: given to people, back to the shelf, and from it again."""

from collections.abc import Sequence

from sqlalchemy import text

from commerce.domain.sale import SaleRow
from commerce.errors import Refused
from commerce.events import HoldGiven
from commerce.ledger_batch_sql import Batch, as_rows
from commerce.stock_sql import move_stock

_TAKE = text("UPDATE sale SET free = free - :units, held = held + :units WHERE id = :id")
_CLOSE = text(
    "UPDATE sale SET closed_ms = :now, returned = returned + free, free = 0, waiting = 0"
    " WHERE id = :id AND closed_ms IS NULL"
)
_END_WAITING = text("UPDATE waiter SET state = 'ended' WHERE sale = :id AND state = 'waiting'")
_REOPEN = text(
    "UPDATE sale SET closed_ms = NULL, paused_ms = NULL, returned = returned - :units, free = free + :units,"
    " closes_ms = :closes, announced = '' WHERE id = :id AND returned >= :units"
)
_FREE = text("SELECT free FROM stock WHERE sku = :sku")


Asked = tuple[str | None, str | None, str | None]
"""The key and hash of the request by which a hold is taken, and the same person's hold with a key before it."""


def grant_holds(
    batch: Batch,
    sale: SaleRow,
    people: Sequence[str],
    expires_ms: int,
    why: str = "",
    asked: Asked = (None, None, None),
) -> list[str]:
    """A hold of one unit for each of ``people`` (none twice), in their order; the holds' ids.

    The caller has seen that the units are free and nobody is over the limit. ``why`` tells them so. What is given
    without a request answers no key, so the chain of holds that do (decision 18) leads past it.
    """
    if not people:
        return []
    ids = batch.mint_many(len(people))
    key, body_hash, earlier = asked
    packed = as_rows((hold, person, key, body_hash, 1, earlier) for hold, person in zip(ids, people, strict=True))
    counted = as_rows((person, 1, key and hold) for person, hold in sorted(zip(people, ids, strict=True)))
    batch.run(_TAKE, id=sale.id, units=len(people))
    given = {"merchant": sale.merchant, "sale": sale.id, "sku": sale.sku, "price": sale.price}
    batch.run(batch.texts.insert_holds, rows=packed, expires_ms=expires_ms, **given)
    batch.run(batch.texts.raise_quotas, rows=counted, scope=sale.id)
    batch.sale_moved(sale.id)
    if why:
        for hold, person in zip(ids, people, strict=True):
            common = (batch.mint(), sale.merchant, sale.room, batch.now_ms)
            batch.emit(HoldGiven(*common, person, hold, sale.id, 1, sale.price, expires_ms, why))
    return ids


def close_sale(batch: Batch, sale: SaleRow) -> bool:
    """End a sale: its free units go back to the shelf, its holds stay good; False when it was closed before."""
    if not batch.run(_CLOSE, id=sale.id, now=batch.now_ms).rowcount:
        return False
    batch.run(_END_WAITING, id=sale.id)
    move_stock(batch, sale.merchant, sale.sku, "unreserved", sale.id, free=sale.free, held=-sale.free)
    batch.sale_moved(sale.id)
    return True


def reopen_sale(batch: Batch, sale: SaleRow, closes_ms: int) -> None:
    """Take what a closed sale gave back to the shelf from there again, as far as it is there.

    Raises Refused (sold_out) when nothing of it is.
    """
    row = batch.one(_FREE, sku=sale.sku)
    units = min(sale.returned, 0 if row is None else row.free)
    if units < 1 or not move_stock(batch, sale.merchant, sale.sku, "reserved", sale.id, free=-units, held=units):
        raise Refused("sold_out", "none of its units are on the shelf any more")
    batch.run(_REOPEN, id=sale.id, units=units, closes=closes_ms)
    batch.sale_moved(sale.id)
