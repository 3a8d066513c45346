"""Links, share tree, touches and decisions through the service, on real files."""

import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from commerce.attribution.decision import DAY_MS, Binding, Model, Reason
from commerce.attribution.service import Attribution
from commerce.attribution.token import mint, new_link_id
from commerce.attribution.touch import Touch, TouchKind
from commerce.errors import Invalid, NotFound, Refused
from tests.commerce.people_kit import SECRET, START_MS, Shop, newcomer, open_shop


@pytest.fixture
async def shop(anywhere: Path | str) -> AsyncIterator[Shop]:
    async with open_shop(anywhere) as opened:
        yield opened


async def rejected(shop: Shop) -> list[tuple[str | None, str | None]]:
    await shop.touches.flushed(10)
    return await shop.touches.read(
        lambda db: [tuple(row) for row in db.execute(text("SELECT link, reason FROM touch ORDER BY id"))]
    )


async def test_a_link_of_the_merchant_is_a_root(shop: Shop) -> None:
    view = await shop.attribution.mint_link(
        shop.mine.id, shop.mine.id, "merchant", shop.room.id, shop.product.sku, "wechat", "opening"
    )
    shape = view.to_json()
    assert len(view.token) <= 22
    assert (shape["parent"], shape["root"], shape["depth"]) == (None, shape["link"], 0)
    assert (shape["room"], shape["sku"], shape["channel"]) == (shop.room.id, shop.product.sku, "wechat")


async def test_sharing_makes_a_child_that_knows_its_parent_and_root(shop: Shop) -> None:
    ann, bob = await newcomer(shop, "ann"), await newcomer(shop, "bob")
    root = await shop.attribution.mint_link(shop.mine.id, shop.mine.id, "merchant", shop.room.id, channel="wechat")
    first = await shop.attribution.mint_link(shop.mine.id, ann, "viewer", parent_token=root.token)
    second = await shop.attribution.mint_link(shop.mine.id, bob, "viewer", parent_token=first.token)
    assert (first.link.parent, first.link.root, first.link.depth) == (root.link.id, root.link.id, 1)
    assert (second.link.parent, second.link.root, second.link.depth) == (first.link.id, root.link.id, 2)
    assert (second.link.room, second.link.channel) == (shop.room.id, "wechat")


async def test_sharing_the_same_link_again_gives_the_same_child(shop: Shop) -> None:
    ann = await newcomer(shop, "ann")
    root = await shop.attribution.mint_link(shop.mine.id, shop.mine.id, "merchant", shop.room.id)
    child = await shop.attribution.mint_link(shop.mine.id, ann, "viewer", parent_token=root.token)
    shop.clock.advance(5_000)
    again = await shop.attribution.mint_link(shop.mine.id, ann, "viewer", shop.room.id, parent_token=root.token)
    own = await shop.attribution.mint_link(shop.mine.id, ann, "viewer", shop.room.id, parent_token=child.token)
    assert again.token == own.token == child.token
    assert len(await shop.attribution.links(shop.mine.id)) == 2


async def test_a_share_for_another_product_is_another_child(shop: Shop) -> None:
    ann = await newcomer(shop, "ann")
    root = await shop.attribution.mint_link(shop.mine.id, shop.mine.id, "merchant", shop.room.id)
    child = await shop.attribution.mint_link(shop.mine.id, ann, "viewer", parent_token=root.token)
    other = await shop.attribution.mint_link(shop.mine.id, ann, "viewer", sku=shop.product.sku, parent_token=root.token)
    assert other.token != child.token


async def test_a_child_never_outlives_its_parent_and_a_lapsed_parent_has_no_more(shop: Shop) -> None:
    ann = await newcomer(shop, "ann")
    end = START_MS + 10_000
    root = await shop.attribution.mint_link(shop.mine.id, shop.mine.id, "merchant", expires_ms=end)
    child = await shop.attribution.mint_link(
        shop.mine.id, ann, "viewer", parent_token=root.token, expires_ms=end + 99_999
    )
    assert child.link.expires_ms == end
    shop.clock.advance(10_000)
    with pytest.raises(Refused) as refusal:
        await shop.attribution.mint_link(shop.mine.id, ann, "viewer", parent_token=root.token)
    assert refusal.value.code == "expired"


async def test_a_lapsed_share_is_renewed_and_not_doubled(shop: Shop) -> None:
    ann = await newcomer(shop, "ann")
    root = await shop.attribution.mint_link(shop.mine.id, shop.mine.id, "merchant")
    short = await shop.attribution.mint_link(
        shop.mine.id, ann, "viewer", parent_token=root.token, expires_ms=START_MS + 1
    )
    shop.clock.advance(10)
    assert (await shop.attribution.touch_token(shop.mine.id, short.token, "p", "scan")).reason == "expired"
    renewed = await shop.attribution.mint_link(shop.mine.id, ann, "viewer", parent_token=root.token)
    assert (renewed.token, renewed.link.expires_ms) == (short.token, None)
    assert (await shop.attribution.touch_token(shop.mine.id, short.token, "p", "scan")).reason is None


async def test_links_are_listed_with_their_uses(shop: Shop) -> None:
    ann = await newcomer(shop, "ann")
    one = await shop.attribution.mint_link(shop.mine.id, shop.mine.id, "merchant")
    shop.clock.advance(1)
    two = await shop.attribution.mint_link(shop.mine.id, ann, "viewer")
    for _ in range(3):
        for kind in ("scan", "room_entry"):
            # Who scans comes in: that is one use.
            await shop.attribution.touch_token(shop.mine.id, one.token, "p", kind)
    assert [(view.token, view.uses) for view in await shop.attribution.links(shop.mine.id)] == [
        (two.token, 0),
        (one.token, 3),
    ]
    assert [view.token for view in await shop.attribution.links(shop.mine.id, issuer=ann)] == [two.token]
    assert [view.token for view in await shop.attribution.links(shop.mine.id, before=two.link.id)] == [one.token]


async def test_bad_tokens_are_touches_with_a_reason_and_no_attribution(shop: Shop) -> None:
    person = await newcomer(shop, "p")
    good = await shop.attribution.mint_link(shop.mine.id, shop.mine.id, "merchant", expires_ms=START_MS + 5)
    theirs = await shop.attribution.mint_link(shop.other.id, shop.other.id, "merchant")
    unknown = mint(new_link_id(START_MS, 7), SECRET)
    shop.clock.advance(5)
    for token, reason in [
        (good.token[:-1] + ("A" if good.token[-1] != "A" else "B"), "forged"),
        (good.token[:9], "truncated"),
        ("2" + good.token[1:], "foreign_version"),
        ("x" * 100_000, "foreign_version"),
        ("1" + "x" * 100_000, "too_long"),
        ("<script>", "bad_characters"),
        (unknown, "unknown"),
        (theirs.token, "foreign_merchant"),
        (good.token, "expired"),
    ]:
        result = await shop.attribution.touch_token(shop.mine.id, token, person, "room_entry", room=shop.room.id)
        assert (result.reason, result.link) == (reason, None)
        assert result.touch is not None
    assert len(await rejected(shop)) == 9
    decision = await shop.attribution.decide(shop.mine.id, person, shop.clock())
    assert decision.winner is None
    assert [loser.reason for loser in decision.losers] == [Reason.BAD_LINK]
    board = await shop.attribution.board(shop.mine.id, START_MS, START_MS + DAY_MS)
    assert board["rejected"]["foreign_version"] == 2
    assert sum(board["rejected"].values()) == 9


async def test_no_token_is_a_touch_without_a_reason(shop: Shop) -> None:
    for nothing in (None, ""):
        result = await shop.attribution.touch_token(shop.mine.id, nothing, "p", "room_entry")
        assert (result.link, result.reason) == (None, None)
    assert await rejected(shop) == [(None, None), (None, None)]


async def test_an_order_is_credited_to_the_last_link_and_keeps_the_losers(shop: Shop) -> None:
    buyer, guide = await newcomer(shop, "buyer"), await newcomer(shop, "guide")
    poster = await shop.attribution.mint_link(shop.mine.id, shop.mine.id, "merchant", shop.room.id, channel="poster")
    shared = await shop.attribution.mint_link(shop.mine.id, guide, "guide", parent_token=poster.token, channel="wechat")
    for view in (poster, shared):
        shop.clock.advance(1_000)
        await shop.attribution.touch_token(shop.mine.id, view.token, buyer, "room_entry")
    stored = await shop.attribution.decision_json(shop.mine.id, buyer, shop.clock())
    assert (stored["winner"]["link"], stored["winner"]["issuer"]) == (shared.link.id, guide)
    assert (stored["winner"]["root"], stored["winner"]["channel"]) == (poster.link.id, "wechat")
    assert [loser["reason"] for loser in stored["losers"]] == ["later_touch_won"]
    assert stored["models"]["first_touch"]["link"] == poster.link.id
    assert stored["models"]["last_touch"]["issuer"] == guide
    early = await shop.attribution.decide(shop.mine.id, buyer, shop.clock(), "first_touch")
    assert early.winner is not None
    assert early.winner.link == poster.link.id


async def test_a_buyers_own_share_wins_nothing_unless_the_shop_allows_it(shop: Shop) -> None:
    buyer = await newcomer(shop, "buyer")
    own = await shop.attribution.mint_link(shop.mine.id, buyer, "viewer")
    await shop.attribution.touch_token(shop.mine.id, own.token, buyer, "share_open")
    decision = await shop.attribution.decide(shop.mine.id, buyer, shop.clock())
    assert decision.winner is None
    generous = Attribution(shop.store, shop.touches, secret=SECRET, clock=shop.clock, allow_self=True)
    assert (await generous.decide(shop.mine.id, buyer, shop.clock())).winner is not None


async def test_a_protected_binding_given_in_beats_the_log(shop: Shop) -> None:
    buyer = await newcomer(shop, "buyer")
    link = await shop.attribution.mint_link(shop.mine.id, shop.mine.id, "merchant")
    await shop.attribution.touch_token(shop.mine.id, link.token, buyer, "scan")
    binding = Binding("b", START_MS - DAY_MS, "guide", "guide", protection_days=30)
    decision = await shop.attribution.decide(shop.mine.id, buyer, shop.clock(), Model.DEFAULT, (binding,))
    assert decision.winner is not None
    assert decision.winner.issuer == "guide"


async def test_a_later_touch_does_not_change_what_was_decided(shop: Shop) -> None:
    buyer = await newcomer(shop, "buyer")
    link = await shop.attribution.mint_link(shop.mine.id, shop.mine.id, "merchant")
    ordered_ms = shop.clock()
    before = await shop.attribution.decide(shop.mine.id, buyer, ordered_ms)
    shop.clock.advance(1)
    await shop.attribution.touch_token(shop.mine.id, link.token, buyer, "scan")
    assert await shop.attribution.decide(shop.mine.id, buyer, ordered_ms) == before


async def test_entries_of_a_show_are_found_through_the_service(shop: Shop) -> None:
    for _ in range(2):
        shop.attribution.record(Touch(shop.mine.id, "p", TouchKind.ROOM_ENTRY, room=shop.room.id))
        shop.clock.advance(700)
    entries = await shop.attribution.entries(shop.mine.id, "p", shop.room.id, START_MS)
    assert (entries.first_ms, entries.last_ms) == (START_MS, START_MS + 700)
    assert (await shop.attribution.entries(shop.other.id, "p", shop.room.id)).first_ms is None


Call = Callable[[Shop, str], Awaitable[object]]


@pytest.mark.parametrize(
    "call",
    [
        lambda s, t: s.attribution.mint_link(s.mine.id, s.other.id, "merchant"),
        lambda s, t: s.attribution.mint_link(s.mine.id, s.mine.id, "merchant", room=s.other_room.id),
        lambda s, t: s.attribution.mint_link(s.mine.id, s.mine.id, "merchant", sku=s.other_product.sku),
        lambda s, t: s.attribution.mint_link(s.mine.id, s.mine.id, "merchant", parent_token=t),
        lambda s, t: s.attribution.mint_link("nobody", "somebody", "merchant"),
    ],
)
async def test_a_link_is_made_of_the_merchants_own_things_alone(shop: Shop, call: Call) -> None:
    theirs = await shop.attribution.mint_link(shop.other.id, shop.other.id, "merchant")
    with pytest.raises(NotFound):
        await call(shop, theirs.token)
    assert await shop.attribution.links(shop.mine.id) == []


async def test_a_merchant_sees_none_of_anothers_links_touches_and_decisions(shop: Shop) -> None:
    buyer = await newcomer(shop, "buyer", merchant=shop.other.id)
    theirs = await shop.attribution.mint_link(shop.other.id, shop.other.id, "merchant")
    await shop.attribution.touch_token(shop.other.id, theirs.token, buyer, "room_entry", room=shop.other_room.id)
    assert await shop.attribution.links(shop.mine.id) == []
    assert (await shop.attribution.decide(shop.mine.id, buyer, shop.clock())).winner is None
    assert (await shop.attribution.decide(shop.other.id, buyer, shop.clock())).winner is not None
    mine = await shop.attribution.board(shop.mine.id, START_MS, START_MS + DAY_MS)
    assert mine["funnel"]["visit"] == 0
    assert mine["tree"] == []


@pytest.mark.parametrize(
    ("field", "call"),
    [
        ("role", lambda s, t: s.attribution.mint_link(s.mine.id, s.mine.id, "king")),
        ("expires_ms", lambda s, t: s.attribution.mint_link(s.mine.id, s.mine.id, "host", expires_ms=START_MS)),
        ("channel", lambda s, t: s.attribution.mint_link(s.mine.id, s.mine.id, "host", channel="x" * 65)),
        ("parent", lambda s, t: s.attribution.mint_link(s.mine.id, s.mine.id, "host", parent_token="x")),
        ("kind", lambda s, t: s.attribution.touch_token(s.mine.id, t, "p", "dance")),
        ("room", lambda s, t: s.attribution.touch_token(s.mine.id, t, "p", "scan", room="x" * 65)),
        ("sku", lambda s, t: s.attribution.touch_token(s.mine.id, t, "p", "scan", sku="\ud800")),
        ("model", lambda s, t: s.attribution.decide(s.mine.id, "p", START_MS, "dice")),
        ("limit", lambda s, t: s.attribution.links(s.mine.id, limit=10_000)),
        ("since", lambda s, t: s.attribution.board(s.mine.id, 5, 5)),
        ("until", lambda s, t: s.attribution.board(s.mine.id, 0, START_MS)),
        ("limit", lambda s, t: s.attribution.board(s.mine.id, 0, 5, 100_000)),
    ],
)
async def test_bad_input_names_its_field(shop: Shop, field: str, call: Call) -> None:
    with pytest.raises(Invalid) as refusal:
        await call(shop, "")
    assert refusal.value.extra["field"] == field


def test_a_weak_secret_is_refused_at_the_start(shop: Shop) -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        Attribution(shop.store, shop.touches, secret=b"short", clock=shop.clock)


async def test_a_link_whose_id_is_taken_gets_another(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = iter([7, 7, 8, 7, 8, 9])
    monkeypatch.setattr("commerce.attribution.service.secrets.randbits", lambda bits: next(drawn))
    mine = shop.mine.id
    links = [await shop.attribution.mint_link(mine, mine, "merchant", channel=name) for name in ("a", "b", "c")]
    assert len({one.link.id for one in links}) == 3
    assert all(one.link.root == one.link.id for one in links)


async def test_an_order_counts_what_its_buyer_did_while_the_log_waits_for_its_disk(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop:
        buyer = await newcomer(shop, "buyer")
        seller, other = await newcomer(shop, "seller"), await newcomer(shop, "other")
        first = await shop.attribution.mint_link(shop.mine.id, other, "distributor", shop.room.id)
        last = await shop.attribution.mint_link(shop.mine.id, seller, "distributor", shop.room.id)
        await shop.attribution.touch_token(shop.mine.id, first.token, buyer, "room_entry", room=shop.room.id)
        await shop.touches.flushed(10)
        with closing(sqlite3.connect(tmp_path / "touches.db", isolation_level=None)) as holder:
            holder.execute("BEGIN IMMEDIATE")
            shop.clock.advance(1_000)
            await shop.attribution.touch_token(shop.mine.id, last.token, buyer, "room_entry", room=shop.room.id)
            decision = await shop.attribution.decide(shop.mine.id, buyer, shop.clock())
            assert shop.touches.stats().written == 1
            holder.execute("ROLLBACK")
        assert decision.winner is not None and decision.winner.issuer == seller
        assert [loser.credit.issuer for loser in decision.losers] == [other]
        assert await shop.touches.flushed(10)
        again = await shop.attribution.decide(shop.mine.id, buyer, shop.clock())
        assert again.winner == decision.winner and again.losers == decision.losers
