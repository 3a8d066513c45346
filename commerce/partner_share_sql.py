# ruff: noqa: S608 (statements are put together from this module's constants alone)
"""What a partner's contract gives of a sale, judged inside the ledger's transaction that books it.

The decision says whether a partner brought the buyer; the contract that stands at this moment says whether and how much
that earns. Each sale that is credited to a partner has its ``partner_sale``, also one that gives nothing, with the
reason: so the statement, the explanation and the shop say the same.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, Row, text

from commerce.domain.commission import Earning, SoldLine, Terms
from commerce.domain.ids import AFTER_ALL, time_prefix
from commerce.domain.partner import Contract, contract_of, shared
from commerce.domain.withholding import month_begins_ms
from commerce.identity.merge_sql import survivor
from commerce.ledger_batch_sql import Batch

_PARTNER = text("SELECT * FROM partner WHERE id = :id AND merchant = :merchant")
_AGREED = text("SELECT * FROM partner_contract WHERE partner = :partner AND state = 'agreed'")
# Paid before this one. Of two that are paid in one moment the one whose share was decided first comes first.
_SHARE_OF = "SELECT 1 FROM commission AS c WHERE c.order_id = o.id AND c.contract <> '' AND c.state"
_BEFORE = text(
    "SELECT 1 FROM orders AS o WHERE merchant = :merchant AND person = :person AND id <> :sale AND kind = 'goods'"
    " AND paid_ms IS NOT NULL AND (paid_ms < :at_ms OR (paid_ms = :at_ms AND"
    f" (EXISTS ({_SHARE_OF} IN ('frozen', 'available')) OR (id < :below AND NOT EXISTS ({_SHARE_OF} = 'pending')))))"
    " UNION ALL SELECT 1 FROM pos_receipt WHERE merchant = :merchant AND person = :person AND id <> :sale"
    " AND (received_ms < :at_ms OR (received_ms = :at_ms AND id < :below)) LIMIT 1"
)
_IN_MONTH = text(
    "SELECT coalesce(sum(amount - reversed), 0) FROM commission WHERE merchant = :merchant AND person = :partner"
    " AND id >= :lowest AND contract <> '' AND state <> 'void'"
)
_SALE = text(
    "INSERT INTO partner_sale (id, merchant, partner, contract, person, base, why, created_ms) VALUES (:id, :merchant,"
    " :partner, :contract, :person, :base, :why, :now) ON CONFLICT (id) DO UPDATE SET contract = excluded.contract,"
    " base = excluded.base, why = excluded.why"
)
_WHY = text("UPDATE partner_sale SET why = :why WHERE id = :id")
_CONTRACT = text("SELECT first_only FROM partner_contract WHERE id = :id")
_OF_SALE = text("SELECT person FROM partner_sale WHERE id = :id")


@dataclass(frozen=True, slots=True)
class Given:
    """What a partner gets of a sale; ``why`` says why it is nothing, or less than the rates say."""

    partner: str
    owner: str | None
    contract: str | None
    earned: tuple[Earning, ...]
    why: str


def contract(row: Row[Any]) -> Contract:
    """A contract as the rules read it."""
    return contract_of(
        {
            "since": row.since,
            "until": row.until,
            "days": row.days,
            "first_only": bool(row.first_only),
            "cap_order": row.cap_order,
            "cap_month": row.cap_month,
            "sees": row.sees,
            "rates": orjson.loads(row.rates),
            "coupon_bp": row.coupon_bp,
        }
    )


def agreed(db: Connection, partner: str) -> Row[Any] | None:
    """The contract that stands with a partner."""
    return db.execute(_AGREED, {"partner": partner}).one_or_none()


def give(
    batch: Batch, merchant: str, partner: str, sale: str, buyer: str, lines: Sequence[SoldLine], whole: Sequence[int],
    terms: Terms,
) -> Given | None:  # fmt: skip
    """What the partner whom the decision credits gets of a sale; None when it is none of the merchant's."""
    found = batch.one(_PARTNER, id=partner, merchant=merchant)
    if found is None:
        return None
    row = agreed(batch.connection, partner)
    if row is None or found.state != "active" or not contract(row).holds_at(batch.now_ms):
        return Given(partner, found.owner, None, (), "no_contract")
    terms_of_contract, person = contract(row), survivor(batch.connection, buyer)
    owner = None if found.owner is None else survivor(batch.connection, found.owner)
    if owner == person and not terms.self_purchase:
        return Given(partner, owner, row.id, (), "own")
    if terms_of_contract.first_only and _bought_before(batch, merchant, person, sale, batch.now_ms, AFTER_ALL):
        return Given(partner, owner, row.id, (), "not_first")
    left = None
    if terms_of_contract.cap_month:
        lowest = time_prefix(month_begins_ms(batch.now_ms))
        had = batch.run(_IN_MONTH, merchant=merchant, partner=partner, lowest=lowest).scalar_one()
        left = terms_of_contract.cap_month - int(had)
    of_it = shared(terms_of_contract, row.id, lines, whole, left)
    return Given(partner, owner, row.id, of_it.earned, of_it.why)


def write(batch: Batch, merchant: str, sale: str, buyer: str, base: int, given: Given, kept: int) -> None:
    """Note the sale; ``kept`` is what is left of what the contract gives after the order's cap for all (分)."""
    cut = kept < sum(one.amount for one in given.earned)
    row = {"merchant": merchant, "partner": given.partner, "contract": given.contract, "base": base}
    person = survivor(batch.connection, buyer)
    batch.run(_SALE, id=sale, person=person, why="cap" if cut else given.why, now=batch.now_ms, **row)


def lapsed(batch: Batch, merchant: str, sale: str, paid_ms: int, contracts: Iterable[str]) -> bool:
    """Whether a share lapses as the sale is paid: its contract pays for the first purchase, and another came first."""
    firsts = [one for one in sorted(set(contracts)) if one and batch.run(_CONTRACT, id=one).scalar_one()]
    if not firsts:
        return False
    person = survivor(batch.connection, str(batch.run(_OF_SALE, id=sale).scalar_one()))
    if not _bought_before(batch, merchant, person, sale, paid_ms, sale):
        return False
    batch.run(_WHY, id=sale, why="not_first")
    return True


def _bought_before(batch: Batch, merchant: str, person: str, sale: str, at_ms: int, below: str) -> bool:
    asked = {"merchant": merchant, "person": person, "sale": sale, "at_ms": at_ms, "below": below}
    return batch.run(_BEFORE, **asked).first() is not None
