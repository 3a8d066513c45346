"""The course of a show: people come, coupons drop, a sale runs, then another, people go."""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass
from typing import Any

from locust import LoadTestShape

from loadtest.options import OptionsError, check_host

logger = logging.getLogger(__name__)

SECONDS_DEFAULT = 60
USERS_DEFAULT = 200


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of the show: it ends at ``until`` (0 to 1 of the whole), with ``people`` (0 to 1 of all) there."""

    name: str
    until: float
    people: float


RAMP = Phase("ramp", 0.25, 0.7)
DROP = Phase("drop", 0.45, 0.85)
SALE = Phase("sale", 0.85, 1.0)
EBB = Phase("ebb", 1.0, 0.4)
PHASES = (RAMP, DROP, SALE, EBB)
# When the host acts, as parts of the whole: one drop, and two sales so that the second meets a warm room.
DROP_AT = RAMP.until
SALES_AT = (DROP.until, 0.65)


def phase_at(elapsed_s: float, seconds: float) -> Phase | None:
    """The phase ``elapsed_s`` into a show of ``seconds``; None when it is over."""
    return next((phase for phase in PHASES if elapsed_s < phase.until * seconds), None)


def crowd_at(elapsed_s: float, seconds: float, users: int) -> tuple[int, float] | None:
    """How many users there should be then, and how many to start or stop a second; None when it is over."""
    phase = phase_at(elapsed_s, seconds)
    if phase is None:
        return None
    wanted = max(1, math.ceil(phase.people * users))
    began = ([0.0] + [entry.until for entry in PHASES])[PHASES.index(phase)] * seconds
    # Everyone of a phase is there after half of it.
    return wanted, max(1.0, wanted / max(0.5, (phase.until * seconds - began) / 2))


def scale(options: Any) -> tuple[float, int]:
    """Length in seconds and users of the show, from Locust's parsed options.

    A worker is not told ``--run-time`` and ``--users``; its master hands on what ``set_scale`` wrote.
    """
    seconds = getattr(options, "siyu_seconds", None) or getattr(options, "run_time", None) or SECONDS_DEFAULT
    users = getattr(options, "siyu_users", None) or getattr(options, "num_users", None) or USERS_DEFAULT
    return float(seconds), int(users)


def set_scale(options: Any) -> None:
    """Write down the scale of the run that begins, for the workers too."""
    options.siyu_seconds = options.siyu_users = None
    options.siyu_seconds, options.siyu_users = scale(options)


class Show(LoadTestShape):
    """Locust asks once a second; ``--users`` and ``--run-time`` set the scale."""

    use_common_options = True

    def tick(self) -> tuple[int, float] | None:
        """Users and spawn rate now; None ends the test, before its first user where Locust's page named a host that
        may not be loaded."""
        environment = self.runner.environment if self.runner is not None else None
        options = environment.parsed_options if environment is not None else None
        if environment is not None:
            try:
                check_host(environment.host, getattr(options, "siyu_allow_host", ""))
            except OptionsError as error:
                logger.error("refused: %s", error)
                return None
        seconds, users = scale(options)
        return crowd_at(time.perf_counter() - self.start_time, seconds, users)
