"""What may explain that figures of points differ: contacts, time in view, rate, idling."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

from sim.analysis.figures import Figure, figures_listed
from sim.execution.result import Result

Row = Mapping[str, Any]
Runs = Mapping[str, Result]
"""Runs of points, by the folders that their rows name."""

APART = 0.05
"""Share of the larger of two figures (shares: of 1) from which on their difference is a reason."""


@dataclass(frozen=True)
class Reason:
    """A figure in which two sets of rows differ: its mean over the one, and over the other."""

    figure: Figure
    mine: float
    other: float

    @property
    def text(self) -> str:
        """Say it: "31 contacts served against 26"."""
        form = self.figure.form
        return f"{form(self.mine)} {self.figure.head.format(form(self.other))}"


def reasons(best: Sequence[Row], other: Sequence[Row], column: str, runs: Runs) -> Iterator[Reason]:
    """Yield the figures other than ``column`` in which two sets of rows differ in the mean."""
    one = _means(best, runs)
    two = _means(other, runs)
    for name, figure in REASONS.items():
        if name == column or not (name in one and name in two):
            continue
        mine = one[name] / figure.unit
        its = two[name] / figure.unit
        if abs(mine - its) > APART * (1.0 if name in SHARES else max(mine, its)):
            yield Reason(figure, mine, its)


def _means(rows: Sequence[Row], runs: Runs) -> dict[str, float]:
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


def _uplink_bps(run: Result) -> float:
    """The mean rate at which a run's uplinks delivered while they were sent; 0 without any."""
    sent = run.transfers[run.transfers.direction == "uplink"]
    sending_s = (sent.end_s - sent.start_s).sum()
    return float(8.0 * sent.delivered_bytes.sum() / sending_s) if sending_s else 0.0


COUNTED = ("contacts_served", "service_hours", "idle_share", "device_rounds", "cycles")
SHARES = ("idle_share", "waiting", "transmitting", "queueing")
REASONS = figures_listed("reasons")
"""Figures that can explain another, in the order in which they are named."""
