"""Personal events by way of a store: brought to who is here, to who comes, and again until acknowledged."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from chat.errors import CommandRefused
from chat.limits import MailboxLimits
from chat.mailbox import Mailbox
from chat.personal import Post
from tests.chat.rig import Rig, eventually, running


class Shelf:
    """A store in memory that counts its calls and refuses when it is told to."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], list[tuple[int, str, bytes]]] = {}
        self.acked: dict[tuple[str, str], int] = {}
        self.calls: list[str] = []
        self.broken = False
        self.open = asyncio.Event()
        self.open.set()

    async def _turn(self, name: str) -> None:
        self.calls.append(name)
        await asyncio.sleep(0)
        await self.open.wait()
        if self.broken:
            raise OSError("the disk is full")

    async def put(self, posts: Sequence[Post]) -> list[int]:
        await self._turn("put")
        sequences = []
        for post in posts:
            rows = self.rows.setdefault((post.room, post.person), [])
            known = [sequence for sequence, key, _ in rows if key == post.key]
            if not known:
                rows.append((len(rows) + 1, post.key, post.body))
            sequences.append(known[0] if known else len(rows))
        return sequences

    async def acknowledge(self, acknowledged: Sequence[tuple[str, str, int]]) -> None:
        await self._turn("acknowledge")
        for room, person, to in acknowledged:
            self.acked[room, person] = to

    async def waiting(self, places: Sequence[tuple[str, str]]) -> Mapping[tuple[str, str], list[tuple[int, bytes]]]:
        await self._turn("waiting")
        return {
            place: [(seq, body) for seq, _, body in self.rows[place] if seq > self.acked.get(place, 0)]
            for place in places
            if place in self.rows
        }


@asynccontextmanager
async def hub(shelf: Shelf) -> AsyncIterator[Rig]:
    async with running(personal_store=shelf) as rig:
        yield rig


async def test_who_is_here_is_told_once_and_who_comes_until_it_is_acknowledged() -> None:
    shelf = Shelf()
    async with hub(shelf) as rig:
        async with rig.client("ann") as ann, rig.client("ann") as other:
            await ann.event("room")
            rig.hub.send_personal("show", "ann", {"t": "coupon", "n": 1}, once="a")
            rig.hub.send_personal("show", "ann", {"t": "coupon", "n": 1}, once="a")
            rig.hub.send_personal("show", "ann", {"t": "coupon", "n": 2}, once="b")
            for client in (ann, other):
                told = [await client.event("coupon") for _ in range(2)]
                assert [(event["n"], event["a"]) for event in told] == [(1, 1), (2, 2)]
            # Told again, as after a crash in between: nobody hears of it.
            assert await rig.hub.send_personal("show", "ann", {"t": "coupon", "n": 1}, once="a") == 1  # type: ignore[misc]
            rig.hub.send_personal("show", "ann", {"t": "coupon", "n": 3}, once="c")
            assert (await ann.event("coupon"))["n"] == 3
        async with rig.client("ann") as back:
            assert [(await back.event("coupon"))["a"] for _ in range(3)] == [1, 2, 3]
            assert (await back.ask("ack", to=2))["ok"]
            await eventually(lambda: shelf.acked == {("show", "ann"): 2})
        async with rig.client("ann") as again:
            assert (await again.event("coupon"))["a"] == 3
        async with rig.client("bob") as bob:
            assert [item["t"] for item in await bob.read()] == ["room"]


async def test_a_restart_and_another_node_bring_what_waits() -> None:
    shelf = Shelf()
    async with hub(shelf) as rig:
        await rig.hub.send_personal("show", "ann", {"t": "order", "n": 1}, once="a")  # type: ignore[misc]
    async with hub(shelf) as one, hub(shelf) as two:
        for rig in (one, two):
            async with rig.client("ann") as ann:
                assert (await ann.event("order"))["a"] == 1


async def test_a_kick_is_read_by_who_missed_it_when_they_come_back() -> None:
    shelf = Shelf()
    async with hub(shelf) as rig, rig.client("host.host") as host:
        async with rig.client("bob") as bob:
            assert (await host.ask("kick", person="bob", reason="enough"))["ok"]
            assert (await bob.event("kick"))["a"] == 1
            assert (await bob.closed())[0] == 4403
        async with rig.client("bob") as back:
            kick = await back.event("kick")
            assert (kick["a"], kick["reason"]) == (1, "enough")
            assert (await back.ask("ack", to=1))["ok"]
            await eventually(lambda: shelf.acked == {("show", "bob"): 1})


async def test_a_kick_does_not_wait_for_a_disk_that_refuses() -> None:
    shelf = Shelf()
    async with hub(shelf) as rig, rig.client("host.host") as host, rig.client("bob") as bob:
        await bob.event("room")
        shelf.broken = True
        assert (await host.ask("kick", person="bob", reason="enough"))["ok"]
        assert "a" not in await bob.event("kick")
        assert (await bob.closed())[0] == 4403
        shelf.broken = False


async def test_a_store_that_refuses_is_asked_again_and_who_posts_is_told() -> None:
    shelf = Shelf()
    async with running(personal_store=shelf) as rig:
        assert rig.hub.mailbox is not None
        rig.hub.mailbox._limits = MailboxLimits(retry_ms=10)
        async with rig.client("ann") as ann:
            await ann.event("room")
            await eventually(lambda: shelf.calls == ["waiting"])
            shelf.broken = True
            with pytest.raises(OSError, match="disk"):
                await rig.hub.send_personal("show", "ann", {"t": "order"}, once="a")  # type: ignore[misc]
            rig.hub.mailbox.acknowledge("show", "ann", 5)
            rig.hub.mailbox.look("show", "ann")
            await eventually(lambda: shelf.calls.count("acknowledge") > 2 and shelf.calls.count("waiting") > 2)
            shelf.broken = False
            await rig.hub.send_personal("show", "ann", {"t": "order"}, once="b")  # type: ignore[misc]
            await eventually(lambda: shelf.acked == {("show", "ann"): 5})


async def test_what_comes_at_once_is_one_step_of_the_store() -> None:
    shelf = Shelf()
    async with hub(shelf) as rig:
        posts = [rig.hub.send_personal("show", f"p{n}", {"t": "order"}, once=f"{n}") for n in range(1_200)]
        await asyncio.gather(*posts)  # type: ignore[arg-type]
        assert shelf.calls == ["put"] * 3


async def test_too_much_that_waits_is_refused_and_may_be_asked_again() -> None:
    shelf = Shelf()
    shelf.open.clear()
    mailbox = Mailbox(shelf, MailboxLimits(waiting=2, batch=1), lambda room, person: ())
    first = [mailbox.post("show", "ann", {"t": "x"}, str(n)) for n in range(2)]
    with pytest.raises(CommandRefused, match="too many"):
        await mailbox.post("show", "ann", {"t": "x"}, "2")
    shelf.open.set()
    assert await asyncio.gather(*first) == [1, 2]
    assert await mailbox.post("show", "ann", {"t": "x"}, "2") == 3
    await mailbox.close()


async def test_the_end_writes_what_waits_and_refuses_what_it_cannot() -> None:
    shelf = Shelf()
    mailbox = Mailbox(shelf, MailboxLimits(close_s=0.05), lambda room, person: ())
    written = mailbox.post("show", "ann", {"t": "x"}, "a")
    await mailbox.close()
    assert written.result() == 1
    stuck = Shelf()
    stuck.open.clear()
    mailbox = Mailbox(stuck, MailboxLimits(close_s=0.05, batch=1), lambda room, person: ())
    posts: list[Any] = [mailbox.post("show", "ann", {"t": "x"}, str(n)) for n in range(2)]
    await mailbox.close()
    assert all(post.done() and (post.cancelled() or post.exception()) for post in posts)


async def test_who_joins_soon_after_a_read_waits_for_the_next_and_a_post_does_not() -> None:
    shelf = Shelf()
    reads: list[int] = []
    told = shelf.waiting

    async def counted(places: Sequence[tuple[str, str]]) -> Mapping[tuple[str, str], list[tuple[int, bytes]]]:
        reads.append(len(places))
        return await told(places)

    shelf.waiting = counted  # type: ignore[method-assign]
    hall = {person: [object()] for person in (f"p{number}" for number in range(200))}
    mailbox = Mailbox(shelf, MailboxLimits(look_ms=60_000), lambda _room, person: hall[person])  # type: ignore[arg-type,return-value]
    mailbox.look("show", "p0")
    await eventually(lambda: reads == [1])
    for person in hall:
        mailbox.look("show", person)
        await asyncio.sleep(0)
    # The next read is a minute away; a post does not wait for it.
    assert await mailbox.post("show", "p1", {"t": "coupon"}, "a") == 1
    assert reads == [1]
    await mailbox.close()
