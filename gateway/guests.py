"""Who opens a page outside of the rooms (a piece of the library, a group): the same person as in the rooms."""

from __future__ import annotations

import os
from dataclasses import dataclass

from gateway.api import Call
from gateway.errors import Problem
from gateway.limits import AddressBuckets
from gateway.routes_auth import DEVICE_ENTROPY_BYTES, GUESTS_BURST, GUESTS_PER_ADDRESS_S
from gateway.schemas_base import EnterBody
from gateway.services import Services


@dataclass(frozen=True, slots=True)
class Guest:
    """A visitor with the token that their page goes on with."""

    person: str
    name: str
    token: str
    expires: int


class Guests:
    """Lets visitors in by their device, so many from one address."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._buckets = AddressBuckets(GUESTS_PER_ADDRESS_S, GUESTS_BURST)

    def admit(self, call: Call) -> None:
        """Raises ``Problem`` 429 for an address that comes too often."""
        wait_ms = self._buckets.take(call.address, self._services.clock())
        if wait_ms and not self._services.settings.loopback:
            raise Problem(429, "rate", "too many guests from this address", retry_ms=wait_ms)

    async def enter(self, merchant: str, room: str, body: EnterBody) -> Guest:
        """The visitor of a merchant's page; their token is good in ``room``, or (empty) in all of its rooms."""
        device = body.device or os.urandom(DEVICE_ENTROPY_BYTES).hex()
        known = (await self._services.people.identify(merchant, "device", device, body.name or "")).person
        name = body.name or known.name or f"观众{known.id[-4:]}"
        token, expires = self._services.tokens.mint(
            person=known.id,
            name=name,
            role="viewer",
            merchant=merchant,
            room=room or None,
            scene=body.scene,
            device=body.device,
        )
        return Guest(known.id, name, token, expires)
