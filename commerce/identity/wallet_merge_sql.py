"""What two persons have on their accounts becomes one's by a transfer of the ledger, and goes back by another.

Back go the points of the lots that go back, what pending orders that go back hold, and of stored value as much as is
still there: what the elder spent meanwhile is spent.
"""

from collections.abc import Mapping, Sequence

from sqlalchemy import bindparam, text

from commerce.accounts_sql import balances, move
from commerce.domain.accounts import KINDS, Leg
from commerce.ledger_batch_sql import Batch
from commerce.members_sql import rank
from commerce.wallet_sql import read_program

_MEMBERS = text("SELECT person FROM member WHERE merchant = :merchant AND person IN (:elder, :younger)")
_LOTS = text(
    "SELECT state, sum(left_units) AS points FROM points_lot WHERE person = :person AND id IN :ids GROUP BY state"
).bindparams(bindparam("ids", expanding=True))
_PENDING = text(
    "SELECT coalesce(sum(points), 0) AS points_held, coalesce(sum(stored - bonus), 0) AS principal_held,"
    " coalesce(sum(bonus), 0) AS bonus_held FROM orders WHERE person = :person AND status = 'pending' AND id IN :ids"
).bindparams(bindparam("ids", expanding=True))

_DEBTS = text(
    "SELECT CAST(coalesce(sum(amount - repaid - returned - lost), 0) AS bigint) FROM receivable"
    " WHERE merchant = :merchant AND person = :person AND closed_ms IS NULL"
)

# Limits only tighten when two persons become one.
_TIGHTEN = text(
    "UPDATE credit_line SET most = (SELECT min(most) FROM credit_line WHERE merchant = :merchant AND person IN"
    " (:elder, :younger)), days = (SELECT min(days) FROM credit_line WHERE merchant = :merchant AND person IN"
    " (:elder, :younger)), open = (SELECT min(open) FROM credit_line WHERE merchant = :merchant AND person IN"
    " (:elder, :younger)) WHERE merchant = :merchant AND person = :elder"
)

_STATES = {"ready": "points", "pending": "points_pending"}


def take_wallet(batch: Batch, merchant: str, elder: str, younger: str, entry: str) -> dict[str, int]:
    """Move all that the younger has; gives what that was."""
    has = {
        kind: amount for kind, amount in balances(batch.connection, merchant, younger, list(KINDS)).items() if amount
    }
    _transfer(batch, merchant, younger, elder, has, "merged", entry)
    batch.run(_TIGHTEN, merchant=merchant, elder=elder, younger=younger)
    return has


def give_back_wallet(
    batch: Batch,
    merchant: str,
    elder: str,
    younger: str,
    entry: str,
    had: Mapping[str, int],
    lots: Sequence[str],
    orders: Sequence[str],
) -> None:
    """Move back what the younger had, as far as it is there; their lots and orders have gone back already."""
    now = balances(batch.connection, merchant, elder, list(had)) if had else {}
    back: dict[str, int] = {}
    if lots:
        rows = batch.run(_LOTS, person=younger, ids=list(lots))
        back |= {_STATES[row.state]: int(row.points) for row in rows if row.state in _STATES}
    if orders:
        row = batch.run(_PENDING, person=younger, ids=list(orders)).mappings().one()
        back |= {kind: int(amount) for kind, amount in row.items()}
    # What the orders that went back owe now.
    back["credit_owed"] = int(batch.run(_DEBTS, merchant=merchant, person=younger).scalar_one())
    for kind, amount in had.items():
        if kind not in (*_STATES.values(), "credit_owed", "points_held", "principal_held", "bonus_held"):
            # What is owed is below 0: no more of it goes back than the elder owes.
            back[kind] = min(amount, now[kind]) if amount > 0 else max(amount, min(0, now[kind]))
    _transfer(batch, merchant, elder, younger, back, "unmerged", entry)


def rank_both(batch: Batch, merchant: str, elder: str, younger: str) -> None:
    """Tiers follow the orders."""
    if batch.run(_MEMBERS, merchant=merchant, elder=elder, younger=younger).first() is not None:
        program = read_program(batch.connection, merchant)
        for person in (elder, younger):
            rank(batch, merchant, person, program)


def _transfer(batch: Batch, merchant: str, of: str, to: str, amounts: Mapping[str, int], why: str, entry: str) -> None:
    legs = [
        leg for kind, amount in amounts.items() if amount for leg in (Leg(of, kind, -amount), Leg(to, kind, amount))
    ]
    if legs:
        move(batch, merchant, why, entry, legs)
