"""Tags, stages and segments over the API, from a visit to the coupon that only some may have."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from commerce.errors import Refused
from tests.gateway.rig import Rig, rig

TWICE: dict[str, Any] = {"event": "room_entry", "at_least": 2, "days": 7}


@pytest.fixture
async def live(tmp_path: Path) -> AsyncIterator[Rig]:
    async with rig(tmp_path) as running:
        yield running


async def done(live: Rig, method: str, path: str, body: Any = None, *, status: int = 200, **more: Any) -> Any:
    more.setdefault("token", live.shop.merchant_token)
    answer = await live.call(method, path, body, **more)
    assert answer.status_code == status, answer.text
    return answer.json()


async def reckon(live: Rig) -> None:
    """Let the log settle, and reckon."""
    live.clock.ahead_ms += 5_000
    live.application.services.crm.touched(live.shop.merchant)
    await live.application.services.crm.reckon()


async def test_who_comes_twice_is_tagged_by_rule_and_may_have_the_tags_coupon(live: Rig) -> None:
    once = await live.guest(device="once")
    twice = await live.guest(device="twice")
    await live.guest(device="twice")
    await done(live, "PUT", "/tags/常来", {"kind": "computed", "condition": TWICE})
    await reckon(live)
    assert [(row["name"], row["people"]) for row in await done(live, "GET", "/tags")] == [("常来", 1)]
    profile = await done(live, "GET", f"/people/{twice['person']}/profile")
    assert (profile["stage"], [one["tag"] for one in profile["tags"]]) == ("passer", ["常来"])

    body = {"title": "券", "reason": "常来的朋友", "amount": 500, "total": 9, "audience": "tag:常来"}
    room = live.shop.room
    drop = await done(live, "POST", f"/rooms/{room}/drops", body, status=201)
    assert drop["audience"] == "tag:常来"
    claim = live.application.services.shop.claim_coupon
    with pytest.raises(Refused, match="who has a tag"):
        await claim(live.shop.merchant, room, once["person"], drop["drop"], "k")
    await claim(live.shop.merchant, room, twice["person"], drop["drop"], "k")


async def test_a_segment_is_tried_kept_paged_and_forgotten(live: Rig) -> None:
    people = sorted([(await live.guest(device=f"d{n}"))["person"] for n in range(3)])
    await reckon(live)
    condition = {"event": "room_entry", "room": live.shop.room}
    preview = await done(live, "POST", "/segments/preview", {"condition": condition})
    assert (preview["count"], sorted(one["person"] for one in preview["people"])) == (3, people)
    made = await done(live, "POST", "/segments", {"name": "来过", "condition": condition}, status=201)
    path = f"/segments/{made['segment']}"
    page = await done(live, "GET", f"{path}/people?limit=2")
    rest = await done(live, "GET", f"{path}/people?limit=2&after={page['next']}")
    assert [one["person"] for one in page["items"] + rest["items"]] == people and rest["next"] is None
    await done(live, "GET", f"{path}/people", token=live.other.merchant_token, status=404)
    await done(live, "DELETE", path, token=live.other.merchant_token, status=404)
    await done(live, "DELETE", path)
    assert await done(live, "GET", "/segments") == []


async def test_tags_by_hand_are_for_staff_and_rules_for_who_runs_the_shop(live: Rig) -> None:
    guest = await live.guest()
    tag = f"/people/{guest['person']}/tags/茶友"
    await done(live, "PUT", tag, status=404)
    await done(live, "PUT", "/tags/茶友", {})
    for token in (guest["token"], live.shop.host_token):
        await done(live, "PUT", "/tags/别的", {}, token=token, status=403)
    await done(live, "PUT", tag, token=guest["token"], status=403)
    await done(live, "PUT", tag, token=live.other.merchant_token, status=404)
    # A host of one room: this is none of its customers.
    await done(live, "PUT", tag, token=live.shop.host_token, status=404)
    assert [one["tag"] for one in (await done(live, "PUT", tag))["tags"]] == ["茶友"]
    assert (await done(live, "DELETE", tag))["tags"] == []
    bad = await done(live, "POST", "/segments/preview", {"condition": {"event": "flying"}}, status=400)
    assert bad["code"] == "invalid" and "condition.event" in bad["detail"]
    terms = await done(live, "PUT", "/crm/terms", {"fan_days": 2, "open_hour": 9})
    assert (terms["fan_days"], terms["open_hour"], terms["loyal_orders"]) == (2, 9, 3)
    await done(live, "PUT", "/crm/terms", {"open_hour": 22}, status=400)


async def test_an_automation_and_a_popup_are_made_switched_and_shown_over_the_api(live: Rig) -> None:
    room, guest = live.shop.room, await live.guest(device="one")
    action = {"kind": "coupon", "room": room, "title": "券", "reason": "常来的朋友", "amount": 500, "total": 9}
    body = {"name": "来过没买", "condition": {"event": "room_entry"}, "action": action}
    made = await done(live, "POST", "/automations", body, status=201)
    await reckon(live)
    await live.application.services.shop.sweep()
    path = f"/automations/{made['automation']}"
    [run] = await done(live, "GET", f"{path}/runs")
    assert (run["person"], run["state"]) == (guest["person"], "done")
    assert [one["reason"] for one in await done(live, "GET", "/coupons", token=guest["token"])] == ["常来的朋友"]
    await done(live, "PATCH", path, {"active": False})
    assert [one["active"] for one in await done(live, "GET", "/automations")] == [False]
    await done(live, "PATCH", path, {"active": True}, token=live.other.merchant_token, status=404)
    elsewhere = {**body, "action": {**action, "room": live.other.room}}
    await done(live, "POST", "/automations", elsewhere, status=404)

    popup = {"title": "新客礼", "text": "今晚有惊喜", "until_ms": live.clock() + 60_000, "room": room}
    await done(live, "POST", "/popups", popup, status=201)
    upcoming = f"/rooms/{room}/popups/next"
    shown = (await done(live, "POST", upcoming, token=guest["token"]))["popup"]
    assert (shown["title"], shown["text"]) == ("新客礼", "今晚有惊喜")
    assert (await done(live, "POST", upcoming, token=guest["token"]))["popup"] is None
    await done(live, "POST", f"/popups/{shown['popup']}/click", token=guest["token"])
    [row] = await done(live, "GET", "/popups")
    assert (row["shown"], row["clicks"]) == (1, 1)
