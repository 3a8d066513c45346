"""Purchasing for clients: suppliers, purchase orders with deliveries and returns, payments, what goods cost.

Everything that changes stock or money goes to the ledger; rooms are told of goods whose stock has changed.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from commerce import catalogue_checks as check
from commerce import purchase_reads_sql as reads
from commerce import suppliers_sql
from commerce.basket import check_key
from commerce.catalogue_writes import CatalogueWrites
from commerce.changes import WHY_CHARACTERS_MAX
from commerce.domain.cost import COST_FEN_MAX
from commerce.domain.day import day_bounds_ms
from commerce.domain.money import AMOUNT_MAX
from commerce.domain.purchase import (
    CONTACT_CHARACTERS_MAX,
    LINES_MAX,
    NUMBER_CHARACTERS_MAX,
    PurchaseLine,
    PurchaseStep,
)
from commerce.domain.sale import UNITS_MAX
from commerce.errors import Invalid
from commerce.fresh_ids import fresh_id
from commerce.goods_sheet import FILE_BYTES_MAX
from commerce.ledger import Ledger, fingerprint
from commerce.ledger_purchases import (
    CostView,
    PaySupplier,
    PurchaseView,
    ReceivePurchase,
    SavePurchase,
    SendBack,
    SetCost,
    StepPurchase,
    SupplierPaid,
)
from commerce.purchase_sheet import read_purchase_sheet, units_of, write_purchase_sheet
from commerce.sheet import Fault
from commerce.store_sql import Store

T = TypeVar("T")


class Purchases:
    """Purchasing of all merchants of one database; ``clock`` gives Unix milliseconds."""

    def __init__(self, store: Store, ledger: Ledger, catalogue: CatalogueWrites, *, clock: Callable[[], int]) -> None:
        self._store = store
        self._ledger = ledger
        self._catalogue = catalogue
        self._clock = clock

    # --- suppliers -------------------------------------------------------------------------------------------------

    async def save_supplier(
        self,
        merchant: str,
        supplier: str | None,
        name: str,
        contact: str = "",
        phone: str = "",
        note: str = "",
        *,
        closed: bool = False,
    ) -> str:
        """Write a supplier, a new one when None is named; its id. Raises Invalid, NotFound, Refused (already)."""
        fields = {
            "name": check.title(name, "name"),
            "contact": _line(contact, "contact", CONTACT_CHARACTERS_MAX),
            "phone": _line(phone, "phone", 21),
            "note": _line(note, "note", WHY_CHARACTERS_MAX),
        }
        new, now_ms = supplier is None, self._clock()
        identifier = supplier or fresh_id(now_ms)
        await self._store.write(
            lambda db: suppliers_sql.save_supplier(db, merchant, identifier, fields, now_ms, new=new, closed=closed)
        )
        return identifier

    async def suppliers(self, merchant: str, after: str = "", limit: int = 50) -> list[dict[str, Any]]:
        """Suppliers by age, with what each is owed (分) and how many orders are open."""
        return await self._store.read(lambda db: reads.read_suppliers(db, merchant, after, limit))

    async def pay(self, merchant: str, staff: str, supplier: str, amount: int, number: str) -> SupplierPaid:
        """Write down that money went to a supplier. Raises Invalid, NotFound, Conflict, Refused (insufficient)."""
        check.whole(amount, "amount", 1, AMOUNT_MAX)
        command = PaySupplier(merchant, staff, supplier, amount, _number(number))
        return await self._do(command, SupplierPaid)

    # --- purchase orders -------------------------------------------------------------------------------------------

    async def save(
        self,
        merchant: str,
        staff: str,
        purchase: str | None,
        supplier: str,
        lines: Sequence[tuple[str, int, int]],
        number: str = "",
        note: str = "",
        expected: str = "",
    ) -> PurchaseView:
        """Write a draft of (SKU, units, 分 per unit); SKUs by our id. Raises Invalid, NotFound, Refused."""
        if not 0 < len(lines) <= LINES_MAX or len({sku for sku, _, _ in lines}) < len(lines):
            raise Invalid(f"a purchase order has 1 to {LINES_MAX} lines, each of another SKU", field="lines")
        checked = tuple(
            PurchaseLine(
                sku, check.whole(units, "quantity", 1, UNITS_MAX), check.whole(cost, "unit_cost", 0, COST_FEN_MAX)
            )
            for sku, units, cost in lines
        )
        if sum(line.quantity * line.unit_cost for line in checked) > AMOUNT_MAX:
            raise Invalid("that is more than a purchase order may come to", field="lines")
        if expected:
            try:
                day_bounds_ms(expected)
            except ValueError as error:
                raise Invalid(str(error), field="expected") from error
        command = SavePurchase(
            merchant,
            staff,
            purchase,
            supplier,
            _number(number) if number else "",
            _line(note, "note", WHY_CHARACTERS_MAX),
            expected,
            checked,
        )
        return await self._do(command, PurchaseView)

    async def step(self, merchant: str, staff: str, purchase: str, step: PurchaseStep, why: str = "") -> PurchaseView:
        """Order, cancel or close short. Raises NotFound, Refused (not_open, already, closed), Invalid."""
        command = StepPurchase(merchant, staff, purchase, step, _line(why, "why", WHY_CHARACTERS_MAX))
        return await self._do(command, PurchaseView)

    async def receive(
        self,
        merchant: str,
        staff: str,
        purchase: str,
        came: Sequence[tuple[str, int, int | None]],
        key: str,
        number: str = "",
        why: str = "",
    ) -> PurchaseView:
        """Take a delivery of (SKU, units, 分 per unit or None: as ordered) in.

        Raises NotFound, Refused (not_open, already, insufficient: more came than is expected), Conflict, Invalid.
        """
        check_key(key)
        _check_moved([(sku, units) for sku, units, _ in came])
        for _, _, cost in came:
            check.whole(0 if cost is None else cost, "unit_cost", 0, COST_FEN_MAX)
        body = fingerprint(purchase, tuple(came), number, why)
        more = (_number(number) if number else "", _line(why, "why", WHY_CHARACTERS_MAX), key, body)
        view = await self._do(ReceivePurchase(merchant, staff, purchase, tuple(came), *more), PurchaseView)
        await self._tell(merchant, [sku for sku, _, _ in came])
        return view

    async def send_back(
        self,
        merchant: str,
        staff: str,
        purchase: str,
        went: Sequence[tuple[str, int]],
        key: str,
        number: str = "",
        why: str = "",
        *,
        quarantined: bool = False,
    ) -> PurchaseView:
        """Send units of (SKU, units) back, of what is free or was set apart.

        Raises NotFound, Refused (not_open, already, insufficient, sold_out), Conflict, Invalid.
        """
        check_key(key)
        _check_moved(went)
        body = fingerprint(purchase, tuple(went), number, why, quarantined)
        more = (_number(number) if number else "", _line(why, "why", WHY_CHARACTERS_MAX), key, body)
        view = await self._do(SendBack(merchant, staff, purchase, tuple(went), quarantined, *more), PurchaseView)
        await self._tell(merchant, [sku for sku, _ in went])
        return view

    async def purchase(self, merchant: str, purchase: str) -> PurchaseView:
        """One purchase order. Raises NotFound."""
        return await self._store.read(lambda db: reads.read_purchase(db, merchant, purchase))

    async def purchases(
        self, merchant: str, state: str = "", supplier: str = "", before: str | None = None, limit: int = 50
    ) -> list[PurchaseView]:
        """Purchase orders, newest first; of one state or supplier when these are named."""
        return await self._store.read(lambda db: reads.read_purchases(db, merchant, state, supplier, before, limit))

    # --- sheets ----------------------------------------------------------------------------------------------------

    async def export_file(self, merchant: str, purchase: str) -> str:
        """A purchase order as a file that ``import_file`` takes. Raises NotFound."""
        return write_purchase_sheet((await self.purchase(merchant, purchase)).lines)

    async def import_file(
        self, merchant: str, staff: str, raw: bytes, supplier: str, number: str = ""
    ) -> tuple[PurchaseView | None, list[Fault]]:
        """Make a draft of a file; nothing of it with a fault in any line. Raises Invalid, NotFound, Refused."""
        if len(raw) > FILE_BYTES_MAX:
            raise Invalid(f"a file has at most {FILE_BYTES_MAX} bytes: split it", field="file")
        rows, faults = read_purchase_sheet(raw)
        known = await self._store.read(lambda db: suppliers_sql.find_skus(db, merchant, [row.sku for row in rows]))
        lines: list[tuple[str, int, int]] = []
        seen: dict[str, int] = {}
        for row in rows:
            try:
                sku, units = _known(known, row.sku, row.quantity)
            except Invalid as error:
                faults.append(Fault(row.line, str(error.extra["field"]), error.message))
                continue
            if sku in seen:
                faults.append(Fault(row.line, "sku", f"the same SKU as in line {seen[sku]}"))
            seen.setdefault(sku, row.line)
            lines.append((sku, units, row.unit_cost))
        if faults:
            return None, sorted(faults, key=lambda fault: fault.line)
        return await self.save(merchant, staff, None, supplier, lines, number), []

    # --- what goods cost -------------------------------------------------------------------------------------------

    async def costs(self, merchant: str, after: str = "", limit: int = 50) -> list[CostView]:
        """What the goods on hand cost, by SKU."""
        return await self._store.read(lambda db: reads.read_costs(db, merchant, after, limit))

    async def set_cost(self, merchant: str, staff: str, sku: str, unit_cost: int, why: str) -> int:
        """Say what a unit on hand costs (分); what all cost now. Raises Invalid, NotFound, Refused (sold_out)."""
        check.whole(unit_cost, "unit_cost", 0, COST_FEN_MAX)
        reason = _line(check.words(why, "why", WHY_CHARACTERS_MAX), "why", WHY_CHARACTERS_MAX)
        cost = await self._ledger.submit(SetCost(merchant, staff, sku, unit_cost, reason))
        return int(cost)

    async def _tell(self, merchant: str, skus: Sequence[str]) -> None:
        products = await self._store.read(lambda db: suppliers_sql.products_of(db, merchant, skus))
        await self._catalogue.tell(merchant, products)

    async def _do(self, command: Any, kind: type[T]) -> T:
        result = await self._ledger.submit(command)
        assert isinstance(result, kind)
        return result


def _known(known: Mapping[str, tuple[str, int]], name: str, quantity: int) -> tuple[str, int]:
    """Our id and the units that a line of a sheet means. Raises Invalid with the column as ``field``."""
    if name not in known:
        raise Invalid("no SKU has this code", field="sku")
    sku, grams = known[name]
    return sku, units_of(quantity, grams)


def _check_moved(moved: Sequence[tuple[str, int]]) -> None:
    if not 0 < len(moved) <= LINES_MAX or len({sku for sku, _ in moved}) < len(moved):
        raise Invalid(f"1 to {LINES_MAX} lines, each of another SKU", field="lines")
    for _, units in moved:
        check.whole(units, "units", 1, UNITS_MAX)


def _number(value: str) -> str:
    return _line(check.words(value, "number", NUMBER_CHARACTERS_MAX), "number", NUMBER_CHARACTERS_MAX)


def _line(value: str, field: str, most: int) -> str:
    """One line that may be empty."""
    clean = check.words(value, field, most, empty=True)
    if clean and not clean.isprintable():
        raise Invalid(f"{field} is one line", field=field)
    return clean
