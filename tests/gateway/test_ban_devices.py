"""Bans by device, from the token to the database and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.gateway.rig import Rig, rig
from tests.gateway.test_review import NUMBERS


def token(live: Rig, person: str, device: str) -> str:
    """A viewer's token as the door mints it, for a person who was known by something else than their device."""
    minted, _ = live.application.services.tokens.mint(
        person=person, name=person, role="viewer", merchant=live.shop.merchant, room=live.shop.room, device=device
    )
    return minted


async def enters(live: Rig, bearer: str) -> int:
    """What the door of the room answers."""
    return (await live.client.get(f"/poll/{live.shop.room}", params={"token": bearer})).status_code


async def command(live: Rig, bearer: str, cmd: str, **arguments: Any) -> dict[str, Any]:
    path = f"/rooms/{live.shop.room}/commands"
    answer = await live.call("POST", path, {"id": next(NUMBERS), "cmd": cmd, **arguments}, token=bearer)
    (only,) = answer.json()
    found: dict[str, Any] = only
    return found


async def test_a_ban_goes_with_the_device_over_a_restart_and_ends_with_the_person(tmp_path: Path) -> None:
    async with rig(tmp_path) as live:
        guest = await live.guest(device="phone-1")
        other, elsewhere = token(live, "other", "phone-1"), token(live, "else", "phone-2")
        assert [await enters(live, one) for one in (guest["token"], other, elsewhere)] == [200, 200, 200]
        assert (await command(live, live.shop.host_token, "ban", person=guest["person"]))["ok"]
        assert [await enters(live, one) for one in (guest["token"], other, elsewhere)] == [403, 403, 200]
        # With another device they are known again, and that device with them.
        again = token(live, guest["person"], "phone-3")
        assert await enters(live, again) == 403
        assert await enters(live, token(live, "friend", "phone-3")) == 403
        listed = (await command(live, live.shop.host_token, "bans.list"))["bans"]
        assert [(ban["person"], ban["devices"]) for ban in listed] == [(guest["person"], 2)]
        rows = await live.application.bridge._bans.of_room(live.shop.room)
        assert [len(row.devices) for row in rows] == [1]
        hub, room = live.application.services.hub, live.shop.room
        live.application.bridge.shut(room)
        await live.application.bridge.open(live.application.services.rooms.get(room))
        assert hub.channel(room).gate.bans.devices()
        assert [await enters(live, one) for one in (other, elsewhere)] == [403, 200]
        assert (await command(live, live.shop.host_token, "unban", person=guest["person"]))["ok"]
        assert [await enters(live, one) for one in (guest["token"], other)] == [200, 200]


async def test_a_token_names_the_device_without_telling_it(tmp_path: Path) -> None:
    async with rig(tmp_path) as live:
        tokens = live.application.services.tokens
        guests = [await live.guest(device=device) for device in ("phone-1", "phone-1", "phone-2")]
        one, same, other = [tokens.read(guest["token"]).device for guest in guests]
        assert one == same != other and len(one) == 16 and "phone" not in one
        assert tokens.read((await live.guest())["token"]).device == ""
