"""The benchmarks run, with counts so small that their figures mean nothing: only the shape of the result is checked."""

import json
import subprocess
import sys
from typing import Any

import pytest

from gateway.bench.people import ROOM_PEOPLE, person
from gateway.bench.report import Baseline, Figure, Goal, Report, as_data, as_table, number
from gateway.bench.run import NAMES, run_benchmarks
from gateway.bench.scale import Scale, ScaleError, read_scale

TINY = {
    "SIYU_BENCH_SOCKETS": "8",
    "SIYU_BENCH_VIEWERS": "4",
    "SIYU_BENCH_SECONDS": "0.2",
    "SIYU_BENCH_OUTSTANDING": "20",
}

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
        ("fanout", ["single frames", "merged, 50 ms tick", "merged, 100 ms tick"]),
        ("holds", ["durable holds", "durable holds", "beside a busy loop", "refusals, sold out"]),
        ("flv", ["FLV at 2 Mbit/s"]),
    ],
)
def test_each_benchmark_puts_a_baseline_beside_every_figure(
    name: str, figures: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_benchmarks([name], as_json=True, environment=TINY) == 0
    (found,) = json.loads(capsys.readouterr().out)["benchmarks"]
    assert found["name"] == name
    assert [figure["name"] for figure in found["figures"]] == figures
    for figure in found["figures"]:
        assert figure["value"] > 0
        assert figure["unit"]
        assert figure["baselines"]
        for baseline in figure["baselines"]:
            assert baseline["value"] > 0
            assert baseline["ratio"] == pytest.approx(figure["value"] / baseline["value"])


def test_an_unknown_name_is_refused_with_those_there_are() -> None:
    command = [sys.executable, "-m", "gateway", "bench", "fanout", "fan-out"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
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
