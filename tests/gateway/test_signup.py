"""Events over the API: a place, a wait, a ticket whose code only its owner sees, the door."""

from __future__ import annotations

from pathlib import Path

import msgspec

from gateway.schemas_signup import EventView, TicketPage, TicketView
from tests.gateway.rig import rig

DAY_MS = 86_400_000


async def test_people_sign_up_wait_and_are_let_in_by_their_code(tmp_path: Path) -> None:
    async with rig(tmp_path) as live:
        boss, host, now = live.shop.merchant_token, live.shop.host_token, live.clock()
        body = {"title": "茶会", "places": 1, "starts": now + DAY_MS // 2, "ends": now + DAY_MS, "closes": now + DAY_MS}
        one, two = [(await live.guest())["token"] for _ in range(2)]
        assert (await live.call("POST", "/events", body, token=one)).status_code == 403
        late = await live.call("POST", "/events", {**body, "ends": now}, token=boss)
        assert (late.status_code, late.json()["field"]) == (400, "ends")
        made = await live.call("POST", "/events", body, token=boss)
        assert made.status_code == 201, made.text
        event = msgspec.convert(made.json(), EventView).event
        path = f"/events/{event}/ticket"
        first = msgspec.convert((await live.call("POST", path, {"name": "小雨"}, token=one)).json(), TicketView)
        again = await live.call("POST", path, {}, token=one)
        assert first.code and first.qr and again.json()["ticket"] == first.ticket
        waits = (await live.call("POST", path, {}, token=two)).json()
        assert (waits["state"], waits["code"], waits["qr"]) == ("waiting", None, None)
        listed = await live.call("GET", f"/events/{event}/tickets", token=boss)
        page = msgspec.convert(listed.json(), TicketPage)
        assert [(row.name, row.code) for row in page.items if row.state == "good"] == [("小雨", None)]
        assert (await live.call("GET", f"/events/{event}/tickets", token=one)).status_code == 403
        assert (await live.call("GET", f"/events/{event}/tickets", token=live.other.merchant_token)).status_code == 404
        door = await live.call("POST", "/tickets/check-ins", {"code": first.code}, token=host)
        assert (door.status_code, door.json()["state"], door.json()["name"]) == (201, "used", "小雨")
        twice = await live.call("POST", "/tickets/check-ins", {"code": first.code}, token=host)
        assert (twice.status_code, twice.json()["code"]) == (422, "already")
        other = await live.call("POST", "/tickets/check-ins", {"code": first.code}, token=live.other.merchant_token)
        assert other.status_code == 404
        assert (await live.call("DELETE", path, token=two)).json()["state"] == "cancelled"
        assert (await live.call("GET", "/tickets", token=two)).json()[0]["state"] == "cancelled"
        moved = await live.call("PUT", f"/events/{event}", {**body, "places": 5}, token=boss)
        assert moved.json()["places"] == 5
        assert (await live.call("POST", f"/events/{event}/cancel", token=boss)).json()["state"] == "cancelled"
        assert [row["event"] for row in (await live.call("GET", "/events", token=one)).json()] == [event]
