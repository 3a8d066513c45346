"""The organisation's statements on SQLite and PostgreSQL: closure, sums, who is within reach."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, text

from commerce import org_sql, reach_sql
from commerce.domain.ids import new_id
from commerce.domain.org import KINDS, ROLES, Reach, child_fault, may_give, seat_fault
from commerce.errors import CommerceError
from commerce.org import Organisation
from tests.commerce.people_kit import Shop, newcomer, open_shop

DAY_MS = 86_400_000


@pytest.fixture
async def shop(place: Path | str) -> AsyncIterator[Shop]:
    async with open_shop(place) as opened:
        yield opened


async def chain(org: Organisation, merchant: str, *names: str, under: str | None = None) -> list[str]:
    """Nodes one under the other, from the group or from the kind below ``under`` on."""
    made: list[str] = []
    kinds = KINDS if under is None else KINDS[1:]
    for kind, name in zip(kinds, names, strict=False):
        node = await org.create_node(None, merchant, kind, name, made[-1] if made else under)
        made.append(node.id)
    return made


async def order(shop: Shop, person: str, node: str, amount: int, refunded: int = 0, room: str | None = None) -> str:
    """An order as it stands in the books, paid."""
    number = new_id(shop.clock(), person.encode()[-7:])
    shop.clock.advance(1)
    status = "partly_refunded" if refunded else "paid"

    def insert(db: Connection) -> None:
        values = {"id": number, "m": shop.mine.id, "room": room or shop.room.id, "person": person, "status": status}
        values |= {"amount": amount, "refunded": refunded, "node": node, "now": shop.clock()}  # type: ignore[dict-item]
        db.execute(
            text(
                "INSERT INTO orders (id, merchant, room, person, status, goods, discount, amount, steps, created_ms,"
                " expires_ms, refunded, node) VALUES (:id, :m, :room, :person, :status, :amount, 0, :amount, '[]',"
                " :now, :now, :refunded, :node)"
            ),
            values,
        )

    await shop.store.write(insert)
    return number


async def test_sums_are_those_of_each_node_with_all_below_and_follow_a_subtree_that_moves(shop: Shop) -> None:
    org = Organisation(shop.store, shop.catalogue, clock=shop.clock)
    merchant = shop.mine.id
    group, north, dealer, store = await chain(org, merchant, "group", "north", "dealer", "store")
    south, other = await chain(org, merchant, "south", "other dealer", under=group)
    people = [await newcomer(shop, f"p{n}") for n in range(3)]
    await order(shop, people[0], store, 1_000, 300)
    await order(shop, people[0], store, 500)
    await order(shop, people[1], dealer, 2_000)
    await order(shop, people[2], "", 70)
    since, until = shop.clock() - DAY_MS, shop.clock() + DAY_MS

    async def gmv(node: str) -> tuple[int, int, dict[str, int]]:
        found = await org.figures(None, merchant, node, since, until)
        return found.total.gmv, found.own.gmv, {child.name: sums.gmv for child, sums in found.children}

    assert await gmv(group) == (3_570, 70, {"north": 3_500, "south": 0})
    assert await gmv(dealer) == (3_500, 2_000, {"store": 1_500})
    found = (await org.figures(None, merchant, store, since, until)).total
    assert (found.orders, found.buyers, found.refunds, found.refunded) == (2, 1, 1, 300)
    await org.change_node(None, merchant, store, name=None, parent=other, closed=None)
    assert await gmv(group) == (3_570, 70, {"north": 2_000, "south": 1_500})
    assert [await gmv(north), await gmv(south)] == [
        (2_000, 0, {"dealer": 2_000}),
        (1_500, 0, {"other dealer": 1_500}),
    ]
    with pytest.raises(CommerceError):
        await org.change_node(None, merchant, other, name=None, parent=store, closed=None)


async def test_a_customer_is_their_guides_and_without_one_known_where_they_bought(shop: Shop) -> None:
    org = Organisation(shop.store, shop.catalogue, clock=shop.clock)
    merchant = shop.mine.id
    [group, _, _, store] = await chain(org, merchant, "group", "brand", "dealer", "store")
    [_, _, second] = await chain(org, merchant, "b2", "d2", "s2", under=group)
    await org.place_room(None, merchant, shop.room.id, store)
    seat = await org.join(None, merchant, second, "guide", "guide-2", "a long password", "Guide")
    free, bound = await newcomer(shop, "free"), await newcomer(shop, "bound")
    orders = [await order(shop, free, "", 100), await order(shop, bound, store, 100)]

    def bind(db: Connection) -> None:
        db.execute(
            text(
                "INSERT INTO binding (id, merchant, person, issuer, role, link, channel, valid_days, protection_days,"
                " renews, bound_ms, renewed_ms, why) VALUES ('b', :m, :p, :g, 'guide', '', '', -1, -1, true, 0, 0, '')"
            ),
            {"m": merchant, "p": bound, "g": seat.staff},
        )

    await shop.store.write(bind)

    async def seen(node: str) -> tuple[list[str], list[str]]:
        def read(db: Connection) -> tuple[list[str], list[str]]:
            reach = Reach(node)
            return (
                [one for one in (free, bound) if reach_sql.reaches_person(db, merchant, one, reach)],
                [one for one in orders if reach_sql.reaches_order(db, merchant, one, reach)],
            )

        return await shop.store.read(read)

    assert await seen(store) == ([free], orders)
    assert await seen(second) == ([bound], [])
    assert await seen(group) == ([free, bound], orders)
    assert await seen("") == ([], [])
    page = await shop.people.people(merchant, reach=Reach(second))
    assert [one.person for one in page] == [bound]
    assert await shop.people.people(shop.other.id, reach=Reach(group)) == []


async def test_another_process_sees_a_change_and_a_scope_follows_it(shop: Shop) -> None:
    here, there = (Organisation(shop.store, shop.catalogue, clock=shop.clock) for _ in range(2))
    merchant = shop.mine.id
    group, _, _, store = await chain(here, merchant, "group", "brand", "dealer", "store")
    seat = await here.join(None, merchant, store, "host", "host-1", "a long password", "Host")
    assert there.scope_of(merchant, seat.staff) is None
    await there.load()
    scope = there.scope_of(merchant, seat.staff)
    assert scope is not None and not scope.may_run(shop.room.id)
    await here.place_room(None, merchant, shop.room.id, store)
    await there.load()
    scope = there.scope_of(merchant, seat.staff)
    assert scope is not None and scope.may_run(shop.room.id) and not scope.whole
    assert there.scope_of(shop.other.id, seat.staff) is None
    await here.leave(None, merchant, seat.staff, None, "")
    await there.load()
    scope = there.scope_of(merchant, seat.staff)
    assert scope is not None and scope.gone and not scope.may_run(shop.room.id)
    assert await shop.store.read(org_sql.version) == 7, "one for each change"
    assert there.tree(None, merchant)[0].id == group


async def test_an_account_whose_seat_cannot_be_is_not_made(shop: Shop) -> None:
    org = Organisation(shop.store, shop.catalogue, clock=shop.clock)
    [group] = await chain(org, shop.mine.id, "group")
    for node, role in ((group, "chief"), ("nosuch", "owner")):
        with pytest.raises(CommerceError):
            await org.join(None, shop.mine.id, node, role, "somebody", "a long password", "S")
    assert await shop.catalogue.staff(shop.mine.id) == []


@given(st.sampled_from(KINDS), st.one_of(st.none(), st.sampled_from(KINDS)))
@settings(max_examples=30)
def test_a_kind_stands_only_under_a_higher_one(kind: str, parent: str | None) -> None:
    wanted = (kind == "group") if parent is None else KINDS.index(parent) < KINDS.index(kind)
    assert (child_fault(kind, parent) is None) == (wanted and (parent is None) == (kind == "group"))


def test_guides_have_nodes_of_their_own_and_owners_are_made_by_owners() -> None:
    table: dict[str, Any] = {role: [kind for kind in KINDS if seat_fault(role, kind) is None] for role in ROLES}
    assert table.pop("guide") == ["guide"]
    assert all(kinds == list(KINDS[:-1]) for kinds in table.values())
    assert seat_fault("chief", "store")
    given_by = {by: [role for role in ROLES if may_give(by, role)] for by in ("", *ROLES)}
    assert given_by[""] == given_by["owner"] == list(ROLES)
    assert given_by["manager"] == [role for role in ROLES if role != "owner"]
    assert all(not given_by[role] for role in ("accountant", "host", "moderator", "guide", "readonly"))
