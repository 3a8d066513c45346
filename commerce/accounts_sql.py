"""The one way in which points, stored value and budgets move: entries and balances, in one step.

Callers are decided one after another inside the ledger's transaction, so what is read here is the truth until it ends.
"""

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, bindparam, text

from commerce.domain.accounts import KINDS, Leg, checked_legs
from commerce.errors import Refused
from commerce.ledger_batch_sql import Batch

_BALANCES = text(
    "SELECT kind, balance FROM account WHERE merchant = :merchant AND owner = :owner AND kind IN :kinds"
).bindparams(bindparam("kinds", expanding=True))
_OPEN = text(
    "INSERT INTO account (merchant, owner, kind, bounded, balance) VALUES (:merchant, :owner, :kind, :bounded, 0)"
    " ON CONFLICT (merchant, owner, kind) DO NOTHING"
)
_MOVE = text(
    "UPDATE account SET balance = balance + :amount WHERE merchant = :merchant AND owner = :owner AND kind = :kind"
    " AND (NOT bounded OR balance + :amount >= 0)"
)
_ENTER = text(
    "INSERT INTO entry (id, transfer, merchant, owner, kind, unit, amount, why, ref, created_ms)"
    " VALUES (:id, :transfer, :merchant, :owner, :kind, :unit, :amount, :why, :ref, :now)"
)


def balances(connection: Connection, merchant: str, owner: str, kinds: Sequence[str]) -> dict[str, int]:
    """What is on each of an owner's accounts; 0 on one that was never used."""
    found = connection.execute(_BALANCES, {"merchant": merchant, "owner": owner, "kinds": list(kinds)})
    return dict.fromkeys(kinds, 0) | {row.kind: row.balance for row in found}


def balance(connection: Connection, merchant: str, owner: str, kind: str) -> int:
    """What is on one account."""
    return balances(connection, merchant, owner, [kind])[kind]


def move(batch: Batch, merchant: str, why: str, ref: str, legs: Iterable[Leg]) -> None:
    """Write one transfer: ``why`` in a word, ``ref`` the order, coupon or day behind it.

    Raises Refused (insufficient) when a bounded account has less than is taken from it; ValueError when the legs do
    not add up to 0.
    """
    transfer = batch.mint()
    for leg in checked_legs(legs):
        kind = KINDS[leg.kind]
        where = {"merchant": merchant, "owner": leg.owner, "kind": leg.kind}
        batch.run(_OPEN, bounded=kind.bounded, **where)
        if not batch.run(_MOVE, amount=leg.amount, **where).rowcount:
            raise Refused("insufficient", f"there is not that much on the account ({leg.kind})", kind=leg.kind)
        batch.run(
            _ENTER,
            id=batch.mint(),
            transfer=transfer,
            unit=kind.unit,
            amount=leg.amount,
            why=why,
            ref=ref,
            now=batch.now_ms,
            **where,
        )
