"""Long polling: the room for a client that only asks."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from chat.errors import TokenRefused
from chat.limits import HubLimits
from chat.member import Member
from chat.message import JoinRequest, Tier, parse_since
from chat.regard import regard
from tests.chat.rig import Clock, Rig, eventually, member_of, running

QUICK = HubLimits(poll_pause_ms=1)
SHORT = HubLimits(poll_pause_ms=1, poll_wait_ms=50)


class Asker:
    """A client that polls, as docs/hub.md says."""

    def __init__(self, rig: Rig, token: str = "ann", since: str = "") -> None:
        self.rig = rig
        self.token = token
        self.since = since
        self.session = ""
        self.number = 0
        self.pending: list[dict[str, Any]] = []

    async def ask(self, **other: Any) -> dict[str, Any]:
        """One question and its answer."""
        request = JoinRequest("show", self.token, parse_since(self.since))
        asked = {"session": self.session, "seen": self.number, **other}
        answer: dict[str, Any] = json.loads(await self.rig.hub.poll(request, "127.0.0.1", **asked))
        return answer

    async def step(self) -> list[dict[str, Any]]:
        """Ask, and take note of the answer."""
        answer = await self.ask()
        self.session, self.number = answer["poll"], answer["n"]
        items: list[dict[str, Any]] = answer["items"]
        for item in items:
            if item["t"] == "room":
                self.since = f"{item['epoch']}:{item['offset']}"
            elif "o" in item:
                self.since = f"{self.since.partition(':')[0]}:{item['o']}"
        return items

    async def event(self, kind: str) -> dict[str, Any]:
        """Ask until an event of a type comes."""
        while True:
            for index, item in enumerate(self.pending):
                if item["t"] == kind:
                    return self.pending.pop(index)
            self.pending += await self.step()


async def test_the_first_answer_is_the_room_and_the_next_what_happened_since() -> None:
    async with running(limits=QUICK) as rig, rig.client("bob") as bob:
        ann = Asker(rig)
        assert [item["t"] for item in await ann.step()] == ["room"]
        for text in ("one", "two", "three"):
            assert (await bob.ask("chat.send", text=text))["ok"]
        # What comes between two questions is kept, and comes in order.
        assert [(await ann.event("chat"))["text"] for _ in range(3)] == ["one", "two", "three"]
        waiting = asyncio.create_task(ann.event("chat"))
        await asyncio.sleep(0.02)
        assert not waiting.done()
        assert (await bob.ask("chat.send", text="four"))["ok"]
        assert (await waiting)["text"] == "four"
        assert rig.hub.stats("show").viewers == 2


async def test_an_answer_that_was_lost_is_given_again() -> None:
    async with running(limits=QUICK) as rig:
        ann = Asker(rig)
        await ann.step()
        rig.hub.publish("show", {"t": "pin"}, tier=Tier.P0)
        lost = await ann.ask()
        assert [item["t"] for item in lost["items"] if item["t"] == "pin"] == ["pin"]
        assert await ann.ask() == lost
        ann.number = lost["n"]
        rig.hub.publish("show", {"t": "unpin"}, tier=Tier.P0)
        assert (await ann.event("unpin"))["o"] == 2


async def test_a_question_without_news_is_answered_empty_after_a_while() -> None:
    async with running(limits=SHORT) as rig:
        ann = Asker(rig)
        await ann.event("viewers")
        assert await ann.step() == []


async def test_a_second_question_ends_the_first() -> None:
    async with running(limits=QUICK) as rig:
        ann = Asker(rig)
        await ann.event("viewers")
        first = asyncio.create_task(ann.ask())
        await asyncio.sleep(0.02)
        second = asyncio.create_task(ann.ask())
        assert (await first)["items"] == []
        rig.hub.publish("show", {"t": "pin"}, tier=Tier.P0)
        assert [item["t"] for item in (await second)["items"]] == ["pin"]


async def test_answers_to_one_client_keep_their_distance() -> None:
    async with running(limits=HubLimits(poll_pause_ms=200)) as rig:
        ann = Asker(rig)
        loop = asyncio.get_running_loop()
        start_s, answers = loop.time(), 0
        while loop.time() - start_s < 0.5:
            rig.hub.publish("show", {"t": "pin"}, tier=Tier.P0)
            await ann.step()
            answers += 1
        assert answers <= 4


async def test_a_session_that_is_not_known_begins_anew_where_it_was() -> None:
    async with running(limits=QUICK) as rig:
        ann = Asker(rig)
        await ann.step()
        rig.hub.publish("show", {"t": "pin"}, tier=Tier.P0)
        await eventually(lambda: rig.hub.stats("show").offset == 1)
        ann.session = "gone"
        (room,) = [item for item in await ann.step() if item["t"] == "room"]
        assert room["resumed"] is True and [event["t"] for event in room["history"]] == ["pin"]
        # The session of another is nobody else's.
        bob = Asker(rig, "bob")
        bob.session = ann.session
        assert (await bob.step())[0]["you"]["person"] == "bob"


async def test_who_does_not_ask_for_long_is_gone() -> None:
    async with running(limits=QUICK) as rig:
        ann = Asker(rig)
        await ann.step()
        rig.clock.ahead_ms += QUICK.poll_gone_ms + 1
        await eventually(lambda: rig.hub.stats("show").viewers == 0 and not rig.hub._polls)


async def test_a_session_that_gathers_too_much_gets_the_state_instead() -> None:
    async with running(limits=QUICK) as rig:
        ann = Asker(rig)
        await ann.step()
        for number in range(60):
            rig.hub.publish("show", {"t": "note", "n": number, "text": "x" * 6_000}, tier=Tier.P0)
            await asyncio.sleep(0)
        await eventually(lambda: rig.hub.stats("show").skipping == 1)
        first = await ann.step()
        assert 20 < len([item for item in first if item["t"] == "note"]) < 60
        (room,) = [item for item in await ann.step() if item["t"] == "room"]
        assert (room["resumed"], room["offset"]) == (False, 60)
        assert rig.hub.stats("show").skipping == 0


async def test_a_kick_tells_who_waits_and_a_ban_who_asks() -> None:
    async with running(limits=QUICK) as rig, rig.client("host.host") as host:
        ann = Asker(rig)
        await ann.event("viewers")
        waiting = asyncio.create_task(ann.ask())
        await asyncio.sleep(0.02)
        assert (await host.ask("kick", person="ann", reason="enough"))["ok"]
        answer = await waiting
        assert [item["t"] for item in answer["items"]] == ["kick"]
        assert answer["close"] == {"code": 4403, "reason": "enough"}
        assert (await host.ask("ban", person="ann"))["ok"]
        with pytest.raises(TokenRefused, match="banned"):
            await Asker(rig).step()
        with pytest.raises(TokenRefused, match="no token"):
            await Asker(rig, "").step()


async def test_a_drain_ends_sessions_and_takes_no_new_ones() -> None:
    async with running(limits=QUICK) as rig:
        ann, idle = Asker(rig), Asker(rig, "bob")
        await idle.step()
        await ann.event("viewers")
        waiting = asyncio.create_task(ann.ask())
        await asyncio.sleep(0.02)
        await rig.hub.drain()
        assert (await waiting)["close"]["code"] == 4000
        assert not rig.hub._polls
        with pytest.raises(TokenRefused, match="retry_ms"):
            await Asker(rig).step()


async def test_sessions_are_bounded() -> None:
    async with running(limits=HubLimits(polls=2)) as rig:
        for name in ("ann", "bob"):
            await Asker(rig, name).step()
        with pytest.raises(TokenRefused, match="full"):
            await Asker(rig, "cid").step()


async def test_one_address_has_so_many_sessions_and_who_leaves_makes_room() -> None:
    limits = HubLimits(polls_per_address=2, poll_pause_ms=1, poll_gone_ms=1_000, wheel_ms=10, wheel_round_ms=10)
    # What counts one subscriber's addresses as one; the proxy's own is not counted.
    networks = {"127.0.0.1": "", "2001:db8::1": "2001:db8::/64", "2001:db8::2": "2001:db8::/64"}
    async with running(limits=limits, network=networks.__getitem__) as rig:

        async def begin(address: str) -> None:
            await rig.hub.poll(JoinRequest("show", "ann", None), address)

        for address in (*networks, "127.0.0.1"):
            await begin(address)
        with pytest.raises(TokenRefused, match=r"address.*retry_ms=\d+") as refused:
            await begin("2001:db8::2")
        assert refused.value.code == 4229
        rig.clock.ahead_ms += 2_000
        await eventually(lambda: not rig.hub._polls)
        await begin("2001:db8::2")


async def test_a_token_that_expires_ends_a_session_and_a_renewed_one_keeps_it() -> None:
    async with running(limits=QUICK) as rig:
        clock: Clock = rig.clock
        ann = Asker(rig, f"ann.viewer.{clock() + 60_000}")
        await ann.event("viewers")
        ann.token = f"ann.viewer.{clock() + 600_000}"
        rig.hub.publish("show", {"t": "pin"}, tier=Tier.P0)
        await ann.event("pin")
        clock.ahead_ms += 20_000
        rig.hub.publish("show", {"t": "unpin"}, tier=Tier.P0)
        assert (await ann.event("unpin"))["o"] == 2


async def test_who_polls_is_told_of_their_rights_though_their_question_knew_of_them_first() -> None:
    role = "viewer"

    def standing(room: str, token: str) -> Member:
        return replace(member_of(room, token), role=role)

    async with running(limits=SHORT, authenticate=standing, stands=lambda room, who: replace(who, role=role)) as rig:
        ann = Asker(rig)
        assert (await ann.event("room"))["you"]["role"] == "viewer"
        role = "moderator"
        await ann.step()
        regard(rig.hub, {"ann"})
        assert [item["you"]["role"] for item in await ann.step() if item["t"] == "you"] == ["moderator"]
