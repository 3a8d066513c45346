"""Codes and posters of share links: to print, to send, to scan."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.responses import Response

from commerce.attribution.links import Link
from commerce.catalogue_views import Card
from gateway.addresses import Addresses
from gateway.api import PNG_TYPE, SIGNED_IN, SVG_TYPE, Call, Operation
from gateway.client import CORS_HEADERS
from gateway.errors import Problem
from gateway.pages import web_folder
from gateway.parameters import choice
from gateway.poster import (
    CODE_SCALE_MAX,
    PosterCard,
    code_png,
    code_svg,
    data_address,
    embedded,
    poster_svg,
    yuan,
)
from gateway.rooms import Room
from gateway.services import Services

MINI_PAGE = "pages/room/room"
"""Where a mini-program's own code leads; the shop's program reads ``scene`` there."""
CALLS = {"zh": "扫码进直播间", "en": "Scan to join the live room"}
READS = {"zh": "扫码阅读", "en": "Scan to read"}
OFFERS = {
    ("zh", "over"): "{reason} 满{threshold}减{amount}",
    ("zh", "any"): "{reason} 立减{amount}",
    ("en", "over"): "{reason}: {amount} off {threshold}",
    ("en", "any"): "{reason}: {amount} off",
}
SHARES = {"zh": "{name} 推荐", "en": "Shared by {name}"}


def code_operations(services: Services, addresses: Addresses) -> list[Operation]:
    """Operations under /api/v1/links/{token}."""
    attribution = services.attribution

    async def found(call: Call) -> tuple[Link, Room | None]:
        """A link, and the room that it leads into: none when it leads to a piece of the library."""
        link = (await attribution.link(call.who.merchant, call.path["token"])).link
        if link.content:
            return link, None
        if not link.room:
            raise Problem(422, "no_room", "this link leads into no room: make one of a room")
        return link, services.rooms.get(link.room)

    async def picture_of(call: Call, link: Link, form: str) -> tuple[bytes, str]:
        token = call.path["token"]
        if form == "mini" and link.content:
            raise Problem(422, "no_room", "a mini-program's own code leads into a room, and this link to a page")
        if form == "mini":
            app = await services.identities.wechat_app(call.who.merchant)
            if app is None:
                raise Problem(422, "no_wechat", "this shop has no mini-program: PUT /api/v1/wechat-app first")
            return await services.wechat.code(app, token, MINI_PAGE), PNG_TYPE
        if link.content:
            url = addresses.content_page(call.base_url, link.content, token)
        else:
            url = addresses.code_page(call.base_url, link.room, token)
        if form == "svg":
            return code_svg(url), SVG_TYPE
        scale = call.query.get("scale", "8")
        if not scale.isascii() or not scale.isdigit() or not 1 <= int(scale[:4]) <= CODE_SCALE_MAX:
            raise Problem(400, "invalid", f"scale is 1 to {CODE_SCALE_MAX} pixels a module")
        return code_png(url, int(scale)), PNG_TYPE

    async def read_code(call: Call) -> Response:
        form = call.query.get("format", "svg")
        if form not in ("svg", "png", "mini"):
            raise Problem(400, "invalid", "format is svg, png or mini (the mini-program's own code)")
        link, _ = await found(call)
        return picture_answer(*await picture_of(call, link, form))

    async def read_poster(call: Call) -> Response:
        language = call.query.get("lang", "zh")
        code_form = "mini" if call.query.get("code") == "mini" else "svg"
        if language not in CALLS:
            raise Problem(400, "invalid", "lang is zh or en")
        link, room = await found(call)
        poster = await _poster(services, call.who.merchant, link, room, call.query.get("sku") or link.sku, language)
        code = data_address(*await picture_of(call, link, code_form))
        return picture_answer(poster_svg(poster, code), SVG_TYPE)

    path, readers = "/api/v1/links/{token}", SIGNED_IN | {"partner"}
    form = choice("svg (default), png, or mini: the mini-program's own code", "svg", "png", "mini")
    forms = {"format": form, "scale": "pixels a module of a png"}
    posters = {
        "sku": "the product shown; else the link's, or the one being explained",
        "lang": choice("zh (default) or en", "zh", "en"),
    }
    return [
        Operation("GET", f"{path}/code", "The link as a code", read_code, readers, query=forms),
        Operation(
            "GET",
            f"{path}/poster",
            "A poster with the code on it (SVG)",
            read_poster,
            readers,
            gives=(SVG_TYPE,),
            query=posters | {"code": "mini: with the mini-program's own code"},
        ),
    ]


@dataclass(frozen=True, slots=True)
class _Shown:
    """What a poster shows: a product or the room, or a piece of the library; prices in 分, 0 for none."""

    title: str
    image: str
    place: str
    price: int = 0
    list_price: int = 0


def _goods(room: Room, card: Card | None) -> _Shown:
    if card is None:
        return _Shown(room.title, room.cover, room.title)
    return _Shown(card.title, card.image, room.title, card.price, card.list_price)


async def _poster(
    services: Services, merchant: str, link: Link, room: Room | None, sku: str, language: str
) -> PosterCard:
    """What a link's poster says. Raises ``Problem``, NotFound."""
    if room is None:
        shown = await _piece(services, merchant, link.content)
    else:
        shown = _goods(room, await _shown(services, room, sku))
    names = await services.attribution.names(merchant, [link.issuer])
    shop = await services.catalogue.merchant(merchant)
    return PosterCard(
        title=shown.title,
        price=shown.price,
        list_price=shown.list_price,
        sharer=SHARES[language].format(name=names.get(link.issuer) or shop.name),
        shop=f"{shop.name} · {shown.place}" if shown.place else shop.name,
        call=(READS if room is None else CALLS)[language],
        picture=embedded(web_folder(), shown.image),
        offer=await _offer(services, merchant, link, language) if link.role == "partner" else "",
    )


async def _offer(services: Services, merchant: str, link: Link, language: str) -> str:
    """What who comes by a partner's code gets; nothing while there is no offer."""
    found = await services.partners.shown_offer(merchant, link.issuer, link.room)
    if found is None:
        return ""
    kind = "over" if found["threshold"] else "any"
    sums = {name: yuan(found[name]) for name in ("amount", "threshold")}
    return OFFERS[language, kind].format(reason=found["reason"], **sums)


async def _piece(services: Services, merchant: str, content: str) -> _Shown:
    """A published piece of the library. Raises NotFound."""
    piece = await services.contents.known(merchant, content)
    pictures = piece["pictures"]
    return _Shown(piece["title"], piece["cover"] or (pictures[0] if pictures else ""), piece["category"])


async def _shown(services: Services, room: Room, sku: str) -> Card | None:
    """The product that a poster shows: the named one, else what is being explained. Raises ``Problem``."""
    for card in await services.catalogue.shelf(room.id, room.merchant):
        if card.sku == sku:
            return card
    if sku:
        raise Problem(404, "not_found", "this product is not on the room's shelf")
    return next((card for card in await services.catalogue.pins(room.id) if card.explaining), None)


def picture_answer(content: bytes, kind: str) -> Response:
    """A picture as an answer: kept for some minutes, and nothing in it can run."""
    headers = {name.decode(): value.decode() for name, value in CORS_HEADERS}
    # A product's title inside an SVG must never run, should somebody open it by itself.
    headers["content-security-policy"] = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    headers["cache-control"] = "private, max-age=300"
    return Response(content, 200, headers, kind)
