"""Models side by side and cohorts: how the board's second look at the orders is put together. Pure.

models::

    total      {orders, paid, amount, refunded}                            of the period
    issuers    [{issuer, name, role, MODEL: {orders, paid, amount, refunded}, …}]   default, binding_first, last_touch,
               first_touch; with a row for nobody (issuer null), so that each column sums to the total
    guide, distributor   [{issuer, name, orders, paid, amount, refunded}]  by each role's own credit (rule A5)

cohorts::

    [{week, persons, amount, weeks: [{persons, amount}]}]   by the week of the first paid order; ``weeks[0]`` is that
                                                            week itself, ``weeks[n]`` who bought n weeks later
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from commerce.attribution.credits import CREDITED
from commerce.attribution.decision import Model

ROWS_MAX = 500
"""Rows of one table; who was credited less is in the totals."""
_SUMS = ("orders", "paid", "amount", "refunded")


@dataclass(frozen=True, slots=True)
class Credited:
    """What one model credits to one issuer, or to nobody (``issuer`` None)."""

    model: str
    issuer: str | None
    role: str
    orders: int
    paid: int
    amount: int
    refunded: int


@dataclass(frozen=True, slots=True)
class Returned:
    """Of those whose first paid order lies in a week: who bought (again) so many weeks later, and for how much."""

    week_ms: int
    later: int
    persons: int
    amount: int


def issuers(rows: Iterable[Credited]) -> list[str]:
    """Whose names the tables show."""
    return sorted({row.issuer for row in rows if row.issuer})


def models(rows: Sequence[Credited], total: Mapping[str, int], names: Mapping[str, str]) -> dict[str, Any]:
    """Put the models side by side in the module's JSON shape."""
    table: dict[str | None, dict[str, Any]] = {}
    for row in rows:
        if row.model in CREDITED:
            continue
        one = table.setdefault(row.issuer, _row(row.issuer, row.role, names))
        one[row.model] = _sums(row)
    nobody = _row(None, "", names)
    for model in Model:
        for name in _SUMS:
            nobody[model.value][name] = total[name] - sum(one[model.value][name] for one in table.values())
    ranked = sorted(table.values(), key=lambda one: (-one[Model.DEFAULT]["amount"], one["issuer"]))[:ROWS_MAX]
    return {
        "total": {name: total[name] for name in _SUMS},
        "issuers": [*ranked, nobody],
        **{role: _by_role(rows, role, names) for role in CREDITED},
    }


def _row(issuer: str | None, role: str, names: Mapping[str, str]) -> dict[str, Any]:
    sums = {model.value: dict.fromkeys(_SUMS, 0) for model in Model}
    return {"issuer": issuer, "name": names.get(issuer or ""), "role": role or None, **sums}


def _sums(row: Credited) -> dict[str, int]:
    return {name: getattr(row, name) for name in _SUMS}


def _by_role(rows: Iterable[Credited], role: str, names: Mapping[str, str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"issuer": row.issuer, "name": names.get(row.issuer or ""), **_sums(row)} for row in rows if row.model == role
    ]
    return sorted(found, key=lambda one: (-one["amount"], one["issuer"]))[:ROWS_MAX]


def cohorts(rows: Iterable[Returned]) -> list[dict[str, Any]]:
    """Put the weeks together in the module's JSON shape; a week in which nobody came back is a zero."""
    found: dict[int, list[dict[str, int]]] = {}
    for row in rows:
        weeks = found.setdefault(row.week_ms, [])
        weeks += [{"persons": 0, "amount": 0} for _ in range(len(weeks), row.later + 1)]
        weeks[row.later] = {"persons": row.persons, "amount": row.amount}
    return [
        {
            "week": week,
            "persons": weeks[0]["persons"],
            "amount": sum(one["amount"] for one in weeks),
            "weeks": weeks,
        }
        for week, weeks in sorted(found.items())
    ]


def models_table(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The models as rows of a spreadsheet: a line for each issuer, the amount and the paid orders of each model."""
    return [
        {
            "issuer": row["issuer"],
            "name": row["name"],
            "role": row["role"],
            **{f"{model.value}_{name}": row[model.value][name] for model in Model for name in ("paid", "amount")},
        }
        for row in found["issuers"]
    ]


def cohorts_table(found: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The cohorts as rows of a spreadsheet: a line for each week, the persons of each week after it."""
    widest = max((len(row["weeks"]) for row in found), default=0)
    return [
        {
            "week": row["week"],
            "persons": row["persons"],
            "amount": row["amount"],
            **{
                f"week_{later}": row["weeks"][later]["persons"] if later < len(row["weeks"]) else None
                for later in range(widest)
            },
        }
        for row in found
    ]
