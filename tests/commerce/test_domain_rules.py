"""The pure rules: ids, money, prices, lines, sale states."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commerce.domain.coupon import unusable
from commerce.domain.ids import ID_CHARACTERS, id_time_ms, new_id, new_ids
from commerce.domain.money import allocate
from commerce.domain.order import WantedLine, sum_lines
from commerce.domain.pricing import CouponTerms, PricedLine, price_order
from commerce.domain.sale import SaleRow, SaleState, decide_hold, state_of

amounts = st.integers(0, 10_000_000)


@given(st.integers(0, 2**45 - 1), st.binary(min_size=7, max_size=7))
def test_an_id_has_twenty_characters_and_tells_its_time(now_ms: int, entropy: bytes) -> None:
    identifier = new_id(now_ms, entropy)
    assert len(identifier) == ID_CHARACTERS
    assert id_time_ms(identifier) == now_ms


@given(st.integers(0, 2**45 - 2), st.binary(min_size=14, max_size=14))
def test_later_ids_sort_after_earlier_ones(now_ms: int, entropy: bytes) -> None:
    first, second = new_ids(now_ms, entropy)[0], new_ids(now_ms + 1, entropy)[1]
    assert first < second


def test_an_id_is_refused_without_enough_entropy_or_time() -> None:
    with pytest.raises(ValueError):
        new_id(1, b"short")
    with pytest.raises(ValueError):
        new_id(-1, bytes(7))
    with pytest.raises(ValueError):
        id_time_ms("short")


@given(amounts, st.lists(amounts, min_size=1, max_size=20).filter(any))
def test_parts_add_up_to_the_whole_and_are_within_one_of_the_ratio(total: int, weights: list[int]) -> None:
    parts = allocate(total, weights)
    assert sum(parts) == total
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part * sum(weights) - total * weight) < sum(weights)


def test_nothing_can_be_shared_among_nobody() -> None:
    assert allocate(0, [0, 0]) == [0, 0]
    with pytest.raises(ValueError):
        allocate(1, [0, 0])


lines = st.builds(
    PricedLine,
    sku=st.sampled_from(["a", "b"]),
    quantity=st.integers(1, 99),
    shelf_price=st.integers(1, 100_000),
    flash_price=st.none() | st.integers(1, 100_000),
)


@given(st.lists(lines, min_size=1, max_size=10), st.none() | st.integers(1, 1_000_000))
def test_the_steps_of_a_price_explain_all_of_it(bought: list[PricedLine], coupon: int | None) -> None:
    price = price_order(bought, [] if coupon is None else [CouponTerms("c", "t", coupon)])
    assert sum(step.amount for step in price.steps) == price.amount == price.goods - price.discount
    assert price.amount >= 1
    assert sum(price.line_discounts) == price.discount
    assert all(
        0 <= share <= line.quantity * line.price for share, line in zip(price.line_discounts, bought, strict=True)
    )


def test_lines_of_one_sku_become_one_line() -> None:
    wanted = sum_lines([WantedLine("a", 2, 3), WantedLine("b", 1), WantedLine("a", 5, 2)])
    assert wanted == [WantedLine("a", 7, 2), WantedLine("b", 1, None)]


def sale(**changes: object) -> SaleRow:
    values: dict[str, object] = dict.fromkeys(SaleRow.__slots__, 0)
    values |= {"opens_ms": 100, "closes_ms": 200, "paused_ms": None, "closed_ms": None, "free": 1, "announced": ""}
    return SaleRow(**(values | changes))  # type: ignore[arg-type]


def test_the_state_of_a_sale_follows_the_clock() -> None:
    assert state_of(sale(opens_ms=None, closes_ms=None), 150) is SaleState.SCHEDULED
    assert state_of(sale(), 99) is SaleState.COUNTDOWN
    assert state_of(sale(), 100) is SaleState.OPEN
    assert state_of(sale(free=0), 150) is SaleState.SOLD_OUT
    assert state_of(sale(), 200) is SaleState.CLOSED
    assert state_of(sale(paused_ms=150), 250) is SaleState.PAUSED
    assert state_of(sale(closed_ms=120), 130) is SaleState.CLOSED


def test_a_hold_is_all_or_nothing_and_the_limit_comes_first() -> None:
    assert decide_hold(free=5, used=0, per_person=2, quantity=2) is None
    assert decide_hold(free=1, used=0, per_person=2, quantity=2) == "sold_out"
    assert decide_hold(free=0, used=1, per_person=1, quantity=1) == "limit"


def test_a_coupon_that_cannot_be_used_says_why() -> None:
    assert unusable("unused", 100, 50, 50, 99) is None
    assert unusable("locked", 100, 0, 50, 1) is not None
    assert unusable("used", 100, 0, 50, 1) is not None
    assert unusable("unused", 100, 0, 50, 100) is not None
    assert "51" in (unusable("unused", 100, 51, 50, 1) or "")
