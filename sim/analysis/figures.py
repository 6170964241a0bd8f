"""Figures that are known of runs and groups of runs, as ``figures.yaml`` lists them."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Self

import numpy as np

from scenarios.parsing import shipped_table
from sim.analysis.evaluations import Judged
from sim.files import packaged
from sim.formatting import (
    BYTES,
    JOULES,
    count,
    data_size,
    duration,
    energy,
    seconds,
    short_size,
    three_digits,
    unit_for,
)
from statements.arrays import Floats

LISTED: dict[str, dict[str, Any]] = shipped_table(packaged("sim.analysis", "figures.yaml"))
"""What ``figures.yaml`` says of each figure."""


RISING = ("highest", "most")
"""How the best value is called of figures of which more is better."""


LEVEL = 0.95
"""Confidence of intervals of means."""
FEWEST_TESTED = 3
"""Seeds from which on there is an interval, and a test."""


class Figure(NamedTuple):
    """A figure of runs: its head where it is shown, its form in a unit, and its path in summaries.

    Without a head it is not shown; without a path it has the same key there.
    It is not below ``least`` and not above ``most``. ``ratios`` says that two runs are compared by
    the ratio of theirs, not by the difference. ``in_text`` is its form in a sentence, with its
    unit. ``best`` is how its best value is called, empty where none is better than another.
    ``learnt`` says that it depends on what a model has learnt. ``spent`` says that it is an
    expense: a group that spent nothing is not the best. ``target`` is the accuracy to which it
    leads, if any.
    """

    head: str
    form: Callable[[float], str]
    unit: float = 1.0
    path: Sequence[str] = ()
    least: float = -math.inf
    most: float = math.inf
    ratios: bool = False
    in_text: Callable[[float], str] = "{:g}".format
    best: str = ""
    learnt: bool = False
    spent: bool = False
    target: str = ""

    @classmethod
    def of(cls, head: str = "", form: str = "{:g}", in_text: str = "", **more: Any) -> Self:
        """Return the figure of an entry of ``figures.yaml``."""
        forms = [NAMED_FORMS.get(each, each.format) for each in (form, in_text or form)]
        return cls(head, forms[0], in_text=forms[1], **more)

    def within(self, low: Floats, high: Floats, values: Floats) -> tuple[Floats, Floats]:
        """Return the ends of an interval of the mean of some values, cut at what it cannot be.

        Not where values are beyond that: bounds of a loss are for entropies and squares; one's own
        may be negative.
        """
        if not (self.least <= np.nanmin(values) and np.nanmax(values) <= self.most):
            return low, high
        return np.maximum(low, self.least), np.minimum(high, self.most)

    @property
    def name(self) -> str:
        """What it is called in a sentence, without the unit: "final accuracy"."""
        return self.head.partition(" (")[0]

    @property
    def rising(self) -> bool:
        """Whether more of it is better."""
        return self.best in RISING

    def text(self, value: float) -> str:
        """Say a value, in the unit of summaries, with the unit that people read."""
        return self.in_text(value / self.unit)


NAMED_FORMS: dict[str, Callable[[float], str]] = {
    "data_size": data_size,
    "energy": energy,
    "count": count,
    "hours_as_time": lambda hours: seconds(3600.0 * hours),
    "duration": lambda hours: duration(3600.0 * hours),
    "gb_a_day": lambda gb: f"{short_size(1e9 * gb)} a day",
}
"""Forms that ``figures.yaml`` has by name."""


def figures_listed(kind: str) -> dict[str, Figure]:
    """Return the figures of one of the lists of ``figures.yaml``."""
    return {key: Figure.of(**listed) for key, listed in LISTED[kind].items()}


GROUP_FIGURES = figures_listed("of_groups")
"""What is known of a group of runs; what compares them, in the order of their table."""
OF_TOKENS = figures_listed("of_tokens")
"""Those of runs that learn each next token, in place of those of the same keys."""
OF_LOSSES = figures_listed("of_losses")
"""Those of runs that are judged by a loss of their own, likewise."""
OF_NETWORKS = figures_listed("of_networks")
"""Figures of network studies, in the order in which these are judged."""
OF_PAYLOADS = figures_listed("of_payloads")
"""Figures of their payloads."""
TO_TARGETS = figures_listed("to_targets")
"""What a target takes."""


TIMES = (("h", 3600.0), ("min", 60.0), ("s", 1.0))
"""Units of times of rounds, the largest first, with their seconds."""


def in_column(figure: Figure, values: Iterable[float | None]) -> Figure:
    """Return a figure in one unit, which its head names, with as many digits in all of a column.

    Bytes and energies are in the unit that the largest of the values holds, times of rounds in the
    largest of which the least of them is one or more. Times to targets are in days if all of them
    are long, else in hours. Any other figure is as it was.
    """
    known = [value for value in values if value is not None and math.isfinite(value)]
    units = UNITS_OF.get(figure.form)
    if known and figure.in_text is NAMED_FORMS["hours_as_time"]:
        name, unit = unit_for(min(known), TIMES, "s")
        return figure._replace(head=f"{figure.name} ({name})", unit=unit, form=three_digits)
    if units is None or not known:
        return figure
    most = max(known)
    name, unit = unit_for(most, *units)
    digits = 0
    if figure.form is NAMED_FORMS["duration"] and most > 0.0:
        least = min(value for value in known if value > 0.0)
        name, unit = ("days", 24.0) if least >= MOST_HOURS else ("h", 1.0)
        digits = 1 - math.floor(math.log10(least / unit))  # two figures of the shortest time
    if most >= unit:
        digits = max(0, digits, 2 - math.floor(math.log10(most / unit)))

    def form(value: float) -> str:
        return f"{value:,.{min(digits, 2)}f}" if value else "0"

    return figure._replace(head=f"{figure.head} ({name})", unit=unit, form=form)


MOST_HOURS = 48.0
"""Times to targets are in days where the shortest is as long as this."""
UNITS_OF: dict[Callable[[float], str], tuple[Sequence[tuple[str, float]], str]] = {
    data_size: (BYTES, "B"),
    energy: (JOULES, "J"),
    NAMED_FORMS["duration"]: ((), "h"),
}
"""Units of figures that have one in each value, and the least of them."""


def figures_of(judged: str, *, tokens: bool = True) -> dict[str, Figure]:
    """Return what is known of a group of runs that are judged by this, in the order of showing.

    ``tokens`` says that a loss by which they are judged is that of next tokens.
    """
    if judged != Judged.LOSS:
        return GROUP_FIGURES
    first = OF_TOKENS if tokens else OF_LOSSES
    return {**first, **GROUP_FIGURES, **first}


def figure_listed(column: str) -> Figure | None:
    """Return a figure by its key or its column of a sweep; None where ``figures.yaml`` has none."""
    for key, figure in TO_TARGETS.items():
        target = column.removeprefix(f"{key}_")
        if target != column:
            return figure._replace(head=f"{figure.head} {in_percent(target)}", target=target)
    if (found := figure_of_network(column)) is not None:
        return found
    return GROUP_FIGURES.get(column)


def in_percent(target: str) -> str:
    """Write a target accuracy as a percentage: "85 %"."""
    return f"{100.0 * float(target):.6g} %"


def figure_of_network(column: str) -> Figure | None:
    """Return a figure of a network study by its column: of all, of a place, or of payloads."""
    key, _, place = column.partition(":")
    if key in OF_NETWORKS:
        figure = OF_NETWORKS[key]
        return figure._replace(head=f"{figure.head}, {place}") if place else figure
    name, _, key = column.rpartition(".")
    if name and key in OF_PAYLOADS:
        figure = OF_PAYLOADS[key]
        return figure._replace(head=f"{name}: {figure.head}")
    return None


def figures_of_network(summary: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield head and value of each figure in the summary of a network study."""
    for column, value in summary.items():
        if (figure := figure_of_network(column)) and value is not None:
            yield figure.head, figure.form(value / figure.unit)
