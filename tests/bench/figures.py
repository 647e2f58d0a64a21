"""Figures of the rounds, their medians, and the one table that is printed."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table


@dataclass(kw_only=True)
class Row:
    """One comparison; `ours` and `theirs` hold a figure for each round."""

    case: str
    against: str
    unit: str
    ours: list[float] = field(default_factory=list)
    theirs: list[float] = field(default_factory=list)
    goal: str = ""
    floor: str = ""
    as_percent: bool = False
    compares: bool = True
    """Whether ours over theirs says anything."""

    @property
    def ratios(self) -> list[float]:
        """Ours over theirs, round by round: above 1 is faster, or, for times, slower."""
        if not self.compares:
            return []
        return [mine / other for mine, other in zip(self.ours, self.theirs, strict=False) if other]

    @property
    def ratio(self) -> float | None:
        return statistics.median(self.ratios) if self.ratios else None

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "ratio": self.ratio, "ratios": self.ratios}


class Figures:
    """The rows in the order in which they came up."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], Row] = {}

    def add(self, case: str, against: str, ours: float, theirs: float | None = None, **about: Any) -> None:
        """Note one round of a comparison; `about` are fields of Row."""
        row = self.rows.setdefault((case, against), Row(case=case, against=against, **about))
        row.ours.append(ours)
        if theirs is not None:
            row.theirs.append(theirs)

    def table(self, *, title: str) -> Table:
        table = Table(title=title, title_justify="left")
        table.add_column("case")
        table.add_column("against")
        for heading in ("ratio", "each round", "floor", "goal", "Dispatch", "theirs"):
            table.add_column(heading, justify="right")
        table.add_column("unit")
        for row in self.rows.values():
            table.add_row(
                row.case,
                row.against,
                _ratio(row.ratio, row),
                " ".join(_ratio(ratio, row) for ratio in row.ratios),
                row.floor,
                row.goal,
                _median(row.ours),
                _median(row.theirs),
                row.unit,
            )
        return table

    def as_json(self) -> list[dict[str, Any]]:
        return [row.as_json() for row in self.rows.values()]


def show(figures: Figures, *, title: str) -> None:
    """Print the table, unbroken where the output is no terminal."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=180)
    console.print(figures.table(title=title))


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which that share of the values lies (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def _ratio(value: float | None, row: Row) -> str:
    if value is None:
        return ""
    return f"{value:.0%}" if row.as_percent else f"{value:.1f}x" if value >= 10 else f"{value:.2f}x"


def _median(values: Sequence[float]) -> str:
    if not values:
        return ""
    value = statistics.median(values)
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"
