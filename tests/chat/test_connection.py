"""What a connection accepts and what ends it: handshake, frames, floods, expiry, silence."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import json
import os
from collections.abc import Mapping
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.datastructures import Headers
from websockets.http11 import Request

from chat.connection import Connection
from chat.hub import CommandContext, HubLimits, Member
from tests.chat.rig import WAIT_S, client_frame, eventually, running


@pytest.mark.parametrize(
    ("token", "room", "code"),
    [
        (None, "show", 4401),
        ("", "show", 4401),
        ("banned", "show", 4403),
        ("ann.viewer.1000", "show", 4401),
        ("ann", "nowhere", 4404),
        ("ann", "a/b", 4404),
    ],
)
async def test_a_refused_join_is_accepted_and_then_closed_with_its_code(
    token: str | None, room: str, code: int
) -> None:
    async with running() as rig, rig.client(token, room=room) as client:
        assert (await client.closed())[0] == code
        assert client.frames == []
        assert rig.hub.totals().joins_refused == 1
        assert rig.hub.totals().closed_by_code == {code: 1}


async def test_a_bearer_token_opens_the_room_as_well() -> None:
    headers = {"Authorization": "Bearer ann"}
    async with running() as rig, rig.client(None, additional_headers=headers) as client:
        assert (await client.event("room"))["you"]["person"] == "ann"


async def test_a_failing_authentication_is_our_fault_and_shows_no_token(caplog: pytest.LogCaptureFixture) -> None:
    def broken(room: str, token: str) -> Member:
        raise RuntimeError(f"cannot read {token}")

    async with running(authenticate=broken) as rig, rig.client("top-secret") as client:
        assert (await client.closed())[0] == 1011
    assert "cannot read [token]" in caplog.text
    assert "top-secret" not in caplog.text


async def test_a_browsers_connection_header_with_keep_alive_works_and_only_what_we_know_is_taken() -> None:
    async with running() as rig:
        bare = await rig.bare(extra="Sec-WebSocket-Extensions: permessage-deflate\r\nOrigin: https://x\r\n")
        assert bare.head.startswith(b"HTTP/1.1 101 ")
        assert bare.head.lower().count(b"extensions") == 1 and b"permessage-deflate" in bare.head
        assert json.loads((await bare.frame())[1])[0]["t"] == "room"
        bare.close()


async def test_the_requests_headers_are_not_kept() -> None:
    async with running() as rig:
        bare = await rig.bare(extra="Cookie: " + "x" * 2_000 + "\r\n")
        await bare.frame()
        gc.collect()
        assert not [found for found in gc.get_objects() if isinstance(found, Request | Headers)]
        bare.close()


async def test_a_request_in_pieces_and_with_a_frame_behind_it_is_understood() -> None:
    async with running() as rig:
        reader, writer = await asyncio.open_connection("127.0.0.1", rig.port)
        request = (
            b"GET /ws/show?token=ann HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        data = request + client_frame(b'{"id":5,"cmd":"like","n":1}')
        for index in range(len(data)):
            writer.write(data[index : index + 1])
            await asyncio.sleep(0)
        seen = b""
        async with asyncio.timeout(WAIT_S):
            while b'"re":5' not in seen:
                seen += await reader.read(4096)
        assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in seen
        writer.transport.abort()


@pytest.mark.parametrize(
    ("request_text", "status"),
    [
        ("GET /ws/show HTTP/1.1\r\nHost: x\r\n\r\n", b"426"),
        ("POST /ws/show HTTP/1.1\r\nHost: x\r\n\r\n", b"405"),
        ("GET /ws/show HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: x\r\n\r\n", b"400"),
        ("GET /" + "x" * 9000 + " HTTP/1.1\r\n\r\n", b"414"),
        ("rubbish\r\n\r\n", b""),
        ("x" * 70_000, b""),
    ],
)
async def test_what_is_no_websocket_request_is_answered_and_closed(request_text: str, status: bytes) -> None:
    async with running() as rig:
        reader, writer = await asyncio.open_connection("127.0.0.1", rig.port)
        writer.write(request_text.encode())
        try:
            answer = await asyncio.wait_for(reader.read(), WAIT_S)
        except ConnectionResetError:
            answer = b""
        assert answer[9:12] == status
        writer.close()


@pytest.mark.parametrize(
    "text", ["", "hello", "{", "[]", "7", "null", '{"id":1}', '{"cmd":7}', '{"cmd":"like","id":"x"}', "[[]]"]
)
async def test_a_frame_that_is_no_commands_is_closed_as_bad_and_costs_nobody_else_anything(text: str) -> None:
    async with running() as rig, rig.client("ann") as ann, rig.client("bob") as bob:
        await ann.socket.send(text)
        assert (await ann.closed())[0] == 4400
        assert (await bob.ask("chat.send", text="fine"))["ok"] is True


async def test_a_binary_frame_is_closed_as_bad() -> None:
    async with running() as rig, rig.client("ann") as ann:
        await ann.socket.send(b'{"cmd":"like"}')
        assert (await ann.closed())[0] == 4400


async def test_what_follows_a_bad_frame_at_once_is_not_answered(caplog: pytest.LogCaptureFixture) -> None:
    async with running() as rig:
        bare = await rig.bare()
        bare.send(client_frame(b"{}", opcode=2) + client_frame(b"ping", opcode=9) + client_frame(b"ping", opcode=9))
        assert await bare.closed() == 4400
        bare.close()
        await eventually(lambda: rig.hub.totals().closed_by_code.get(4400) == 1)
    assert "Fatal error" not in caplog.text


async def test_text_that_is_not_utf8_is_closed_as_bad() -> None:
    async with running() as rig:
        bare = await rig.bare()
        bare.send(client_frame(b'{"cmd":"\xff"}'))
        assert await bare.closed() == 4400
        bare.close()


@pytest.mark.parametrize("parts", [1, 4])
async def test_a_message_over_the_limit_is_closed_as_too_long_whole_or_in_parts(parts: int) -> None:
    async with running() as rig, rig.client("ann") as ann:
        size = rig.hub.limits.frame_bytes // parts + 1
        fitting = json.dumps({"id": 1, "cmd": "chat.send", "text": ""})
        fitting = fitting[:-2] + "x" * (rig.hub.limits.frame_bytes - len(fitting)) + fitting[-2:]
        await ann.socket.send(fitting)
        assert (await ann.answer(1))["error"]["code"] == "invalid"
        await ann.socket.send(["x" * size] * parts if parts > 1 else "x" * size)
        code, reason = await ann.closed()
        assert (code, reason) == (4413, f"a message has at most {rig.hub.limits.frame_bytes} bytes")


async def test_a_flood_of_a_long_message_still_shows_its_close_code() -> None:
    async with running() as rig:
        bare = await rig.bare()
        bare.send(client_frame(os.urandom(200_000)))
        assert await bare.closed() == 4413
        bare.close()


async def test_a_fragmented_message_with_a_ping_between_is_put_together() -> None:
    async with running() as rig:
        bare = await rig.bare()
        await bare.frame()
        bare.send_text('{"id":9,"cm', fin=False)
        bare.send(client_frame(b"?", opcode=9))
        bare.send_text('d":"like"', opcode=0, fin=False)
        bare.send_text("}", opcode=0)
        wanted = {(10, b"?"), (1, b'[{"re":9,"ok":true}]')}
        while wanted:
            wanted.discard(await bare.frame())
        bare.close()


@pytest.mark.parametrize("data", [b"\xff\xff", b"\x81\x05hello", b"\x80\x80\0\0\0\0", b"\xc1\x80\0\0\0\0"])
async def test_a_breach_of_rfc_6455_is_closed_as_a_protocol_error(data: bytes) -> None:
    async with running() as rig:
        bare = await rig.bare()
        bare.send(data)
        assert await bare.closed() == 1002
        bare.close()
        await eventually(lambda: rig.hub.stats("show").connections == 0)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.binary(max_size=40) | st.binary(max_size=90).map(client_frame), max_size=8))
def test_any_bytes_end_in_a_close_or_in_nothing_and_the_hub_goes_on(chunks: list[bytes]) -> None:
    async def scenario() -> None:
        async with running() as rig, rig.client("bob") as bob:
            bare = await rig.bare()
            for chunk in chunks:
                bare.send(chunk)
                await asyncio.sleep(0)
            assert (await bob.ask("chat.send", text="fine"))["ok"] is True
            bare.close()
            await eventually(lambda: rig.hub.stats("show").connections == 1)
            assert rig.hub.totals().command_errors == 0

    asyncio.run(scenario())


async def test_a_repeated_command_id_is_run_and_answered_once() -> None:
    runs: list[Any] = []

    def run(context: CommandContext, args: Mapping[str, Any]) -> Mapping[str, Any]:
        runs.append(args["x"])
        return {}

    async with running(commands={"run": run}) as rig, rig.client("ann") as ann:
        await ann.event("room")
        for x in range(3):
            await ann.socket.send(json.dumps({"id": 5, "cmd": "run", "x": x}))
        await ann.socket.send('{"id":6,"cmd":"run","x":9}')
        await ann.answer(6)
        assert runs == [0, 9]
        assert [item["re"] for frame in ann.frames for item in frame if "re" in item] == [5, 6]


async def test_a_command_without_an_id_is_run_and_not_answered() -> None:
    async with running() as rig, rig.client("ann") as ann:
        await ann.socket.send('[{"cmd":"like","n":2},{"cmd":"nothing"},{"id":1,"cmd":"like"}]')
        await ann.answer(1)
        assert not [item for frame in ann.frames for item in frame if "error" in item]
        assert rig.hub.channel("show").room.likes == 3


async def test_the_answers_to_one_frame_are_one_frame() -> None:
    async with running() as rig, rig.client("ann") as ann:
        await ann.event("room")
        await ann.socket.send('[{"id":1,"cmd":"ack","to":0},{"id":2,"cmd":"nothing"},{"id":3,"cmd":"ack","to":0}]')
        await ann.answer(3)
        assert [item["re"] for item in ann.frames[-1]] == [1, 2, 3]


async def test_too_many_commands_are_answered_rate_and_may_be_repeated_with_the_same_id() -> None:
    limits = dataclasses.replace(HubLimits(), commands_burst=2, commands_per_s=5)
    async with running(limits=limits) as rig, rig.client("ann") as ann:
        await ann.ask("ack", to=0)
        await ann.ask("ack", to=0)
        number = await ann.say("ack", to=0)
        error = (await ann.answer(number))["error"]
        assert error["code"] == "rate"
        assert 0 < error["retry_ms"] <= 200
        rig.clock.ahead_ms += 1_000
        await ann.socket.send(json.dumps({"id": number, "cmd": "ack", "to": 0}))
        assert (await ann.answer(number))["ok"] is True


@pytest.mark.parametrize("opcode", [1, 9])
async def test_a_thousand_frames_a_second_are_closed_as_flooding(opcode: int) -> None:
    async with running() as rig, rig.client("bob") as bob:
        bare = await rig.bare()
        for _ in range(1_000):
            bare.send(client_frame(b'{"cmd":"like"}' if opcode == 1 else b"x", opcode=opcode))
        assert await bare.closed() == 4429
        bare.close()
        assert (await bob.ask("chat.send", text="fine"))["ok"] is True


async def test_commands_in_arrays_flood_as_well() -> None:
    async with running() as rig, rig.client("ann") as ann:
        for _ in range(10):
            await ann.socket.send(json.dumps([{"cmd": "like"}] * 50))
        assert (await ann.closed())[0] == 4429


async def test_a_token_that_expires_closes_the_connection_at_the_wheel() -> None:
    limits = dataclasses.replace(HubLimits(), wheel_ms=10, wheel_round_ms=10, silent_ms=10**9)
    async with running(limits=limits) as rig:
        expires_ms = rig.clock() + 60_000
        async with rig.client(f"ann.viewer.{expires_ms}") as ann, rig.client("bob") as bob:
            await ann.event("room")
            rig.clock.ahead_ms += 59_000
            assert (await ann.ask("ack", to=0))["ok"] is True
            rig.clock.ahead_ms += 1_001
            assert await ann.closed() == (4401, "token expired")
            assert (await bob.ask("ack", to=0))["ok"] is True


async def test_an_expired_token_gives_no_more_commands_before_the_wheel_comes() -> None:
    async with running() as rig:
        async with rig.client(f"ann.viewer.{rig.clock() + 60_000}") as ann:
            await ann.event("room")
            rig.clock.ahead_ms += 60_001
            await ann.say("chat.send", text="too late")
            assert (await ann.closed())[0] == 4401
        assert rig.hub.stats("show").chat_lines == 0


async def test_a_silent_peer_is_pinged_and_then_given_up() -> None:
    limits = dataclasses.replace(HubLimits(), wheel_ms=10, wheel_round_ms=10)
    async with running(limits=limits) as rig:
        bare = await rig.bare()
        await bare.frame()
        rig.clock.ahead_ms += limits.ping_ms
        while await bare.frame() != (9, b""):
            pass
        bare.send(client_frame(b"", opcode=10))
        await eventually(lambda: cast(Connection, rig.hub.wheel.connections[0]).heard_ms > rig.clock() - 1_000)
        rig.clock.ahead_ms += limits.silent_ms + 1
        assert await bare.closed() == 4008
        # It does not answer the close either: the wheel cuts it.
        rig.clock.ahead_ms += limits.closing_ms + 1
        await eventually(lambda: not rig.hub.wheel.connections)
        bare.close()


async def test_a_lost_connection_leaves_its_room() -> None:
    async with running() as rig:
        bare = await rig.bare()
        await bare.frame()
        assert rig.hub.stats("show").connections == 1
        bare.close()
        await eventually(lambda: rig.hub.totals().connections == 0)
        assert rig.hub.stats("show").viewers == 0
        assert rig.hub.totals().closed_by_code == {1006: 1}


async def test_joins_above_the_rate_are_told_when_to_come_back() -> None:
    limits = dataclasses.replace(HubLimits(), joins_per_s=1, joins_burst=2)
    async with running(limits=limits) as rig, rig.client("a") as one, rig.client("b") as two:
        await one.event("room")
        await two.event("room")
        async with rig.client("c") as three:
            code, reason = await three.closed()
        assert code == 4229
        assert int(reason.rpartition("retry_ms=")[2]) >= 1_000
        rig.clock.ahead_ms += 2_000
        async with rig.client("c") as three:
            assert (await three.event("room"))["t"] == "room"


async def test_connections_above_the_limit_are_told_when_to_come_back() -> None:
    limits = dataclasses.replace(HubLimits(), connections=1)
    async with running(limits=limits) as rig, rig.client("a") as one:
        await one.event("room")
        async with rig.client("b") as two:
            assert await two.closed() == (4229, f"full, retry_ms={limits.connections_retry_ms}")
        assert (await one.ask("ack", to=0))["ok"] is True


async def test_a_connection_that_ends_leaves_nothing_to_the_garbage_collector() -> None:
    def alive() -> int:
        return sum(type(each) is Connection or type(each).__name__ == "_Wire" for each in gc.get_objects())

    async with running() as rig:
        gc.collect()
        before = alive()
        gc.disable()
        try:
            for person in ("ann", "bob"):
                async with rig.client(person) as client:
                    await client.ask("chat.send", text="hello")
            lost = await rig.bare("cut")
            lost.close()
            await eventually(lambda: rig.hub.totals().closed_by_code.get(1006) == 1)
            await eventually(lambda: alive() == before)
        finally:
            gc.enable()


def _like(number: int) -> bytes:
    return json.dumps({"id": number, "cmd": "like", "n": 1}).encode()


_GOOD = [
    client_frame(_like(1)),
    client_frame(_like(2) + b" " * 200),
    client_frame(b"[" + _like(3) + b"," + _like(4) + b"]"),
    client_frame(_like(5)[:9], fin=False) + client_frame(b"?", opcode=9) + client_frame(_like(5)[9:], opcode=0),
    client_frame(b"ping", opcode=9),
    client_frame(b"", opcode=10),
]
_LAST = [
    b"",
    client_frame(b"no json"),
    client_frame(b"\xff"),
    client_frame(b"binary", opcode=2),
    client_frame(b" " * 17_000),
    client_frame(b"of nothing", opcode=0),
    client_frame(b"\x03\xe8", opcode=8),
    client_frame(_like(6))[:-3],
    b"\x81\x05plain",
    b"\xc1\x80\0\0\0\0",
]


async def _replies(data: bytes, cuts: list[int]) -> tuple[list[bytes], int]:
    """What a socket is sent for these bytes, cut there, and how many commands were run."""
    async with running() as rig:
        sent = bytearray()
        bare = await rig.bare()
        [connection] = rig.hub.channel("show").sockets()
        await bare.frame()
        for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
            if end > start:
                cast(Connection, connection).data_received(data[start:end])
        bare.writer.write_eof()
        while chunk := await asyncio.wait_for(bare.reader.read(2**16), WAIT_S):
            sent += chunk
        bare.close()
        # Sums of likes come by the clock, answers and close frames in their order.
        answers = [part for part in bytes(sent).split(b"\x81") if b'"t":"likes"' not in part]
        return answers, rig.hub.totals().commands_in


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    frames=st.lists(st.sampled_from(_GOOD), max_size=5),
    last=st.sampled_from(_LAST),
    cuts=st.lists(st.integers(0, 400), max_size=6),
)
def test_frames_are_answered_alike_however_they_are_cut_and_whoever_reads_them(
    frames: list[bytes], last: bytes, cuts: list[int]
) -> None:
    data = b"".join((*frames, last))
    cuts = sorted(min(cut, len(data)) for cut in cuts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("chat.frame.whole_text", lambda *_: None)
        slow = asyncio.run(_replies(data, []))
    assert asyncio.run(_replies(data, [])) == slow
    assert asyncio.run(_replies(data, cuts)) == slow
