"""How far figures of a sweep's points are apart, whether that is noise, and what may explain it."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import mean
from typing import Any, NamedTuple

from sim.analysis.comparison import figures_listed, over_seeds
from sim.execution.result import Result

Row = Mapping[str, Any]
Runs = Mapping[str, Result]
"""Runs of points, by the folders that their rows name."""
Case = tuple[str, int]
"""A setting of all keys but one, and a seed."""
Figures = Mapping[Case, float]

APART = 0.05
"""Share of the larger of two figures (shares: of 1) from which on their difference is a reason."""


class Question(NamedTuple):
    """A figure of the points: its column, its name, whether more of it is better, and its form."""

    column: str
    text: str
    rising: bool
    form: Callable[[float], str]


def lead(first: Figures, second: Figures, question: Question) -> Figures:
    """By how much the first is ahead of the second at each case that both have."""
    sign = 1.0 if question.rising else -1.0
    common = sorted(first.keys() & second.keys())
    return {case: sign * (first[case] - second[case]) for case in common}


def gap(first: Figures, second: Figures, question: Question) -> tuple[str, bool]:
    """Say how far two sets of figures are apart, one with one; also return whether it is noise.

    What differs between seeds is noise. Settings share seeds: the mean over them counts of each.
    """
    apart: dict[int, list[float]] = {}
    for (_, seed), ahead in lead(first, second, question).items():
        apart.setdefault(seed, []).append(ahead)
    if not apart:
        return "no seed in common, which cannot tell noise", False
    seeds = {seed for _, seed in (*first, *second)}
    by_seed = {seed: mean(each) for seed, each in apart.items()}
    each = [one for of_seed in apart.values() for one in of_seed]
    text = f"{question.form(abs(mean(by_seed.values())))} apart"
    if len(each) > len(apart):
        text += f", ahead at {sum(one > 0 for one in each)} of {len(each)} points"
    if len(by_seed) == 1:
        more = "sweep with --replications 5" if len(seeds) == 1 else "give both the same seeds"
        one = "one seed" if len(seeds) == 1 else f"the one seed of {len(seeds)} that both have"
        return f"{text}, on {one}, which cannot tell noise: {more}", False
    if math.isclose(min(by_seed.values()), max(by_seed.values()), rel_tol=1e-9, abs_tol=1e-12):
        return f"{text}, the same with each of {len(by_seed)} seeds", False
    found = over_seeds(list(by_seed.values()))
    low, high = found["low"] or 0.0, found["high"] or 0.0
    is_noise = low <= 0.0 <= high
    verdict = "within noise" if is_noise else "more than noise"
    ends = [("-" if end < 0.0 else "") + question.form(abs(end)) for end in (low, high)]
    if ends[0] == ends[1]:
        return f"{text}, {verdict} ({len(by_seed)} seeds differ by less than is shown)", is_noise
    return f"{text}, {verdict} (95 %: {' to '.join(ends)} over {len(by_seed)} seeds)", is_noise


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

    one, two = means(best), means(other)
    for name, figure in REASONS.items():
        if name == asked.column or not (name in one and name in two):
            continue
        mine, its = one[name] / figure.unit, two[name] / figure.unit
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
