"""Membership, coupons' terms and budgets, quotes, variants and limited-time prices."""

from __future__ import annotations

from typing import Any

from msgspec.structs import asdict

from commerce.attribution.service import FLUSH_WAIT_S
from commerce.basket import Basket
from commerce.changes import Hand
from commerce.domain.member import program_of
from gateway.answers import coupon_answer
from gateway.api import SIGNED_IN, STAFF, Call, Operation, call_key, page_limit
from gateway.auth import HOST_ROLES
from gateway.desk import Desk, agreed_of, drop_terms
from gateway.parameters import PAGING
from gateway.schemas import CouponAnswer, DropView, PriceBody, VariantBody
from gateway.schemas_members import (
    BudgetAnswer,
    BudgetBody,
    EntryView,
    GivingBody,
    MallItemBody,
    MallItemView,
    MemberAnswer,
    OfferBody,
    ProductAnswer,
    ProgramAnswer,
    ProgramBody,
    QuoteAnswer,
    QuoteBody,
    SignInAnswer,
    TemplateAnswer,
    TemplateBody,
)
from gateway.services import Services

MERCHANT = frozenset({"merchant"})


def member_operations(services: Services, desk: Desk) -> list[Operation]:
    """Operations on membership and quotes."""
    members = services.shop.members

    async def read_member(call: Call) -> Any:
        return await members.member(call.who.merchant, call.who.person)

    async def read_persons_member(call: Call) -> Any:
        await services.people.person(call.who.merchant, call.path["person"])
        await services.org.require_person(call.who.merchant, call.path["person"], call.who.reach)
        return await members.member(call.who.merchant, call.path["person"])

    async def list_entries(call: Call) -> Any:
        return await members.entries(call.who.merchant, call.who.person, call.query.get("after"), page_limit(call))

    async def sign_in(call: Call) -> Any:
        return await members.sign_in(call.who.merchant, call.who.person)

    async def quote(call: Call) -> Any:
        body: QuoteBody = call.body
        room = desk.entered(call.who, body.room)
        basket = Basket(
            hold=body.hold,
            lines=desk.lines_of(body, room),
            coupons=tuple(body.coupons or ()),
            points=0 if isinstance(body.points, bool) else body.points,
            stored=0 if isinstance(body.stored, bool) else body.stored,
            mall=body.mall,
            outlet=body.outlet,
            way=body.way,
            place=None if body.lat is None or body.lng is None else (round(body.lat * 1e6), round(body.lng * 1e6)),
            wanted=desk.wanted(room, body.custom),
            offer=agreed_of(body.offer),
        )
        return await members.quote(
            room.merchant,
            room.id,
            call.who.person,
            basket,
            best=body.coupons is None,
            points=body.points is True,
            stored=body.stored is True,
        )

    async def read_program(call: Call) -> Any:
        return await members.program(call.who.merchant)

    async def set_program(call: Call) -> Any:
        terms = asdict(call.body) | {"tiers": [asdict(tier) for tier in call.body.tiers]}
        return await members.set_program(call.who.merchant, call.who.person, program_of(terms))

    entries = list[EntryView]
    person = "/api/v1/people/{person}/member"
    return [
        Operation("GET", "/api/v1/member", "Own membership", read_member, SIGNED_IN, answer=MemberAnswer),
        Operation(
            "GET", "/api/v1/member/entries", "Own entries", list_entries, SIGNED_IN, answer=entries, query=PAGING
        ),
        Operation("POST", "/api/v1/member/sign-in", "Sign in for the day", sign_in, SIGNED_IN, answer=SignInAnswer),
        Operation(
            "GET", person, "A person's membership", read_persons_member, STAFF, answer=MemberAnswer, within="people"
        ),
        Operation("POST", "/api/v1/quotes", "Price a basket", quote, SIGNED_IN, QuoteBody, QuoteAnswer),
        Operation("GET", "/api/v1/program", "Terms of membership", read_program, SIGNED_IN, answer=ProgramAnswer),
        Operation("PUT", "/api/v1/program", "Set the terms", set_program, MERCHANT, ProgramBody, ProgramAnswer),
    ]


def mall_operations(services: Services) -> list[Operation]:
    """Operations on the points mall."""
    members = services.shop.members

    async def list_mall(call: Call) -> Any:
        return await members.mall(call.who.merchant)

    async def set_mall_item(call: Call) -> Any:
        body: MallItemBody = call.body
        who = call.who
        terms = (body.points, body.cash, body.per_person)
        await members.set_mall_item(who.merchant, who.person, call.path["sku"], *terms)
        return await members.mall(who.merchant)

    async def end_mall_item(call: Call) -> Any:
        await members.set_mall_item(call.who.merchant, call.who.person, call.path["sku"], 0)
        return await members.mall(call.who.merchant)

    mall = list[MallItemView]
    return [
        Operation("GET", "/api/v1/mall", "What can be had for points", list_mall, SIGNED_IN, answer=mall),
        Operation("PUT", "/api/v1/mall/{sku}", "Into the mall", set_mall_item, MERCHANT, MallItemBody, mall),
        Operation("DELETE", "/api/v1/mall/{sku}", "Out of the mall", end_mall_item, MERCHANT, answer=mall),
    ]


def coupon_operations(services: Services, desk: Desk) -> list[Operation]:
    """Operations on coupon templates, givings and budgets."""
    members, catalogue = services.shop.members, services.catalogue

    async def list_templates(call: Call) -> Any:
        return await catalogue.coupon_templates(call.who.merchant)

    async def create_template(call: Call) -> Any:
        body: TemplateBody = call.body
        terms = (body.title, body.reason, body.amount, body.threshold, body.total, body.per_person, body.valid_s)
        return await catalogue.create_coupon_template(call.who.merchant, *terms, more=drop_terms(body))

    async def start_giving(call: Call) -> Any:
        body: GivingBody = call.body
        room = desk.run(call.who, call.path["room"])
        desk.issuer_to_spend(call.who, body.issuer)
        return await services.shop.start_drop(
            room.merchant,
            room.id,
            title=body.title,
            reason=body.reason,
            amount=body.amount,
            threshold=body.threshold,
            total=body.total,
            per_person=body.per_person,
            seconds=body.days * 86_400,
            valid_s=body.valid_s,
            more=drop_terms(body, body.way),
        )

    async def list_givings(call: Call) -> Any:
        return await services.shop.givings(desk.run(call.who, call.path["room"]).id)

    async def take_entry_coupons(call: Call) -> Any:
        room = desk.entered(call.who, call.path["room"])
        # Whoever came by a partner's code just now is its visitor.
        await services.attribution.binder.flushed(FLUSH_WAIT_S)
        return [
            coupon_answer(one) for one in await services.shop.entry_coupons(room.merchant, room.id, call.who.person)
        ]

    async def list_budgets(call: Call) -> Any:
        return await members.budgets(call.who.merchant)

    async def fund_budget(call: Call) -> Any:
        body: BudgetBody = call.body
        return await members.fund_budget(call.who.merchant, call.who.person, body.issuer, body.amount, call_key(call))

    templates, room = "/api/v1/coupon-templates", "/api/v1/rooms/{room}"
    listed = list[CouponAnswer]
    return [
        Operation("GET", templates, "Coupon templates", list_templates, STAFF, answer=list[TemplateAnswer]),
        Operation("POST", templates, "Keep terms", create_template, MERCHANT, TemplateBody, TemplateAnswer, 201),
        Operation("GET", f"{room}/givings", "Coupons that come", list_givings, HOST_ROLES, answer=list[DropView]),
        Operation("POST", f"{room}/givings", "Begin a giving", start_giving, HOST_ROLES, GivingBody, DropView, 201),
        Operation("POST", f"{room}/entry-coupons", "On coming in", take_entry_coupons, SIGNED_IN, answer=listed),
        Operation(
            "GET",
            "/api/v1/budgets",
            "Coupon budgets",
            list_budgets,
            MERCHANT,
            answer=list[BudgetAnswer],
            within="books",
        ),
        Operation("POST", "/api/v1/budgets", "Fund one", fund_budget, MERCHANT, BudgetBody, BudgetAnswer, keyed=True),
    ]


def goods_operations(services: Services, desk: Desk) -> list[Operation]:
    """Operations on variants, their prices and limited-time prices."""
    catalogue = services.catalogue

    async def add_variant(call: Call) -> Any:
        body: VariantBody = call.body
        grown = await desk.add_variant(call.who, call.path["product"], body)
        if body.stock:
            await services.shop.stock_up(
                call.who.merchant, grown.variants[-1].sku, body.stock, "first stock", call.who.person
            )
        return await catalogue.product(call.who.merchant, call.path["product"])

    async def set_sku_price(call: Call) -> Any:
        body: PriceBody = call.body
        who, by = call.who, Hand(call.who.person, body.why)
        return await catalogue.set_sku_price(who.merchant, call.path["sku"], body.price, body.list_price or None, by)

    async def set_offer(call: Call) -> Any:
        body: OfferBody = call.body
        terms = (body.price, body.from_ms, body.until_ms, Hand(call.who.person, body.why))
        return await catalogue.set_offer(call.who.merchant, call.path["sku"], *terms)

    sku, variants = "/api/v1/skus/{sku}", "/api/v1/products/{product}/variants"
    return [
        Operation("POST", variants, "Add a variant", add_variant, MERCHANT, VariantBody, ProductAnswer, 201),
        Operation("PUT", f"{sku}/price", "Price a variant", set_sku_price, MERCHANT, PriceBody, ProductAnswer),
        Operation("PUT", f"{sku}/offer", "Limited-time price", set_offer, MERCHANT, OfferBody, ProductAnswer),
    ]
