"""Streams of two servers on one Redis: whoever has the host, viewers of both see it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.harness import LiveServer
from tests.integration.outsiders import FlvPlayer, end, metric, publish, publishing, wait_until
from tests.integration.test_nodes import nodes
from tests.redis_server import RedisServer, redis_server


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, redis: RedisServer) -> Iterator[tuple[LiveServer, LiveServer]]:
    with nodes(tmp_path_factory.mktemp("pair"), redis.url, flags=["--play-auth", "--pull-linger-s", "0.5"]) as made:
        # The same shop, so the same room and tokens.
        made[1].seed = made[0].seed
        yield made


def key_of(one: LiveServer, two: LiveServer) -> str:
    """Where a host publishes the same room at the second server."""
    return one.publish_url.replace(f":{one.rtmp_port}/", f":{two.rtmp_port}/")


def live(server: LiveServer) -> bool:
    found: bool = httpx.get(f"{server.base}/api/v1/rooms/{server.room}", timeout=60).json()["stream"]["live"]
    return found


def watch(server: LiveServer) -> FlvPlayer:
    return FlvPlayer(server, query=f"?delay=low&token={server.seed['viewer_token']}")


def test_a_host_at_one_is_seen_at_the_other_which_pulls_it_once_and_lets_it_go(
    pair: tuple[LiveServer, LiveServer],
) -> None:
    one, two = pair
    # They wait at the one before there is a host at the other.
    early = watch(two)
    with publishing(one.publish_url):
        wait_until(lambda: live(one) and live(two), "the news at both")
        players = [early, watch(one), watch(two)]
        wait_until(lambda: all(len(player.frames()) > 30 for player in players), "the picture at both")
        here, there = ({tag.time_ms: tag.digest for tag in player.frames()} for player in players[1:])
        shared = here.keys() & there.keys()
        assert len(shared) > 10
        assert all(here[at] == there[at] for at in shared), "one media clock for both"
        assert metric(two, "siyu_pull_streams") == 1
        assert metric(one, "siyu_pull_streams") == 0
        refused = httpx.get(f"{two.base}/live/{two.room}.flv?token=none", timeout=60)
        assert refused.status_code == 401
        for player in players:
            player.leave()
        wait_until(lambda: metric(two, "siyu_pull_streams") == 0, "the pull let go")
    wait_until(lambda: not live(one) and not live(two), "the end at both")


def test_a_second_host_at_the_other_is_refused_while_the_first_one_sends(pair: tuple[LiveServer, LiveServer]) -> None:
    one, two = pair
    with publishing(one.publish_url):
        player = watch(one)
        wait_until(lambda: len(player.frames()) > 30 and live(two), "the picture")
        other = publish(key_of(one, two))
        wait_until(lambda: other.poll() is not None, "the refusal")
        assert other.returncode != 0
        seen = len(player.frames())
        wait_until(lambda: len(player.frames()) > seen + 10, "the first one's picture, as before")
        player.leave()


@pytest.mark.parametrize("sign", [signal.SIGSTOP, signal.SIGKILL])
def test_a_host_that_comes_back_at_the_other_keeps_its_viewers(
    pair: tuple[LiveServer, LiveServer], sign: signal.Signals
) -> None:
    one, two = pair
    hosts = [publish(one.publish_url, gop=25)]
    players = [watch(one), watch(two)]
    try:
        wait_until(lambda: all(len(player.frames()) > 30 for player in players), "the picture at both")
        hosts[0].send_signal(sign)
        hosts.append(publish(key_of(one, two), gop=25))
        seen = [len(player.frames()) for player in players]
        wait_until(
            lambda: (
                metric(two, "siyu_rtmp_publishing") == 1
                and all(len(p.frames()) > n + 60 for p, n in zip(players, seen, strict=True))
            ),
            "the picture of its return",
        )
        assert hosts[1].poll() is None
        wait_until(lambda: metric(one, "siyu_rtmp_publishing") == 0, "the end of what hung")
        assert live(one) and live(two)
        for player in players:
            times = [tag.time_ms for tag in player.frames()]
            assert not player.ended and times == sorted(set(times))
    finally:
        for host in hosts:
            end(host)
        for player in players:
            player.leave()
    wait_until(lambda: not live(one) and not live(two), "the end at both")


def test_without_redis_each_serves_its_own_and_all_is_found_again_when_it_is_back(tmp_path: Path) -> None:
    with redis_server(tmp_path) as redis, nodes(tmp_path, redis.url) as (one, two):
        two.seed = one.seed
        redis.pause()
        with publishing(one.publish_url):
            player = FlvPlayer(one)
            wait_until(lambda: len(player.frames()) > 30, "the picture")
            redis.resume()
            wait_until(lambda: live(two), "the news of it")
            other = FlvPlayer(two)
            wait_until(lambda: len(other.frames()) > 30, "the picture at the other")
            player.leave()
            other.leave()
        one.kill()
        # What the dead one had is free: its host goes where it can.
        with publishing(key_of(one, two)):
            last = FlvPlayer(two)
            wait_until(lambda: len(last.frames()) > 30, "the host of the one that died")
            last.leave()
