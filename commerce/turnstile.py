"""One at a time, first come, first served: between the threads of one process that write to one SQLite file.

SQLite itself is not fair. Who finds the file locked looks again after up to 100 ms; a ledger that commits batch after
batch leaves it open for a fraction of one between them, so in a rush another writer can find it locked for seconds.
"""

import threading
from collections import deque
from collections.abc import Callable


class Turnstile:
    """Turns in the order in which they were asked for.

    ``before`` and ``after`` are called around each turn: they keep another process waiting that writes all the time.
    """

    def __init__(self) -> None:
        self.before: Callable[[], None] | None = None
        self.after: Callable[[], None] | None = None
        self._guard = threading.Lock()
        self._taken = False
        self._waiting: deque[threading.Event] = deque()

    def enter(self, timeout_s: float) -> bool:
        """Wait for a turn; whether it came."""
        came = self._enter(timeout_s)
        if came and self.before is not None:
            self.before()
        return came

    def _enter(self, timeout_s: float) -> bool:
        with self._guard:
            if not self._taken:
                self._taken = True
                return True
            mine = threading.Event()
            self._waiting.append(mine)
        if mine.wait(timeout_s):
            return True
        with self._guard:
            if mine.is_set():
                # It came between the two.
                return True
            self._waiting.remove(mine)
            return False

    def leave(self) -> None:
        """End a turn that came; the next one's begins."""
        if self.after is not None:
            self.after()
        with self._guard:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._taken = False
