"""Whoever is found to be somebody known: what staff decided about either holds for both, and comes apart again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from chat.errors import CommandRefused
from gateway.members import member_of
from tests.gateway.rig import Rig, rig
from tests.gateway.test_ban_devices import command, enters


@pytest.fixture
async def live(tmp_path: Path) -> AsyncIterator[Rig]:
    async with rig(tmp_path) as running:
        running.clock.stop()
        yield running


async def two(live: Rig) -> tuple[dict[str, Any], dict[str, Any]]:
    """The elder and the younger of two guests, with tokens of before the merge."""
    elder = await live.guest(device="a")
    live.clock.ahead_ms += 10
    return elder, await live.guest(device="b")


async def merge(live: Rig, one: dict[str, Any], other: dict[str, Any]) -> str:
    body = {"other": other["person"], "reason": "同一位顾客"}
    merged = await live.call("POST", f"/people/{one['person']}/merges", body, token=live.shop.merchant_token)
    assert (merged.status_code, merged.json()["person"]) == (201, one["person"]), merged.text
    entry: str = merged.json()["merge"]
    return entry


async def part(live: Rig, entry: str) -> None:
    assert (await live.call("POST", f"/merges/{entry}/undo", token=live.shop.merchant_token)).status_code == 200


async def says(live: Rig, guest: dict[str, Any], text: str = "你好") -> str:
    """What becomes of a line: empty when it is said, else the code."""
    live.clock.ahead_ms += 3_000
    answer = await command(live, guest["token"], "chat.send", text=text)
    return "" if answer.get("ok") else str(answer["error"]["code"])


def as_they_came(live: Rig, guest: dict[str, Any]) -> Callable[[str], str]:
    """Somebody whose connection was open before the merge: the hub knows them by the id of then."""
    services = live.application.services
    known = member_of(services.tokens.read(guest["token"]))

    def judged(text: str) -> str:
        live.clock.ahead_ms += 3_000
        gate = services.hub.channel(live.shop.room).gate
        try:
            return "shadow" if gate.judge(known, text, live.clock()).shadow else ""
        except CommandRefused as refused:
            return refused.code

    return judged


async def test_a_mute_follows_into_a_merge_either_way_and_comes_apart_again(live: Rig) -> None:
    elder, younger = await two(live)
    host = live.shop.host_token
    before, after = as_they_came(live, younger), as_they_came(live, elder)
    for muted, free, open_ in ((younger, elder, after), (elder, younger, before)):
        assert (await command(live, host, "mute", person=muted["person"], seconds=3_600))["ok"]
        assert (await says(live, muted), await says(live, free), open_("x")) == ("muted", "", "")
        entry = await merge(live, elder, younger)
        assert (await says(live, free), open_("x"), await says(live, muted)) == ("muted", "muted", "muted")
        await part(live, entry)
        assert (await says(live, muted), await says(live, free), open_("x")) == ("muted", "", "")
        assert (await command(live, host, "unmute", person=muted["person"]))["ok"]


async def test_of_two_mutes_the_later_end_counts_and_one_word_lifts_both(live: Rig) -> None:
    elder, younger = await two(live)
    host = live.shop.host_token
    await command(live, host, "mute", person=elder["person"], seconds=60)
    await command(live, host, "mute", person=younger["person"], seconds=3_600, shadow=True)
    await merge(live, elder, younger)
    assert (await says(live, elder), as_they_came(live, elder)("x")) == ("muted", "muted")
    live.clock.ahead_ms += 60_000
    assert as_they_came(live, elder)("x") == as_they_came(live, younger)("x") == "shadow"
    assert (await command(live, host, "unmute", person=elder["person"]))["ok"]
    assert as_they_came(live, elder)("x") == as_they_came(live, younger)("x") == ""
    services = live.application.services
    assert await live.application.bridge._rules.of_room(services.rooms.get(live.shop.room).id) == []


async def test_slow_mode_and_the_rate_count_both_ids_as_one(live: Rig) -> None:
    elder, younger = await two(live)
    await command(live, live.shop.host_token, "chat.slow", seconds=600)
    assert (await says(live, younger), await says(live, elder)) == ("", "")
    before = as_they_came(live, younger)
    entry = await merge(live, elder, younger)
    live.clock.ahead_ms += 580_000
    assert (await says(live, younger), as_they_came(live, elder)("x")) == ("slow_mode", "slow_mode")
    live.clock.ahead_ms += 600_000
    assert (before("x"), await says(live, elder)) == ("", "slow_mode")
    await part(live, entry)
    assert await says(live, elder) == ""
    await command(live, live.shop.host_token, "chat.slow", seconds=0)
    tokens = live.application.services.tokens
    came = [member_of(tokens.read(guest["token"])) for guest in (elder, younger)]
    await merge(live, elder, younger)
    live.clock.ahead_ms += 60_000
    gate, now = live.application.services.hub.channel(live.shop.room).gate, live.clock()
    said = 0
    for number in range(12):
        try:
            gate.judge(came[number % 2], "x", now)
            said += 1
        except CommandRefused as refused:
            assert refused.code == "rate"
    assert said == 5


async def test_a_ban_closes_the_connection_that_the_other_one_has_open(live: Rig) -> None:
    elder, younger = await two(live)
    services, room = live.application.services, live.shop.room
    assert await enters(live, elder["token"]) == 200
    assert services.hub.is_present(room, elder["person"])
    assert (await command(live, live.shop.host_token, "ban", person=younger["person"]))["ok"]
    assert services.hub.is_present(room, elder["person"])
    entry = await merge(live, elder, younger)
    assert not services.hub.is_present(room, elder["person"])
    assert [await enters(live, one["token"]) for one in (elder, younger)] == [403, 403]
    await part(live, entry)
    assert [await enters(live, one["token"]) for one in (elder, younger)] == [200, 403]
    await merge(live, elder, younger)
    assert (await command(live, live.shop.host_token, "unban", person=elder["person"]))["ok"]
    assert [await enters(live, one["token"]) for one in (elder, younger)] == [200, 200]


async def test_what_one_id_asked_and_voted_is_the_others_as_well(live: Rig) -> None:
    elder, younger = await two(live)
    host = live.shop.host_token
    asked = (await command(live, younger["token"], "question.ask", text="能退吗?"))["question"]
    poll = (await command(live, host, "poll.start", title="?", options=["a", "b"]))["poll"]["poll"]
    for guest, option in ((elder, 0), (younger, 1)):
        assert (await command(live, guest["token"], "poll.vote", poll=poll, option=option))["ok"]
    await merge(live, elder, younger)
    mine = (await command(live, elder["token"], "question.list"))["questions"]
    assert [one["question"] for one in mine] == [asked]
    assert (await command(live, elder["token"], "question.drop", question=asked))["ok"]
    again = await command(live, younger["token"], "poll.vote", poll=poll, option=1)
    assert again["error"]["code"] == "already"
    await command(live, host, "poll.end", poll=poll)
    polls = (await live.call("GET", f"/rooms/{live.shop.room}/polls", token=host)).json()["items"]
    assert polls[0]["votes"] == [1, 0]


async def test_what_one_process_merged_holds_at_another_once_it_has_read_it(tmp_path: Path) -> None:
    async with rig(tmp_path / "one") as live:
        elder, younger = await two(live)
        host = live.shop.host_token
        await command(live, host, "mute", person=younger["person"], seconds=3_600)
        await command(live, host, "ban", person="nobody")
        await merge(live, elder, younger)
        async with rig(tmp_path / "two", filled=tmp_path / "one" / "data") as after:
            # Begun with what the other one left: rooms, mutes, aliases.
            assert await says(after, elder) == "muted"
            aliases = after.application.services.shop.aliases
            heard: list[set[str]] = []
            aliases.listen(lambda people: heard.append(set(people)))
            aliases.learn({younger["person"]: younger["person"]})
            assert heard == [{elder["person"], younger["person"]}]
            assert await says(after, elder) == ""


class Polls:
    """One connection that stays what it was opened as: numbers and texts of the personal events that it is brought."""

    def __init__(self, live: Rig, guest: dict[str, Any]) -> None:
        self._live, self._token = live, guest["token"]
        self._session, self._number = "", 0
        self._news: list[tuple[int, str]] = []

    async def open(self) -> str:
        """Ask once; the session that answers."""
        query = {"token": self._token, "poll": self._session, "n": str(self._number)}
        said = (await self._live.client.get(f"/poll/{self._live.shop.room}", params=query)).json()
        self._session, self._number = said["poll"], said["n"]
        self._news += [(one["a"], one["text"]) for one in said["items"] if "a" in one]
        return self._session

    async def news(self, count: int) -> list[tuple[int, str]]:
        """The next so many."""
        async with asyncio.timeout(60):
            while len(self._news) < count:
                await self.open()
        found, self._news = self._news, []
        return found


async def test_personal_events_reach_the_sockets_of_either_id_and_wait_until_one_acknowledges(live: Rig) -> None:
    elder, younger = await two(live)
    hub, room = live.application.services.hub, live.shop.room

    async def tell(person: str, text: str) -> None:
        told = hub.send_personal(room, person, {"t": "custom", "text": text}, once=text)
        assert told is not None
        await told

    # What was told before the two were one comes to both when they are.
    await tell(elder["person"], "to the elder")
    await tell(younger["person"], "to the younger")
    here = Polls(live, younger)
    session = await here.open()
    assert await here.news(1) == [(1, "to the younger")]
    await merge(live, elder, younger)
    assert [text for _, text in await here.news(2)] == ["to the elder", "to the younger"]
    await tell(elder["person"], "to both")
    ((number, text),) = await here.news(1)
    assert (text, await here.open()) == ("to both", session), "the connection is another one"
    assert (await command(live, younger["token"], "ack", to=number))["ok"]
    # Another connection, under the id that goes on: nothing that was acknowledged, and all that comes.
    other = Polls(live, elder)
    await other.open()
    await tell(younger["person"], "after it")
    assert await other.news(1) == await here.news(1) == [(number + 1, "after it")]
