"""What forms have in common: the runs that they get, what they return, and where they are found."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import mean, median
from typing import TYPE_CHECKING, Any

from learning.registry import Register

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sim.execution.result import Result


@dataclass(frozen=True)
class PaperRun:
    """A run of an entry: its variant, the values of the keys that vary, its seed and its result."""

    variant: str
    values: Mapping[str, Any]
    seed: int
    result: Result


@dataclass(frozen=True)
class Shown:
    """An entry as it came out: a table in the paper's form, its figure, and figures by name.

    ``measured`` has the figures that :class:`sim.papers.paper.Printed` names.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    figure: Figure | None = None
    measured: Mapping[str, float] = field(default_factory=dict)


Form = Callable[..., Shown]
"""Takes the runs, and the options of the entry as keywords."""

FORMS: Register[Form] = Register(
    "form",
    "leomix.paper_forms",
    {
        "accuracy-over-cycles": "sim.papers.learning_curves:accuracy_over_cycles",
        "test-sets": "sim.papers.local_sets:accuracy_by_set",
        "overhead": "sim.papers.overhead:overhead",
        "coverage": "sim.papers.drawings:coverage",
        "schedule": "sim.papers.drawings:schedule",
        "gating": "sim.papers.gates:gating_patterns",
        "gates": "sim.papers.gates:gates",
        "policies": "sim.papers.policies:policies",
        "timing": "sim.papers.timing:timing",
        "flyovers": "sim.papers.flyovers:flyovers",
        "visits": "sim.papers.visits:visits",
    },
    "a function of runs that returns a sim.papers.forms.Shown",
)
"""How entries are shown, by name."""


def grouped(runs: Iterable[PaperRun], key: Callable[[PaperRun], Any]) -> dict[Any, list[PaperRun]]:
    """Return runs by what ``key`` says of them, in the order of their first ones."""
    found: dict[Any, list[PaperRun]] = {}
    for run in runs:
        found.setdefault(key(run), []).append(run)
    return found


def value_of(run: PaperRun, key: str) -> Any:
    """Return what a run has of a key that varies; ``variant`` names its variant."""
    return run.variant if key == "variant" else run.values[key]


def spread(values: Iterable[float], form: str = "{:g}") -> str:
    """Show the median and the range of figures over seeds; of one seed the figure alone."""
    known = sorted(values)
    shown = [form.format(value) if math.isfinite(value) else "never" for value in known]
    middle = median(known)
    centre = form.format(middle) if math.isfinite(middle) else "never"
    return centre if len(known) == 1 else f"{centre} ({shown[0]}..{shown[-1]})"


def mean_and_range(values: Sequence[float]) -> str:
    """Show the mean and the range of accuracies over seeds; a dash without any."""
    if not values:
        return "-"
    centre = f"{mean(values):.3f}"
    return centre if len(values) == 1 else f"{centre} ({min(values):.3f}..{max(values):.3f})"


def named_within(axes: Any, text: str) -> None:
    """Write what a panel is into its lower right corner: a legend is above it."""
    axes.annotate(text, (0.98, 0.04), xycoords="axes fraction", ha="right")


def panels(count: int, size_in: tuple[float, float] = (4.6, 3.2)) -> tuple[Figure, list[Any]]:
    """Return a figure of ``count`` axes side by side, each of a size in inches."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(size_in[0] * count, size_in[1]), layout="constrained")
    return figure, list(figure.subplots(1, count, squeeze=False)[0])
