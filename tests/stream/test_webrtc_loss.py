"""WebRTC over a wire that loses packets: what comes back by asking again, and what by a new key frame."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import pytest

from stream.directory import Publication
from stream.packet import Kind, Packet
from stream.protocol.rtcp import is_rtcp
from tests.stream.lossy_wire import by_chance, is_media, is_retransmission, lossy_wire
from tests.stream.media import Clip, make_clip
from tests.stream.webrtc_host import outside_host
from tests.stream.webrtc_stage import OutsideViewer, WebRtcStage, outside_viewer, webrtc_stage

FRAMES = 100


@pytest.fixture(scope="module")
def endless_clip() -> Clip:
    """One key frame, then none: what is lost for good is seen to the end."""
    return make_clip(FRAMES // 25, (320, 240), b_frames=0, gop_frames=FRAMES)


async def feed(stage: WebRtcStage, publication: Publication, packets: tuple[Packet, ...], interval_s: float) -> None:
    for packet in packets:
        publication.push(packet, stage.clock())
        await asyncio.sleep(interval_s)


async def lossless_until(viewer: OutsideViewer, count: int) -> None:
    await viewer.until(video=viewer.frames["video"] + count, seconds=60)


@pytest.mark.parametrize("rounds", [1, pytest.param(12, marks=pytest.mark.soak)])
async def test_five_percent_loss_is_made_good_by_asking_again_without_a_key_frame(
    endless_clip: Clip, rounds: int
) -> None:
    for seed in range(rounds):
        async with webrtc_stage() as stage, outside_viewer("video") as viewer:
            publication = stage.publish()
            config, *pictures = endless_clip.only(Kind.VIDEO)
            for packet in (config, *pictures[:2]):
                publication.push(packet, stage.clock())
            publication.relay.tick(stage.clock() + 3_000)  # there is no sound to wait for
            left = iter((True,))

            def once(data: bytes, from_server: bool, left: Iterator[bool] = left) -> bool:
                return from_server and is_media(data) and not is_rtcp(data) and next(left, False)

            async with lossy_wire(stage.transport.port, lambda data, from_server: False) as wire:
                await viewer.play(stage, wire=wire)
                await viewer.until(video=1, seconds=60)
                asked = stage.whep.stats().keys_wanted
                wire.loses = by_chance(0.05, seed)
                await feed(stage, publication, tuple(pictures[2:]), 0.008)
                # aiortc asks (again) for all that it misses whenever it misses something new, and takes one picture out
                # of its buffer for each packet that comes.
                wire.loses = once
                last = pictures[-1]
                async with asyncio.timeout(60):
                    while viewer.frames["video"] < FRAMES:
                        last = replace(last, dts_ms=last.dts_ms + 40)
                        publication.push(last, stage.clock())
                        await asyncio.sleep(0.03)
                assert wire.lost[True] > 5
                assert stage.whep.stats().resent >= wire.lost[True] // 2
                assert stage.whep.stats().keys_wanted == asked


@pytest.mark.parametrize("rounds", [1, pytest.param(8, marks=pytest.mark.soak)])
async def test_a_fifth_lost_for_good_is_made_good_by_a_key_frame_of_the_host(rounds: int) -> None:
    async with webrtc_stage() as stage, outside_host(noisy=True) as host, outside_viewer("video") as viewer:
        await host.publish(stage)
        await stage.until_playing()
        async with lossy_wire(stage.transport.port, lambda data, from_server: False) as wire:
            await viewer.play(stage, wire=wire)
            await viewer.until(video=5, seconds=60)
            (seen,) = stage.whep._viewers.values()
            assert seen._rtx_payload_type is not None
            again = seen._rtx_payload_type
            for seed in range(rounds):
                chance = by_chance(0.2, seed)
                wanted, asked = stage.whep.stats().keys_wanted, stage.whip.totals.keys_asked
                # What is sent again is lost as well: on a wire as bad as this it often is.
                wire.loses = lambda data, from_server, chance=chance: (  # type: ignore[misc]
                    from_server and is_media(data) and (is_retransmission(data, again) or chance(data, from_server))
                )
                async with asyncio.timeout(60):
                    while stage.whep.stats().keys_wanted == wanted:
                        await asyncio.sleep(0.05)
                wire.loses = lambda data, from_server: False
                await lossless_until(viewer, 20)
                assert stage.whip.totals.keys_asked > asked
