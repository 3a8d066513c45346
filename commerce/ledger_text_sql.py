"""The set statements of the ledger in one dialect: constant text, each with one JSON parameter holding all its rows.

Another dialect is another ``LedgerText`` (PostgreSQL: ``jsonb_to_recordset``). ``CROSS JOIN`` is an instruction to
SQLite: the rows of the parameter drive, the table is looked up (as a plain join it scanned the table).
"""

from dataclasses import dataclass

from sqlalchemy import TextClause, text


@dataclass(frozen=True, slots=True)
class LedgerText:
    """Statements whose ``:rows`` is a JSON array of arrays in the order that each field's comment gives."""

    # [person, key] with :merchant :route → position, hash, answer
    known_requests: TextClause
    # [scope, person] → scope, person, used
    quotas: TextClause
    # [id, sale, sku, person, quantity, price, expires_ms] with :merchant
    insert_holds: TextClause
    # [scope, person, more]
    raise_quotas: TextClause
    # [person, key, hash, answer] with :merchant :route :now
    insert_requests: TextClause
    # [id, drop, person, n, title, amount, threshold, expires_ms] with :merchant :now
    insert_coupons: TextClause
    # [id, type, body] with :now
    insert_events: TextClause
    # [id] with :now
    mark_delivered: TextClause
    # [id] with :state
    end_holds: TextClause
    # [id]
    sales: TextClause
    drops: TextClause
    holds: TextClause
    coupons: TextClause


def _by_ids(table: str) -> TextClause:
    return text(
        f"SELECT t.* FROM (SELECT DISTINCT value AS id FROM json_each(:rows)) AS r"  # noqa: S608 - a constant
        f" CROSS JOIN {table} AS t ON t.id = r.id"
    )


SQLITE = LedgerText(
    known_requests=text(
        "SELECT r.key AS position, q.hash, q.answer FROM json_each(:rows) AS r CROSS JOIN request AS q"
        " ON q.merchant = :merchant AND q.person = r.value ->> 0 AND q.route = :route AND q.key = r.value ->> 1"
    ),
    quotas=text(
        "SELECT q.scope, q.person, q.used FROM json_each(:rows) AS r CROSS JOIN quota AS q"
        " ON q.scope = r.value ->> 0 AND q.person = r.value ->> 1"
    ),
    insert_holds=text(
        "INSERT INTO hold (id, merchant, sale, sku, person, quantity, price, expires_ms, state)"
        " SELECT value ->> 0, :merchant, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6,"
        " 'held' FROM json_each(:rows)"
    ),
    raise_quotas=text(
        "INSERT INTO quota (scope, person, used)"
        " SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(:rows) WHERE true"
        " ON CONFLICT (scope, person) DO UPDATE SET used = quota.used + excluded.used"
    ),
    insert_requests=text(
        "INSERT INTO request (merchant, person, route, key, hash, answer, created_ms)"
        " SELECT :merchant, value ->> 0, :route, value ->> 1, value ->> 2, value ->> 3, :now FROM json_each(:rows)"
    ),
    insert_coupons=text(
        "INSERT INTO coupon (id, merchant, drop_id, person, n, title, amount, threshold, state, expires_ms, created_ms)"
        " SELECT value ->> 0, :merchant, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6,"
        " 'unused', value ->> 7, :now FROM json_each(:rows)"
    ),
    insert_events=text(
        "INSERT INTO outbox (id, type, body, created_ms)"
        " SELECT value ->> 0, value ->> 1, value ->> 2, :now FROM json_each(:rows)"
    ),
    mark_delivered=text("UPDATE outbox SET delivered_ms = :now WHERE id IN (SELECT value FROM json_each(:rows))"),
    end_holds=text(
        "UPDATE hold SET state = :state WHERE state = 'held' AND id IN (SELECT value FROM json_each(:rows))"
    ),
    sales=_by_ids("sale"),
    drops=_by_ids("drop_"),
    holds=_by_ids("hold"),
    coupons=_by_ids("coupon"),
)
