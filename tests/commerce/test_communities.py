"""Community groups: rules that are accepted, activity by a told formula, stages by a table, leaders proposed."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from commerce.attribution.service import Attribution
from commerce.attribution.touch import TouchKind
from commerce.attribution.touches_sql import open_touch_log
from commerce.communities import Communities, channel_of
from commerce.crm.activity import Activity
from commerce.crm.service import Crm
from commerce.domain.activity import BY_NAME, PARTS, Score, is_candidate, score, strength
from commerce.domain.community import (
    ACTIVE_TOTAL,
    LEADER_TOTAL,
    Figures,
    Member,
    proposed,
    stage_of,
)
from commerce.domain.day import DAY_MS
from commerce.domain.org import Reach
from commerce.errors import CommerceError, NotFound, Refused
from commerce.identity.aliases import Aliases
from commerce.identity.join import MergePeople, UndoMerge
from commerce.identity.phone import Vault
from commerce.identity.service import Identities
from tests.commerce.people_kit import Shop as Kit
from tests.commerce.people_kit import newcomer, open_shop
from tests.commerce.shop_world import MERCHANT, World, shop_world

counts = st.dictionaries(st.sampled_from([part.name for part in PARTS]), st.integers(0, 500))


class Groups:
    """A merchant's groups, with what counts their members' days."""

    def __init__(self, kit: Kit) -> None:
        self.kit = kit
        self.merchant = kit.mine.id
        self.crm = Crm(kit.store, kit.touches, clock=kit.clock)
        self.activity = Activity(kit.store, kit.touches, clock=kit.clock)
        self.communities = Communities(kit.store, kit.touches, kit.attribution, self.activity, clock=kit.clock)

    async def begin(self, name: str = "茶友群", node: str = "", owner: str | None = None) -> str:
        by = owner or self.merchant
        row = await self.communities.add(self.merchant, by, "merchant", node, name, "请友善", self.kit.room.id)
        return str(row["id"])

    async def member(self, community: str, name: str) -> str:
        person = await newcomer(self.kit, name)
        await self.communities.join(self.merchant, community, person, 1)
        return person

    async def came(self, person: str, token: str | None = None) -> None:
        await self.kit.attribution.touch_token(
            self.merchant, token, person, TouchKind.ROOM_ENTRY, room=self.kit.room.id
        )

    async def count(self) -> None:
        """Count what was logged, as it is done every some seconds."""
        self.kit.clock.advance(10_000)
        await self.crm.reckon()


@asynccontextmanager
async def groups(place: Path | str) -> AsyncIterator[Groups]:
    async with open_shop(place) as kit:
        yield Groups(kit)


@given(counts)
def test_a_score_is_the_sum_of_its_parts_and_no_part_goes_over_its_bound(found: dict[str, int]) -> None:
    made = score(found)
    assert made.total == sum(part.points for part in made.parts)
    for part in made.parts:
        rule = BY_NAME[part.name]
        assert part.n == min(found[part.name], rule.most) > 0 and part.points == part.n * rule.points


@given(counts, st.sampled_from([part.name for part in PARTS]))
def test_doing_more_never_lowers_a_score_nor_loosens_a_relationship(found: dict[str, int], more: str) -> None:
    before, after = score(found), score(Counter(found) + Counter({more: 1}))
    assert after.total >= before.total
    levels = ("weak", "middle", "strong")
    for contact in (False, True):
        ranks = [levels.index(strength(one, contact=contact).level) for one in (before, after)]
        assert ranks == sorted(ranks)
    assert strength(before, contact=True).total == before.total + 10
    assert not (is_candidate(before) and not is_candidate(after))


@pytest.mark.parametrize(
    ("figures", "stage"),
    [
        (Figures(0, 0, 0, 0), "new"),
        (Figures(13, 29, 29, 0), "new"),
        (Figures(13, 30, 30, 2), "quiet"),
        (Figures(14, 0, 0, 0), "quiet"),
        (Figures(14, 100, 50, 9), "quiet"),
        (Figures(14, 100, 20, 10), "growing"),
        (Figures(3, 100, 100, 60), "growing"),
        (Figures(200, 100, 19, 10), "active"),
    ],
)
def test_the_stage_is_the_first_row_of_the_table_that_holds(figures: Figures, stage: str) -> None:
    assert stage_of(figures).name == stage


def test_the_most_active_members_of_a_week_at_least_are_proposed_and_no_more_than_three() -> None:
    able = [Member(name, "member", 7) for name in "abcde"]
    others = [Member("lead", "leader", 30), Member("fresh", "member", 6), Member("idle", "member", 30)]
    scores = {name: Score(LEADER_TOTAL + n) for n, name in enumerate("abcde")}
    scores |= {"lead": Score(90), "fresh": Score(90), "idle": Score(LEADER_TOTAL - 1)}
    assert proposed([*others, *able], scores) == ["e", "d", "c"]
    assert proposed(others, scores) == []


async def test_who_joins_accepts_the_rules_of_now_and_new_rules_are_accepted_again(tmp_path: Path) -> None:
    async with groups(tmp_path) as world:
        communities, merchant = world.communities, world.merchant
        group = await world.begin()
        person = await world.member(group, "ann")
        assert (await communities.membership(group, person) or {})["rules_version"] == 1
        changed = await communities.change(
            merchant, group, "boss", None, name=None, rules="新群规", room=None, closed=False
        )
        assert changed["rules_version"] == 2
        with pytest.raises(Refused) as refused:
            await communities.join(merchant, group, person, 1)
        assert (refused.value.code, refused.value.extra) == ("already", {"version": 2})
        [mine] = await communities.mine(merchant, person)
        assert (mine["accepted"], mine["rules_version"]) == (1, 2)
        await communities.join(merchant, group, person, 2)
        [mine] = await communities.mine(merchant, person)
        assert (mine["accepted"], mine["role"]) == (2, "member")
        await communities.leave(group, person)
        assert await communities.mine(merchant, person) == []
        with pytest.raises(NotFound):
            await communities.leave(group, person)
        await communities.change(merchant, group, "boss", None, name="x", rules=None, room=None, closed=True)
        with pytest.raises(NotFound):
            await communities.join(merchant, group, person, 2)
        with pytest.raises(NotFound):
            await communities.join(world.kit.other.id, await world.begin(), person, 1)


async def test_a_groups_board_counts_what_its_links_brought_and_what_its_members_did(place: Path | str) -> None:
    async with groups(place) as world:
        communities, merchant, kit = world.communities, world.merchant, world.kit
        group, other = await world.begin(), await world.begin("另一个群")
        ann, bob = await world.member(group, "ann"), await world.member(group, "bob")
        link = await communities.link(merchant, group, merchant, None, "merchant", None, None)
        assert (link.link.channel, link.link.room) == (channel_of(group), kit.room.id)
        stranger = await newcomer(kit, "stranger")
        for _ in range(4):  # once a day counts, however often they come
            await world.came(ann, link.token)
        await world.came(stranger, link.token)
        shared = await kit.attribution.mint_link(merchant, ann, "viewer", kit.room.id, parent_token=link.token)
        await world.came(ann, shared.token)  # her own link brings nobody
        kit.clock.advance(DAY_MS)
        await world.came(ann)
        await world.came(bob, shared.token)
        await world.count()
        board = await communities.board(merchant, group, "boss", None)
        assert [(row["person"], made.total) for row, made in board.members] == [(ann, 9), (bob, 2)]
        assert {part.name: part.n for part in board.members[0][1].parts} == {"visits": 2, "brought": 1}
        assert (board.standing.figures, board.standing.stage) == (Figures(1, 2, 2, 1), "new")
        assert (board.visits, board.entries, board.orders) == (3, 3, 0)  # ann, the stranger, bob by her child of it
        assert (await communities.board(merchant, other, "boss", None)).visits == 0
        listed = await communities.page(merchant, "boss", None, None, 10)
        assert {one.row["id"]: one.figures.active for one in listed} == {other: 0, group: 1}
        assert board.members[0][1].total >= ACTIVE_TOTAL
        kit.clock.advance(40 * DAY_MS)
        late = await communities.board(merchant, group, "boss", None)
        assert (late.standing.stage, late.visits, late.members[0][1].total) == ("quiet", 0, 0)


async def test_an_account_with_a_part_of_the_shop_has_its_own_groups_alone(tmp_path: Path) -> None:
    async with groups(tmp_path) as world:
        guide = (await world.kit.catalogue.create_staff(world.merchant, "guide-1", "a long password", "guide", "g")).id
        mine, theirs = await world.begin(owner=guide), await world.begin()
        part = Reach("nowhere")
        listed = await world.communities.page(world.merchant, guide, part, None, 10)
        assert [one.row["id"] for one in listed] == [mine]
        with pytest.raises(NotFound):
            await world.communities.board(world.merchant, theirs, guide, part)
        with pytest.raises(NotFound):
            await world.communities.set_member(world.merchant, theirs, guide, part, "p", "leader")


async def test_a_full_group_and_a_person_in_too_many_are_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("commerce.communities_sql.MEMBERS_MAX", 1)
    async with groups(tmp_path) as world:
        group = await world.begin()
        await world.member(group, "ann")
        with pytest.raises(CommerceError) as full:
            await world.member(group, "bob")
        assert full.value.code == "limit"
        monkeypatch.setattr("commerce.communities_sql.JOINED_MAX", 1)
        with pytest.raises(CommerceError) as many:
            await world.member(await world.begin(), "ann")
        assert many.value.code == "limit"


async def test_two_members_who_are_one_person_are_one_member_until_they_are_two_again(place: Path | str) -> None:
    async with shop_world(place) as world:
        await _merged_members(world)


async def _merged_members(world: World) -> None:
    touches = open_touch_log(world.store.where, clock=world.clock)
    try:
        attribution = Attribution(world.store, touches, secret=b"a secret of the tests, long", clock=world.clock)
        activity = Activity(world.store, touches, clock=world.clock)
        communities = Communities(world.store, touches, attribution, activity, clock=world.clock)
        identities = Identities(
            world.store, world.shop.ledger, Aliases(), Vault(b"the key of the tests' vault, long"), clock=world.clock
        )
        for name in ("p1", "p2", "p3"):
            await world.store.write(
                lambda db, name=name: db.execute(  # type: ignore[misc]
                    text("INSERT INTO person (id, merchant, name, created_ms) VALUES (:id, 'm1', :id, 0)"),
                    {"id": name},
                )
            )
        group = str((await communities.add(MERCHANT, MERCHANT, "merchant", "", "群", "规", ""))["id"])
        other = str((await communities.add(MERCHANT, MERCHANT, "merchant", "", "群二", "规", ""))["id"])
        for person, one in (("p1", group), ("p2", group), ("p2", other)):
            await communities.join(MERCHANT, one, person, 1)

        async def members(one: str) -> list[str]:
            board = await communities.board(MERCHANT, one, "boss", None)
            assert board.standing.figures.members == len(board.members)
            return sorted(row["person"] for row, _ in board.members)

        joined = await world.shop.ledger.submit(MergePeople(MERCHANT, "p1", "p2", "boss", "same"))
        assert (await members(group), await members(other)) == (["p1"], ["p1"])
        await communities.join(MERCHANT, other, "p2", 1)  # by a token of before
        assert await members(other) == ["p1"]
        await world.shop.ledger.submit(UndoMerge(MERCHANT, str(joined.merged), "boss"))
        assert (await members(group), await members(other)) == (["p1", "p2"], ["p2"])
        await identities.erase(MERCHANT, "p2", "boss", "asked")
        assert (await members(group), await members(other)) == (["p1"], [])
    finally:
        touches.close()
