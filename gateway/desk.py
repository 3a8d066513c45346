"""The staff's and viewers' actions behind both doors: HTTP routes and hub commands call the same functions here.

Each takes the caller's claims, checks that they may do this in that room, and calls one facade of commerce.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Protocol

from msgspec.structs import asdict

from commerce.attribution.service import Attribution, TouchResult
from commerce.attribution.touch import Touch, TouchKind, short
from commerce.basket import DropTerms
from commerce.catalogue import Catalogue
from commerce.catalogue_views import Card, ProductView
from commerce.changes import Hand
from commerce.domain.custom import Wanted
from commerce.domain.order import Delivery, WantedLine
from commerce.domain.presale import Missed, Presale
from commerce.domain.sale import SaleMode, SaleTerms
from commerce.errors import Invalid, NotFound, Refused
from commerce.events import DropView, OrderView, SaleView
from commerce.keepers import Keepers
from commerce.ledger import CouponGranted, HoldGranted
from commerce.moments import Offer
from commerce.org import Organisation
from commerce.payments import Paying
from commerce.shop import Shop
from gateway.auth import Claims
from gateway.errors import Problem
from gateway.members import assisting
from gateway.rooms import Room, Rooms
from gateway.schemas import (
    AgreedBody,
    CouponTermsBody,
    DeliveryBody,
    DropBody,
    OrderLineBody,
    PinBody,
    PriceBody,
    ProductBody,
    VariantBody,
    Wishes,
)
from gateway.schemas_base import ClientTouch
from gateway.schemas_moments import PlanBody, SaleBody, StartBody
from stream.directory import Directory


class Basket(Protocol):
    """What is ordered: the body of the route and the hub's command alike."""

    hold: str | None
    lines: list[OrderLineBody]
    coupon: str | None
    coupons: list[str]
    points: int
    stored: int
    delivery: DeliveryBody | None
    mall: bool
    custom: Wishes
    offer: AgreedBody | None


class Lines(Protocol):
    """What has lines: an order, or what is to be priced."""

    lines: list[OrderLineBody]


class Way(Protocol):
    """Which way to pay; each empty for the shop's first."""

    provider: str
    method: str
    payer: str


class Desk:
    """Checks who may do what where, then lets commerce do it."""

    def __init__(
        self,
        *,
        rooms: Rooms,
        catalogue: Catalogue,
        shop: Shop,
        attribution: Attribution,
        org: Organisation,
        keepers: Keepers,
        directory: Directory,
        clock: Callable[[], int],
    ) -> None:
        self._rooms = rooms
        self._catalogue = catalogue
        self._shop = shop
        self._attribution = attribution
        self._org = org
        self._keepers = keepers
        self._directory = directory
        self._clock = clock
        self.allows: Callable[[str, str], bool] = lambda room, text: True
        """Whether a room's filter takes a text; the hub, which has the filters, is made after this."""
        self.live_only: set[str] = set()
        """Sales that are for who is here while it is live, as the bridge hears of them."""

    def entered(self, who: Claims, room_id: str) -> Room:
        """The room, for one who belongs there. Raises ``Problem`` 403/404."""
        room = self._rooms.get(room_id)
        if not who.may_enter(room.id, room.merchant):
            raise Problem(404, "no_room", "there is no such room")
        return room

    def run(self, who: Claims, room_id: str) -> Room:
        """The room, for one who may run it. Raises ``Problem`` 403/404."""
        room = self.entered(who, room_id)
        if not self.in_room(self._seated(who), room.id).may_run(room.id, room.merchant):
            raise Problem(403, "forbidden", "only the host and the shop's staff may do this")
        return room

    def _seated(self, who: Claims) -> Claims:
        """Staff with their seat as it is now: who speaks through the hub came in a while ago."""
        if not who.staff or who.scope is not None:
            return who
        return replace(who, scope=self._org.scope_of(who.merchant, who.person))

    def in_room(self, who: Claims, room: str) -> Claims:
        """An account as what it is in a room: its assistant, where it was appointed that and is not more."""
        if not who.account:
            return who
        return assisting(who, room, self._keepers.role_in(who.merchant, room, who.person))

    async def goods_to_change(self, who: Claims, room_id: str, goods: str) -> Room:
        """The room, for one who may change what a product or SKU costs and how many there are.

        Goods are the merchant's: who has a part of it changes those alone that are shown there and nowhere else.
        Raises ``Problem`` 403, 404.
        """
        room = self.run(who, room_id)
        if who.reach is not None and not await self._org.shown_there_alone(goods, who.reach):
            raise Problem(403, "outside", "this is not sold in this account's part of the shop alone")
        return room

    def issuer_to_spend(self, who: Claims, issuer: str) -> None:
        """Whether coupons may be promised out of an issuer's budget. Raises ``NotFound``."""
        scope = self._seated(who).scope
        if issuer in ("", who.person) or (who.role == "merchant" if scope is None else scope.whole):
            return
        if scope is None:
            # A host without a seat: budgets of the organisation's accounts are not theirs.
            theirs = not self._org.has_seat(who.merchant, issuer)
        else:
            theirs = self._org.has_guide(scope, who.merchant, issuer)
        if not theirs:
            raise NotFound("no such issuer")

    def touch(
        self,
        who: Claims,
        room_id: str | None,
        kind: ClientTouch,
        sku: str | None,
        token: str | None,
        clip: str | None = None,
    ) -> Awaitable[TouchResult] | None:
        """Log what a person says they did: at once, or by what is given when a token or clip is to be looked up first.

        Raises ``Problem`` 400/403/404 and ``Invalid``.
        """
        if (kind == "clip_view") != (clip is not None):
            raise Problem(400, "invalid", "a clip_view names its clip, and nothing else does")
        room = self.entered(who, room_id).id if room_id else ""
        if clip is not None:
            return self._watched(who, room, sku, token, clip)
        if token:
            return self._attribution.touch_token(who.merchant, token, who.person, kind, room=room, sku=sku)
        self._attribution.record(Touch(who.merchant, who.person, TouchKind(kind), room=room, sku=short(sku, "sku")))
        return None

    async def _watched(self, who: Claims, room: str, sku: str | None, token: str | None, clip: str) -> TouchResult:
        """Log that somebody watched an explanation. Raises ``NotFound`` when it is none of the shop's."""
        if (await self._catalogue.clip(clip)).merchant != who.merchant:
            raise NotFound("there is no such clip")
        return await self._attribution.touch_token(
            who.merchant, token, who.person, "clip_view", room=room, sku=sku, clip=clip
        )

    async def pin(self, who: Claims, room_id: str, body: PinBody) -> None:
        room = self.run(who, room_id)
        media_ms = self._directory.info(room.id).media_clock_ms
        await self._catalogue.pin(room.merchant, room.id, body.product, explaining=body.explaining, media_ms=media_ms)

    async def unpin(self, who: Claims, room_id: str, product: str) -> None:
        room = self.run(who, room_id)
        await self._catalogue.unpin(room.merchant, room.id, product)

    async def add_product(self, who: Claims, room_id: str, body: ProductBody) -> Card:
        """A new product with its stock, on the room's shelf: the shelf's card of it."""
        room = self.run(who, room_id)
        product = await self._catalogue.create_product(
            room.merchant,
            body.title,
            body.price,
            list_price=body.list_price or body.price,
            image=body.image,
            detail=body.detail,
            kind=body.kind,
            bonus=body.bonus,
            category=body.category,
        )
        stocks = {product.sku: body.stock}
        for variant in body.variants:
            grown = await self.add_variant(who, product.product, variant, default=body.name)
            stocks[grown.variants[-1].sku] = variant.stock
        for sku, units in stocks.items():
            if units:
                await self._shop.stock_up(room.merchant, sku, units, "first stock", who.person)
        await self._catalogue.put_on_shelf(room.merchant, room.id, product.product)
        return await self.card(room, product.sku)

    async def add_variant(self, who: Claims, product: str, body: VariantBody, *, default: str = "") -> ProductView:
        """One more SKU of a product, without stock yet; ``default`` names the SKU that was there before."""
        return await self._catalogue.add_variant(
            who.merchant, product, body.name, body.price, body.list_price or None, default, body.slot_ms
        )

    async def set_price(self, who: Claims, room_id: str, product: str, body: PriceBody) -> Card:
        """A new price with a new version: who still shows the old one is refused with the new."""
        room = await self.goods_to_change(who, room_id, product)
        by = Hand(who.person, body.why)
        view = await self._catalogue.set_price(room.merchant, product, body.price, body.list_price, by)
        return await self.card(room, view.sku)

    async def start_drop(self, who: Claims, room_id: str, body: DropBody) -> DropView:
        room = self.run(who, room_id)
        self.issuer_to_spend(who, body.issuer)
        return await self._shop.start_drop(
            room.merchant,
            room.id,
            title=body.title,
            reason=body.reason,
            amount=body.amount,
            threshold=body.threshold,
            total=body.total,
            per_person=body.per_person,
            seconds=body.seconds,
            valid_s=body.valid_s,
            more=drop_terms(body),
        )

    async def close_drop(self, who: Claims, room_id: str, drop: str) -> DropView:
        room = self.run(who, room_id)
        _here(room, (await self._shop.drop(drop)).room, "coupon drop")
        return await self._shop.close_drop(room.merchant, drop)

    async def create_sale(self, who: Claims, room_id: str, body: SaleBody) -> SaleView:
        room = self.run(who, room_id)
        card = await self.card(room, body.sku)
        shelf = next((one.list_price for one in card.variants if one.sku == body.sku), card.price)
        return await self._shop.moments.create_sale(room.merchant, room.id, offer_of(body, shelf))

    async def card(self, room: Room, sku: str) -> Card:
        """The shelf's card of ``sku``: only what the room shows can be sold in a flash. Raises ``Problem``."""
        for card in await self._catalogue.shelf(room.id, room.merchant):
            if card.sku == sku or any(variant.sku == sku for variant in card.variants):
                return card
        raise Problem(404, "not_found", "this product is not on the room's shelf")

    async def start_sale(self, who: Claims, room_id: str, sale: str, body: StartBody) -> SaleView:
        room = self.run(who, room_id)
        _here(room, (await self._shop.sale(sale)).room, "sale")
        if body.at is not None:
            return await self._shop.moments.start_at(room.merchant, sale, body.at)
        return await self._shop.start_sale(room.merchant, sale, body.countdown_s)

    async def reopen_sale(self, who: Claims, room_id: str, sale: str, length_s: int) -> SaleView:
        room = self.run(who, room_id)
        _here(room, (await self._shop.sale(sale)).room, "sale")
        return await self._shop.moments.reopen(room.merchant, sale, length_s)

    async def turn_sale(self, who: Claims, room_id: str, sale: str, verb: str) -> SaleView:
        """Pause, resume or close a sale."""
        room = self.run(who, room_id)
        shop = self._shop
        _here(room, (await shop.sale(sale)).room, "sale")
        turn = {"pause": shop.pause_sale, "resume": shop.resume_sale, "close": shop.close_sale}[verb]
        return await turn(room.merchant, sale)

    def claim_coupon(self, who: Claims, room_id: str, drop: str, key: str) -> asyncio.Future[CouponGranted]:
        room = self.entered(who, room_id)
        return self._shop.claim_coupon(room.merchant, room.id, who.person, drop, key)

    def hold(
        self, who: Claims, room_id: str, sale: str, quantity: int, key: str, version: int | None
    ) -> asyncio.Future[HoldGranted]:
        room = self.entered(who, room_id)
        self.admitted(room, sale)
        return self._shop.hold(room.merchant, room.id, who.person, sale, quantity, key, version)

    def latched(self, merchant: str, room_id: str, person: str, scope: str, key: str) -> str | None:
        """The code with which `hold` or `claim_coupon` would refuse at once, as nothing is left; None: ask them."""
        room = self._rooms.find(room_id)
        if room is None or room.merchant != merchant or scope in self.live_only:
            return None
        return self._shop.latched(merchant, room_id, person, scope, key)

    def admitted(self, room: Room, sale: str) -> None:
        """Whether a sale's price is to be had now: a live-only one while the room is live. Raises Refused."""
        if sale in self.live_only and not self._directory.info(room.id).live:
            raise Refused("not_live", "this price is for who is here while it is live")

    async def create_order(self, who: Claims, room_id: str, basket: Basket, *, key: str) -> OrderView:
        """An order with the decision who brought this buyer, judged now and never again (A8)."""
        room = self.entered(who, room_id)
        now_ms = self._clock()
        # What led to it is kept with the order (A4): when the buyer came in, and what was being explained.
        show_ms = self._directory.info(room.id).since_ms or 0
        entries = await self._attribution.entries(room.merchant, who.person, room.id, show_ms, now_ms)
        pins = await self._catalogue.pins(room.id)
        skus = [line.sku for line in basket.lines]
        decision = await self._attribution.decision_json(room.merchant, who.person, now_ms, room=room.id, skus=skus)
        return await self._shop.create_order(
            room.merchant,
            room.id,
            who.person,
            key,
            hold=basket.hold,
            lines=self.lines_of(basket, room),
            coupon=basket.coupon,
            coupons=basket.coupons,
            points=basket.points,
            stored=basket.stored,
            mall=basket.mall,
            wanted=self.wanted(room, basket.custom),
            offer=agreed_of(basket.offer),
            decision=decision,
            entered_ms=entries.first_ms,
            card=next((card.product for card in pins if card.explaining), None),
            delivery=None if basket.delivery is None else delivery_of(basket.delivery),
            node=self._org.node_for(room.merchant, room.id, decision),
        )

    def lines_of(self, basket: Lines, room: Room) -> tuple[WantedLine, ...]:
        """The lines of a body, with their wishes. Raises Invalid."""
        return tuple(
            WantedLine(line.sku, line.quantity, line.version, self.wanted(room, line.custom)) for line in basket.lines
        )

    def wanted(self, room: Room, custom: Wishes) -> Wanted:
        """Wishes in words that the room takes. Raises Invalid."""
        for label, value in custom.items():
            if not self.allows(room.id, value):
                raise Invalid(f"{label}: these words are not taken here", field="custom")
        return tuple(sorted(custom.items()))

    async def order_to_run(self, who: Claims, order: str) -> OrderView:
        """The order, for one who may run the room that it was made in, or the store that hands it over.

        Raises ``Problem`` 403, ``NotFound``.
        """
        view = await self._shop.order(who.merchant, order)
        if not who.may_run(view.room, who.merchant) and not await self._hands_over(who, view):
            raise Problem(403, "forbidden", "only the room's host and the shop's staff may do this")
        return view

    async def _hands_over(self, who: Claims, order: OrderView) -> bool:
        """Whether an account runs the store that hands an order over."""
        outlet = (order.delivery or {}).get("outlet")
        if not outlet or who.scope is None or who.reach is None or who.scope.gone or not who.scope.right.runs:
            return False
        return outlet in await self._shop.outlets.reached(who.merchant, who.reach)

    async def pay(self, who: Claims, order: str, key: str, way: Way) -> Paying:
        payments = self._shop.payments
        return await payments.pay(
            who.merchant, who.person, order, key, provider=way.provider, method=way.method, payer=way.payer
        )

    def stream_view(self, room_id: str) -> dict[str, Any]:
        """The ``stream`` section of a room."""
        return stream_view(self._directory.info(room_id), self._clock())


def agreed_of(body: AgreedBody | None) -> tuple[str, int] | None:
    """The offer that is ordered, as commerce takes it."""
    return None if body is None else (body.request, body.version)


def delivery_of(body: DeliveryBody) -> Delivery:
    """How the buyer wants the goods, as commerce takes it."""
    given = asdict(body)
    lat, lng = given.pop("lat"), given.pop("lng")
    return Delivery(
        **given,
        lat_e6=None if lat is None else round(lat * 1e6),
        lng_e6=None if lng is None else round(lng * 1e6),
    )


def drop_terms(body: CouponTermsBody, way: str = "drop") -> DropTerms:
    """The finer terms of a coupon, as commerce takes them."""
    return DropTerms(body.percent, body.stack, body.audience, body.issuer, way, tuple(body.outlets))


def offer_of(body: SaleBody | PlanBody, list_price: int) -> Offer:
    """What staff plan, with the shelf's price beside it."""
    terms = SaleTerms(SaleMode(body.mode), live_only=body.live_only, enter_ms=body.enter_s * 1000)
    if isinstance(body, SaleBody):
        size, winners = body.team_size, body.team_winners
        terms = replace(terms, team_size=size, team_winners=winners, team_ms=body.team_s * 1000)
        if body.deposit:
            missed = Missed(body.balance_missed)
            terms = replace(terms, presale=Presale(body.deposit, body.balance_from, body.balance_until, missed))
    return Offer(body.sku, body.price, list_price, body.total, body.per_person, body.hold_s, body.length_s, terms)


def _here(room: Room, of_room: str, what: str) -> None:
    """A host steers what is sold in their own room, not next door. Raises ``NotFound``."""
    if of_room != room.id:
        raise NotFound(f"no such {what} in this room")


def stream_view(info: Any, now_ms: int) -> dict[str, Any]:
    """What viewers are told of a stream; at ``now`` its media clock was at ``media_ms``: the one maps to the other."""
    return {
        "live": info.live,
        "away": info.away,
        "since": info.since_ms,
        "video": info.video_codec,
        "audio": info.audio_codec,
        "width": info.width,
        "height": info.height,
        "media_ms": info.media_clock_ms if info.live else None,
        "now": now_ms,
    }
