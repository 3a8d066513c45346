"""Stores, their tills, sellers' codes, and what a member shows there."""

from __future__ import annotations

from collections.abc import Awaitable

import segno

from commerce.attribution.touch import Touch, TouchKind
from commerce.domain.day import DAY_MS
from commerce.domain.pos import Receipt, ReceiptLine
from commerce.errors import CommerceError, Refused
from commerce.pos import Buyer, Till
from commerce.pos_sql import ReceiptView
from gateway.api import ANYONE, Call, Operation, query_ms
from gateway.auth import TokenError
from gateway.encode import plain
from gateway.errors import Problem
from gateway.parameters import millis
from gateway.schemas import Empty
from gateway.schemas_pos import (
    MemberCodeAnswer,
    PickupAnswer,
    PickupBody,
    ReceiptBody,
    SellerBody,
    SellerView,
    SoldView,
    TillAnswer,
    TillBody,
    TillRefundBody,
    TillResult,
    VisitAnswer,
    VisitBody,
)
from gateway.services import Services

MERCHANT = frozenset({"merchant"})
VIEWER = frozenset({"viewer", "guest"})
TILL_BYTES_MAX = 512 * 1024
"""A hundred receipts of some lines each."""


def pos_operations(services: Services) -> list[Operation]:
    """Operations under /api/v1/pos."""
    return [*_members(services), *_sellers(services), *_tills(services)]


def _members(services: Services) -> list[Operation]:
    pos = services.pos

    async def read_member_code(call: Call) -> MemberCodeAnswer:
        code = pos.code_of(call.who.person)
        return MemberCodeAnswer(code, segno.make(code, error="m").svg_data_uri(scale=6, border=4))

    return [
        Operation(
            "GET", "/api/v1/me/member-code", "To show at the till", read_member_code, VIEWER, answer=MemberCodeAnswer
        ),
    ]


def _sellers(services: Services) -> list[Operation]:
    pos = services.pos

    async def list_sellers(call: Call) -> list[SellerView]:
        rows = await pos.codes(call.who.merchant)
        return [
            SellerView(row["code"], row["issuer"], row["name"], row["created_ms"], row["closed_ms"]) for row in rows
        ]

    async def add_seller(call: Call) -> Empty:
        body: SellerBody = call.body
        await pos.set_code(call.who.merchant, body.code, body.issuer, body.name)
        return Empty()

    async def end_seller(call: Call) -> Empty:
        await pos.end_code(call.who.merchant, call.path["code"])
        return Empty()

    async def read_pos_sums(call: Call) -> list[SoldView]:
        until_ms = query_ms(call, "until", services.clock() + 1)
        since_ms = query_ms(call, "since", until_ms - 30 * DAY_MS)
        return [SoldView(**row) for row in await pos.sums(call.who.merchant, since_ms, until_ms)]

    path = "/api/v1/pos/sellers"
    period = {"since": millis("Unix ms, 30 days before until"), "until": millis("Unix ms, now when left out")}
    return [
        Operation("GET", path, "Codes of the sellers", list_sellers, MERCHANT, answer=list[SellerView]),
        Operation("POST", path, "Give a seller a code", add_seller, MERCHANT, SellerBody, Empty, 201),
        Operation("DELETE", f"{path}/{{code}}", "A seller left", end_seller, MERCHANT, answer=Empty),
        Operation(
            "GET",
            "/api/v1/pos/sums",
            "What stores and sellers sold",
            read_pos_sums,
            MERCHANT,
            answer=list[SoldView],
            query=period,
        ),
    ]


async def till_of(services: Services, call: Call) -> Till:
    """The till whose key came as Bearer. Raises ``TokenError``."""
    scheme, _, key = call.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key:
        raise TokenError("send the till's key: Authorization: Bearer …")
    try:
        return await services.pos.till(key.strip())
    except CommerceError as error:
        raise TokenError("no till has this key") from error


def _tills(services: Services) -> list[Operation]:
    pos = services.pos

    async def take_receipts(call: Call) -> TillAnswer:
        till, body = await till_of(services, call), call.body
        # One after another, in the till's order: a refund may follow its sale in the same request.
        receipts = [await _told(one.number, _sell(till, one)) for one in body.receipts]
        refunds = [await _told(one.number, _refund(till, one)) for one in body.refunds]
        return TillAnswer(receipts, refunds)

    def _sell(till: Till, one: ReceiptBody) -> Awaitable[ReceiptView]:
        lines = tuple(ReceiptLine(line.article, line.title, line.quantity, line.amount) for line in one.lines)
        takings = None if one.takings is None else one.takings.read()
        receipt = Receipt(one.number, one.amount, one.sold, lines, one.staff_code, takings)
        return pos.sell(till, receipt, Buyer(one.member, one.phone, one.name, one.join))

    def _refund(till: Till, one: TillRefundBody) -> Awaitable[ReceiptView]:
        lines = [(line.article, line.quantity) for line in one.lines]
        takings = None if one.takings is None else one.takings.read()
        return pos.refund(till, one.number, one.receipt, one.amount, one.refunded, lines, one.stock, takings)

    async def take_visit(call: Call) -> VisitAnswer:
        till, body = await till_of(services, call), call.body
        person = await pos.member(till, Buyer(body.member, body.phone), body.at)
        evidence = {"outlet": till.outlet, "event": body.event, "at": body.at}
        touch = Touch(till.merchant, person, TouchKind.STORE_VISIT, channel="store", evidence=evidence)
        if services.attribution.record(touch) is None:
            raise Problem(503, "busy", "too many visits are told of at once", retry_ms=1_000)
        return VisitAnswer(person)

    async def take_pickup(call: Call) -> PickupAnswer:
        till, body = await till_of(services, call), call.body
        order = await services.shop.order(till.merchant, body.order)
        where = (order.delivery or {}).get("outlet", till.outlet)
        if where != till.outlet:
            raise Refused("not_open", "this order is to be picked up in another store")
        done = await services.shop.aftersale.pick_up(till.merchant, body.order, body.code)
        return PickupAnswer(done.order, done.status, [plain(line) for line in done.lines])

    path = "/api/v1/pos"
    return [
        Operation(
            "POST",
            f"{path}/receipts",
            "Sales and refunds of a till",
            take_receipts,
            ANYONE,
            TillBody,
            TillAnswer,
            body_bytes_max=TILL_BYTES_MAX,
        ),
        Operation("POST", f"{path}/visits", "Somebody came into the store", take_visit, ANYONE, VisitBody, VisitAnswer),
        Operation("POST", f"{path}/pickups", "Hand an order over", take_pickup, ANYONE, PickupBody, PickupAnswer),
    ]


async def _told(number: str, doing: Awaitable[ReceiptView]) -> TillResult:
    """One row's result: a row that cannot be takes no other with it."""
    try:
        done = await doing
    except CommerceError as error:
        return TillResult(number, ok=False, code=error.code, detail=error.message)
    return TillResult(number, ok=True, again=done.again, person=done.person, points=done.points, booked=done.booked)
