"""Viewers of marked frames: what each kind of player reads, as soon as it can."""

from __future__ import annotations

import asyncio
import re
import time
from urllib.parse import urljoin

import httpx

from gateway.bench.marked_stream import MARK, Seen
from gateway.bench.process import WAIT_S, BenchError
from gateway.bench.rtc_peer import VIDEO_PAYLOAD_TYPE, RtcPeer, certificate
from gateway.bench.served import Served
from gateway.bench.sink import HOST
from stream.protocol.rtcp import is_rtcp
from stream.protocol.rtp import parse_rtp

READ_BYTES = 256 * 1024
NOT_YET_S = 0.2
_PART = re.compile(r'#EXT-X-(?:PART:DURATION=[\d.]+,|PRELOAD-HINT:TYPE=PART,)URI="([^"]+)"')


async def flv_viewer(served: Served, seen: Seen, query: str = "") -> None:
    """Watch HTTP-FLV until cancelled."""
    reader, writer = await asyncio.open_connection(HOST, served.http_port, limit=READ_BYTES)
    try:
        writer.write(f"GET /live/{served.room}.flv{query} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        while data := await reader.read(READ_BYTES):
            seen.take(data)
    finally:
        writer.close()
    raise BenchError("the server ended an FLV stream")


async def hls_viewer(served: Served, seen: Seen) -> None:
    """Watch LL-HLS until cancelled: ask for the part that the playlist promises, which is held until it is there."""
    url = f"{served.base}/live/{served.room}/media.m3u8"
    had: set[str] = set()
    async with httpx.AsyncClient(verify=False, timeout=WAIT_S) as http:  # noqa: S501 - loopback, without TLS
        while True:
            listed = await http.get(url)
            if listed.status_code != 200:
                await asyncio.sleep(NOT_YET_S)
                continue
            # A player that joins begins near the end: what is listed already is not new.
            promised = _PART.findall(listed.text)
            for part in promised[-1:] if not had else promised:
                if part in had:
                    continue
                had.add(part)
                answer = await http.get(urljoin(url, part))
                if answer.status_code == 200:
                    seen.take(answer.content)


async def whep_viewer(served: Served, seen: Seen) -> None:
    """Watch over WebRTC until cancelled."""
    peer = RtcPeer(certificate())
    frames: dict[int, int] = {}

    def take(data: bytes) -> None:
        if is_rtcp(data):
            return
        packet = parse_rtp(data)
        if packet.payload_type != VIDEO_PAYLOAD_TYPE:
            return
        for found in MARK.finditer(packet.payload):
            frames[packet.timestamp] = int(found[1], 16)
        if packet.marker and packet.timestamp in frames:
            seen.at_s.setdefault(frames[packet.timestamp], time.monotonic())

    async with httpx.AsyncClient(verify=False, timeout=WAIT_S) as http:  # noqa: S501 - loopback, without TLS
        url, offer = f"{served.base}/whep/{served.room}", peer.offer(HOST)
        deadline_s = time.monotonic() + WAIT_S
        while True:
            answer = await http.post(url, content=offer, headers={"Content-Type": "application/sdp"})
            if answer.status_code == 201:
                break
            if answer.status_code != 409 or time.monotonic() > deadline_s:
                raise BenchError(f"the server refused a WHEP viewer: {answer.status_code} {answer.text[:200]}")
            await asyncio.sleep(NOT_YET_S)
    try:
        await peer.connect(answer.text)
        await peer.listen(take)
    finally:
        await peer.close()
