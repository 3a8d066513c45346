"""Persons: found again by their identity, made once, and only their merchant's."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text

from commerce.attribution.touch import Touch, TouchKind
from commerce.errors import Invalid, NotFound
from tests.commerce.people_kit import START_MS, Shop, newcomer, open_shop


@pytest.fixture
async def shop(anywhere: Path | str) -> AsyncIterator[Shop]:
    async with open_shop(anywhere) as opened:
        yield opened


async def test_the_same_identity_is_the_same_person(shop: Shop) -> None:
    first = await shop.people.identify(shop.mine.id, "wechat", "wx1:openid", "小明")
    again = await shop.people.identify(shop.mine.id, "wechat", "wx1:openid", "other name")
    assert (first.new, again.new) == (True, False)
    assert first.person == again.person
    assert again.person.name == "小明"


async def test_another_kind_value_or_merchant_is_another_person(shop: Shop) -> None:
    found = [
        await shop.people.identify(shop.mine.id, "guest", "x"),
        await shop.people.identify(shop.mine.id, "device", "x"),
        await shop.people.identify(shop.mine.id, "guest", "y"),
        await shop.people.identify(shop.other.id, "guest", "x"),
    ]
    assert len({one.person.id for one in found}) == 4


async def test_a_crowd_is_written_and_one_who_asks_thrice_at_once_is_one_person(shop: Shop) -> None:
    found = await asyncio.gather(*(shop.people.identify(shop.mine.id, "guest", f"g{n % 400}") for n in range(1_200)))
    assert len({one.person.id for one in found}) == 400
    assert sum(one.new for one in found) == 400


async def test_an_unknown_merchant_fails_alone_in_its_batch(shop: Shop) -> None:
    results = await asyncio.gather(
        shop.people.identify("nobody", "guest", "a"),
        shop.people.identify(shop.mine.id, "guest", "b"),
        return_exceptions=True,
    )
    assert isinstance(results[0], NotFound)
    assert not isinstance(results[1], BaseException)


async def test_a_guests_value_is_not_stored(shop: Shop) -> None:
    await shop.people.identify(shop.mine.id, "guest", "browser-secret")
    values = await shop.store.read(lambda db: db.execute(text("SELECT value FROM identity")).scalars().all())
    assert len(values) == 1
    assert "browser-secret" not in values[0]


async def test_people_are_listed_newest_first_with_when_they_were_seen(shop: Shop) -> None:
    old = await newcomer(shop, "old")
    shop.clock.advance(1_000)
    new = await newcomer(shop, "new")
    await newcomer(shop, "stranger", merchant=shop.other.id)
    shop.clock.advance(1_000)
    shop.attribution.record(Touch(shop.mine.id, old, TouchKind.ROOM_ENTRY, room=shop.room.id))
    views = await shop.people.people(shop.mine.id)
    assert [(view.person, view.first_ms - START_MS, view.last_ms - START_MS) for view in views] == [
        (new, 1_000, 1_000),
        (old, 0, 2_000),
    ]
    assert views[0].kinds == ("guest",)
    assert [view.person for view in await shop.people.people(shop.mine.id, after=new, limit=1)] == [old]


async def test_a_person_is_renamed_by_their_merchant_alone(shop: Shop) -> None:
    person = await newcomer(shop, "p")
    assert (await shop.people.rename(shop.mine.id, person, "Ann")).name == "Ann"
    with pytest.raises(NotFound):
        await shop.people.rename(shop.other.id, person, "Bob")
    with pytest.raises(NotFound):
        await shop.people.person(shop.other.id, person)
    assert (await shop.people.person(shop.mine.id, person)).name == "Ann"


@pytest.mark.parametrize(
    ("field", "kind", "value", "name"),
    [
        ("kind", "phone", "13800000000", ""),
        ("value", "guest", "", ""),
        ("value", "guest", "x" * 201, ""),
        ("value", "guest", "a\n", ""),
        ("value", "guest", "\ud800", ""),
        ("name", "guest", "x", "n" * 61),
    ],
)
async def test_a_bad_identity_names_its_field(shop: Shop, field: str, kind: str, value: str, name: str) -> None:
    with pytest.raises(Invalid) as refusal:
        await shop.people.identify(shop.mine.id, kind, value, name)
    assert refusal.value.extra["field"] == field


async def test_pages_have_a_limit(shop: Shop) -> None:
    with pytest.raises(Invalid):
        await shop.people.people(shop.mine.id, limit=0)
