"""Partners of another trade: the shop's side, that of another merchant here, and that of a business with a key."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response

from commerce.attribution.links import LinkView
from commerce.ledger import StartDrop
from commerce.partner_coupons_sql import WAY
from commerce.partner_statement_sql import PartnerStatement, Sale, Used, as_csv
from gateway.addresses import Addresses
from gateway.api import ANYONE, Call, Operation, call_key
from gateway.client import CORS_HEADERS
from gateway.errors import Problem
from gateway.limits import AddressBuckets
from gateway.parameters import choice
from gateway.schemas import Empty
from gateway.schemas_partners import (
    ContractBody,
    ContractDecisionBody,
    ContractView,
    PartnerBody,
    PartnerChangeBody,
    PartnerCouponView,
    PartnerKeyAnswer,
    PartnerLinkAnswer,
    PartnerLinkBody,
    PartnerLoginAnswer,
    PartnerLoginBody,
    PartnerOfferBody,
    PartnerOfferView,
    PartnerSaleView,
    PartnerStatementAnswer,
    PartnerView,
    SettlementBody,
    SettlementView,
    ShareRateView,
)
from gateway.services import Services

MERCHANT = frozenset({"merchant"})
PARTNER = frozenset({"partner"})
"""Who shows a partner's key: reads its own statement and asks for its share, and nothing else."""
LINKS_MAX = 200
LOGINS_PER_ADDRESS_S, LOGINS_BURST = 0.2, 10
MONTH = {
    "month": "YYYY-MM in Asia/Shanghai, this month when left out",
    "format": choice("json (default) or csv", "json", "csv"),
}
NO_ROOM = ""
"""What a partner's token may enter."""


def partner_operations(services: Services, addresses: Addresses) -> list[Operation]:
    """Operations under /api/v1/partners, …/partnerships and …/partner."""
    return [
        *_shop(services, addresses),
        *_shop_money(services, addresses),
        *_coupons(services),
        *_other_merchant(services, addresses),
        *_login(services),
        *_own(services, addresses),
    ]


def _terms(body: ContractBody) -> dict[str, Any]:
    given = msgspec.to_builtins(body)
    given.pop("note")
    return {**given, "until": given["until"] or ""}


def _view(row: dict[str, Any], side: str) -> PartnerView:
    """A partner as the shop (or the partner, whose ``owner`` is not told) sees it."""
    contracts = [
        ContractView(
            contract=one["id"],
            state=one["state"],
            since=one["since"],
            until=one["until"],
            days=one["days"],
            first_only=bool(one["first_only"]),
            cap_order=one["cap_order"],
            cap_month=one["cap_month"],
            sees=one["sees"],
            coupon_bp=one["coupon_bp"],
            rates=[ShareRateView(**rate) for rate in one["rates"]],
            note=one["note"],
            proposed=one["proposed_ms"],
            decided=one["decided_ms"],
            closed=one["closed_ms"],
        )
        for one in row["contracts"]
    ]
    shop = side == "shop"
    return PartnerView(
        partner=row["id"],
        side="shop" if shop else "partner",
        shop=row["merchant_name"],
        name=row["name"],
        trade=row["trade"],
        state=row["state"],
        counterpart=row["counterpart"],
        counterpart_name=row["counterpart_name"],
        owner=row["owner"] if shop else None,
        visitors=row["visitors"],
        sales=row["sales"],
        pending=row["pending"],
        frozen=row["frozen"],
        available=row["available"],
        leaving=row["leaving"],
        key_since=row["key_ms"] if shop else None,
        contracts=contracts,
    )


def _link(addresses: Addresses, base: str, view: LinkView) -> PartnerLinkAnswer:
    link = view.link
    return PartnerLinkAnswer(
        token=view.token,
        url=addresses.viewer_page(base, link.room, view.token),
        code=addresses.code_page(base, link.room, view.token),
        room=link.room,
        sku=link.sku or None,
        channel=link.channel or None,
        uses=view.uses,
        created=link.created_ms,
    )


def _statement(call: Call, found: PartnerStatement) -> Any:
    """A month as JSON or for a spreadsheet. Raises ``Problem``."""
    form = call.query.get("format", "json")
    if form not in ("json", "csv"):
        raise Problem(400, "invalid", "format is json or csv")
    if form == "csv":
        headers = {name.decode(): value.decode() for name, value in CORS_HEADERS}
        headers["content-disposition"] = f'attachment; filename="partner-{found.month}.csv"'
        # The byte order mark tells spreadsheets that it is UTF-8.
        return Response(as_csv(found).encode("utf-8-sig"), 200, headers, "text/csv; charset=utf-8")
    names = (
        *("partner", "name", "month", "visitors", "orders", "base", "amount", "reversed", "opening", "closing"),
        *("discount", "borne", "borne_back"),
    )
    return PartnerStatementAnswer(
        **{name: getattr(found, name) for name in names},
        sales=None if found.sales is None else [_sale(one) for one in found.sales],
        settlements=[_settlement(row) for row in found.settlements],
        coupons=None if found.coupons is None else [_coupon(one) for one in found.coupons],
    )


def _coupon(one: Used) -> PartnerCouponView:
    return PartnerCouponView(one.sale, one.at_ms, one.title, one.took, one.borne, one.back)


def _offer(row: dict[str, Any]) -> PartnerOfferView:
    names = ("room", "title", "reason", "amount", "threshold", "audience", "total", "issued", "used", "took", "open")
    return PartnerOfferView(
        offer=row["id"],
        **{name: row[name] for name in names},
        borne=row["borne"] - row["back"],
        starts=row["starts_ms"],
        ends=row["ends_ms"],
    )


def _sale(one: Sale) -> PartnerSaleView:
    return PartnerSaleView(
        sale=one.sale,
        receipt=one.receipt,
        at=one.at_ms,
        title=one.title,
        person=one.person,
        name=one.name,
        base=one.base,
        amount=one.amount,
        reversed=one.reversed,
        state=one.state,
        held=one.held,
        why=one.why,
        release=one.release_ms,
    )


def _settlement(row: dict[str, Any]) -> SettlementView:
    times = (row["created_ms"], row["decided_ms"])
    return SettlementView(row["id"], row["amount"], row["state"], *times, row["number"], row["reason"])


def _settled(view: Any) -> SettlementView:
    return SettlementView(
        view.withdrawal, view.amount, view.state, view.created, view.decided, view.number, view.reason
    )


def _shop(services: Services, addresses: Addresses) -> list[Operation]:
    partners, desk = services.partners, services.desk

    async def list_partners(call: Call) -> list[PartnerView]:
        return [_view(row, "shop") for row in await partners.page(call.who.merchant)]

    async def add_partner(call: Call) -> PartnerView:
        body: PartnerBody = call.body
        who = call.who
        row = await partners.add(
            who.merchant,
            who.person,
            body.name,
            body.trade,
            _terms(body.contract),
            counterpart=body.counterpart,
            owner=body.owner,
            note=body.contract.note,
        )
        return _view(row, "shop")

    async def change_partner(call: Call) -> PartnerView:
        given = msgspec.structs.asdict(call.body)
        return _view(await partners.change(call.who.merchant, call.path["partner"], given), "shop")

    async def propose_contract(call: Call) -> PartnerView:
        body: ContractBody = call.body
        who = call.who
        row = await partners.propose(who.merchant, call.path["partner"], who.person, _terms(body), body.note)
        return _view(row, "shop")

    async def create_partner_link(call: Call) -> PartnerLinkAnswer:
        body: PartnerLinkBody = call.body
        room = desk.entered(call.who, body.room)
        view = await partners.link(room.merchant, call.path["partner"], room.id, body.sku, body.channel)
        return _link(addresses, call.base_url, view)

    async def list_partner_links(call: Call) -> list[PartnerLinkAnswer]:
        views = await partners.links(call.who.merchant, call.path["partner"], None, LINKS_MAX)
        return [_link(addresses, call.base_url, view) for view in views]

    async def renew_partner_key(call: Call) -> PartnerKeyAnswer:
        partner = call.path["partner"]
        generation = await partners.renew_key(call.who.merchant, partner)
        key = services.secrets.partner_key(partner, generation)
        return PartnerKeyAnswer(key, addresses.partner_page(call.base_url, key))

    path, one = "/api/v1/partners", "/api/v1/partners/{partner}"
    links = f"{one}/links"
    return [
        Operation("GET", path, "Partners of other trades", list_partners, MERCHANT, answer=list[PartnerView]),
        Operation("POST", path, "Record a partner", add_partner, MERCHANT, PartnerBody, PartnerView, 201),
        Operation("PATCH", one, "Name, trade, state", change_partner, MERCHANT, PartnerChangeBody, PartnerView),
        Operation(
            "POST", f"{one}/contracts", "Another contract", propose_contract, MERCHANT, ContractBody, PartnerView, 201
        ),
        Operation(
            "POST", links, "A code of theirs", create_partner_link, MERCHANT, PartnerLinkBody, PartnerLinkAnswer, 201
        ),
        Operation("GET", links, "Their codes", list_partner_links, MERCHANT, answer=list[PartnerLinkAnswer]),
        Operation(
            "POST", f"{one}/key", "A new key for them", renew_partner_key, MERCHANT, answer=PartnerKeyAnswer, status=201
        ),
    ]


def _shop_money(services: Services, addresses: Addresses) -> list[Operation]:
    partners = services.partners

    async def read_partner_statement(call: Call) -> Any:
        found = await partners.statement(call.who.merchant, call.path["partner"], call.query.get("month"))
        return _statement(call, found)

    async def settle_partner(call: Call) -> SettlementView:
        who = call.who
        return _settled(await partners.settle(who.merchant, call.path["partner"], call.body.amount, call_key(call)))

    one = "/api/v1/partners/{partner}"
    return [
        Operation(
            "GET",
            f"{one}/statement",
            "A partner's month",
            read_partner_statement,
            MERCHANT,
            answer=PartnerStatementAnswer,
            query=MONTH,
        ),
        Operation(
            "POST",
            f"{one}/settlements",
            "Settle a share: decided as a withdrawal",
            settle_partner,
            MERCHANT,
            SettlementBody,
            SettlementView,
            201,
            keyed=True,
        ),
    ]


def _coupons(services: Services) -> list[Operation]:
    """Coupons for those who come by a partner's code."""
    partners, desk = services.partners, services.desk

    async def offer_partner_coupon(call: Call) -> PartnerOfferView:
        body: PartnerOfferBody = call.body
        room, partner = desk.entered(call.who, body.room), call.path["partner"]
        drop = StartDrop(
            room.merchant,
            room.id,
            body.title,
            body.reason,
            body.amount,
            body.threshold,
            body.total,
            body.per_person,
            length_ms=body.days * 86_400_000,
            valid_ms=body.valid_s * 1000,
            stack=body.stack,
            audience=body.audience,
            issuer=partner,
            way=WAY,
        )
        made = await partners.offer(drop, body.budget, call.who.person, call_key(call))
        rows = await partners.offers(room.merchant, partner)
        return next(_offer(row) for row in rows if row["id"] == made.drop)

    async def list_partner_coupons(call: Call) -> list[PartnerOfferView]:
        return [_offer(row) for row in await partners.offers(call.who.merchant, call.path["partner"])]

    async def end_partner_coupon(call: Call) -> Empty:
        await partners.end_offer(call.who.merchant, call.path["partner"], call.path["offer"])
        return Empty()

    async def list_partnership_coupons(call: Call) -> list[PartnerOfferView]:
        row = await partners.partnership(call.who.merchant, call.path["partner"])
        return [_offer(one) for one in await partners.offers(row["merchant"], row["id"])]

    one = "/api/v1/partners/{partner}/coupons"
    ours = "/api/v1/partnerships/{partner}/coupons"
    offers = list[PartnerOfferView]
    return [
        Operation("GET", one, "Coupons of a partner's visitors", list_partner_coupons, MERCHANT, answer=offers),
        Operation(
            "POST",
            one,
            "Offer one",
            offer_partner_coupon,
            MERCHANT,
            PartnerOfferBody,
            PartnerOfferView,
            201,
            keyed=True,
        ),
        Operation("DELETE", f"{one}/{{offer}}", "End an offer", end_partner_coupon, MERCHANT, answer=Empty),
        Operation("GET", ours, "Coupons of our visitors there", list_partnership_coupons, MERCHANT, answer=offers),
    ]


def _other_merchant(services: Services, addresses: Addresses) -> list[Operation]:
    partners = services.partners

    async def list_partnerships(call: Call) -> list[PartnerView]:
        return [_view(row, "partner") for row in await partners.incoming(call.who.merchant)]

    async def decide_contract(call: Call) -> Empty:
        body: ContractDecisionBody = call.body
        who = call.who
        await partners.decide(who.merchant, call.path["contract"], who.person, agreed=body.decision == "agreed")
        return Empty()

    async def list_partnership_links(call: Call) -> list[PartnerLinkAnswer]:
        row = await partners.partnership(call.who.merchant, call.path["partner"])
        views = await partners.links(row["merchant"], row["id"], None, LINKS_MAX)
        return [_link(addresses, call.base_url, view) for view in views]

    async def read_partnership_statement(call: Call) -> Any:
        row = await partners.partnership(call.who.merchant, call.path["partner"])
        return _statement(call, await partners.own_statement(row, call.query.get("month")))

    async def settle_partnership(call: Call) -> SettlementView:
        row = await partners.partnership(call.who.merchant, call.path["partner"])
        return _settled(await partners.own_settle(row, call.body.amount, call_key(call)))

    path, one = "/api/v1/partnerships", "/api/v1/partnerships/{partner}"
    return [
        Operation("GET", path, "Whose partner we are", list_partnerships, MERCHANT, answer=list[PartnerView]),
        Operation(
            "POST",
            "/api/v1/partner-contracts/{contract}",
            "Agree to a contract, or refuse it",
            decide_contract,
            MERCHANT,
            ContractDecisionBody,
            Empty,
        ),
        Operation(
            "GET", f"{one}/links", "Our codes there", list_partnership_links, MERCHANT, answer=list[PartnerLinkAnswer]
        ),
        Operation(
            "GET",
            f"{one}/statement",
            "Our month there",
            read_partnership_statement,
            MERCHANT,
            answer=PartnerStatementAnswer,
            query=MONTH,
        ),
        Operation(
            "POST",
            f"{one}/settlements",
            "Ask for our share",
            settle_partnership,
            MERCHANT,
            SettlementBody,
            SettlementView,
            201,
            keyed=True,
        ),
    ]


def _login(services: Services) -> list[Operation]:
    partners, logins = services.partners, AddressBuckets(LOGINS_PER_ADDRESS_S, LOGINS_BURST)

    async def partner_login(call: Call) -> PartnerLoginAnswer:
        body: PartnerLoginBody = call.body
        wait_ms = logins.take(call.address, services.clock())
        if wait_ms and not services.settings.loopback:
            raise Problem(429, "rate", "too many attempts to sign in from this address", retry_ms=wait_ms)
        row = await partners.known(body.key.partition("-")[0])
        if row is None or not services.secrets.is_partner_key(body.key, row["id"], row["key_generation"]):
            raise Problem(401, "bad_login", "this key opens nothing: ask the shop for a new one")
        token, expires = services.tokens.mint(
            person=row["id"], name=row["name"], role="partner", merchant=row["merchant"], room=NO_ROOM
        )
        shop = await services.catalogue.merchant(row["merchant"])
        return PartnerLoginAnswer(token, row["id"], row["name"], shop.name, expires)

    return [
        Operation(
            "POST",
            "/api/v1/auth/partner",
            "Open a partner's page by its key",
            partner_login,
            ANYONE,
            PartnerLoginBody,
            PartnerLoginAnswer,
        ),
    ]


def _own(services: Services, addresses: Addresses) -> list[Operation]:
    partners = services.partners

    async def own(call: Call) -> dict[str, Any]:
        """The partner who asks. Raises ``Problem`` when its key was renewed since it signed in."""
        row = await partners.known(call.who.person)
        if row is None or (row["key_ms"] or 0) > call.who.issued_ms:
            raise Problem(401, "token_revoked", "the key was renewed: open the page with the new one")
        return row

    async def read_own_partner(call: Call) -> PartnerView:
        return _view(await partners.alone((await own(call))["id"]), "partner")

    async def list_own_partner_links(call: Call) -> list[PartnerLinkAnswer]:
        row = await own(call)
        views = await partners.links(row["merchant"], row["id"], None, LINKS_MAX)
        return [_link(addresses, call.base_url, view) for view in views]

    async def list_own_partner_coupons(call: Call) -> list[PartnerOfferView]:
        row = await own(call)
        return [_offer(one) for one in await partners.offers(row["merchant"], row["id"])]

    async def read_own_partner_statement(call: Call) -> Any:
        return _statement(call, await partners.own_statement(await own(call), call.query.get("month")))

    async def settle_own_share(call: Call) -> SettlementView:
        return _settled(await partners.own_settle(await own(call), call.body.amount, call_key(call)))

    path = "/api/v1/partner"
    return [
        Operation("GET", path, "What was agreed with us", read_own_partner, PARTNER, answer=PartnerView),
        Operation("GET", f"{path}/links", "Our codes", list_own_partner_links, PARTNER, answer=list[PartnerLinkAnswer]),
        Operation(
            "GET",
            f"{path}/coupons",
            "Coupons of our visitors",
            list_own_partner_coupons,
            PARTNER,
            answer=list[PartnerOfferView],
        ),
        Operation(
            "GET",
            f"{path}/statement",
            "Our month",
            read_own_partner_statement,
            PARTNER,
            answer=PartnerStatementAnswer,
            query=MONTH,
        ),
        Operation(
            "POST",
            f"{path}/settlements",
            "Ask for our share",
            settle_own_share,
            PARTNER,
            SettlementBody,
            SettlementView,
            201,
            keyed=True,
        ),
    ]
