"""The garbage collector as a server wants it: start-up out of its rounds, young rounds rare, full ones by the clock.

What start-up made is 90,000 objects, about 7 % of the CPU time of a hold were they looked at each time. What lives long
after that, above all connections, is looked through by our own clock only: 15,000 viewers take 140 ms, in which nobody
is answered, and the collector would do so whenever they have become a quarter more.
"""

from __future__ import annotations

import gc

YOUNG_OBJECTS = 5_000
"""New objects before the collector looks at them. Python's 700 are less than one ledger batch makes and lets go of:
each round found nothing, for 6 % of a hold. A round of 5,000 takes 0.1 ms, of ten such rounds 3 ms."""
YOUNG_ROUNDS = 10
FULL_ROUNDS_NEVER = 1_000_000


def settle_collector() -> None:
    """Set the collector up when start-up is over."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, YOUNG_ROUNDS, FULL_ROUNDS_NEVER)
