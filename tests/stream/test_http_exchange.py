"""One request and its response, from the client's side."""

import pytest

from stream.errors import LocalError, ProtocolError
from stream.protocol.http_exchange import HEAD_BYTES_MAX, Answered, Body, Ended, HttpExchange

HOST = [("host", "origin")]


def test_a_request_says_what_is_asked_and_that_the_connection_ends() -> None:
    sent = HttpExchange().request("PATCH", "/whep/room/1", [*HOST, ("if-match", '"a"')], b"a=ice")
    head, _, body = sent.partition(b"\r\n\r\n")
    assert head.splitlines()[0] == b"PATCH /whep/room/1 HTTP/1.1"
    assert {b"host: origin", b'if-match: "a"', b"content-length: 5", b"connection: close"} <= {
        line.lower() for line in head.splitlines()
    }
    assert body == b"a=ice"


def test_a_request_that_http_cannot_say_is_refused() -> None:
    with pytest.raises(LocalError):
        HttpExchange().request("GET", "/a b\r\nx: y", HOST)


@pytest.mark.parametrize("step", [1, 7, 10_000])
@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.1 200 OK\r\nSiyu-Node: a\r\n\r\npicture",
        b"HTTP/1.1 200 OK\r\nSiyu-Node: a\r\nContent-Length: 7\r\n\r\npicture",
        b"HTTP/1.1 200 OK\r\nSiyu-Node: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\npic\r\n4\r\nture\r\n0\r\n\r\n",
    ],
)
def test_a_response_is_read_whichever_way_its_body_is_framed(response: bytes, step: int) -> None:
    exchange = HttpExchange()
    exchange.request("GET", "/live/room.flv", HOST)
    events = [
        event for at in range(0, len(response), step) for event in exchange.receive_data(response[at : at + step])
    ]
    if b"Content-Length" not in response and b"chunked" not in response:
        events += exchange.receive_data(b"")
    assert isinstance(events[0], Answered) and events[0].status == 200 and events[0].headers["siyu-node"] == "a"
    assert b"".join(event.data for event in events if isinstance(event, Body)) == b"picture"
    assert isinstance(events[-1], Ended)


@pytest.mark.parametrize(
    "response",
    [
        b"FLV\x01\x05\x00\x00\x00\x09\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * (HEAD_BYTES_MAX + 1),
        b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\npic",
    ],
)
def test_what_is_no_whole_response_is_an_error_of_the_peer(response: bytes) -> None:
    exchange = HttpExchange()
    exchange.request("GET", "/live/room.flv", HOST)
    with pytest.raises(ProtocolError):
        exchange.receive_data(response)
        exchange.receive_data(b"")
