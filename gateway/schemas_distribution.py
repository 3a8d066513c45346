"""Bodies and answers of distribution: terms, distributors, rates, commission, withdrawals, whose customer one is."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from commerce.distribution import LEVEL_CHARACTERS_MAX
from commerce.domain.commission import BP
from gateway.schemas import Body, Id, Label, Name, Price
from gateway.schemas_people import Reason

Points = Annotated[int, Meta(ge=0, le=BP, description="1/100 of a percent")]
Level = Annotated[str, Meta(max_length=LEVEL_CHARACTERS_MAX)]
Target = Annotated[str, Meta(max_length=64)]
Role = Literal["distributor", "guide"]


class TermsBody(Body, kw_only=True):
    """Those of the terms that change."""

    bind: Literal["off", "first", "register", "override"] | None = None
    valid_days: int | None = None
    protection_days: int | None = None
    renew: bool | None = None
    window_days: int | None = None
    self_purchase: bool | None = None
    levels: int | None = None
    cap_percent: int | None = None
    freeze_days: int | None = None
    withdraw_min: int | None = None
    orders_a_day: int | None = None
    refund_percent: int | None = None
    tax: Literal["off", "labour"] | None = None


class TermsAnswer(Struct):
    """Days: ``valid_days`` −1 for ever; ``protection_days`` −1 none, −2 for ever; ``withdraw_min`` is 分."""

    bind: str
    valid_days: int
    protection_days: int
    renew: bool
    window_days: int
    self_purchase: bool
    levels: int
    cap_percent: int
    freeze_days: int
    withdraw_min: int
    orders_a_day: int
    refund_percent: int
    tax: str


class RateBody(Body, kw_only=True):
    scope: Literal["sku", "category", "level", "shop"]
    target: Target = ""
    first_bp: Points
    second_bp: Points = 0


class RateView(Struct):
    """``first_bp`` for who brought the buyer, ``second_bp`` for who recruited them."""

    scope: str
    target: str
    first_bp: int
    second_bp: int


class EnrolBody(Body, kw_only=True):
    person: Id
    name: Name
    parent: Id | None = None
    level: Level = ""


class ApplyBody(Body, kw_only=True):
    name: Name
    parent: Id | None = None


class DistributorBody(Body, kw_only=True):
    state: Literal["applied", "active", "disabled"] | None = None
    level: Level | None = None


class DistributorAnswer(Struct):
    """``state``: applied, active, disabled; of oneself also none."""

    person: str
    name: str
    parent: str | None
    level: str
    state: str
    created: int


class EarningView(Struct):
    """One line of an order and one level: ``amount`` less ``reversed`` is theirs; ``held`` says why it waits.

    Of a sale at a till ``order`` is the receipt's id and ``receipt`` its number there; else that is empty.
    """

    commission: str
    order: str
    title: str
    level: int
    base: int
    rate: str
    rate_bp: int
    amount: int
    reversed: int
    state: str
    held: str
    release: int | None
    created: int
    receipt: str = ""


class WithdrawalView(Struct):
    """``amount`` less ``tax`` is paid. ``confirm``: the person must take it, with ``wx.requestMerchantTransfer``."""

    withdrawal: str
    person: str
    amount: int
    state: str
    created: int
    decided: int | None
    number: str | None
    reason: str
    tax: int = 0
    provider: str = ""
    confirm: dict[str, str] | None = None


class MovementView(Struct):
    """One movement: by how many 分 each balance changed, and of which order or withdrawal (``ref``)."""

    at: int
    why: str
    ref: str
    pending: int
    frozen: int
    available: int
    leaving: int
    tax: int
    number: str


class StatementDaysAnswer(Struct):
    """Some days to the cent: opening + moves = closing in each balance."""

    person: str
    name: str
    since: str
    until: str
    opening: dict[str, int]
    moves: list[MovementView]
    closing: dict[str, int]


class CommissionAnswer(Struct):
    """Balances in 分: ``available`` may be below 0 after a refund of what was paid out, and is carried."""

    distributor: DistributorAnswer
    pending: int
    frozen: int
    available: int
    leaving: int
    items: list[EarningView]
    next: str | None
    withdrawals: list[WithdrawalView]


class WithdrawBody(Body, kw_only=True):
    amount: Price


class WithdrawalBody(Body, kw_only=True):
    decision: Literal["approved", "rejected", "transfer", "paid"]
    number: Annotated[str, Meta(max_length=64, description="the transfer's, when paid")] = ""
    reason: Label = ""


class BindBody(Body, kw_only=True):
    issuer: Id
    role: Role
    reason: Reason


class HandOverBody(Body, kw_only=True):
    role: Role
    of: Id
    to: Id
    reason: Reason


class HandOverAnswer(Struct):
    """``kept`` stayed: WeCom contacts who moved twice in 90 days, or whom the other may not have."""

    count: int
    kept: int


class CountAnswer(Struct):
    count: int


class ExplanationAnswer(Struct):
    """A decision in words: what was written down when the order was made."""

    order: str
    sentences: list[str]
    decision: dict[str, Any] | None
