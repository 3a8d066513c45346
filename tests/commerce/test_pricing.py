"""The one pricing function: each step explained, parts that add up to the whole (P14)."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commerce.domain.offer import VERSIONS_OF_AN_OFFER, price_at
from commerce.domain.pricing import (
    PAYABLE_MIN,
    CouponTerms,
    PricedLine,
    Purse,
    best_coupons,
    coupon_worth,
    price_order,
    stack_fault,
)
from commerce.domain.refund import PaidLine, Refundable, decide_refund

fen = st.integers(1, 100_000)


@st.composite
def lines(draw: Any) -> list[PricedLine]:
    """A basket: some lines with a limited-time price, some held in a flash sale."""
    made = []
    for n in range(draw(st.integers(1, 6))):
        shelf = draw(fen)
        limited = draw(st.none() | st.integers(1, shelf))
        flash = draw(st.none() | st.integers(1, shelf))
        made.append(PricedLine(f"k{n}", draw(st.integers(1, 9)), shelf, flash, limited))
    return made


coupons = st.lists(
    st.builds(
        CouponTerms,
        coupon=st.uuids().map(str),
        title=st.just("t"),
        amount=fen,
        percent=st.just(0) | st.integers(1, 90),
        stack=st.sampled_from(["", "a", "b", "c"]),
    ),
    max_size=5,
)
purses = st.builds(
    Purse, points=st.integers(0, 10**6), stored=st.integers(0, 10**6), points_percent=st.integers(0, 100)
)


@given(lines(), coupons, purses)
def test_the_steps_add_up_to_what_is_due_and_the_lines_to_the_discount(
    basket: list[PricedLine], taken: list[CouponTerms], purse: Purse
) -> None:
    price = price_order(basket, taken, purse)
    assert sum(step.amount for step in price.steps) == price.due == price.amount - price.stored >= 0
    assert price.goods == sum(line.quantity * line.price for line in basket)
    assert price.amount == price.goods - price.discount >= PAYABLE_MIN
    assert sum(price.line_discounts) == price.discount
    assert all(
        0 <= share <= line.quantity * line.price for share, line in zip(price.line_discounts, basket, strict=True)
    )
    assert price.discount == sum(off for _, off in price.coupons) + price.points
    assert price.points <= purse.points and price.stored <= purse.stored
    order = ["shelf", "limited", "flash", "coupon", "points", "stored"]
    steps = [order.index(step.step) for step in price.steps]
    assert steps == sorted(steps)


@given(lines(), coupons, st.randoms())
def test_the_price_does_not_depend_on_the_order_in_which_coupons_are_named(
    basket: list[PricedLine], taken: list[CouponTerms], random: Any
) -> None:
    shuffled = list(taken)
    random.shuffle(shuffled)
    assert price_order(basket, shuffled) == price_order(basket, taken)


@given(lines(), coupons, st.data())
def test_a_discounted_order_refunded_unit_by_unit_gives_back_what_was_paid(
    basket: list[PricedLine], taken: list[CouponTerms], data: st.DataObject
) -> None:
    price = price_order(basket, taken)
    paid = [
        PaidLine(n, line.sku, line.quantity, line.price, discount, 0)
        for n, (line, discount) in enumerate(zip(basket, price.line_discounts, strict=True))
    ]
    units = data.draw(st.permutations([line.sku for line in basket for _ in range(line.quantity)]))
    left, back = price.amount, {line.sku: 0 for line in basket}
    for sku in units:
        now = [PaidLine(o.n, o.sku, o.quantity, o.price, o.discount, back[o.sku]) for o in paid]
        given_back = decide_refund(now, left, [(sku, 1)])
        assert isinstance(given_back, Refundable)
        left -= given_back.amount
        back[sku] += 1
    assert left == 0


def test_each_step_is_explained_in_order() -> None:
    basket = [PricedLine("a", 2, 10_000, None, 9_000), PricedLine("b", 1, 5_000, 3_000)]
    taken = [CouponTerms("1", "店庆 9折", 5_000, 10, "percent"), CouponTerms("2", "满减", 2_000, 0, "shop")]
    price = price_order(basket, taken, Purse(points=500, stored=10_000, points_percent=50))
    assert [(step.step, step.amount) for step in price.steps] == [
        ("shelf", 25_000),
        ("limited", -2_000),
        ("flash", -2_000),
        ("coupon", -2_100),
        ("coupon", -2_000),
        ("points", -500),
        ("stored", -10_000),
    ]
    assert (price.goods, price.discount, price.amount, price.due) == (21_000, 4_600, 16_400, 6_400)


def test_a_percentage_is_capped_and_nothing_is_bought_for_nothing() -> None:
    assert coupon_worth(CouponTerms("1", "t", 50, 10), 10_000) == 50
    assert coupon_worth(CouponTerms("1", "t", 5_000, 10), 999) == 99
    price = price_order([PricedLine("a", 1, 100)], [CouponTerms("1", "t", 500)], Purse(points=900))
    assert (price.amount, price.points) == (1, 0)


@given(st.integers(100, 10**6), coupons)
def test_the_best_choice_can_be_combined_and_beats_each_coupon_alone(goods: int, hand: list[CouponTerms]) -> None:
    chosen = best_coupons(goods, hand)
    assert stack_fault(chosen) is None
    line = [PricedLine("a", 1, goods)]
    best = price_order(line, chosen).discount
    assert all(price_order(line, [one]).discount <= best for one in hand)


@pytest.mark.parametrize(
    ("groups", "fault"),
    [(["a", "b"], None), ([""], None), (["", "a"], "cannot be combined"), (["a", "a"], "of one group")],
)
def test_coupons_of_different_groups_combine(groups: list[str], fault: str | None) -> None:
    found = stack_fault([CouponTerms(str(n), "t", 1, 0, group) for n, group in enumerate(groups)])
    assert found is None if fault is None else found is not None and fault in found


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 50), st.integers(1, 99)), max_size=5))
def test_a_version_never_comes_twice_for_two_prices(offers: list[tuple[int, int, int]]) -> None:
    """Offers come one after another, each set at a moment; whatever the clock says, one version is one price."""
    seen: dict[int, int] = {}
    version, offer, moment = 1, (None, None, None), 0
    schedule = sorted((sum(o[0] for o in offers[: n + 1]), o) for n, o in enumerate(offers))
    for now in range(300):
        for at, (_, length, price) in schedule:
            if at == now:
                version += VERSIONS_OF_AN_OFFER
                offer = (price, now + price % 7, now + price % 7 + length)  # type: ignore[assignment]
        shown = price_at(100, version, *offer, now)
        assert seen.setdefault(shown.version, shown.price) == shown.price
        assert shown.version >= moment
        moment = shown.version
