"""How close a customer is, who could speak for the shop, notes of visits: told with reasons, scoped, erased."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.gateway.rig import Rig, rig

pytestmark = pytest.mark.asyncio(loop_scope="module")

NOTE = {"body": "喜欢清淡的绿茶。", "place": "南京路店"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def live(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    async with rig(tmp_path_factory.mktemp("relations")) as running:
        running.clock.stop()
        yield running


async def done(live: Rig, method: str, path: str, body: Any = None, *, token: str | None = None, **more: Any) -> Any:
    answer = await live.call(method, path, body, token=token or live.shop.merchant_token, **more)
    assert answer.status_code < 300, answer.text
    return answer.json()


async def buy(live: Rig, token: str, key: str) -> str:
    lines = {"room": live.shop.room, "lines": [{"sku": live.shop.products[0]["sku"], "quantity": 1, "version": 1}]}
    order = await done(live, "POST", "/orders", lines, token=token, key=f"order-{key}")
    number = str(order["order"]["order"])
    await done(live, "POST", f"/orders/{number}/pay", token=token, key=f"payment-{key}")
    return number


async def count(live: Rig) -> None:
    """Count what was logged, as it is done every some seconds."""
    live.clock.ahead_ms += 10_000
    await live.application.services.crm.reckon()


async def test_a_relationship_is_told_with_what_it_was_reckoned_from(live: Rig) -> None:
    viewer = await live.guest()
    path = f"/people/{viewer['person']}/relation"
    await count(live)
    weak = await done(live, "GET", path)
    assert (weak["level"], weak["total"], weak["parts"]) == ("weak", 2, [{"name": "visits", "n": 1, "points": 2}])
    for n in range(4):
        await buy(live, viewer["token"], f"{n:04}")
    strong = await done(live, "GET", path)
    assert (strong["level"], strong["total"]) == ("strong", 42)
    assert {part["name"]: part["points"] for part in strong["parts"]} == {"visits": 2, "orders": 40}
    await done(live, "POST", "/me/consents", {"purpose": "profile", "granted": False}, token=viewer["token"])
    assert (await done(live, "GET", path))["level"] is None
    assert (await live.call("GET", path, token=live.other.merchant_token)).status_code == 404


async def test_who_is_active_and_brought_three_is_a_candidate_unless_they_want_no_sorting(live: Rig) -> None:
    star = await live.guest(name="小星")
    link = await done(live, "POST", "/links", {"room": live.shop.room}, token=star["token"])
    for _ in range(2):
        await live.guest(scene=link["token"])
    for n in range(3):
        await buy(live, star["token"], f"{n:04}")
    await count(live)
    assert await done(live, "GET", "/candidates") == []  # 42 points, two people
    await live.guest(scene=link["token"])
    await count(live)
    [found] = await done(live, "GET", "/candidates")
    assert (found["person"], found["name"], found["score"]) == (star["person"], "小星", 47)
    assert await done(live, "GET", "/candidates", token=live.other.merchant_token) == []
    await done(live, "POST", "/me/consents", {"purpose": "profile", "granted": False}, token=star["token"])
    assert await done(live, "GET", "/candidates") == []


async def test_notes_of_visits_are_told_to_the_customer_and_go_with_them(live: Rig) -> None:
    viewer = await live.guest()
    path = f"/people/{viewer['person']}/notes"
    note = (await done(live, "POST", path, NOTE))["note"]
    [read] = await done(live, "GET", path)
    assert (read["body"], read["place"], read["mine"]) == (NOTE["body"], NOTE["place"], True)
    late = await live.call("POST", path, {**NOTE, "visited": 10**15}, token=live.shop.merchant_token)
    assert late.json()["code"] == "invalid"
    for method, where, body in (("GET", path, None), ("POST", path, NOTE), ("DELETE", f"{path}/{note}", None)):
        assert (await live.call(method, where, body, token=live.other.merchant_token)).status_code == 404
        assert (await live.call(method, where, body, token=live.shop.host_token)).status_code == 403
        assert (await live.call(method, where, body, token=viewer["token"])).status_code == 403
    held = (await done(live, "GET", "/me/data", token=viewer["token"]))["held"]
    assert held["visit_note"][0]["body"] == NOTE["body"] and "staff" not in held["visit_note"][0]
    await done(live, "POST", f"/people/{viewer['person']}/erase", {"reason": "asked"})
    assert await done(live, "GET", path) == []
