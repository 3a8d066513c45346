"""Reach: what it says of any run of days is what the touches themselves say, in whatever order they were written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.pool import StaticPool

from commerce.attribution import board_sql, reach_sql
from commerce.attribution.board import Period, Traffic
from commerce.attribution.reach import DAY_MS, Met, day_ms, day_of, gather
from commerce.attribution.reach_sql import Reach, rebuild_if_empty
from commerce.attribution.touches_sql import Row, append, migrate_touch_log, touch_engine
from commerce.tables_touches import touches_metadata
from tests.commerce.people_kit import START_MS

FIRST = day_of(START_MS)
NOW_MS = day_ms(FIRST + 400)
LINKS = [
    ("l1", "ann", "viewer", "wechat", 1, "spring"),
    ("l2", "ann", "viewer", "poster", 0, ""),
    ("l3", "bob", "guide", "", 0, "spring"),
]


def touch(number: int, day: int, second: int, person: str, kind: str, link: int, room: str, reason: str | None) -> Row:
    """A touch of the made-up log; ``link`` 0 is none, and ``reason`` of one that gave nothing."""
    ms = day_ms(FIRST + day) + second * 1_000
    token, issuer, role, channel, depth, campaign = (None, "", "", "", 0, "") if not link else LINKS[link - 1]
    if reason:
        token = None
    # A room has one host by day and another by night; who clicks has watched an explanation.
    host, clip = f"{room}-{second // 43_200}" if room else "", f"c{link}" if kind == "card_click" else ""
    return (
        *(f"{number:020}", ms, "m", person, kind, channel, room, "", token),
        *(issuer, role, token or "", depth, "{}", reason, campaign, host, clip, ""),
    )


rows = st.lists(
    st.tuples(
        st.integers(0, 6),
        st.integers(0, 86_399),
        st.sampled_from(["ann", "bob", "cat", "dan"]),
        st.sampled_from(["room_entry", "card_click", "scan"]),
        st.integers(0, 3),
        st.sampled_from(["r1", "r2", ""]),
        st.sampled_from([None, None, None, "forged"]),
    ),
    max_size=60,
)


def plain(found: Traffic) -> Traffic:
    """In one order, whatever the order of those who are equal."""
    by: dict[str, Any] = {name: sorted(getattr(found, name), key=lambda row: row.key or "") for name in vars_of(found)}
    return replace(found, **by)


def vars_of(found: Traffic) -> list[str]:
    return [name for name in found.__dataclass_fields__ if name.startswith("by_")]


def compare(db: Connection, first: int, last: int) -> None:
    period = Period("m", day_ms(FIRST + first), day_ms(FIRST + last + 1))
    assert period.whole_days(NOW_MS) == (FIRST + first, FIRST + last)
    said = reach_sql.traffic(db, period, FIRST + first, FIRST + last)
    counted = board_sql.traffic_of_rows(db, replace(period, until_ms=period.until_ms))
    if period.unit_ms != DAY_MS:
        said = replace(said, series=counted.series)
    assert plain(said) == plain(counted)


@given(rows, st.integers(1, 7), st.randoms(use_true_random=False))
@settings(max_examples=12)
def test_every_run_of_days_counts_the_people_that_its_touches_count(
    drawn: list[tuple[int, int, str, str, int, str, str | None]], size: int, shuffled: Random
) -> None:
    engine = create_engine("sqlite://", poolclass=StaticPool)
    touches_metadata.create_all(engine)
    made = [touch(number, *one) for number, one in enumerate(drawn)]
    shuffled.shuffle(made)  # as processes around midnight write them, and worse
    reach = Reach()
    with engine.begin() as db:
        for start in range(0, len(made), size):
            append(db, reach, made[start : start + size])
            reach.committed()
        for first in range(7):
            for last in range(first, 7):
                compare(db, first, last)
        db.execute(text("DELETE FROM reach"))
        db.execute(text("DELETE FROM reach_seen"))
        db.execute(text("DELETE FROM reach_key"))
        assert rebuild_if_empty(db) == len(made)
        compare(db, 0, 6)
    engine.dispose()


@pytest.fixture
def log(anywhere: Path | str) -> Iterator[Engine]:
    migrate_touch_log(anywhere)
    engine = touch_engine(anywhere)
    yield engine
    engine.dispose()


def month(random: Random, count: int) -> list[Row]:
    people = [f"p{number}" for number in range(40)]
    made = []
    for number in range(count):
        day, second = divmod(number * 30 * 86_400 // count, 86_400)
        kind = random.choice(["room_entry", "card_click", "coupon"])
        reason = "expired" if random.random() < 0.05 else None
        made.append(touch(number, day, second, random.choice(people), kind, random.randrange(4), "r1", reason))
    return made


def test_a_month_is_counted_alike_on_both_databases(log: Engine) -> None:
    made, reach = month(Random(7), 1_500), Reach()
    for start in range(0, len(made), 100):
        with log.begin() as db:
            append(db, reach, made[start : start + 100])
        reach.committed()
    with log.begin() as db:
        for first, last in ((0, 29), (3, 3), (10, 20), (29, 29)):
            compare(db, first, last)
        (days,) = {len(reach_sql.days(db, "m", FIRST, FIRST + 29))}
        assert days == 30


def test_a_batch_that_was_rolled_back_counts_nothing_and_can_be_written_again(log: Engine) -> None:
    made, reach = month(Random(8), 200), Reach()
    with pytest.raises(ZeroDivisionError), log.begin() as db:
        append(db, reach, made)
        raise ZeroDivisionError
    reach.undone()
    with log.begin() as db:
        append(db, reach, made)
    reach.committed()
    with log.begin() as db:
        compare(db, 0, 29)


def test_two_writers_who_take_turns_count_nobody_twice(log: Engine) -> None:
    made = month(Random(9), 400)
    writers = (Reach(), Reach())
    for number, start in enumerate(range(0, len(made), 20)):
        with log.begin() as db:
            append(db, writers[number % 2], made[start : start + 20])
        writers[number % 2].committed()
    with log.begin() as db:
        compare(db, 0, 29)


def test_a_period_that_is_no_run_of_days_is_counted_touch_by_touch() -> None:
    today = day_ms(FIRST)
    assert Period("m", today - DAY_MS, today + 5).whole_days(today) == (FIRST - 1, FIRST)
    assert Period("m", today - DAY_MS, today + 5).whole_days(today + 6) is None
    assert Period("m", today + 1, today + DAY_MS).whole_days(today) is None
    assert Period("m", today, today + DAY_MS).whole_days(today + 9 * DAY_MS) == (FIRST, FIRST)


def test_a_touch_of_nobodys_link_counts_for_everybody_and_its_room_alone() -> None:
    met = Met(START_MS, "m", "ann", "room_entry", "", "r1", None, "", "", 0, None, "")
    assert {key.dimension for key in gather([met]).keys.values()} == {"all", "room", "channel"}
