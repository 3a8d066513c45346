"""What goods cost: a moving weighted average (移动加权平均, 企业会计准则第1号), one running value per SKU.

What leaves takes its share of the value, rounded down, and the last unit takes all that is left: so the shares add up
to what came in to the 分. A movement's cost follows from what was there before it and from nothing that comes later,
so it is never changed (docs/decisions/0050-cost-of-goods.md).
"""

COST_FEN_MAX = 1_000_000_000
"""分 per unit: ten million yuan, as for prices."""


def moved_value(on_hand: int, value: int, gained: int, given: int | None = None) -> int:
    """分 by which the value of ``on_hand`` units changes when ``gained`` more of them are there (below 0: fewer).

    What comes in is worth what is ``given``, or, when nobody says, as much as what is there already; nothing when none
    is there. Raises ValueError when more leaves than is there, or something comes in at less than nothing.
    """
    if gained < 0:
        if on_hand + gained < 0:
            raise ValueError("more units leave than are there")
        return -(value * -gained // on_hand)
    if given is None:
        return value * gained // on_hand if on_hand > 0 else 0
    if given < 0:
        raise ValueError("what comes in costs something, or nothing")
    return given


def unit_cost(on_hand: int, value: int) -> int:
    """分 that one unit costs on average, rounded down; 0 of none."""
    return value // on_hand if on_hand > 0 else 0
