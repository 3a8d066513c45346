"""Token buckets by client address, for the doors that strangers knock at. Bounded in memory."""

from __future__ import annotations

from collections import OrderedDict

ADDRESSES_MAX = 50_000


class AddressBuckets:
    """``rate_s`` tokens a second for each address, ``burst`` at once."""

    def __init__(self, rate_s: float, burst: int) -> None:
        self._rate_ms = rate_s / 1000
        self._burst = float(burst)
        self._levels: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def take(self, address: str, now_ms: int) -> int:
        """Take one token: 0 when there was one, else the ms until there is."""
        level, then_ms = self._levels.pop(address, (self._burst, now_ms))
        level = min(self._burst, level + max(0, now_ms - then_ms) * self._rate_ms)
        wait_ms = 0
        if level >= 1:
            level -= 1
        else:
            wait_ms = int((1 - level) / self._rate_ms) + 1
        self._levels[address] = (level, now_ms)
        if len(self._levels) > ADDRESSES_MAX:
            self._levels.popitem(last=False)
        return wait_ms
