"""Tax that a shop withholds of what it pays to individuals for selling (劳务报酬所得). Pure; money is 分.

A month's payments to one person count as one (个人所得税法实施条例 art. 14): of up to ¥4,000 the costs are ¥800,
of more 20 %; of the rest 20 % are withheld up to ¥20,000, 30 % less ¥2,000 up to ¥50,000, 40 % less ¥7,000 above
(国家税务总局公告 2018 年第 61 号, art. 8 and table 2). Whether a shop must withhold is behind a setting: its
accountant says.
"""

from commerce.domain.day import OFFSET_MS, day_of

RULES = ("off", "labour")
_COSTS_FEN = 80_000
_COSTS_UP_TO_FEN = 400_000
_BANDS = ((2_000_000, 20, 0), (5_000_000, 30, 200_000), (None, 40, 700_000))


def month_tax(total: int) -> int:
    """What is withheld of ``total`` 分 paid to one person in one month, rounded to the 分 (half up)."""
    if total <= _COSTS_FEN:
        return 0
    # Hundredths of 分, so that nothing is lost before the one rounding at the end.
    base = (total - _COSTS_FEN) * 100 if total <= _COSTS_UP_TO_FEN else total * 80
    for most, percent, less in _BANDS:
        if most is None or base <= most * 100:
            return (base * percent // 100 - less * 100 + 50) // 100
    raise AssertionError("the last band has no end")


def withheld(rule: str, amount: int, before: int, taken: int) -> int:
    """What of ``amount`` is kept back when ``before`` was paid in the month already and ``taken`` of that withheld."""
    if rule == "off":
        return 0
    return min(amount, max(0, month_tax(before + amount) - taken))


def month_begins_ms(now_ms: int) -> int:
    """The first millisecond of the month (Asia/Shanghai) in which ``now_ms`` lies."""
    days = int(day_of(now_ms)[8:]) - 1
    return (now_ms + OFFSET_MS) // 86_400_000 * 86_400_000 - OFFSET_MS - days * 86_400_000
