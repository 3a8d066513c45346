"""Questions, polls and votes of a room, over crashes, ends of time and what a dead process left half said."""

from __future__ import annotations

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from chat.message import Asked, PollOpened
from gateway.hub_contract import EVENTS
from gateway.room_floor import RoomFloorKeeper
from tests.gateway.rig import Rig, rig
from tests.gateway.test_ban_devices import command
from tests.gateway.test_hub_contract import conforms
from tests.harness import LiveServer, live_server

WAIT_S = 60.0


async def first(live: Rig, token: str) -> dict[str, Any]:
    """The room as a newcomer sees it."""
    answer = await live.client.get(f"/poll/{live.shop.room}", params={"token": token})
    room: dict[str, Any] = answer.json()["items"][0]
    conforms(room, EVENTS["room"])
    return room


async def start(live: Rig, **more: Any) -> str:
    """Open a poll."""
    begun = await command(live, live.shop.host_token, "poll.start", title="喝哪种", options=["绿茶", "红茶"], **more)
    number: str = begun["poll"]["poll"]
    return number


def keeper(live: Rig) -> RoomFloorKeeper:
    services = live.application.services
    return RoomFloorKeeper(services.hub, services.room_floor)


async def test_what_was_asked_voted_and_announced_is_there_after_a_crash(tmp_path: Path) -> None:
    async with rig(tmp_path / "one") as live:
        host = live.shop.host_token
        ann, bob = [await live.guest(device=device) for device in ("a", "b")]
        asked = await command(live, ann["token"], "question.ask", text="能退吗?")
        done = await command(live, ann["token"], "question.ask", text="多少钱?")
        assert (await command(live, host, "question.answer", question=done["question"], text="九块九"))["ok"]
        poll = await start(live, seconds=600)
        assert (await command(live, ann["token"], "poll.vote", poll=poll, option=1))["ok"]
        assert (await command(live, host, "announce", text="七点抽奖", seconds=600))["ok"]
        actions = (await live.call("GET", f"/rooms/{live.shop.room}/audit", token=host)).json()["items"]
        assert [one["action"] for one in actions] == ["announce", "poll.start", "question.answer"]
        # What is in the files now is what a process leaves that is killed.
        async with rig(tmp_path / "two", filled=tmp_path / "one" / "data") as after:
            room = await first(after, ann["token"])
            assert (room["questions"], room["announcement"]["text"]) == (1, "七点抽奖")
            assert (room["poll"]["votes"], room["poll"]["state"]) == ([0, 1], "open")
            assert room["poll"]["ends"] == room["poll"]["started"] + 600_000
            again = await command(after, ann["token"], "poll.vote", poll=poll, option=0)
            assert again["error"]["code"] == "already"
            assert (await command(after, bob["token"], "poll.vote", poll=poll, option=1))["ok"]
            mine = (await command(after, ann["token"], "question.list"))["questions"]
            assert [one["question"] for one in mine] == [asked["question"]]
            assert (await command(after, ann["token"], "question.drop", question=asked["question"]))["ok"]
            assert (await command(after, after.shop.host_token, "poll.end", poll=poll))["ok"]
            async with rig(tmp_path / "three", filled=tmp_path / "two" / "data") as later:
                room = await first(later, ann["token"])
                assert (room["poll"]["votes"], room["poll"]["state"]) == ([0, 2], "ended")
                assert "questions" not in room or room["questions"] == 0


async def test_results_stay_readable_for_staff_alone(tmp_path: Path) -> None:
    async with rig(tmp_path) as live:
        path, host = f"/rooms/{live.shop.room}/polls", live.shop.host_token
        guest = await live.guest()
        polls = [await start(live)]
        await command(live, guest["token"], "poll.vote", poll=polls[0], option=0)
        refused = await command(live, host, "poll.start", title="?", options=["a", "b"])
        assert refused["error"]["code"] == "already"
        await command(live, host, "poll.end", poll=polls[0])
        polls.append(await start(live))
        page = (await live.call("GET", path + "?limit=1", token=host)).json()
        assert (page["items"][0]["poll"], page["items"][0]["ended"], page["next"]) == (polls[1], None, polls[1])
        rest = (await live.call("GET", f"{path}?after={page['next']}", token=host)).json()
        assert [(one["poll"], one["votes"]) for one in rest["items"]] == [(polls[0], [1, 0])]
        assert rest["items"][0]["ended"] is not None and rest["next"] is None
        assert (await live.call("GET", path, token=guest["token"])).status_code == 403


async def test_a_poll_ends_at_its_time_also_when_nobody_was_there_to_end_it(tmp_path: Path) -> None:
    async with rig(tmp_path / "one") as live:
        live.clock.stop()
        guest = await live.guest(device="a")
        poll = await start(live, seconds=60)
        assert (await command(live, guest["token"], "poll.vote", poll=poll, option=1))["ok"]
        async with rig(tmp_path / "two", filled=tmp_path / "one" / "data") as after:
            after.clock.stop()
            after.clock.ahead_ms = 61_000
            late = await command(after, guest["token"], "poll.vote", poll=poll, option=1)
            assert late["error"]["code"] in ("closed", "already")
            await keeper(after).look()
            room = await first(after, guest["token"])
            assert (room["poll"]["state"], room["poll"]["votes"]) == ("ended", [0, 1])


async def test_what_a_dead_process_wrote_down_and_did_not_tell_is_shown(tmp_path: Path) -> None:
    async with rig(tmp_path) as live:
        services, room = live.application.services, live.shop.room
        guest = await live.guest()
        await first(live, guest["token"])
        floor, keeping = services.room_floor, keeper(live)
        await floor.open_poll(room, "lost", "?", ["a", "b"], live.clock(), 0)
        await floor.vote([("lost", "x", 1)])
        await floor.ask(room, "q", "x", "X", "?", live.clock())
        services.hub.tell(room, Asked("never-written", "y", "Y", "?", 1))
        shown = services.hub.channel(room).room
        await keeping.mend()
        assert (shown.poll, [view["question"] for view in shown.questions.views()]) == (None, ["never-written"])
        await keeping.mend()
        assert shown.poll is not None and (shown.poll.poll, shown.poll.votes) == ("lost", [0, 1])
        assert [view["question"] for view in shown.questions.views()] == ["q"]
        await floor.end_poll(room, "lost")
        await keeping.mend()
        await keeping.mend()
        assert (shown.poll.ended, shown.poll.votes) == (True, [0, 1])


async def test_a_poll_that_nobody_was_told_of_is_shown_to_the_host_who_wants_another(tmp_path: Path) -> None:
    async with rig(tmp_path) as live:
        services, room = live.application.services, live.shop.room
        await services.room_floor.open_poll(room, "lost", "?", ["a", "b"], live.clock(), 0)
        refused = await command(live, live.shop.host_token, "poll.start", title="?", options=["a", "b"])
        assert refused["error"]["code"] == "already"
        assert (await command(live, live.shop.host_token, "poll.end", poll="lost"))["ok"]
        assert await start(live)


async def test_a_poll_that_was_never_written_down_can_be_ended(tmp_path: Path) -> None:
    async with rig(tmp_path) as live:
        hub, room = live.application.services.hub, live.shop.room
        hub.tell(room, PollOpened("older", "?", ("a", "b"), 1))
        guest = await live.guest()
        refused = await command(live, guest["token"], "poll.vote", poll="older", option=0)
        assert refused["error"]["code"] == "not_found"
        assert (await command(live, live.shop.host_token, "poll.end", poll="older"))["ok"]
        assert await start(live)


async def test_votes_that_cannot_be_written_are_refused_and_count_when_they_come_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with rig(tmp_path) as live:
        poll, guest = await start(live), await live.guest()
        floor = live.application.services.room_floor

        async def broken(votes: Any) -> list[str]:
            raise OSError("no space left")

        with monkeypatch.context() as patch:
            patch.setattr(type(floor), "vote", lambda self, votes: broken(votes))
            refused = (await command(live, guest["token"], "poll.vote", poll=poll, option=0))["error"]
            assert (refused["code"], refused["retry_ms"] > 0) == ("busy", True)
        assert (await command(live, guest["token"], "poll.vote", poll=poll, option=0))["ok"]
        assert (await first(live, guest["token"]))["poll"]["votes"] == [1, 0]


def one(server: LiveServer, token: str, number: int, **body: Any) -> dict[str, Any] | None:
    """The answer to one command, None when the server was gone before it came."""
    try:
        answer = server.call("POST", f"/rooms/{server.room}/commands?client=t", {"id": number, **body}, token=token)
        found: dict[str, Any] = answer.json()[0]
    except (httpx.TransportError, ValueError):
        return None
    return found


def cast_and_kill(server: LiveServer, voters: list[str], poll: str, after: int) -> set[str]:
    """Have all vote at once; kill the server when so many were answered. Returns who was told that it counts."""
    told: set[str] = set()
    enough = threading.Event()

    def vote(token: str) -> None:
        answer = one(server, token, 1, cmd="poll.vote", poll=poll, option=0)
        if answer is not None and answer.get("ok"):
            told.add(token)
            if len(told) >= after:
                enough.set()

    with ThreadPoolExecutor(8) as pool:
        voting = [pool.submit(vote, token) for token in voters]
        assert enough.wait(WAIT_S)
        server.kill()
        for done in voting:
            done.result()
    return told


def check_kills(folder: Path, voters_count: int, kills: int) -> None:
    """Kill the server under votes; nothing acknowledged is lost, and nobody votes twice."""
    with live_server(folder) as server:
        host = server.seed["host_token"]
        voters = [server.guest(device=f"phone-{number}")["token"] for number in range(voters_count)]
        begun = one(server, host, 1, cmd="poll.start", title="?", options=["a", "b"])
        assert begun is not None
        poll = begun["poll"]["poll"]
        told: set[str] = set()
        for kill in range(kills):
            told |= cast_and_kill(server, [one for one in voters if one not in told], poll, 1 + voters_count // 8)
            server.start()
            for number, token in enumerate(sorted(told), 10):
                again = one(server, token, number, cmd="poll.vote", poll=poll, option=1)
                assert again is not None and again["error"]["code"] == "already", kill
        for number, token in zip(itertools.count(100), voters, strict=False):
            answer = one(server, token, number, cmd="poll.vote", poll=poll, option=0)
            assert answer is not None and (answer.get("ok") or answer["error"]["code"] == "already")
        assert one(server, host, 2, cmd="poll.end", poll=poll)
        polls = server.call("GET", f"/rooms/{server.room}/polls", token=host).json()["items"]
        assert polls[0]["votes"] == [voters_count, 0]
        assert server.stop() == 0
        server.run("audit")


def test_a_server_killed_under_votes_loses_none_and_takes_none_twice(tmp_path: Path) -> None:
    check_kills(tmp_path, 16, 1)


@pytest.mark.soak
def test_a_server_killed_again_and_again_under_votes_loses_none_and_takes_none_twice(tmp_path: Path) -> None:
    check_kills(tmp_path, 200, 6)
