"""Paid memberships: which SKUs are plans, and those that were bought with their terms as they were then."""

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, String, Table, text

from commerce.tables import metadata
from commerce.tables_ledger import amount_column, count_column, id_column, ms_column

BENEFITS = "price_percent BETWEEN 50 AND 100 AND points_percent BETWEEN 100 AND 1000 AND coupon_amount >= 0"


def _terms() -> tuple[Column[int] | Column[str], ...]:
    return (
        count_column("months", None),
        count_column("price_percent", None),
        count_column("points_percent", None),
        Column("coupon_amount", BigInteger, nullable=False, server_default=text("0")),
        Column("coupon_threshold", BigInteger, nullable=False, server_default=text("0")),
        count_column("coupon_days", None),
        Column("refund", String(8), nullable=False),
    )


membership_plan = Table(
    "membership_plan",
    metadata,
    id_column("sku", primary_key=True),
    id_column("merchant"),
    *_terms(),
    id_column("staff"),
    ms_column("updated_ms"),
    CheckConstraint("months IN (1, 3, 12)", name="months"),
    CheckConstraint(BENEFITS, name="benefits"),
    CheckConstraint("refund IN ('prorata', 'none')", name="refund"),
    Index("ix_membership_plan_merchant", "merchant"),
)

membership = Table(
    "membership",
    metadata,
    id_column("id", primary_key=True),
    id_column("merchant"),
    id_column("person"),
    id_column("order_id"),
    id_column("room"),
    id_column("sku"),
    Column("title", String(200), nullable=False),
    *_terms(),
    # 分 of the order that were paid for it.
    amount_column("paid"),
    ms_column("from_ms"),
    ms_column("until_ms"),
    # Monthly coupons that came.
    count_column("coupons"),
    Column("state", String(8), nullable=False),
    ms_column("created_ms"),
    CheckConstraint("from_ms < until_ms AND paid >= 0", name="times"),
    CheckConstraint("coupons >= 0 AND coupons <= months", name="coupons"),
    CheckConstraint(BENEFITS, name="benefits"),
    CheckConstraint("state IN ('active', 'ended', 'refunded')", name="state"),
    Index("ix_membership_person", "merchant", "person", "until_ms"),
    Index("ix_membership_order", "order_id"),
)
