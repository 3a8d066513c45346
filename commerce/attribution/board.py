"""The private-traffic board: what a period's figures are and how they are put together. Pure.

The JSON shape, money in 分, times in Unix milliseconds, ``null`` for "nobody" and "none"::

    since, until, model                                        model: whose judgement the tables of sales follow
    funnel      {visit, entry, click, order, paid, repeat}    persons at each step
    gmv         paid orders' goods                             refunded      what of it was given back
    freight     what they paid for being brought, in no other figure              freight_refunded  of it given back
    orders_total  {all, paid}
    conversion  paid persons / persons who entered             basket  gmv per paid order
    sold        {online, tills, together}, each {sales, amount, refunded, payers, repeaters}: gmv, funnel and all tables
                of orders are online; who bought at a till without a name is in its sales, and in no count of persons
    by_outlet   [{outlet, name, receipts, members, amount, refunded}]    sold at the tills of stores
    by_seller   [{issuer, name, receipts, members, amount, refunded}]    by whose code was said there
    product     {traffic, payers, paid, gmv, conversion, repurchase, basket}: traffic × conversion × repurchase ×
                basket = gmv, with conversion = payers / traffic, repurchase = paid / payers, basket = gmv / paid
    k_factor    persons who entered by somebody's share / persons who entered: above 1 the room grows by itself
    rejected    {reason: touches}                              tokens that gave no attribution
    series      {unit_ms, rows: [{at, visits, entries, clicks, orders, paid, amount}]}    by the hour or by the day
    orders      [{order, person, name, amount, status, created, link, issuer, issuer_name, role, channel, rule, losers}]
    by_link     [{link, token, issuer, issuer_name, role, channel, …counts}]
    by_issuer   [{issuer, name, role, …counts}]                by_channel  [{channel, …counts}]
    by_room     [{room, title, host, …counts}]                 by_campaign [{campaign, …counts, cost, roi}]
    by_host     [{host, …counts}]                              by_clip     [{clip, title, room, …counts}]
    tree        [{link, token, parent, root, depth, issuer, issuer_name, role, channel, room, …counts}]

The counts are ``visits, entries, clicks`` (persons), ``orders, paid, amount, refunded``. A host has what was sold in
their rooms while they were theirs; a clip what was bought of its product by who had watched it within a day before, and
its ``visits`` are those who watched. ``roi`` is what was sold and not given back over the cost, null without a cost.
Tables have the largest 500 rows each; the tree has the links of ``by_link`` and all above them.
"""

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from commerce.attribution.links import Link
from commerce.attribution.reach import DAY_MS, SHANGHAI_MS, day_of
from commerce.statement import safe_cell

ROWS_MAX = 500  # rows of one table on the board; the rest is summed in the totals above
TREE_NODES_MAX = 2_000  # the same links with everybody above them

HOUR_MS = 3_600_000
HOURS_UP_TO_MS = 2 * DAY_MS
"""A period up to this long is drawn by the hour."""

Key = str | None


@dataclass(frozen=True, slots=True)
class Period:
    """A merchant and a time: ``since_ms`` included, ``until_ms`` not; ``model``: whose judgement of orders counts."""

    merchant: str
    since_ms: int
    until_ms: int
    model: str = "default"

    def whole_days(self, now_ms: int) -> tuple[int, int] | None:
        """The first and last day of a period that is made of the shop's days (today as far as it is), else None."""
        first, last = day_of(self.since_ms), day_of(self.until_ms - 1)
        ends = day_of(self.until_ms) > last or self.until_ms > now_ms
        return (first, last) if day_of(self.since_ms - 1) < first and ends else None

    @property
    def unit_ms(self) -> int:
        """How long a step of the series is."""
        return HOUR_MS if self.until_ms - self.since_ms <= HOURS_UP_TO_MS else DAY_MS


@dataclass(frozen=True, slots=True)
class Visits:
    """Persons who came, entered a room and clicked a card, under one link, issuer or channel."""

    key: Key
    issuer: Key
    role: str
    channel: str
    visits: int
    entries: int
    clicks: int


@dataclass(frozen=True, slots=True)
class StepVisits:
    """Different persons of one hour or day; ``step`` counts them since 1970 in Shanghai."""

    step: int
    visits: int
    entries: int
    clicks: int


@dataclass(frozen=True, slots=True)
class StepSold:
    """Orders of one hour or day."""

    step: int
    orders: int
    paid: int
    amount: int


@dataclass(frozen=True, slots=True)
class Traffic:
    """What the touch log says of a period; ``shared`` is the persons who entered by somebody's share.

    ``series`` has those hours or days in which somebody came.
    """

    visits: int
    entries: int
    clicks: int
    shared: int
    rejected: Mapping[str, int]
    by_link: Sequence[Visits]
    by_issuer: Sequence[Visits]
    by_channel: Sequence[Visits]
    by_campaign: Sequence[Visits]
    by_room: Sequence[Visits]
    by_host: Sequence[Visits]
    by_clip: Sequence[Visits]
    series: Sequence[StepVisits]


@dataclass(frozen=True, slots=True)
class Sold:
    """Orders, paid ones, and the paid amount under one link, issuer or channel."""

    key: Key
    issuer: Key
    role: str
    channel: str
    orders: int
    paid: int
    amount: int
    refunded: int


@dataclass(frozen=True, slots=True)
class BoardOrder:
    """One order with whom its decision credits, and how many candidates lost."""

    order: str
    person: str
    amount: int
    status: str
    created_ms: int
    link: Key
    issuer: Key
    role: Key
    channel: Key
    rule: Key
    losers: int


@dataclass(frozen=True, slots=True)
class Side:
    """What was sold online, at tills, or both: paid sales, their amount, and the persons who bought once and again."""

    sales: int
    amount: int
    refunded: int
    payers: int
    repeaters: int


@dataclass(frozen=True, slots=True)
class AtTill:
    """Receipts of one store, or one seller (``key`` None: nobody's code was said); ``members`` are persons."""

    key: Key
    name: str
    receipts: int
    members: int
    amount: int
    refunded: int


@dataclass(frozen=True, slots=True)
class Sales:
    """What the orders of a period say; ``rooms`` are title and host by room, ``costs`` what a campaign cost."""

    orders: int
    paid: int
    gmv: int
    refunded: int
    freight: int
    freight_refunded: int
    buyers: int
    payers: int
    repeaters: int
    latest: Sequence[BoardOrder]
    by_link: Sequence[Sold]
    by_issuer: Sequence[Sold]
    by_channel: Sequence[Sold]
    by_campaign: Sequence[Sold]
    by_room: Sequence[Sold]
    by_host: Sequence[Sold]
    by_clip: Sequence[Sold]
    series: Sequence[StepSold]
    rooms: Mapping[str, tuple[str, str]]
    costs: Mapping[str, int]
    tills: Side
    together: Side
    by_outlet: Sequence[AtTill]
    by_seller: Sequence[AtTill]


def tree_links(traffic: Traffic, sales: Sales) -> list[str]:
    """Name the links that the board shows."""
    rows: tuple[Visits | Sold, ...] = (*traffic.by_link, *sales.by_link)
    return sorted({row.key for row in rows if row.key} | {order.link for order in sales.latest if order.link})


def clips_shown(traffic: Traffic, sales: Sales) -> list[str]:
    """Name the clips that the board shows."""
    rows: tuple[Visits | Sold, ...] = (*traffic.by_clip, *sales.by_clip)
    return sorted({row.key for row in rows if row.key})


def people_named(traffic: Traffic, sales: Sales, nodes: Iterable[Link]) -> list[str]:
    """Name the issuers and buyers whose names the board shows."""
    rows: tuple[Visits | Sold, ...] = (*traffic.by_issuer, *sales.by_issuer)
    issuers = {row.key for row in rows}
    buyers = {order.person for order in sales.latest} | {order.issuer for order in sales.latest}
    return sorted(one for one in issuers | buyers | {link.issuer for link in nodes} if one)


def compose(
    period: Period,
    traffic: Traffic,
    sales: Sales,
    nodes: Sequence[Link],
    names: Mapping[str, str],
    tokens: Mapping[str, str],
    clips: Mapping[str, tuple[str, str]],
) -> dict[str, Any]:
    """Put the board together in the module's JSON shape; ``clips`` are product and room by clip."""
    return {
        "since": period.since_ms,
        "until": period.until_ms,
        "model": period.model,
        "funnel": {
            "visit": traffic.visits,
            "entry": traffic.entries,
            "click": traffic.clicks,
            "order": sales.buyers,
            "paid": sales.payers,
            "repeat": sales.repeaters,
        },
        "gmv": sales.gmv,
        "refunded": sales.refunded,
        "freight": sales.freight,
        "freight_refunded": sales.freight_refunded,
        "orders_total": {"all": sales.orders, "paid": sales.paid},
        "conversion": ratio(sales.payers, traffic.entries),
        "basket": sales.gmv // sales.paid if sales.paid else 0,
        "sold": {
            "online": asdict(Side(sales.paid, sales.gmv, sales.refunded, sales.payers, sales.repeaters)),
            "tills": asdict(sales.tills),
            "together": asdict(sales.together),
        },
        "by_outlet": [_at_till("outlet", row) for row in sales.by_outlet],
        "by_seller": [_at_till("issuer", row) for row in sales.by_seller],
        "product": {
            "traffic": traffic.entries,
            "payers": sales.payers,
            "paid": sales.paid,
            "gmv": sales.gmv,
            "conversion": ratio(sales.payers, traffic.entries),
            "repurchase": ratio(sales.paid, sales.payers),
            "basket": ratio(sales.gmv, sales.paid),
        },
        "k_factor": ratio(traffic.shared, traffic.entries),
        "rejected": dict(traffic.rejected),
        "series": _series(period, traffic, sales),
        "orders": [order_row(order, names) for order in sales.latest],
        **_tables(traffic, sales, nodes, names, tokens, clips),
    }


def _at_till(item: str, row: AtTill) -> dict[str, Any]:
    told = asdict(row)
    return {item: told.pop("key"), **told}


def _tables(
    traffic: Traffic,
    sales: Sales,
    nodes: Sequence[Link],
    names: Mapping[str, str],
    tokens: Mapping[str, str],
    clips: Mapping[str, tuple[str, str]],
) -> dict[str, Any]:
    links = _totals(traffic.by_link, sales.by_link)
    return {
        "by_link": _table(
            links, lambda row: {"link": row["key"], "token": tokens.get(row["key"] or ""), **_who(row, names)}
        ),
        "by_issuer": _table(
            _totals(traffic.by_issuer, sales.by_issuer),
            lambda row: {"issuer": row["key"], "name": names.get(row["key"] or ""), "role": row["role"] or None},
        ),
        "by_channel": _table(_totals(traffic.by_channel, sales.by_channel), lambda row: {"channel": row["key"]}),
        "by_room": _table(_totals(traffic.by_room, sales.by_room), lambda row: _room(row["key"], sales.rooms)),
        "by_host": _table(_totals(traffic.by_host, sales.by_host), lambda row: {"host": row["key"]}),
        "by_clip": _table(_totals(traffic.by_clip, sales.by_clip), lambda row: _clip(row["key"], clips)),
        "by_campaign": _campaigns(traffic, sales),
        "tree": [_node(link, links.get(link.id), names, tokens) for link in nodes],
    }


def _room(room: Key, rooms: Mapping[str, tuple[str, str]]) -> dict[str, Any]:
    title, host = rooms.get(room or "", (None, None))
    return {"room": room, "title": title, "host": host}


def _clip(clip: Key, clips: Mapping[str, tuple[str, str]]) -> dict[str, Any]:
    """A clip is removed after some time; what it brought stays."""
    title, room = clips.get(clip or "", (None, None))
    return {"clip": clip, "title": title, "room": room}


def _campaigns(traffic: Traffic, sales: Sales) -> list[dict[str, Any]]:
    """Campaigns with what they cost; one that cost and brought nobody has its row, too."""
    silent = [Visits(name, None, "", "", 0, 0, 0) for name in sales.costs]
    totals = _totals((*traffic.by_campaign, *silent), sales.by_campaign)
    totals.pop(None, None)  # what came without a campaign is no advertisement
    rows = _table(totals, lambda row: {"campaign": row["key"]})
    for row in rows:
        row["cost"] = cost = sales.costs.get(row["campaign"], 0)
        row["roi"] = ratio(row["amount"] - row["refunded"], cost) if cost else None
    return rows


def _series(period: Period, traffic: Traffic, sales: Sales) -> dict[str, Any]:
    steps: dict[int, dict[str, int]] = {}
    names = ("visits", "entries", "clicks", "orders", "paid", "amount")
    found: tuple[StepVisits | StepSold, ...] = (*traffic.series, *sales.series)
    for row in found:
        total = steps.setdefault(row.step, dict.fromkeys(names, 0))
        for name in names:
            total[name] += getattr(row, name, 0)
    unit_ms = period.unit_ms
    rows = [{"at": step * unit_ms - SHANGHAI_MS, **total} for step, total in sorted(steps.items())]
    return {"unit_ms": unit_ms, "rows": rows}


def board_csv(board: Mapping[str, Any]) -> str:
    """The board's figures and tables as CSV: section, item, name, role, then the counts. Money in 分."""
    sheet = io.StringIO()
    writer = csv.writer(sheet, lineterminator="\r\n")
    writer.writerow(("section", "item", "name", "role", *_COUNTS))
    for name, count in board["funnel"].items():
        writer.writerow(("funnel", name, "", "", count))
    total = board["orders_total"]
    writer.writerow(("total", "", "", "", "", "", "", total["all"], total["paid"], board["gmv"], board["refunded"]))
    writer.writerow(("freight", "", "", "", "", "", "", "", "", board["freight"], board["freight_refunded"]))
    for side, sold in board["sold"].items():
        counts = ("", "", "", "", sold["sales"], sold["amount"], sold["refunded"])
        writer.writerow(("sold", side, "", "", *counts))
    for section, item in (("by_outlet", "outlet"), ("by_seller", "issuer")):
        for row in board[section]:
            head = (section, row[item] or "", row["name"], "")
            counts = ("", "", "", "", row["receipts"], row["amount"], row["refunded"])
            writer.writerow([*map(safe_cell, head), *counts])
    for section, item in TABLES.items():
        for row in board[section]:
            called = row.get("name") or row.get("issuer_name") or row.get("title") or ""
            head = (section, row[item] or "", called, row.get("role") or "")
            writer.writerow([*map(safe_cell, head), *(row[count] for count in _COUNTS)])
    return sheet.getvalue()


def table_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """One table as CSV, its fields as columns. Money in 分."""
    sheet = io.StringIO()
    writer = csv.writer(sheet, lineterminator="\r\n")
    if rows:
        writer.writerow(rows[0])
    for row in rows:
        writer.writerow(
            [safe_cell(one) if isinstance(one, str) else "" if one is None else one for one in row.values()]
        )
    return sheet.getvalue()


TABLES = {
    "by_issuer": "issuer",
    "by_channel": "channel",
    "by_room": "room",
    "by_host": "host",
    "by_clip": "clip",
    "by_campaign": "campaign",
    "by_link": "token",
}
"""The tables of the board, each with what names a row."""
_COUNTS = ("visits", "entries", "clicks", "orders", "paid", "amount", "refunded")


def _totals(visits: Iterable[Visits], sold: Iterable[Sold]) -> dict[Key, dict[str, Any]]:
    totals: dict[Key, dict[str, Any]] = {}
    rows: tuple[Visits | Sold, ...] = (*visits, *sold)
    for row in rows:
        total = totals.setdefault(
            row.key,
            {
                "key": row.key,
                "issuer": row.issuer,
                "role": row.role,
                "channel": row.channel,
                **dict.fromkeys(_COUNTS, 0),
            },
        )
        for name in _COUNTS:
            total[name] += getattr(row, name, 0)
    return totals


def _table(
    totals: Mapping[Key, dict[str, Any]], head: Callable[[dict[str, Any]], dict[str, Any]]
) -> list[dict[str, Any]]:
    rows = sorted(totals.values(), key=lambda row: (-row["amount"], -row["orders"], -row["entries"], row["key"] or ""))
    return [{**head(row), **{name: row[name] for name in _COUNTS}} for row in rows[:ROWS_MAX]]


def _who(row: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {
        "issuer": row["issuer"],
        "issuer_name": names.get(row["issuer"] or ""),
        "role": row["role"] or None,
        "channel": row["channel"] or None,
    }


def order_row(order: BoardOrder, names: Mapping[str, str]) -> dict[str, Any]:
    """An order as the board shows it."""
    return {
        "order": order.order,
        "person": order.person,
        "name": names.get(order.person),
        "amount": order.amount,
        "status": order.status,
        "created": order.created_ms,
        "link": order.link,
        "issuer": order.issuer,
        "issuer_name": names.get(order.issuer or ""),
        "role": order.role or None,
        "channel": order.channel or None,
        "rule": order.rule,
        "losers": order.losers,
    }


def _node(
    link: Link, total: Mapping[str, Any] | None, names: Mapping[str, str], tokens: Mapping[str, str]
) -> dict[str, Any]:
    return {
        "link": link.id,
        "token": tokens[link.id],
        "parent": link.parent,
        "root": link.root,
        "depth": link.depth,
        "issuer": link.issuer,
        "issuer_name": names.get(link.issuer),
        "role": link.role,
        "channel": link.channel or None,
        "room": link.room or None,
        **{name: total[name] if total else 0 for name in _COUNTS},
    }


def ratio(part: int, whole: int) -> float:
    """A share or a mean to four places; 0 of nothing."""
    return round(part / whole, 4) if whole else 0.0
