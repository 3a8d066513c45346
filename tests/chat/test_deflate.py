"""permessage-deflate (RFC 7692): a room's frame is compressed once for all who offered it."""

from __future__ import annotations

import json
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import connect
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from chat import frame
from tests.chat.rig import Bare, Client, Rig, client_frame, running

OFFER = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
"""What browsers send."""
LINE = "这个颜色还有货吗？" * 10


def inflate(data: bytes) -> bytes:
    return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data + b"\x00\x00\xff\xff")


def deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return (packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH)).removesuffix(b"\x00\x00\xff\xff")


@asynccontextmanager
async def client(rig: Rig, token: str, **factory: int) -> AsyncIterator[Client]:
    """A client of the websockets library that offers compression."""
    offer = ClientPerMessageDeflateFactory(**factory)  # type: ignore[arg-type]
    async with connect(rig.url(token=token), compression=None, extensions=[offer], proxy=None, max_size=None) as socket:
        yield Client(socket)


async def raw(bare: Bare) -> tuple[int, bytes]:
    """The first byte and the payload of the next frame."""
    head = await bare.reader.readexactly(2)
    length = head[1]
    if length > 125:
        length = int.from_bytes(await bare.reader.readexactly(2 if length == 126 else 8), "big")
    return head[0], await bare.reader.readexactly(length)


async def chat(bare: Bare) -> tuple[int, bytes]:
    """The next frame with a line of chat, as it came."""
    while True:
        first, payload = await raw(bare)
        text = inflate(payload) if first & 0x40 else payload
        if any(item.get("t") == "chat" for item in json.loads(text)):
            return first, payload


async def test_who_offers_it_gets_the_same_compressed_frame_as_all_others_of_the_kind() -> None:
    async with running() as rig, rig.client("ann") as ann:
        one, two = await rig.bare("bob", extra=OFFER), await rig.bare("cid", extra=OFFER)
        plain = await rig.bare("dan")
        for bare in (one, two):
            assert b"permessage-deflate; server_no_context_takeover; client_no_context_takeover" in bare.head
        assert b"extensions" not in plain.head.lower()
        for _ in range(2):
            assert (await ann.ask("chat.send", text=LINE))["ok"]
            (first, packed), same, (opcode, whole) = await chat(one), await chat(two), await chat(plain)
            assert (first, opcode) == (0xC1, 0x81)
            assert same == (first, packed)
            # Each frame is read without what came before it.
            assert inflate(packed) == whole
            assert len(packed) < len(whole) / 2
        for bare in (one, two, plain):
            bare.close()


async def test_a_compressed_command_is_understood_and_one_that_unfolds_too_far_is_refused() -> None:
    async with running() as rig:
        bare = await rig.bare("ann", extra=OFFER)
        command = json.dumps({"id": 1, "cmd": "chat.send", "text": LINE}).encode()
        packed = bytearray(client_frame(deflate(command)))
        packed[0] |= 0x40
        bare.send(bytes(packed))
        while True:
            first, payload = await raw(bare)
            items = json.loads(inflate(payload) if first & 0x40 else payload)
            if any(item.get("re") == 1 and item["ok"] for item in items):
                break
        bomb = bytearray(client_frame(deflate(b" " * 10_000_000)))
        bomb[0] |= 0x40
        bare.send(bytes(bomb))
        assert await bare.closed() == 4413
        bare.close()


@pytest.mark.parametrize("bits", [9, 15])
async def test_a_client_of_the_library_reads_a_room_whatever_window_it_asks_for(bits: int) -> None:
    async with running() as rig, client(rig, "ann", server_max_window_bits=bits) as ann:
        assert (await ann.event("room"))["epoch"] == "e1"
        assert (await ann.ask("chat.send", text=LINE))["ok"]
        assert (await ann.event("chat"))["text"] == LINE
        await ann.say("like", n=3)
        assert (await ann.event("likes"))["n"] == 3
        for number in range(3):
            rig.hub.send_personal("show", "ann", {"t": "coupon", "n": number})
            assert (await ann.event("coupon"))["n"] == number


async def test_a_slow_reader_of_the_kind_is_skipped_and_brought_up_like_any_other() -> None:
    async with running() as rig, rig.client("host.host") as host:
        bare = await rig.bare("ann", extra=OFFER)
        (sink,) = rig.hub.channel("show").audiences[1].connections
        rig.hub.channel("show").restore("e2", rig.hub.channel("show").state(), last=False)
        assert (await host.ask("notice", text=LINE))["ok"]
        seen: list[str] = []
        while "notice" not in seen:
            first, payload = await raw(bare)
            for item in json.loads(inflate(payload) if first & 0x40 else payload):
                # Told with the state, when that was given after it was said.
                seen += [item["t"], *(event["t"] for event in item.get("history", ()))]
        assert seen.count("room") == 2 and seen.count("notice") == 1 and not sink.skipping
        bare.close()


@given(st.binary(max_size=5_000))
@settings(deadline=None)
def test_a_frame_is_never_longer_than_the_plain_one_and_reads_the_same(payload: bytes) -> None:
    packed = frame.deflated(payload)
    plain = frame.text(payload)
    assert len(packed) <= len(plain)
    if packed[0] & 0x40:
        head = 2 if packed[1] < 126 else 4
        assert inflate(packed[head:]) == payload
    else:
        assert packed == plain
