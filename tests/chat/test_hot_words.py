"""The words that a room says most."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from chat.hot_words import HALF_LIFE_MS, WORDS_LINE_MAX, WORDS_MAX, HotWords


def test_a_word_said_by_many_stands_before_one_said_by_few_and_its_parts_are_left_out() -> None:
    words = HotWords(0)
    for text in ("连衣裙有黑色吗", "这件连衣裙多少钱", "连衣裙!", "black please", "BLACK"):
        words.hear(text, 0)
    top = words.top(5, 0)
    assert top[0] == ("连衣裙", 3)
    assert ("black", 2) in top
    assert not {"连衣", "衣裙"} & {word for word, _ in top}


def test_particles_make_no_words_and_what_overlaps_a_hotter_word_is_left_out() -> None:
    words = HotWords(0)
    for text in ("包邮到新疆吗", "包邮到新疆吗", "有黑色吗", "黑色的呢", "包邮吗"):
        words.hear(text, 0)
    assert words.top(5, 0) == [("包邮", 3), ("新疆", 2), ("黑色", 2)]


def test_who_repeats_a_word_in_a_line_says_it_no_louder() -> None:
    words = HotWords(0)
    words.hear("抢 抢抢 抢抢抢 抢抢抢抢", 0)
    assert words.top(5, 0) == []


def test_prices_telephone_numbers_and_masked_words_are_none() -> None:
    words = HotWords(0)
    for _ in range(5):
        words.hear("13800138000 *** 99 !!! 😀😀", 0)
    assert words.top(5, 0) == []


def test_what_nobody_says_any_more_fades() -> None:
    words = HotWords(0)
    for _ in range(8):
        words.hear("秒杀", 0)
    words.hear("包邮", HALF_LIFE_MS)
    assert words.top(5, HALF_LIFE_MS) == [("秒杀", 4)]
    assert words.top(5, 4 * HALF_LIFE_MS) == []


@settings(max_examples=25)
@given(st.lists(st.text(max_size=80), max_size=20))
def test_whatever_is_said_the_words_are_bounded_and_whole(texts: list[str]) -> None:
    words = HotWords(0)
    for text in texts:
        words.hear(text, 0)
    assert len(words._counts) <= WORDS_MAX + WORDS_LINE_MAX
    top = words.top(10, 0)
    assert len(top) <= 10 and all(word.isalpha() and 2 <= len(word) <= 16 for word, _ in top)
