"""Any bytes, and captures with bytes flipped, at every parser and on through the relay to the outputs.

`SIYU_FUZZ_SECONDS=10 python -m pytest -m soak tests/stream/test_fuzz.py` runs the coverage-guided part for 10 s in all;
`make soak` gives it ten minutes.
"""

import asyncio
import contextlib
import importlib.util
import os
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.stream.fuzz_targets import TARGETS, flipped
from tests.stream.rtmp_peer import FFMPEG_PUBLISH
from tests.stream.rtmp_stage import rtmp_stage

FLIPS = 40
SOAK_FLIPS = 2_000
SECONDS_VARIABLE = "SIYU_FUZZ_SECONDS"
SOAK_S = 600
"""For all targets together."""
RSS_MB_MAX = 1_500
SLOW_S_MAX = 30
"""One input may take so long on a machine that stalls; a loop without end takes longer."""


def flips(name: str, count: int) -> None:
    target = TARGETS[name]
    for number in range(count):
        chance = random.Random(f"{name} {number}")
        data = flipped(chance.choice(target.seeds), chance)
        try:
            target.run(data)
        except Exception as error:
            raise AssertionError(f"{name}, flip {number}: {data[:200].hex()}") from error


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_the_captures_themselves_go_through(name: str) -> None:
    for seed in TARGETS[name].seeds:
        TARGETS[name].run(seed)


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_captures_with_flipped_bytes_break_nothing(name: str) -> None:
    flips(name, FLIPS)


@pytest.mark.parametrize("name", sorted(TARGETS))
@settings(max_examples=25, deadline=None)
@given(data=st.binary(max_size=400))
def test_any_bytes_break_nothing(name: str, data: bytes) -> None:
    TARGETS[name].run(data)


@pytest.mark.soak
@pytest.mark.parametrize("name", sorted(TARGETS))
def test_thousands_of_flipped_captures_break_nothing(name: str) -> None:
    flips(name, SOAK_FLIPS)


async def test_a_storm_of_broken_hosts_leaves_no_connection_and_no_task_behind() -> None:
    async with rtmp_stage() as stage:
        before = len(asyncio.all_tasks())

        async def storm(number: int) -> None:
            chance = random.Random(number)
            reader, writer = await asyncio.open_connection("127.0.0.1", stage.port)
            with contextlib.suppress(OSError):
                writer.write(flipped(FFMPEG_PUBLISH, chance))
                writer.write_eof()
                await reader.read()
            writer.close()

        async with asyncio.timeout(60):
            await asyncio.gather(*(storm(number) for number in range(60)))
            while stage.server.stats().connections or len(asyncio.all_tasks()) > before:
                await asyncio.sleep(0.02)
        assert stage.server.stats().accepted == 60
        assert not any(entry.live for entry in (stage.directory.info("R1"), stage.directory.info("room")))


# -- guided by coverage ------------------------------------------------------------------------------------------------


def guided_s() -> float:
    """How long each target is fuzzed."""
    return float(os.environ.get(SECONDS_VARIABLE) or SOAK_S) / len(TARGETS)


@pytest.mark.soak
@pytest.mark.parametrize("name", sorted(TARGETS))
def test_fuzzing_guided_by_coverage_finds_nothing(name: str, tmp_path: Path) -> None:
    if importlib.util.find_spec("atheris") is None:
        pytest.skip("atheris is not installed: pip install -c constraints.txt -e '.[fuzz]'")
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    seconds = max(1, round(guided_s()))
    options = [
        f"-max_total_time={seconds}",
        f"-rss_limit_mb={RSS_MB_MAX}",
        f"-timeout={SLOW_S_MAX}",
        "-max_len=8192",
        f"-artifact_prefix={tmp_path}/",
        "-print_final_stats=1",
    ]
    command = [sys.executable, "-m", "tests.stream.fuzz_run", name, str(corpus), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 120, check=False, errors="replace")
    found = [path for path in tmp_path.iterdir() if path.is_file()]
    # The traceback goes to standard output, libFuzzer's own words to the other.
    said = f"{done.stdout[-4_000:]}\n{done.stderr[-2_000:]}"
    assert done.returncode == 0 and not found, f"{[path.read_bytes().hex() for path in found]}\n{said}"
    runs = re.search(r"stat::number_of_executed_units:\s+(\d+)", done.stderr)
    assert runs is not None and int(runs[1]) > 0, said
    sys.stdout.write(f"{name}: {runs[1]} runs in {seconds} s, corpus of {len(list(corpus.iterdir()))}\n")
