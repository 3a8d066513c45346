"""A room as server-sent events, and commands over HTTP, on bare sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from chat.errors import BadFrame, CommandRefused
from chat.event_stream import KEEP_ALIVE
from chat.forms import PADDING, PADDING_BYTES
from chat.hub import CommandContext, HubLimits, Member, RoomLimits
from chat.message import JoinRequest, Tier
from tests.chat.rig import WAIT_S, Rig, eventually, running

ANN = Member("ann", "Ann", "viewer", None, 0)
HOST = Member("boss", "Boss", "host", "m", 0)


class Stream:
    """A client of one stream; events are read as a browser reads them."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.head = b""
        self.last_id = ""
        self.retry = ""

    async def read(self) -> tuple[str, Any]:
        """The next event: its type and its data."""
        kind, data = "message", ""
        while True:
            line = (await asyncio.wait_for(self.reader.readuntil(b"\n"), WAIT_S)).decode().rstrip("\n")
            field, _, value = line.partition(": ")
            if not line:
                if data:
                    return kind, json.loads(data)
            elif field == "id":
                self.last_id = value
            elif field == "retry":
                self.retry = value
            elif field == "event":
                kind = value
            elif field == "data":
                data += value

    async def event(self, kind: str) -> dict[str, Any]:
        """The next event of the room of a type; others are passed over."""
        while True:
            name, items = await self.read()
            assert name == "message", items
            for item in items:
                if item["t"] == kind:
                    found: dict[str, Any] = item
                    return found


@asynccontextmanager
async def stream(
    rig: Rig, token: str = "ann", *, since: tuple[str, int] | None = None, room: str = "show", padded: bool = False
) -> AsyncIterator[Stream]:
    """A stream on a server of its own, which answers the one request it knows of."""
    request = JoinRequest(room, token, since)

    def refuse(code: int, reason: str) -> bytes:
        return f"HTTP/1.1 403 No\r\nConnection: close\r\n\r\n{code} {reason}".encode()

    def protocol() -> asyncio.Protocol:
        return rig.hub.event_stream(request, "127.0.0.1", headers=[(b"x-extra", b"1")], refuse=refuse, padded=padded)

    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname(), limit=2**22)
    client = Stream(reader, writer)
    try:
        client.head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), WAIT_S)
        yield client
    finally:
        writer.transport.abort()
        server.close()


async def test_a_stream_begins_with_the_room_and_goes_on_with_its_batches() -> None:
    async with running() as rig, stream(rig) as ann, rig.client("bob") as bob:
        assert ann.head.startswith(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n")
        assert b"\r\nx-extra: 1\r\n" in ann.head
        kind, first = await ann.read()
        assert (kind, first[0]["t"], first[0]["you"]["person"], ann.last_id) == ("message", "room", "ann", "e1:0")
        await bob.ask("chat.send", text="你好 a\\nb")
        line = await ann.event("chat")
        assert (line["text"], line["o"], ann.last_id) == ("你好 a\\nb", 1, "e1:1")
        assert rig.hub.stats("show").connections == 2
        await bob.until(lambda item: item.get("t") == "viewers" and item["n"] == 2)


async def test_a_stream_resumes_after_the_id_it_saw_last() -> None:
    async with running() as rig:
        for number in range(5):
            rig.hub.publish("show", {"t": "chat", "n": number}, tier=Tier.P0)
        await asyncio.sleep(0.05)
        async with stream(rig, since=("e1", 3)) as ann:
            first = (await ann.read())[1][0]
            assert (first["resumed"], [event["o"] for event in first["history"]]) == (True, [4, 5])


async def test_a_padded_stream_fills_a_proxy_s_buffer_with_each_thing_it_says() -> None:
    limits = HubLimits(wheel_ms=10, wheel_round_ms=10)
    async with running(limits=limits) as rig, stream(rig, padded=True) as ann, stream(rig) as plain:
        said: list[bytes] = []

        async def until(wanted: bytes) -> None:
            while not said or wanted not in said[-1]:
                said.append(await asyncio.wait_for(ann.reader.readuntil(b"\n\n"), WAIT_S))
                assert await asyncio.wait_for(ann.reader.readexactly(PADDING_BYTES), WAIT_S) == PADDING

        await until(b'"t":"room"')
        rig.hub.publish("show", {"t": "pin"}, tier=Tier.P0)
        await until(b'"t":"pin"')
        rig.hub.send_personal("show", "ann", {"t": "coupon"})
        await until(b'"t":"coupon"')
        rig.clock.ahead_ms += limits.ping_ms + 1
        await until(KEEP_ALIVE)
        assert rig.hub.channel("show").counted().ways == {"event": 2}
        await rig.hub.drain()
        await until(b"event: close")
        assert await ann.reader.read() == b""
        assert PADDING not in await plain.reader.read()


async def test_streams_and_sockets_see_the_same_events_in_the_same_order() -> None:
    async with running() as rig, stream(rig, "ann") as ann, stream(rig, "cid") as cid, rig.client("bob") as bob:
        for reader in (ann, cid):
            await reader.read()
        for number in range(200):
            rig.hub.publish("show", {"t": "chat", "n": number}, tier=Tier(number % 3))
            if number % 20 == 0:
                await asyncio.sleep(0)
        for reader in (ann, cid):
            offsets: list[int] = []
            async with asyncio.timeout(WAIT_S):
                while not offsets or offsets[-1] < 200:
                    offsets += [item["o"] for item in (await reader.read())[1] if "o" in item]
            assert offsets == list(range(1, 201))
        await bob.until(lambda item: item.get("o") == 200)


async def test_personal_events_come_on_the_stream_without_moving_its_position() -> None:
    async with running() as rig, stream(rig) as ann:
        await ann.read()
        rig.hub.send_personal("show", "ann", {"t": "coupon"})
        assert await ann.event("coupon") == {"t": "coupon", "a": 1}
        assert ann.last_id == "e1:0"
        assert await rig.hub.command("show", ANN, "", b'{"id":1,"cmd":"ack","to":1}') == [b'{"re":1,"ok":true}']
        async with stream(rig) as again:
            assert len((await again.read())[1]) == 1


async def test_a_banned_listener_is_told_code_and_reason_and_is_not_asked_back() -> None:
    async with running() as rig, stream(rig) as ann:
        await ann.read()
        await rig.hub.order("show", HOST, "ban", {"person": "ann"})
        assert (await ann.event("kick"))["reason"] == "banned"
        assert await ann.read() == ("close", {"code": 4403, "reason": "banned"})
        assert (await ann.reader.read(), ann.retry) == (b"", "")
        async with stream(rig) as again:
            assert again.head.startswith(b"HTTP/1.1 403")
            assert await again.reader.read() == b"4403 banned"
        await eventually(lambda: rig.hub.stats("show").connections == 0)


@pytest.mark.parametrize(("token", "room", "code"), [("", "show", 4401), ("ann", "none", 4404), ("ann", "", 4404)])
async def test_a_stream_that_may_never_begin_is_refused_with_a_status(token: str, room: str, code: int) -> None:
    async with running() as rig, stream(rig, token, room=room) as ann:
        assert ann.head.startswith(b"HTTP/1.1 403")
        assert (await ann.reader.read()).startswith(str(code).encode())


async def test_a_stream_that_comes_too_early_is_told_when_to_come_back() -> None:
    limits = HubLimits(joins_per_s=1, joins_burst=1)
    async with running(limits=limits) as rig, stream(rig) as first, stream(rig) as second:
        assert (await first.read())[0] == "message"
        assert second.head.startswith(b"HTTP/1.1 200")
        kind, said = await second.read()
        assert (kind, said["code"]) == ("close", 4229)
        assert int(second.retry) > 0


async def test_a_drained_stream_is_told_to_come_back_elsewhere() -> None:
    async with running() as rig, stream(rig) as ann:
        await ann.read()
        await rig.hub.drain()
        kind = ""
        while kind != "close":
            kind, said = await ann.read()
        assert (kind, said["code"]) == ("close", 4000)
        assert 0 <= int(ann.retry) < rig.hub.limits.drain_jitter_ms
        with pytest.raises(CommandRefused):
            await rig.hub.command("show", ANN, "", b'{"id":1,"cmd":"like"}')


async def test_a_quiet_stream_is_kept_alive_and_ends_with_its_token() -> None:
    limits = HubLimits(wheel_ms=10, wheel_round_ms=10, ping_ms=1_000)
    async with running(limits=limits) as rig:
        expires_ms = rig.clock() + 60_000
        async with stream(rig, f"ann.viewer.{expires_ms}") as ann:
            await ann.read()
            rig.clock.ahead_ms = 2_000
            async with asyncio.timeout(WAIT_S):
                while await ann.reader.readuntil(b"\n\n") != b":\n\n":
                    pass
            rig.clock.ahead_ms = 60_001
            kind = ""
            while kind != "close":
                kind, said = await ann.read()
            assert said["code"] == 4401


async def test_a_listener_that_does_not_read_gets_the_state_when_it_reads_again() -> None:
    limits = HubLimits(soft_bytes=8_192, chat_bytes=16_384, skip_bytes=32_768)
    async with running(limits=limits) as rig, stream(rig) as ann:
        await ann.read()
        ann.writer.transport.pause_reading()  # type: ignore[attr-defined]
        async with asyncio.timeout(WAIT_S * 4):
            while not rig.hub.totals().slow_skipped:
                rig.hub.publish("show", {"t": "chat", "pad": "x" * 4_000}, tier=Tier.P0)
                await asyncio.sleep(0.001)
        ann.writer.transport.resume_reading()  # type: ignore[attr-defined]
        again = await ann.event("room")
        assert (again["resumed"], ann.last_id) == (False, f"e1:{again['offset']}")
        assert rig.hub.stats("show").skipping == 0


async def test_a_stream_that_is_sent_to_is_cut() -> None:
    async with running() as rig, stream(rig) as ann:
        await ann.read()
        ann.writer.write(b"x" * 20_000)
        await eventually(lambda: rig.hub.stats("show").connections == 0)


async def test_commands_over_http_are_answered_in_order_and_once() -> None:
    calls: list[int] = []

    async def slow(context: CommandContext, args: Any) -> dict[str, Any]:
        calls.append(args["n"])
        await asyncio.sleep(0.02)
        return {"n": args["n"]}

    async with running(commands={"slow": slow}) as rig:
        body = b'[{"id":1,"cmd":"slow","n":1},{"cmd":"like"},{"id":2,"cmd":"none"},{"id":3,"cmd":"like","n":0}]'
        first, again = await asyncio.gather(
            rig.hub.command("show", ANN, "a", body), rig.hub.command("show", ANN, "a", body)
        )
        assert first == again == await rig.hub.command("show", ANN, "a", body)
        answers = [json.loads(answer) for answer in first]
        assert answers[0] == {"re": 1, "ok": True, "n": 1}
        assert [answer["error"]["code"] for answer in answers[1:]] == ["unknown_command", "invalid"]
        assert calls == [1]
        await rig.hub.command("show", ANN, "another", body)
        assert calls == [1, 1]


async def test_commands_over_http_are_limited_and_a_limited_id_may_be_sent_again() -> None:
    limits = HubLimits(commands_per_s=1, commands_burst=2)
    async with running(limits=limits) as rig:
        body = b'[{"id":1,"cmd":"like"},{"id":2,"cmd":"like"},{"id":3,"cmd":"like"}]'
        answers = [json.loads(answer) for answer in await rig.hub.command("show", ANN, "", body)]
        assert [answer.get("ok") for answer in answers] == [True, True, None]
        assert answers[2]["error"]["code"] == "rate"
        rig.clock.ahead_ms = 3_000
        assert [json.loads(one)["ok"] for one in await rig.hub.command("show", ANN, "", body)] == [True, True, True]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"cmd":7}', b'{"cmd":"like","id":-1}', b" " * 17_000, b"\xff"])
async def test_a_body_that_is_no_frame_of_commands_is_refused(body: bytes) -> None:
    async with running() as rig:
        with pytest.raises(BadFrame):
            await rig.hub.command("show", ANN, "", body)


async def test_a_banned_person_and_an_expired_token_give_no_commands() -> None:
    async with running() as rig:
        late = Member("ann", "Ann", "viewer", None, rig.clock() - 1)
        (answer,) = await rig.hub.command("show", late, "", b'{"id":1,"cmd":"like"}')
        assert json.loads(answer)["error"]["code"] == "token"
        await rig.hub.order("show", HOST, "ban", {"person": "ann"})
        with pytest.raises(CommandRefused) as caught:
            await rig.hub.command("show", ANN, "", b'{"id":1,"cmd":"like"}')
        assert caught.value.code == "banned"


async def test_clients_over_http_are_forgotten_when_there_are_too_many() -> None:
    async with running(limits=HubLimits(callers=2, room=RoomLimits())) as rig:
        for client in ("a", "b", "c"):
            await rig.hub.command("show", ANN, client, b'{"id":1,"cmd":"like"}')
        assert [key[2] for key in rig.hub._callers] == ["b", "c"]
