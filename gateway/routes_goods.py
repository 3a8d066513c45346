"""Sheets of goods in and out, and who changed a price or a count by hand."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response

from commerce.goods_sheet import FILE_BYTES_MAX
from gateway.answers import csv_answer, page_of
from gateway.api import CSV_TYPE, Call, Operation, page_limit
from gateway.parameters import PAGING
from gateway.schemas_goods import (
    ChangePage,
    GoodsImportBody,
    GoodsPage,
    GoodsReportAnswer,
    GoodsRunPage,
)
from gateway.services import Services

MERCHANT = frozenset({"merchant"})
ROWS_BYTES_MAX = 4 * 1024 * 1024
"""A thousand lines as JSON, each with a page of description."""


def sheet_operations(services: Services) -> list[Operation]:
    """Operations on sheets of goods and the trail of manual changes."""
    goods = services.goods

    async def list_goods(call: Call) -> Any:
        limit = page_limit(call)
        return page_of(await goods.rows(call.who.merchant, call.query.get("after", ""), limit), limit)

    async def export_goods(call: Call) -> Response:
        return csv_answer(await goods.export_file(call.who.merchant), "goods.csv")

    async def import_goods_file(call: Call) -> Any:
        who, query = call.who, call.query
        why, try_only = query.get("why", ""), query.get("try") == "1"
        return await goods.import_file(who.merchant, who.person, call.raw, why, try_only=try_only)

    async def import_goods_rows(call: Call) -> Any:
        body: GoodsImportBody = call.body
        rows = [msgspec.to_builtins(row) for row in body.rows]
        who = call.who
        return await goods.import_rows(who.merchant, who.person, rows, body.why, try_only=body.try_only)

    async def list_goods_imports(call: Call) -> Any:
        limit = page_limit(call, most=100)
        return page_of(await goods.runs(call.who.merchant, call.query.get("after"), limit), limit)

    async def list_goods_changes(call: Call) -> Any:
        limit, query = page_limit(call), call.query
        found = await goods.changes(call.who.merchant, query.get("sku", ""), query.get("after"), limit)
        return page_of(found, limit)

    asked = {"why": "the reason, kept with each change", "try": "1: say what it would do, write nothing"}
    path, report, runs, trail = "/api/v1/goods", GoodsReportAnswer, "/api/v1/goods/imports", "/api/v1/goods/changes"
    of_sku = {**PAGING, "sku": "only this SKU's (our id)"}
    return [
        Operation("GET", path, "Goods as lines", list_goods, MERCHANT, answer=GoodsPage, query=PAGING),
        Operation("GET", f"{path}/export", "All goods as CSV", export_goods, MERCHANT, gives=(CSV_TYPE,)),
        Operation(
            "POST",
            f"{path}/import",
            "Take a CSV in",
            import_goods_file,
            MERCHANT,
            None,
            report,
            200,
            asked,
            (CSV_TYPE,),
            FILE_BYTES_MAX,
        ),
        Operation(
            "POST",
            path,
            "Take lines of goods in",
            import_goods_rows,
            MERCHANT,
            GoodsImportBody,
            report,
            body_bytes_max=ROWS_BYTES_MAX,
        ),
        Operation("GET", runs, "Sheets taken in", list_goods_imports, MERCHANT, answer=GoodsRunPage, query=PAGING),
        Operation("GET", trail, "Changes by hand", list_goods_changes, MERCHANT, answer=ChangePage, query=of_sku),
    ]
