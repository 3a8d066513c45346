"""Clients that break the hub's rules: each is told how, with a code of docs/hub.md, and nobody else notices."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import jwt
import orjson
import pytest

from tests.harness import live_server
from tests.integration.scene import Scene, undisturbed
from tests.integration.shopfloor import Shopfloor
from tests.integration.sockets import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Crowd, frame

FRAME_BYTES_MAX = 16_384
BAD_FRAME, BAD_TOKEN, NO_ROOM, TOO_LONG, FLOODING, BREACH = 4400, 4401, 4404, 4413, 4429, 1002
LIKE = orjson.dumps({"id": 1, "cmd": "like", "n": 1})


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shopfloor]:
    with live_server(tmp_path_factory.mktemp("abuse"), environment={"SIYU_TOKEN_TTL_S": "2"}) as server:
        shop = Shopfloor(server)
        yield shop
        # After all of it: the audit is clean, the server leaves by itself and had no mistake of its own to tell.
        shop.assert_audited()
        assert server.stop() == 0
        assert '"level":"error"' not in server.log()


@pytest.fixture
def scene(shop: Shopfloor) -> Iterator[Scene]:
    with undisturbed(shop) as scene:
        yield scene


# Frames


def _padded(size: int) -> bytes:
    """A good command of exactly ``size`` bytes."""
    bare = orjson.dumps({"id": 1, "cmd": "like", "n": 1, "pad": ""})
    return orjson.dumps({"id": 1, "cmd": "like", "n": 1, "pad": "x" * (size - len(bare))})


def test_a_frame_of_the_longest_length_is_taken(scene: Scene) -> None:
    client = scene.guest("long")
    client.send_bytes(frame(_padded(FRAME_BYTES_MAX)))
    scene.crowd.run(lambda: 1 in client.answers, "the answer")
    assert client.answers[1] == {"re": 1, "ok": True}


@pytest.mark.parametrize(
    "data",
    [
        frame(_padded(FRAME_BYTES_MAX + 1)),
        frame(b"x" * 1_000_000),
        frame(b"")[:1] + b"\xff" + (2**62).to_bytes(8, "big") + b"abcd",
        frame(b"[" * 10_000, fin=False) + frame(b"[" * 10_000, CONTINUATION),
    ],
    ids=["one byte", "a megabyte", "announced only", "in fragments"],
)
def test_a_message_over_the_limit_is_closed_as_too_long(scene: Scene, data: bytes) -> None:
    client = scene.guest("too-long")
    client.send_bytes(data)
    assert scene.closed(client)[0] == TOO_LONG


@pytest.mark.parametrize(
    "payload",
    [
        b"hello",
        b"",
        b"\xff\xfe\x00",
        b'{"id":1,"cmd":"like","n":1',
        b'{"id":1,"cmd":"chat.send","text":"\\ud800"}',
        b'{"id":1,"cmd":"like","n":NaN}',
        b'{"id":1,"cmd":"like","n":1e999}',
        b"[" * 16_000,
        b'{"a":' * 3_000 + b"1" + b"}" * 1_300,
    ],
)
def test_what_is_no_json_is_closed_as_a_bad_frame(scene: Scene, payload: bytes) -> None:
    client = scene.guest("no-json")
    client.send_bytes(frame(payload))
    assert scene.closed(client)[0] == BAD_FRAME


@pytest.mark.parametrize(
    "value",
    [
        1,
        None,
        True,
        "like",
        [],
        {},
        [1],
        [[{"id": 1, "cmd": "like"}]],
        {"id": 1},
        {"id": 1, "cmd": 5},
        {"id": 1, "cmd": ""},
        {"id": 1, "cmd": "x" * 65},
        {"id": 1, "cmd": ["like"]},
        {"id": -1, "cmd": "like"},
        {"id": 1.0, "cmd": "like"},
        {"id": "1", "cmd": "like"},
        {"id": True, "cmd": "like"},
        {"id": 2**53, "cmd": "like"},
        [{"cmd": "like", "n": 1}] * 51,
        [{"id": 1, "cmd": "like", "n": 1}, 7],
    ],
)
def test_json_that_is_no_commands_is_closed_as_a_bad_frame(scene: Scene, value: Any) -> None:
    client = scene.guest("no-command")
    client.send_json(value)
    assert scene.closed(client)[0] == BAD_FRAME


def test_a_binary_frame_is_closed_as_a_bad_frame(scene: Scene) -> None:
    client = scene.guest("binary")
    client.send_bytes(frame(LIKE, BINARY))
    assert scene.closed(client)[0] == BAD_FRAME


def test_a_message_in_fragments_with_a_ping_between_is_one_command(scene: Scene) -> None:
    client = scene.guest("fragments")
    parts = [LIKE[:3], LIKE[3:9], b"", LIKE[9:]]
    client.send_bytes(frame(parts[0], fin=False))
    for part in parts[1:-1]:
        client.send_bytes(frame(part, CONTINUATION, fin=False) + frame(b"?", PING))
    client.send_bytes(frame(parts[-1], CONTINUATION))
    scene.crowd.run(lambda: 1 in client.answers and client.pongs == 2, "the answer and both pongs")
    assert client.answers[1] == {"re": 1, "ok": True}


def test_a_message_that_comes_byte_by_byte_is_one_command(scene: Scene) -> None:
    client = scene.guest("bytes")
    for byte in frame(LIKE):
        client.send_bytes(bytes([byte]))
        scene.crowd.pump()
    scene.crowd.run(lambda: 1 in client.answers, "the answer")


@pytest.mark.parametrize(
    "data",
    [
        frame(LIKE, masked=False),
        frame(LIKE, CONTINUATION),
        frame(LIKE[:4], fin=False) + frame(LIKE[4:], TEXT),
        frame(b"x" * 10, PING, fin=False),
        frame(b"x" * 126, PING),
        frame(LIKE, rsv=4),
        frame(LIKE, 0x3),
        frame(b"", 0xB),
        frame(b"\x03", CLOSE),
        frame((999).to_bytes(2, "big"), CLOSE),
    ],
    ids=[
        "unmasked",
        "continuation of nothing",
        "new message within another",
        "ping in fragments",
        "long ping",
        "reserved bit",
        "unknown kind",
        "unknown control",
        "close of one byte",
        "close with no code there is",
    ],
)
def test_a_breach_of_the_websocket_protocol_is_closed_as_such(scene: Scene, data: bytes) -> None:
    client = scene.guest("breach")
    client.send_bytes(data)
    assert scene.closed(client)[0] == BREACH


def test_what_follows_a_bad_frame_is_not_run(scene: Scene) -> None:
    client, sale = scene.guest("late"), scene.shop.sale(5)
    command = orjson.dumps({"id": 1, "cmd": "sale.hold", "sale": sale, "quantity": 1, "key": "k"})
    client.send_bytes(frame(b"not JSON") + frame(command))
    assert scene.closed(client)[0] == BAD_FRAME
    scene.crowd.idle(0.2)
    assert client.answers == {}
    assert scene.shop.holds(sale) == {}


@pytest.mark.parametrize(
    "data",
    [
        frame(orjson.dumps({"cmd": "like", "n": 1})),
        frame(b"?", PING),
        frame(b"!", PONG),
        frame(orjson.dumps([{"cmd": "like", "n": 1}] * 50)),
        frame(orjson.dumps({"cmd": "no.such", "x": "y" * 10_000})),
    ],
    ids=["commands", "pings", "pongs", "arrays of commands", "long commands"],
)
def test_a_thousand_frames_a_second_are_closed_as_flooding(scene: Scene, data: bytes) -> None:
    client = scene.guest("flood")
    began = time.monotonic()
    for sent in range(3_000):
        client.send_bytes(data)
        if sent % 20 == 0:
            scene.crowd.pump(max(0.0, began + sent / 1_000 - time.monotonic()))
        if client.closed is not None:
            break
    assert scene.closed(client)[0] == FLOODING


def test_an_endless_message_of_empty_fragments_is_closed_as_flooding(scene: Scene) -> None:
    client = scene.guest("fragments-flood")
    client.send_bytes(frame(b"[", fin=False) + frame(b"", CONTINUATION, fin=False) * 1_000)
    assert scene.closed(client)[0] == FLOODING


def test_commands_above_the_rate_are_answered_so_and_the_connection_stays(scene: Scene) -> None:
    client = scene.guest("hasty")
    numbers = [client.send("like", n=1) for _ in range(100)]
    scene.crowd.run(lambda: len(client.answers) == len(numbers), "an answer to each")
    errors = [answer["error"] for answer in client.answers.values() if "error" in answer]
    assert {error["code"] for error in errors} == {"rate"}
    assert all(error["retry_ms"] > 0 for error in errors)
    scene.crowd.idle(max(error["retry_ms"] for error in errors) / 1_000 + 0.1)
    assert client.command("like", n=1) == {"re": 101, "ok": True}


def test_a_command_without_an_id_is_not_answered_and_one_sent_twice_is_answered_once(scene: Scene) -> None:
    client, sale = scene.guest("repeat"), scene.shop.sale(5, per_person=5)
    hold = {"id": 7, "cmd": "sale.hold", "sale": sale, "quantity": 1, "key": "a"}
    client.send_json([{"cmd": "like", "n": 1}, hold, {**hold, "key": "b"}])
    scene.crowd.run(lambda: 7 in client.answers, "the answer")
    scene.crowd.idle(0.3)
    assert client.answers.keys() == {7}
    assert len(scene.shop.holds(sale)) == 1


# Doors


def _unsigned(shop: Shopfloor) -> str:
    claims = jwt.decode(shop.token("mallory"), options={"verify_signature": False})
    return jwt.encode({**claims, "rol": "merchant"}, "", algorithm="none")


def _other_audience(shop: Shopfloor) -> str:
    claims = jwt.decode(shop.token("mallory"), options={"verify_signature": False})
    return jwt.encode({**claims, "aud": "another"}, shop.key, algorithm="HS256")


DOORS: dict[str, Callable[[Shopfloor], str]] = {
    "no token": lambda shop: "",
    "no token of ours": lambda shop: "nonsense",
    "no characters of a token": lambda shop: "令牌\x00\n%",
    "long": lambda shop: "a" * 5_000,
    "cut": lambda shop: shop.token("mallory")[:-4],
    "expired": lambda shop: shop.token("mallory", ttl_s=-10),
    "forged": lambda shop: shop.token("mallory", key=b"k" * 32),
    "unsigned": _unsigned,
    "for another program": _other_audience,
    "for another room": lambda shop: shop.token("mallory", room="another-room"),
    "of another merchant": lambda shop: shop.token("mallory", merchant="another-shop"),
    "of another merchant's boss": lambda shop: shop.token("mallory", merchant="another-shop", role="merchant"),
}


@pytest.mark.parametrize("door", DOORS)
def test_a_token_that_does_not_fit_is_closed_with_4401(scene: Scene, door: str) -> None:
    client = scene.crowd.knock(scene.shop.server.room, DOORS[door](scene.shop))
    code, reason = scene.closed(client)
    assert code == BAD_TOKEN
    assert reason
    assert client.room is None


@pytest.mark.parametrize("room", ["nowhere", "x" * 65, "a/b", "..", "%00", "房间", "ROOM "])
def test_a_room_there_is_not_is_closed_with_4404(scene: Scene, room: str) -> None:
    client = scene.crowd.knock(room, scene.shop.token("lost", room=room))
    assert scene.closed(client)[0] == NO_ROOM


def test_a_token_that_expires_ends_the_connection_that_is_silent_and_the_one_that_speaks(scene: Scene) -> None:
    guest = scene.shop.server.guest(device=scene.name("phone"))
    silent = scene.crowd.join(scene.shop.server.room, guest["token"])
    speaking = scene.crowd.join(scene.shop.server.room, guest["token"])
    assert speaking.command("like", n=1)["ok"]
    sale = scene.shop.sale(5)
    scene.crowd.idle(max(0.0, guest["expires"] / 1_000 - time.time()) + 0.05)
    if speaking.closed is None:
        speaking.send("sale.hold", sale=sale, quantity=1, key="too late")
    assert scene.closed(speaking)[0] == BAD_TOKEN
    assert scene.closed(silent)[0] == BAD_TOKEN
    assert scene.shop.holds(sale) == {}
    assert scene.closed(scene.crowd.knock(scene.shop.server.room, guest["token"]))[0] == BAD_TOKEN


def test_two_hundred_who_are_refused_at_the_door_cost_the_room_nothing(scene: Scene) -> None:
    refused = [scene.crowd.knock(scene.shop.server.room, "nonsense") for _ in range(200)]
    scene.crowd.run(lambda: all(client.closed is not None for client in refused), "every close")
    assert {client.closed[0] for client in refused if client.closed} == {BAD_TOKEN}


def test_connections_that_are_cut_in_the_middle_of_a_frame_cost_the_room_nothing(scene: Scene) -> None:
    with Crowd(scene.shop.server.http_port) as others:
        for n in range(50):
            client = scene.shop.join(others, scene.name(f"tunnel-{n}"))
            client.send_bytes(frame(LIKE)[: 1 + n % 20])
            client.cut()
