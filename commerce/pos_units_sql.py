"""Goods that leave a store at its till, inside the ledger's transaction of the receipt.

The customer has walked out with them, however late the till tells of it: nothing can be refused. What the store's books
have free goes; what they lack was there all the same, and is counted as found in the same entry (``pos_unit.short``),
so that stock is never below zero and the difference is seen. Articles that the shop does not know are the till's alone.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from sqlalchemy import bindparam, text

from commerce.domain.ids import id_time_ms
from commerce.domain.money import portion
from commerce.domain.pos import ReceiptLine
from commerce.errors import NotFound, Refused
from commerce.ledger_batch_sql import Batch
from commerce.stock_sql import free_at, move_stock, open_place

_STOCKED = text("SELECT 1 FROM outlet WHERE id = :outlet AND stocked")
_ARTICLES = text(
    "SELECT k.id AS sku, coalesce(d.code, '') AS code FROM sku AS k LEFT JOIN sku_detail AS d ON d.sku = k.id"
    " WHERE k.merchant = :merchant AND k.kind = 'goods' AND k.slot_ms IS NULL"
    " AND (k.id IN :articles OR d.code IN :articles)"
).bindparams(bindparam("articles", expanding=True))
_INSERT = text(
    "INSERT INTO pos_unit (receipt, sku, merchant, outlet, quantity, short)"
    " VALUES (:receipt, :sku, :merchant, :outlet, :quantity, :short)"
)
_OF = text("SELECT * FROM pos_unit WHERE receipt = :receipt AND sku = :sku")
_LEFT_FOR = text(
    "SELECT -cost FROM stock_entry WHERE merchant = :merchant AND created_ms = :at AND kind = 'till'"
    " AND ref = :receipt AND sku = :sku"
)
_GIVE = text("UPDATE pos_unit SET returned = returned + :units WHERE receipt = :receipt AND sku = :sku")


def _skus(batch: Batch, merchant: str, units: Iterable[tuple[str, int]]) -> Counter[str]:
    """Units by our SKU; a code of the merchant's comes before an id."""
    asked = Counter[str]()
    for article, quantity in units:
        asked[article] += quantity
    rows = batch.run(_ARTICLES, merchant=merchant, articles=["", *asked]).all()
    known = {row.sku: row.sku for row in rows} | {row.code: row.sku for row in rows if row.code}
    found = Counter[str]()
    for article, quantity in asked.items():
        if article in known:
            found[known[article]] += quantity
    return found


def take_units(batch: Batch, merchant: str, outlet: str, receipt: str, lines: Sequence[ReceiptLine]) -> None:
    """Let the goods of a receipt leave the store, if it keeps stock."""
    if not lines or batch.one(_STOCKED, outlet=outlet) is None:
        return
    for sku, units in sorted(_skus(batch, merchant, ((line.article, line.quantity) for line in lines)).items()):
        open_place(batch, merchant, sku, "")
        open_place(batch, merchant, sku, outlet)
        short = max(0, units - free_at(batch, sku, outlet))
        gone = {"free": short - units, "adjusted": short, "shipped": units}
        assert move_stock(batch, merchant, sku, "till", receipt, outlet=outlet, **gone)
        batch.run(_INSERT, receipt=receipt, sku=sku, merchant=merchant, outlet=outlet, quantity=units, short=short)


def give_units(
    batch: Batch, merchant: str, receipt: str, refund: str, units: Sequence[tuple[str, int]], stock: str
) -> None:
    """Take goods of a receipt back into the store, sellable or into quarantine.

    Raises NotFound for what the receipt has not, Refused (over_refund) for more than it has.
    """
    wanted = _skus(batch, merchant, units)
    if sum(wanted.values()) != sum(count for _, count in units):
        raise NotFound("the shop knows no such article", field="lines")
    for sku, count in sorted(wanted.items()):
        row = batch.one(_OF, receipt=receipt, sku=sku)
        if row is None:
            raise NotFound("the receipt has no such article in this store's stock", field="lines")
        if count > row.quantity - row.returned:
            raise Refused("over_refund", "that is more than was sold", left=row.quantity - row.returned)
        batch.run(_GIVE, receipt=receipt, sku=sku, units=count)
        back = {"shipped": -count, "free" if stock == "sellable" else "quarantined": count}
        # At what they left for, step by step.
        sold = {"merchant": merchant, "receipt": receipt, "sku": sku, "at": id_time_ms(receipt)}
        left = int(batch.run(_LEFT_FOR, **sold).scalar_one())
        cost = portion(left, row.returned + count, row.quantity) - portion(left, row.returned, row.quantity)
        assert move_stock(batch, merchant, sku, "returned", refund, outlet=row.outlet, cost=cost, **back)
