"""Purchasing: suppliers and what they are owed, purchase orders with deliveries and returns, what goods cost."""

from __future__ import annotations

from functools import partial
from typing import Any

from starlette.responses import Response

from commerce.domain.purchase import PurchaseState, PurchaseStep
from commerce.goods_sheet import FILE_BYTES_MAX
from commerce.sheet import FAULTS_SHOWN_MAX
from gateway.answers import csv_answer
from gateway.api import CSV_TYPE, Call, Operation, call_key, page_limit
from gateway.errors import Problem
from gateway.parameters import PAGING, choice
from gateway.schemas_purchases import (
    CostAnswer,
    CostBody,
    CostPage,
    PurchaseBody,
    PurchasePage,
    PurchaseSheetAnswer,
    PurchaseStepBody,
    PurchaseView,
    ReceiptBody,
    ReturnBody,
    SupplierAnswer,
    SupplierBody,
    SupplierPage,
    SupplierPaidAnswer,
    SupplierPaymentBody,
    SupplierView,
)
from gateway.services import Services

MERCHANT = frozenset({"merchant"})
READ = partial(Operation, within="books")
"""What accountants read as well; what a merchant buys is nobody's who has a part of the shop."""


def purchase_operations(services: Services) -> list[Operation]:
    """Operations on suppliers, purchase orders and costs."""
    return [*_suppliers(services), *_orders(services), *_deliveries(services), *_costs(services)]


def _suppliers(services: Services) -> list[Operation]:
    purchases = services.purchases

    async def list_suppliers(call: Call) -> Any:
        limit = page_limit(call)
        rows = await purchases.suppliers(call.who.merchant, call.query.get("after", ""), limit)
        items = [
            SupplierView(
                supplier=row["id"],
                name=row["name"],
                contact=row["contact"],
                phone=row["phone"],
                note=row["note"],
                closed=row["closed_ms"] is not None,
                owed=row["owed"],
                open_orders=row["open_orders"],
            )
            for row in rows
        ]
        return {"items": items, "next": rows[-1]["id"] if len(rows) == limit else None}

    async def save(call: Call, supplier: str | None) -> SupplierAnswer:
        body: SupplierBody = call.body
        fields = (body.name, body.contact, body.phone, body.note)
        return SupplierAnswer(await purchases.save_supplier(call.who.merchant, supplier, *fields, closed=body.closed))

    async def create_supplier(call: Call) -> SupplierAnswer:
        return await save(call, None)

    async def change_supplier(call: Call) -> SupplierAnswer:
        return await save(call, call.path["supplier"])

    async def pay_supplier(call: Call) -> Any:
        who, body = call.who, call.body
        return await purchases.pay(who.merchant, who.person, call.path["supplier"], body.amount, body.number)

    path = "/api/v1/suppliers"
    one, paid = f"{path}/{{supplier}}", f"{path}/{{supplier}}/payments"
    return [
        READ(
            "GET", path, "Suppliers, and what they are owed", list_suppliers, MERCHANT, None, SupplierPage, 200, PAGING
        ),
        Operation("POST", path, "A new supplier", create_supplier, MERCHANT, SupplierBody, SupplierAnswer, 201),
        Operation("PUT", one, "Change a supplier", change_supplier, MERCHANT, SupplierBody, SupplierAnswer),
        Operation(
            "POST",
            paid,
            "Money went to a supplier",
            pay_supplier,
            MERCHANT,
            SupplierPaymentBody,
            SupplierPaidAnswer,
            201,
        ),
    ]


def _orders(services: Services) -> list[Operation]:
    purchases = services.purchases

    async def list_purchases(call: Call) -> Any:
        limit, query = page_limit(call), call.query
        state = query.get("state", "")
        if state and state not in set(PurchaseState):
            raise Problem(400, "invalid", f"state is one of {', '.join(PurchaseState)}")
        asked = (state, query.get("supplier", ""), query.get("after"), limit)
        rows = await purchases.purchases(call.who.merchant, *asked)
        return {"items": rows, "next": rows[-1].purchase if len(rows) == limit else None}

    async def read_purchase(call: Call) -> Any:
        return await purchases.purchase(call.who.merchant, call.path["purchase"])

    async def save(call: Call, purchase: str | None) -> Any:
        body: PurchaseBody = call.body
        lines = [(line.sku, line.quantity, line.unit_cost) for line in body.lines]
        more = (body.number, body.note, body.expected)
        return await purchases.save(call.who.merchant, call.who.person, purchase, body.supplier, lines, *more)

    async def create_purchase(call: Call) -> Any:
        return await save(call, None)

    async def change_purchase(call: Call) -> Any:
        return await save(call, call.path["purchase"])

    async def step_purchase(call: Call) -> Any:
        who, body = call.who, call.body
        step = PurchaseStep(body.step)
        return await purchases.step(who.merchant, who.person, call.path["purchase"], step, body.why)

    async def export_purchase(call: Call) -> Response:
        purchase = call.path["purchase"]
        return csv_answer(await purchases.export_file(call.who.merchant, purchase), f"purchase-{purchase}.csv")

    async def import_purchase(call: Call) -> Any:
        who, query = call.who, call.query
        supplier, number = query.get("supplier", ""), query.get("number", "")
        made, faults = await purchases.import_file(who.merchant, who.person, call.raw, supplier, number)
        return {"purchase": made, "faults": faults[:FAULTS_SHOWN_MAX]}

    path = "/api/v1/purchases"
    one = f"{path}/{{purchase}}"
    asked = {**PAGING, "state": choice("only these", *PurchaseState), "supplier": "only this supplier's"}
    file = {"supplier": "whom the order is to", "number": "its number"}
    return [
        READ("GET", path, "Purchase orders", list_purchases, MERCHANT, answer=PurchasePage, query=asked),
        READ("GET", one, "A purchase order", read_purchase, MERCHANT, answer=PurchaseView),
        READ("GET", f"{one}/export", "A purchase order as CSV", export_purchase, MERCHANT, gives=(CSV_TYPE,)),
        Operation("POST", path, "Draft a purchase order", create_purchase, MERCHANT, PurchaseBody, PurchaseView, 201),
        Operation("PUT", one, "Change a draft", change_purchase, MERCHANT, PurchaseBody, PurchaseView),
        Operation("POST", f"{one}/steps", "Order, cancel", step_purchase, MERCHANT, PurchaseStepBody, PurchaseView),
        Operation(
            "POST",
            f"{path}/import",
            "Draft a purchase order from a CSV",
            import_purchase,
            MERCHANT,
            None,
            PurchaseSheetAnswer,
            200,
            file,
            (CSV_TYPE,),
            FILE_BYTES_MAX,
        ),
    ]


def _deliveries(services: Services) -> list[Operation]:
    purchases = services.purchases

    async def receive_purchase(call: Call) -> Any:
        who, body = call.who, call.body
        came = [(line.sku, line.units, line.unit_cost) for line in body.lines]
        more = (call_key(call), body.number, body.why)
        return await purchases.receive(who.merchant, who.person, call.path["purchase"], came, *more)

    async def return_purchase(call: Call) -> Any:
        who, body = call.who, call.body
        went = [(line.sku, line.units) for line in body.lines]
        more = (call_key(call), body.number, body.why)
        purchase = call.path["purchase"]
        return await purchases.send_back(who.merchant, who.person, purchase, went, *more, quarantined=body.quarantined)

    one = "/api/v1/purchases/{purchase}"
    return [
        Operation(
            "POST",
            f"{one}/receipts",
            "Goods came",
            receive_purchase,
            MERCHANT,
            ReceiptBody,
            PurchaseView,
            201,
            keyed=True,
        ),
        Operation(
            "POST", f"{one}/returns", "Send back", return_purchase, MERCHANT, ReturnBody, PurchaseView, 201, keyed=True
        ),
    ]


def _costs(services: Services) -> list[Operation]:
    purchases = services.purchases

    async def list_goods_costs(call: Call) -> Any:
        limit = page_limit(call)
        rows = await purchases.costs(call.who.merchant, call.query.get("after", ""), limit)
        return {"items": rows, "next": rows[-1].sku if len(rows) == limit else None}

    async def set_cost(call: Call) -> CostAnswer:
        who, body = call.who, call.body
        return CostAnswer(
            await purchases.set_cost(who.merchant, who.person, call.path["sku"], body.unit_cost, body.why)
        )

    path = "/api/v1/costs"
    return [
        READ("GET", path, "What goods on hand cost", list_goods_costs, MERCHANT, answer=CostPage, query=PAGING),
        Operation("PUT", f"{path}/{{sku}}", "Say what a unit costs", set_cost, MERCHANT, CostBody, CostAnswer),
    ]
