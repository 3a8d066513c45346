"""Paying, the providers' callbacks, and their daily files against the shop's books."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from starlette.responses import Response

from commerce.domain.credit import ACCOUNT
from commerce.domain.day import DAY_MS, day_of
from commerce.errors import Invalid, NotFound
from commerce.reconciliation import reconciliation_csv
from gateway.answers import csv_answer, order_answer, paying_answer
from gateway.api import ANYONE, NOTICE_TYPES, REPLY_TYPES, SIGNED_IN, Call, Operation, call_key, page_limit
from gateway.desk import Desk
from gateway.parameters import PAGING, choice, day
from gateway.schemas_credit import HeardAnswer
from gateway.schemas_payments import (
    BillAnswer,
    BillBody,
    PaidAnswer,
    PayBody,
    ProviderOffer,
    ReconciliationAnswer,
    UnheardPage,
    UnheardView,
)
from gateway.services import Services

MERCHANT = frozenset({"merchant"})


def payment_operations(services: Services, desk: Desk) -> list[Operation]:
    """Operations on payments."""
    payments = services.shop.payments

    async def pay_order(call: Call) -> Any:
        return paying_answer(await desk.pay(call.who, call.path["id"], call_key(call), call.body))

    async def list_providers(call: Call) -> list[ProviderOffer]:
        offers = [ProviderOffer(one.name, list(one.methods)) for one in payments.offered(call.who.merchant)]
        if await services.shop.credit.sells_to(call.who.merchant, call.who.person):
            offers.append(ProviderOffer(ACCOUNT, []))
        return offers

    async def payment_callback(call: Call) -> Response:
        answer = await payments.answer(call.path["provider"], call.raw, call.headers)
        return Response(answer.body, answer.status, media_type=answer.content_type)

    return [
        Operation("POST", "/api/v1/orders/{id}/pay", "Pay", pay_order, SIGNED_IN, PayBody, PaidAnswer, keyed=True),
        Operation("GET", "/api/v1/payments", "Ways to pay", list_providers, SIGNED_IN, answer=list[ProviderOffer]),
        Operation(
            "POST",
            "/api/v1/payments/{provider}",
            "Callback of a payment provider",
            payment_callback,
            ANYONE,
            takes=NOTICE_TYPES,
            gives=REPLY_TYPES,
        ),
    ]


def unheard_operations(services: Services) -> list[Operation]:
    """Operations on payments of ended orders whose provider has not said how they ended."""
    payments = services.shop.payments

    async def list_unheard(call: Call) -> UnheardPage:
        limit = page_limit(call)
        found = await payments.unheard(call.who.merchant, call.query.get("after", ""), limit)
        rows = [UnheardView(**asdict(one)) for one in found]
        return UnheardPage(rows, rows[-1].payment if len(rows) == limit else None)

    async def hear_of(call: Call) -> Any:
        order = await payments.hear_of(call.who.merchant, call.path["payment"])
        repayment = await services.shop.credit.repayment(call.who.merchant, order)
        if repayment is not None:
            return {"order": None, "repayment": repayment}
        return {"order": order_answer(await services.shop.order(call.who.merchant, order), staff=True)}

    path = "/api/v1/payments/unheard"
    return [
        Operation(
            "GET",
            path,
            "Payments of ended orders whose provider has not answered",
            list_unheard,
            MERCHANT,
            answer=UnheardPage,
            query=PAGING,
        ),
        Operation("POST", f"{path}/{{payment}}", "Ask the provider now", hear_of, MERCHANT, answer=HeardAnswer),
    ]


def reconciliation_operations(services: Services) -> list[Operation]:
    """Operations on the providers' daily files."""
    reconciliation = services.shop.reconciliation

    async def read_reconciliations(call: Call) -> Any:
        day = call.query.get("day") or day_of(services.clock() - DAY_MS)
        form = call.query.get("format", "json")
        if form not in ("json", "csv"):
            raise Invalid("format is json or csv")
        reports = await reconciliation.reports(day, call.who.merchant)
        if form == "json":
            return reports
        return csv_answer(reconciliation_csv(reports), f"reconciliation-{day}.csv")

    async def fetch_bill(call: Call) -> BillAnswer:
        body: BillBody = call.body
        if body.provider not in [one.name for one in services.shop.payments.offered(call.who.merchant)]:
            raise NotFound("no such payment provider")
        return BillAnswer(await reconciliation.fetch(body.provider, body.day))

    path = "/api/v1/reconciliations"
    return [
        Operation(
            "GET",
            path,
            "Providers' files of a day against the books",
            read_reconciliations,
            MERCHANT,
            answer=list[ReconciliationAnswer],
            query={
                "day": day("YYYY-MM-DD in Asia/Shanghai, yesterday when left out"),
                "format": choice("json (default) or csv", "json", "csv"),
            },
        ),
        Operation("POST", path, "Fetch a provider's file", fetch_bill, MERCHANT, BillBody, BillAnswer),
    ]
