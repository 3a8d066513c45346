"""A minute of real broadcast: ffmpeg publishes, ffmpeg, ffprobe and plain sockets watch. One run, many questions."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.harness import LiveServer, live_server
from tests.integration.outsiders import (
    FlvPlayer,
    Mp4Player,
    Play,
    end,
    packets_command,
    probe,
    publish,
    publishing,
    read_packets,
    wait_until,
)
from tests.outside import need

BROADCAST_S = 60
GOP_FRAMES = 100
"""4 s: long enough that nobody happens to join at a key frame."""
PICTURE, SOUND = 9, 8


@dataclass
class Broadcast:
    """What remains of the minute."""

    sent: Play
    seen: Play
    first: FlvPlayer
    late: FlvPlayer
    quick: FlvPlayer
    mp4: Mp4Player
    mp4_probe: dict[str, Any]
    picture_only: dict[str, Any]
    sound_only: dict[str, Any]
    picture_only_header: bytes
    sound_only_header: bytes


def _room(server: LiveServer, title: str) -> tuple[str, str]:
    """A new room: its id and where its host publishes."""
    token = server.seed["merchant_token"]
    room = server.call("POST", "/api/v1/rooms", {"title": title}, token=token).json()["id"]
    url: str = server.call("GET", f"/rooms/{room}/streams", token=token).json()["publish"]["url"]
    return room, url


def _one_track(server: LiveServer, title: str, *, picture: bool) -> tuple[dict[str, Any], bytes]:
    """Publish one track alone: what ffprobe says of the FLV, and the FLV header."""
    room, url = _room(server, title)
    with publishing(url, picture=picture, sound=not picture):
        player = FlvPlayer(server, room)
        found = probe(f"{server.base}/live/{room}.flv")
        wait_until(lambda: player.header, "an FLV header")
        player.leave()
    return found, player.header


@pytest.fixture(scope="module")
def broadcast(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broadcast]:
    need("ffmpeg")
    need("ffprobe")
    folder = tmp_path_factory.mktemp("broadcast")
    with live_server(folder) as server, ThreadPoolExecutor() as pool:
        yield _broadcast(server, folder, pool)


def _broadcast(server: LiveServer, folder: Path, pool: ThreadPoolExecutor) -> Broadcast:
    flv, copy = f"{server.base}/live/{server.room}.flv", folder / "copy.flv"
    first = FlvPlayer(server)
    watcher = subprocess.Popen(packets_command(flv), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    host = publish(server.publish_url, seconds=BROADCAST_S, gop=GOP_FRAMES, b_frames=2, copy=copy)
    try:
        # ffmpeg gives the publisher's own file and the watcher's view to be compared at the end.
        reading = pool.submit(watcher.communicate)
        picture_only = pool.submit(_one_track, server, "只有画面", picture=True)
        sound_only = pool.submit(_one_track, server, "只有声音", picture=False)
        wait_until(lambda: sum(tag.key for tag in first.frames()) >= 2, "a second key frame")
        seen_before = len(first.frames())
        wait_until(lambda: len(first.frames()) > seen_before + GOP_FRAMES // 3, "the middle of a group")
        late = FlvPlayer(server)
        quick = FlvPlayer(server, query="?delay=low")
        mp4 = Mp4Player(server)
        mp4_probe = probe(f"{server.base}/live/{server.room}.mp4", seconds=4)
        tracks = [picture_only.result(), sound_only.result()]
        error = host.communicate(timeout=BROADCAST_S + 60)[1].decode()
        assert host.returncode == 0, error
        sent = read_packets(subprocess.run(packets_command(str(copy)), capture_output=True, text=True).stdout)
        for kind, stream in ((PICTURE, 0), (SOUND, 1)):
            count = len(sent.of(stream))
            wait_until(lambda: len(first.frames(kind)) >= count, "the last frame")  # noqa: B023
            last = first.frames(kind)[count - 1].digest
            for other in (late, quick):
                wait_until(lambda: last in {tag.digest for tag in other.frames(kind)}, "the last frame")  # noqa: B023
        server.stop()
        output, error_bytes = reading.result(timeout=60)
        assert watcher.returncode == 0, error_bytes
    finally:
        end(host)
        end(watcher)
    for player in (first, late, quick, mp4):
        wait_until(lambda: player.ended, "the end of the response")  # noqa: B023
    (picture, picture_header), (sound, sound_header) = tracks
    seen = read_packets(output.decode())
    return Broadcast(sent, seen, first, late, quick, mp4, mp4_probe, picture, sound, picture_header, sound_header)


def test_another_ffmpeg_gets_every_packet_of_the_minute(broadcast: Broadcast) -> None:
    sent, seen = broadcast.sent, broadcast.seen
    assert len(sent.of(0)) == BROADCAST_S * 25
    for stream in (0, 1):
        theirs = [(p.size, p.digest) for p in sent.of(stream)]
        # Behind them its last picture may come again, while the server waits for the host's return.
        assert [(p.size, p.digest) for p in seen.of(stream)][: len(theirs)] == theirs


def test_timestamps_increase_and_keep_the_hosts_distances(broadcast: Broadcast) -> None:
    sent, seen = broadcast.sent, broadcast.seen
    for stream in (0, 1):
        theirs = sent.of(stream)
        ours = seen.of(stream)[: len(theirs)]
        times = [packet.dts for packet in ours]
        assert times == sorted(set(times))
        shifts = {(o.dts - t.dts, o.pts - t.pts) for o, t in zip(ours, theirs, strict=True)}
        assert len(shifts) == 1
    # One shift for both tracks: picture and sound stay together.
    assert seen.of(0)[0].dts - sent.of(0)[0].dts == seen.of(1)[0].dts - sent.of(1)[0].dts


def test_a_late_viewer_starts_with_a_key_frame_at_once(broadcast: Broadcast) -> None:
    first, late = broadcast.first, broadcast.late
    frames = late.frames()
    assert frames[0].key
    # Not the next key frame but the last one: others had it before this viewer asked.
    known = {tag.digest: tag.arrived for tag in first.frames()}
    assert known[frames[0].digest] < late.asked
    kinds = [tag for tag in late.tags if tag.kind in (PICTURE, SOUND)]
    assert [tag.config for tag in kinds[:2]] == [True, True]


def test_a_late_viewer_misses_nothing_after_its_key_frame(broadcast: Broadcast) -> None:
    for player in (broadcast.late, broadcast.quick):
        for kind in (PICTURE, SOUND):
            mine = [(tag.time_ms, tag.digest) for tag in player.frames(kind)]
            theirs = [(tag.time_ms, tag.digest) for tag in broadcast.first.frames(kind)]
            begun = theirs.index(mine[0])
            # All of the host's; its last picture may have come again to one of them by the time the server went.
            shared = min(len(mine), len(theirs) - begun)
            assert mine[:shared] == theirs[begun : begun + shared]
            assert begun + shared >= len(broadcast.sent.of(0 if kind == PICTURE else 1))


def test_a_plain_socket_is_told_what_it_gets(broadcast: Broadcast) -> None:
    head = broadcast.first.head.lower()
    assert head.startswith(b"http/1.1 200 ok\r\n")
    assert b"content-type: video/x-flv\r\n" in head
    assert b"transfer-encoding" not in head
    assert b"access-control-allow-origin: *\r\n" in head
    assert broadcast.first.header[4] == 0b101


def test_the_mp4_plays_in_ffprobe(broadcast: Broadcast) -> None:
    found = broadcast.mp4_probe
    assert [stream["codec_name"] for stream in found["streams"]] == ["h264", "aac"]
    picture = found["streams"][0]
    assert (picture["width"], picture["height"]) == (320, 180)
    packets = [packet for packet in found["packets"] if packet["codec_type"] == "video"]
    assert "K" in packets[0]["flags"]
    times = [int(packet["dts"]) for packet in packets]
    assert len(times) >= 25
    assert times == sorted(set(times))


def test_the_mp4_is_one_init_segment_and_fragments_in_order(broadcast: Broadcast) -> None:
    boxes = broadcast.mp4.boxes
    assert boxes[:2] == ["ftyp", "moov"]
    assert boxes.count("moov") == 1
    assert set(broadcast.mp4.starts) == {1, 2}
    for starts in broadcast.mp4.starts.values():
        assert starts == sorted(set(starts))
    assert b'content-type: video/mp4; codecs="avc1.' in broadcast.mp4.head.lower()


def test_a_broadcast_without_sound_plays(broadcast: Broadcast) -> None:
    assert [stream["codec_name"] for stream in broadcast.picture_only["streams"]] == ["h264"]
    assert broadcast.picture_only["packets"]
    assert broadcast.picture_only_header[4] == 0b001


def test_a_broadcast_without_picture_plays(broadcast: Broadcast) -> None:
    assert [stream["codec_name"] for stream in broadcast.sound_only["streams"]] == ["aac"]
    assert broadcast.sound_only["packets"]
    assert broadcast.sound_only_header[4] == 0b100
