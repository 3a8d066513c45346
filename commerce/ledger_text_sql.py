"""The set statements of the ledger in each dialect: constant text, each with one JSON parameter holding all its rows.

    SQLite        json_each(:rows)                                  ``CROSS JOIN`` is an instruction: the rows of the
                                                                    parameter drive, the table is looked up (as a plain
                                                                    join it scanned the table)
    PostgreSQL    jsonb_array_elements(CAST(:rows AS jsonb))        ``= ANY (ARRAY(…))`` is looked up in the index; as a
                                                                    join, on a table that was not analysed since it was
                                                                    empty, it compared each row with each (minutes).
                                                                    Rows that are read to be decided on are locked, in
                                                                    the order of their ids (``turns_sql`` has the whole)

PostgreSQL refuses one person twice in an upsert: the units of a batch are summed per person first.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import TextClause, text


@dataclass(frozen=True, slots=True)
class LedgerText:
    """Statements whose ``:rows`` is a JSON array of arrays in the order that each field's comment gives."""

    # [person, key] with :merchant :route → person, key, hash, answer
    known_requests: TextClause
    # [hold] → person, key, hash, answer of these holds and of all earlier ones of their people in the same sale
    known_holds: TextClause
    # [person] with :scope → person, used, latest
    quotas: TextClause
    # [id, person, key, hash, quantity, earlier] with :merchant :sale :sku :price :expires_ms
    insert_holds: TextClause
    # [person, units, latest], each person once, with :scope
    raise_quotas: TextClause
    # [id, person, key, hash] with :merchant :route :now
    insert_requests: TextClause
    # [id, person, key, hash, _, n] with :merchant :drop and the drop's terms, :expires_ms :now
    insert_coupons: TextClause
    # [id, type, body] with :now
    insert_events: TextClause
    # [id] with :now
    mark_delivered: TextClause
    # [id] with :state
    end_holds: TextClause
    # [person] with :draw → what they have entered
    entries: TextClause
    # [person, ticket, n] with :draw
    insert_entries: TextClause
    # [person] with :merchant :now
    insert_followers: TextClause
    # [id]
    sales: TextClause
    drops: TextClause
    holds: TextClause
    coupons: TextClause
    # [id] → those that are pending
    pending_orders: TextClause
    # [sku] with :merchant → the SKU with its product
    prices: TextClause
    # [person] with :merchant → those who have paid for something
    buyers: TextClause
    # [person] with :merchant → person, tier
    tiers: TextClause
    # [person] with :merchant :tag → those who have the tag
    tagged: TextClause
    # [sale] with :now :grace :limit → holds that are due
    due_of_sales: TextClause


ROWS: Mapping[str, str] = {
    "sqlite": "json_each(:rows) AS r",
    "postgresql": "jsonb_array_elements(CAST(:rows AS jsonb)) AS r(value)",
}
"""One row of the parameter: ``r.value`` is a JSON array."""

DUE = (
    "SELECT h.* FROM hold AS h WHERE h.state = 'held' AND h.expires_ms <= :now AND (h.order_id IS NULL"
    " OR h.expires_ms <= :grace OR NOT EXISTS"
    " (SELECT 1 FROM payment AS p WHERE p.order_id = h.order_id AND p.state = 'started'))"
)
"""Holds that are to end: not those of an order whose payment is under way, until the grace is over."""


@dataclass(frozen=True, slots=True)
class _Dialect:
    """How one engine reads the parameter, and finds rows by it."""

    # One row of the parameter: ``r.value`` is a JSON array.
    rows: str
    # One id of the parameter: ``r.value`` is a text.
    ids: str
    # The ids of the parameter, behind ``column IN`` or ``column =``.
    among: str
    lock: str

    def text(self, index: int) -> str:
        """A field of a row as text."""
        return f"r.value ->> {index}"

    def count(self, index: int) -> str:
        """A field of a row as a number."""
        return f"CAST(r.value ->> {index} AS integer)"

    def find(
        self, table: str, columns: str, key: str, *, where: str = "", lock: bool = False, distinct: bool = True
    ) -> str:
        """Rows of a table by the ids of the parameter, each once; not ``distinct`` when no id comes twice."""
        if self.lock:
            suffix = f" ORDER BY t.{key} {self.lock}" if lock else ""
            return f"SELECT {columns} FROM {table} AS t WHERE {where}t.{key} {self.among}{suffix}"  # noqa: S608
        once = "DISTINCT " if distinct else ""
        ids = f"SELECT {once}r.value AS id FROM {self.ids}"  # noqa: S608
        return f"SELECT {columns} FROM ({ids}) AS r CROSS JOIN {table} AS t ON {where}t.{key} = r.id"  # noqa: S608

    def known_holds(self) -> str:
        """What is stored in the chains of holds that begin at the ids of the parameter."""
        if self.lock:
            # OFFSET 0 keeps the planner from turning the look-ups into a join.
            hold = "CROSS JOIN LATERAL (SELECT * FROM hold AS l WHERE l.id = c.id OFFSET 0) AS h"
            start = 'r.value COLLATE "C"'
        else:
            hold, start = "CROSS JOIN hold AS h ON h.id = c.id", "r.value"
        return (
            f"WITH RECURSIVE chain(id) AS (SELECT {start} FROM {self.ids}"  # noqa: S608
            f" UNION ALL SELECT h.earlier FROM chain AS c {hold} WHERE h.earlier IS NOT NULL)"
            f" SELECT h.person, h.key, h.hash, h.id AS answer FROM chain AS c {hold}"
        )

    def known_requests(self) -> str:
        """What is stored under (person, key) pairs."""
        match = f"q.merchant = :merchant AND q.route = :route AND q.person = {self.text(0)} AND q.key = {self.text(1)}"
        columns = "q.person, q.key, q.hash, q.answer"
        if self.lock:
            # OFFSET 0 keeps the planner from turning the look-ups into a join.
            looked_up = f"SELECT {columns} FROM request AS q WHERE {match} OFFSET 0"  # noqa: S608
            return f"SELECT {columns} FROM {self.rows} CROSS JOIN LATERAL ({looked_up}) AS q"  # noqa: S608
        return f"SELECT {columns} FROM {self.rows} CROSS JOIN request AS q ON {match}"  # noqa: S608


def _statements(d: _Dialect) -> LedgerText:
    # Constants of this module go into the text; values are bound.
    made = {
        "known_requests": d.known_requests(),
        "known_holds": d.known_holds(),
        "quotas": d.find(
            "quota", "t.person, t.used, t.latest", "person", where="t.scope = :scope AND ", lock=True, distinct=False
        ),
        "insert_holds": (
            "INSERT INTO hold (id, merchant, sale, sku, person, quantity, price, expires_ms, state, key, hash, earlier)"  # noqa: S608
            f" SELECT {d.text(0)}, :merchant, :sale, :sku, {d.text(1)}, {d.count(4)}, :price, :expires_ms, 'held',"
            f" {d.text(2)}, {d.text(3)}, {d.text(5)} FROM {d.rows}"
        ),
        "raise_quotas": _raise_quotas(d),
        "insert_requests": (
            "INSERT INTO request (merchant, person, route, key, hash, answer, created_ms)"  # noqa: S608
            f" SELECT :merchant, {d.text(1)}, :route, {d.text(2)}, {d.text(3)}, {d.text(0)}, :now FROM {d.rows}"
        ),
        "insert_coupons": (
            "INSERT INTO coupon (id, merchant, drop_id, person, n, title, amount, threshold, state, expires_ms,"  # noqa: S608
            " created_ms, percent, stack, reason, issuer)"
            f" SELECT {d.text(0)}, :merchant, :drop, {d.text(1)}, {d.count(5)}, :title, :amount,"
            f" :threshold, 'unused', :expires_ms, :now, :percent, :stack, :reason, :issuer FROM {d.rows}"
        ),
        "insert_events": (
            "INSERT INTO outbox (id, type, body, created_ms, writer)"  # noqa: S608
            f" SELECT {d.text(0)}, {d.text(1)}, {d.text(2)}, :now, :writer FROM {d.rows}"
        ),
        "mark_delivered": (
            f"UPDATE outbox SET delivered_ms = :now WHERE id {d.among}"  # noqa: S608
        ),
        "end_holds": (
            f"UPDATE hold SET state = :state WHERE state = 'held' AND id {d.among}"  # noqa: S608
        ),
        "entries": d.find("draw_entry", "t.person, t.ticket, t.n", "person", where="t.draw = :draw AND "),
        "insert_entries": (
            "INSERT INTO draw_entry (draw, person, ticket, n, amount)"  # noqa: S608
            f" SELECT :draw, {d.text(0)}, {d.text(1)}, {d.count(2)}, 0 FROM {d.rows}"
        ),
        "insert_followers": (
            "INSERT INTO follower (merchant, person, created_ms)"  # noqa: S608
            f" SELECT :merchant, {d.text(0)}, :now FROM {d.rows} WHERE true ON CONFLICT (merchant, person) DO NOTHING"
        ),
        "sales": d.find("sale", "t.*", "id", lock=True),
        "drops": d.find("drop_", "t.*", "id", lock=True),
        "holds": d.find("hold", "t.*", "id"),
        "coupons": d.find("coupon", "t.*", "id"),
        "pending_orders": d.find("orders", "t.*", "id", where="t.status = 'pending' AND "),
        "prices": (
            "SELECT k.id, k.product, k.price, k.list_price, k.version, k.name, k.kind, k.bonus, k.offer_price,"  # noqa: S608
            " k.offer_from_ms, k.offer_until_ms, k.slot_ms, p.title, p.on_shelf FROM ("
            + d.find("sku", "t.*", "id", where="t.merchant = :merchant AND ")
            + ") AS k JOIN product AS p ON p.id = k.product"
        ),
        "buyers": (
            "SELECT DISTINCT person FROM orders WHERE merchant = :merchant"  # noqa: S608
            f" AND status NOT IN ('pending', 'cancelled') AND person {d.among}"
        ),
        "tiers": f"SELECT person, tier FROM member WHERE merchant = :merchant AND person {d.among}",  # noqa: S608
        "tagged": f"SELECT person FROM person_tag WHERE merchant = :merchant AND tag = :tag AND person {d.among}",  # noqa: S608
        "due_of_sales": (f"{DUE} AND h.sale {d.among} ORDER BY h.expires_ms LIMIT :limit"),
    }
    return LedgerText(**{name: text(statement) for name, statement in made.items()})


def _raise_quotas(d: _Dialect) -> str:
    # Each person once: PostgreSQL refuses to change a row twice in a statement.
    return (
        f"INSERT INTO quota (scope, person, used, latest) SELECT :scope, {d.text(0)}, {d.count(1)}, {d.text(2)}"  # noqa: S608
        f" FROM {d.rows} WHERE true ON CONFLICT (scope, person) DO UPDATE SET used = quota.used + excluded.used,"
        " latest = coalesce(excluded.latest, quota.latest)"
    )


SQLITE = _statements(
    _Dialect(
        rows=ROWS["sqlite"],
        ids="json_each(:rows) AS r",
        among="IN (SELECT r.value FROM json_each(:rows) AS r)",
        lock="",
    )
)
_IDS = "jsonb_array_elements_text(CAST(:rows AS jsonb)) AS r(value)"
POSTGRES = _statements(
    _Dialect(
        rows=ROWS["postgresql"],
        ids=_IDS,
        among=f"= ANY (ARRAY(SELECT r.value FROM {_IDS}))",  # noqa: S608
        lock="FOR UPDATE",
    )
)
TEXTS: Mapping[str, LedgerText] = {"sqlite": SQLITE, "postgresql": POSTGRES}
"""By the name that SQLAlchemy gives a connection's dialect."""
