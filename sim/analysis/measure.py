"""What groups are compared by: a figure of ``figures.yaml``, its direction and its words."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from sim.analysis.figures import TO_TARGETS, Figure, figure_listed
from sim.analysis.judged import Judged
from sim.analysis.lead import Asked, Figures
from sim.analysis.methods import known_method

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


def measure_of(column: str, judged: str = Judged.ACCURACY, *, tokens: bool = True) -> Measure:
    """Return the measure of a column; raise KeyError if nothing is better by it.

    ``tokens`` says that a loss by which runs are judged is that of next tokens.
    """
    figure = figure_listed(column, judged, tokens=tokens)
    if figure is None or not figure.best:
        raise KeyError(column)
    heads = (f"{key}_" for key in TO_TARGETS)
    target = next((column.removeprefix(h) for h in heads if column.startswith(h)), "")
    return Measure(column, figure, target)


def measures_of_time(methods: Collection[str], *, rounds: bool) -> list[Measure]:
    """Return what can be asked of runs that trained nothing, by what they are compared by first.

    ``methods`` are the names of theirs; ``rounds`` says that all of them have complete rounds.
    Rounds of an asynchronous method are not those of another one, so that their length comes last.
    """
    counted = [measure_of("cycles"), measure_of("contacts_served")]
    if not rounds:
        return counted
    length = measure_of("round_mean_s")
    if len({*methods}) > 1 and any(map(_is_asynchronous, methods)):
        return [*counted, replace(length, note="as each method counts its own")]
    return [length, *counted]


def _is_asynchronous(name: str) -> bool:
    method = known_method(name)
    return method is not None and method.traits.asynchronous
