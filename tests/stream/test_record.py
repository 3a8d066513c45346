"""Recording real packets to a real disk: what survives, what is dropped, and that the host never waits."""

from __future__ import annotations

import asyncio
import io
import shutil
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import av
import pytest

from stream.packet import Kind
from stream.protocol import recording
from stream.protocol.recording import INDEX_FILE, Index
from stream.record import DAY_MS, Recorder, RecordLimits, ShowEnded, ShowEvent, ShowStarted
from stream.recorder_disk import AppendFile, DiskLimits, Show
from stream.replay import ClipFile, ClipRefused, Replay, cut_clip
from tests.stream.media import Clip
from tests.stream.stage import Host, Stage, clock_ms


@asynccontextmanager
async def recording_of(stage: Stage, folder: Path, **options: object) -> AsyncIterator[Recorder]:
    recorder = Recorder(stage.directory, folder, clock=clock_ms, **options)  # type: ignore[arg-type]
    await recorder.start()
    try:
        yield recorder
    finally:
        await recorder.close()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.005)


def index_of(recorder: Recorder, show: Show) -> Index:
    return recording.parse_index((recorder.place(show) / INDEX_FILE).read_bytes())[0]


def frames(folder: Path) -> list[int]:
    """Decode all media of a show whose configuration never changed: presentation times of its frames, in ms."""
    index, _ = recording.parse_index((folder / INDEX_FILE).read_bytes())
    files = sorted({part.file for part in index.parts})
    data = (folder / "init-0.mp4").read_bytes()
    data += b"".join((folder / recording.media_file(file)).read_bytes() for file in files)
    with av.open(io.BytesIO(data), "r") as container:
        return [round(frame.time * 1000) for frame in container.decode(video=0)]


async def test_every_frame_of_a_show_is_on_the_disk(stage: Stage, clip: Clip, tmp_path: Path) -> None:
    events: list[ShowEvent] = []
    async with recording_of(stage, tmp_path) as recorder:
        recorder.listen(events.append)
        await stage.feed(stage.publish(), clip.looped(10))
        assert recorder.current("room") is not None
        stage.directory.close()
    (show,) = recorder.shows("room")
    started, ended = events
    assert isinstance(started, ShowStarted) and isinstance(ended, ShowEnded)
    assert (started.show, ended.show) == (show.show, show.show) and show.ended_ms is not None
    index = index_of(recorder, show)
    assert index.end is not None and index.end.length_ms == round(show.length_ms)
    assert abs(show.length_ms - 10_000) < 100 and show.from_ms == 3_000
    assert abs(show.to_ms - ended.media_ms) <= 40
    shown = frames(recorder.place(show))
    fed = [packet for packet in clip.looped(10) if packet.kind is Kind.VIDEO and not packet.config]
    assert len(shown) == len(fed)


async def test_a_host_who_returns_goes_on_in_the_same_show(stage: Stage, clip: Clip, tmp_path: Path) -> None:
    async with recording_of(stage, tmp_path) as recorder:
        first = stage.publish()
        await stage.feed(first, clip.looped(6))
        first.end("lost", clock_ms())
        await stage.feed(stage.publish(), clip.looped(6))
        stage.directory.close()
    (show,) = recorder.shows("room")
    text = recording.playlist(index_of(recorder, show))
    assert text.count("#EXT-X-DISCONTINUITY\n") == 1 and text.count("EXT-X-MAP") == 1
    assert abs(show.length_ms - 12_000) < 100


async def test_the_replay_of_an_unfinished_show_that_was_killed_plays_to_its_last_part(
    stage: Stage, clip: Clip, tmp_path: Path
) -> None:
    async with recording_of(stage, tmp_path / "live") as recorder:
        await stage.feed(stage.publish(), clip.looped(8))
        (show,) = recorder.shows("room")
        await until(lambda: recorder.disk.stats.queued_bytes == 0)
        # What a SIGKILL leaves is what the kernel was given.
        shutil.copytree(tmp_path / "live", tmp_path / "killed")
        kept_ms, parts = show.length_ms, recorder.disk.stats.parts
    torn = tmp_path / "killed" / "room" / show.show / INDEX_FILE
    torn.write_bytes(torn.read_bytes() + b"[0,1234,99")
    async with recording_of(stage, tmp_path / "killed", record=False) as again:
        (found,) = again.shows("room")
        assert (found.show, found.started_ms, found.length_ms) == (show.show, show.started_ms, kept_ms)
        assert again.disk.stats.recovered == 1
        assert len(index_of(again, found).parts) == parts
        replay = Replay(again)
        text = await replay.playlist(found, {})
        assert text is not None and "PLAYLIST-TYPE:VOD" in text and text.endswith("ENDLIST\n")
        assert len(frames(again.place(found))) == round(kept_ms / 40)
        replay.close()
    async with recording_of(stage, tmp_path / "killed", record=False) as once_more:
        assert once_more.disk.stats.recovered == 0 and len(once_more.shows("room")) == 1


async def test_what_the_index_names_and_the_disk_lost_is_left_out(stage: Stage, clip: Clip, tmp_path: Path) -> None:
    """As after a power cut: the file has its length, and zeros in it."""
    async with recording_of(stage, tmp_path / "live") as recorder:
        await stage.feed(stage.publish(), clip.looped(8))
        (show,) = recorder.shows("room")
        await until(lambda: recorder.disk.stats.queued_bytes == 0)
        shutil.copytree(tmp_path / "live", tmp_path / "cut")
    place = tmp_path / "cut" / "room" / show.show
    index, _ = recording.parse_index((place / INDEX_FILE).read_bytes())
    lost = index.parts[-3]
    with (place / "media-0.m4s").open("r+b") as file:
        file.seek(lost.at)
        file.write(bytes(4_096))
    async with recording_of(stage, tmp_path / "cut", record=False) as again:
        (found,) = again.shows("room")
        assert index_of(again, found).parts == index.parts[:-3]


async def test_a_folder_without_anything_to_play_is_removed(stage: Stage, tmp_path: Path) -> None:
    for name, content in (("a", None), ("b", b""), ("c", recording.head_line("room", "c", 1)), ("d", b'{"v":1,"ro')):
        (tmp_path / "room" / name).mkdir(parents=True)
        if content is not None:
            (tmp_path / "room" / name / INDEX_FILE).write_bytes(content)
    async with recording_of(stage, tmp_path) as recorder:
        assert recorder.shows("room") == []
    assert list((tmp_path / "room").iterdir()) == []


class Free:
    """A disk's room, as a test says."""

    def __init__(self, free: int) -> None:
        self.free = free

    def __call__(self, folder: Path) -> int:
        return self.free


async def test_a_nearly_full_disk_is_left_alone_until_there_is_room(stage: Stage, clip: Clip, tmp_path: Path) -> None:
    free = Free(999)
    limits = RecordLimits(disk=DiskLimits(min_free_bytes=1_000))
    async with recording_of(stage, tmp_path, limits=limits, free_bytes=free) as recorder:
        publication = stage.publish()
        await stage.feed(publication, clip.looped(6))
        assert recorder.stats().resting == 1 and recorder.stats().dropped_parts > 0
        assert list(tmp_path.iterdir()) == []
        free.free = 1_050
        await asyncio.sleep(1.2)
        assert not recorder.disk.ready, "a little room comes and goes"
        free.free = 1_200
        await until(lambda: recorder.disk.ready)
        await stage.feed(publication, clip.looped(6), shift_ms=6_000)
        stage.directory.close()
    (show,) = recorder.shows("room")
    first = index_of(recorder, show).parts[0]
    assert first.key and first.wall_ms and first.start_ms >= 8_000


async def test_a_disk_that_fails_costs_a_gap_and_the_show_goes_on(
    stage: Stage, clip: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stream.recorder_disk.RETRY_S", 0.1)
    monkeypatch.setattr("stream.recorder_disk.SPACE_CHECK_S", 0.1)
    failing = threading.Event()

    class Failing(AppendFile):
        def write(self, data: bytes) -> None:
            if failing.is_set():
                super().write(data[: len(data) // 2])
                raise OSError(28, "No space left on device")
            super().write(data)

    async with recording_of(stage, tmp_path, open_file=Failing) as recorder:
        publication = stage.publish()
        await stage.feed(publication, clip.looped(6))
        await until(lambda: recorder.disk.stats.queued_bytes == 0)
        failing.set()
        await stage.feed(publication, list(clip.looped(2)), shift_ms=6_000)
        await until(lambda: recorder.disk.stats.errors)
        failing.clear()
        await until(lambda: recorder.disk.ready)
        await stage.feed(publication, list(clip.looped(6)), shift_ms=8_000)
        stage.directory.close()
    (show,) = recorder.shows("room")
    index = index_of(recorder, show)
    runs = [part for part in index.parts if part.wall_ms]
    assert len(runs) == 2 and all(part.key for part in runs)
    assert index.end is not None and recorder.disk.stats.errors >= 1
    # Each part is whole: its bytes lie where its line says, whatever the failed write left between.
    with (recorder.place(show) / "media-0.m4s").open("rb") as media:
        for part in index.parts:
            media.seek(part.at + 4)
            assert media.read(4) == b"moof"


async def test_a_slow_disk_drops_parts_and_never_delays_the_host(stage: Stage, clip: Clip, tmp_path: Path) -> None:
    going = threading.Event()
    taken: list[int] = []

    class Slow(AppendFile):
        def write(self, data: bytes) -> None:
            going.wait(60)
            taken.append(len(data))
            super().write(data)

    limits = RecordLimits(disk=DiskLimits(queue_bytes=200_000))
    async with recording_of(stage, tmp_path, limits=limits, open_file=Slow) as recorder:
        publication = stage.publish()
        asked = asyncio.ensure_future(stage.get("/room.flv"))
        await stage.until_viewers(1)
        # The disk has not taken a single byte while all of this is fed.
        await stage.feed(publication, clip.looped(20))
        assert taken == []
        assert 0 < recorder.disk.stats.queued_bytes <= 200_000
        assert recorder.stats().dropped_parts > 0
        going.set()
        await until(lambda: recorder.disk.stats.queued_bytes == 0)
        await stage.feed(publication, clip.looped(4), shift_ms=20_000)
        publication.end("over", clock_ms())
        stage.directory.close()
        _, body = await asked
    (show,) = recorder.shows("room")
    runs = [part for part in index_of(recorder, show).parts if part.wall_ms]
    assert len(runs) == 2 and all(part.key for part in runs)
    assert len(body) > 700_000


async def test_a_long_show_goes_into_several_files(stage: Stage, clip: Clip, tmp_path: Path) -> None:
    limits = RecordLimits(disk=DiskLimits(file_bytes=100_000))
    async with recording_of(stage, tmp_path, limits=limits) as recorder:
        await stage.feed(stage.publish(), clip.looped(12))
        stage.directory.close()
    (show,) = recorder.shows("room")
    index = index_of(recorder, show)
    assert len({part.file for part in index.parts}) > 2
    assert len(frames(recorder.place(show))) == 300
    made = cut_clip(recorder.place(show), 5_000, 13_000, tmp_path / "clip.mp4")
    assert decoded(tmp_path / "clip.mp4")["video"] == round(made.length_ms / 40)


async def test_shows_past_their_time_go_and_the_one_under_way_stays(stage: Stage, clip: Clip, tmp_path: Path) -> None:
    async with recording_of(stage, tmp_path, limits=RecordLimits(keep_days=2)) as recorder:
        await stage.feed(stage.publish("old"), clip.looped(3))
        stage.directory.find("old").close(clock_ms())  # type: ignore[union-attr]
        await stage.feed(stage.publish("new"), clip.looped(3))
        recorder.expire(clock_ms() + DAY_MS)
        assert len(recorder.shows("old")) == 1
        recorder.expire(clock_ms() + 3 * DAY_MS)
        assert recorder.shows("old") == [] and len(recorder.shows("new")) == 1
        await until(lambda: recorder.disk.stats.deleted == 1)
    assert list((tmp_path / "old").iterdir()) == [] and len(list((tmp_path / "new").iterdir())) == 1


def decoded(path: Path) -> dict[str, int]:
    """Decode a whole file: frames of each kind; times must grow."""
    found = {}
    for kind in ("video", "audio"):
        with av.open(str(path)) as container:
            if not getattr(container.streams, kind):
                continue
            times = [frame.pts for frame in container.decode(**{kind: 0})]
        assert None not in times and times == sorted(times, key=lambda pts: pts or 0)
        found[kind] = len(times)
    return found


async def clip_of(stage: Stage, recorder: Recorder, start_ms: int, end_ms: int, target: Path) -> ClipFile:
    replay = Replay(recorder)
    try:
        return await replay.cut("room", recorder.shows("room")[0].show, start_ms, end_ms, target)
    finally:
        replay.close()


async def test_a_clip_begins_at_a_key_frame_at_0_and_is_as_long_as_asked(
    stage: Stage, clip: Clip, tmp_path: Path
) -> None:
    async with recording_of(stage, tmp_path / "r") as recorder:
        await stage.feed(stage.publish(), clip.looped(20))
        made = await clip_of(stage, recorder, 8_300, 15_000, tmp_path / "clip.mp4")
    assert (made.start_ms, made.end_ms) == (8_000, 15_000) and abs(made.length_ms - 7_000) <= 40
    assert (tmp_path / "clip.mp4").stat().st_size == made.bytes
    data = (tmp_path / "clip.mp4").read_bytes()
    # A player can begin before it has the whole file.
    assert data.index(b"moov") < data.index(b"mdat")
    with av.open(str(tmp_path / "clip.mp4")) as container:
        assert container.duration is not None and abs(container.duration / 1_000_000 - 7) < 0.05
        packet = next(container.demux(video=0))
        assert packet.is_keyframe
    with av.open(str(tmp_path / "clip.mp4")) as container:
        frame = next(container.decode(video=0))
        assert frame.pts == 0 and frame.key_frame
    found = decoded(tmp_path / "clip.mp4")
    assert abs(found["video"] - 175) <= 1 and abs(found["audio"] - 7 * 44_100 / 1_024) <= 4


def times(data: bytes, from_s: float) -> dict[str, dict[bytes, float]]:
    """For each kind the packets and when they are shown, in seconds, those of 3 s: no bytes come twice in these."""
    found: dict[str, dict[bytes, float]] = {"video": {}, "audio": {}}
    with av.open(io.BytesIO(data), "r") as container:
        for packet in container.demux(container.streams.video[0], container.streams.audio[0]):
            at = float(packet.pts * packet.time_base) if packet.pts is not None else -1
            if from_s <= at < from_s + 3:
                found[packet.stream.type][bytes(packet)] = at
    return found


async def test_picture_and_sound_of_a_clip_keep_their_distance(stage: Stage, clip: Clip, tmp_path: Path) -> None:
    async with recording_of(stage, tmp_path / "r") as recorder:
        await stage.feed(stage.publish(), clip.looped(12))
        made = await clip_of(stage, recorder, 6_000, 12_000, tmp_path / "clip.mp4")
    assert made.start_ms == 6_000
    place = recorder.place(recorder.shows("room")[0])
    whole = times((place / "init-0.mp4").read_bytes() + (place / "media-0.m4s").read_bytes(), 6.2)
    cut = times((tmp_path / "clip.mp4").read_bytes(), 0)
    shift = {kind: [whole[kind][data] - at for data, at in cut[kind].items() if data in whole[kind]] for kind in cut}
    assert len(shift["audio"]) > 100 and len(shift["video"]) > 60
    moved = [*shift["audio"], *shift["video"]]
    assert max(moved) - min(moved) < 0.001


async def test_a_clip_over_a_pause_of_the_host_plays_without_it(stage: Stage, clip: Clip, tmp_path: Path) -> None:
    async with recording_of(stage, tmp_path / "r") as recorder:
        first = stage.publish()
        await stage.feed(first, clip.looped(6))
        first.end("lost", clock_ms())
        await asyncio.sleep(0.5)
        again = stage.publish()
        await stage.feed(again, clip.looped(6))
        made = await clip_of(stage, recorder, 5_000, 12_000, tmp_path / "clip.mp4")
    assert abs(made.length_ms - 6_500) <= 150
    found = decoded(tmp_path / "clip.mp4")
    assert abs(found["video"] - 162) <= 6


@pytest.mark.parametrize("kind", [Kind.VIDEO, Kind.AUDIO])
async def test_a_stream_of_one_track_is_recorded_and_cut(
    stage: Stage, clip: Clip, tmp_path: Path, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stream.relay.AUDIO_WAIT_MS", 0)
    monkeypatch.setattr("stream.relay.VIDEO_WAIT_MS", 0)
    async with recording_of(stage, tmp_path / "r") as recorder:
        await stage.feed(stage.publish(), [packet for packet in clip.looped(12) if packet.kind is kind])
        made = await clip_of(stage, recorder, 5_000, 11_000, tmp_path / "clip.mp4")
    assert abs(made.length_ms - 6_000) < 600
    assert list(decoded(tmp_path / "clip.mp4")) == ["video" if kind is Kind.VIDEO else "audio"]


@pytest.mark.parametrize(("start_ms", "end_ms"), [(8_000, 10_900), (500_000, 510_000), (9_000, 8_000)])
async def test_too_short_or_unrecorded_moments_give_no_clip(
    stage: Stage, clip: Clip, tmp_path: Path, start_ms: int, end_ms: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stream.replay.REACH_WAIT_S", 0.1)
    async with recording_of(stage, tmp_path / "r") as recorder:
        await stage.feed(stage.publish(), clip.looped(12))
        with pytest.raises(ClipRefused):
            await clip_of(stage, recorder, start_ms, end_ms, tmp_path / "clip.mp4")
    assert not (tmp_path / "clip.mp4").exists() and [path.name for path in tmp_path.iterdir()] == ["r"]


async def test_a_room_whose_name_is_no_folder_s_is_not_recorded(stage: Stage, clip: Clip, tmp_path: Path) -> None:
    async with recording_of(stage, tmp_path) as recorder:
        await stage.feed(stage.publish("../room"), clip.looped(3))
        assert recorder.stats().recording == 0
    assert list(tmp_path.iterdir()) == []


async def test_what_another_process_records_is_listed_while_it_grows_and_left_to_it(
    stage: Stage, clip: Clip, tmp_path: Path
) -> None:
    async with recording_of(stage, tmp_path, shared=True) as here:
        publication = stage.publish()
        await stage.feed(publication, clip.looped(4))
        await until(lambda: here.disk.stats.parts and not here.disk.stats.queued_bytes)
        async with recording_of(stage, tmp_path, shared=True, record=False, sweeps=False) as there:
            (show,) = there.shows("room")
            assert show.ended_ms is None and there.disk.stats.recovered == 0
            length_ms, replay = show.length_ms, Replay(there)
            assert length_ms == here.shows("room")[0].length_ms > 0
            text = await replay.playlist(show, {})
            assert text is not None and "PLAYLIST-TYPE:EVENT" in text
            await stage.feed(publication, clip.looped(4), shift_ms=4_000)
            await until(lambda: show.length_ms > length_ms)
            stage.directory.close()
            await until(lambda: show.ended_ms is not None)
            (own,) = here.shows("room")
            assert (show.show, show.length_ms, show.bytes) == (own.show, round(own.length_ms), own.bytes)
            text = await replay.playlist(show, {})
            assert text is not None and text.endswith("ENDLIST\n")
            replay.close()
            # Gone here, gone there.
            here.limits = RecordLimits(keep_days=1)
            here.expire(clock_ms() + 2 * DAY_MS)
            await until(lambda: there.shows("room") == [])


async def test_of_a_shared_folder_what_a_crash_left_open_is_closed_by_whoever_finds_it(
    stage: Stage, clip: Clip, tmp_path: Path
) -> None:
    async with recording_of(stage, tmp_path / "live") as recorder:
        await stage.feed(stage.publish(), clip.looped(4))
        await until(lambda: recorder.disk.stats.queued_bytes == 0)
        kept_ms = recorder.shows("room")[0].length_ms
        shared = tmp_path / "shared"
        # Another process is about to write its first line.
        (shared / "room" / "begun").mkdir(parents=True)
        async with recording_of(stage, shared, shared=True, record=False) as there:
            assert there.shows("room") == []
            shutil.copytree(tmp_path / "live" / "room", shared / "room", dirs_exist_ok=True)
            await until(lambda: there.shows("room"))
            assert there.shows("room")[0].length_ms == round(kept_ms) and there.disk.stats.recovered == 1
            assert (shared / "room" / "begun").is_dir()


async def test_a_show_ends_where_the_host_no_longer_is(stage: Stage, clip: Clip, tmp_path: Path) -> None:
    async with recording_of(stage, tmp_path) as recorder:
        publication = stage.publish()
        await stage.feed(publication, clip.looped(4))
        publication.end("lost", clock_ms())
        pulled = stage.directory.publish_pulled("room", Host(), clock_ms())
        await stage.feed(pulled, clip.looped(4), shift_ms=10_000)
        await until(lambda: recorder.current("room") is None)
        (show,) = recorder.shows("room")
        assert show.ended_ms is not None
        await until(lambda: recorder.disk.stats.queued_bytes == 0)
        assert abs(show.length_ms - 4_000) < 100
