"""Goods by the sheet: read for an export, and taken in inside the ledger's transaction, all of it or nothing."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import orjson
from sqlalchemy import Connection, Row, bindparam, text

from commerce.changes import Change, Hand, filed
from commerce.changes_sql import note
from commerce.compliance_sql import check_basis, check_up
from commerce.domain.ids import AFTER_ALL, id_time_ms
from commerce.errors import Invalid
from commerce.fresh_ids import fresh_id
from commerce.goods_plan import KnownProduct, KnownSku, Plan, Planner, RowResult, count_outcomes
from commerce.goods_sheet import ROWS_MAX, GoodsRow, RowFault, StoreCount
from commerce.ledger_batch_sql import Batch
from commerce.stock_sql import free_at, move_stock, open_place

GOODS_MAX = 20_000
"""SKUs in one export: some megabytes."""
RUNS_PAGE_MAX = 100

_SKU = (
    "SELECT k.id, k.product, k.name, k.price, k.list_price, k.version, k.kind, k.slot_ms, d.code, d.list_basis,"
    " coalesce(d.grams, 0) AS grams, coalesce(s.free, 0) AS stock, s.sku IS NOT NULL AS counted"
    " FROM sku AS k LEFT JOIN sku_detail AS d ON d.sku = k.id LEFT JOIN stock AS s ON s.sku = k.id"
    " WHERE k.merchant = :merchant"
)
_PRODUCT = (
    "SELECT p.id, p.title, p.image, p.detail, p.on_shelf, p.category, d.code, d.media, d.returns"
    " FROM product AS p LEFT JOIN product_detail AS d ON d.product = p.id WHERE p.merchant = :merchant"
)
_PRODUCTS = text(f"{_PRODUCT} AND (p.id IN :names OR d.code IN :names)").bindparams(bindparam("names", expanding=True))
_SKUS = text(f"{_SKU} AND (k.id IN :names OR d.code IN :names OR k.product IN :products)").bindparams(
    bindparam("names", expanding=True), bindparam("products", expanding=True)
)
_ALL_SKUS = text(f"{_SKU} AND k.kind = 'goods' AND k.slot_ms IS NULL AND k.id > :after ORDER BY k.id LIMIT :limit")
_THEIR_PRODUCTS = text(f"{_PRODUCT} AND p.id IN :products").bindparams(bindparam("products", expanding=True))
_INSERT_PRODUCT = text(
    "INSERT INTO product (id, merchant, title, image, detail, on_shelf, category, created_ms)"
    " VALUES (:id, :merchant, :title, :image, :detail, :on_shelf, :category, :now)"
)
_UPDATE_PRODUCT = text(
    "UPDATE product SET title = :title, image = :image, detail = :detail, on_shelf = :on_shelf, category = :category"
    " WHERE id = :id"
)
_PRODUCT_DETAIL = text(
    "INSERT INTO product_detail (product, merchant, code, media, returns) VALUES (:id, :merchant, :code, :media,"
    " :returns) ON CONFLICT (product) DO UPDATE SET media = excluded.media, returns = excluded.returns"
)
_INSERT_SKU = text(
    "INSERT INTO sku (id, product, merchant, name, price, list_price, version)"
    " VALUES (:id, :product, :merchant, :name, :price, :list_price, 1)"
)
_UPDATE_SKU = text(
    "UPDATE sku SET name = :name, price = :price, list_price = :list_price, version = :version WHERE id = :id"
)
_SKU_DETAIL = text(
    "INSERT INTO sku_detail (sku, merchant, code, grams, list_basis) VALUES (:id, :merchant, :code, :grams,"
    " :list_basis) ON CONFLICT (sku) DO UPDATE SET grams = excluded.grams, list_basis = excluded.list_basis"
)
_COUNTED = text("SELECT 1 FROM stock_entry WHERE sku = :id AND outlet = :outlet AND merchant = :merchant LIMIT 1")
_STORES = text("SELECT id, name FROM outlet WHERE merchant = :merchant AND stocked AND closed_ms IS NULL ORDER BY id")
_IN_STORES = text("SELECT outlet, sku, free FROM outlet_stock WHERE sku IN :skus").bindparams(
    bindparam("skus", expanding=True)
)
_CATEGORIES = text(
    "SELECT p.id AS product, p.category, (SELECT min(k.id) FROM sku AS k WHERE k.product = p.id) AS sku"
    " FROM product AS p WHERE p.merchant = :merchant AND p.id IN :products"
).bindparams(bindparam("products", expanding=True))
_RUN = text(
    "INSERT INTO goods_import (id, merchant, staff, why, lines, report, created_ms)"
    " VALUES (:id, :merchant, :staff, :why, :lines, :report, :now)"
)
_RUNS = text(
    "SELECT i.id, i.staff, coalesce(s.name, '') AS name, i.why, i.lines, i.report, i.created_ms FROM goods_import AS i"
    " LEFT JOIN staff AS s ON s.id = i.staff WHERE i.merchant = :merchant AND i.id < :before"
    " ORDER BY i.id DESC LIMIT :limit"
)


@dataclass(frozen=True, slots=True)
class ImportGoods:
    """Take lines in, or (``try_only``) say what that would do; ``faults`` are of lines that could not be read."""

    merchant: str
    staff: str
    why: str
    rows: tuple[GoodsRow, ...]
    faults: tuple[RowFault, ...]
    try_only: bool


@dataclass(frozen=True, slots=True)
class GoodsReport:
    """What became of each line. ``run`` is empty when nothing was written: tried only, at fault, or all the same.

    ``products`` are those that have changed.
    """

    run: str
    written: bool
    counts: Mapping[str, int]
    rows: tuple[RowResult, ...]
    products: tuple[str, ...] = ()


def import_goods(batch: Batch, command: ImportGoods) -> GoodsReport:
    """Take a sheet in as a whole; with a fault in any line, nothing of it. Raises Invalid for too many."""
    plan = _plan(batch.connection, command)
    counts = count_outcomes(plan.results)
    written = counts["created"] + counts["changed"]
    if written > ROWS_MAX:
        raise Invalid(f"{written} lines change something: split them into files of {ROWS_MAX}", field="rows")
    results = tuple(plan.results)
    if command.try_only or counts["fault"] or not (plan.products or plan.skus or plan.stock):
        return GoodsReport("", False, counts, results)
    run = batch.mint()
    products = _write(batch, command, plan, Hand(command.staff, command.why, run))
    body = [asdict(result) for result in results if result.outcome != "same"]
    who = {"merchant": command.merchant, "staff": command.staff, "why": command.why, "now": batch.now_ms}
    batch.run(_RUN, id=run, lines=len(results), report=orjson.dumps(body).decode(), **who)
    return GoodsReport(run, True, counts, results, products)


def _plan(db: Connection, command: ImportGoods) -> Plan:
    rows = command.rows
    named = {"merchant": command.merchant, "names": _some(row.product for row in rows)}
    products = [known_product(row) for row in db.execute(_PRODUCTS, named)]
    asked = {"names": _some(row.sku for row in rows), "products": _some(one.product for one in products)}
    skus = [known_sku(row) for row in db.execute(_SKUS, {"merchant": command.merchant, **asked})]
    skus = _with_stores(db, skus) if any(row.outlets for row in rows) else skus
    return Planner(products, skus, stores_by_name(db, command.merchant)).run(rows, command.faults)


def stores_by_name(db: Connection, merchant: str) -> dict[str, str]:
    """Ids of the stores that keep stock, by their ids and by the names that one of them alone has."""
    rows = db.execute(_STORES, {"merchant": merchant}).all()
    names = Counter(row.name for row in rows)
    return {row.name: row.id for row in rows if names[row.name] == 1} | {row.id: row.id for row in rows}


def _with_stores(db: Connection, skus: Iterable[KnownSku]) -> list[KnownSku]:
    """SKUs with what of them is in stores."""
    known = list(skus)
    there: dict[str, dict[str, int]] = {}
    for row in db.execute(_IN_STORES, {"skus": _some(one.sku for one in known)}):
        there.setdefault(row.sku, {})[row.outlet] = row.free
    return [replace(one, stores=there.get(one.sku, {})) for one in known]


def _some(names: Iterable[str]) -> list[str]:
    """What goes into an IN: an empty one has no type on PostgreSQL."""
    return sorted({"", *names})


def known_sku(row: Row[Any]) -> KnownSku:
    """A row of ``_SKU`` as a value."""
    kind = row.kind if row.slot_ms is None else "slot"
    return KnownSku(
        row.id, row.product, row.code, row.name, row.price, row.list_price, row.list_basis or "", row.version,
        row.grams, row.stock, bool(row.counted), kind,
    )  # fmt: skip


def known_product(row: Row[Any]) -> KnownProduct:
    """A row of ``_PRODUCT`` as a value."""
    media = tuple(orjson.loads(row.media)) if row.media else ()
    shown = bool(row.on_shelf)
    returns = row.returns or "seven_days"
    return KnownProduct(row.id, row.code, row.title, row.image, row.detail, media, returns, shown, row.category)


def _write(batch: Batch, command: ImportGoods, plan: Plan, by: Hand) -> tuple[str, ...]:
    """Write a plan without faults; the products that it touched."""
    touched = {one.product for one in plan.skus.values()} | set(plan.products)
    there = _existing(batch.connection, command.merchant, plan, touched)
    on_sale = [known.product for known in plan.products.values() if known.on_shelf]
    check_up(batch.connection, command.merchant, on_sale)
    refiled = _filed(batch.connection, command.merchant, plan)
    made = _write_products(batch, command.merchant, plan, there)
    skus, changes = _write_skus(batch, command.merchant, plan, there, made)
    for (key, outlet), units in sorted(plan.stock.items()):
        changes.append(_count(batch, command, skus.get(key, key), outlet, units))
    changes += refiled
    note(batch.connection, command.merchant, by, changes, [batch.mint() for _ in changes], batch.now_ms)
    moved = {sku for sku, _ in plan.stock}
    counted = {known.product for known in there.values() if known.sku in moved}
    return tuple(sorted({made.get(one, one) for one in touched | counted}))


def _existing(db: Connection, merchant: str, plan: Plan, touched: set[str]) -> dict[str, KnownSku]:
    """The SKUs that are there of all that the plan names, by our ids."""
    asked = {"names": _some([*plan.skus, *(sku for sku, _ in plan.stock)]), "products": _some(touched)}
    return {row.id: known_sku(row) for row in db.execute(_SKUS, {"merchant": merchant, **asked})}


def _filed(db: Connection, merchant: str, plan: Plan) -> list[Change]:
    """The categories that a plan changes of products that are there; a new product's is no change."""
    there = db.execute(_CATEGORIES, {"merchant": merchant, "products": _some(plan.products)})
    pairs = [(row, plan.products[row.product].category) for row in there]
    return [filed(row.sku, row.category, after) for row, after in pairs if row.category != after]


def _write_products(batch: Batch, merchant: str, plan: Plan, there: Mapping[str, KnownSku]) -> dict[str, str]:
    """Write products; the ids of the new ones by their codes."""
    old = {known.product for known in there.values()}
    ids = {key: batch.mint() for key in plan.products if key not in old}
    rows = [
        {
            "id": ids.get(key, key),
            "merchant": merchant,
            "code": known.code,
            "title": known.title,
            "image": known.image,
            "detail": known.detail,
            "on_shelf": known.on_shelf,
            "category": known.category,
            "media": orjson.dumps(known.media).decode(),
            "returns": known.returns,
            "now": batch.now_ms,
        }
        for key, known in plan.products.items()
    ]
    batch.run_many(_INSERT_PRODUCT, [row for row in rows if row["id"] not in old])
    batch.run_many(_UPDATE_PRODUCT, [row for row in rows if row["id"] in old])
    batch.run_many(_PRODUCT_DETAIL, rows)
    return ids


def _write_skus(
    batch: Batch, merchant: str, plan: Plan, there: Mapping[str, KnownSku], products: Mapping[str, str]
) -> tuple[dict[str, str], list[Change]]:
    """Write SKUs: the ids of the new ones by their codes, and which figures changed."""
    newest: dict[str, int] = {}
    ids: dict[str, str] = {}
    for known in there.values():
        newest[known.product] = max(newest.get(known.product, 0), id_time_ms_or_0(known.sku))
    changes: list[Change] = []
    for key, sku in plan.skus.items():
        product = products.get(sku.product, sku.product)
        if key not in there:
            # A product's SKUs are in the order of their ids, whatever else was made in this millisecond.
            newest[product] = max(batch.now_ms, newest.get(product, 0) + 1)
            ids[key] = fresh_id(newest[product])
        plan.skus[key] = replace(sku, sku=ids.get(key, key), product=product)
        check_basis(batch.connection, merchant, sku.code or key, sku.price, sku.list_price, sku.list_basis)
        before = there.get(key)
        for what in ("price", "list_price"):
            was, now = None if before is None else getattr(before, what), getattr(sku, what)
            if was != now:
                changes.append(Change(plan.skus[key].sku, what, was, now))
    rows = [{**asdict(sku), "id": sku.sku, "merchant": merchant} for sku in plan.skus.values()]
    batch.run_many(_INSERT_SKU, [row for row in rows if row["id"] not in there])
    batch.run_many(_UPDATE_SKU, [row for row in rows if row["id"] in there])
    batch.run_many(_SKU_DETAIL, rows)
    return ids, changes


def id_time_ms_or_0(identifier: str) -> int:
    """When an id was made; 0 of one that another program gave."""
    try:
        return id_time_ms(identifier)
    except ValueError:
        return 0


def _count(batch: Batch, command: ImportGoods, sku: str, outlet: str, units: int) -> Change:
    """Let so many units be free in a place: received by a SKU that never had any there, else an adjustment."""
    open_place(batch, command.merchant, sku, "")
    open_place(batch, command.merchant, sku, outlet)
    free = free_at(batch, sku, outlet)
    counted = batch.one(_COUNTED, id=sku, outlet=outlet, merchant=command.merchant) is not None
    kind = "adjusted" if counted else "received"
    moved = {kind: units - free, "free": units - free}
    assert move_stock(batch, command.merchant, sku, kind, command.why, outlet=outlet, **moved)
    return Change(sku, "stock", free, units, outlet)


def read_goods(db: Connection, merchant: str, after: str, limit: int) -> list[GoodsRow]:
    """Goods as lines of a sheet, by the age of their SKUs, those after the id ``after``."""
    skus = [known_sku(row) for row in db.execute(_ALL_SKUS, {"merchant": merchant, "after": after, "limit": limit})]
    asked = {"merchant": merchant, "products": _some(one.product for one in skus)}
    products = {row.id: known_product(row) for row in db.execute(_THEIR_PRODUCTS, asked)}
    names = store_names(db, merchant)
    skus = _with_stores(db, skus) if names else skus
    return [_row(line, one, products[one.product], names) for line, one in enumerate(skus, 2)]


def store_names(db: Connection, merchant: str) -> dict[str, str]:
    """What a sheet calls the stores that keep stock, by their ids: names that one of them alone has, or their ids."""
    known = stores_by_name(db, merchant)
    return {outlet: outlet for outlet in known.values()} | {
        outlet: name for name, outlet in known.items() if name != outlet
    }


def _row(line: int, sku: KnownSku, product: KnownProduct, stores: Mapping[str, str]) -> GoodsRow:
    weight = sku.grams or 1
    stock = sku.stock * weight
    units = {name: sku.stores.get(outlet, 0) * weight for outlet, name in stores.items()}
    counts = tuple(StoreCount(name, there, there) for name, there in units.items())
    return GoodsRow(
        line, product.code or product.product, sku.code or sku.sku, product.title, sku.name, sku.price,
        sku.list_price, sku.list_basis, sku.grams, stock, stock, sku.version, product.returns, product.image,
        product.media, product.detail, product.on_shelf, counts, sku.sku, product.category,
    )  # fmt: skip


def read_runs(db: Connection, merchant: str, before: str | None, limit: int) -> list[dict[str, Any]]:
    """The sheets taken in, newest first, each with the lines that changed something."""
    asked = {"merchant": merchant, "before": before or AFTER_ALL, "limit": min(limit, RUNS_PAGE_MAX)}
    return [{**row, "report": orjson.loads(row["report"])} for row in db.execute(_RUNS, asked).mappings()]


HANDLERS: Mapping[type, Callable[[Batch, Any], Any]] = {ImportGoods: import_goods}
