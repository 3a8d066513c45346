"""Answers about refunds and the day's books, as msgspec structs. Money is integer 分, times are Unix milliseconds."""

from __future__ import annotations

from msgspec import Struct


class RefundLineView(Struct):
    sku: str
    quantity: int
    returned: int
    amount: int


class RefundView(Struct):
    refund: str
    order: str
    kind: str
    state: str
    amount: int
    reason: str
    stock: str
    lines: list[RefundLineView]
    created: int
    done: int | None
    number: str | None
    error: str | None
    stored: int = 0
    points: int = 0


class RefundAnswer(Struct):
    refund: RefundView


class FigureView(Struct):
    """How many, how much (分), and the first ids of them."""

    count: int
    amount: int
    ids: list[str]


class ProviderView(Struct):
    provider: str
    paid: FigureView
    refunded: FigureView


class MoneyView(Struct):
    opening: int
    came: int
    went: int
    closing: int


class StockDayView(Struct):
    sku: str
    title: str
    opening: dict[str, int]
    received: int
    adjusted: int
    held: int
    released: int
    sold: int
    shipped: int
    returned: int
    closing: dict[str, int]
    entries: int
    ids: list[str]


class AccountDayView(Struct):
    """All accounts of one kind (points, stored value, budgets) on that day."""

    kind: str
    unit: str
    opening: int
    came: int
    went: int
    closing: int


class StatementAnswer(Struct):
    """The books of one day."""

    day: str
    since: int
    until: int
    money: MoneyView
    providers: list[ProviderView]
    orders: FigureView
    paid: FigureView
    cancelled: FigureView
    refunds_booked: FigureView
    refunds_done: FigureView
    refunds_open: FigureView
    repaid: FigureView
    coupons_given: FigureView
    coupons_used: FigureView
    stock: list[StockDayView]
    accounts: list[AccountDayView] = []
