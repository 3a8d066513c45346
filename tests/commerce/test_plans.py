"""What the ledger's writer asks the database finds its rows by an index: a statement that reads a whole table holds up
everybody's stock and money, and the more the longer the shop has lived.

SQLite says how it would find them; without statistics its plan is that of a shop of any size.
"""

import importlib
import pkgutil
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

import pytest
from sqlalchemy import Connection, TextClause, text
from sqlalchemy.exc import OperationalError

import commerce
from commerce.identity.merge_sql import Moved
from commerce.ledger_text_sql import LedgerText
from commerce.store_sql import database_path, migrate, read_engine

_FEW = (
    "advisor appointment automation ban bill community draw erasure_due help_task ledger_writer media_hook merchant"
    " merge_conflict org_member org_node org_room org_tree outlet partner play_revocation popup pos_code review_hook"
    " room room_access room_rule sale shop_policy sku station stream_key unheard_payment webhook"
)
FEW = frozenset(_FEW.split())
"""Tables of what a shop sets up or waits for; all others grow with its customers and what they do."""
REPORTS = re.compile(r"commerce\.(audit|replay|books|statement|settlement|attribution\.board|attribution\.insight)")
"""Read beside the writer, from days of sums or for a whole period."""
ASIDE = {
    ("commerce.identity.merge_sql", "_REQUESTS"): "a loose scan: a lookup for each route",
    ("commerce.requests_sql", "_LIST"): "a page of the newest, whose they are when nobody is named",
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
_TABLES = text("SELECT name FROM sqlite_master WHERE type = 'table'")
_OF_ONE = re.compile(r":(person|elder|younger|owner)\b")
_EXPANDED = re.compile(r"__\[POSTCOMPILE_(\w+)\]")


def statements() -> Iterator[tuple[str, str, str]]:
    """Module, name and text of each constant statement that is no report."""
    for module in pkgutil.walk_packages(commerce.__path__, "commerce."):
        if ".migrations" in module.name or REPORTS.match(module.name) or not module.name.endswith("_sql"):
            continue
        for name, value in vars(importlib.import_module(module.name)).items():
            for statement in within(value):
                yield module.name, name, _EXPANDED.sub(r"(:\1)", str(statement))


def within(value: Any) -> Iterator[TextClause]:
    """The statements that a constant is, or that are in it."""
    if isinstance(value, TextClause):
        yield value
    elif isinstance(value, Moved):
        yield from (value.take, value.give_back)
    elif isinstance(value, tuple | list | frozenset):
        for one in value:
            yield from within(one)
    elif isinstance(value, Mapping):
        yield from within(tuple(value.values()))
    elif isinstance(value, LedgerText):
        yield from within(tuple(getattr(value, field.name) for field in fields(value)))


def plan(db: Connection, query: str) -> list[str]:
    asked = dict.fromkeys(_PARAMETER.findall(query), 1)
    return [row.detail for row in db.execute(text(f"EXPLAIN QUERY PLAN {query}"), asked)]


def here(db: Connection, module: str, query: str) -> bool:
    """Whether SQLite can plan a statement of a module in the shop's database."""
    if "jsonb" in query:
        return False
    if not ELSEWHERE.fullmatch(module):
        return True
    try:
        plan(db, query)
    except OperationalError:
        return False
    return True


def read_whole(db: Connection, query: str) -> list[str]:
    """The steps of a statement's plan that read all of a growing table, or all that a merchant has of it."""
    aliases = {alias: table for table, alias in _ALIAS.findall(query)}
    few, there = set(db.execute(_PARTIAL).scalars()), set(db.execute(_TABLES).scalars())
    found = []
    for step in plan(db, query):
        verb, name, *how = [*step.split(), ""]
        table = aliases.get(name, name)
        if table not in there or table in FEW or few.intersection(how):
            continue
        if verb == "SCAN" or (_OF_ONE.search(query) and step.endswith("(merchant=?)")):
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
    found: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for module, name, query in asked:
        if steps := read_whole(empty, query):
            found[module, name] += steps
    assert len(asked) > 1_000
    assert {where: steps for where, steps in found.items() if where not in ASIDE} == {}
    assert ASIDE.keys() <= found.keys(), "no longer aside"
