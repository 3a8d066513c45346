"""Our own counts of a run: plain counters with names, so that several Locust processes can be added up.

Names: ``frames``, ``bytes``, ``joins``, ``resumed``, ``disorder``, ``event/TYPE``, ``closed/CODE``,
``refused/COMMAND/CODE``, ``held/SALE`` (units granted), ``claimed/DROP``, ``paid/ROOM`` (orders).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

Tally = Counter[str]


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table of times: what, how many, and quantiles in ms (None where nothing was timed)."""

    name: str
    count: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None


def under(tally: Mapping[str, int], prefix: str) -> dict[str, int]:
    """The counts whose names begin with ``prefix/``, by the rest of the name."""
    return {name[len(prefix) + 1 :]: number for name, number in tally.items() if name.startswith(prefix + "/")}


def _time(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"


def table(tally: Mapping[str, int], rows: Iterable[Row], seconds: float) -> str:
    """The counts and times as text for a terminal."""
    seconds = max(seconds, 0.001)
    frames = tally.get("frames", 0)
    per_frame = tally.get("bytes", 0) // frames if frames else 0
    lines = [
        "",
        f"Siyu Live: {seconds:.0f} s",
        f"  frames read         {frames:>8}   {frames / seconds:.0f}/s, {per_frame} bytes each",
        f"  joins               {tally.get('joins', 0):>8}   {tally.get('resumed', 0)} resumed",
        f"  events out of order {tally.get('disorder', 0):>8}",
        f"  holds granted       {sum(under(tally, 'held').values()):>8}",
        f"  coupons granted     {sum(under(tally, 'claimed').values()):>8}",
        f"  orders paid         {sum(under(tally, 'paid').values()):>8}",
    ]
    for title, prefix in (("events", "event"), ("refused", "refused"), ("closed", "closed")):
        for name, number in sorted(under(tally, prefix).items(), key=lambda entry: -entry[1]):
            lines.append(f"  {title:7} {name:32} {number:>8}")
    lines.append(f"  {'time, ms':40} {'count':>8} {'p50':>7} {'p95':>7} {'p99':>7}")
    for row in rows:
        times = " ".join(f"{_time(value):>7}" for value in (row.p50_ms, row.p95_ms, row.p99_ms))
        lines.append(f"  {row.name:40} {row.count:>8} {times}")
    return "\n".join(lines)
