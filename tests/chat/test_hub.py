"""The hub as its clients see it: joining, chatting, events, answers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from chat.hub import CommandContext, CommandRefused, Tier
from tests.chat.rig import running


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


async def test_a_command_may_be_answered_by_a_mapping_a_future_or_a_coroutine() -> None:
    futures: list[asyncio.Future[Mapping[str, Any]]] = []

    def later(context: CommandContext, args: Mapping[str, Any]) -> asyncio.Future[Mapping[str, Any]]:
        futures.append(asyncio.get_running_loop().create_future())
        asyncio.get_running_loop().call_soon(futures[-1].set_result, {"how": "future", "room": context.room})
        return futures[-1]

    async def slowly(context: CommandContext, args: Mapping[str, Any]) -> Mapping[str, Any]:
        await asyncio.sleep(0)
        return {"how": "coroutine", "got": args["x"]}

    commands = {"now": lambda context, args: {"how": "mapping"}, "later": later, "slowly": slowly}
    async with running(commands=commands) as rig, rig.client() as ann:
        assert (await ann.ask("now"))["how"] == "mapping"
        assert (await ann.ask("later"))["room"] == "show"
        assert (await ann.ask("slowly", x=[1]))["got"] == [1]


async def test_a_refusal_carries_code_message_retry_and_what_else_there_is() -> None:
    def refuse(context: CommandContext, args: Mapping[str, Any]) -> Mapping[str, Any]:
        raise CommandRefused("price_changed", "the price is new", retry_ms=0, price=990)

    async with running(commands={"buy": refuse}) as rig, rig.client() as ann:
        answer = await ann.ask("buy")
        assert answer["error"] == {"code": "price_changed", "message": "the price is new", "retry_ms": 0, "price": 990}


async def test_an_event_changes_the_snapshot_in_the_same_step() -> None:
    async with running() as rig, rig.client("ann") as ann:
        rig.hub.publish("show", {"t": "pin", "card": 1}, tier=Tier.P0, sections={"pins": [1]})
        assert (await ann.event("pin"))["o"] == 1
        async with rig.client("bob") as bob:
            room = await bob.event("room")
            assert room["pins"] == [1]
            assert [event["t"] for event in room["history"]] == ["pin"]
