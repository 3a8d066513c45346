"""The private-traffic board: its figures, the rows that each opens to, and what advertisements cost."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from commerce.attribution.ad_list import ROWS_MAX
from commerce.attribution.board import TABLES, Period, board_csv, table_csv
from commerce.attribution.board_rows_sql import ORDERED, TOUCHED
from commerce.attribution.insight import cohorts_table, models_table
from commerce.attribution.reach import day_ms, day_of
from commerce.attribution.service import BOARD_MODELS, board_period
from gateway.api import CSV_TYPE, STAFF, Call, Operation, page_limit, query_ms
from gateway.client import CORS_HEADERS
from gateway.errors import Problem
from gateway.parameters import PAGING, choice, millis
from gateway.schemas import Page
from gateway.schemas_board import BoardAnswer, CohortsAnswer, CostReportAnswer, CostsAnswer, ModelsAnswer
from gateway.schemas_people import FaultView
from gateway.services import Services

COSTS_BYTES_MAX = ROWS_MAX * 200
"""A line of a day, a campaign and a cost."""
FILE_ROWS_MAX = 20_000
"""Rows of one file; ``after`` goes on from there."""
FILES = (*TABLES, "series", "tree", "orders")
"""What of the board is a file of its own."""
LAST_DAYS = 30
"""Shown when nobody says which; whole days are read from sums."""
PERIOD = {
    "since": millis("Unix ms, the midnight (Shanghai) that began 30 days ago when left out"),
    "until": millis("Unix ms, now when left out"),
}
FORMAT = {"format": choice("json (default) or csv", "json", "csv")}
MODEL = {"model": f"whose judgement the sales follow: {', '.join(BOARD_MODELS)}"}


def board_operations(services: Services) -> list[Operation]:
    """Operations under /api/v1/board."""
    attribution = services.attribution

    def asked(call: Call) -> Period:
        now_ms = services.clock()
        since_ms = query_ms(call, "since", day_ms(day_of(now_ms) - LAST_DAYS + 1))
        return board_period(
            call.who.merchant, since_ms, query_ms(call, "until", now_ms + 1), call.query.get("model", "default")
        )

    async def read_board(call: Call) -> Any:
        period, table = asked(call), call.query.get("table", "")
        if table and table not in FILES:
            raise Problem(400, "invalid", f"table is one of {', '.join(FILES)}")
        as_csv = wants_csv(call)
        board = await attribution.board(period.merchant, period.since_ms, period.until_ms, model=period.model)
        if not as_csv:
            return board
        rows: list[dict[str, Any]] = board["series"]["rows"] if table == "series" else board.get(table, [])
        return csv_file("board", table_csv(rows) if table else board_csv(board))

    async def read_models(call: Call) -> Any:
        period, as_csv = asked(call), wants_csv(call)
        found = await attribution.models(period.merchant, period.since_ms, period.until_ms)
        return csv_file("models", table_csv(models_table(found))) if as_csv else found

    async def read_cohorts(call: Call) -> Any:
        until_ms, as_csv = query_ms(call, "until", services.clock() + 1), wants_csv(call)
        found = await attribution.cohorts(call.who.merchant, until_ms)
        return csv_file("cohorts", table_csv(cohorts_table(found))) if as_csv else {"cohorts": found}

    period = {**PERIOD, **FORMAT}
    tables = {"table": f"of the CSV, all when left out: {', '.join(FILES)}"}
    return [
        Operation(
            "GET",
            "/api/v1/board",
            "Who brought whom",
            read_board,
            STAFF,
            answer=BoardAnswer,
            query={**period, **MODEL, **tables},
        ),
        Operation(
            "GET",
            "/api/v1/board/models",
            "Whom each model credits, side by side",
            read_models,
            STAFF,
            answer=ModelsAnswer,
            query=period,
        ),
        Operation(
            "GET",
            "/api/v1/board/cohorts",
            "Who came back, by the week of the first paid order",
            read_cohorts,
            STAFF,
            answer=CohortsAnswer,
            query={"until": PERIOD["until"], **FORMAT},
        ),
        *_rows(services, asked),
        *_costs(services, asked),
    ]


def _rows(services: Services, asked: Any) -> list[Operation]:
    """What the figures open to."""
    rows = services.attribution.rows

    async def list_visitors(call: Call) -> Any:
        limit, query = rows_asked(call), call.query
        step, dimension, key = query.get("step", "visit"), query.get("dimension", ""), query.get("key", "")
        found = await rows.people(asked(call), step, dimension, key, query.get("after", ""), limit)
        return page_or_file(call, "visitors", found, "person", limit)

    async def list_credited_orders(call: Call) -> Any:
        limit, query = rows_asked(call), call.query
        state, dimension, key = query.get("state", "all"), query.get("dimension", ""), query.get("key", "")
        found = await rows.orders(asked(call), state, dimension, key, query.get("after", ""), limit)
        return page_or_file(call, "orders", found, "order", limit)

    async def list_returned(call: Call) -> Any:
        limit = rows_asked(call)
        week_ms, later = query_ms(call, "week", 0), query_ms(call, "later", 0)
        until_ms = query_ms(call, "until", services.clock() + 1)
        found = await rows.returned(call.who.merchant, until_ms, week_ms, later, call.query.get("after", ""), limit)
        return page_or_file(call, "cohort", found, "person", limit)

    paging = {**PAGING, **FORMAT}
    key = {"key": "the value of the dimension; empty for none"}
    traffic = {"step": "visit (default), entry, click"}
    traffic |= {"dimension": f"{', '.join(one for one in TOUCHED if one)}; everybody when left out"}
    sales = {"state": "all (default), paid, repeat"}
    sales |= {"dimension": f"{', '.join(one for one in ORDERED if one)}; all when left out"}
    cohort = {
        "week": millis("Unix ms within the week of the first order"),
        "later": "weeks after it",
        "until": PERIOD["until"],
    }
    return [
        Operation(
            "GET",
            "/api/v1/board/people",
            "The persons behind a figure of traffic",
            list_visitors,
            STAFF,
            answer=Page,
            query={**PERIOD, **traffic, **key, **paging},
        ),
        Operation(
            "GET",
            "/api/v1/board/orders",
            "The orders behind a figure of sales",
            list_credited_orders,
            STAFF,
            answer=Page,
            query={**PERIOD, **MODEL, **sales, **key, **paging},
        ),
        Operation(
            "GET",
            "/api/v1/board/cohorts/people",
            "The persons behind a cohort's figure",
            list_returned,
            STAFF,
            answer=Page,
            query={**cohort, **paging},
        ),
    ]


def _costs(services: Services, asked: Any) -> list[Operation]:
    """What advertisements cost."""
    rows = services.attribution.rows

    async def list_costs(call: Call) -> Any:
        as_csv = wants_csv(call)
        found = await rows.costs(asked(call))
        return csv_file("costs", table_csv(found)) if as_csv else {"costs": found}

    async def import_costs(call: Call) -> CostReportAnswer:
        try_only = call.query.get("try") == "1"
        report = await rows.import_costs(call.who.merchant, call.who.person, call.raw, try_only=try_only)
        faults = [FaultView(fault.line, fault.column, fault.message) for fault in report.faults]
        return CostReportAnswer(report.written, report.rows, report.cost, faults)

    return [
        Operation(
            "GET",
            "/api/v1/board/costs",
            "What advertisements cost, by day and campaign",
            list_costs,
            STAFF,
            answer=CostsAnswer,
            query={**PERIOD, **FORMAT},
        ),
        Operation(
            "POST",
            "/api/v1/board/costs",
            "Take in what advertisements cost (CSV)",
            import_costs,
            STAFF,
            answer=CostReportAnswer,
            query={"try": "1: look for faults, write nothing"},
            takes=(CSV_TYPE,),
            body_bytes_max=COSTS_BYTES_MAX,
        ),
    ]


def wants_csv(call: Call) -> bool:
    """Whether a file is asked for. Raises ``Problem``."""
    form = call.query.get("format", "json")
    if form not in ("json", "csv"):
        raise Problem(400, "invalid", "format is json or csv")
    return form == "csv"


def rows_asked(call: Call) -> int:
    """How many rows: a page of them, or a file's."""
    return FILE_ROWS_MAX if wants_csv(call) else page_limit(call)


def page_or_file(call: Call, name: str, items: list[dict[str, Any]], key: str, limit: int) -> Page | Response:
    """A page with its cursor, or the same rows as a file."""
    if wants_csv(call):
        return csv_file(name, table_csv(items))
    return Page(items=items, next=items[-1][key] if len(items) == limit else None)


def csv_file(name: str, content: str) -> Response:
    """A table as a download."""
    headers = {header.decode(): value.decode() for header, value in CORS_HEADERS}
    headers["content-disposition"] = f'attachment; filename="{name}.csv"'
    # The byte order mark tells spreadsheets that it is UTF-8.
    return Response(content.encode("utf-8-sig"), 200, headers, "text/csv; charset=utf-8")
