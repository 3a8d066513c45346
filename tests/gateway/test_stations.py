"""Pickup stations over the API: the merchant makes them, buyers choose them, a leader hands over by code."""

from pathlib import Path

from tests.gateway.rig import rig


async def test_an_order_is_fetched_at_its_station_by_code_from_its_leader(tmp_path: Path) -> None:
    async with rig(tmp_path) as app:
        boss = app.shop.merchant_token
        leader, buyer = await app.guest(), await app.guest()
        body = {"name": "Gate 3", "address": "12 Lake Road", "leader": leader["person"], "capacity": 1}
        assert (await app.call("POST", "/stations", body, token=buyer["token"])).status_code == 403
        made = (await app.call("POST", "/stations", body, token=boss)).json()
        [seen] = (await app.call("GET", "/stations", token=buyer["token"])).json()
        assert (seen["left"], seen["mine"], seen["leader"]) == (1, False, None)
        assert (await app.call("GET", "/stations", token=leader["token"])).json()[0]["mine"]
        sku = (await app.call("GET", f"/rooms/{app.shop.room}/products")).json()[0]["sku"]
        delivery = {"method": "pickup", "name": "Bo", "phone": "13800138000", "station": made["station"]}
        asked = {"room": app.shop.room, "lines": [{"sku": sku, "quantity": 1}], "delivery": delivery}
        order = (await app.call("POST", "/orders", asked, token=buyer["token"], key="o")).json()["order"]
        await app.call("POST", f"/orders/{order['order']}/pay", {}, token=buyer["token"], key="p")
        full = await app.call("POST", "/orders", asked, token=buyer["token"], key="o2")
        assert (full.status_code, full.json()["code"]) == (422, "gone")
        base = f"/stations/{made['station']}"
        day = order["delivery"]["day"]
        assert (await app.call("GET", f"{base}/orders?day={day}", token=buyer["token"])).status_code == 404
        [waits] = (await app.call("GET", f"{base}/orders?day={day}", token=leader["token"])).json()
        assert (waits["order"], waits["name"], waits["fetched"]) == (order["order"], "Bo", False)
        code = {"code": order["delivery"]["code"]}
        assert (await app.call("POST", f"{base}/handovers", code, token=buyer["token"])).status_code == 404
        given = await app.call("POST", f"{base}/handovers", code, token=leader["token"])
        assert (given.status_code, given.json()["name"], given.json()["fetched"]) == (200, "Bo", True)
        again = await app.call("POST", f"{base}/handovers", code, token=leader["token"])
        assert (again.status_code, again.json()["code"]) == (422, "bad_code")
        moved = await app.call("PUT", base, body | {"name": "Gate 4", "open": False}, token=boss)
        assert (moved.json()["name"], moved.json()["open"]) == ("Gate 4", False)
        assert (await app.call("GET", "/stations", token=buyer["token"])).json() == []


async def test_a_leader_still_reads_a_day_on_which_somebody_fetched_who_was_erased_since(tmp_path: Path) -> None:
    async with rig(tmp_path) as app:
        boss = app.shop.merchant_token
        leader, buyer = await app.guest(), await app.guest()
        body = {"name": "Gate 3", "address": "12 Lake Road", "leader": leader["person"], "capacity": 9}
        station = (await app.call("POST", "/stations", body, token=boss)).json()["station"]
        sku = (await app.call("GET", f"/rooms/{app.shop.room}/products")).json()[0]["sku"]
        delivery = {"method": "pickup", "name": "Bo", "phone": "13800138000", "station": station}
        asked = {"room": app.shop.room, "lines": [{"sku": sku, "quantity": 1}], "delivery": delivery}
        order = (await app.call("POST", "/orders", asked, token=buyer["token"], key="o")).json()["order"]
        await app.call("POST", f"/orders/{order['order']}/pay", {}, token=buyer["token"], key="p")
        # Whose orders wait at somebody's door, that one cannot be forgotten yet.
        waits = await app.call("POST", f"/people/{leader['person']}/erase", {"reason": "asked"}, token=boss)
        assert (waits.status_code, waits.json()["code"]) == (422, "not_open")
        code = {"code": order["delivery"]["code"]}
        await app.call("POST", f"/stations/{station}/handovers", code, token=leader["token"])
        assert (await app.call("POST", f"/orders/{order['order']}/done", token=buyer["token"])).status_code == 200
        assert (await app.call("DELETE", "/me/data", token=buyer["token"])).status_code == 200
        path = f"/stations/{station}/orders?day={order['delivery']['day']}"
        [fetched] = (await app.call("GET", path, token=leader["token"])).json()
        assert (fetched["name"], fetched["fetched"]) == ("", True)
        gone = await app.call("POST", f"/people/{leader['person']}/erase", {"reason": "asked"}, token=boss)
        assert gone.status_code == 200
        [closed] = (await app.call("GET", "/stations", token=boss)).json()
        assert (closed["name"], closed["address"], closed["open"]) == ("", "", False)
