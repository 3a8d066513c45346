"""Bodies and answers of partners of another trade: contracts, tokens, statements, settlements."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from commerce.basket import VALID_S_MAX
from commerce.domain.commission import BP
from commerce.domain.coupon import AUDIENCE_PATTERN, COUPONS_MAX, GIVING_SECONDS_MAX, GROUP_CHARACTERS_MAX
from commerce.domain.money import AMOUNT_MAX
from commerce.domain.partner import DAYS_MAX, RATES_MAX
from commerce.partners import NOTE_CHARACTERS_MAX, TRADE_CHARACTERS_MAX
from gateway.schemas import Body, Id, Price, Title

Day = Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}$", description="YYYY-MM-DD in Asia/Shanghai")]
Trade = Annotated[str, Meta(max_length=TRADE_CHARACTERS_MAX, pattern=r"^[^\x00-\x1f]*$")]
Note = Annotated[str, Meta(max_length=NOTE_CHARACTERS_MAX, pattern=r"^[^\x00-\x1f]*$")]
Cap = Annotated[int, Meta(ge=0, le=AMOUNT_MAX, description="分, 0 for no cap")]
Sees = Literal["rows", "sums"]
State = Literal["active", "paused", "ended"]


class ShareRateBody(Body, kw_only=True):
    """A rate: ``bp`` in 1/100 of a percent of a SKU, a category, or (no target) all of the shop."""

    scope: Literal["sku", "category", "shop"]
    target: Annotated[str, Meta(max_length=64)] = ""
    bp: Annotated[int, Meta(ge=1, le=BP)]


class ContractBody(Body, kw_only=True):
    """What is agreed: a purchase within ``days`` of a visit counts, with ``first_only`` only a visitor's first here.

    ``since`` is today when left out, ``until`` null: until it is ended. ``sees``: whether the partner reads its sales
    one by one (without the buyers) or sums. Of coupons that its visitors have by it the partner bears ``coupon_bp``
    (1/100 of a percent), off its share.
    """

    rates: Annotated[list[ShareRateBody], Meta(min_length=1, max_length=RATES_MAX)]
    days: Annotated[int, Meta(ge=1, le=DAYS_MAX)] = 30
    first_only: bool = False
    cap_order: Cap = 0
    cap_month: Cap = 0
    since: Day | None = None
    until: Day | None = None
    sees: Sees = "rows"
    coupon_bp: Annotated[int, Meta(ge=0, le=BP)] = 0
    note: Note = ""


class PartnerBody(Body, kw_only=True):
    """A partner: another business, or with ``counterpart`` another merchant of this server, who has to agree.

    ``owner`` is who runs it, where they are a customer here.
    """

    name: Title
    trade: Trade = ""
    counterpart: Id | None = None
    owner: Id | None = None
    contract: ContractBody


class PartnerChangeBody(Body, kw_only=True):
    """What changes; ``ended`` is for good."""

    state: State | None = None
    name: Title | None = None
    trade: Trade | None = None


class PartnerLinkBody(Body, kw_only=True):
    """A token of the partner's that leads into a room; ``channel`` says where it hangs."""

    room: Id
    sku: Id | None = None
    channel: Annotated[str, Meta(max_length=64)] = ""


class PartnerLinkAnswer(Struct):
    """``code`` is what its printed code opens."""

    token: str
    url: str
    code: str
    room: str
    sku: str | None
    channel: str | None
    uses: int
    created: int


class ShareRateView(Struct):
    """``title`` is the product's of a SKU's rate."""

    scope: str
    target: str
    bp: int
    title: str = ""


class ContractView(Struct):
    """``state`` is proposed, agreed, refused or closed; caps are 分, 0 for none; ``until`` empty: open."""

    contract: str
    state: str
    since: str
    until: str
    days: int
    first_only: bool
    cap_order: int
    cap_month: int
    sees: str
    coupon_bp: int
    rates: list[ShareRateView]
    note: str
    proposed: int
    decided: int | None
    closed: int | None


class PartnerView(Struct):
    """A partner with its contracts, newest first, and what it earned; 分. ``side`` is whose eyes these are."""

    partner: str
    side: Literal["shop", "partner"]
    shop: str
    name: str
    trade: str
    state: str
    counterpart: str | None
    counterpart_name: str | None
    owner: str | None
    visitors: int
    sales: int
    pending: int
    frozen: int
    available: int
    leaving: int
    key_since: int | None
    contracts: list[ContractView]


class PartnerKeyAnswer(Struct):
    """Shown once: ``url`` opens the partner's own page with it."""

    key: str
    url: str


class PartnerLoginBody(Body, kw_only=True):
    key: Annotated[str, Meta(min_length=1, max_length=128)]


class PartnerLoginAnswer(Struct):
    token: str
    partner: str
    name: str
    shop: str
    expires: int


class ContractDecisionBody(Body, kw_only=True):
    decision: Literal["agreed", "refused"]


class SettlementBody(Body, kw_only=True):
    amount: Price


class SettlementView(Struct):
    """``state`` is requested, approved, transferring, paid, rejected or failed."""

    withdrawal: str
    amount: int
    state: str
    created: int
    decided: int | None
    number: str | None
    reason: str


class PartnerSaleView(Struct):
    """What of a sale earns (``base``), what it gave and what of that went back; 分. ``person`` only for the shop.

    ``why``: why it gave less than the rates say; ``held``: somebody is to look at it.
    """

    sale: str
    receipt: str
    at: int
    title: str
    person: str
    name: str
    base: int
    amount: int
    reversed: int
    state: str
    held: bool
    why: str
    release: int | None


class PartnerOfferBody(Body, kw_only=True):
    """A coupon for who comes to a room by the partner's code: ``amount`` off goods of ``threshold``, with a ``reason``.

    ``budget`` (分) is what may be promised in all; ``days``: how long it is given, ``valid_s``: how long it is good.
    """

    room: Id
    title: Title
    reason: Title
    amount: Price
    threshold: Cap = 0
    budget: Price
    total: Annotated[int, Meta(ge=1, le=COUPONS_MAX)]
    per_person: Annotated[int, Meta(ge=1, le=20)] = 1
    days: Annotated[int, Meta(ge=1, le=GIVING_SECONDS_MAX // 86_400)] = 30
    valid_s: Annotated[int, Meta(ge=1, le=VALID_S_MAX)] = 7 * 86_400
    audience: Annotated[str, Meta(pattern=AUDIENCE_PATTERN)] = "all"
    stack: Annotated[str, Meta(max_length=GROUP_CHARACTERS_MAX)] = ""


class PartnerOfferView(Struct):
    """An offer; ``took`` is what its coupons took off, ``borne`` what of that the partner bears less what came back."""

    offer: str
    room: str
    title: str
    reason: str
    amount: int
    threshold: int
    audience: str
    total: int
    issued: int
    used: int
    took: int
    borne: int
    open: bool
    starts: int
    ends: int


class PartnerCouponView(Struct):
    """A coupon that an order was paid with: what it took off, what of it the partner bore, what came back of that."""

    sale: str
    at: int
    title: str
    took: int
    borne: int
    back: int


class PartnerStatementAnswer(Struct):
    """A month; balances are by pending, frozen, available, leaving (分). ``sales`` null: the partner reads sums.

    ``discount`` is what the partner's coupons took off, ``borne`` what of that it bears, ``borne_back`` what came back.
    """

    partner: str
    name: str
    month: str
    visitors: int
    orders: int
    base: int
    amount: int
    reversed: int
    opening: dict[str, int]
    closing: dict[str, int]
    sales: list[PartnerSaleView] | None
    settlements: list[SettlementView]
    coupons: list[PartnerCouponView] | None
    discount: int
    borne: int
    borne_back: int
