"""Clips in the catalogue: whose they are, what the shelf says, and when they go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from commerce.catalogue_views import ClipView, ShelfChanged
from commerce.errors import NotFound
from tests.commerce.people_kit import Shop, open_shop


async def add(shop: Shop, clip: str, **changes: Any) -> ClipView:
    fields: dict[str, Any] = {
        "merchant": shop.mine.id,
        "room": shop.room.id,
        "product": shop.product.product,
        "show": "s1",
        "start_ms": 3_000,
        "end_ms": 9_000,
        "length_ms": 6_000,
        "size": 1_000,
        "file": f"{shop.room.id}/{clip}.mp4",
        **changes,
    }
    return await shop.catalogue.add_clip(clip, **fields)


async def test_a_clip_shows_on_the_shelf_card_until_it_is_taken_down(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop:
        await shop.catalogue.put_on_shelf(shop.mine.id, shop.room.id, shop.product.product)
        await add(shop, "c1")
        made = await add(shop, "c2")
        assert (made.title, made.created_ms) == (shop.product.title, shop.clock.now_ms)
        (card,) = await shop.catalogue.shelf(shop.room.id)
        assert card.clip == "/clips/c2.mp4"
        changed = [event for event in shop.events if isinstance(event, ShelfChanged)]
        assert changed[-1].shelf == (card,)
        gone = await shop.catalogue.delete_clip(shop.mine.id, shop.room.id, "c2")
        assert gone == made
        (card,) = await shop.catalogue.shelf(shop.room.id)
        assert card.clip == "/clips/c1.mp4" and (await shop.catalogue.clip("c1")).clip == "c1"


async def test_clips_are_listed_by_room_newest_first_in_pages(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop:
        for clip in ("c1", "c2", "c3"):
            await add(shop, clip)
        first = await shop.catalogue.clips(shop.room.id, limit=2)
        assert [clip.clip for clip in first] == ["c3", "c2"]
        assert [clip.clip for clip in await shop.catalogue.clips(shop.room.id, after="c2")] == ["c1"]
        assert await shop.catalogue.clips(shop.other_room.id) == []
        assert first[0].to_json()["url"] == "/clips/c3.mp4"


async def test_another_merchant_s_room_or_product_takes_no_clip_and_gives_none_away(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop:
        await add(shop, "c1")
        for changes in ({"merchant": shop.other.id}, {"product": shop.other_product.product}):
            with pytest.raises(NotFound):
                await add(shop, "c9", **changes)
        for merchant, room in ((shop.other.id, shop.room.id), (shop.other.id, shop.other_room.id)):
            with pytest.raises(NotFound):
                await shop.catalogue.delete_clip(merchant, room, "c1")
        assert [clip.clip for clip in await shop.catalogue.clips(shop.room.id)] == ["c1"]


async def test_clips_past_their_time_are_forgotten_and_named(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop:
        await add(shop, "c1")
        shop.clock.advance(10_000)
        await add(shop, "c2")
        gone = await shop.catalogue.expire_clips(shop.clock.now_ms - 5_000)
        assert [clip.clip for clip in gone] == ["c1"]
        assert [clip.clip for clip in await shop.catalogue.clips(shop.room.id)] == ["c2"]
        with pytest.raises(NotFound):
            await shop.catalogue.clip("c1")
