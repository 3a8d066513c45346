"""Money in integer 分 (1/100 yuan), and the one rounding rule: parts always add up to the whole (promise P14)."""

import re
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


_YUAN = re.compile(r"(-?)([0-9]{1,12})(?:\.([0-9]{1,2})0*)?")


def fen(yuan: str) -> int:
    """分 from yuan as providers write them ("88.88", "-0.5", "12"). Raises ValueError for more than two decimals."""
    match = _YUAN.fullmatch(yuan.strip())
    if match is None:
        raise ValueError(f"{yuan!r} is no amount in yuan")
    sign, whole, part = match.groups()
    return (-1 if sign else 1) * (int(whole) * 100 + int((part or "0").ljust(2, "0")))


def yuan(fen: int) -> str:
    """Yuan with two decimals from 分."""
    return f"{'-' if fen < 0 else ''}{abs(fen) // 100}.{abs(fen) % 100:02}"


def portion(total: int, part: int, whole: int) -> int:
    """What of ``total`` belongs to the first ``part`` of ``whole``, rounded down.

    Given back step by step, each step is the difference of two portions: so the steps add up to ``total`` exactly.
    """
    return total * part // whole if whole else 0
