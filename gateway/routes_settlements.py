"""Settlements: files of providers, banks and couriers, clearing accounts with their open items."""

from __future__ import annotations

from functools import partial
from typing import Any

from starlette.responses import Response

from commerce.settlement_files import FILE_BYTES_MAX, SOURCES, template_csv
from gateway.answers import csv_answer, page_of
from gateway.api import CSV_TYPE, OCTETS_TYPE, Call, Operation, page_limit
from gateway.client import CORS_HEADERS
from gateway.errors import Problem
from gateway.parameters import PAGING, choice, limit, whole
from gateway.schemas_settlements import (
    ClearingView,
    ClosedPage,
    CloseItemsAnswer,
    CloseItemsBody,
    FetchFundsBody,
    ItemPage,
    MatchedAnswer,
    SettlementFilePage,
    TakenAnswer,
)
from gateway.services import Services

MERCHANT = frozenset({"merchant"})
READ = partial(Operation, within="books")
"""What accountants read as well."""
ITEMS_MOST = 500
SKIP_MAX = 1_000_000


def settlement_operations(services: Services) -> list[Operation]:
    """Operations under /api/v1/settlements."""
    return [*_taking(services), *_clearing(services)]


def _taking(services: Services) -> list[Operation]:
    settlements = services.shop.settlements

    async def take_settlement(call: Call) -> Any:
        who, query, source = call.who, call.query, call.path["source"]
        form, try_only = query.get("format", "csv"), query.get("try") == "1"
        name = query.get("name", "")
        return await settlements.take(who.merchant, who.person, source, name, call.raw, form, try_only=try_only)

    async def fetch_settlement(call: Call) -> Any:
        body: FetchFundsBody = call.body
        if body.provider not in [one.name for one in services.shop.payments.offered(call.who.merchant)]:
            raise Problem(404, "not_found", "no such payment provider")
        found = await settlements.fetch(call.who.merchant, body.provider, body.day)
        if found is None:
            raise Problem(404, "not_found", "the provider has no file of this day yet")
        return found

    async def list_settlement_files(call: Call) -> Any:
        limit = page_limit(call)
        return page_of(await settlements.files(call.who.merchant, call.query.get("after"), limit), limit)

    async def read_settlement_file(call: Call) -> Response:
        name, raw = await settlements.raw(call.who.merchant, call.path["file"])
        headers = {key.decode(): value.decode() for key, value in CORS_HEADERS}
        safe = "".join(letter for letter in name if letter.isascii() and letter.isalnum()) or "file"
        headers["content-disposition"] = f'attachment; filename="settlement-{safe}.csv"'
        return Response(raw, 200, headers, OCTETS_TYPE)

    async def read_template(call: Call) -> Response:
        source = call.path["source"]
        if source not in SOURCES:
            raise Problem(404, "not_found", f"source is one of {', '.join(SOURCES)}")
        return csv_answer(template_csv(source), f"settlement-{source}.csv")

    path = "/api/v1/settlements"
    asked = {
        "name": "the provider, the bank's account or the courier, as you call it",
        "format": "csv (default); of a provider also wechat (资金账单) or alipay (账务明细)",
        "try": "1: say what is wrong with it, write nothing",
    }
    files = f"{path}/files"
    return [
        Operation(
            "POST", f"{path}/files/{{source}}", "Take a settlement file in", take_settlement, MERCHANT, None,
            TakenAnswer, 200, asked, (CSV_TYPE, OCTETS_TYPE), FILE_BYTES_MAX,
        ),
        Operation(
            "POST", f"{path}/fetch", "Fetch a provider's", fetch_settlement, MERCHANT, FetchFundsBody, TakenAnswer
        ),
        READ("GET", files, "Files", list_settlement_files, MERCHANT, answer=SettlementFilePage, query=PAGING),
        READ("GET", f"{files}/{{file}}", "A file as it came", read_settlement_file, MERCHANT, gives=(OCTETS_TYPE,)),
        READ("GET", f"{path}/templates/{{source}}", "The columns of a CSV", read_template, MERCHANT, gives=(CSV_TYPE,)),
    ]  # fmt: skip


def _clearing(services: Services) -> list[Operation]:
    settlements = services.shop.settlements

    async def list_clearing_accounts(call: Call) -> Any:
        return await settlements.accounts(call.who.merchant)

    async def list_open_items(call: Call) -> Any:
        form = call.query.get("format", "json")
        if form == "csv":
            return csv_answer(await settlements.items_csv(call.who.merchant), "open-items.csv")
        if form != "json":
            raise Problem(400, "invalid", "format is json or csv")
        skip, limit = _skip(call), page_limit(call, most=ITEMS_MOST)
        rows = await settlements.items(call.who.merchant, call.query.get("account", ""), skip, limit)
        return {"items": rows, "next": skip + limit if len(rows) == limit else None}

    async def match_items(call: Call) -> MatchedAnswer:
        return MatchedAnswer(await settlements.match(call.who.merchant))

    async def close_items(call: Call) -> Any:
        body: CloseItemsBody = call.body
        chosen = [(one.kind, one.ref) for one in body.items]
        return await settlements.close(
            call.who.merchant, call.who.person, body.account, body.why,
            items=chosen, through=body.through, against=body.against,
        )  # fmt: skip

    async def list_closed_items(call: Call) -> Any:
        limit = page_limit(call)
        return page_of(await settlements.closed(call.who.merchant, call.query.get("after"), limit), limit)

    path = "/api/v1/settlements"
    listed = {"account": "which one", "skip": whole("how many to leave out"), "limit": limit(500),
              "format": choice("json (default) or csv: all of all accounts", "json", "csv")}  # fmt: skip
    closes = f"{path}/closes"
    return [
        READ("GET", path, "Clearing accounts", list_clearing_accounts, MERCHANT, answer=list[ClearingView]),
        READ("GET", f"{path}/items", "Open items", list_open_items, MERCHANT, answer=ItemPage, query=listed),
        Operation("POST", f"{path}/match", "Match what belongs together", match_items, MERCHANT, answer=MatchedAnswer),
        Operation("POST", closes, "Close items by hand", close_items, MERCHANT, CloseItemsBody, CloseItemsAnswer, 201),
        READ("GET", closes, "What was closed by hand", list_closed_items, MERCHANT, answer=ClosedPage, query=PAGING),
    ]


def _skip(call: Call) -> int:
    told = call.query.get("skip", "0")
    if not told.isascii() or not told.isdigit() or len(told) > 7 or int(told) > SKIP_MAX:
        raise Problem(400, "invalid", f"skip is a whole number up to {SKIP_MAX}")
    return int(told)
