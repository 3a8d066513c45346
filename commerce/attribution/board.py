"""The private-traffic board: what a period's figures are and how they are put together. Pure.

The JSON shape, money in 分, times in Unix milliseconds, ``null`` for "nobody" and "none"::

    since, until
    funnel      {visit, entry, click, order, paid, repeat}    persons at each step
    gmv         amount of paid orders                          orders_total  {all, paid}
    conversion  paid persons / persons who entered             basket  gmv per paid order
    k_factor    persons who entered by somebody's share / persons who entered: above 1 the room grows by itself
    rejected    {reason: touches}                              tokens that gave no attribution
    orders      [{order, person, name, amount, status, created, link, issuer, issuer_name, role, channel, rule, losers}]
    by_link     [{link, token, issuer, issuer_name, role, channel, visits, entries, clicks, orders, paid, amount}]
    by_issuer   [{issuer, name, role, …the same counts}]       by_channel  [{channel, …the same counts}]
    tree        [{link, token, parent, root, depth, issuer, issuer_name, role, channel, room, …the same counts}]

Totals per link, issuer and channel are the largest 500 each; the tree has the links of ``by_link`` and all above them.
"""

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from commerce.attribution.links import Link
from commerce.statement import safe_cell

ROWS_MAX = 500  # rows of one table on the board; the rest is summed in the totals above
TREE_NODES_MAX = 2_000  # the same links with everybody above them

Key = str | None


@dataclass(frozen=True, slots=True)
class Period:
    """A merchant and a time: ``since_ms`` included, ``until_ms`` not."""

    merchant: str
    since_ms: int
    until_ms: int


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
class Traffic:
    """What the touch log says of a period; ``shared`` is the persons who entered by somebody's share."""

    visits: int
    entries: int
    clicks: int
    shared: int
    rejected: Mapping[str, int]
    by_link: Sequence[Visits]
    by_issuer: Sequence[Visits]
    by_channel: Sequence[Visits]


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
class Sales:
    """What the orders of a period say."""

    orders: int
    paid: int
    gmv: int
    buyers: int
    payers: int
    repeaters: int
    latest: Sequence[BoardOrder]
    by_link: Sequence[Sold]
    by_issuer: Sequence[Sold]
    by_channel: Sequence[Sold]


def tree_links(traffic: Traffic, sales: Sales) -> list[str]:
    """Name the links that the board shows."""
    rows: tuple[Visits | Sold, ...] = (*traffic.by_link, *sales.by_link)
    return sorted({row.key for row in rows if row.key} | {order.link for order in sales.latest if order.link})


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
) -> dict[str, Any]:
    """Put the board together in the module's JSON shape."""
    links = _totals(traffic.by_link, sales.by_link)
    issuers = _totals(traffic.by_issuer, sales.by_issuer)
    channels = _totals(traffic.by_channel, sales.by_channel)
    return {
        "since": period.since_ms,
        "until": period.until_ms,
        "funnel": {
            "visit": traffic.visits,
            "entry": traffic.entries,
            "click": traffic.clicks,
            "order": sales.buyers,
            "paid": sales.payers,
            "repeat": sales.repeaters,
        },
        "gmv": sales.gmv,
        "orders_total": {"all": sales.orders, "paid": sales.paid},
        "conversion": _ratio(sales.payers, traffic.entries),
        "basket": sales.gmv // sales.paid if sales.paid else 0,
        "k_factor": _ratio(traffic.shared, traffic.entries),
        "rejected": dict(traffic.rejected),
        "orders": [_order(order, names) for order in sales.latest],
        "by_link": _table(
            links, lambda row: {"link": row["key"], "token": tokens.get(row["key"] or ""), **_who(row, names)}
        ),
        "by_issuer": _table(
            issuers,
            lambda row: {"issuer": row["key"], "name": names.get(row["key"] or ""), "role": row["role"] or None},
        ),
        "by_channel": _table(channels, lambda row: {"channel": row["key"]}),
        "tree": [_node(link, links.get(link.id), names, tokens) for link in nodes],
    }


def board_csv(board: Mapping[str, Any]) -> str:
    """The board's figures and tables as CSV: section, item, name, role, then the counts. Money in 分."""
    sheet = io.StringIO()
    writer = csv.writer(sheet, lineterminator="\r\n")
    writer.writerow(("section", "item", "name", "role", *_COUNTS))
    for name, count in board["funnel"].items():
        writer.writerow(("funnel", name, "", "", count))
    total = board["orders_total"]
    writer.writerow(("total", "", "", "", "", "", "", total["all"], total["paid"], board["gmv"]))
    for section, item in (("by_issuer", "issuer"), ("by_channel", "channel"), ("by_link", "token")):
        for row in board[section]:
            called = row.get("name") or row.get("issuer_name") or ""
            head = (section, row[item] or "", called, row.get("role") or "")
            writer.writerow([*map(safe_cell, head), *(row[count] for count in _COUNTS)])
    return sheet.getvalue()


_COUNTS = ("visits", "entries", "clicks", "orders", "paid", "amount")


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


def _order(order: BoardOrder, names: Mapping[str, str]) -> dict[str, Any]:
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


def _ratio(part: int, whole: int) -> float:
    return round(part / whole, 4) if whole else 0.0
