"""Questions, polls and votes as they are written down."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import text

from commerce import room_floor_sql
from commerce.catalogue import Catalogue
from commerce.room_floor_sql import PollRow, QuestionRow, RoomFloor
from commerce.store_sql import Store, open_store
from tests.commerce.template import migrated


@dataclass
class World:
    """A store with two rooms."""

    store: Store
    floor: RoomFloor
    rooms: list[str]
    merchant: str
    now: list[int]

    async def alias(self, alias: str, person: str) -> None:
        """What a merge writes of who is who (and an unmerge: themselves)."""
        point = (
            "INSERT INTO person_alias (alias, merchant, person, changed_ms) VALUES (:alias, :merchant, :person, 1)"
            " ON CONFLICT (alias) DO UPDATE SET person = excluded.person"
        )
        row = {"alias": alias, "merchant": self.merchant, "person": person}
        await self.store.write(lambda db: db.execute(text(point), row) and None)

    async def rows(self, table: str) -> int:
        count = text(f"SELECT count(*) FROM {table}")
        return await self.store.read(lambda db: int(db.execute(count).scalar_one()))


@asynccontextmanager
async def world(place: Path | str) -> AsyncIterator[World]:
    now = [1_000]
    migrated(place)
    store = open_store(place, synchronous="OFF")
    catalogue = Catalogue(store, clock=lambda: now[0])
    try:
        merchant = (await catalogue.create_merchant("茶铺")).id
        rooms = [(await catalogue.create_room(merchant, title)).id for title in ("一", "二")]
        for person in ("elder", "younger", "third"):
            made = text("INSERT INTO person (id, merchant, name, created_ms) VALUES (:id, :merchant, '', 1)")
            row = {"id": person, "merchant": merchant}
            await store.write(lambda db, made=made, row=row: db.execute(made, row) and None)  # type: ignore[misc]
        yield World(store, RoomFloor(store, clock=lambda: now[0]), rooms, merchant, now)
    finally:
        await catalogue.close()
        store.close()


async def test_one_vote_of_each_counts_in_the_order_in_which_they_came(place: Path | str) -> None:
    async with world(place) as here:
        room, floor = here.rooms[0], here.floor
        assert await floor.open_poll(room, "p", "喝哪种", ["绿茶", "红茶"], 900, 0) is None
        votes = [("p", "ann", 1), ("p", "ann", 0), ("p", "bob", 0), ("none", "bob", 0), ("p", "cid", 2)]
        assert await floor.vote(votes) == ["", "already", "", "not_found", "not_found"]
        assert await floor.vote([("p", "ann", 1), ("p", "cid", 1)]) == ["already", ""]
        poll = PollRow("p", "喝哪种", ("绿茶", "红茶"), 900, 0, 0, (1, 2))
        assert (await floor.of_room(room), await floor.of_room(here.rooms[1])) == ((poll, []), (None, []))
        # What is open already is given to whoever wants another.
        assert await floor.open_poll(room, "q", "?", ["a", "b"], 950, 0) == poll
        assert await floor.end_poll(here.rooms[1], "p") is None
        assert await floor.end_poll(room, "p") == (1, 2)
        assert await floor.vote([("p", "dan", 0)]) == ["closed"]
        assert (await floor.end_poll(room, "p"), await here.rows("room_vote")) == ((1, 2), 0)
        assert (await floor.polls(room, "", 9)) == [PollRow("p", "喝哪种", ("绿茶", "红茶"), 900, 0, 1_000, (1, 2))]


async def test_a_poll_takes_no_vote_after_its_time(place: Path | str) -> None:
    async with world(place) as here:
        await here.floor.open_poll(here.rooms[0], "p", "?", ["a", "b"], 900, 2_000)
        here.now[0] = 1_999
        assert await here.floor.vote([("p", "ann", 0)]) == [""]
        here.now[0] = 2_000
        assert await here.floor.vote([("p", "bob", 0)]) == ["closed"]


async def test_who_is_found_to_be_somebody_known_has_one_vote_and_their_own_again_when_that_was_wrong(
    place: Path | str,
) -> None:
    async with world(place) as here:
        room, floor = here.rooms[0], here.floor
        await floor.open_poll(room, "p", "?", ["a", "b"], 900, 0)
        assert await floor.vote([("p", "elder", 0)]) == [""]
        here.now[0] += 1
        assert await floor.vote([("p", "younger", 1)]) == [""]
        await here.alias("younger", "elder")
        assert (await floor.of_room(room))[0] is not None
        assert [row.votes for row in await floor.polls(room, "", 1)] == [(1, 0)]
        # By neither id, and also where this process has not heard of the merge.
        assert await floor.vote([("p", "elder", 1), ("p", "younger", 1)]) == ["already", "already"]
        await here.alias("younger", "younger")
        assert [row.votes for row in await floor.polls(room, "", 1)] == [(1, 1)]
        assert await floor.vote([("p", "third", 1)]) == [""]
        await here.alias("third", "elder")
        assert await floor.vote([("p", "elder", 0), ("p", "third", 0)]) == ["already", "already"]
        assert await floor.end_poll(room, "p") == (1, 1)


async def test_who_votes_by_two_ids_at_once_counts_once(place: Path | str) -> None:
    async with world(place) as here:
        await here.alias("younger", "elder")
        await here.floor.open_poll(here.rooms[0], "p", "?", ["a", "b"], 900, 0)
        cast = [("p", "younger", 0), ("p", "elder", 1), ("p", "younger", 1)]
        assert sorted((await asyncio.gather(*(here.floor.vote([vote]) for vote in cast))), reverse=True) == [
            ["already"],
            ["already"],
            [""],
        ]
        assert await here.rows("room_vote") == 1


async def test_polls_are_read_by_pages_and_the_oldest_are_forgotten(
    place: Path | str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room_floor_sql, "POLLS_KEPT", 3)
    async with world(place) as here:
        room = here.rooms[0]
        await here.floor.open_poll(here.rooms[1], "other", "?", ["a", "b"], 1, 0)
        for number in range(5):
            assert await here.floor.open_poll(room, f"p{number}", "?", ["a", "b"], 900 + number // 2, 0) is None
            await here.floor.end_poll(room, f"p{number}")
        assert [row.poll for row in await here.floor.polls(room, "", 2)] == ["p4", "p3"]
        assert [row.poll for row in await here.floor.polls(room, "p3", 9)] == ["p2"]
        assert await here.floor.polls(room, "other", 9) == []
        assert [row.poll for row in await here.floor.polls(here.rooms[1], "", 9)] == ["other"]


async def test_questions_wait_until_they_are_forgotten(place: Path | str) -> None:
    async with world(place) as here:
        room, floor = here.rooms[0], here.floor
        await floor.ask(room, "q2", "bob", "Bob", "多少钱?", 20)
        await floor.ask(room, "q1", "ann", "Ann", "能退吗?", 10)
        await floor.ask(room, "q1", "ann", "Ann", "能退吗?", 10)
        await floor.unask(here.rooms[1], "q1")
        await floor.unask(room, "q2")
        await floor.unask(room, "q2")
        assert await floor.of_room(room) == (None, [QuestionRow("q1", "ann", "Ann", "能退吗?", 10)])
