"""What happens by itself: once, when its time has come, after a restart as well, and no oftener than its caps."""

from pathlib import Path
from typing import Any

import orjson

from commerce.basket import DropTerms
from commerce.crm.automations import Automations
from commerce.domain.day import DAY_MS
from commerce.events import CouponClaimed
from commerce.payment_sandbox import SandboxProvider
from commerce.shop import Shop
from commerce.store_sql import open_store
from tests.commerce.shop_world import MERCHANT, ROOM
from tests.commerce.test_crm import NEVER_BOUGHT, TWICE, Place, code_of, open_place

COME_BACK: dict[str, Any] = {"all": [TWICE, NEVER_BOUGHT]}
COUPON: dict[str, Any] = {
    "kind": "coupon",
    "room": ROOM,
    "title": "回来看看",
    "reason": "来过两次，送您一张",
    "amount": 500,
    "threshold": 0,
    "total": 9,
    "valid_s": 86_400,
}
HALF_HOUR_S = 1_800


async def kept(here: Place, **more: Any) -> tuple[Automations, str]:
    """An automation that gives who came twice and did not buy a coupon after half an hour."""
    automations = Automations(here.world.store, here.world.shop, clock=here.world.clock)
    here.crm.afterwards(automations.look)
    given: dict[str, Any] = {"condition": COME_BACK, "action": COUPON, "delay_s": HALF_HOUR_S, "again": 0} | more
    return automations, await automations.add(MERCHANT, "boss", "来过没买", **given)


async def states(here: Place, automations: Automations, automation: str) -> dict[str, tuple[str, str]]:
    rows = await automations.runs(MERCHANT, automation, 50)
    return {row["person"]: (row["state"], row["why"]) for row in rows}


async def test_who_came_twice_and_did_not_buy_gets_a_coupon_with_its_reason_once(place: Path | str) -> None:
    async with open_place(place) as here:
        automations, automation = await kept(here)
        once, twice, buyer = [await here.person() for _ in range(3)]
        here.enter(once)
        here.enter(twice, 2)
        here.enter(buyer, 2)
        await here.reckon()
        assert set(await states(here, automations, automation)) == {twice, buyer}
        await here.world.shop.sweep()
        assert await here.world.shop.coupons(MERCHANT, twice) == []
        await here.buy(buyer)
        here.world.clock.advance(HALF_HOUR_S * 1000)
        await here.world.shop.sweep()
        assert await states(here, automations, automation) == {twice: ("done", ""), buyer: ("skipped", "changed")}
        [coupon] = await here.world.shop.coupons(MERCHANT, twice)
        assert (coupon.reason, coupon.amount) == ("来过两次，送您一张", 500)
        assert [event.person for event in await here.world.told() if isinstance(event, CouponClaimed)] == [twice]
        await here.reckon()
        here.world.clock.advance(HALF_HOUR_S * 1000)
        await here.world.shop.sweep()
        assert len(await here.world.shop.coupons(MERCHANT, twice)) == 1
        [listed] = await automations.automations(MERCHANT)
        assert (listed["counts"], listed["action"]["reason"]) == ({"done": 1, "skipped": 1}, COUPON["reason"])


async def test_a_run_that_waits_is_done_after_a_restart(tmp_path: Path) -> None:
    async with open_place(tmp_path) as here:
        await kept(here)
        twice = await here.person()
        here.enter(twice, 2)
        await here.reckon()
        clock = here.world.clock
    clock.advance(HALF_HOUR_S * 1000)
    store = open_store(tmp_path)
    provider = SandboxProvider(b"sandbox-secret", clock=clock)
    shop = Shop(store, clock=clock, provider=provider, sweep_s=0)
    try:
        await shop.start()
        await shop.sweep()
        assert [coupon.title for coupon in await shop.coupons(MERCHANT, twice)] == ["回来看看"]
    finally:
        await provider.aclose()
        await shop.close()
        store.close()


async def test_who_is_merged_while_waiting_gets_one_coupon_of_two_runs_and_no_third(anywhere: Path | str) -> None:
    async with open_place(anywhere) as here:
        automations, automation = await kept(here, again=7)
        elder, younger = await here.person(), await here.person()
        here.enter(elder, 2)
        await here.reckon()
        await here.identities.merge(MERCHANT, elder, younger, "boss", "the same face")
        await here.reckon()
        assert set(await states(here, automations, automation)) == {elder}
        here.world.clock.advance(HALF_HOUR_S * 1000)
        await here.world.shop.sweep()
        await here.reckon()
        assert len(await here.world.shop.coupons(MERCHANT, elder)) == 1


async def test_it_comes_again_after_its_days_and_not_before(anywhere: Path | str) -> None:
    async with open_place(anywhere) as here:
        await here.crm.put_tag(MERCHANT, "boss", "常客", "manual", None)
        action = {"kind": "tag", "tag": "常客"}
        condition = {"event": "room_entry", "at_least": 1, "days": 60}
        automations, automation = await kept(here, condition=condition, action=action, delay_s=0, again=30)
        one = await here.person()
        here.enter(one)
        for days, runs in ((1, 1), (15, 1), (15, 2)):
            await here.reckon()
            await here.world.shop.sweep()
            here.world.clock.advance(days * DAY_MS)
            await here.reckon()
            assert len(await automations.runs(MERCHANT, automation, 9)) == runs
        assert await here.tags(one) == ["常客"]


async def test_switched_off_it_begins_nothing_and_skips_what_waits(anywhere: Path | str) -> None:
    async with open_place(anywhere) as here:
        automations, automation = await kept(here)
        one, two = await here.person(), await here.person()
        here.enter(one, 2)
        await here.reckon()
        assert await code_of(automations.turn("m2", automation, active=False)) == "not_found"
        await automations.turn(MERCHANT, automation, active=False)
        here.enter(two, 2)
        await here.reckon()
        here.world.clock.advance(HALF_HOUR_S * 1000)
        await here.world.shop.sweep()
        assert await states(here, automations, automation) == {one: ("skipped", "off")}


async def test_a_message_of_an_automation_is_written_once_in_the_ledgers_own_transaction(anywhere: Path | str) -> None:
    async with open_place(anywhere) as here:
        body = {"template": "SMS_1", "params": {"what": "春茶"}}
        await kept(here, action={"kind": "message", "channel": "sms", "body": body}, delay_s=0)
        one = await here.person()
        here.enter(one, 2)
        await here.reckon()
        await here.world.shop.sweep()
        await here.world.shop.sweep()
        rows = await here.world.query("SELECT person, channel, purpose, state, body FROM message")
        assert [tuple(row)[:4] for row in rows] == [(one, "sms", "marketing", "waiting")]
        assert orjson.loads(rows[0].body) == body


async def test_a_giving_of_an_automation_is_not_caught_by_a_tap(anywhere: Path | str) -> None:
    async with open_place(anywhere) as here:
        automations, _ = await kept(here)
        [listed] = await automations.automations(MERCHANT)
        drop = listed["action"]["drop"]
        assert await code_of(here.world.shop.claim_coupon(MERCHANT, ROOM, "one", drop, "k")) == "not_found"
        for action in ({"kind": "fireworks"}, {**COUPON, "reason": ""}, {**COUPON, "amount": 0}, {"kind": "tag"}):
            assert await code_of(kept(here, action=action)) == "invalid"
        assert DropTerms(way="auto").way == "auto"


async def test_a_popup_shows_itself_as_often_as_its_caps_allow_also_to_who_was_merged(place: Path | str) -> None:
    async with open_place(place) as here:
        automations = Automations(here.world.store, here.world.shop, clock=here.world.clock)
        now_ms = here.world.clock()
        given: dict[str, Any] = {
            "title": "新客礼",
            "body": {"text": "领一张", "image": "", "url": "", "drop": ""},
            "room": "",
            "condition": NEVER_BOUGHT,
            "per_day": 2,
            "total": 3,
            "from_ms": now_ms,
            "until_ms": now_ms + 30 * DAY_MS,
        }
        popup = await automations.add_popup(MERCHANT, "boss", given)
        elder, younger, buyer = [await here.person() for _ in range(3)]
        await here.buy(buyer)

        async def shown(person: str) -> bool:
            return await automations.next_popup(MERCHANT, ROOM, person) is not None

        assert [await shown(elder) for _ in range(3)] == [True, True, False]
        assert not await shown(buyer)
        assert await automations.next_popup("m2", ROOM, younger) is None
        assert await shown(younger)
        await automations.clicked(MERCHANT, popup, younger)
        await here.identities.merge(MERCHANT, elder, younger, "boss", "the same face")
        here.world.clock.advance(DAY_MS)
        assert not await shown(younger)
        [row] = await automations.popups(MERCHANT)
        assert (row["shown"], row["people"], row["clicks"]) == (3, 2, 1)
        assert await code_of(automations.clicked(MERCHANT, popup, buyer)) == "not_found"
        await automations.turn_popup(MERCHANT, popup, active=False)
        assert not await shown(await here.person())
        for wrong in ({"url": "http://x"}, {"text": " "}):
            bad = {**given, "body": {**given["body"], **wrong}}
            assert await code_of(automations.add_popup(MERCHANT, "boss", bad)) == "invalid"
