"""What a client that gives commands needs beyond one that only listens."""

from __future__ import annotations


class Work:
    """Answers that are gathered, ids that are known, and how many commands wait."""

    __slots__ = ("answers", "gathering", "ids", "in_flight")

    def __init__(self) -> None:
        self.answers: list[bytes] = []
        self.gathering = False
        self.ids: dict[int, None] = {}
        self.in_flight = 0
