"""The UDP port: what it does when the kernel refuses, and with datagrams of nobody."""

import asyncio
import errno
import socket
from typing import Any

import pytest
from aioice import stun as outside
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.srtp import SEGMENTS_MAX, runs_of
from stream.webrtc_addresses import candidate_addresses, own_addresses, unmapped
from stream.webrtc_session import worker_of
from stream.webrtc_transport import SEND_QUEUE_BYTES_MAX, WebRtcTransport
from tests.stream.webrtc_stage import webrtc_stage


class Socket:
    """A socket that refuses as it is told and notes the rest."""

    def __init__(self, real: socket.socket) -> None:
        self.real = real
        self.segment_error: int | None = None
        self.full = False
        self.sent: list[tuple[bytes, int | None]] = []

    def fileno(self) -> int:
        return self.real.fileno()

    def close(self) -> None:
        self.real.close()

    def sendto(self, data: bytes, address: Any) -> None:
        if self.full:
            raise BlockingIOError
        self.sent.append((bytes(data), None))

    def sendmsg(self, buffers: Any, ancillary: Any, flags: int, address: Any) -> None:
        if self.segment_error is not None:
            raise OSError(self.segment_error, "refused")
        if self.full:
            raise BlockingIOError
        self.sent.append((b"".join(map(bytes, buffers)), int.from_bytes(ancillary[0][2], "little")))

    def recvfrom(self, size: int) -> Any:
        raise BlockingIOError


def faked(transport: WebRtcTransport) -> Socket:
    assert transport._socket is not None
    fake = Socket(transport._socket)
    transport._socket = fake  # type: ignore[assignment]
    return fake


PEER = ("127.0.0.1", 9)


def test_packets_of_one_size_and_one_smaller_behind_them_are_a_run() -> None:
    packets = [bytes(size) for size in (10, 10, 7, 10, 12, 12, 12)]
    assert runs_of(packets) == ((0, 3), (3, 4), (4, 7))
    assert runs_of([bytes(5)] * (SEGMENTS_MAX + 3)) == ((0, SEGMENTS_MAX), (SEGMENTS_MAX, SEGMENTS_MAX + 3))
    assert runs_of([]) == ()


async def test_a_run_leaves_in_one_write_where_the_kernel_cuts_it() -> None:
    async with webrtc_stage() as stage:
        fake = faked(stage.transport)
        assert stage.transport.write(b"aaaabbbbcc", 4, PEER)
        assert fake.sent == [(b"aaaabbbbcc", 4)]
        assert stage.transport.stats().datagrams_out == 3


async def test_a_kernel_that_cannot_cut_is_asked_once_and_a_small_path_each_peer() -> None:
    async with webrtc_stage() as stage:
        fake = faked(stage.transport)
        fake.segment_error = errno.EMSGSIZE
        assert not stage.transport.write(b"aaaabb", 4, PEER)
        fake.segment_error = None
        assert stage.transport.write(b"aaaabb", 4, PEER)
        fake.segment_error = errno.EIO
        assert not stage.transport.write(b"aaaabb", 4, PEER)
        fake.segment_error = None
        assert not stage.transport.write(b"aaaabb", 4, PEER)


async def test_a_full_socket_queues_in_order_and_within_a_bound() -> None:
    async with webrtc_stage() as stage:
        transport = stage.transport
        fake = faked(transport)
        fake.full = True
        fits = SEND_QUEUE_BYTES_MAX // 40_000
        for number in range(fits + 10):
            transport.write(number.to_bytes(40_000, "big"), 1_200, PEER)
        assert (transport.stats().writes_queued, transport.stats().writes_dropped) == (fits, 10)
        # Still full: all of it waits on, in its order, and no more is taken.
        transport._on_writable()
        transport.write(bytes(40_000), 1_200, PEER)
        assert transport.stats().writes_dropped == 11
        fake.full = False
        transport._on_writable()
        assert [int.from_bytes(data, "big") for data, _ in fake.sent] == list(range(fits))
        # Empty again: there is room again.
        fake.full = True
        transport.write(bytes(40_000), 1_200, PEER)
        assert transport.stats().writes_dropped == 11


async def test_a_way_that_is_gone_is_counted_and_no_more() -> None:
    async with webrtc_stage() as stage:
        fake = faked(stage.transport)
        fake.segment_error = errno.ENETUNREACH
        assert stage.transport.write(b"aaaabb", 4, PEER)
        assert stage.transport.stats().write_errors == 1


@settings(max_examples=20, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=60), max_size=40))
async def test_datagrams_of_nobody_are_ignored(datagrams: list[bytes]) -> None:
    async with webrtc_stage() as stage:
        for data in datagrams:
            stage.transport.receive(data, PEER, stage.clock())
        assert stage.transport.stats().datagrams_out == 0


class Nobody:
    """A peer that is told nothing."""

    def on_connected(self, now_ms: int) -> None: ...
    def on_rtp(self, data: bytes, now_ms: int) -> None: ...
    def on_rtcp(self, data: bytes, now_ms: int) -> None: ...
    def on_closed(self, reason: str, now_ms: int) -> None: ...


async def test_checks_are_answered_over_ipv6_where_the_host_is_one() -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 on this machine")
    transport = WebRtcTransport(clock=lambda: 0)
    try:
        port = await transport.start("::1", 0)
    except OSError:
        pytest.skip("no IPv6 loopback on this machine")
    try:
        session = transport.open_session(Nobody(), client="::1", remote_ufrag="them", fingerprints=())
        assert transport.local_end(session).addresses == ("::1",)
        check = outside.Message(outside.Method.BINDING, outside.Class.REQUEST)
        check.attributes["USERNAME"] = f"{session.ufrag}:them"
        check.add_message_integrity(session.password.encode())
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as client:
            client.setblocking(False)
            client.connect(("::1", port))
            client.send(bytes(check))
            loop = asyncio.get_running_loop()
            async with asyncio.timeout(60):
                answer = outside.parse_message(await loop.sock_recv(client, 1500))
            assert answer.attributes["XOR-MAPPED-ADDRESS"] == ("::1", client.getsockname()[1])
    finally:
        await transport.close()


def test_a_wildcard_host_names_addresses_that_others_can_reach() -> None:
    found = own_addresses("0.0.0.0", socket.AF_INET)
    assert found
    assert all(":" not in address for address in found)
    assert own_addresses("192.0.2.1", socket.AF_INET) == ["192.0.2.1"]


def test_a_sessions_id_names_the_worker_that_has_it() -> None:
    transport = WebRtcTransport(clock=lambda: 0, worker=3)
    assert transport.worker == 3
    assert worker_of("3.abcdefgh") == 3
    assert [worker_of(text) for text in ("abc", "3", "3.", "x.abc", "-1.abc", "99999.abc", "³.abc")] == [None] * 7


async def test_a_session_of_a_worker_is_found_by_its_number() -> None:
    async with webrtc_stage(worker=7) as stage:
        session = stage.transport.open_session(Nobody(), client="127.0.0.1", remote_ufrag="them", fingerprints=())
        assert worker_of(session.id) == 7
        assert len(session.id) > 20
        assert session.name not in ("", session.id)


async def test_a_public_name_gives_the_addresses_that_the_socket_can_be_reached_by() -> None:
    assert await candidate_addresses("127.0.0.1", ["192.0.2.7", "2001:db8::7"]) == ("192.0.2.7",)
    assert await candidate_addresses("2001:db8::1", ["192.0.2.7", "2001:db8::7"]) == ("2001:db8::7",)
    assert await candidate_addresses("::", ["192.0.2.7", "2001:db8::7"]) == ("192.0.2.7", "2001:db8::7")
    assert "127.0.0.1" in await candidate_addresses("0.0.0.0", ["localhost"])
    with pytest.raises(OSError, match="no IPv4 address"):
        await candidate_addresses("0.0.0.0", ["2001:db8::7"])


def test_a_mapped_address_is_one_of_ipv4() -> None:
    assert [unmapped(text) for text in ("::ffff:192.0.2.7", "192.0.2.7", "::1")] == ["192.0.2.7", "192.0.2.7", "::1"]


async def test_a_port_that_is_taken_for_tcp_is_an_error_that_says_so() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        transport = WebRtcTransport(clock=lambda: 0)
        with pytest.raises(OSError, match="ICE over TCP") as error:
            await transport.start("127.0.0.1", taken.getsockname()[1])
        assert error.value.errno == errno.EADDRINUSE
        await transport.close()
