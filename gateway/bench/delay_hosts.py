"""Hosts of marked frames: over RTMP as OBS sends, over WebRTC as a browser does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import httpx

from gateway.bench.made_stream import AAC_MS, ASC, AVCC, FRAMES_PER_S, OPUS_MS
from gateway.bench.marked_stream import SILENCE_AAC, SILENCE_OPUS, Sent, frame_ms, unit
from gateway.bench.process import WAIT_S, BenchError
from gateway.bench.rtc_peer import AUDIO_PAYLOAD_TYPE, SSRC, VIDEO_PAYLOAD_TYPE, RtcPeer, certificate
from gateway.bench.rtmp_wire import READY, chunks, message, to_publish
from gateway.bench.served import Served
from gateway.bench.sink import HOST
from stream.packet import Codec, Kind, Packet
from stream.protocol import rtcp, rtp

REPORT_INTERVAL_MS = 1000
ANSWER_BYTES_MAX = 65_536


async def due(sent: Sent, gop_s: float) -> AsyncIterator[tuple[int, bool]]:
    """Each frame's number, when it is due, and whether it is a key frame."""
    start_s = time.monotonic()
    for number in range(1 << 31):
        early_s = frame_ms(number) / 1000 - (time.monotonic() - start_s)
        if early_s > 0:
            await asyncio.sleep(early_s)
        sent.newest = number
        yield number, number % round(gop_s * FRAMES_PER_S) == 0


async def rtmp_host(served: Served, sent: Sent, gop_s: float) -> None:
    """Publish until cancelled."""
    reader, writer = await asyncio.open_connection(HOST, served.rtmp_port)
    try:
        writer.write(to_publish(f"{served.room}?key={served.stream_key}"))
        answer = b""
        while READY not in answer:
            data = await asyncio.wait_for(reader.read(ANSWER_BYTES_MAX), WAIT_S)
            answer += data
            if not data or len(answer) > ANSWER_BYTES_MAX:
                raise BenchError("the server refused the host")
        for codec, kind, data in ((Codec.H264, Kind.VIDEO, AVCC), (Codec.AAC, Kind.AUDIO, ASC)):
            writer.write(message(Packet(kind, codec, 0, 0, True, True, data), 0))
        audio_ms = 0
        async for number, key in due(sent, gop_s):
            now_ms = frame_ms(number)
            while audio_ms <= now_ms:
                writer.write(message(Packet(Kind.AUDIO, Codec.AAC, audio_ms, 0, True, False, SILENCE_AAC), audio_ms))
                audio_ms += AAC_MS
            made = unit(number, key=key)
            data = len(made).to_bytes(4, "big") + made
            sent.note(number)
            for piece in chunks(message(Packet(Kind.VIDEO, Codec.H264, now_ms, 0, key, False, data), now_ms)):
                writer.write(piece)
            await writer.drain()
    finally:
        writer.close()


async def whip_host(served: Served, sent: Sent, gop_s: float) -> None:
    """Publish until cancelled; key frames come at their time, whatever is asked."""
    peer = RtcPeer(certificate(), sending=True)
    headers = {"Authorization": f"Bearer {served.stream_key}", "Content-Type": "application/sdp"}
    async with httpx.AsyncClient(verify=False, timeout=WAIT_S) as http:  # noqa: S501 - loopback, without TLS
        answer = await http.post(f"{served.base}/whip/{served.room}", content=peer.offer(HOST), headers=headers)
    if answer.status_code != 201:
        raise BenchError(f"the server refused the WHIP host: {answer.status_code} {answer.text[:200]}")
    await peer.connect(answer.text)
    listening = asyncio.create_task(peer.listen(lambda _data: None))
    sets = rtp.parameter_sets(AVCC)
    sequence = audio_ms = reported_ms = 0
    audio_sequence = 0
    counts = [0, 0]
    try:
        async for number, key in due(sent, gop_s):
            now_ms = frame_ms(number)
            if now_ms >= reported_ms:
                reported_ms = now_ms + REPORT_INTERVAL_MS
                ntp = rtcp.ntp_of(time.time_ns() // 1_000_000)
                for ssrc, rate, count in ((SSRC, 90, counts[0]), (SSRC + 1, 48, counts[1])):
                    report = rtcp.SenderReport(ssrc, ntp, now_ms * rate & 0xFFFFFFFF, count, 0)
                    peer.send_rtcp(rtcp.sender_report(report) + rtcp.source_description(ssrc, "bench"))
            while audio_ms <= now_ms:
                peer.send_rtp(
                    rtp.rtp_packet(AUDIO_PAYLOAD_TYPE, True, audio_sequence, audio_ms * 48, SSRC + 1, SILENCE_OPUS)
                )
                audio_sequence, audio_ms = (audio_sequence + 1) & 0xFFFF, audio_ms + OPUS_MS
                counts[1] += 1
            payloads = rtp.h264_payloads([unit(number, key=key)], sets if key else ())
            sent.note(number)
            for index, payload in enumerate(payloads):
                last = index == len(payloads) - 1
                peer.send_rtp(rtp.rtp_packet(VIDEO_PAYLOAD_TYPE, last, sequence, now_ms * 90, SSRC, payload))
                sequence = (sequence + 1) & 0xFFFF
                counts[0] += 1
    finally:
        listening.cancel()
        await asyncio.wait((listening,))
        await peer.close()
