"""Passes: what is sold as such, one's own, and what a till does with them."""

from __future__ import annotations

from functools import partial
from typing import Any

import segno

from commerce.domain.passes import PassTerms
from commerce.ledger_passes import PassView
from gateway.api import SIGNED_IN, Call, Operation, call_key
from gateway.auth import HOST_ROLES
from gateway.encode import plain
from gateway.schemas_books import RefundAnswer
from gateway.schemas_passes import PassAnswer, PassRefundBody, PassTermsBody, PassTermsView, PassUseBody
from gateway.services import Services

HOSTS = frozenset(HOST_ROLES)
MERCHANT = frozenset({"merchant"})


def pass_operations(services: Services) -> list[Operation]:
    """Operations on passes."""
    passes = services.shop.passes

    async def set_pass_terms(call: Call) -> Any:
        body: PassTermsBody = call.body
        terms = PassTerms(body.uses, body.days, body.opens, body.until, body.place)
        return await passes.set_terms(call.who.merchant, call.who.person, call.path["sku"], terms)

    async def unset_terms(call: Call) -> Any:
        await passes.set_terms(call.who.merchant, call.who.person, call.path["sku"], None)
        return await passes.terms(call.who.merchant)

    async def list_terms(call: Call) -> Any:
        return await passes.terms(call.who.merchant)

    async def list_passes(call: Call) -> Any:
        return [_answer(one, own=True) for one in await passes.of_person(call.who.merchant, call.who.person)]

    async def read_pass(call: Call) -> Any:
        found = await passes.by_code(call.who.merchant, call.path["code"])
        await services.org.require_order(call.who.merchant, found.order, call.who.reach)
        return _answer(found)

    async def use_pass(call: Call) -> Any:
        body: PassUseBody = call.body
        who = call.who
        if who.reach is not None:
            found = await passes.by_code(who.merchant, body.code)
            await services.org.require_order(who.merchant, found.order, who.reach)
        return _answer(await passes.use(who.merchant, who.person, body.code, body.units, body.place, call_key(call)))

    async def refund_pass(call: Call) -> Any:
        who, card = call.who, call.path["card"]
        return {"refund": await passes.refund(who.merchant, who.person, card, call_key(call), call.body.reason)}

    base = "/api/v1/passes"
    till = partial(Operation, within="orders")
    return [
        Operation("GET", base, "Own passes, newest first", list_passes, SIGNED_IN, answer=list[PassAnswer]),
        Operation("GET", base + "/terms", "SKUs sold as passes", list_terms, SIGNED_IN, answer=list[PassTermsView]),
        Operation(
            "PUT", base + "/terms/{sku}", "Sell a SKU as passes", set_pass_terms, HOSTS, PassTermsBody, PassTermsView
        ),
        Operation(
            "DELETE",
            base + "/terms/{sku}",
            "Sell it as plain goods again",
            unset_terms,
            HOSTS,
            answer=list[PassTermsView],
        ),
        till(
            "POST", base + "/uses", "Use a pass by its code", use_pass, HOSTS, PassUseBody, PassAnswer, 201, keyed=True
        ),
        till("GET", base + "/codes/{code}", "The pass with a code", read_pass, HOSTS, answer=PassAnswer),
        Operation(
            "POST",
            base + "/{card}/refund",
            "Refund what is left of a pass",
            refund_pass,
            MERCHANT,
            PassRefundBody,
            RefundAnswer,
            201,
            keyed=True,
        ),
    ]


def _answer(view: PassView, *, own: bool = False) -> dict[str, Any]:
    answer: dict[str, Any] = plain(view)
    # A till has the code before it; only its owner shows it.
    answer["qr"] = segno.make(view.code, error="m").svg_data_uri(scale=5, border=3) if own else None
    return answer
