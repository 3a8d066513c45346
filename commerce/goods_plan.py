"""What taking a sheet of goods in would do: decided here, without a database, and done or refused as a whole.

A figure that the line does not name stays. One that it names and that is so already is no change. One that differs is
a change, unless the line says what its writer saw (``seen``, ``version``) and that is not what is there now: then
somebody sold or repriced since, and the line is at fault instead of theirs being overwritten.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from commerce.catalogue_sql import VARIANTS_MAX
from commerce.domain.sale import UNITS_MAX
from commerce.goods_sheet import GoodsRow, RowFault


@dataclass(frozen=True, slots=True)
class KnownSku:
    """A SKU as it is: ``stock`` is what is free, in units, ``stores`` what is in stores by their ids.

    ``kind`` is goods, stored or slot.
    """

    sku: str
    product: str
    code: str | None
    name: str
    price: int
    list_price: int
    list_basis: str
    version: int
    grams: int
    stock: int
    counted: bool
    kind: str
    stores: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class KnownProduct:
    """A product as it is."""

    product: str
    code: str | None
    title: str
    image: str
    detail: str
    media: tuple[str, ...]
    returns: str
    on_shelf: bool
    category: str = ""


@dataclass(frozen=True, slots=True)
class Moved:
    """One figure of one line: from what to what, as a person reads it."""

    what: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class RowResult:
    """What became of one line: ``outcome`` is created, changed, same or fault."""

    line: int
    sku: str
    outcome: str
    changes: tuple[Moved, ...] = ()
    column: str = ""
    message: str = ""


@dataclass(slots=True)
class Plan:
    """What is to be written; nothing of it when there are faults.

    ``skus`` has the state wanted of each SKU that is new or changes, ``stock`` the units wanted free of those counted,
    by SKU and store (empty: the warehouse). Keys of what is new are the codes of the sheet; of what is there, our ids.
    """

    products: dict[str, KnownProduct] = field(default_factory=dict)
    skus: dict[str, KnownSku] = field(default_factory=dict)
    stock: dict[tuple[str, str], int] = field(default_factory=dict)
    results: list[RowResult] = field(default_factory=list)

    @property
    def faults(self) -> int:
        """How many lines are at fault."""
        return sum(result.outcome == "fault" for result in self.results)


class _Fault(Exception):
    def __init__(self, column: str, message: str) -> None:
        super().__init__(message)
        self.column = column


class Planner:
    """Decides line by line; a later line sees what an earlier one will have done."""

    def __init__(
        self, products: Iterable[KnownProduct], skus: Iterable[KnownSku], stores: Mapping[str, str] | None = None
    ) -> None:
        """``stores``: ids of the stores that keep stock, by their ids and by the names that only one has."""
        self._stores = stores or {}
        self._products = _by_name((one.product, one.code, one) for one in products)
        self._skus: dict[str, KnownSku] = {}
        self._variants: dict[str, dict[str, str]] = {}
        for one in skus:
            self._variants.setdefault(one.product, {})[one.sku] = one.name
            self._skus[one.sku] = one
        self._skus |= {one.code: one for one in list(self._skus.values()) if one.code}
        self._seen: dict[str, int] = {}
        self._said: dict[tuple[str, str], object] = {}
        self.plan = Plan()

    def run(self, rows: Sequence[GoodsRow], faults: Sequence[RowFault]) -> Plan:
        """Decide all lines; ``faults`` are of those that could not be read."""
        for fault in faults:
            self.plan.results.append(RowResult(fault.line, "", "fault", (), fault.column, fault.message))
        for row in rows:
            try:
                self.plan.results.append(self._row(row))
            except _Fault as fault:
                self.plan.results.append(RowResult(row.line, row.sku, "fault", (), fault.column, str(fault)))
        self.plan.results.sort(key=lambda result: result.line)
        return self.plan

    def _row(self, row: GoodsRow) -> RowResult:
        sku, product = self._skus.get(row.sku), self._products.get(row.product)
        identity = row.sku if sku is None else sku.sku
        if identity in self._seen:
            raise _Fault("sku", f"the same SKU as in line {self._seen[identity]}")
        self._seen[identity] = row.line
        if sku is None:
            return self._create(row, product)
        if sku.kind != "goods":
            raise _Fault("sku", "stored value and bookable times are not kept in a sheet")
        if product is None or product.product != sku.product:
            raise _Fault("product", "the SKU is of another product; a SKU stays with its product")
        moved = [*self._product(row, product), *self._figures(row, sku)]
        return RowResult(row.line, row.sku, "changed" if moved else "same", tuple(moved))

    def _create(self, row: GoodsRow, product: KnownProduct | None) -> RowResult:
        if row.price is None:
            raise _Fault("price", "new goods need a price")
        if product is None:
            if not row.title:
                raise _Fault("title", "a new product needs a title")
            product = KnownProduct(row.product, row.product, row.title, "", "", (), "seven_days", True)
            self._products[row.product] = product
            self.plan.products[row.product] = product
        self._product(row, product)
        name = row.name or ""
        sku = KnownSku(
            row.sku, product.product, row.sku, "", row.price, row.list_price or row.price, row.list_basis or "",
            1, row.grams or 0, 0, False, "goods",
        )  # fmt: skip
        if sku.list_price < sku.price:
            raise _Fault("list_price", "list_price must not be below price")
        self._name(sku, name)
        sku = replace(sku, name=name)
        self._skus[row.sku] = sku
        self.plan.skus[row.sku] = sku
        moved = [Moved("price", "", str(sku.price))]
        moved += self._counted(row, sku, sku.grams)
        return RowResult(row.line, row.sku, "created", tuple(moved))

    def _name(self, sku: KnownSku, name: str) -> None:
        """Give a SKU a name that its product's others have not."""
        there = self._variants.setdefault(sku.product, {})
        others = [text for one, text in there.items() if one != sku.sku]
        if sku.sku not in there and len(others) >= VARIANTS_MAX:
            raise _Fault("sku", f"a product has at most {VARIANTS_MAX} variants")
        if name in others:
            what = f"the product has a variant {name!r} already" if name else "one of several variants needs a name"
            raise _Fault("name", what)
        there[sku.sku] = name

    def _product(self, row: GoodsRow, old: KnownProduct) -> list[Moved]:
        wanted = {
            "title": row.title, "image": row.image, "detail": row.detail, "media": row.media, "returns": row.returns,
            "on_shelf": row.on_shelf, "category": row.category,
        }  # fmt: skip
        for name, value in wanted.items():
            if value is not None and self._said.setdefault((old.product, name), value) != value:
                raise _Fault(name, "another line of this product says otherwise: they share one")
        known = self.plan.products.get(old.product, old)
        changes = {name: value for name, value in wanted.items() if value is not None and value != getattr(known, name)}
        if changes:
            self.plan.products[old.product] = replace(known, **changes)  # type: ignore[arg-type]
        return [Moved(name, _short(getattr(known, name)), _short(value)) for name, value in changes.items()]

    def _figures(self, row: GoodsRow, old: KnownSku) -> list[Moved]:
        new = old
        if row.name is not None and row.name != old.name:
            self._name(old, row.name)
            new = replace(new, name=row.name)
        if row.list_basis is not None:
            new = replace(new, list_basis=row.list_basis)
        if row.grams is not None and row.grams != old.grams:
            if old.counted:
                raise _Fault("unit", "the unit of goods that have had stock stays: make a new SKU")
            new = replace(new, grams=row.grams)
        new = self._priced(row, old, new)
        moved = [
            Moved(name, _short(getattr(old, name)), _short(getattr(new, name)))
            for name in ("name", "price", "list_price", "list_basis", "grams")
            if getattr(old, name) != getattr(new, name)
        ]
        if moved:
            self.plan.skus[old.sku] = new
        return moved + self._counted(row, old, new.grams)

    @staticmethod
    def _priced(row: GoodsRow, old: KnownSku, new: KnownSku) -> KnownSku:
        price = old.price if row.price is None else row.price
        listed = row.list_price
        if listed is None:
            # What was not struck through stays so; what was keeps its struck-through price while that makes sense.
            listed = price if old.list_price == old.price else max(old.list_price, price)
        if (price, listed) == (old.price, old.list_price):
            return new
        if row.version is not None and row.version != old.version:
            raise _Fault("price", f"the price was changed since this sheet was written: it is {old.price} 分 now")
        if listed < price:
            raise _Fault("list_price", "list_price must not be below price")
        return replace(new, price=price, list_price=listed, version=old.version + (price != old.price))

    def _counted(self, row: GoodsRow, old: KnownSku, grams: int) -> list[Moved]:
        moved = self._count("stock", (old.sku, ""), row.stock, row.seen, old.stock, grams)
        for one in row.outlets:
            column, outlet = f"stock@{one.outlet}", self._stores.get(one.outlet)
            if outlet is None:
                raise _Fault(column, "no store of this name keeps stock of its own, or two have this name: use its id")
            moved += self._count(column, (old.sku, outlet), one.stock, one.seen, old.stores.get(outlet, 0), grams)
        return moved

    def _count(
        self, column: str, key: tuple[str, str], stock: int | None, seen: int | None, units: int, grams: int
    ) -> list[Moved]:
        if stock is None:
            return []
        now = units * (grams or 1)
        if stock == now or (seen is not None and stock == seen):
            return []
        if seen is not None and seen != now:
            raise _Fault(column, f"{seen} were there when this sheet was written and {now} are now: count again")
        if key in self.plan.stock:
            raise _Fault(column, "the store is named twice in this line")
        self.plan.stock[key] = self._units(stock, grams)
        return [Moved(column, str(now), str(stock))]

    @staticmethod
    def _units(stock: int, grams: int) -> int:
        units, rest = divmod(stock, grams or 1)
        if rest:
            raise _Fault("stock", f"stock of goods by weight is in grams, a whole multiple of {grams}")
        if units > UNITS_MAX:
            raise _Fault("stock", f"stock is at most {UNITS_MAX} units")
        return units


def _by_name(named: Iterable[tuple[str, str | None, KnownProduct]]) -> dict[str, KnownProduct]:
    """By our id and, before it, by the merchant's code."""
    rows = list(named)
    return {identity: one for identity, _, one in rows} | {code: one for _, code, one in rows if code}


def _short(value: object) -> str:
    """A figure as the report shows it."""
    text = " ".join(value) if isinstance(value, tuple) else str(value)
    return text if len(text) <= 60 else text[:59] + "…"


def count_outcomes(results: Iterable[RowResult]) -> Mapping[str, int]:
    """How many lines were created, changed, the same and at fault."""
    counts = dict.fromkeys(("created", "changed", "same", "fault"), 0)
    for result in results:
        counts[result.outcome] += 1
    return counts
