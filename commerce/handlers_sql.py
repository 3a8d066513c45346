"""Who decides each command of the ledger."""

from commerce import (
    aftersale_ends_sql,
    courier_sql,
    custom_ends_sql,
    drops_sql,
    fulfilment_sql,
    goods_sql,
    guide_sql,
    members_sql,
    membership_ends_sql,
    moments_sql,
    orders_sql,
    outlet_desk_sql,
    partner_coupons_sql,
    pass_uses_sql,
    payments_sql,
    processing_sql,
    purchases_sql,
    refunds_sql,
    repayments_sql,
    signup_ends_sql,
    station_desk_sql,
    traffic_sql,
)
from commerce.ledger_members import SetMallItem
from commerce.mall_sql import set_item

HANDLERS = {
    **moments_sql.handlers(),
    **orders_sql.HANDLERS,
    **payments_sql.HANDLERS,
    **refunds_sql.HANDLERS,
    **repayments_sql.HANDLERS,
    **fulfilment_sql.HANDLERS,
    **traffic_sql.HANDLERS,
    **drops_sql.HANDLERS,
    **guide_sql.HANDLERS,
    **members_sql.HANDLERS,
    **goods_sql.HANDLERS,
    **purchases_sql.HANDLERS,
    **processing_sql.HANDLERS,
    **pass_uses_sql.HANDLERS,
    **membership_ends_sql.HANDLERS,
    **station_desk_sql.HANDLERS,
    **outlet_desk_sql.HANDLERS,
    **courier_sql.HANDLERS,
    **signup_ends_sql.HANDLERS,
    **custom_ends_sql.HANDLERS,
    **partner_coupons_sql.HANDLERS,
    **aftersale_ends_sql.HANDLERS,
    SetMallItem: set_item,
}
"""The rule of each row-wise command."""
ON_FINISH = traffic_sql.enter
"""What else is written with the events of a batch."""
