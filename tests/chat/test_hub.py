"""The hub as its clients see it: joining, chatting, events, personal messages, moderation."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Mapping
from typing import Any

import pytest

from chat.errors import RoomNotOpen
from chat.hub import CommandContext, CommandHandler, CommandRefused, HubLimits, RoomLimits, Tier
from chat.moderation import mask_words
from tests.chat.rig import eventually, running


async def test_the_first_frame_is_the_room_with_its_sections_and_who_i_am() -> None:
    async with running(sections={"pins": [{"product": "p1"}], "stream": None}) as rig, rig.client("ann") as ann:
        room = (await ann.read())[0]
        now = room.pop("now")
        assert abs(now - rig.clock()) < 5_000
        assert room == {
            "t": "room",
            "epoch": "e1",
            "offset": 0,
            "resumed": False,
            "you": {"person": "ann", "name": "Ann", "role": "viewer"},
            "viewers": 0,
            "likes": 0,
            "pins": [{"product": "p1"}],
            "stream": None,
            "history": [],
        }


async def test_a_chat_line_reaches_everyone_with_its_sender_and_an_offset() -> None:
    async with running() as rig, rig.client("ann") as ann, rig.client("bob") as bob:
        assert (await ann.ask("chat.send", text="  hello 你好  "))["ok"] is True
        for client in (ann, bob):
            line = await client.event("chat")
            assert line["text"] == "hello 你好"
            assert line["from"] == {"person": "ann", "name": "Ann", "role": "viewer"}
            assert line["o"] == 1


async def test_rooms_do_not_hear_each_other() -> None:
    async with running() as rig, rig.client("ann") as ann, rig.client("bob", room="other") as bob:
        await ann.ask("chat.send", text="here")
        await bob.ask("chat.send", text="there")
        assert (await bob.event("chat"))["text"] == "there"
        assert (await ann.event("chat"))["text"] == "here"


async def test_what_happens_within_a_tick_is_one_frame() -> None:
    async with running() as rig, rig.client("ann") as ann:
        await ann.event("room")
        for n in range(20):
            rig.hub.publish("show", {"t": "chat", "text": str(n)}, tier=Tier.P2)
        rig.hub.publish("show", {"t": "pin"}, tier=Tier.P0)
        await ann.event("pin")
        assert [item["o"] for item in ann.frames[-1]] == list(range(1, 22))


async def test_an_event_changes_the_snapshot_in_the_same_step() -> None:
    async with running() as rig, rig.client("ann") as ann:
        rig.hub.publish("show", {"t": "pin", "card": 1}, tier=Tier.P0, sections={"pins": [1]})
        assert (await ann.event("pin"))["o"] == 1
        async with rig.client("bob") as bob:
            room = await bob.event("room")
            assert room["pins"] == [1]
            assert [event["t"] for event in room["history"]] == ["pin"]


async def test_a_latest_value_is_told_and_is_no_part_of_history() -> None:
    async with running() as rig, rig.client("ann") as ann:
        await ann.event("room")
        for left in (3, 2, 1):
            rig.hub.publish_latest("show", "stock:s", {"t": "stock", "sale": "s", "left": left})
        assert await ann.event("stock") == {"t": "stock", "sale": "s", "left": 1}
        assert rig.hub.stats("show").history_events == 0


async def test_likes_are_summed_and_capped_per_command() -> None:
    async with running() as rig, rig.client("ann") as ann:
        most = rig.hub.limits.room.likes_per_command
        await ann.ask("like", n=3)
        await ann.ask("like", n=10**9)
        await ann.ask("like")
        await ann.until(lambda item: item.get("t") == "likes" and item["n"] == most + 4)
        assert (await ann.ask("like", n=0))["error"]["code"] == "invalid"


async def test_viewers_are_people_and_staff_do_not_count() -> None:
    limits = dataclasses.replace(HubLimits(), viewers_ms=20)
    async with running(limits=limits) as rig, rig.client("ann") as ann, rig.client("ann"), rig.client("h.host"):
        async with rig.client("bob"):
            await ann.until(lambda item: item.get("t") == "viewers" and item["n"] == 2)
        await ann.until(lambda item: item.get("t") == "viewers" and item["n"] == 1)
        assert rig.hub.stats("show").connections == 3


async def test_a_personal_event_reaches_all_connections_of_its_person_and_nobody_else() -> None:
    async with running() as rig, rig.client("ann") as one, rig.client("ann") as two, rig.client("bob") as bob:
        for client in (one, two, bob):
            await client.event("room")
        rig.hub.send_personal("show", "ann", {"t": "coupon", "coupon": 1})
        rig.hub.publish("show", {"t": "notice", "text": "x"}, tier=Tier.P0)
        assert await one.event("coupon") == {"t": "coupon", "coupon": 1, "a": 1}
        assert await two.event("coupon") == {"t": "coupon", "coupon": 1, "a": 1}
        await bob.event("notice")
        assert not [item for frame in bob.frames for item in frame if item.get("t") == "coupon"]


async def test_a_personal_event_comes_again_until_acknowledged() -> None:
    async with running() as rig:
        rig.hub.send_personal("show", "ann", {"t": "order", "n": 1})
        rig.hub.send_personal("show", "ann", {"t": "order", "n": 2})
        async with rig.client("ann") as ann:
            assert [item.get("a") for item in await ann.read()] == [None, 1, 2]
            await ann.ask("ack", to=1)
        async with rig.client("ann") as ann:
            assert [item.get("a") for item in await ann.read()] == [None, 2]
            rig.hub.send_personal("show", "ann", {"t": "kick"}, keep=False)
            assert "a" not in await ann.event("kick")


async def test_above_the_rooms_cap_a_line_is_for_its_sender_only_and_staff_always_speak() -> None:
    limits = dataclasses.replace(HubLimits(), room=dataclasses.replace(RoomLimits(), chat_per_s=1))
    async with (
        running(limits=limits) as rig,
        rig.client("ann") as ann,
        rig.client("bob") as bob,
        rig.client("h.host") as h,
    ):
        await bob.ask("chat.send", text="first")
        assert (await ann.ask("chat.send", text="sampled")).get("sampled") is True
        await h.ask("chat.send", text="staff")
        own = await ann.until(lambda item: item.get("text") == "sampled")
        assert "o" not in own
        assert [(await bob.event("chat"))["text"] for _ in range(2)] == ["first", "staff"]
        assert (rig.hub.stats("show").chat_sampled, rig.hub.totals().chat_sampled) == (1, 1)


async def test_staff_mute_and_unmute_and_viewers_may_not() -> None:
    async with running() as rig, rig.client("ann") as ann, rig.client("h.host") as host:
        assert (await ann.ask("mute", person="h", seconds=5))["error"]["code"] == "forbidden"
        assert (await host.ask("mute", person="ann", seconds=60))["ok"] is True
        error = (await ann.ask("chat.send", text="hello?"))["error"]
        assert error["code"] == "muted"
        assert 0 < error["retry_ms"] <= 60_000
        await host.ask("unmute", person="ann")
        assert (await ann.ask("chat.send", text="hello"))["ok"] is True


@pytest.mark.parametrize(
    ("cmd", "arguments"),
    [
        ("mute", {"person": "", "seconds": 1}),
        ("mute", {"person": "ann", "seconds": 0}),
        ("mute", {"person": "ann", "seconds": True}),
        ("notice", {"text": ""}),
        ("notice", {}),
        ("ack", {}),
        ("ack", {"to": "1"}),
        ("chat.send", {"text": ["x"]}),
    ],
)
async def test_a_command_with_wrong_arguments_is_refused_as_invalid(cmd: str, arguments: dict[str, Any]) -> None:
    async with running() as rig, rig.client("h.host") as host:
        assert (await host.ask(cmd, **arguments))["error"]["code"] == "invalid"


async def test_a_notice_of_staff_reaches_everyone_and_stays_in_history() -> None:
    async with running() as rig, rig.client("ann") as ann, rig.client("h.host") as host:
        assert (await ann.ask("notice", text="me"))["error"]["code"] == "forbidden"
        await host.ask("notice", text="sale at ten")
        notice = await ann.event("notice")
        assert (notice["text"], notice["o"]) == ("sale at ten", 1)


async def test_masked_words_do_not_reach_the_room() -> None:
    async with running(text_filter=mask_words(["微商"])) as rig, rig.client("ann") as ann:
        await ann.ask("chat.send", text="加微商")
        assert (await ann.event("chat"))["text"] == "加**"


async def test_a_person_who_is_removed_is_told_why_on_every_connection() -> None:
    async with running() as rig, rig.client("ann") as one, rig.client("ann") as two, rig.client("bob") as bob:
        await two.event("room")
        rig.hub.close_person("show", "ann", 4403, "removed by the host")
        assert await one.closed() == (4403, "removed by the host")
        assert await two.closed() == (4403, "removed by the host")
        assert (await bob.ask("chat.send", text="still here"))["ok"] is True
        assert rig.hub.totals().closed_by_code == {4403: 2}


async def test_a_reason_too_long_for_a_close_frame_is_cut_at_a_character() -> None:
    async with running() as rig, rig.client("ann") as ann:
        await ann.event("room")
        rig.hub.close_person("show", "ann", 4403, "违" * 60)
        assert await ann.closed() == (4403, "违" * 41)


async def test_a_room_that_is_closed_says_so_and_cannot_be_published_to() -> None:
    async with running() as rig, rig.client("ann") as ann:
        await ann.event("room")
        rig.hub.close_room("show")
        rig.hub.close_room("show")
        assert (await ann.closed())[0] == 4404
        assert rig.hub.rooms() == ("other",)
        with pytest.raises(RoomNotOpen):
            rig.hub.publish("show", {"t": "x"}, tier=Tier.P0)


async def test_opening_an_open_room_changes_its_sections_and_keeps_its_people() -> None:
    async with running() as rig, rig.client("ann") as ann:
        rig.hub.publish("show", {"t": "x"}, tier=Tier.P0)
        await ann.event("x")
        rig.hub.open_room("show", {"shelf": [1]})
        async with rig.client("bob") as bob:
            room = await bob.event("room")
            assert (room["shelf"], room["pins"], room["offset"]) == ([1], [], 1)
        assert rig.hub.stats("show").offset == 1


def refuse(context: CommandContext, args: Mapping[str, Any]) -> Mapping[str, Any]:
    raise CommandRefused("price_changed", "the price is new", retry_ms=0, price=990)


def fail(context: CommandContext, args: Mapping[str, Any]) -> Mapping[str, Any]:
    raise KeyError("a mistake of ours")


async def test_a_command_may_be_answered_by_a_mapping_a_future_or_a_coroutine() -> None:
    def now(context: CommandContext, args: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"how": "mapping"}

    def later(context: CommandContext, args: Mapping[str, Any]) -> asyncio.Future[Mapping[str, Any]]:
        future: asyncio.Future[Mapping[str, Any]] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(future.set_result, {"how": "future", "room": context.room})
        return future

    async def slowly(context: CommandContext, args: Mapping[str, Any]) -> Mapping[str, Any]:
        await asyncio.sleep(0)
        return {"how": "coroutine", "got": args["x"]}

    commands: dict[str, CommandHandler] = {"now": now, "later": later, "slowly": slowly}
    async with running(commands=commands) as rig, rig.client() as ann:
        assert (await ann.ask("now"))["how"] == "mapping"
        assert (await ann.ask("later"))["room"] == "show"
        assert (await ann.ask("slowly", x=[1]))["got"] == [1]


async def test_a_refusal_carries_code_message_retry_and_what_else_there_is() -> None:
    async with running(commands={"buy": refuse}) as rig, rig.client() as ann:
        answer = await ann.ask("buy")
        assert answer["error"] == {"code": "price_changed", "message": "the price is new", "retry_ms": 0, "price": 990}


async def test_our_mistakes_are_answered_internal_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def fail_later(context: CommandContext, args: Mapping[str, Any]) -> Mapping[str, Any]:
        raise KeyError("a mistake of ours, later")

    async def refuse_later(context: CommandContext, args: Mapping[str, Any]) -> Mapping[str, Any]:
        return refuse(context, args)

    async def odd(context: CommandContext, args: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"x": object()}

    def odd_now(context: CommandContext, args: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"x": object()}

    commands: dict[str, CommandHandler] = {
        "fail": fail,
        "fail_later": fail_later,
        "refuse_later": refuse_later,
        "odd": odd,
        "odd_now": odd_now,
    }
    async with running(commands=commands) as rig, rig.client("secret-token") as ann:
        for cmd in ("fail", "fail_later", "odd", "odd_now"):
            assert (await ann.ask(cmd))["error"]["code"] == "internal"
        assert (await ann.ask("refuse_later"))["error"]["code"] == "price_changed"
        assert (await ann.ask("nothing"))["error"]["code"] == "unknown_command"
        assert rig.hub.totals().command_errors == 4
    assert caplog.text.count("KeyError: 'a mistake of ours") == 2
    assert "Traceback" in caplog.text
    assert "secret-token" not in caplog.text


async def test_a_command_that_takes_too_long_is_given_up() -> None:
    async def hang(context: CommandContext, args: Mapping[str, Any]) -> Mapping[str, Any]:
        await asyncio.sleep(99)
        return {}

    limits = dataclasses.replace(HubLimits(), command_s=0.02)
    async with running(commands={"hang": hang}, limits=limits) as rig, rig.client() as ann:
        assert (await ann.ask("hang"))["error"]["code"] == "timeout"


async def test_commands_in_flight_are_bounded_per_connection_and_in_the_hub() -> None:
    gate = asyncio.Event()

    async def wait(context: CommandContext, args: Mapping[str, Any]) -> Mapping[str, Any]:
        await gate.wait()
        return {}

    limits = dataclasses.replace(HubLimits(), commands_in_flight=2, coroutines=3)
    async with (
        running(commands={"wait": wait}, limits=limits) as rig,
        rig.client("ann") as ann,
        rig.client("bob") as bob,
    ):
        first = [await ann.say("wait") for _ in range(2)]
        assert (await ann.ask("wait"))["error"]["code"] == "busy"
        other = await bob.say("wait")
        assert (await bob.ask("wait"))["error"]["code"] == "busy"
        gate.set()
        for client, number in ((ann, first[0]), (ann, first[1]), (bob, other)):
            assert (await client.answer(number))["ok"] is True
        assert (await ann.ask("wait"))["ok"] is True


async def test_the_answer_to_someone_who_left_is_dropped_in_peace() -> None:
    futures: list[asyncio.Future[Mapping[str, Any]]] = []

    def later(context: CommandContext, args: Mapping[str, Any]) -> asyncio.Future[Mapping[str, Any]]:
        futures.append(asyncio.get_running_loop().create_future())
        return futures[-1]

    async with running(commands={"later": later}) as rig:
        async with rig.client("ann") as ann:
            await ann.say("later")
            await eventually(lambda: bool(futures))
        await eventually(lambda: rig.hub.stats("show").connections == 0)
        futures[0].set_result({"x": 1})
        await asyncio.sleep(0)
        assert rig.hub.totals().command_errors == 0
