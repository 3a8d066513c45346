"""After-sale requests (售后) for clients: what buyers ask for, and what the shop answers.

One part of the shop's facade; ``Shop.requests`` is one. Each step is a command of the ledger.
"""

from collections.abc import Sequence
from typing import Any

from commerce.aftersale_sql import read_request, read_requests
from commerce.basket import check_key
from commerce.domain.aftersale import WORDS_CHARACTERS_MAX, Counted, Kind, State
from commerce.domain.money import AMOUNT_MAX
from commerce.domain.order import LINES_MAX, shipment_fault
from commerce.domain.org import Reach
from commerce.domain.sale import UNITS_MAX
from commerce.errors import Invalid
from commerce.events import AfterSaleView
from commerce.ledger import Ledger, fingerprint
from commerce.ledger_aftersale import (
    ApproveAfterSale,
    AskAfterSale,
    LeaveOffer,
    OfferLess,
    ReceiveBack,
    RefuseAfterSale,
    SendBack,
    TakeOffer,
    WithdrawAfterSale,
)
from commerce.store_sql import Store

OPEN = "open"
"""Instead of a state: all that have not ended."""
STATES = (OPEN, *(str(state) for state in State))


class AfterSaleRequests:
    """After-sale requests of all merchants of one database."""

    def __init__(self, store: Store, ledger: Ledger) -> None:
        self._store = store
        self._ledger = ledger

    # --- the buyer ---------------------------------------------------------------------------------------------------

    async def ask(
        self,
        merchant: str,
        person: str,
        order: str,
        key: str,
        kind: str,
        reason: str,
        lines: Sequence[tuple[str, int]],
        *,
        amount: int | None = None,
        words: str = "",
    ) -> AfterSaleView:
        """Ask for money (``kind`` refund), or to give goods back (return), of lines (sku, units) of an order.

        ``amount`` 分: all that they come to when left out. Raises NotFound, Conflict, Invalid, Busy, Refused
        (not_open, no_return, expired, already, over_refund, limit).
        """
        check_key(key)
        if kind not in tuple(Kind):
            raise Invalid(f"kind is one of {', '.join(Kind)}", field="kind")
        if not 0 < len(lines) <= LINES_MAX or len({sku for sku, _ in lines}) < len(lines):
            raise Invalid(f"1 to {LINES_MAX} lines, each SKU once", field="lines")
        if any(not 0 < units <= UNITS_MAX for _, units in lines):
            raise Invalid("a line has at least one unit", field="lines")
        _check_amount(amount)
        _check_words(words, "words")
        wanted = tuple((sku, units) for sku, units in lines)
        body = fingerprint("after_sale", order, kind, reason, wanted, amount, words)
        return await self._do(AskAfterSale(merchant, person, order, key, body, kind, reason, wanted, amount, words))

    async def take(self, merchant: str, person: str, request: str, amount: int) -> AfterSaleView:
        """Take the offer of ``amount`` 分. Raises NotFound, Refused (already, not_open, price_changed)."""
        return await self._do(TakeOffer(merchant, person, request, amount))

    async def leave(self, merchant: str, person: str, request: str) -> AfterSaleView:
        """Leave the offer and ask on. Raises NotFound, Refused (already, not_open)."""
        return await self._do(LeaveOffer(merchant, person, request))

    async def withdraw(self, merchant: str, person: str, request: str) -> AfterSaleView:
        """Not wanted any more. Raises NotFound, Refused (already)."""
        return await self._do(WithdrawAfterSale(merchant, person, request))

    async def send(self, merchant: str, person: str, request: str, carrier: str, number: str) -> AfterSaleView:
        """The goods are on their way back. Raises NotFound, Refused (already, not_open), Invalid."""
        fault = shipment_fault(carrier, number)
        if fault is not None:
            raise Invalid(fault, field="number")
        return await self._do(SendBack(merchant, person, request, carrier.strip(), number.strip()))

    # --- the shop ----------------------------------------------------------------------------------------------------

    async def approve(self, merchant: str, staff: str, request: str, answer: str = "") -> AfterSaleView:
        """Give what is asked for. Raises NotFound, Refused (already, courier, over_refund), Invalid."""
        _check_words(answer, "answer")
        return await self._do(ApproveAfterSale(merchant, staff, request, answer))

    async def refuse(self, merchant: str, staff: str, request: str, answer: str) -> AfterSaleView:
        """Say no, with the reason why. Raises NotFound, Refused (already, not_open), Invalid."""
        _check_words(answer, "answer")
        if not answer.strip():
            raise Invalid("say why: the buyer reads it", field="answer")
        return await self._do(RefuseAfterSale(merchant, staff, request, answer))

    async def offer(
        self, merchant: str, staff: str, request: str, amount: int, *, keeps: bool, answer: str = ""
    ) -> AfterSaleView:
        """Offer less. Raises NotFound, Refused (already, not_open, over_refund, limit), Invalid."""
        _check_amount(amount)
        _check_words(answer, "answer")
        return await self._do(OfferLess(merchant, staff, request, amount, keeps, answer))

    async def receive(
        self, merchant: str, staff: str, request: str, came: Sequence[Counted], answer: str = ""
    ) -> AfterSaleView:
        """Count what came and give its money back. Raises NotFound, Refused (already, not_open), Invalid."""
        _check_words(answer, "answer")
        if not 0 < len(came) <= LINES_MAX:
            raise Invalid(f"1 to {LINES_MAX} lines", field="lines")
        return await self._do(ReceiveBack(merchant, staff, request, tuple(came), answer))

    # --- what is seen ------------------------------------------------------------------------------------------------

    async def one(self, merchant: str, request: str, person: str | None = None) -> AfterSaleView:
        """One request; of a person's own. Raises NotFound."""
        return await self._store.read(lambda db: read_request(db, merchant, request, person))

    async def all(
        self,
        merchant: str,
        person: str = "",
        *,
        order: str = "",
        state: str = "",
        before: str | None = None,
        limit: int = 50,
        reach: Reach | None = None,
    ) -> list[AfterSaleView]:
        """Requests, newest first: of a person, an order, in a state (``open``: not ended). Raises Invalid."""
        if state and state not in STATES:
            raise Invalid(f"state is one of {', '.join(STATES)}", field="state")
        asked = {"merchant": merchant, "person": person, "order": order, "state": state, "before": before}
        return await self._store.read(lambda db: read_requests(db, reach, **asked, limit=limit))

    async def _do(self, command: Any) -> AfterSaleView:
        view = await self._ledger.submit(command)
        assert isinstance(view, AfterSaleView)
        return view


def _check_amount(amount: int | None) -> None:
    if amount is not None and not 0 < amount <= AMOUNT_MAX:
        raise Invalid("an amount is at least 1 分", field="amount")


def _check_words(words: str, field: str) -> None:
    if len(words) > WORDS_CHARACTERS_MAX or not words.replace("\n", "").isprintable():
        raise Invalid(f"at most {WORDS_CHARACTERS_MAX} printable characters", field=field)
