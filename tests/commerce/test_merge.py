"""Two persons become one and two again: limits only tighten, nothing is lost, a number joins only whom it should."""

import asyncio
import hmac
import itertools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from commerce.domain.draw import draw_key
from commerce.domain.sale import SaleMode, SaleTerms
from commerce.errors import CommerceError, Invalid, NotFound, Refused
from commerce.events import HoldGiven
from commerce.identity.aliases import Aliases
from commerce.identity.phone import Vault, masked, read_phone
from commerce.identity.rules import REVERIFY_MS, Known, Phone, Verdict, judge
from commerce.identity.service import Identities
from commerce.moments import Offer
from tests.commerce.shop_world import MERCHANT, ROOM, SKU, World, shop_world

KEY = b"the key of the tests' vault, long"
ANN, BO = "13800138022", "+8613911112222"


class Place:
    """A shop's world with its identities, and persons made by hand."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.identities = Identities(world.store, world.shop.ledger, Aliases(), Vault(KEY), clock=world.clock)
        self._numbers = itertools.count(1)

    async def person(self, kind: str = "guest") -> str:
        number = next(self._numbers)
        name = f"p{number:04}"
        await self.world.store.write(
            lambda db: (
                db.exec_driver_sql(f"INSERT INTO person VALUES ('{name}', '{MERCHANT}', '', {number})"),
                db.exec_driver_sql(
                    f"INSERT INTO identity VALUES ('{MERCHANT}', '{kind}', '{name}', '{name}', {number})"
                ),
            )
        )
        return name

    async def state(self) -> dict[str, list[Any]]:
        """All rows that belong to persons, as they are."""
        tables = {
            "identity": "SELECT kind, value, person FROM identity",
            "phone": "SELECT person, digest, verified_ms FROM person_phone",
            "hold": "SELECT id, person, state, quantity FROM hold",
            "orders": "SELECT id, person, status FROM orders",
            "payment": "SELECT id, person, state FROM payment",
            "coupon": "SELECT id, person, n, state FROM coupon",
            "quota": "SELECT scope, person, used FROM quota WHERE used > 0",
            "accounts": "SELECT owner, kind, balance FROM account WHERE balance <> 0 AND owner <> ''",
            "lots": "SELECT id, person, left_units, state FROM points_lot",
            "request": "SELECT route, person, key, answer FROM request",
        }
        return {name: sorted(map(tuple, await self.world.query(query))) for name, query in tables.items()}


@pytest.fixture
async def place(anywhere: Path | str) -> AsyncIterator[Place]:
    async with shop_world(anywhere) as world:
        yield Place(world)


async def test_a_request_of_before_a_merge_that_is_decided_after_it_counts_for_the_elder(place: Place) -> None:
    sale = (await place.world.sale(total=10, per_person=1)).sale
    elder, younger = await place.person(), await place.person()
    await place.world.hold(sale, elder, key="k")
    merged = asyncio.ensure_future(place.identities.merge(MERCHANT, elder, younger, "boss", "one"))
    await asyncio.sleep(0)
    late = place.world.hold(sale, younger, key="late")
    with pytest.raises(Refused, match="limit"):
        await late
    await merged
    # Another process that has not heard of the merge yet.
    place.world.shop.aliases = Aliases()
    with pytest.raises(Refused, match="limit"):
        await place.world.hold(sale, younger, key="later")


async def test_a_merged_person_has_used_what_both_had(place: Place) -> None:
    sale = (await place.world.sale(total=10, per_person=2)).sale
    elder, younger = await place.person(), await place.person()
    await place.world.hold(sale, elder, key="a")
    held = await place.world.hold(sale, younger, key="b")
    await place.identities.merge(MERCHANT, elder, younger, "boss", "the same face")
    now = place.identities.aliases.now(younger)
    assert now == elder
    with pytest.raises(Refused, match="limit"):
        await place.world.hold(sale, now, key="c")
    # A repeat of what the younger asked for before is known by the elder.
    assert (await place.world.hold(sale, now, key="b")).hold == held.hold


async def test_a_rush_under_a_former_name_counts_for_the_one_who_goes_on(place: Place) -> None:
    shop, sale = place.world.shop, (await place.world.sale(total=10, per_person=1)).sale
    shop.aliases.learn({"younger": "elder"})
    await place.world.hold(sale, "younger", key="a")
    with pytest.raises(Refused, match="limit"):
        await place.world.hold(sale, "elder", key="b")


async def test_what_somebody_waited_for_is_theirs_under_whichever_name(place: Place) -> None:
    world = place.world
    sale = (await world.sale(total=1, per_person=1)).sale
    elder, younger = await place.person(), await place.person()
    await world.hold(sale, "quick")
    for person in (younger, elder):
        await world.shop.moments.wait(MERCHANT, ROOM, person, sale)
    world.clock.advance(301_000)
    await world.shop.sweep()
    [won] = [event for event in await world.told() if isinstance(event, HoldGiven)]
    assert won.person == younger
    merged = (await place.identities.merge(MERCHANT, elder, younger, "boss", "the same face")).merged
    order = await world.shop.create_order(MERCHANT, ROOM, elder, "o", hold=won.hold)
    assert (await world.shop.pay_order(MERCHANT, elder, order.order, "p")).status == "paid"
    assert merged is not None
    await place.identities.undo(MERCHANT, merged, "boss")


async def test_who_waits_twice_and_is_one_is_served_once(place: Place) -> None:
    world = place.world
    sale = (await world.sale(total=2, per_person=1)).sale
    elder, younger = await place.person(), await place.person()
    for person in ("quick", "quicker"):
        await world.hold(sale, person)
    for person in (younger, elder):
        await world.shop.moments.wait(MERCHANT, ROOM, person, sale)
    await place.identities.merge(MERCHANT, elder, younger, "boss", "the same face")
    world.clock.advance(301_000)
    await world.shop.sweep()
    assert [event.person for event in await world.told() if isinstance(event, HoldGiven)] == [elder]
    assert (await world.shop.sale(sale)).left == 1


@pytest.mark.parametrize("kind", ["sale", "packet"])
async def test_two_who_entered_a_draw_and_are_one_can_win_once(place: Place, kind: str) -> None:
    world, moments = place.world, place.world.shop.moments
    if kind == "sale":
        await world.shop.stock_up(MERCHANT, SKU, 9)
        offer = Offer(SKU, 990, 0, 9, 1, 300, 600, SaleTerms(SaleMode.DRAW, enter_ms=30_000))
        sale = await world.shop.start_sale(MERCHANT, (await moments.create_sale(MERCHANT, ROOM, offer)).sale, 0)
        draw = sale.draw
    else:
        draw = (await moments.open_packet(MERCHANT, ROOM, "red", 900, 9, 30, least=10)).draw
    assert draw is not None
    elder, younger, other = [await place.person() for _ in range(3)]
    for person in (younger, other, elder):
        await moments.enter(MERCHANT, ROOM, person, draw)
    entry = (await place.identities.merge(MERCHANT, elder, younger, "boss", "the same face")).merged
    world.clock.advance(30_000)
    await world.shop.sweep()
    proof = await moments.proof(draw)
    assert [(ticket.void, ticket.place is None) for ticket in proof.tickets] == [(True, True), *[(False, False)] * 2]
    good = [ticket.ticket for ticket in proof.tickets if not ticket.void]
    assert proof.draw.seed is not None
    key = draw_key(bytes.fromhex(proof.draw.seed), [ticket.ticket for ticket in proof.tickets])
    ranked = sorted(good, key=lambda ticket: hmac.digest(key, ticket.encode(), "sha256"))
    assert [ticket.place for ticket in proof.tickets if not ticket.void] == [ranked.index(one) for one in good]
    if kind == "sale":
        won = [event.person for event in await world.told() if isinstance(event, HoldGiven)]
        assert sorted(won) == sorted([elder, other])
    assert entry is not None
    await place.identities.undo(MERCHANT, entry, "boss")


async def test_what_both_bought_is_one_persons_and_the_payment_goes_on(place: Place) -> None:
    sale = (await place.world.sale()).sale
    elder, younger = await place.person(), await place.person()
    hold = await place.world.hold(sale, younger)
    order = await place.world.shop.create_order(MERCHANT, ROOM, younger, "o", hold=hold.hold)
    await place.identities.merge(MERCHANT, elder, younger, "boss", "asked at the till")
    paid = await place.world.shop.pay_order(MERCHANT, elder, order.order, "p")
    assert paid.status == "paid"
    assert [one.order for one in await place.world.shop.orders(MERCHANT, person=elder)] == [order.order]


def steps() -> st.SearchStrategy[list[tuple[str, int]]]:
    return st.lists(
        st.tuples(st.sampled_from(["hold", "claim", "order", "pay", "cancel", "expire"]), st.integers(0, 1))
    )


async def _do(place: Place, sale: str, drop: str, person: str, step: str, number: int, orders: dict[str, Any]) -> None:
    shop = place.world.shop
    try:
        if step == "hold":
            orders[person] = (await place.world.hold(sale, person, key=f"h{number}")).hold
        elif step == "claim":
            await shop.claim_coupon(MERCHANT, ROOM, person, drop, f"c{number}")
        elif step == "order" and isinstance(orders.get(person), str):
            orders[person] = await shop.create_order(MERCHANT, ROOM, person, f"o{number}", hold=orders[person])
        elif step == "pay" and person in orders and not isinstance(orders[person], str):
            await shop.pay_order(MERCHANT, person, orders[person].order, f"p{number}")
        elif step == "cancel" and person in orders and not isinstance(orders[person], str):
            await shop.cancel_order(MERCHANT, person, orders[person].order)
        elif step == "expire":
            place.world.clock.advance(200_000)
            await shop.sweep()
    except CommerceError:
        pass  # sold out, over the limit, gone: the state is what counts


async def _run(path: Path, plans: list[list[tuple[str, int]]]) -> None:
    async with shop_world(path) as world:
        place = Place(world)
        for plan in plans:
            sale = (await world.sale(total=6, per_person=3)).sale
            drop = (await world.drop(total=9, per_person=3)).drop
            people = [await place.person(), await place.person()]
            orders: dict[str, Any] = {}
            for number, (step, who) in enumerate(plan):
                await _do(place, sale, drop, people[who], step, number % 3, orders)
            before = await place.state()
            used = {row[:2]: row[2] for row in before["quota"]}
            entry = (await place.identities.merge(MERCHANT, people[0], people[1], "boss", "looks alike")).merged
            merged = {row[:2]: row[2] for row in (await place.state())["quota"]}
            for scope in (sale, drop):
                both = used.get((scope, people[0]), 0) + used.get((scope, people[1]), 0)
                assert merged.get((scope, people[0]), 0) == both
            world.assert_clean()
            assert entry is not None
            await place.identities.undo(MERCHANT, entry, "boss")
            assert await place.state() == before


# Without shrinking: a failing plan is some seconds long as it is, and hundreds of them are hours.
@settings(
    phases=(Phase.generate,), max_examples=4, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)
@given(plans=st.lists(steps(), min_size=4, max_size=8))
def test_an_unmerge_gives_back_the_former_state_and_a_merge_adds_up_what_was_used(
    tmp_path_factory: pytest.TempPathFactory, plans: list[list[tuple[str, int]]]
) -> None:
    asyncio.run(_run(tmp_path_factory.mktemp("merge"), plans))


async def test_two_who_caught_coupons_before_they_were_one_may_keep_more_than_one_person_gets(place: Place) -> None:
    shop = place.world.shop
    ann, bo = await place.person(), await place.person()
    drop = (await place.world.drop(per_person=2)).drop
    for person, key in ((ann, "a"), (bo, "b"), (bo, "c")):
        await shop.claim_coupon(MERCHANT, ROOM, person, drop, key)
    merge = await place.identities.merge(MERCHANT, ann, bo, "boss", "one")
    with pytest.raises(Refused):
        await shop.claim_coupon(MERCHANT, ROOM, ann, drop, "d")
    place.world.assert_clean()
    await place.identities.undo(MERCHANT, str(merge.merged), "boss")


async def test_what_the_elder_did_after_the_merge_stays_with_the_elder(place: Place) -> None:
    sale = (await place.world.sale(total=10, per_person=3)).sale
    elder, younger = await place.person(), await place.person()
    hold = await place.world.hold(sale, younger, key="b")
    entry = (await place.identities.merge(MERCHANT, elder, younger, "boss", "one")).merged
    assert entry is not None
    order = await place.world.shop.create_order(MERCHANT, ROOM, elder, "o", hold=hold.hold)
    await place.identities.undo(MERCHANT, entry, "boss")
    assert (await place.world.shop.order(MERCHANT, order.order)).person == elder
    assert await place.world.query("SELECT person, used FROM quota WHERE used > 0") == [(elder, 1)]


async def test_a_payment_that_was_begun_under_the_elder_goes_back_with_the_youngers_order(place: Place) -> None:
    shop, sale = place.world.shop, (await place.world.sale(total=10, per_person=3)).sale
    elder, younger = await place.person(), await place.person()
    order = await shop.create_order(MERCHANT, ROOM, younger, "o", hold=(await place.world.hold(sale, younger)).hold)
    entry = (await place.identities.merge(MERCHANT, elder, younger, "boss", "one")).merged
    assert entry is not None
    paid = await shop.payments.pay(MERCHANT, elder, order.order, "p")
    await place.identities.undo(MERCHANT, entry, "boss")
    place.world.assert_clean()
    again = await shop.payments.pay(MERCHANT, younger, order.order, "p")
    assert (again.order.order, again.order.status) == (order.order, paid.order.status)
    with pytest.raises(NotFound):
        await shop.payments.pay(MERCHANT, elder, order.order, "p")


async def test_merges_of_one_person_are_undone_from_the_newest_back(place: Place) -> None:
    first, second, third = await place.person(), await place.person(), await place.person()
    older = (await place.identities.merge(MERCHANT, second, third, "boss", "one")).merged
    newer = (await place.identities.merge(MERCHANT, first, second, "boss", "two")).merged
    assert older is not None and newer is not None
    assert {place.identities.aliases.now(one) for one in (first, second, third)} == {first}
    with pytest.raises(Refused):
        await place.identities.undo(MERCHANT, older, "boss")
    await place.identities.undo(MERCHANT, newer, "boss")
    assert [place.identities.aliases.now(one) for one in (first, second, third)] == [first, second, second]
    await place.identities.undo(MERCHANT, older, "boss")
    assert place.identities.aliases.now(third) == third
    with pytest.raises(Refused):
        await place.identities.undo(MERCHANT, older, "boss")


async def test_another_process_learns_of_merges_and_their_undoing(place: Place) -> None:
    one, other = await place.person(), await place.person()
    entry = (await place.identities.merge(MERCHANT, one, other, "boss", "one")).merged
    assert entry is not None
    elsewhere = Aliases()
    await elsewhere.follow(place.world.store)
    assert elsewhere.now(other) == one
    place.world.clock.advance(1_000)
    await place.identities.undo(MERCHANT, entry, "boss")
    await elsewhere.follow(place.world.store)
    assert elsewhere.now(other) == other


async def test_a_proven_number_joins_the_member_of_a_list_with_the_visitor(place: Place) -> None:
    report = await place.identities.import_members(
        MERCHANT, "boss", f"手机号,姓名\n{ANN},安\n".encode(), "member", "membership_form", "门店登记表", try_only=False
    )
    assert (report.written, report.new) == (True, 1)
    place.world.clock.advance(1_000)
    visitor = await place.person("wechat")
    joined = await place.identities.show_phone(MERCHANT, visitor, ANN)
    person = await place.identities.person(MERCHANT, visitor)
    assert joined.merged and person["id"] == joined.person
    assert person["phone"]["masked"] == "138****8022" and person["phone"]["verified_ms"]
    assert person["consents"][0]["basis"] == "membership_form"


async def test_two_proven_numbers_wait_for_a_decision(place: Place) -> None:
    one, other = await place.person("wechat"), await place.person("wechat")
    await place.identities.show_phone(MERCHANT, one, ANN)
    await place.identities.show_phone(MERCHANT, other, BO)
    for _ in range(2):
        asked = await place.identities.show_phone(MERCHANT, other, ANN)
    assert asked.conflict and asked.person == other and asked.merged is None
    (waiting,) = await place.identities.conflicts(MERCHANT, "open", None, 50)
    assert (waiting["cause"], waiting["phone"], waiting["other"]) == ("two_phones", "138****8022", one)
    with pytest.raises(Refused):
        await place.identities.merge(MERCHANT, one, other, "boss", "but")
    decided = await place.identities.decide(MERCHANT, asked.conflict, "merged", "boss")
    assert decided.person == one
    assert (await place.identities.person(MERCHANT, other))["phone"]["masked"] == "138****8022"


async def test_a_number_that_was_given_out_anew_is_split_from_its_old_owner(place: Place) -> None:
    old, stranger = await place.person("wechat"), await place.person("wechat")
    await place.identities.show_phone(MERCHANT, old, ANN)
    place.world.clock.advance(REVERIFY_MS + 1)
    shown = await place.identities.show_phone(MERCHANT, stranger, ANN)
    assert shown.conflict and shown.person == stranger
    await place.identities.decide(MERCHANT, shown.conflict, "split", "boss")
    assert (await place.identities.person(MERCHANT, old))["phone"] is None
    assert (await place.identities.person(MERCHANT, stranger))["phone"]["masked"] == "138****8022"


async def test_a_list_with_a_broken_row_writes_nothing_and_names_each_fault(place: Place) -> None:
    raw = f"phone,name\n{ANN},安\n123,短\n{ANN},again\n+6581234567,Lee\n1390000,x,y\n".encode()
    args = ("member", "consent", "spring list")
    report = await place.identities.import_members(MERCHANT, "boss", raw, *args, try_only=False)
    assert not report.written
    assert [(fault.line, fault.column) for fault in report.faults] == [(3, "phone"), (4, "phone"), (6, "")]
    assert (await place.state())["phone"] == []
    for bad in (b"\xff\xfe", b"name\nx\n", b"phone,age\n1,2\n"):
        with pytest.raises(Invalid):
            await place.identities.import_members(MERCHANT, "boss", bad, *args, try_only=False)


async def test_the_whole_number_is_shown_only_with_a_line_in_the_log(place: Place) -> None:
    person = await place.person()
    await place.identities.show_phone(MERCHANT, person, ANN)
    assert await place.identities.full_phone(MERCHANT, person, "boss", "delivery call") == "+86" + ANN
    (entry,) = await place.identities.privacy_log(MERCHANT, "", None, 50)
    assert (entry["action"], entry["by"], entry["reason"]) == ("phone", "boss", "delivery call")
    with pytest.raises(NotFound):
        await place.identities.full_phone("m2", person, "boss", "a look")
    stored = await place.world.query("SELECT digest, sealed FROM person_phone")
    assert "138022" not in str(stored)


async def test_a_person_who_is_erased_leaves_orders_and_nothing_that_names_them(place: Place) -> None:
    sale = (await place.world.sale()).sale
    person = await place.person("wechat")
    await place.identities.show_phone(MERCHANT, person, ANN)
    hold = await place.world.hold(sale, person)
    order = await place.world.shop.create_order(MERCHANT, ROOM, person, "o", hold=hold.hold)
    with pytest.raises(Refused):
        await place.identities.erase(MERCHANT, person, person, "asked")
    await place.world.shop.cancel_order(MERCHANT, person, order.order)
    erased = await place.identities.erase(MERCHANT, person, person, "asked")
    assert (erased.identities, dict(erased.kept)) == (2, {"orders": 1})
    assert (await place.identities.person(MERCHANT, person))["identities"] == []
    again = await place.identities.show_phone(MERCHANT, await place.person("wechat"), ANN)
    assert again.merged is None and again.person != person


async def test_consent_is_taken_back_as_it_was_given(place: Place) -> None:
    person = await place.person()
    assert await place.identities.consents(person) == {"member": False, "marketing": False, "profile": False}
    given = await place.identities.consent(MERCHANT, person, "marketing", True, "the form")
    assert given["marketing"]
    place.world.clock.advance(1)
    assert not (await place.identities.consent(MERCHANT, person, "marketing", False, "the form"))["marketing"]


@pytest.mark.parametrize(
    ("text", "e164", "shown"),
    [
        ("138 0013 8022", "+8613800138022", "138****8022"),
        ("+86-13800138022", "+8613800138022", "138****8022"),
        ("+65 8123 4567", "+6581234567", "+65 81****67"),
        ("010-62788888", "+861062788888", "10****888"),
    ],
)
def test_a_number_is_read_however_it_is_written_and_shown_without_its_middle(text: str, e164: str, shown: str) -> None:
    assert read_phone(text) == e164
    assert masked(e164) == shown


@pytest.mark.parametrize("text", ["", "12345", "138001380221", "+86", "+999 123", "١٢٣", "138;ext=4", "x" * 40])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        read_phone(text)


def test_two_merchants_hashes_of_a_number_differ_and_a_seal_opens_only_for_its_own() -> None:
    vault = Vault(KEY)
    assert vault.digest("m1", "+8613800138022") != vault.digest("m2", "+8613800138022")
    sealed = vault.seal_phone("m1", "+8613800138022")
    assert vault.open_phone("m1", sealed) == "+8613800138022"
    for stranger, merchant in ((vault, "m2"), (Vault(b"x" * 32), "m1")):
        with pytest.raises(Invalid):
            stranger.open_phone(merchant, sealed)


def test_a_device_never_joins() -> None:
    with pytest.raises(ValueError, match="joins nobody"):
        judge("device", "d", Known("a", 1), Known("b", 2), 10)


known = st.builds(
    Known,
    st.sampled_from(["a", "b"]),
    st.integers(0, 5),
    st.none() | st.builds(Phone, st.sampled_from(["x", "y"]), st.none() | st.integers(0, REVERIFY_MS * 2)),
    st.sets(st.sampled_from(["wechat", "phone", "guest"])),
    st.booleans(),
)


@given(known, st.none() | known, st.sampled_from(["unionid", "phone", "wecom"]), st.sampled_from(["x", "y"]))
def test_two_verified_numbers_never_join_by_themselves(
    mine: Known, theirs: Known | None, kind: str, value: str
) -> None:
    ruling = judge(kind, value, mine, theirs, REVERIFY_MS * 2)
    if theirs is not None and theirs.person != mine.person and None not in (mine.verified, theirs.verified):
        assert mine.verified == theirs.verified or ruling.verdict is Verdict.CONFLICT
    if ruling.verdict is Verdict.CONFLICT:
        assert ruling.cause
