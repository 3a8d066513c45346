"""A purchase order as a sheet (CSV): one line per SKU, written so that it can go to the supplier and come back. Pure.

As in a sheet of goods, ``quantity`` is in units, and in whole grams of goods by weight; ``unit_cost`` is in yuan for
one unit. Columns that only tell (title, what came) are written, and not taken in.
"""

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from commerce.domain.cost import COST_FEN_MAX
from commerce.domain.money import fen, yuan
from commerce.domain.purchase import LINES_MAX
from commerce.domain.sale import UNITS_MAX
from commerce.errors import Invalid
from commerce.goods_sheet import CODE
from commerce.ledger_purchases import PurchaseLineView
from commerce.sheet import Fault, read_sheet
from commerce.statement import safe_cell

COLUMNS = {
    "sku": "规格编码",
    "title": "商品名称",
    "name": "规格名称",
    "unit": "单位",
    "quantity": "数量",
    "unit_cost": "进价",
    "received": "已到",
    "returned": "已退",
    "amount": "金额",
}
_NAMES = {name: name for name in COLUMNS} | {chinese: name for name, chinese in COLUMNS.items()}
REQUIRED = ("sku", "quantity", "unit_cost")


@dataclass(frozen=True, slots=True)
class SheetLine:
    """One line that could be read: ``sku`` is a code or an id; ``quantity`` in units or grams, ``unit_cost`` 分."""

    line: int
    sku: str
    quantity: int
    unit_cost: int


def read_purchase_sheet(raw: bytes) -> tuple[list[SheetLine], list[Fault]]:
    """The lines of a file, and what is wrong with the others. Raises Invalid when it is no such sheet at all."""
    lines: list[SheetLine] = []
    faults: list[Fault] = []
    for number, cells in read_sheet(raw, _NAMES, REQUIRED, ", ".join(REQUIRED)):
        if len(lines) + len(faults) >= LINES_MAX:
            raise Invalid(f"a purchase order has at most {LINES_MAX} lines: split it", field="file")
        read = cells if isinstance(cells, Fault) else _line(number, cells)
        (faults if isinstance(read, Fault) else lines).append(read)  # type: ignore[arg-type]
    return lines, faults


def _line(number: int, cells: Mapping[str, str]) -> SheetLine | Fault:
    sku, quantity = cells["sku"].strip().removeprefix("'"), cells["quantity"].strip()
    if not CODE.fullmatch(sku):
        return Fault(number, "sku", "a code of 1 to 64 letters, digits and . _ / # + -")
    if not (quantity.isascii() and quantity.isdigit()) or len(quantity) > 13 or int(quantity) == 0:
        return Fault(number, "quantity", f"a whole number from 1 on, not {quantity[:20]!r}")
    try:
        cost = fen(cells["unit_cost"])
    except ValueError:
        cost = -1
    if not 0 <= cost <= COST_FEN_MAX:
        return Fault(number, "unit_cost", f"yuan with at most two decimals, not {cells['unit_cost'].strip()[:20]!r}")
    return SheetLine(number, sku, int(quantity), cost)


def units_of(quantity: int, grams: int) -> int:
    """Units in a quantity of a sheet. Raises Invalid when grams are not whole units, or it is too much."""
    whole, rest = divmod(quantity, grams or 1)
    if rest:
        raise Invalid(f"whole units of {grams} g: {quantity} g are none", field="quantity")
    if whole > UNITS_MAX:
        raise Invalid(f"at most {UNITS_MAX} units", field="quantity")
    return whole


def write_purchase_sheet(lines: Iterable[PurchaseLineView]) -> str:
    """The file of a purchase order, as ``read_purchase_sheet`` reads it."""
    sheet = io.StringIO()
    writer = csv.writer(sheet, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for one in lines:
        each = one.grams or 1
        unit = f"{one.grams}g" if one.grams else "piece"
        counts = (one.quantity * each, yuan(one.unit_cost), one.received * each, one.returned * each, yuan(one.amount))
        writer.writerow([one.code or one.sku, safe_cell(one.title), safe_cell(one.name), unit, *counts])
    return sheet.getvalue()
