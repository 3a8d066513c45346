"""What tills took: by store and day, what nobody told of, drawers and their counts."""

from __future__ import annotations

from functools import partial
from typing import Any

from commerce.domain.day import day_of
from gateway.answers import csv_answer, page_of
from gateway.api import ANYONE, Call, Operation, page_limit
from gateway.errors import Problem
from gateway.parameters import CURSOR, choice, day, limit
from gateway.routes_pos import till_of
from gateway.schemas_pos import (
    CountBody,
    CountPage,
    CountView,
    DrawerView,
    TakingsDay,
    TellBody,
    ToldAnswer,
    WaitingPage,
)
from gateway.services import Services

MERCHANT = frozenset({"merchant"})
LIST_MOST = 500

READ = partial(Operation, within="books")
"""What accountants read as well."""


def takings_operations(services: Services) -> list[Operation]:
    """Operations under /api/v1/pos on takings, and counting the drawer at the till itself."""
    takings = services.takings

    async def read_takings(call: Call) -> Any:
        day = call.query.get("day") or day_of(services.clock())
        asked = (call.who.merchant, day, call.query.get("through", ""))
        form = call.query.get("format", "json")
        if form not in ("json", "csv"):
            raise Problem(400, "invalid", "format is json or csv")
        if form == "csv":
            return csv_answer(await takings.days_csv(*asked), f"takings-{day}.csv")
        return await takings.days(*asked)

    async def list_waiting_takings(call: Call) -> Any:
        limit = page_limit(call, most=LIST_MOST)
        rows = await takings.waiting(call.who.merchant, call.query.get("after", ""), limit)
        return {"items": rows, "next": rows[-1]["ref"] if len(rows) == limit else None}

    async def tell_takings(call: Call) -> Any:
        body: TellBody = call.body
        who = call.who
        return await takings.tell(who.merchant, who.person, call.path["ref"], body.takings.read(), body.why)

    async def list_drawers(call: Call) -> Any:
        return await takings.drawers(call.who.merchant)

    async def list_counts(call: Call) -> Any:
        limit, query = page_limit(call, most=LIST_MOST), call.query
        rows = await takings.closes(call.who.merchant, query.get("outlet", ""), query.get("after"), limit)
        return page_of([{name: row[name] for name in CountView.__struct_fields__} for row in rows], limit)

    async def count_drawer(call: Call) -> Any:
        body: CountBody = call.body
        where = (call.who.merchant, call.path["outlet"], call.who.person)
        return await takings.close(*where, body.day or "", body.counted, body.banked, body.why)

    async def count_at_till(call: Call) -> Any:
        till, body = await till_of(services, call), call.body
        return await takings.close(till.merchant, till.outlet, "", body.day or "", body.counted, body.banked, body.why)

    path = "/api/v1/pos"
    days = {"day": day("YYYY-MM-DD in Asia/Shanghai, today when left out"), "through": day("the last day of several")}
    form = {"format": choice("json (default) or csv", "json", "csv")}
    paging = {"after": CURSOR, "limit": limit(500)}
    counts = {"after": CURSOR, "limit": limit(500), "outlet": "only this store's"}
    told, by_store = f"{path}/waiting/{{ref}}", f"{path}/counts/{{outlet}}"
    return [
        READ("GET", f"{path}/takings", "Takings by store and day", read_takings, MERCHANT, answer=list[TakingsDay],
             query={**days, **form}),
        READ("GET", f"{path}/waiting", "What waits for its takings", list_waiting_takings, MERCHANT,
             answer=WaitingPage, query=paging),
        Operation("POST", told, "Tell of takings by hand", tell_takings, MERCHANT, TellBody, ToldAnswer),
        READ("GET", f"{path}/drawers", "What should be in drawers", list_drawers, MERCHANT, answer=list[DrawerView]),
        READ("GET", f"{path}/counts", "Counts of drawers", list_counts, MERCHANT, answer=CountPage, query=counts),
        Operation("POST", by_store, "Count a store's drawer", count_drawer, MERCHANT, CountBody, CountView, 201),
        Operation("POST", f"{path}/count", "Count the drawer, at the till", count_at_till, ANYONE, CountBody,
                  CountView, 201),
    ]  # fmt: skip
