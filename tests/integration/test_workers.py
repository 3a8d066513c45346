"""Several processes on one port: a real supervisor with two workers, which serve as an edge of a real server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.harness import LiveServer, live_server
from tests.integration.edges import EdgeServer, edge_of
from tests.integration.outsiders import PATIENCE_S, FlvPlayer, metric, publishing, wait_until

WORKERS = 2


@dataclass(frozen=True)
class Show:
    """A server with a live room, and two workers that play it."""

    origin: LiveServer
    edge: EdgeServer


@pytest.fixture(scope="module")
def show(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Show]:
    folder = tmp_path_factory.mktemp("workers")
    with live_server(folder) as origin, publishing(origin.publish_url, gop=25):
        flags = ["--workers", str(WORKERS), "--pull-linger-s", "0.2"]
        with edge_of(folder, origin.base, room=origin.room, flags=flags) as edge:
            yield Show(origin, edge)


def children(edge: EdgeServer) -> list[int]:
    """Process ids of the workers, by number."""
    assert edge.process is not None
    ids = Path(f"/proc/{edge.process.pid}/task/{edge.process.pid}/children").read_text().split()
    return [int(number) for number in ids]


def figures(edge: EdgeServer, name: str) -> dict[str, float]:
    """One figure of each worker that answers."""
    found = {}
    for line in httpx.get(f"{edge.base}/metrics", timeout=PATIENCE_S).text.splitlines():
        if line.startswith(f'{name}{{worker="'):
            found[line.split('"')[1]] = float(line.rpartition(" ")[2])
    return found


def spread(edge: EdgeServer) -> list[FlvPlayer]:
    """Players until each worker has at least one: the kernel deals connections out by a hash."""
    players: list[FlvPlayer] = []

    def all_busy() -> bool:
        players.extend(FlvPlayer(edge) for _ in range(4))  # type: ignore[arg-type]
        wait_until(lambda: all(player.head for player in players), "answers")
        viewers = figures(edge, "siyu_playback_flv_viewers")
        return len(viewers) == WORKERS and all(viewers.values())

    wait_until(all_busy, "a viewer at each worker")
    return players


def leave(players: list[FlvPlayer]) -> None:
    for player in players:
        player.leave()


def test_viewers_of_all_workers_cost_the_origin_one_pull(show: Show) -> None:
    players = spread(show.edge)
    wait_until(lambda: all(len(player.frames()) > 30 for player in players), "every picture")
    assert metric(show.origin, "siyu_playback_flv_viewers") == 1
    assert sorted(figures(show.edge, "siyu_playback_worker_viewers").values()) == [0, 1]
    by_time: dict[int, set[str]] = {}
    for player in players:
        for tag in player.frames():
            by_time.setdefault(tag.time_ms, set()).add(tag.digest)
    assert all(len(digests) == 1 for digests in by_time.values()), "the same frame at the same media time everywhere"
    leave(players)
    wait_until(lambda: metric(show.origin, "siyu_playback_flv_viewers") == 0, "the workers to let go")


def test_a_worker_that_is_killed_is_started_again_and_the_others_viewers_stay(show: Show) -> None:
    players = spread(show.edge)
    wait_until(lambda: all(len(player.frames()) > 10 for player in players), "every picture")
    # The one that pulls from the origin: the other has to do that then.
    pulls = figures(show.edge, "siyu_playback_worker_viewers")
    owner = next(int(worker) for worker, viewers in pulls.items() if viewers)
    before = children(show.edge)
    os.kill(before[owner], signal.SIGKILL)
    wait_until(lambda: sum(player.ended for player in players) > 0, "the lost ones to notice")
    left = [player for player in players if not player.ended]
    assert left
    seen = {player: len(player.frames()) for player in left}
    wait_until(lambda: all(len(player.frames()) > seen[player] + 50 for player in left), "the others' pictures")
    for player in left:
        times = [tag.time_ms for tag in player.frames()]
        assert not player.ended and times == sorted(set(times))
    wait_until(lambda: len(figures(show.edge, "siyu_pull_streams")) == WORKERS, "the worker's return")
    assert len(set(children(show.edge)) - set(before)) == 1
    assert f"worker {owner} ended with -9" in show.edge.log()
    leave(players)


@pytest.mark.soak
def test_sighup_starts_one_worker_after_the_other_anew_and_the_port_always_answers(show: Show) -> None:
    before = set(children(show.edge))
    assert show.edge.process is not None
    show.edge.process.send_signal(signal.SIGHUP)
    refusals: list[str] = []

    def renewed() -> bool:
        try:
            httpx.get(f"{show.edge.base}/healthz", timeout=PATIENCE_S)
        except httpx.ConnectError as error:
            refusals.append(str(error))
        except httpx.HTTPError:
            pass  # a connection that the leaving worker had accepted
        return "all workers were restarted" in show.edge.log()

    wait_until(renewed, "both workers anew", 2 * PATIENCE_S)
    assert refusals == []
    assert not before & set(children(show.edge))
    leave(spread(show.edge))


def test_sigterm_ends_all_workers_and_leaves_nothing(show: Show) -> None:
    players = spread(show.edge)
    workers = children(show.edge)
    folder = _socket_folder(workers[0])
    assert oct(folder.stat().st_mode & 0o777) == "0o700"
    assert show.edge.stop() == 0
    wait_until(lambda: all(player.ended for player in players), "every viewer's farewell")
    assert not any(_alive(worker) for worker in workers) and not folder.exists()
    leave(players)


@pytest.mark.soak
def test_workers_end_when_their_supervisor_is_killed(show: Show) -> None:
    if show.edge.process is None or show.edge.process.poll() is not None:
        show.edge.start()
    workers = children(show.edge)
    assert len(workers) == WORKERS and show.edge.process is not None
    folder = _socket_folder(workers[0])
    show.edge.process.kill()
    show.edge.process.wait()
    wait_until(lambda: not any(_alive(worker) for worker in workers), "the workers' end")
    assert not folder.exists()


@pytest.mark.soak
def test_a_worker_that_cannot_start_ends_it_all_with_its_words(tmp_path: Path, show: Show) -> None:
    command = [sys.executable, "-m", "gateway", "serve", "--origin", show.origin.base, "--workers", "2"]
    flags = ["--http-port", "0", "--rtmp-port", "0", "--udp-port", "0", "--udp-host", "no.such.host.invalid"]
    done = subprocess.run([*command, *flags], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 1 and "--udp-host" in done.stderr


def _alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _socket_folder(worker: int) -> Path:
    """Where a worker's Unix socket lies."""
    lines = Path(f"/proc/{worker}/net/unix").read_text().splitlines()
    inodes = {str(link.readlink()) for link in Path(f"/proc/{worker}/fd").iterdir() if link.is_symlink()}
    for line in lines[1:]:
        fields = line.split()
        if len(fields) > 7 and fields[7].endswith(".sock") and f"socket:[{fields[6]}]" in inodes:
            return Path(fields[7]).parent
    raise AssertionError("the worker has no Unix socket")
