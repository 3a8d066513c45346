"""The duty: what is done once for all processes that share a database (sweeping, retries, reports) is done by one.

Nothing becomes wrong when two have it for a moment: who has the duty takes turns with everybody else. It saves work.
"""

from typing import Protocol


class Duty(Protocol):
    """Whether this process is the one."""

    def start(self) -> None:
        """Begin to try for it."""

    def held(self) -> bool:
        """Whether it is, as of a moment ago."""

    def close(self) -> None:
        """Give it up; may take some seconds."""


class OnlyProcess:
    """The duty of a process that has its database to itself."""

    def start(self) -> None:
        """Nothing: nobody else is there."""

    def held(self) -> bool:
        """Always."""
        return True

    def close(self) -> None:
        """Nothing."""
