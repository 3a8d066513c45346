"""Who counts as a helper of a poster: each person once, never the owner, so many of one network."""

from hypothesis import given
from hypothesis import strategies as st

from commerce.domain.helping import Help, count

helps = st.lists(st.builds(Help, st.sampled_from("abcdefg"), st.sampled_from(["", "x", "y"])), max_size=30)


@given(helps)
def test_every_help_counts_once_or_has_a_reason(given_: list[Help]) -> None:
    made = count("a", given_)
    assert len(made.helpers) + len(made.refused) == len(given_)
    assert "a" not in made.helpers and len(set(made.helpers)) == len(made.helpers)
    assert count("a", [one for one in given_ if not one.network]).helpers == tuple(
        dict.fromkeys(one.helper for one in given_ if not one.network and one.helper != "a")
    )


@given(helps, st.sampled_from("bcdefg"), st.sampled_from("abcdefg"))
def test_two_who_turn_out_to_be_one_never_make_more(given_: list[Help], younger: str, elder: str) -> None:
    merged = [Help(elder if one.helper == younger else one.helper, "") for one in given_]
    apart = [Help(one.helper, "") for one in given_]
    assert len(count("a", merged).helpers) <= len(count("a", apart).helpers)


def test_the_fourth_helper_of_a_network_does_not_count() -> None:
    made = count("me", [Help(name, "farm") for name in "abcd"])
    assert (made.helpers, made.refused) == (("a", "b", "c"), (("d", "network"),))
