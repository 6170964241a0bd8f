"""What is asked of the points of a sweep, and what may explain that their figures differ."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import mean
from typing import Any, NamedTuple

from sim.analysis.figures import bounds_of, figure_listed, figures_listed
from sim.analysis.lead import Asked, Bounds, Figures
from sim.analysis.verdict import Ranking
from sim.analysis.verdict_text import Names, sentence
from sim.execution.result import Result
from sim.formatting import listed

Row = Mapping[str, Any]
Runs = Mapping[str, Result]
"""Runs of points, by the folders that their rows name."""

APART = 0.05
"""Share of the larger of two figures (shares: of 1) from which on their difference is a reason."""


MORE_SEEDS = "sweep with --replications 5"
"""What to do where points of one seed were compared."""


class Question(NamedTuple):
    """A figure of the points: its column, its name, whether more of it is better, and its form."""

    column: str
    text: str
    rising: bool
    form: Callable[[float], str]

    @property
    def bounds(self) -> Bounds:
        """What the figure cannot be below and above."""
        return bounds_of(self.column)

    def of(self, candidates: Mapping[str, Figures], fewest: float = 1) -> Asked:
        """Return what is asked of some candidates."""
        known = figure_listed(self.column)
        ratios = known is not None and known.ratios
        return Asked(candidates, self.rising, self.bounds, ratios, fewest)

    def verdict(self, ranking: Ranking, names: Names = listed) -> str:
        """Say who is best, or why none is."""
        return sentence(ranking, self.form, names, MORE_SEEDS)


def reasons(
    best: Sequence[Row], other: Sequence[Row], asked: Question, runs: Runs
) -> Iterator[str]:
    """Name the figures in which two sets of rows differ: contacts, time in view, rate, idling."""

    def means(rows: Sequence[Row]) -> dict[str, float]:
        read = [runs[row["folder"]] for row in rows if row["folder"] in runs]
        shares = [run.critical_path.spent.shares for run in read]
        figures: dict[str, list[float]] = {
            what: [one[what] for one in shares]
            for what in ("waiting", "transmitting", "queueing")
            if all(shares)
        }
        figures["rate"] = [rate for rate in map(_uplink_bps, read) if rate]
        for name in COUNTED:
            figures[name] = [row[name] for row in rows if row.get(name) is not None]
        return {name: mean(values) for name, values in figures.items() if values}

    one = means(best)
    two = means(other)
    for name, figure in REASONS.items():
        if name == asked.column or not (name in one and name in two):
            continue
        mine = one[name] / figure.unit
        its = two[name] / figure.unit
        if abs(mine - its) > APART * (1.0 if name in SHARES else max(mine, its)):
            yield f"{figure.form(mine)} {figure.head.format(figure.form(its))}"


def _uplink_bps(run: Result) -> float:
    """The mean rate at which a run's uplinks delivered while they were sent; 0 without any."""
    sent = run.transfers[run.transfers.direction == "uplink"]
    sending_s = (sent.end_s - sent.start_s).sum()
    return float(8.0 * sent.delivered_bytes.sum() / sending_s) if sending_s else 0.0


COUNTED = ("contacts_served", "service_hours", "idle_share", "device_rounds", "cycles")
SHARES = ("idle_share", "waiting", "transmitting", "queueing")
REASONS = figures_listed("reasons")
"""Figures that can explain another, in the order in which they are named."""
