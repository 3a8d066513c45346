"""Work that is done again and again."""

from __future__ import annotations

import asyncio

from commerce.errors import Busy, StoreError
from commerce.periodic import Periodic


async def test_no_failure_ends_the_work_for_good() -> None:
    """A database that went away for a moment left commission unreleased until the next start."""
    done = asyncio.Event()
    failures: list[Exception] = [Busy("busy"), StoreError("the database is away"), ValueError("a fault of ours")]

    async def work() -> None:
        if failures:
            raise failures.pop()
        done.set()

    chores = Periodic(work, 0.001, what="chores")
    chores.start()
    async with asyncio.timeout(60):
        await done.wait()
    await chores.close()
    assert failures == []


async def test_the_first_time_is_when_said_and_none_comes_after_the_end() -> None:
    begun = asyncio.Event()
    count = 0

    async def work() -> None:
        nonlocal count
        count += 1
        begun.set()

    now, later = Periodic(work, 3_600, what="now", first_s=0.0), Periodic(work, 3_600, what="later")
    for one in (now, later):
        one.start()
    async with asyncio.timeout(60):
        await begun.wait()
    for one in (now, later):
        await one.close()
    await asyncio.sleep(0)
    assert count == 1
