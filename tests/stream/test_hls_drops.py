"""HLS over drops, by the validator: each playlist and each reload, and every file that was ever named."""

import asyncio
from collections.abc import Iterable
from functools import cache
from itertools import pairwise

import pytest

from stream.directory import Directory
from stream.output_hls import HlsOutput
from stream.packet import Kind, Packet
from stream.protocol.fmp4 import AUDIO_TRACK, VIDEO_TIMESCALE, VIDEO_TRACK, spans
from tests.stream import hls_rules
from tests.stream.media import Clip, make_clip
from tests.stream.stage import Host


@cache
def clip_of(seconds: int) -> Clip:
    return make_clip(seconds)


class Watcher:
    """One room on a manual clock, whose playlist is looked at after each step."""

    def __init__(self) -> None:
        self.now_ms = 1_700_000_000_000
        self.directory = Directory(lambda: self.now_ms)
        self.output = HlsOutput(self.directory, clock=lambda: self.now_ms)
        self.last: hls_rules.Playlist | None = None
        self.seen: dict[str, bytes] = {}
        self.discontinuous: list[str] = []

    async def look(self) -> None:
        room = self.output._rooms["room"]
        if not room.timeline.ready:
            return
        answer = await self.output.answer("room", "media.m3u8", {})
        assert answer.status == 200
        playlist = hls_rules.check(answer.body.decode())
        if self.last is not None:
            hls_rules.check_reload(self.last, playlist)
        self.last = playlist
        for segment in playlist.segments:
            names = [part.uri for part in segment.parts] + ([segment.uri] if segment.uri else [])
            for name in names:
                data = (await self.output.answer("room", name, {})).body
                assert self.seen.setdefault(name, data) == data
            if segment.discontinuity and segment.uri and segment.uri not in self.discontinuous:
                self.discontinuous.append(segment.uri)

    async def send(self, packets: Iterable[Packet]) -> None:
        publication = self.directory.publish("room", Host(), self.now_ms)
        start_ms = self.now_ms
        for count, packet in enumerate(packets):
            self.now_ms = max(self.now_ms, start_ms + packet.dts_ms)
            publication.push(packet, self.now_ms)
            if count % 10 == 0:
                await self.look()
        publication.end("gone", self.now_ms)

    async def wait(self, lasts_ms: int) -> None:
        for _ in range(lasts_ms // 50):
            self.now_ms += 50
            self.directory.fill(self.now_ms)
            await self.look()


def extents(media: Iterable[bytes]) -> dict[int, list[tuple[int, int]]]:
    out: dict[int, list[tuple[int, int]]] = {VIDEO_TRACK: [], AUDIO_TRACK: []}
    for data in media:
        for track, extent in spans(data).items():
            out[track].append(extent)
    return out


@pytest.mark.parametrize("away_ms", [150, 1_500])
@pytest.mark.parametrize("tracks", [(Kind.VIDEO, Kind.AUDIO), (Kind.VIDEO,), (Kind.AUDIO,)], ids=str)
async def test_each_playlist_keeps_the_rules_while_a_host_comes_and_goes(
    away_ms: int, tracks: tuple[Kind, ...]
) -> None:
    clip = clip_of(8 if len(tracks) == 1 else 3)
    watcher = Watcher()
    opening = asyncio.create_task(watcher.output.answer("room", "media.m3u8", {}))
    await asyncio.sleep(0)
    for _ in range(3):
        await watcher.send(packet for packet in (*clip.configs, *clip.media) if packet.kind in tracks)
        await watcher.wait(away_ms)
    assert (await opening).status == 200
    assert watcher.last is not None
    assert len(watcher.discontinuous) == 2
    parts = sorted(
        (tuple(map(int, name.partition("-p")[2].removesuffix(".m4s").split("_"))), data)
        for name, data in watcher.seen.items()
        if "-p" in name
    )
    for track, rate in ((VIDEO_TRACK, VIDEO_TIMESCALE), (AUDIO_TRACK, 44_100)):
        found = extents(data for _, data in parts)[track]
        for (_, end), (start, _) in pairwise(found):
            # Sound is counted in samples, and no part's end is far from the next one's start.
            assert -0.07 < (start - end) / rate < 0.45
    watcher.directory.close()
    watcher.output.close()


async def test_dates_do_not_go_back_after_a_host_that_sent_seconds_at_once() -> None:
    clip = clip_of(3)
    watcher = Watcher()
    opening = asyncio.create_task(watcher.output.answer("room", "media.m3u8", {}))
    await asyncio.sleep(0)
    await watcher.send([*clip.configs, *clip.media])
    assert (await opening).status == 200
    publication = watcher.directory.publish("room", Host(), watcher.now_ms)
    for packet in (*clip.configs, *clip.media):
        publication.push(packet, watcher.now_ms)
    await watcher.look()
    publication.end("gone", watcher.now_ms)
    await watcher.send([*clip.configs, *clip.media])
    assert len(watcher.discontinuous) == 2
    watcher.directory.close()
    watcher.output.close()
