"""Signing in: guests who open a room, staff with a password."""

from __future__ import annotations

import os

from commerce.identity.join import Joined
from gateway.api import ANYONE, Call, Operation
from gateway.auth import LEFT
from gateway.errors import Problem
from gateway.limits import AddressBuckets
from gateway.rooms import Room
from gateway.schemas import GuestAnswer, GuestBody, LoginAnswer, LoginBody, RoomEntry
from gateway.schemas_people import WechatAnswer, WechatBody
from gateway.services import Services

# A shop's outlet shares one address: the guests' bucket is wide, the passwords' is narrow.
GUESTS_PER_ADDRESS_S = 50.0
GUESTS_BURST = 2_000
LOGINS_PER_ADDRESS_S = 0.2
LOGINS_BURST = 10
DEVICE_ENTROPY_BYTES = 16
# Enough to find a paid one behind some that lapsed.
ORDERS_LOOKED_AT = 20


async def _has_bought(services: Services, merchant: str, person: str) -> bool:
    """Whether one of the person's newest orders was paid."""
    orders = await services.shop.orders(merchant, person=person, limit=ORDERS_LOOKED_AT)
    return any(order.status == "paid" for order in orders)


async def _came_in(
    services: Services, room: Room, person: str, body: GuestBody | WechatBody, *, registered: bool = False
) -> None:
    """Write down who came, and by whose link; ``registered``: they became a member by it."""
    scene = body.scene
    opened = "scan" if body.scanned else "share_open"
    for kind in (opened, "room_entry") if scene else ("room_entry",):
        await services.attribution.touch_token(room.merchant, scene, person, kind, room=room.id, registered=registered)


def _wechat_operation(services: Services, guests: AddressBuckets) -> Operation:
    """Signing in by a mini-program: its code says who it is, and perhaps which number."""

    async def wechat(call: Call) -> WechatAnswer:
        body: WechatBody = call.body
        wait_ms = guests.take(call.address, services.clock())
        if wait_ms and not services.settings.loopback:
            raise Problem(429, "rate", "too many guests from this address", retry_ms=wait_ms)
        room = services.rooms.get(body.room)
        merchant, identities = room.merchant, services.identities
        app = await identities.wechat_app(merchant)
        if app is None:
            raise Problem(422, "no_wechat", "this shop has no mini-program: PUT /api/v1/wechat-app first")
        session = await services.wechat.session(app, body.code)
        known = await services.people.identify(merchant, "wechat", f"{app.appid}:{session.openid}", body.name or "")
        joined = Joined(known.person.id)
        if session.unionid:
            joined = await identities.show_key(merchant, joined.person, "unionid", f"{app.platform}:{session.unionid}")
        conflict = joined.conflict
        if body.phone_code is not None:
            number = await services.wechat.phone(app, body.phone_code)
            joined = await identities.show_phone(merchant, joined.person, number)
            conflict = conflict or joined.conflict
        person = await identities.person(merchant, joined.person)
        name = body.name or person["name"] or f"观众{person['id'][-4:]}"
        token, expires = services.tokens.mint(
            person=person["id"],
            name=name,
            role="viewer",
            merchant=merchant,
            room=room.id,
            scene=body.scene,
            known=await _has_bought(services, merchant, person["id"]),
        )
        await _came_in(services, room, person["id"], body, registered=known.new or joined.merged is not None)
        return WechatAnswer(
            token=token,
            person=person["id"],
            name=name,
            role="viewer",
            expires=expires,
            phone=person["phone"] and person["phone"]["masked"],
            conflict=conflict is not None,
        )

    return Operation("POST", "/api/v1/auth/wechat", "Enter by WeChat", wechat, ANYONE, WechatBody, WechatAnswer)


def auth_operations(services: Services) -> list[Operation]:
    """Operations under /api/v1/auth."""
    guests = AddressBuckets(GUESTS_PER_ADDRESS_S, GUESTS_BURST)
    logins = AddressBuckets(LOGINS_PER_ADDRESS_S, LOGINS_BURST)

    async def guest(call: Call) -> GuestAnswer:
        body: GuestBody = call.body
        wait_ms = guests.take(call.address, services.clock())
        if wait_ms and not services.settings.loopback:
            raise Problem(429, "rate", "too many guests from this address", retry_ms=wait_ms)
        room = services.rooms.get(body.room)
        device = body.device or os.urandom(DEVICE_ENTROPY_BYTES).hex()
        # The device only spares a viewer a new name on each visit: it never joins two people (A15).
        known = (await services.people.identify(room.merchant, "device", device, body.name or "")).person
        person = known.id
        # Who may write where only members may. Without a device it is a person who was made this moment.
        bought = bool(body.device) and await _has_bought(services, room.merchant, person)
        name = body.name or known.name or f"观众{person[-4:]}"
        token, expires = services.tokens.mint(
            person=person,
            name=name,
            role="viewer",
            merchant=room.merchant,
            room=room.id,
            scene=body.scene,
            known=bought,
            device=body.device,
        )
        await _came_in(services, room, person, body)
        return GuestAnswer(token=token, person=person, name=name, role="viewer", expires=expires)

    async def login(call: Call) -> LoginAnswer:
        body: LoginBody = call.body
        wait_ms = logins.take(call.address, services.clock())
        if wait_ms and not services.settings.loopback:
            raise Problem(429, "rate", "too many attempts to sign in from this address", retry_ms=wait_ms)
        staff = await services.catalogue.login(body.login, body.password)
        if staff is None:
            raise Problem(401, "bad_login", "login or password is wrong")
        scope = services.org.scope_of(staff.merchant, staff.id)
        if scope is not None and scope.gone:
            raise Problem(401, "bad_login", LEFT)
        token, expires = services.tokens.mint(
            person=staff.id, name=staff.name, role=staff.role, merchant=staff.merchant, room=staff.room
        )
        rooms = [
            RoomEntry(room=room.id, title=room.title, live=services.directory.info(room.id).live)
            for room in services.rooms.of(staff.merchant)
            if (staff.room is None or staff.room == room.id) and (scope is None or scope.may_enter(room.id))
        ]
        return LoginAnswer(
            token=token, role=staff.role, merchant=staff.merchant, name=staff.name, expires=expires, rooms=rooms
        )

    return [
        Operation("POST", "/api/v1/auth/guest", "Enter a room as a guest", guest, ANYONE, GuestBody, GuestAnswer),
        _wechat_operation(services, guests),
        Operation("POST", "/api/v1/auth/login", "Sign in as staff", login, ANYONE, LoginBody, LoginAnswer),
    ]
