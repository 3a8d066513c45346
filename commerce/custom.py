"""Custom orders for clients: forms, what is to be made, requests for a price and their offers.

One part of the shop's facade; ``Shop.custom`` is one. They are bought by the normal order: wishes go with its lines, an
offer by its request.
"""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from commerce.basket import check_key, within
from commerce.custom_sql import read_forms, read_work, wish_words
from commerce.domain.custom import (
    MAKING_DAYS_MAX,
    NEXT,
    STAGES,
    WORDS_CHARACTERS_MAX,
    CustomForm,
    Offer,
    Wanted,
    form_fault,
    offer_fault,
)
from commerce.domain.day import DAY_MS, day_of
from commerce.domain.org import Reach
from commerce.domain.sale import QUANTITY_MAX
from commerce.errors import Invalid, NotFound
from commerce.events import OrderView, RefundView
from commerce.ledger import Ledger, fingerprint
from commerce.ledger_custom import (
    AskPrice,
    CancelMade,
    EndRequest,
    FormView,
    MakeOffer,
    Produce,
    RequestView,
    SetForm,
    WorkView,
)
from commerce.pictures import Pictures
from commerce.requests_sql import LIST_MAX, reaches_request, read_requests
from commerce.statement import safe_cell
from commerce.store_sql import Store

STATES = ("asked", "offered", "ordered", "declined", "withdrawn")
PACKING_ORDERS_MAX = 5_000
"""Orders on one packing list: a megabyte or so."""
TARGETS_MAX = 50
"""SKUs whose forms are asked for at once: those of one basket."""
HEADS = ("order", "stage", "due", "settled", "goods", "quantity", "wishes", "name", "phone", "address", "method")


class Custom:
    """Custom orders of all merchants of one database."""

    def __init__(self, store: Store, ledger: Ledger, *, clock: Callable[[], int]) -> None:
        self._store = store
        self._ledger = ledger
        self._clock = clock
        self.pictures = Pictures(store, clock=clock)

    async def set_form(self, merchant: str, staff: str, target: str, form: CustomForm | None) -> list[FormView]:
        """Let a product or SKU be made to wishes, or (None) be as it is; the forms now. Raises NotFound, Invalid."""
        fault = None if form is None else form_fault(form)
        if fault is not None:
            raise Invalid(fault[1], field=fault[0])
        await self._ledger.submit(SetForm(merchant, staff, target, form))
        return await self.forms(merchant)

    async def forms(self, merchant: str, skus: Sequence[str] = ()) -> list[FormView]:
        """The forms that hold for some SKUs; of none named, all as they were set. Raises Invalid."""
        if len(skus) > TARGETS_MAX:
            raise Invalid(f"forms of up to {TARGETS_MAX} SKUs at once", field="skus")
        return await self._store.read(lambda db: read_forms(db, merchant, skus))

    # --- the making --------------------------------------------------------------------------------------------------

    async def produce(self, merchant: str, order: str, stage: str, due_ms: int | None = None) -> OrderView:
        """Let the making come to ``stage`` (empty: as it is) and promise a day. Raises NotFound, Refused, Invalid."""
        if stage and stage not in NEXT.values():
            raise Invalid(f"stage is one of {', '.join(NEXT.values())}", field="stage")
        if not stage and due_ms is None:
            raise Invalid("say the next stage, another day, or both", field="stage")
        now_ms = self._clock()
        if due_ms is not None and not now_ms - DAY_MS < due_ms <= now_ms + 2 * MAKING_DAYS_MAX * DAY_MS:
            raise Invalid("the day lies within the next two years", field="due")
        view = await self._ledger.submit(Produce(merchant, order, stage, due_ms))
        assert isinstance(view, OrderView)
        return view

    async def cancel(self, merchant: str, person: str, order: str, key: str) -> RefundView:
        """The buyer's change of mind before the making begins: all goes back. Raises NotFound, Refused, Conflict."""
        check_key(key)
        view = await self._ledger.submit(CancelMade(merchant, person, order, key, fingerprint("custom", order)))
        assert isinstance(view, RefundView)
        return view

    async def work(self, merchant: str, stage: str = "", limit: int = 100, after: str = "") -> list[WorkView]:
        """What is to be made, most urgent first, behind ``after``. Raises Invalid for a stage that there is not."""
        if stage and stage not in STAGES:
            raise Invalid(f"stage is one of {', '.join(STAGES[:-1])}", field="stage")
        return await self._store.read(lambda db: read_work(db, merchant, stage, limit, after))

    async def packing_list(self, merchant: str) -> str:
        """What is to be made and sent, as CSV: a row for each line of an order, with its wishes."""
        out = io.StringIO()
        rows = csv.writer(out)
        rows.writerow(HEADS)
        for one in await self._all_work(merchant):
            to = one.delivery or {}
            where = [to.get(name, "") for name in ("name", "phone", "address", "method")]
            for line in one.lines:
                wishes = "; ".join(map(_told, line["wishes"]))
                made = [one.goods_order, one.stage, day_of(one.due), "yes" if one.settled else "no"]
                cells = [*made, line["title"], line["quantity"], wishes, *where]
                rows.writerow([safe_cell(str(cell)) for cell in cells])
        return out.getvalue()

    async def _all_work(self, merchant: str) -> list[WorkView]:
        found: list[WorkView] = []
        while len(found) < PACKING_ORDERS_MAX:
            page = await self.work(merchant, limit=LIST_MAX, after=found[-1].order if found else "")
            found += page
            if len(page) < LIST_MAX:
                return found
        raise Invalid(f"more than {PACKING_ORDERS_MAX} orders are to be made: page through them", field="stage")

    # --- requests ----------------------------------------------------------------------------------------------------

    async def ask(
        self,
        merchant: str,
        room: str,
        person: str,
        sku: str,
        quantity: int,
        wanted: Wanted,
        words: str,
        key: str,
        pictures: Sequence[str] = (),
    ) -> RequestView:
        """Ask what goods made to one's wishes cost. Raises NotFound, Refused (gone, limit), Conflict, Invalid.

        ``pictures`` (ids) are those for which the form has no field.
        """
        check_key(key)
        within(quantity, 1, QUANTITY_MAX, "quantity")
        _check_words(words, "words")
        shown = (tuple(pictures),) if pictures else ()
        body = fingerprint("custom.ask", room, sku, quantity, wanted, words, *shown)
        return await self._do(AskPrice(merchant, room, person, sku, quantity, wanted, words, key, body, *shown))

    async def offer(self, merchant: str, staff: str, request: str, offer: Offer, answer: str) -> RequestView:
        """Answer a request. Raises NotFound, Refused (already), Invalid."""
        _check_words(answer, "answer")
        fault = offer_fault(offer, self._clock())
        if fault is not None:
            raise Invalid(fault[1], field=fault[0])
        return await self._do(MakeOffer(merchant, staff, request, offer, answer))

    async def decline(self, merchant: str, staff: str, request: str, answer: str) -> RequestView:
        """Say that it is not made. Raises NotFound, Refused (already), Invalid."""
        _check_words(answer, "answer")
        return await self._do(EndRequest(merchant, None, staff, request, answer))

    async def withdraw(self, merchant: str, person: str, request: str) -> RequestView:
        """The person does not want it any more. Raises NotFound, Refused (already)."""
        return await self._do(EndRequest(merchant, person, "", request))

    async def requests(
        self,
        merchant: str,
        person: str = "",
        state: str = "",
        before: str | None = None,
        limit: int = 50,
        reach: Reach | None = None,
    ) -> list[RequestView]:
        """Requests, newest first: of a person, or (empty) all of a shop or of a part of it. Raises Invalid."""
        if state and state not in STATES:
            raise Invalid(f"state is one of {', '.join(STATES)}", field="state")
        asked = (merchant, person, state, before, limit, self._clock(), reach)
        return await self._store.read(lambda db: read_requests(db, *asked))

    async def require(self, merchant: str, request: str, reach: Reach | None) -> None:
        """Raises NotFound for a request outside a reach."""
        if reach is not None and not await self._store.read(lambda db: reaches_request(db, merchant, request, reach)):
            raise NotFound("no such request")

    async def _do(self, command: AskPrice | MakeOffer | EndRequest) -> RequestView:
        view = await self._ledger.submit(command)
        assert isinstance(view, RequestView)
        return view


def _told(wish: Mapping[str, Any]) -> str:
    """A wish on the packing list; pictures by their ids, as whoever prints the list names their files."""
    return " ".join([wish_words(wish), *wish.get("pictures", ())])


def _check_words(words: str, field: str) -> None:
    if len(words) > WORDS_CHARACTERS_MAX or not words.replace("\n", "").isprintable():
        raise Invalid(f"at most {WORDS_CHARACTERS_MAX} printable characters", field=field)
