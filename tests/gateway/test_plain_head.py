"""The quick way through a WebSocket's head: what it takes, h11 takes alike; what needs judgement it leaves."""

from __future__ import annotations

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.bench.herd import browser_request
from gateway.plain_head import read_plain_head

HEAD_BYTES_MAX = 32 * 1024
PLAIN = browser_request("/ws/R00M?token=a.b-c_d&since=e1%3A7")


def by_h11(data: bytes) -> tuple[bytes, list[tuple[bytes, bytes]], bytes]:
    """Target, headers and what is left, as h11 reads them. Raises RemoteProtocolError."""
    connection = h11.Connection(h11.SERVER, HEAD_BYTES_MAX)
    connection.receive_data(data)
    event = connection.next_event()
    assert isinstance(event, h11.Request)
    return event.target, list(event.headers), connection.trailing_data[0]


def test_what_a_browser_sends_is_read_as_h11_reads_it() -> None:
    found = read_plain_head(PLAIN + b"first frame", HEAD_BYTES_MAX)
    assert found is not None
    assert (found.target, found.headers, found.rest) == by_h11(PLAIN + b"first frame")
    assert found.path == "/ws/R00M"
    assert found.query == b"token=a.b-c_d&since=e1%3A7"


@pytest.mark.parametrize(
    "data",
    [
        PLAIN[:-1],
        PLAIN.replace(b"GET ", b"POST "),
        PLAIN.replace(b"HTTP/1.1", b"HTTP/1.0", 1),
        PLAIN.replace(b"/ws/", b"/live/"),
        PLAIN.replace(b"/ws/R", b"/ws/%52"),
        PLAIN.replace(b"Host:", b"Hosts:"),
        PLAIN.replace(b"Host:", b"Host: a\r\nHost:"),
        PLAIN.replace(b"Pragma:", b"Content-Length: 5\r\nPragma:"),
        PLAIN.replace(b"Pragma:", b"Transfer-Encoding: chunked\r\nPragma:"),
        PLAIN.replace(b"Pragma:", b"Expect: 100-continue\r\nPragma:"),
        PLAIN.replace(b"Pragma:", b"Pragma :"),
        PLAIN.replace(b"Pragma:", b" Pragma:"),
        PLAIN.replace(b"no-cache", b"no\0cache"),
        PLAIN.replace(b"no-cache", b"no\ncache"),
        PLAIN.replace(b"no-cache\r\n", b"no-cache\n"),
        PLAIN.replace(b"Pragma:", b"X-Long: " + b"x" * HEAD_BYTES_MAX + b"\r\nPragma:"),
    ],
)
def test_what_needs_judgement_is_left_to_h11(data: bytes) -> None:
    assert read_plain_head(data, HEAD_BYTES_MAX) is None


@given(st.integers(0, len(PLAIN)), st.integers(0, len(PLAIN)), st.binary(max_size=12))
def test_whatever_is_taken_h11_takes_as_the_same(start: int, end: int, put: bytes) -> None:
    data = PLAIN[:start] + put + PLAIN[max(start, end) :]
    found = read_plain_head(data, HEAD_BYTES_MAX)
    if found is not None:
        assert (found.target, found.headers, found.rest) == by_h11(data)
