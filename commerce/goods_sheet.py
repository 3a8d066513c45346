"""A sheet of goods (CSV): one line per SKU, read and written so that it can go to a spreadsheet and back.

The first line names the columns, in English or Chinese, in any order; an empty cell leaves a figure as it is.
Beside them there may be, for a store that keeps stock of its own, ``stock@NAME`` and ``seen@NAME`` (库存@店名):
NAME is the store's name, or its id where two have one name.

``product`` and ``sku`` are the merchant's own codes, or our ids: lines with the same ``product`` are variants of one
product. Money is in yuan with at most two decimals. ``unit`` is ``piece``, or the weight of one unit (``500g``): then
``stock`` is in whole grams, and the price is for one unit.

``seen`` and ``version`` are what the sheet's writer saw of stock and price; an export fills them in. With them a line
that nobody touched changes nothing, however much was sold meanwhile, and one that was touched is refused when somebody
else changed the figure since (goods_plan). So taking the same file in twice changes nothing the second time.
"""

import csv
import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from commerce import catalogue_checks as check
from commerce.domain.money import fen, yuan
from commerce.domain.sale import UNITS_MAX
from commerce.errors import Invalid
from commerce.sheet import decode_sheet
from commerce.statement import FORMULA, safe_cell

ROWS_MAX = 1_000
"""SKUs written at once: a transaction of some tenths of a second in which nobody of the merchant is served."""
FILE_ROWS_MAX = 5_000
"""SKUs in one file: those that stay as they are are only read."""
FILE_BYTES_MAX = 4 * 1024 * 1024
"""Five thousand lines of some hundred characters of description each."""
MEDIA_MAX = 20
"""Further pictures and films of one product: more than anybody swipes through."""
GRAMS_MAX = 1_000_000
"""A tonne in one unit."""
STOCK_GRAMS_MAX = 10**13
"""``UNITS_MAX`` units of ``GRAMS_MAX``."""
OUTLETS_MAX = 500
"""Stores of one shop."""
CODE = re.compile(r"[0-9A-Za-z][0-9A-Za-z._/#+-]{0,63}")
RETURNS = ("seven_days", "custom", "perishable", "digital", "press", "agreed")

COLUMNS = {
    "product": "商品编码",
    "title": "商品名称",
    "category": "分类",
    "sku": "规格编码",
    "name": "规格名称",
    "price": "售价",
    "list_price": "划线价",
    "list_basis": "划线价依据",
    "unit": "单位",
    "stock": "库存",
    "seen": "导出时库存",
    "version": "价格版本",
    "returns": "退货",
    "image": "主图",
    "media": "图册",
    "detail": "详情",
    "on_shelf": "上架",
}
"""The columns, with what they are called in Chinese."""
_NAMES = {name: name for name in COLUMNS} | {chinese: name for name, chinese in COLUMNS.items()}
_UNIT = re.compile(r"([0-9]{1,9}) ?(g|kg|克|千克|公斤)", re.IGNORECASE)
_PIECE = frozenset({"piece", "件", "个", "0"})
_WORDS = {"1": True, "yes": True, "true": True, "是": True, "0": False, "no": False, "false": False, "否": False}


@dataclass(frozen=True, slots=True)
class StoreCount:
    """What a line says of one store (by name or id): ``stock`` and ``seen`` as in a row."""

    outlet: str
    stock: int | None = None
    seen: int | None = None


@dataclass(frozen=True, slots=True)
class GoodsRow:
    """One line: ``None`` leaves a figure as it is. Money in 分, ``grams`` of one unit (0: by the piece).

    ``stock`` and ``seen`` are in grams for goods by weight, in units for others. ``id`` is ours, in what is read.
    """

    line: int
    product: str
    sku: str
    title: str | None = None
    name: str | None = None
    price: int | None = None
    list_price: int | None = None
    list_basis: str | None = None
    grams: int | None = None
    stock: int | None = None
    seen: int | None = None
    version: int | None = None
    returns: str | None = None
    image: str | None = None
    media: tuple[str, ...] | None = None
    detail: str | None = None
    on_shelf: bool | None = None
    outlets: tuple[StoreCount, ...] = ()
    id: str = ""
    category: str | None = None


@dataclass(frozen=True, slots=True)
class RowFault:
    """What is wrong with one line, in which column, and what to do."""

    line: int
    column: str
    message: str


def check_row(line: int, given: Mapping[str, Any]) -> GoodsRow:
    """A line whose figures have been read. Raises Invalid with the ``field``."""
    row = GoodsRow(line, _code(given.get("product"), "product"), _code(given.get("sku"), "sku"))
    checked = {name: test(given[name]) for name, test in _CHECKS.items() if given.get(name) is not None}
    values = {field.name: getattr(row, field.name) for field in fields(row)} | checked
    return GoodsRow(**values)


def _code(value: Any, field: str) -> str:
    text = value.strip() if isinstance(value, str) else ""
    if not CODE.fullmatch(text):
        raise Invalid(f"{field} is a code of 1 to 64 letters, digits and . _ / # + -", field=field)
    return text


def _stores(value: Iterable[Mapping[str, Any]]) -> tuple[StoreCount, ...]:
    made = []
    for one in value:
        where = check.words(one.get("outlet", ""), "outlet", 64)
        counts = {name: one.get(name) for name in ("stock", "seen")}
        for name, units in counts.items():
            if units is not None:
                check.whole(units, f"{name}@{where}", 0, STOCK_GRAMS_MAX)
        made.append(StoreCount(where, **counts))
    if len(made) > OUTLETS_MAX or len({one.outlet for one in made}) < len(made):
        raise Invalid(f"a line names each of at most {OUTLETS_MAX} stores once", field="outlets")
    return tuple(made)


def _line(field: str, most: int) -> Callable[[str], str]:
    def checked(value: str) -> str:
        if len(value) > most:
            raise Invalid(f"{field} has at most {most} characters", field=field)
        return check.title(value, field) if value else ""

    return checked


def _media(value: Iterable[str]) -> tuple[str, ...]:
    links = tuple(check.image(link, "media") for link in value)
    if len(links) > MEDIA_MAX or not all(links):
        raise Invalid(f"media are at most {MEDIA_MAX} addresses", field="media")
    return links


def _returns(value: str) -> str:
    if value not in RETURNS:
        raise Invalid(f"returns is one of {', '.join(RETURNS)}", field="returns")
    return value


_CHECKS: dict[str, Callable[[Any], Any]] = {
    "title": check.title,
    "category": check.category,
    "name": _line("name", check.TITLE_CHARACTERS_MAX),
    "price": check.price,
    "list_price": lambda value: check.price(value, "list_price"),
    "list_basis": _line("list_basis", 60),
    "grams": lambda value: check.whole(value, "unit", 0, GRAMS_MAX),
    "stock": lambda value: check.whole(value, "stock", 0, STOCK_GRAMS_MAX),
    "seen": lambda value: check.whole(value, "seen", 0, STOCK_GRAMS_MAX),
    "version": lambda value: check.whole(value, "version", 1, UNITS_MAX),
    "returns": _returns,
    "image": check.image,
    "media": _media,
    "detail": check.detail,
    "on_shelf": bool,
    "outlets": _stores,
}


def read_sheet(raw: bytes) -> tuple[list[GoodsRow], list[RowFault]]:
    """The lines of a file, and what is wrong with the others. Raises Invalid when it is no such sheet at all."""
    reader = csv.reader(io.StringIO(decode_sheet(raw), newline=""), strict=True)
    try:
        columns = _columns(next(reader, []))
        return _rows(reader, columns)
    except csv.Error as error:
        raise Invalid(f"line {reader.line_num} is not CSV: {error}", field="file") from error


def _columns(heading: list[str]) -> list[str]:
    names = [_NAMES.get(cell.strip().lower(), "") or _of_store(cell) for cell in heading]
    unknown = [cell for cell, name in zip(heading, names, strict=True) if not name]
    if unknown or len(set(names)) != len(names):
        raise Invalid(
            f"these columns are not taken in, or are there twice: {', '.join(unknown or heading)}", field="file"
        )
    if not {"product", "sku"} <= set(names):
        raise Invalid(
            "the first line names the columns, product (商品编码) and sku (规格编码) among them", field="file"
        )
    return names


def _of_store(cell: str) -> str:
    """``stock@NAME`` or ``seen@NAME`` of a heading; empty when it is none."""
    what, at, where = _bare(cell).partition("@")
    name = _NAMES.get(what.strip().lower(), "")
    return f"{name}@{where.strip()}" if at and name in ("stock", "seen") and where.strip() else ""


def _rows(reader: Any, columns: list[str]) -> tuple[list[GoodsRow], list[RowFault]]:
    rows: list[GoodsRow] = []
    faults: list[RowFault] = []
    for cells in reader:
        line = reader.line_num
        if not any(cell.strip() for cell in cells):
            continue
        if len(rows) + len(faults) >= FILE_ROWS_MAX:
            raise Invalid(f"a file has at most {FILE_ROWS_MAX} goods: split it", field="file")
        if len(cells) != len(columns):
            faults.append(RowFault(line, "", f"{len(cells)} columns instead of {len(columns)}"))
            continue
        given = {name: _bare(cell) for name, cell in zip(columns, cells, strict=True) if cell.strip()}
        try:
            figures = {_FIELD.get(name, name): _value(name, text) for name, text in given.items() if "@" not in name}
            stores: dict[str, dict[str, Any]] = {}
            for name, text in given.items():
                what, at, where = name.partition("@")
                if at:
                    stores.setdefault(where, {"outlet": where})[what] = _value(what, text)
            rows.append(check_row(line, figures | ({"outlets": stores.values()} if stores else {})))
        except Invalid as error:
            faults.append(RowFault(line, str(error.extra.get("field", "")), error.message))
    return rows, faults


_FIELD = {"unit": "grams"}


def _bare(cell: str) -> str:
    """A cell without the quote by which an export keeps a spreadsheet from running it."""
    text = cell.strip()
    return text[1:] if text.startswith("'") and text[1:].startswith(FORMULA) else text


def _value(name: str, text: str) -> Any:
    if name in ("price", "list_price"):
        try:
            return fen(text)
        except ValueError as error:
            raise Invalid(f"{name} is in yuan with at most two decimals, not {text[:20]!r}", field=name) from error
    if name in ("stock", "seen", "version"):
        if not (text.isascii() and text.isdigit()) or len(text) > 15:
            raise Invalid(f"{name} is a whole number, not {text[:20]!r}", field=name)
        return int(text)
    if name == "unit":
        return _grams(text)
    if name == "media":
        return tuple(text.split())
    if name == "on_shelf":
        if text.lower() not in _WORDS:
            raise Invalid(f"on_shelf is yes (是) or no (否), not {text[:20]!r}", field=name)
        return _WORDS[text.lower()]
    return text


def _grams(text: str) -> int:
    if text.lower() in _PIECE:
        return 0
    match = _UNIT.fullmatch(text)
    if match is None:
        raise Invalid("unit is empty, piece (件), or the weight of one unit in whole grams: 500g", field="unit")
    return int(match[1]) * (1 if match[2].lower() in ("g", "克") else 1_000)


def write_sheet(rows: Iterable[GoodsRow], stores: Sequence[str] = ()) -> str:
    """The file of some goods, as ``read_sheet`` reads it, with two columns for each of ``stores``."""
    sheet = io.StringIO()
    writer = csv.writer(sheet, lineterminator="\r\n")
    columns = [safe_cell(f"{what}@{store}") for store in stores for what in ("stock", "seen")]
    writer.writerow([*COLUMNS, *columns])
    for row in rows:
        there = {one.outlet: one for one in row.outlets}
        counts = [getattr(there.get(store), what, None) for store in stores for what in ("stock", "seen")]
        writer.writerow([*(_cell(name, row) for name in COLUMNS), *("" if n is None else str(n) for n in counts)])
    return sheet.getvalue()


def _cell(name: str, row: GoodsRow) -> str:
    value = getattr(row, _FIELD.get(name, name))
    if value is None:
        return ""
    if name in ("price", "list_price"):
        return yuan(value)
    if name == "unit":
        return f"{value}g" if value else "piece"
    if name == "media":
        return " ".join(value)
    if name == "on_shelf":
        return "yes" if value else "no"
    return safe_cell(value) if isinstance(value, str) else str(value)
