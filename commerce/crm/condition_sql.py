# ruff: noqa: S608 (statements are put together from this module's constants alone; values are parameters)
"""A condition as SQL: which of a merchant's customers meet it, set by set, in one statement for all of them.

Everything is read through ``person_alias``: who was merged counts with the one who goes on.
"""

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import TextClause, text

from commerce.domain.condition import All, Any_, Condition, Figure, Mark, Not, Span
from commerce.domain.day import DAY_MS, OFFSET_MS
from commerce.freight_sql import CARRIED, EARNS, EARNS_BACK

PEOPLE = (
    "FROM person AS p WHERE p.merchant = :merchant"
    " AND NOT EXISTS (SELECT 1 FROM person_alias AS a WHERE a.alias = p.id AND a.person <> a.alias)"
)
"""Everybody of a merchant who goes on."""
PAID = "status NOT IN ('pending', 'cancelled', 'refunded')"

# Summed by the id of then first: one look into the alias table a person, not one a day.
_DAYS = (
    "SELECT coalesce(a.person, g.person) AS who, sum(g.n) AS n FROM (SELECT d.person, sum(d.n) AS n"
    " FROM person_day AS d WHERE d.merchant = :merchant{more} GROUP BY d.person) AS g"
    " LEFT JOIN person_alias AS a ON a.alias = g.person"
)
_MEASURES = {
    "orders": f"SELECT person AS who, count(*) AS n FROM orders WHERE merchant = :merchant AND {PAID}",
    # As tiers count it.
    "spent": f"SELECT o.person AS who, sum({EARNS} - {EARNS_BACK}) AS n FROM orders AS o {CARRIED}"
    " WHERE o.merchant = :merchant AND o.kind = 'goods' AND o.status NOT IN ('pending', 'cancelled')",
    "refunded": f"SELECT o.person AS who, sum({EARNS_BACK}) AS n FROM orders AS o {CARRIED}"
    " WHERE o.merchant = :merchant AND o.refunded > 0",
}
_BOUGHT = (
    "SELECT o.person AS who, sum(l.quantity) AS n FROM orders AS o JOIN order_line AS l ON l.order_id = o.id"
    f" WHERE o.merchant = :merchant AND o.{PAID}"
)
_MARKS = {
    "tag": "SELECT person FROM person_tag WHERE merchant = :merchant AND tag = {value}",
    "stage": "SELECT person FROM person_stage WHERE merchant = :merchant AND stage = {value}",
    "tier": "SELECT person FROM member WHERE merchant = :merchant AND tier >= {value}",
    "has": "SELECT person FROM identity WHERE merchant = :merchant AND kind = {value}",
    "follows": "SELECT person FROM follower WHERE merchant = :merchant",
    # The newest word of a person on a purpose, under whatever id it was said.
    "consent": "SELECT who FROM (SELECT coalesce(a.person, c.person) AS who, c.granted, row_number() OVER"
    " (PARTITION BY coalesce(a.person, c.person) ORDER BY c.id DESC) AS n FROM consent AS c"
    " LEFT JOIN person_alias AS a ON a.alias = c.person WHERE c.merchant = :merchant AND c.purpose = {value}) AS w"
    " WHERE n = 1 AND granted",
}


@dataclass(slots=True)
class Compiled:
    """A condition on ``p.id``, and its parameters beside ``:merchant``."""

    now_ms: int
    where: str = ""
    values: dict[str, Any] = field(default_factory=dict)

    def put(self, value: Any) -> str:
        """A parameter's place."""
        name = f"c{len(self.values)}"
        self.values[name] = value
        return f":{name}"


def compile_condition(condition: Condition, now_ms: int) -> Compiled:
    """Compile a condition as of a moment."""
    made = Compiled(now_ms)
    made.where = _compile(made, condition)
    return made


def everybody(condition: Condition, now_ms: int, columns: str, more: str = "") -> tuple[TextClause, dict[str, Any]]:
    """A query of ``columns`` of ``p`` for those who meet a condition; ``more`` goes behind it."""
    made = compile_condition(condition, now_ms)
    return text(f"SELECT {columns} {PEOPLE} AND ({made.where}){more}"), made.values


def day_number(at_ms: int) -> int:
    """Days since 1970-01-01 in Shanghai."""
    return (at_ms + OFFSET_MS) // DAY_MS


def _compile(made: Compiled, condition: Condition) -> str:
    match condition:
        case All(parts):
            return " AND ".join(f"({_compile(made, part)})" for part in parts)
        case Any_(parts):
            return " OR ".join(f"({_compile(made, part)})" for part in parts)
        case Not(part):
            return f"NOT ({_compile(made, part)})"
        case Mark(kind, value):
            given: str | int = int(value) if kind == "tier" else value
            return f"p.id IN ({_MARKS[kind].format(value=made.put(given)) if value else _MARKS[kind]})"
        case Figure():
            return _figure(made, condition)


def _figure(made: Compiled, figure: Figure) -> str:
    if figure.kind == "event":
        more = f" AND d.kind = {made.put(figure.of)}" if figure.of != "any" else ""
        more += f" AND d.room = {made.put(figure.room)}" if figure.room else ""
        if figure.span.days is not None:
            more += f" AND d.day > {made.put(day_number(made.now_ms) - figure.span.days)}"
        query, group = _DAYS.format(more=more), "coalesce(a.person, g.person)"
    else:
        group = "o.person" if figure.kind == "bought" else "person"
        query = _MEASURES[figure.of] if figure.kind == "measure" else _BOUGHT
        if figure.kind == "bought":
            query += f" AND (l.sku = {made.put(figure.of)} OR l.product = {made.put(figure.of)})"
        if figure.span.days is not None:
            # From the midnight in Shanghai that began the first of the days.
            since_ms = (day_number(made.now_ms) - figure.span.days + 1) * DAY_MS - OFFSET_MS
            query += f" AND paid_ms >= {made.put(since_ms)}"
    return _within(made, f"{query} GROUP BY {group}", figure.span)


def _within(made: Compiled, query: str, span: Span) -> str:
    """Who has nothing is in no row: a span with 0 in it is told by who is outside."""
    least, most = span.at_least or 0, span.at_most
    if least:
        upper = f" AND s.n <= {made.put(most)}" if most is not None else ""
        return f"p.id IN (SELECT s.who FROM ({query}) AS s WHERE s.n >= {made.put(least)}{upper})"
    if most is None:
        return "1 = 1"
    return f"p.id NOT IN (SELECT s.who FROM ({query}) AS s WHERE s.n > {made.put(most)})"
