"""What the ledger's writer asks the database finds its rows by an index: a statement that reads a whole table holds up
everybody's stock and money, and the more the longer the shop has lived.

SQLite says how it would find them; without statistics its plan is that of a shop of any size.
"""

import importlib
import pkgutil
import re
from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, TextClause, text
from sqlalchemy.exc import OperationalError

import commerce
from commerce.store_sql import database_path, migrate, read_engine

GROWING = re.compile(
    r"orders|order_line|order_coupon|order_freight|payment|payment_event|payment_gift|coupon|hold|quota"
    r"|request|refund|refund_line|entry|account|points_lot|commission|receivable|credit_booking|repayment"
    r"|stock_move|ticket|membership|pass_|mall_order|message|webhook_delivery|outbox|team_seat|draw_entry"
    r"|pos_receipt"
)
"""Tables with a row or more for each order, person or claim."""
REPORTS = re.compile(r"commerce\.(audit|replay|books|statement|settlement|attribution\.board|attribution\.insight)")
"""Read beside the writer, from days of sums or for a whole period."""
ASIDE = {
    ("commerce.identity.merge_sql", "_HOLDS"): "an index of holds by person costs each hold a third (decision 18)",
    ("commerce.identity.merge_sql", "_KEYED"): "the same",
    ("commerce.identity.merge_sql", "_REQUESTS"): "a loose scan: a lookup for each route",
    ("commerce.sales_sql", "_FORGET_EVENTS"): "up to the first that was delivered, and those are deleted",
}
ELSEWHERE = re.compile(
    r"commerce\.(attribution\.(reach|touches)|crm\.days|duty|outbox|outbox_follow|postgres|turns)_sql"
)
"""Modules with statements of the touch log's file, or of PostgreSQL alone."""
_ALIAS = re.compile(r"\b(\w+) AS (\w+)\b")
_PARAMETER = re.compile(r"(?<!:):(\w+)")
_PARTIAL = text("SELECT name FROM sqlite_master WHERE type = 'index' AND sql LIKE '% WHERE %'")
"""Indexes of the few rows that wait for something."""
_EXPANDED = re.compile(r"__\[POSTCOMPILE_(\w+)\]")


def statements() -> Iterator[tuple[str, str, str]]:
    """Module, name and text of each constant statement that is no report."""
    for module in pkgutil.walk_packages(commerce.__path__, "commerce."):
        if ".migrations" in module.name or REPORTS.match(module.name) or not module.name.endswith("_sql"):
            continue
        for name, value in vars(importlib.import_module(module.name)).items():
            if isinstance(value, TextClause):
                yield module.name, name, _EXPANDED.sub(r"(:\1)", str(value))


def plan(db: Connection, query: str) -> list[str]:
    asked = dict.fromkeys(_PARAMETER.findall(query), 1)
    return [row.detail for row in db.execute(text(f"EXPLAIN QUERY PLAN {query}"), asked)]


def here(db: Connection, module: str, query: str) -> bool:
    """Whether SQLite can plan a statement of a module in the shop's database."""
    if not ELSEWHERE.fullmatch(module):
        return True
    try:
        plan(db, query)
    except OperationalError:
        return False
    return True


def read_whole(db: Connection, query: str) -> list[str]:
    """The steps of a statement's plan that read all of a growing table, or all that a merchant has of it."""
    tables = {alias: table for table, alias in _ALIAS.findall(query)}
    partial = set(db.execute(_PARTIAL).scalars())
    found = []
    for step in plan(db, query):
        verb, table, *how = [*step.split(), ""]
        if not GROWING.fullmatch(tables.get(table, table)) or partial.intersection(how):
            continue
        if verb == "SCAN" or (":person" in query and step.endswith("(merchant=?)")):
            found.append(step)
    return found


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    folder = tmp_path_factory.mktemp("plans")
    migrate(database_path(folder))
    engine = read_engine(folder)
    with engine.connect() as db:
        yield db
    engine.dispose()


def test_no_statement_of_the_ledger_reads_the_whole_of_a_table_that_grows(empty: Connection) -> None:
    asked = [one for one in statements() if here(empty, one[0], one[2])]
    found = {(module, name): steps for module, name, query in asked if (steps := read_whole(empty, query))}
    assert len(asked) > 1_000
    assert {where: steps for where, steps in found.items() if where not in ASIDE} == {}
    assert ASIDE.keys() <= found.keys(), "no longer aside"
