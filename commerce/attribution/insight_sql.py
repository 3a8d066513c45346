# ruff: noqa: S608 (statements are put together from this module's constants alone)
"""The board's second look at the orders: whom each model credits side by side, and who came back, week by week."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, text

from commerce.attribution.board import Period
from commerce.attribution.board_sql import PAID, SOLD_OF_PERIOD, asked_of
from commerce.attribution.insight import Credited, Returned
from commerce.attribution.reach import DAY_MS, SHANGHAI_MS, day_ms
from commerce.freight_sql import BACK, CARRIED, GOODS

COHORT_WEEKS = 12
"""Weeks of first orders that are shown: a season."""
_MONDAY = 3
"""Days from the Monday of its week to 1970-01-01."""

_CREDITED = text(
    "SELECT c.model, c.issuer, max(c.role) AS role, count(*) AS orders,"
    f" sum(CASE WHEN {PAID} THEN 1 ELSE 0 END) AS paid, sum(CASE WHEN {PAID} THEN {GOODS} ELSE 0 END) AS amount,"
    f" sum({BACK}) AS refunded FROM order_credit AS c JOIN orders AS o ON o.id = c.order_id {CARRIED}"
    " WHERE c.order_id >= :lowest AND c.order_id < :highest AND o.merchant = :merchant AND o.kind = 'goods'"
    " AND c.model NOT IN ('host', 'clip') GROUP BY c.model, c.issuer"
)
_ALL = text(
    f"SELECT count(*) AS orders, coalesce(sum(CASE WHEN {PAID} THEN 1 ELSE 0 END), 0) AS paid,"
    f" coalesce(sum(CASE WHEN {PAID} THEN {GOODS} ELSE 0 END), 0) AS amount,"
    f" coalesce(sum({BACK}), 0) AS refunded {SOLD_OF_PERIOD}"
)
_WEEK = f"(o.created_ms + {SHANGHAI_MS + _MONDAY * DAY_MS}) / {7 * DAY_MS}"
BOUGHT = (
    f"WITH bought AS (SELECT o.person, {_WEEK} AS week, sum({GOODS}) AS amount FROM orders AS o {CARRIED}"
    f" WHERE o.merchant = :merchant AND o.kind = 'goods' AND {PAID} AND o.id < :highest GROUP BY o.person, {_WEEK}),"
    " began AS (SELECT person, min(week) AS week FROM bought GROUP BY person)"
)
_COHORTS = text(
    f"{BOUGHT} SELECT began.week, bought.week - began.week AS later, count(*) AS persons, sum(bought.amount) AS amount"
    " FROM began JOIN bought ON bought.person = began.person WHERE began.week > :last - :weeks AND began.week <= :last"
    " GROUP BY began.week, bought.week - began.week ORDER BY began.week, later"
)


def credited(db: Connection, period: Period) -> tuple[list[Credited], Mapping[str, Any]]:
    """What each model and each role credits to whom; and all orders of the period together."""
    asked = asked_of(period)
    rows = [
        Credited(row.model, row.issuer, row.role, row.orders, row.paid, row.amount, row.refunded)
        for row in db.execute(_CREDITED, asked)
    ]
    return rows, dict(db.execute(_ALL, asked).mappings().one())


def cohorts(db: Connection, merchant: str, until_ms: int) -> list[Returned]:
    """The last ``COHORT_WEEKS`` weeks of first orders, up to the week of ``until_ms``."""
    asked = asked_of(Period(merchant, 0, until_ms))
    last = week_of(until_ms - 1)
    found = db.execute(_COHORTS, {**asked, "last": last, "weeks": COHORT_WEEKS})
    return [Returned(week_ms(row.week), row.later, row.persons, row.amount) for row in found]


def week_of(ms: int) -> int:
    """Weeks since that of 1970-01-01; they begin on Mondays in Shanghai."""
    return (ms + SHANGHAI_MS + _MONDAY * DAY_MS) // (7 * DAY_MS)


def week_ms(week: int) -> int:
    """The first moment of a week."""
    return day_ms(week * 7 - _MONDAY)
