"""Every kind of account is rebuilt from its entries: all that the crowded shop can do is done, then each is forged."""

from collections.abc import Iterator, Sequence

import pytest
from sqlalchemy import Connection, text

from commerce.domain.accounts import KINDS
from commerce.domain.day import DAY_MS
from commerce.errors import CommerceError
from commerce.replay_sql import REPLAYS, replay_one
from tests.commerce.crowded_desk import OPERATIONS
from tests.commerce.crowded_run import Example
from tests.commerce.crowded_site import SqliteSite
from tests.commerce.interleaver import answer_of

ELSEWHERE = frozenset({"points_owed", "commission_tax"})
"""Kinds that nothing in the crowded shop moves: the wallet machine and test_transfers do, and replay what is then."""
DAYS_AFTER = 40
"""Points are good for 30."""


@pytest.fixture(scope="module")
def site() -> Iterator[SqliteSite]:
    """The crowded shop in a file."""
    made = SqliteSite()
    yield made
    made.close()


def broken(db: Connection) -> set[str]:
    """Names of what cannot be rebuilt."""
    return {found.name for found in (replay_one(db, one) for one in REPLAYS) if not found.ok}


def forged(db: Connection, kind: str) -> set[str]:
    """What cannot be rebuilt once somebody changed a balance of a kind by hand; it is taken back."""
    with db.begin() as transaction:
        db.exec_driver_sql("PRAGMA ignore_check_constraints = ON")
        db.execute(text("UPDATE account SET balance = balance + 1 WHERE kind = :kind"), {"kind": kind})
        found = broken(db)
        transaction.rollback()
    return found


async def everything(site: SqliteSite, order: Sequence[str]) -> set[str]:
    """Do it all, one after the other; what is refused by then is refused. The kinds that were moved, each forged."""
    async with Example(site) as example:
        example.gate.open = True
        desk = example.desks[0]
        done = 0
        for name in order:
            done += not isinstance(await answer_of(lambda name=name: OPERATIONS[name](desk, site.names)), CommerceError)  # type: ignore[misc]
        desk.clock.advance(DAYS_AFTER * DAY_MS)
        for _ in range(3):
            desk.shop.payments.follow(await desk.shop.sweep())
            await desk.shop.payments.idle()
        assert done > len(order) // 2
        with desk.store.writer.connect() as db:
            with db.begin():
                assert broken(db) == set()
                moved = set(db.execute(text("SELECT DISTINCT kind FROM account")).scalars())
            for kind in moved:
                bounded = "bounded" if KINDS[kind].bounded else "unbounded"
                assert f"accounts by their entries: {bounded}" in forged(db, kind), kind
        return moved


def test_every_balance_is_rebuilt_and_one_that_was_changed_by_hand_is_named_whatever_its_kind(site: SqliteSite) -> None:
    names = list(OPERATIONS)
    moved = set[str]().union(*(site.loop.run_until_complete(everything(site, each)) for each in (names, names[::-1])))
    assert set(KINDS) - moved == ELSEWHERE, "let an operation of the crowded shop move it"
