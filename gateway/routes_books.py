"""The accountant's books and invoices."""

from __future__ import annotations

from functools import partial
from typing import Any

from starlette.responses import Response

from commerce.books import book_csv, chart_csv
from commerce.domain.chart import CHART
from commerce.domain.day import day_of
from gateway.answers import csv_answer, page_of
from gateway.api import SIGNED_IN, XML_TYPE, Call, Operation, page_limit
from gateway.auth import HOST_ROLES
from gateway.client import CORS_HEADERS
from gateway.errors import Problem
from gateway.parameters import CURSOR, PAGING, choice, day, limit, whole
from gateway.schemas import Empty
from gateway.schemas_accounting import (
    BookAnswer,
    ChartView,
    CloseBody,
    CloseView,
    CorrectionAnswer,
    CorrectionBody,
    InvoiceBody,
    InvoicePage,
    InvoiceRetryAnswer,
    InvoiceView,
    MarginPage,
    PostingPage,
    StockEntryPage,
    TaxRateBody,
    TaxRateView,
)
from gateway.services import Services

MERCHANT = frozenset({"merchant"})
ENTRIES_MOST = 500
SKIP_MAX = 10_000_000

READ = partial(Operation, within="books")
"""What accountants read as well."""
DAYS = {"day": day("YYYY-MM-DD in Asia/Shanghai, today when left out"), "through": day("the last day of several")}
FORM = {"format": choice("json (default) or csv", "json", "csv")}


def book_operations(services: Services) -> list[Operation]:
    """Operations on the books of days, and what is behind them."""
    books = services.books

    def days(call: Call) -> tuple[str, str, str]:
        day = call.query.get("day") or day_of(services.clock())
        return call.who.merchant, day, call.query.get("through", "")

    async def read_books(call: Call) -> Any:
        merchant, day, through = days(call)
        book = await books.book(merchant, day, through)
        return csv_answer(book_csv(book), f"books-{day}.csv") if _csv(call) else book

    async def list_book_entries(call: Call) -> Any:
        merchant, day, through = days(call)
        if _csv(call):
            return csv_answer(await books.journal_csv(merchant, day, through), f"journal-{day}.csv")
        skip, limit = _skip(call), page_limit(call, most=ENTRIES_MOST)
        rows = await books.entries(merchant, day, through, call.query.get("account", ""), skip, limit)
        return {"items": rows, "next": skip + limit if len(rows) == limit else None}

    async def list_stock_entries(call: Call) -> Any:
        merchant, day, through = days(call)
        if _csv(call):
            return csv_answer(await books.stock_csv(merchant, day, through), f"stock-{day}.csv")
        limit, query = page_limit(call, most=ENTRIES_MOST), call.query
        rows = await books.stock(merchant, day, through, query.get("sku", ""), query.get("after", ""), limit)
        return page_of(rows, limit)

    async def list_margins(call: Call) -> Any:
        merchant, day, through = days(call)
        if _csv(call):
            return csv_answer(await books.margins_csv(merchant, day, through), f"margin-{day}.csv")
        skip, limit = _skip(call), page_limit(call, most=ENTRIES_MOST)
        rows = await books.margins(merchant, day, through, skip, limit)
        return {"items": rows, "next": skip + limit if len(rows) == limit else None}

    async def read_chart(call: Call) -> Any:
        if _csv(call):
            return csv_answer(chart_csv(), "chart.csv")
        return [ChartView(one.code, one.name, one.english, one.kind, one.normal) for one in CHART]

    path, paging = "/api/v1/books", {"limit": limit(500)}
    postings = {**DAYS, **FORM, **paging, "account": "only this account's", "skip": whole("how many to leave out")}
    moved = {**DAYS, **FORM, **paging, "sku": "only this SKU's", "after": CURSOR}
    stock, margins = f"{path}/stock", f"{path}/margins"
    sold = {**DAYS, **FORM, **paging, "skip": whole("how many to leave out")}
    return [
        READ("GET", path, "The books of days", read_books, MERCHANT, answer=BookAnswer, query={**DAYS, **FORM}),
        READ("GET", f"{path}/entries", "Postings", list_book_entries, MERCHANT, answer=PostingPage, query=postings),
        READ("GET", margins, "Margin by order", list_margins, MERCHANT, answer=MarginPage, query=sold),
        READ("GET", stock, "Moved stock", list_stock_entries, MERCHANT, answer=StockEntryPage, query=moved),
        READ("GET", f"{path}/chart", "Accounts", read_chart, MERCHANT, answer=list[ChartView], query=FORM),
    ]


def closing_operations(services: Services) -> list[Operation]:
    """Operations on closed periods, corrections and rates of tax."""
    books = services.books

    async def list_closes(call: Call) -> Any:
        return await books.closes(call.who.merchant)

    async def close_books(call: Call) -> Any:
        return await books.close(call.who.merchant, call.body.through, call.who.person)

    async def correct_books(call: Call) -> Any:
        body: CorrectionBody = call.body
        terms = (body.debit, body.credit, body.amount, body.why, call.who.person, body.day or "")
        return await books.correct(call.who.merchant, *terms)

    async def list_tax_rates(call: Call) -> Any:
        return await books.rates(call.who.merchant)

    async def set_tax_rate(call: Call) -> Empty:
        body: TaxRateBody = call.body
        await books.set_rate(call.who.merchant, body.sku, body.basis_points, call.who.person)
        return Empty()

    closes, rates = "/api/v1/books/closes", "/api/v1/tax-rates"
    corrections = "/api/v1/books/corrections"
    return [
        READ("GET", closes, "Closed periods", list_closes, MERCHANT, answer=list[CloseView]),
        Operation("POST", closes, "Close a period for good", close_books, MERCHANT, CloseBody, CloseView, 201),
        Operation("POST", corrections, "Correct", correct_books, MERCHANT, CorrectionBody, CorrectionAnswer, 201),
        READ("GET", rates, "Rates of tax", list_tax_rates, MERCHANT, answer=list[TaxRateView]),
        Operation("PUT", rates, "Set a rate of tax", set_tax_rate, MERCHANT, TaxRateBody, Empty),
    ]


def invoice_operations(services: Services) -> list[Operation]:
    """Operations on invoices: a buyer's own, a merchant's all."""
    invoices, org = services.invoices, services.org

    def buyer(call: Call) -> str | None:
        return None if call.who.role in HOST_ROLES else call.who.person

    async def ask_invoice(call: Call) -> Any:
        body: InvoiceBody = call.body
        await org.require_order(call.who.merchant, call.path["id"], call.who.reach)
        return await invoices.ask(call.who.merchant, call.path["id"], body.title, body.tax_number, buyer(call))

    async def list_order_invoices(call: Call) -> Any:
        await org.require_order(call.who.merchant, call.path["id"], call.who.reach)
        return await invoices.of_order(call.who.merchant, call.path["id"], buyer(call))

    async def list_invoices(call: Call) -> Any:
        limit = page_limit(call)
        return page_of(await invoices.listed(call.who.merchant, call.query.get("after"), limit), limit)

    async def read_invoice_document(call: Call) -> Response:
        # By its own number alone nobody knows whose order it is: who has a part of the shop reads theirs as buyers do.
        owner = buyer(call) if call.who.reach is None else call.who.person
        found = await invoices.document(call.who.merchant, call.path["invoice"], owner)
        number, document, media_type = found
        headers = {name.decode(): value.decode() for name, value in CORS_HEADERS}
        headers["content-disposition"] = f'attachment; filename="invoice-{number}.xml"'
        return Response(document, 200, headers, media_type)

    async def retry_invoices(call: Call) -> InvoiceRetryAnswer:
        return InvoiceRetryAnswer(await invoices.retry(call.who.merchant))

    of_order, path = "/api/v1/orders/{id}/invoice", "/api/v1/invoices"
    document = f"{path}/{{invoice}}/document"
    return [
        Operation("POST", of_order, "Invoice", ask_invoice, SIGNED_IN, InvoiceBody, list[InvoiceView], 201),
        Operation("GET", of_order, "Its invoices", list_order_invoices, SIGNED_IN, answer=list[InvoiceView]),
        Operation("GET", path, "Invoices", list_invoices, MERCHANT, answer=InvoicePage, query=PAGING),
        Operation("GET", document, "The document", read_invoice_document, SIGNED_IN, gives=(XML_TYPE,)),
        Operation("POST", f"{path}/retry", "Ask again", retry_invoices, MERCHANT, answer=InvoiceRetryAnswer),
    ]


def _csv(call: Call) -> bool:
    form = call.query.get("format", "json")
    if form not in ("json", "csv"):
        raise Problem(400, "invalid", "format is json or csv")
    return form == "csv"


def _skip(call: Call) -> int:
    text = call.query.get("skip", "0")
    if not text.isascii() or not text.isdigit() or int(text[:9]) > SKIP_MAX or len(text) > 8:
        raise Problem(400, "invalid", f"skip is a whole number up to {SKIP_MAX}")
    return int(text)
