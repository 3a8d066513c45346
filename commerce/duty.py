"""The duty: what is done once for all processes that share a database (sweeping, retries, reports) is done by one.

Nothing becomes wrong when two have it for a moment: who has the duty takes turns with everybody else. It saves work.
"""

from typing import Protocol


class Duty(Protocol):
    """Whether this process is the one."""

    def held(self) -> bool:
        """Whether it is, as of a moment ago."""


class OnlyProcess:
    """The duty of a process that has its database to itself."""

    def held(self) -> bool:
        """Always."""
        return True
