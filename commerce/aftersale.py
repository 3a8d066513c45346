"""What comes after a payment: goods out, goods back, money back, and the day's books.

One part of the shop's facade; ``Shop.aftersale`` is one. Everything that changes something goes to the ledger.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from commerce import statement_sql, views_sql
from commerce.domain.day import day_bounds_ms
from commerce.domain.money import AMOUNT_MAX
from commerce.domain.order import LINES_MAX, Step, shipment_fault
from commerce.domain.refund import REASON_CHARACTERS_MAX, STOCK_WAYS
from commerce.domain.sale import UNITS_MAX
from commerce.errors import Invalid, NotFound
from commerce.events import OrderView, RefundView
from commerce.ledger import (
    KEY_CHARACTERS_MAX,
    Finish,
    Fulfil,
    Ledger,
    Refund,
    RetryRefund,
    fingerprint,
)
from commerce.statement import Statement
from commerce.store_sql import Store

T = TypeVar("T")


class AfterSale:
    """Refunds, shipping, pickup and statements of all merchants of one database."""

    def __init__(self, store: Store, ledger: Ledger, *, clock: Callable[[], int]) -> None:
        self._store = store
        self._ledger = ledger
        self._clock = clock

    async def refund(
        self,
        merchant: str,
        staff: str,
        order: str,
        key: str,
        *,
        lines: Sequence[tuple[str, int]] | None = None,
        amount: int | None = None,
        stock: str = "none",
        reason: str = "",
    ) -> RefundView:
        """Give money back: of ``lines`` (sku, units), an ``amount`` of 分 without goods, or all that is left.

        ``stock`` says where the units go (sellable, quarantine, none). Booked when it returns; the provider's notice
        turns it from requested to done. Raises NotFound, Refused (not_open, already, over_refund), Conflict, Busy,
        Invalid.
        """
        if not 0 < len(key) <= KEY_CHARACTERS_MAX or "\0" in key:
            raise Invalid(f"a key has 1 to {KEY_CHARACTERS_MAX} characters, none of them NUL")
        if stock not in STOCK_WAYS:
            raise Invalid("stock is one of " + ", ".join(STOCK_WAYS), field="stock")
        if len(reason) > REASON_CHARACTERS_MAX:
            raise Invalid(f"a reason has at most {REASON_CHARACTERS_MAX} characters", field="reason")
        if amount is not None and not 0 < amount <= AMOUNT_MAX:
            raise Invalid("an amount is at least 1 分", field="amount")
        wanted = None if lines is None else tuple((sku, units) for sku, units in lines)
        if wanted is not None and not 0 < len(wanted) <= LINES_MAX:
            raise Invalid(f"1 to {LINES_MAX} lines", field="lines")
        if any(not 0 < units <= UNITS_MAX for _, units in wanted or ()):
            raise Invalid("a line has at least one unit", field="lines")
        body_hash = fingerprint(order, wanted, amount, stock, reason)
        command = Refund(merchant, staff, order, key, body_hash, wanted, amount, stock, reason)
        return await self._do(command, RefundView)

    async def retry_refund(self, merchant: str, order: str, refund: str) -> RefundView:
        """Ask the provider anew for a failed refund. Raises NotFound, Refused (already)."""
        return await self._do(RetryRefund(merchant, order, refund), RefundView)

    async def refunds(self, merchant: str, order: str, person: str | None = None) -> list[RefundView]:
        """The refunds of one order, newest first. Raises NotFound."""
        found = await self._store.read(lambda connection: views_sql.read_refunds(connection, merchant, order, person))
        if found is None:
            raise NotFound("no such order")
        return found

    async def ship(self, merchant: str, order: str, carrier: str, number: str) -> OrderView:
        """The goods are with a carrier. Raises NotFound, Refused (not_open, already), Invalid."""
        fault = shipment_fault(carrier, number)
        if fault is not None:
            raise Invalid(fault)
        return await self._do(Fulfil(merchant, order, Step.SHIP, carrier=carrier, number=number), OrderView)

    async def pick_up(self, merchant: str, order: str, code: str) -> OrderView:
        """The goods are handed to who knows the code. Raises NotFound, Refused (not_open, already, bad_code)."""
        return await self._do(Fulfil(merchant, order, Step.PICK_UP, code=code), OrderView)

    async def finish(self, merchant: str, order: str, person: str | None = None) -> OrderView:
        """The buyer (``person``) or staff say that the goods arrived. Raises NotFound, Refused (not_open, already)."""
        return await self._do(Finish(merchant, order, person), OrderView)

    async def statement(self, merchant: str, day: str) -> Statement:
        """The merchant's books of one day ``YYYY-MM-DD``. Raises Invalid."""
        try:
            since_ms, until_ms = day_bounds_ms(day)
        except ValueError as error:
            raise Invalid(str(error), field="day") from error
        if since_ms > self._clock():
            raise Invalid("that day has not begun", field="day")
        return await self._store.read(
            lambda connection: statement_sql.read_statement(connection, merchant, day, since_ms, until_ms)
        )

    async def _do(self, command: Any, kind: type[T]) -> T:
        result = await self._ledger.submit(command)
        assert isinstance(result, kind)
        return result
