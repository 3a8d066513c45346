"""Was anything sold twice, or lost? What the clients were told, against what the API and the audit say. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loadtest.tally import under


@dataclass(frozen=True, slots=True)
class Check:
    """One question and its answer, with the figures it stands on."""

    question: str
    ok: bool
    figures: str


def _sales(tally: Mapping[str, int], sales: Sequence[Mapping[str, Any]]) -> list[Check]:
    """Each sale: what clients hold is at most what it had, and all of it is taken in the database."""
    views = {str(sale["sale"]): sale for sale in sales}
    checks = []
    for sale, granted in sorted(under(tally, "held").items()):
        view = views.get(sale)
        total = int(view["total"]) if view else 0
        left = int(view["left"]) if view else 0
        good = view is not None and 0 <= left <= total and granted <= total - left
        checks.append(
            Check(
                f"sale {sale[-6:]}: granted to clients ≤ taken ≤ total", good, f"{granted} ≤ {total - left} ≤ {total}"
            )
        )
    return checks


def _drops(tally: Mapping[str, int], drops: Sequence[Mapping[str, Any]]) -> list[Check]:
    views = {str(drop["drop"]): drop for drop in drops}
    checks = []
    for drop, granted in sorted(under(tally, "claimed").items()):
        view = views.get(drop)
        total = int(view["total"]) if view else 0
        taken = total - int(view["left"]) if view else 0
        good = view is not None and granted <= taken <= total
        figures = f"{granted} ≤ {taken} ≤ {total}"
        checks.append(Check(f"drop {drop[-6:]}: coupons of clients ≤ issued ≤ total", good, figures))
    return checks


def judge_seen(
    tally: Mapping[str, int], *, sales: Sequence[Mapping[str, Any]], drops: Sequence[Mapping[str, Any]]
) -> list[Check]:
    """What can be said without the database: clients' counts against the room's own view, which anybody may read."""
    return [
        *_sales(tally, sales),
        *_drops(tally, drops),
        Check("a repeated key gave the same coupon", not tally.get("twice", 0), f"{tally.get('twice', 0)} others"),
        Check("events came once and in order", not tally.get("disorder", 0), f"{tally.get('disorder', 0)} did not"),
    ]


def judge(
    tally: Mapping[str, int],
    *,
    sales: Sequence[Mapping[str, Any]],
    drops: Sequence[Mapping[str, Any]],
    orders: Sequence[Mapping[str, Any]],
    findings: Sequence[Mapping[str, Any]],
) -> list[Check]:
    """Every check of a run: ``sales``, ``drops``, ``orders`` are the API's views, ``findings`` those of the audit.

    It takes for granted that no hold ended within the run (the host of the load test sees to that).
    """
    granted = sum(under(tally, "held").values())
    paid_here = sum(under(tally, "paid").values())
    paid_there = sum(order["status"] == "paid" for order in orders)
    broken = [str(finding["name"]) for finding in findings if not finding["ok"]]
    return [
        Check("something was sold: a run without a hold shows nothing", granted > 0, f"{granted} holds granted"),
        *judge_seen(tally, sales=sales, drops=drops),
        Check(
            "orders of clients paid are paid in the database", paid_here <= paid_there, f"{paid_here} ≤ {paid_there}"
        ),
        Check(
            "siyu audit finds every invariant whole",
            bool(findings) and not broken,
            f"{len(findings)} checked, broken: {', '.join(broken) or 'none'}",
        ),
    ]


def verdict(checks: Sequence[Check]) -> tuple[bool, str]:
    """Whether all is well, and the lines that say so."""
    well = all(check.ok for check in checks)
    lines = [f"  {'ok    ' if check.ok else 'BROKEN'} {check.question}: {check.figures}" for check in checks]
    word = "nothing was oversold, nothing acknowledged was lost" if well else "FAILED"
    return well, "\n".join(["", "Verdict", *lines, f"  {word}"])
