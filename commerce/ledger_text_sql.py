"""The set statements of the ledger in one dialect: constant text, each with one JSON parameter holding all its rows.

Another dialect is another ``LedgerText`` (PostgreSQL: ``jsonb_to_recordset``). ``CROSS JOIN`` is an instruction to
SQLite: the rows of the parameter drive, the table is looked up (as a plain join it scanned the table).
"""

from dataclasses import dataclass

from sqlalchemy import TextClause, text


@dataclass(frozen=True, slots=True)
class LedgerText:
    """Statements whose ``:rows`` is a JSON array of arrays in the order that each field's comment gives."""

    # [person, key] with :merchant :route → person, key, hash, answer
    known_requests: TextClause
    # [person] with :scope → person, used
    quotas: TextClause
    # [id, person, key, hash, quantity] with :merchant :sale :sku :price :expires_ms
    insert_holds: TextClause
    # [id, person, key, hash, units] with :scope
    raise_quotas: TextClause
    # [id, person, key, hash] with :merchant :route :now
    insert_requests: TextClause
    # [id, person, key, hash, _, n] with :merchant :drop :title :amount :threshold :expires_ms :now
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
        "SELECT q.person, q.key, q.hash, q.answer FROM json_each(:rows) AS r CROSS JOIN request AS q"
        " ON q.merchant = :merchant AND q.route = :route AND q.person = r.value ->> 0 AND q.key = r.value ->> 1"
    ),
    quotas=text(
        "SELECT q.person, q.used FROM json_each(:rows) AS r CROSS JOIN quota AS q"
        " ON q.scope = :scope AND q.person = r.value"
    ),
    insert_holds=text(
        "INSERT INTO hold (id, merchant, sale, sku, person, quantity, price, expires_ms, state)"
        " SELECT value ->> 0, :merchant, :sale, :sku, value ->> 1, value ->> 4, :price, :expires_ms, 'held'"
        " FROM json_each(:rows)"
    ),
    raise_quotas=text(
        "INSERT INTO quota (scope, person, used) SELECT :scope, value ->> 1, value ->> 4 FROM json_each(:rows)"
        " WHERE true ON CONFLICT (scope, person) DO UPDATE SET used = quota.used + excluded.used"
    ),
    insert_requests=text(
        "INSERT INTO request (merchant, person, route, key, hash, answer, created_ms)"
        " SELECT :merchant, value ->> 1, :route, value ->> 2, value ->> 3, value ->> 0, :now FROM json_each(:rows)"
    ),
    insert_coupons=text(
        "INSERT INTO coupon (id, merchant, drop_id, person, n, title, amount, threshold, state, expires_ms, created_ms)"
        " SELECT value ->> 0, :merchant, :drop, value ->> 1, value ->> 5, :title, :amount, :threshold, 'unused',"
        " :expires_ms, :now FROM json_each(:rows)"
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
