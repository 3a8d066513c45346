"""The content library: versions, who may share, and what a piece brought, counted by its links."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from commerce.contents import BODY_CHARACTERS_MAX, Contents, Draft, Figures, checked
from commerce.domain.org import Reach
from commerce.errors import CommerceError, Invalid, NotFound, Refused
from commerce.payment_sandbox import SandboxProvider
from commerce.shop import Shop
from tests.commerce.people_kit import Shop as Kit
from tests.commerce.people_kit import newcomer, open_shop

PIECE = Draft("article", "如何冲泡龙井", category="冲泡", body="水温 80 度。\n\n# 步骤\n\n- 温杯\n- 投茶")


class Library:
    """A merchant's library with two who share."""

    def __init__(self, kit: Kit, contents: Contents, guide: str, other_guide: str) -> None:
        self.kit = kit
        self.contents = contents
        self.merchant = kit.mine.id
        self.guide = guide
        self.other_guide = other_guide

    async def write(self, draft: Draft = PIECE, *, publish: bool = True) -> str:
        made = await self.contents.add(self.merchant, "boss", draft)
        if publish:
            await self.contents.publish(self.merchant, made["id"], made["version"])
        self.kit.clock.advance(1)
        return str(made["id"])


@asynccontextmanager
async def library(place: Path | str) -> AsyncIterator[Library]:
    async with open_shop(place) as kit:
        contents = Contents(kit.store, kit.touches, kit.attribution, clock=kit.clock)
        guides = [
            (await kit.catalogue.create_staff(kit.mine.id, name, "a long password", "guide", name)).id
            for name in ("guide-one", "guide-two")
        ]
        yield Library(kit, contents, *guides)


async def test_a_change_is_a_new_version_and_readers_go_on_seeing_the_published_one(place: Path | str) -> None:
    async with library(place) as world:
        contents, merchant = world.contents, world.merchant
        piece = await world.write()
        changed = await contents.change(merchant, "boss", piece, replace(PIECE, title="第二版"), 1)
        assert (changed["version"], changed["published"]) == (2, 1)
        assert (await contents.read(piece))["title"] == PIECE.title
        with pytest.raises(Refused) as refused:
            await contents.change(merchant, "boss", piece, PIECE, 1)
        assert refused.value.code == "already"
        await contents.publish(merchant, piece, 2)
        assert (await contents.read(piece))["title"] == "第二版"
        await contents.publish(merchant, piece, 1)  # the change is taken back
        assert (await contents.read(piece))["title"] == PIECE.title
        assert [one["version"] for one in await contents.versions(merchant, piece)] == [2, 1]
        assert (await contents.one(merchant, piece, 1))["body"] == PIECE.body
        await contents.publish(merchant, piece, None)
        with pytest.raises(NotFound):
            await contents.read(piece)
        with pytest.raises(NotFound):
            await contents.publish(merchant, piece, 3)


async def test_a_search_finds_words_in_title_text_and_category_and_takes_signs_as_they_are(place: Path | str) -> None:
    async with library(place) as world:
        tea = await world.write()
        honey = await world.write(replace(PIECE, title="Honey 100% pure", category="食材", body="a_b"))
        draft = await world.write(replace(PIECE, title="龙井草稿"), publish=False)

        async def found(words: str, category: str = "", *, drafts: bool = False) -> list[str]:
            rows = await world.contents.page(world.merchant, category, words, None, 10, drafts=drafts)
            return [row["id"] for row in rows]

        assert await found("龙井") == [tea] and await found("龙井", drafts=True) == [draft, tea]
        assert await found("honey") == [honey] and await found("100%") == [honey] and await found("a_b") == [honey]
        assert await found("%") == [honey] and await found("_") == [honey] and await found("!") == []
        assert await found("食材") == [honey] and await found("", "冲泡") == [tea]
        assert await world.contents.categories(world.merchant, drafts=True) == {"冲泡": 2, "食材": 1}
        assert await world.contents.page(world.kit.other.id, "", "", None, 10, drafts=True) == []


async def test_knowledge_for_the_shops_own_people_is_read_by_nobody_else_and_shared_by_nobody(
    tmp_path: Path,
) -> None:
    async with library(tmp_path) as world:
        known = await world.write(replace(PIECE, audience="staff", sharers="nobody"))
        with pytest.raises(NotFound):
            await world.contents.read(known)
        assert (await world.contents.known(world.merchant, known))["title"] == PIECE.title
        with pytest.raises(NotFound):
            await world.contents.known(world.kit.other.id, known)
        with pytest.raises(Refused) as refused:
            await world.contents.share(world.merchant, known, world.guide, "guide", None, None)
        assert refused.value.code == "not_for_you"


async def test_only_those_whom_a_piece_names_may_share_it(tmp_path: Path) -> None:
    expected = {
        "nobody": [],
        "staff": ["guide", "host"],
        "distributors": ["guide", "host", "distributor"],
        "everybody": ["guide", "host", "distributor", "viewer"],
    }
    async with library(tmp_path) as world:
        for sharers, roles in expected.items():
            piece = await world.write(replace(PIECE, sharers=sharers))
            able = []
            for role in expected["everybody"]:
                try:
                    await world.contents.share(world.merchant, piece, world.guide, role, None, None)
                except Refused:
                    continue
                able.append(role)
            assert able == roles


async def test_what_a_piece_brought_is_counted_by_its_links_and_their_children(place: Path | str) -> None:
    async with library(place) as world:
        kit, contents, merchant = world.kit, world.contents, world.merchant
        sandbox = SandboxProvider(b"sandbox-secret", clock=kit.clock, callback_delay_s=0.01)
        shop = Shop(kit.store, clock=kit.clock, provider=sandbox, sweep_s=0)
        sandbox.deliver_to(shop.settle)
        await shop.start()
        try:
            await shop.stock_up(merchant, kit.product.sku, 5)
            piece = await world.write(replace(PIECE, room=kit.room.id))
            other = await world.write()
            link = await contents.share(merchant, piece, world.guide, "guide", "wechat", None)
            friend = await newcomer(kit, "friend")
            await contents.opened(merchant, piece, friend, link.token, kit.room.id)
            child = await contents.share(merchant, piece, friend, "viewer", None, link.token)
            assert (child.link.root, child.link.depth, child.link.content) == (link.link.id, 1, piece)
            buyer = await newcomer(kit, "buyer")
            await contents.opened(merchant, piece, buyer, child.token, kit.room.id)
            await contents.opened(merchant, piece, buyer, None, kit.room.id)
            kit.clock.advance(1_000)
            # They go on into the room: the link, and so the piece, is still what brought them.
            await kit.attribution.touch_token(merchant, child.token, buyer, "room_entry", room=kit.room.id)
            kit.clock.advance(1_000)
            decision = await kit.attribution.decision_json(merchant, buyer, kit.clock())
            lines = [(kit.product.sku, 1, kit.product.version)]
            order = await shop.create_order(merchant, kit.room.id, buyer, "order-01", lines=lines, decision=decision)
            every = await contents.figures(merchant, [piece, other], "boss", None)
            assert every == {piece: Figures(2, 3, 2, 0, 0), other: Figures()}  # not paid yet
            await shop.pay_order(merchant, buyer, order.order, "pay-0001")
            every = await contents.figures(merchant, [piece], "boss", None)
            assert every[piece] == Figures(2, 3, 2, 1, order.amount)
            mine = await contents.figures(merchant, [piece], world.guide, Reach(""))
            assert mine[piece] == Figures(1, 1, 1, 0, 0)  # the order came by the friend's own link
            assert (await contents.figures(merchant, [piece], world.other_guide, Reach("")))[piece] == Figures()
            assert (await contents.figures(kit.other.id, [piece], "boss", None))[piece] == Figures()
        finally:
            await sandbox.aclose()
            await shop.close()


async def test_a_forged_or_lapsed_parent_makes_a_link_without_a_parent(tmp_path: Path) -> None:
    async with library(tmp_path) as world:
        piece = await world.write()
        made = await world.contents.share(world.merchant, piece, world.guide, "guide", None, "not-a-token")
        assert (made.link.depth, made.link.content) == (0, piece)


async def test_a_piece_names_only_what_is_the_merchants(tmp_path: Path) -> None:
    async with library(tmp_path) as world:
        kit = world.kit
        for draft in (
            replace(PIECE, room=kit.other_room.id),
            replace(PIECE, skus=(kit.other_product.sku,)),
            replace(PIECE, kind="video", clips=("nosuch",)),
        ):
            with pytest.raises(NotFound):
                await world.contents.add(world.merchant, "boss", draft)
        piece = await world.write(replace(PIECE, skus=(kit.product.sku,)))
        assert [one["price"] for one in (await world.contents.read(piece))["goods"]] == [kit.product.price]
        with pytest.raises(NotFound):
            await world.contents.change(kit.other.id, "boss", piece, PIECE, 1)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("kind", "song"),
        ("title", " "),
        ("title", "x" * 61),
        ("body", ""),
        ("body", "x" * (BODY_CHARACTERS_MAX + 1)),
        ("category", "x" * 21),
        ("cover", "javascript:alert(1)"),
        ("pictures", ("//evil.example/x.png",)),
        ("pictures", ("/static/a.png", "/static/a.png")),
        ("skus", tuple("abcdefg")),
        ("show", "2026"),
        ("audience", "staff"),
        ("sharers", "friends"),
    ],
)
def test_a_draft_that_cannot_be_is_refused_with_its_field(field: str, value: object) -> None:
    with pytest.raises(Invalid):
        checked(replace(PIECE, **{field: value}))  # type: ignore[arg-type]


async def test_a_full_library_refuses_the_next_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("commerce.content_sql.CONTENTS_MAX", 1)
    async with library(tmp_path) as world:
        await world.write()
        with pytest.raises(CommerceError) as refused:
            await world.write()
        assert refused.value.code == "limit"
