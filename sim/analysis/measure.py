"""What groups are compared by: a figure of ``figures.yaml``, its direction and its words."""

from collections.abc import Mapping
from dataclasses import dataclass

from sim.analysis.figures import TO_TARGETS, Figure, figure_listed
from sim.analysis.judged import Judged
from sim.analysis.lead import Asked, Figures

RISING = ("highest", "most")
"""How the best value is called of figures of which more is better."""


@dataclass(frozen=True)
class Measure:
    """A figure by which groups are compared; ``target`` is the accuracy to which it leads, if any.

    ``column`` is its key, with the target behind it: ``hours_to_0.80``. ``note`` stands behind its
    name where that alone would mislead. ``drawn`` says that it may depend on the seed.
    """

    column: str
    figure: Figure
    target: str = ""
    note: str = ""
    drawn: bool = True

    @property
    def name(self) -> str:
        """What it is called in a table or sentence: "final accuracy", "days to 0.80"."""
        head = self.figure.head.partition(" (")[0]  # a unit, which is told with each value
        name = f"{head} to {self.target}" if self.target else head
        return f"{name}, {self.note}" if self.note else name

    @property
    def rising(self) -> bool:
        """Whether more of it is better."""
        return self.figure.best in RISING

    @property
    def unit(self) -> str:
        """The unit of its values in rows; empty for shares and counts."""
        return self.figure.measured_in

    def text(self, value: float) -> str:
        """Show a value, in the unit of rows, with the unit that people read."""
        return self.figure.in_text(value / self.figure.unit)

    def asked(self, candidates: Mapping[str, Figures], fewest: float = 1) -> Asked:
        """Return what is asked of some candidates."""
        kind = self.figure
        return Asked(
            candidates, self.rising, kind.bounds, kind.ratios, fewest, kind.learnt, self.drawn
        )


def measure_of(column: str, judged: str = Judged.ACCURACY) -> Measure:
    """Return the measure of a column; raise KeyError if nothing is better by it."""
    figure = figure_listed(column, judged)
    if figure is None or not figure.best:
        raise KeyError(column)
    heads = (f"{key}_" for key in TO_TARGETS)
    target = next((column.removeprefix(h) for h in heads if column.startswith(h)), "")
    return Measure(column, figure, target)
