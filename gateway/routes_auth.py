"""Signing in: guests who open a room, staff with a password."""

from __future__ import annotations

import os

from gateway.api import ANYONE, Call, Operation
from gateway.errors import Problem
from gateway.limits import AddressBuckets
from gateway.schemas import GuestAnswer, GuestBody, LoginAnswer, LoginBody, RoomEntry
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
        for kind in ("share_open", "room_entry") if body.scene else ("room_entry",):
            await services.attribution.touch_token(room.merchant, body.scene, person, kind, room=room.id)
        return GuestAnswer(token=token, person=person, name=name, role="viewer", expires=expires)

    async def login(call: Call) -> LoginAnswer:
        body: LoginBody = call.body
        wait_ms = logins.take(call.address, services.clock())
        if wait_ms and not services.settings.loopback:
            raise Problem(429, "rate", "too many attempts to sign in from this address", retry_ms=wait_ms)
        staff = await services.catalogue.login(body.login, body.password)
        if staff is None:
            raise Problem(401, "bad_login", "login or password is wrong")
        token, expires = services.tokens.mint(
            person=staff.id, name=staff.name, role=staff.role, merchant=staff.merchant, room=staff.room
        )
        rooms = [
            RoomEntry(room=room.id, title=room.title, live=services.directory.info(room.id).live)
            for room in services.rooms.of(staff.merchant)
            if staff.room is None or staff.room == room.id
        ]
        return LoginAnswer(
            token=token, role=staff.role, merchant=staff.merchant, name=staff.name, expires=expires, rooms=rooms
        )

    return [
        Operation("POST", "/api/v1/auth/guest", "Enter a room as a guest", guest, ANYONE, GuestBody, GuestAnswer),
        Operation("POST", "/api/v1/auth/login", "Sign in as staff", login, ANYONE, LoginBody, LoginAnswer),
    ]
