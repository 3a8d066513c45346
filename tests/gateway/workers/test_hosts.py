"""Hosts and viewers at different workers of one node: pulls over Unix sockets, takeover, sessions, figures."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from gateway.workers import cluster as cluster_module
from gateway.workers.messages import Owner
from stream.errors import AlreadyPublishing, PublishRefused
from stream.packet import Kind
from stream.rtmp_peers import PublishRequest
from tests.gateway.test_whep import FRAGMENT, SDP, make_offer
from tests.gateway.workers.stage import KEY, PATIENCE_S, ROOM, Node, node_of, until
from tests.stream.media import Clip, make_clip
from tests.stream.stage import Host, Stage, clock_ms
from tests.stream.test_ingest_pull import Watcher


@pytest.fixture(scope="module")
def clip() -> Clip:
    return make_clip(2, (160, 96), b_frames=0)


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    async with node_of(2) as node:
        yield node


@pytest.fixture
async def trio() -> AsyncIterator[Node]:
    async with node_of(3) as node:
        yield node


feed = Stage.feed


async def push(publication: object, packets: object, shift_ms: int = 0) -> None:
    """Give packets to a room as a host does."""
    await feed(None, publication, packets, shift_ms)  # type: ignore[arg-type]


async def test_a_room_plays_at_every_worker_and_is_pulled_once_by_each(trio: Node, clip: Clip) -> None:
    first, *others = trio.workers
    publication = await first.publish()
    await push(publication, clip.packets)
    here = Watcher(first.directory, ROOM)
    watchers = [Watcher(worker.directory, ROOM) for worker in others for _ in range(5)]
    await until(lambda: all(watcher.media() for watcher in watchers))
    await push(publication, clip.media, shift_ms=2_000)
    await until(lambda: all(watcher.media()[-1] == here.media()[-1] for watcher in watchers))
    for watcher in watchers:
        assert watcher.media() == here.media()[-len(watcher.media()) :], "the same frames at the same media time"
    assert first.part._inner is not None
    assert first.part._inner.output.stats().joined == len(others)
    assert first.part.puller.stats().started == 0


async def test_a_viewer_who_came_first_gets_the_picture_when_the_host_comes_to_another_worker(
    node: Node, clip: Clip
) -> None:
    watcher = Watcher(node.workers[1].directory, ROOM)
    publication = await node.workers[0].publish()
    await push(publication, clip.packets)
    await until(watcher.media)


async def test_every_worker_knows_of_the_stream_without_pulling_it(node: Node, clip: Clip) -> None:
    first, second = node.workers
    publication = await first.publish()
    await push(publication, clip.packets)
    await until(lambda: second.directory.info(ROOM).live and second.directory.info(ROOM).video_codec)
    told = second.directory.info(ROOM)
    assert (told.width, told.height) == (160, 96)
    assert second.part.puller.stats().started == 0
    publication.end("over", clock_ms())
    await until(lambda: not second.directory.info(ROOM).live)


async def test_a_host_that_sends_is_not_displaced_from_another_worker(node: Node, clip: Clip) -> None:
    host = Host()
    publication = await node.workers[0].publish(host)
    await push(publication, clip.packets)
    sound, going_on = clip.only(Kind.AUDIO)[-1], True
    now_ms = node.stopped_ms = clock_ms()

    async def send() -> None:
        """The clock goes on with each frame alone: no pause of this machine is a silence of the host."""
        nonlocal now_ms
        while going_on:
            now_ms = node.stopped_ms = now_ms + 20
            publication.push(replace(sound, dts_ms=now_ms % 100_000), now_ms)
            await asyncio.sleep(0.005)

    sending = asyncio.create_task(send())
    try:
        with pytest.raises(AlreadyPublishing):
            await node.workers[1].publish()
    finally:
        going_on = False
        await sending
    assert host.closed == [] and publication.active and node.registry.owners == {ROOM: 0}


async def test_a_host_that_went_silent_is_taken_over_by_its_return_to_another_worker(trio: Node, clip: Clip) -> None:
    first, second, third = trio.workers
    host = Host()
    former = await first.publish(host)
    await push(former, clip.packets)
    watchers = [Watcher(worker.directory, ROOM) for worker in (first, third)]
    await until(lambda: all(watcher.media() for watcher in watchers))
    before_ms = first.directory.info(ROOM).media_clock_ms
    began_s = asyncio.get_running_loop().time()
    # No retry is needed: the claim itself looks for half a second whether the former host is alive.
    publication = await second.publish()
    assert asyncio.get_running_loop().time() - began_s < PATIENCE_S
    assert host.closed and not former.active and trio.registry.owners == {ROOM: 1}
    seen = [len(watcher.media()) for watcher in watchers]
    await push(publication, clip.packets)
    await until(lambda: all(len(w.media()) > n + 20 for w, n in zip(watchers, seen, strict=True)))
    assert second.directory.info(ROOM).media_clock_ms > before_ms
    for watcher in watchers:
        times = [time for time, _ in watcher.media()]
        assert times == sorted(set(times)) and "close" not in watcher.calls


async def test_a_room_of_a_worker_that_died_goes_on_at_another_one(trio: Node, clip: Clip) -> None:
    first, second, third = trio.workers
    await push(await first.publish(), clip.packets)
    watcher = Watcher(third.directory, ROOM)
    await until(watcher.media)
    before_ms = watcher.media()[-1][0]
    await trio.lose(first)
    publication = await second.publish()
    await push(publication, clip.packets)
    await until(lambda: watcher.media()[-1][0] > before_ms)
    assert "close" not in watcher.calls


async def test_a_worker_that_wakes_up_without_its_room_lets_its_host_go(node: Node, clip: Clip) -> None:
    host = Host()
    publication = await node.workers[0].publish(host)
    await push(publication, clip.packets)
    node.workers[0].part.cluster.receive(Owner(ROOM, 1))
    assert host.closed and not publication.active


async def test_a_wrong_key_claims_nothing(node: Node) -> None:
    with pytest.raises(PublishRefused):
        await node.workers[0].part.doors.rtmp_host(PublishRequest("live", ROOM, "wrong", "127.0.0.1"))
    assert node.registry.owners == {}


async def test_a_room_that_was_claimed_and_not_used_is_given_back(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_module, "UNUSED_S", 0.02)
    await node.workers[0].part.cluster.claim(ROOM)
    await until(lambda: node.registry.owners == {})


async def test_a_host_that_takes_its_room_back_at_the_same_worker_keeps_it(node: Node, clip: Clip) -> None:
    first, host = node.workers[0], Host()
    await push(await first.publish(host), clip.packets)
    await push(await first.publish(), clip.packets)
    await asyncio.sleep(0.05)
    assert host.closed and node.registry.owners == {ROOM: 0} and first.directory.info(ROOM).live


async def test_sessions_carry_their_worker_and_any_worker_takes_what_is_for_them(node: Node, clip: Clip) -> None:
    first, second = node.workers
    await push(await first.publish(), clip.packets)
    await until(lambda: second.part.is_elsewhere(ROOM))
    answer = await second.client.post(f"/whep/{ROOM}", content=await make_offer(), headers=SDP)
    assert answer.status_code == 201, answer.text
    assert f" {second.streaming.webrtc.port} typ host" in answer.text
    location = answer.headers["location"]
    assert location.startswith(f"/whep/{ROOM}/1.")
    restart = "a=ice-ufrag:aaaabbbb\r\na=ice-pwd:ccccddddeeeeffffgggghhhh\r\n"
    for worker in (first, second):
        tag = {"if-match": answer.headers["etag"]}
        stale = {"if-match": '"older"'}
        good = await worker.client.patch(location, content="", headers={**FRAGMENT, **tag})
        assert good.status_code == 204, good.text
        bad = await worker.client.patch(location, content="", headers={**FRAGMENT, **stale})
        assert (bad.status_code, bad.json()["code"]) == (412, "stale")
    renewed = await first.client.patch(location, content=restart, headers={**FRAGMENT, "if-match": "*"})
    assert renewed.status_code == 200 and "a=ice-ufrag:" in renewed.text and renewed.headers["etag"]
    assert (await first.client.delete(location)).status_code == 200
    assert second.streaming.whep.viewers == 0
    for worker in (first, second):
        gone = await worker.client.delete(location)
        assert (gone.status_code, gone.json()["code"]) == (404, "no_session")


async def test_a_session_of_no_worker_is_not_found(node: Node) -> None:
    for session in ("7.abc", "1.abc", "abc", "-1.abc", "1", "x.y.z", "99999999999999999999.a"):
        gone = await node.workers[0].client.delete(f"/whep/{ROOM}/{session}")
        assert (gone.status_code, gone.json()["code"]) == (404, "no_session")


async def test_whep_does_not_wait_for_a_room_that_nobody_has(node: Node) -> None:
    answer = await node.workers[0].client.post(f"/whep/{ROOM}", content=await make_offer(), headers=SDP)
    assert (answer.status_code, answer.json()["code"]) == (409, "not_live")


async def test_a_browsers_host_claims_the_room_like_any_other(node: Node, clip: Clip) -> None:
    first, second = node.workers
    offer = (await make_offer()).replace("a=recvonly", "a=sendonly")
    bearer = {"authorization": f"Bearer {KEY}"}
    answer = await second.client.post(f"/whip/{ROOM}", content=offer, headers={**SDP, **bearer})
    assert answer.status_code == 201, answer.text
    assert node.registry.owners == {ROOM: 1}
    assert (await first.client.delete(answer.headers["location"])).status_code == 200
    await until(lambda: node.registry.owners == {})


async def test_the_figures_of_all_workers_stand_side_by_side_without_those_that_are_gone(trio: Node) -> None:
    text = (await trio.workers[0].part.metrics()).decode()
    for worker in "012":
        assert f'siyu_stream_relays{{worker="{worker}"}} 0.0' in text
    assert 'siyu_workers_restarts_total{of="2",worker="0"} 0.0' in text
    assert text.count("# TYPE siyu_stream_relays gauge") == 1
    assert text.count("# TYPE siyu_pull_started_total counter") == 1
    await trio.lose(trio.workers[2])
    text = (await trio.workers[1].part.metrics()).decode()
    assert 'siyu_stream_relays{worker="0"}' in text and 'siyu_stream_relays{worker="2"}' not in text
