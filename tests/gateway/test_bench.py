"""The benchmarks run, with counts so small that their figures mean nothing: only the shape of the result is checked."""

import json
import subprocess
import sys
import time
from multiprocessing.connection import Connection
from typing import Any

import pytest

from gateway.bench.marked_stream import Seen, Sent, unit
from gateway.bench.outside_play import node_viewers, others
from gateway.bench.people import ROOM_PEOPLE, person
from gateway.bench.process import BenchError, Child
from gateway.bench.report import Baseline, Figure, Goal, Report, as_data, as_table, number
from gateway.bench.rtmp_wire import chunks, message
from gateway.bench.run import NAMES, run_benchmarks
from gateway.bench.scale import Scale, ScaleError, read_scale
from stream.packet import Codec, Kind, Packet
from tests.outside import chromium, need

TINY = {
    "SIYU_BENCH_SOCKETS": "8",
    "SIYU_BENCH_IDLE": "40",
    "SIYU_BENCH_JOINS": "20",
    "SIYU_BENCH_VIEWERS": "4",
    "SIYU_BENCH_SECONDS": "0.2",
    "SIYU_BENCH_OUTSTANDING": "20",
    "SIYU_BENCH_HOSTS": "2",
    "SIYU_BENCH_RTC_VIEWERS": "1",
    "SIYU_BENCH_RTC_READERS": "2",
}
WHEP = ["WHEP at 2 Mbit/s", "WHEP, beside aiortc"]
HOLDS = [
    "durable holds",
    "durable holds",
    "beside a busy loop",
    "process apart",
    "process apart, busy loop",
    "refusals, sold out",
]
TOUCHES = ["touches over the hub", "touches in the process", "holds beside touches, 99 of 100"]
FANOUT = ["single frames", "merged", "merged, deflate"]
DELAY = ["WHIP to WHEP", "RTMP to WHEP", "RTMP to FLV, low delay", "RTMP to FLV", "RTMP to LL-HLS"]

REPORT = Report(
    "doors",
    {"sockets": 2_000, "disk": "slow"},
    (
        Figure(
            "opened", "doors / s", 123_456.0, (Baseline("by hand", 1_000.0), Baseline("by foot", 0.5)), Goal(200_000)
        ),
        Figure("shut", "doors / s", 80.0, (Baseline("by hand", 100.0),), Goal(0.75, of_ratio=True)),
        Figure("painted", "doors / s", 3.14159, (Baseline("by hand", 1.0),)),
    ),
)


@pytest.mark.parametrize(
    ("name", "figures"),
    [
        ("fanout", FANOUT),
        ("joins", ["joins"]),
        ("flv", ["FLV at 2 Mbit/s"]),
        # Several processes each, 5 to 20 s of CPU: in `make soak`.
        pytest.param("rss", ["idle viewer"], marks=pytest.mark.soak),
        pytest.param("holds", HOLDS, marks=pytest.mark.soak),
        pytest.param(
            "orders", ["over the hub, 100 units", "durable holds at a pace, 99 of 100"], marks=pytest.mark.soak
        ),
        pytest.param("touches", TOUCHES, marks=pytest.mark.soak),
        pytest.param("rtmp", ["RTMP publish at 2 Mbit/s", "RTMP play at 2 Mbit/s"], marks=pytest.mark.soak),
        pytest.param("whep", WHEP, marks=pytest.mark.soak),
    ],
)
def test_each_benchmark_puts_a_baseline_beside_every_figure(
    name: str, figures: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIYU_BENCH_OUTSIDERS", "no")
    found = measured(name, capsys)
    assert [figure["name"] for figure in found["figures"]] == figures


@pytest.mark.soak
@pytest.mark.parametrize("name", ["flv", "rtmp"])
def test_other_servers_are_measured_in_the_same_run(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    for program in ("nginx", "npm"):
        need(program)
    found = measured(name, capsys)
    names = {baseline["name"] for figure in found["figures"] for baseline in figure["baselines"]}
    assert any("nginx" in each for each in names)
    assert any("node-media-server" in each for each in names)


@pytest.mark.soak
def test_delays_are_measured_from_byte_to_byte_and_from_picture_to_picture(capsys: pytest.CaptureFixture[str]) -> None:
    chromium()
    names = [figure["name"] for figure in measured("delay", capsys)["figures"]]
    assert names[: len(DELAY)] == [f"{name}, 95 of 100" for name in DELAY]
    assert names[-1].startswith("picture to picture")


def test_a_server_that_cannot_be_had_is_left_out_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    about: dict[str, float | int | str] = {}
    assert others(about, {"node-media-server": lambda: node_viewers(2, b"", 0.1)}) == ()
    assert about == {"node-media-server": "not measured, as node is not installed"}


def test_a_mark_is_found_wherever_the_bytes_are_cut() -> None:
    data = unit(7, key=True) + unit(8, key=False)
    for cut in range(0, len(data), 97):
        seen = Seen()
        for piece in (data[:cut], data[cut:]):
            seen.take(piece)
        assert sorted(seen.at_s) == [7, 8]
    seen = Seen()
    for at in range(0, len(data), 3):
        seen.take(data[at : at + 3])
    assert sorted(seen.at_s) == [7, 8]


def test_delays_count_from_when_a_frame_left_and_leave_out_what_left_before() -> None:
    sent, seen = Sent({1: 10.0, 2: 20.0, 3: 30.0}), Seen({1: 10.5, 2: 20.25, 3: 30.125, 4: 40.0})
    assert seen.delays_ms(sent, 15.0) == [125.0, 250.0]


def test_what_librtmp_writes_is_the_message_itself_in_pieces_of_a_chunk() -> None:
    packet = Packet(Kind.VIDEO, Codec.H264, 40, 0, True, False, bytes(10_000))
    data = message(packet, 40)
    pieces = list(chunks(data))
    assert b"".join(pieces) == data
    assert [len(piece) for piece in pieces] == [12 + 4096, 1 + 4096, 1 + 10_005 - 2 * 4096]


def test_a_goal_may_be_the_most_that_a_figure_may_be() -> None:
    quick = Figure("delay", "ms", 3.0, (Baseline("bare", 1.0),), Goal(most=80))
    slow = Figure("delay", "ms", 90.0, (Baseline("bare", 1.0),), Goal(most=80))
    assert (quick.reached, slow.reached) == (True, False)
    assert Goal(most=80).words() == "<= 80"
    assert as_data([Report("x", {}, (slow,))])["benchmarks"][0]["figures"][0]["goal"] == {"most": 80, "of": "value"}


def test_a_measurement_that_goes_wrong_once_is_made_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    times = 0

    def shaky(_scale: Scale) -> Report:
        nonlocal times
        times += 1
        if times == 1:
            raise BenchError("the machine stalled")
        return REPORT

    monkeypatch.setattr("gateway.bench.run.benchmark", lambda _name: shaky)
    assert run_benchmarks(["fanout"], as_json=False, environment=TINY) == 0
    assert "the machine stalled; measuring again" in capsys.readouterr().err


def stands_still(pipe: Connection) -> None:
    pipe.send("here")
    time.sleep(600)


def test_of_a_child_that_stays_silent_is_shown_where_it_stands(capfd: pytest.CaptureFixture[str]) -> None:
    with Child(stands_still) as child, pytest.raises(BenchError, match="stands_still said nothing for 1 s"):
        assert child.receive() == "here"
        child.receive(wait_s=1)
    assert "in stands_still" in capfd.readouterr().err


def measured(name: str, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """Run a benchmark with tiny counts; what it found, each figure beside its baselines."""
    assert run_benchmarks([name], as_json=True, environment=TINY) == 0
    found: dict[str, Any]
    (found,) = json.loads(capsys.readouterr().out)["benchmarks"]
    assert found["name"] == name
    for figure in found["figures"]:
        assert figure["value"] > 0
        assert figure["unit"]
        assert figure["baselines"]
        for baseline in figure["baselines"]:
            assert baseline["value"] > 0
            assert baseline["ratio"] == pytest.approx(figure["value"] / baseline["value"])
    return found


def test_an_unknown_name_is_refused_with_those_there_are() -> None:
    command = [sys.executable, "-m", "gateway", "bench", "fanout", "fan-out"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    assert run.returncode == 2
    assert run.stdout == ""
    assert "fan-out" in run.stderr
    assert all(name in run.stderr for name in NAMES)


@pytest.mark.parametrize("text", ["0", "-5", "many", "nan", "inf", "2.5", ""])
def test_a_scale_that_is_no_count_is_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ScaleError):
        read_scale({"SIYU_BENCH_SOCKETS": text})
    assert run_benchmarks(["fanout"], as_json=False, environment={"SIYU_BENCH_SOCKETS": text}) == 2
    assert "SIYU_BENCH_SOCKETS" in capsys.readouterr().err


def test_more_sockets_than_open_files_are_refused_before_anything_starts(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_benchmarks(["fanout"], as_json=False, environment={"SIYU_BENCH_SOCKETS": "999999"}) in {1, 2}
    assert "open files" in capsys.readouterr().err


def test_the_environment_sets_what_it_names_and_leaves_the_rest() -> None:
    assert read_scale({"SIYU_BENCH_SECONDS": "0.5"}) == Scale(seconds=0.5)
    assert read_scale({}) == Scale()


def test_the_table_shows_a_line_for_each_baseline_with_its_ratio() -> None:
    lines = as_table([REPORT]).splitlines()
    assert lines[0] == "doors: sockets 2,000, disk slow"
    assert len(lines) == 6
    assert [" ".join(line.split()) for line in lines[2:]] == [
        "opened doors / s 123,000 >= 200,000 no by hand 1,000 123.46",
        "by foot 0.5 246912.00",
        "shut doors / s 80 >= 0.75 x yes by hand 100 0.80",
        "painted doors / s 3.14 by hand 1 3.14",
    ]
    columns = {line.index("by hand") for line in lines if "by hand" in line}
    assert len(columns) == 1


def test_the_data_says_whether_a_goal_is_reached() -> None:
    figures: list[dict[str, Any]] = as_data([REPORT])["benchmarks"][0]["figures"]
    assert [figure["reached"] for figure in figures] == [False, True, None]
    assert [figure["goal"] for figure in figures] == [
        {"least": 200_000, "of": "value"},
        {"least": 0.75, "of": "ratio"},
        None,
    ]


@pytest.mark.parametrize(("value", "shown"), [(0.1234, "0.123"), (7.0, "7"), (101.6, "102"), (1e6, "1,000,000")])
def test_numbers_keep_three_digits(value: float, shown: str) -> None:
    assert number(value) == shown


def test_no_two_people_of_the_rush_are_the_same() -> None:
    people = {person(count) for count in range(2 * ROOM_PEOPLE)}
    assert len(people) == 2 * ROOM_PEOPLE
    assert {len(who) for who in people} == {20}
