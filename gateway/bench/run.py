"""The command ``siyu bench``: chooses benchmarks, runs them one after the other, prints what they found."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module

from gateway.bench.process import BenchError
from gateway.bench.report import Report, as_data, as_table
from gateway.bench.scale import Scale, ScaleError, read_scale
from gateway.server import raise_file_limit

FILES_BESIDE_SOCKETS = 100
ATTEMPTS = 3
"""A machine that others use stalls now and then: clients are then too slow, which is no finding about the server."""

Benchmark = Callable[[Scale], Report]


def benchmark(name: str) -> Benchmark:
    """The benchmark of a name, imported when it is wanted: each brings a whole server along."""
    made: Benchmark = getattr(import_module(f"gateway.bench.{name}"), f"run_{name}")
    return made


NAMES = ("fanout", "rss", "joins", "holds", "orders", "touches", "board", "flv", "rtmp", "whep", "delay")


def run_benchmarks(names: Sequence[str], *, as_json: bool, environment: Mapping[str, str] | None = None) -> int:
    """Run the named benchmarks (none: all) and print their figures; the process's exit code.

    2: a name or an environment variable is wrong. 1: a measurement failed; a missed goal is no failure, the table
    says so.
    """
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        print(f"siyu bench: no benchmark named {', '.join(unknown)}; there are {', '.join(NAMES)}", file=sys.stderr)
        return 2
    try:
        scale = read_scale(environment)
    except ScaleError as error:
        print(f"siyu bench: {error}", file=sys.stderr)
        return 2
    files = raise_file_limit()
    if max(scale.sockets, scale.viewers, scale.idle, scale.joins) + FILES_BESIDE_SOCKETS > files:
        print(f"siyu bench: {files} open files are allowed here, too few for so many sockets", file=sys.stderr)
        return 2
    reports: list[Report] = []
    for name in dict.fromkeys(names or NAMES):
        print(f"measuring {name} …", file=sys.stderr, flush=True)
        report = _measured(name, scale)
        if report is None:
            return 1
        reports.append(report)
    print(json.dumps(as_data(reports), indent=2) if as_json else as_table(reports))
    return 0


def _measured(name: str, scale: Scale) -> Report | None:
    """One benchmark's findings; measured again when the machine disturbed it, None when it never went well."""
    for attempt in range(ATTEMPTS):
        try:
            return benchmark(name)(scale)
        except BenchError as error:
            again = attempt + 1 < ATTEMPTS
            print(f"siyu bench: {name}: {error}{'; measuring again' if again else ''}", file=sys.stderr, flush=True)
    return None
