"""Money in integer 分 (1/100 yuan), and the one rounding rule: parts always add up to the whole (promise P14)."""

from collections.abc import Sequence

AMOUNT_MAX = 100_000_000_00
"""分: one hundred million yuan, a bound on any single amount so that sums stay far inside 64 bits."""


def allocate(total: int, weights: Sequence[int]) -> list[int]:
    """Split ``total`` 分 in the ratio of ``weights``; the parts sum to it exactly.

    Each part is rounded down, and what remains goes one 分 at a time to the largest fractions, first ones first.
    Raises ValueError for negative input or when all weights are 0 and the total is not.
    """
    if total < 0 or any(weight < 0 for weight in weights):
        raise ValueError("amounts and weights are not negative")
    whole = sum(weights)
    if whole == 0:
        if total:
            raise ValueError("nothing to share the amount among")
        return [0] * len(weights)
    parts = [total * weight // whole for weight in weights]
    by_fraction = sorted(range(len(weights)), key=lambda index: (-(total * weights[index] % whole), index))
    for index in by_fraction[: total - sum(parts)]:
        parts[index] += 1
    return parts


def portion(total: int, part: int, whole: int) -> int:
    """What of ``total`` belongs to the first ``part`` of ``whole``, rounded down.

    Given back step by step, each step is the difference of two portions: so the steps add up to ``total`` exactly.
    """
    return total * part // whole if whole else 0
