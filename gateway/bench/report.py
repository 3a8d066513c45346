"""What a benchmark found: figures, each beside its baselines, as a table and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Baseline:
    """The same work done in another way, in the figure's unit."""

    name: str
    value: float


@dataclass(frozen=True, slots=True)
class Goal:
    """What is promised: the least or the `most`, of the figure itself or of its ratio to the first baseline."""

    least: float = 0.0
    of_ratio: bool = False
    most: float | None = None

    def words(self) -> str:
        """The goal as the table shows it."""
        if self.most is not None:
            return f"<= {number(self.most)}{' x' if self.of_ratio else ''}"
        return f">= {self.least:.2f} x" if self.of_ratio else f">= {number(self.least)}"

    def as_data(self) -> dict[str, float | str]:
        """The goal as JSON shows it."""
        of = "ratio" if self.of_ratio else "value"
        if self.most is not None:
            return {"most": self.most, "of": of}
        return {"least": self.least, "of": of}


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value; more is better, unless its goal names the most that it may be.

    ``baselines`` are never empty: a figure alone says little about a machine.
    """

    name: str
    unit: str
    value: float
    baselines: tuple[Baseline, ...]
    goal: Goal | None = None

    @property
    def reached(self) -> bool | None:
        """Whether the goal is reached; None without one."""
        if self.goal is None:
            return None
        value = self.value / self.baselines[0].value if self.goal.of_ratio else self.value
        if self.goal.most is not None:
            return value <= self.goal.most
        return value >= self.goal.least


@dataclass(frozen=True, slots=True)
class Report:
    """One benchmark's figures; ``about`` says what they were measured with."""

    name: str
    about: Mapping[str, float | int | str]
    figures: tuple[Figure, ...]


def number(value: float) -> str:
    """A figure for people: three digits that matter."""
    if value >= 100:
        return f"{round(value, 3 - len(str(int(value)))):,.0f}"
    return f"{value:.3g}"


def as_table(reports: Sequence[Report]) -> str:
    """All reports as aligned text, a line for each baseline of each figure."""
    head = ("figure", "unit", "siyu", "goal", "reached", "baseline", "its figure", "ratio")
    blocks: list[tuple[str, list[tuple[str, ...]]]] = []
    for report in reports:
        lines: list[tuple[str, ...]] = []
        for figure in report.figures:
            goal = figure.goal.words() if figure.goal else ""
            reached = {None: "", True: "yes", False: "no"}[figure.reached]
            first = (figure.name, figure.unit, number(figure.value), goal, reached)
            for baseline in figure.baselines:
                ratio = f"{figure.value / baseline.value:.2f}"
                lines.append((*first, baseline.name, number(baseline.value), ratio))
                first = ("",) * 5
        about = ", ".join(f"{name} {_shown(value)}" for name, value in report.about.items())
        blocks.append((f"{report.name}: {about}", lines))
    every = [head, *(line for _, lines in blocks for line in lines)]
    widths = [max(len(line[column]) for line in every) for column in range(len(head))]
    out: list[str] = []
    for title, lines in blocks:
        out += [title, _line(head, widths), *(_line(line, widths) for line in lines), ""]
    return "\n".join(out)


def _shown(value: float | int | str) -> str:
    return value if isinstance(value, str) else number(value)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    right = {2, 6, 7}
    padded = [
        cell.rjust(width) if column in right else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return "  " + "  ".join(padded).rstrip()


def as_data(reports: Sequence[Report]) -> dict[str, Any]:
    """All reports as JSON-ready data; ``ratio`` is the figure over the baseline."""
    return {
        "benchmarks": [
            {
                "name": report.name,
                "about": dict(report.about),
                "figures": [
                    {
                        "name": figure.name,
                        "unit": figure.unit,
                        "value": figure.value,
                        "baselines": [
                            {"name": other.name, "value": other.value, "ratio": figure.value / other.value}
                            for other in figure.baselines
                        ],
                        "goal": figure.goal and figure.goal.as_data(),
                        "reached": figure.reached,
                    }
                    for figure in report.figures
                ],
            }
            for report in reports
        ]
    }
