"""Helper tasks: off by default, different helpers alone, a coupon once and out of a budget that cannot fall below 0."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import text

from commerce import helping_sql
from commerce.audit_sql import audit
from tests.gateway.rig import Rig, rig

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def live(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    async with rig(tmp_path_factory.mktemp("helping")) as running:
        running.clock.stop()
        yield running
        broken = [one for one in audit(running.application.services.shop._store.where) if not one.ok]
        assert not broken, broken


async def done(live: Rig, method: str, path: str, body: Any = None, *, token: str | None = None, **more: Any) -> Any:
    answer = await live.call(method, path, body, token=token or live.shop.merchant_token, **more)
    assert answer.status_code < 300, answer.text
    return answer.json()


async def task(live: Rig, *, budget: int = 500, needed: int = 2) -> str:
    await done(live, "PUT", "/crm/terms", {"helping": 1})
    body = {"room": live.shop.room, "title": "请两位茶友", "reason": "上新", "needed": needed, "amount": 500}
    body |= {"until": live.clock() + 86_400_000, "budget": budget}
    return str((await done(live, "POST", "/help-tasks", body))["task"])


async def shown(live: Rig, task: str) -> dict[str, Any]:
    return next(one for one in await done(live, "GET", "/help-tasks") if one["task"] == task)


async def friend(live: Rig, poster: str) -> str:
    return str((await live.call("POST", f"/help-posters/{poster}/open", {})).json()["token"])


async def test_enough_friends_bring_the_coupon_once_and_a_help_too_many_nothing(live: Rig) -> None:
    made = await task(live)
    owner = await live.guest(name="小星")
    poster = (await done(live, "POST", f"/help-tasks/{made}/posters", token=owner["token"]))["poster"]
    assert (await done(live, "POST", f"/help-tasks/{made}/posters", token=owner["token"]))["poster"] == poster
    path = f"/help-posters/{poster}"
    page = (await live.call("POST", f"{path}/open", {})).json()
    assert (page["owner"], page["helped"], page["needed"], page["open"]) == ("小星", 0, 2, True)
    assert (await live.client.get(f"/help/{poster}")).status_code == 200
    own = await live.call("POST", f"{path}/help", token=owner["token"])
    assert own.json()["code"] == "not_for_you"
    first = await friend(live, poster)
    assert await done(live, "POST", f"{path}/help", token=first) == {
        "helped": 1,
        "needed": 2,
        "done": False,
        "counted": True,
    }
    again = await live.call("POST", f"{path}/help", token=first)
    assert again.json()["code"] == "already"
    assert await done(live, "GET", "/coupons", token=owner["token"]) == []
    for _ in range(2):
        assert (await done(live, "POST", f"{path}/help", token=await friend(live, poster)))["done"] is True
    coupons = await done(live, "GET", "/coupons", token=owner["token"])
    assert [(one["amount"], one["reason"]) for one in coupons] == [(500, "上新")]
    [mine] = [one for one in await done(live, "GET", "/me/help-tasks", token=owner["token"]) if one["poster"]]
    assert (mine["helped"], mine["done"], mine["rewarded"]) == (3, True, True)
    row = await shown(live, made)
    assert (row["posters"], row["helpers"], row["given"], row["owed"], row["free"]) == (1, 3, 1, 0, 0)
    links = await done(live, "GET", "/links")
    mine = [one for one in links if one["issuer"] == owner["person"]]
    assert [one["channel"] for one in mine] == ["help"]
    held = (await done(live, "GET", "/me/data", token=first))["held"]["helping"]
    assert held[0]["poster"] == poster and "network" not in held[0]


async def test_the_name_of_a_helpers_network_is_forgotten_after_a_month(
    live: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await task(live, needed=3)
    owner = await live.guest()
    poster = (await done(live, "POST", f"/help-tasks/{made}/posters", token=owner["token"]))["poster"]
    helping, services = live.application.services.helping, live.application.services
    helper = await live.guest()
    await helping.help(live.shop.merchant, poster, helper["person"], "203.0.113.7")

    async def network() -> str:
        query = text("SELECT network FROM helping WHERE poster = :poster")
        found = await services.shop._store.read(lambda db: db.execute(query, {"poster": poster}).scalar_one())
        return str(found)

    named = await network()
    assert len(named) == 32 and await helping.forget() == 0
    assert helping_sql.KEPT_MS == 30 * 86_400_000
    monkeypatch.setattr(helping_sql, "KEPT_MS", -1)
    assert await helping.forget() >= 1 and await network() == ""


async def test_a_reward_that_the_budget_cannot_pay_waits_until_it_is_funded(live: Rig) -> None:
    made = await task(live, budget=499, needed=1)
    owner = await live.guest()
    poster = (await done(live, "POST", f"/help-tasks/{made}/posters", token=owner["token"]))["poster"]
    await done(live, "POST", f"/help-posters/{poster}/help", token=await friend(live, poster))
    row = await shown(live, made)
    assert (row["given"], row["owed"], row["free"]) == (0, 1, 499)
    helping = live.application.services.helping
    assert await helping.settle() == 0
    await done(live, "POST", "/budgets", {"issuer": made, "amount": 1}, key="fund-0001")
    assert (await helping.settle(), await helping.settle()) == (1, 0)
    assert len(await done(live, "GET", "/coupons", token=owner["token"])) == 1


async def test_helper_tasks_are_off_until_the_shop_turns_them_on_and_end_when_it_says(live: Rig) -> None:
    await done(live, "PUT", "/crm/terms", {"helping": 0})
    body = {"room": live.shop.room, "title": "x", "reason": "y", "needed": 1, "amount": 1, "budget": 0}
    body["until"] = live.clock() + 1_000
    refused = await live.call("POST", "/help-tasks", body, token=live.shop.merchant_token)
    assert (refused.status_code, refused.json()["code"]) == (422, "closed")
    made = await task(live)
    owner = await live.guest()
    poster = (await done(live, "POST", f"/help-tasks/{made}/posters", token=owner["token"]))["poster"]
    helper = await friend(live, poster)
    await done(live, "PATCH", f"/help-tasks/{made}", {"active": False})
    assert (await live.call("POST", f"/help-posters/{poster}/help", token=helper)).json()["code"] == "closed"
    await done(live, "PATCH", f"/help-tasks/{made}", {"active": True})
    await done(live, "PUT", "/crm/terms", {"helping": 0})
    assert (await live.call("POST", f"/help-posters/{poster}/help", token=helper)).json()["code"] == "closed"
    assert await done(live, "GET", "/me/help-tasks", token=owner["token"]) == []
    foreign = await live.call("PATCH", f"/help-tasks/{made}", {"active": True}, token=live.other.merchant_token)
    assert foreign.status_code in (404, 422)


async def test_one_person_helps_five_times_a_day_and_nobody_another_shops_customer(live: Rig) -> None:
    tasks = [await task(live) for _ in range(6)]
    owner, helper = await live.guest(), await live.guest()
    said = []
    for made in tasks:
        poster = (await done(live, "POST", f"/help-tasks/{made}/posters", token=owner["token"]))["poster"]
        said.append((await live.call("POST", f"/help-posters/{poster}/help", token=helper["token"])).status_code)
    assert said == [200] * 5 + [422]
    stranger = await live.guest(live.other.room)
    lost = await live.call("POST", f"/help-posters/{poster}/help", token=stranger["token"])
    assert lost.status_code == 404
