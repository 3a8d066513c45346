"""A room full of viewers during a show: P0 reaches all of them, chat is capped, commands are answered meanwhile."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from chat.limits import HubLimits, RoomLimits
from tests import postgres, redis_server
from tests.harness import LiveServer, live_server
from tests.integration.big_show import Show, play_show
from tests.integration.masses import percentile
from tests.integration.outsiders import metric, wait_until
from tests.integration.pinned import pinned
from tests.integration.shopfloor import Shopfloor
from tests.integration.sockets import raise_file_limit

LINES_PER_S = 220
"""A little over what a room lets through."""
FILLED_S = 10.0
"""Of chat at a room's cap, and all that is kept for a reader who stopped is full."""
ROUNDS = 3
NOTICE_S = 0.25
"""Twice as many notices as in other shows: it is their 99 of 100 that is compared."""
DROPPED_CHAT = 'siyu_hub_dropped_by_tier_total{of="P2"}'
BURST_S = 3
"""What a stall of the machine lets pile up and then through at once."""


def assert_nothing_lost(show: Show) -> None:
    """Every reader saw every notice once, nobody was closed, and chat was held to the room's cap."""
    assert show.seen is not None
    assert show.seen.closed == 0
    assert show.seen.seen == dict.fromkeys(range(show.notices), show.viewers)
    assert show.seen.most == 1
    cap = RoomLimits().chat_per_s
    assert len(show.chat_delays_ms) <= (show.seconds + BURST_S) * cap
    assert len(show.chat_delays_ms) >= min(cap * show.seconds, show.lines) / 2
    assert set(show.answers) <= {"ok", "rate"}


def test_a_show_of_hundreds_loses_no_notice_and_caps_its_chat(tmp_path: Path) -> None:
    with live_server(tmp_path) as server:
        show = play_show(Shopfloor(server), viewers=300, seconds=2.0, lines_per_s=LINES_PER_S)
        print(show.words())
        assert_nothing_lost(show)


@pytest.mark.soak
def test_in_a_show_of_15000_notices_are_as_quick_as_raw_writes(tmp_path: Path) -> None:
    raise_file_limit(20_000)
    with live_server(tmp_path) as server, pinned([number_of(server)]):
        show = play_show(Shopfloor(server), viewers=15_000, seconds=20.0, lines_per_s=LINES_PER_S, raw=True)
        print(show.words())
        assert_nothing_lost(show)
        assert show.seen is not None and show.raw is not None
        assert show.seen.p99_ms() <= 3 * show.raw.p99_ms()
        assert percentile(show.commands_ms, 0.99) <= 20


@pytest.mark.soak
def test_1000_who_never_read_cost_5000_who_do_a_tenth_at_most(tmp_path: Path) -> None:
    raise_file_limit(20_000)
    with live_server(tmp_path) as server:
        shop = Shopfloor(server)
        before_kib = shop.memory_kib()
        dropped = metric(server, DROPPED_CHAT)
        # In turns: alone, beside them while what the kernel and the hub keep for them fills up, and when it is full.
        # Of one show, its worst moment decides the 99 of 100.
        kinds = {"alone": (0, FILLED_S), "beside 1,000, filling": (1_000, 0.0), "beside 1,000, full": (1_000, FILLED_S)}
        delays_ms: dict[str, list[float]] = {name: [] for name in kinds}
        for _ in range(ROUNDS):
            for name, (stalled, first_s) in kinds.items():
                show = play_show(
                    shop, 5_000, 15.0, LINES_PER_S, stalled=stalled, chat_first_s=first_s, notice_s=NOTICE_S
                )
                print(f"{name}: {show.words()}")
                assert_nothing_lost(show)
                assert show.seen is not None
                delays_ms[name] += show.seen.delays_ms
        p99_ms = {name: percentile(delays, 0.99) for name, delays in delays_ms.items()}
        print(f"99 of 100 notices within (ms): {p99_ms}; memory: {before_kib} KiB, then {shop.memory_kib()} KiB")
        assert metric(server, DROPPED_CHAT) - dropped > 1_000
        assert (shop.memory_kib() - before_kib) * 1024 < 1_000 * HubLimits().skip_bytes
        assert max(p99_ms.values()) <= 1.1 * p99_ms["alone"]


def number_of(server: LiveServer) -> int:
    """The number of its process."""
    assert server.process is not None
    return server.process.pid


@contextlib.contextmanager
def two_workers(folder: Path) -> Iterator[tuple[LiveServer, list[int]]]:
    """A shop on PostgreSQL with two workers, whose rooms meet over Redis; and the numbers of all three processes."""
    with contextlib.ExitStack() as stack:
        cluster = postgres.Cluster(postgres.need_postgres())
        cluster.start()
        stack.callback(cluster.close)
        cluster.template()
        redis = redis_server.RedisServer(folder)
        redis.start()
        stack.callback(redis.kill)
        flags = ["--workers", "2", "--redis-url", redis.url]
        environment = {"SIYU_DATABASE_URL": cluster.address(cluster.database())}
        server = stack.enter_context(live_server(folder, flags=flags, environment=environment))
        wait_until(lambda: "2 workers" in server.said(), "every worker")
        assert cluster.process is not None and redis.process is not None
        yield server, [number_of(server), cluster.process.pid, redis.process.pid]
        # Stopped and not killed: who is killed leaves the workers behind.
        assert server.stop() == 0


@pytest.mark.soak
def test_a_show_of_15000_on_two_workers_loses_no_notice(tmp_path: Path) -> None:
    raise_file_limit(20_000)
    with two_workers(tmp_path) as (server, processes), pinned(processes):
        show = play_show(Shopfloor(server), viewers=15_000, seconds=20.0, lines_per_s=LINES_PER_S, raw=True)
        print(show.words())
        assert_nothing_lost(show)
