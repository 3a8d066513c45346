"""A host that drops out and comes back finds its viewers where it left them."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

import pytest

from tests.harness import LiveServer, live_server
from tests.integration.outsiders import FlvPlayer, Mp4Player, publishing, wait_until
from tests.outside import need

AWAY_S = 2


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    need("ffmpeg")
    with live_server(tmp_path_factory.mktemp("returns")) as server:
        yield server


def _increase(times: list[int]) -> bool:
    return times == sorted(set(times))


def _watch_through(server: LiveServer, sign: signal.Signals) -> tuple[FlvPlayer, Mp4Player, int]:
    """Two viewers, a host that gets ``sign``, and 2 s later the same encoder anew; the time shown when it was given."""
    with publishing(server.publish_url) as host:
        flv, mp4 = FlvPlayer(server), Mp4Player(server)
        wait_until(lambda: len(flv.frames()) > 60 and len(mp4.starts.get(1, [])) > 3, "a picture in both players")
        left_ms = flv.frames()[-1].time_ms
        host.send_signal(sign)
        time.sleep(AWAY_S)
        before, fragments = len(flv.frames()), len(mp4.starts[1])
        assert not flv.ended
        assert not mp4.ended
        with publishing(server.publish_url) as again:
            wait_until(
                lambda: len(flv.frames()) > before + 60 and len(mp4.starts[1]) > fragments + 3, "the host's return"
            )
            assert again.poll() is None
    return flv, mp4, left_ms


def _check(flv: FlvPlayer, mp4: Mp4Player, left_ms: int) -> None:
    assert not flv.ended
    assert not mp4.ended
    frames = flv.frames()
    # One with each host, and others if a machine under load held a host up for seconds.
    configs = [at for at, tag in enumerate(flv.tags) if tag.kind == 9 and tag.config and tag.time_ms > left_ms]
    back = next(tag for tag in flv.tags[configs[-1] :] if tag.kind == 9 and not tag.config)
    assert back.key
    assert _increase([tag.time_ms for tag in frames])
    assert _increase([tag.time_ms for tag in flv.frames(8)])
    # The pause is in the timestamps as well: a player's clock goes on with the wall's.
    assert back.time_ms - left_ms >= AWAY_S * 1000 / 2
    assert all(_increase(starts) for starts in mp4.starts.values())
    flv.leave()
    mp4.leave()


def test_viewers_stay_connected_while_a_killed_host_comes_back(server: LiveServer) -> None:
    _check(*_watch_through(server, signal.SIGKILL))


def test_a_host_takes_its_room_back_from_its_own_connection_that_looks_alive(server: LiveServer) -> None:
    _check(*_watch_through(server, signal.SIGSTOP))
