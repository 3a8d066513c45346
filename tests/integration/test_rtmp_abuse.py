"""Bad input at the RTMP door of a real server: each gets its status code, and a bystander's picture goes on."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stream.protocol.rtmp_chunk import write_message
from tests.harness import LiveServer, live_server
from tests.integration.outsiders import PATIENCE_S, Bystander, drain, metric, publish, publishing, wait_until
from tests.outside import need
from tests.stream.rtmp_peer import C0C1, C2, HELLO, SERVER_HANDSHAKE_BYTES, codes, command, connect
from tests.stream.rtmp_peer import publish as publish_command

HANDSHAKE_S = 1
TRIES = 4
BAD_NAME = "NetStream.Publish.BadName"
VIDEO = 9


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    need("ffmpeg")
    with live_server(tmp_path_factory.mktemp("rtmp")) as server, publishing(server.publish_url):
        yield server


@pytest.fixture
def hasty(tmp_path: Path) -> Iterator[LiveServer]:
    """One that does not wait for a handshake; the others do, as the machine may stand still."""
    with live_server(tmp_path, flags=["--header-timeout-s", str(HANDSHAKE_S)]) as server:
        yield server


@pytest.fixture(scope="module")
def bystander(server: LiveServer) -> Iterator[Bystander]:
    bystander = Bystander(server)
    yield bystander
    bystander.leave()


@pytest.fixture(autouse=True)
def nobody_else_notices(server: LiveServer, bystander: Bystander) -> Iterator[None]:
    yield
    bystander.undisturbed()
    wait_until(lambda: metric(server, "siyu_rtmp_connections") == 1, "the end of everybody but the host")
    assert metric(server, "siyu_rtmp_publishing") == 1


@pytest.fixture(scope="module")
def other(server: LiveServer) -> str:
    """Another room of the shop, as ROOM?key=KEY."""
    token = server.seed["merchant_token"]
    room = server.call("POST", "/api/v1/rooms", {"title": "另一间"}, token=token).json()["id"]
    key: str = server.call("GET", f"/rooms/{room}/streams", token=token).json()["publish"]["stream_key"]
    return key


def dial(server: LiveServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.rtmp_port), timeout=PATIENCE_S)


def talk(server: LiveServer, data: bytes) -> bytes:
    """Send ``data`` and give all that the server says until it closes."""
    with dial(server) as peer:
        with contextlib.suppress(ConnectionError):
            peer.sendall(data)
        return drain(peer)


def verdict(server: LiveServer, name: str, app: str = "live") -> list[str]:
    """The status codes for a host that publishes ``name``, once the server has closed."""
    answer = talk(server, HELLO + connect(app) + publish_command(name))
    return codes(answer[SERVER_HANDSHAKE_BYTES:])


def test_a_wrong_key_and_an_unknown_room_get_the_same_answer(server: LiveServer) -> None:
    wrong = verdict(server, f"{server.room}?key=WRONGWRONGWRONGWRONG00")
    assert wrong[-1] == BAD_NAME
    assert verdict(server, "nowhere?key=WRONGWRONGWRONGWRONG00") == wrong
    assert verdict(server, server.room) == wrong


def test_a_key_opens_no_other_room(server: LiveServer, other: str) -> None:
    key = other.partition("?")[2]
    assert verdict(server, f"{server.room}?{key}")[-1] == BAD_NAME


def test_an_unknown_application_is_refused(server: LiveServer) -> None:
    answer = talk(server, HELLO + connect("vod"))
    # Before it has answered connect, the server writes in chunks of 128 bytes.
    assert codes(answer[SERVER_HANDSHAKE_BYTES:], 128) == ["NetConnection.Connect.Rejected"]


@contextlib.contextmanager
def busy_room(server: LiveServer) -> Iterator[dict[str, str]]:
    """Where hosts publish to a new room that has one; a stall of half a second makes that one look gone."""
    token = server.seed["merchant_token"]
    room = server.call("POST", "/api/v1/rooms", {"title": "有主播的"}, token=token).json()["id"]
    where: dict[str, str] = server.call("GET", f"/rooms/{room}/streams", token=token).json()["publish"]
    with publishing(where["url"]):
        wait_until(lambda: server.call("GET", f"/rooms/{room}").json()["stream"]["live"], "the first host")
        yield where


def test_a_second_publisher_is_refused_while_the_first_goes_on(server: LiveServer) -> None:
    def is_refused() -> bool:
        with busy_room(server) as where:
            return verdict(server, where["stream_key"])[-1] == BAD_NAME

    assert any(is_refused() for _ in range(TRIES))


def test_a_second_ffmpeg_is_turned_away_with_an_error(server: LiveServer) -> None:
    def is_turned_away() -> bool:
        with busy_room(server) as where:
            second = publish(where["url"], seconds=20)
            _, said = second.communicate(timeout=PATIENCE_S)
        words = (b"already live", b"BadName", b"Operation not permitted")
        return second.returncode != 0 and any(word in said for word in words)

    assert any(is_turned_away() for _ in range(TRIES))


def test_playing_a_room_that_is_not_there_is_refused_in_words(server: LiveServer) -> None:
    play = command("createStream", 2, None) + command("play", 3, None, "nowhere", stream_id=1)
    with dial(server) as peer:
        peer.sendall(HELLO + connect() + play)
        peer.shutdown(socket.SHUT_WR)
        answer = drain(peer)
    assert codes(answer[SERVER_HANDSHAKE_BYTES:])[-1] == "NetStream.Play.StreamNotFound"


@pytest.mark.parametrize(
    "garbage",
    [
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", id="http"),
        pytest.param(b"\x16\x03\x01\x02\x00" + bytes(512), id="tls"),
        pytest.param(bytes(range(256)) * 64, id="bytes"),
        pytest.param(C0C1 + C2 + b"\xff" * 4096, id="chunks"),
        pytest.param(HELLO + connect() + write_message(3, 20, 0, 0, b"\x02\xff\xff"), id="commands"),
        pytest.param(HELLO + command("publish", 1, None, "x", "live"), id="no-connect"),
    ],
)
def test_garbage_ends_its_own_connection(server: LiveServer, garbage: bytes) -> None:
    talk(server, garbage)


def test_a_slow_handshake_is_ended(hasty: LiveServer) -> None:
    before = metric(hasty, "siyu_rtmp_timed_out_total")
    with dial(hasty) as silent, dial(hasty) as slow:
        slow.settimeout(HANDSHAKE_S / 10)
        deadline = time.monotonic() + PATIENCE_S
        ended = False
        # Bytes that trickle in must not put the end off.
        for byte in C0C1 * 2:
            with contextlib.suppress(TimeoutError):
                try:
                    slow.sendall(bytes([byte]))
                    ended = slow.recv(65536) == b""
                except ConnectionError:
                    ended = True
            if ended or time.monotonic() > deadline:
                break
        assert ended
        assert drain(silent) == b""
    assert metric(hasty, "siyu_rtmp_timed_out_total") >= before + 2


def test_a_message_over_the_limit_is_ended_before_it_is_taken_in(server: LiveServer) -> None:
    long = write_message(3, 20, 0, 0, b"\x02" + bytes(1024 * 1024), chunk_bytes=128)
    before = metric(server, "siyu_rtmp_failed_total")
    talk(server, HELLO + connect() + long)
    assert metric(server, "siyu_rtmp_failed_total") == before + 1


def test_a_host_cannot_fill_the_memory_with_messages_that_never_end(server: LiveServer, other: str) -> None:
    size = (16 * 1024 * 1024 - 1).to_bytes(3, "big")
    before = metric(server, "process_resident_memory_bytes")
    with dial(server) as peer:
        peer.sendall(HELLO + connect() + publish_command(other))
        wait_until(lambda: metric(server, "siyu_rtmp_publishing") == 2, "the publish")
        chunk_bytes = 8 * 1024 * 1024
        peer.sendall(write_message(2, 1, 0, 0, chunk_bytes.to_bytes(4, "big")))
        with contextlib.suppress(ConnectionError):
            for stream in range(4, 12):
                peer.sendall(bytes((stream,)) + bytes(3) + size + bytes((VIDEO, 1, 0, 0, 0)) + bytes(chunk_bytes))
        drain(peer)
    assert metric(server, "process_resident_memory_bytes") - before < 64 * 1024 * 1024


def test_frames_that_are_no_frames_harm_only_their_own_room(server: LiveServer, other: str) -> None:
    room = other.partition("?")[0]
    with dial(server) as peer:
        peer.sendall(HELLO + connect() + publish_command(other))
        wait_until(lambda: metric(server, "siyu_rtmp_publishing") == 2, "the publish")
        for number in range(200):
            body = os.urandom(1 + number)
            with contextlib.suppress(ConnectionError):
                peer.sendall(write_message(6, 8 + number % 2, 1, number * 40, body))
        wait_until(lambda: server.call("GET", f"/rooms/{room}").status_code == 200, "the API")


def test_hosts_that_come_and_go_in_haste_leave_nothing_behind(server: LiveServer, other: str) -> None:
    for _ in range(50):
        with dial(server) as peer:
            peer.sendall(HELLO + connect() + publish_command(other))
