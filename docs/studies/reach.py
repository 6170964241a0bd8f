"""Experts in orbit: accuracy by how far a gate may reach, and what answers over links take.

    python docs/studies/reach.py [seeds] [folder] [jobs]

The satellites of `nmoe-orbit`, whose gates may ask experts over so many links at most, or as far as
light gets in so many milliseconds. All rows of a seed have the same experts and gates. Experts in
reach, and digits that one of them was trained on, are means over all satellites at ten times of the
revolution in which they are asked. Accuracy is that of the answers, the mean over seeds with its
interval (Student's, of 95 %), compared with the row above by paired t tests, corrected together
(Holm). Latencies are those of all answers of other satellites, of all seeds together. Seeds are 1
and following; runs that are in the folder are not run again.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from by_seed import SHARE, Keys, Measure, Step, compared, summary, swept

import scenarios
from sim.analysis.answers import PARTS, SPEED_OF_LIGHT_KM_S, nearest_rank
from sim.analysis.samples import samples_by_class
from sim.network.mesh_reach import MeshReach
from sim.plan.plan import make_plan
from sim.world.world import World

SCENARIO = "nmoe-orbit"
HOPS, MILLISECONDS, RATE = (
    f"{place}.{key}"
    for place, key in (
        ("learning.options", "reach_hops"),
        ("learning.options", "reach_ms"),
        ("link.isl", "rate_mbps"),
    )
)
ANY = "any"
BY_HOPS: Mapping[str, Keys] = {
    **{f"{hops} links": {HOPS: hops} for hops in range(6)},
    ANY: {},
}
BY_TIME: Mapping[str, Keys] = {f"{ms} ms": {MILLISECONDS: ms} for ms in (20, 40, 60, 80)}
RATES_MBPS = (0.1, 10.0)
"""Rates of links besides that of the scenario."""
TIMES = 10
"""Times at which it is counted who is in reach."""
ACCURACY = Measure("accuracy", lambda run: run.summary["inference"]["accuracy"], "{:.3f}", SHARE)
WHOLE = Measure("accuracy", summary("accuracy_final"), "{:.3f}", SHARE)


@dataclass
class Row:
    """What the seeds of a row came to: accuracies, all answers, and the digits that are known."""

    accuracy: dict[int, float]
    whole: dict[int, float]
    answers: list[pd.DataFrame]
    known: list[float]


def main(seeds: str = "5", folder: str = "runs/reach", jobs: str = "2") -> None:
    """Run all rows, and print the tables."""
    by_rate = {_rate(rate_mbps): {RATE: rate_mbps} for rate_mbps in RATES_MBPS}
    rows = {**BY_HOPS, **BY_TIME, **by_rate}
    reach = Reach()
    found: dict[str, Row] = {}
    how: Any = {"out": Path(folder), "fixed": {}, "seeds": int(seeds), "jobs": int(jobs)}
    for name, seed, run in swept(SCENARIO, rows, **how):
        own = found.setdefault(name, Row({}, {}, [], []))
        own.accuracy[seed] = ACCURACY.of(run)
        own.whole[seed] = WHOLE.of(run)
        own.answers.append(run.answers)
        own.known.append(known(reach.of(rows[name]), digits(run, reach.names)))
    whole = ACCURACY.cell(list(found[ANY].whole.values()))
    print(f"{SCENARIO}, {seeds} seeds; on all test samples, with all experts in reach: {whole}\n")
    _print_reach(found, reach)
    print("\nlatency of answers in ms, and what it consists of in the mean, by the links there\n")
    every = pd.concat(found[ANY].answers)
    _print_latencies([(ANY, every), *_by_hops(every)], "links")
    print("\nthe same by the rate of the links\n")
    rates = {rate_mbps: pd.concat(found[_rate(rate_mbps)].answers) for rate_mbps in RATES_MBPS}
    isl = scenarios.load(SCENARIO).link.isl
    assert isl is not None
    assert isl.rate_mbps is not None
    rates[isl.rate_mbps] = every
    _print_latencies([(_rate(rate_mbps), rates[rate_mbps]) for rate_mbps in sorted(rates)], "rate")


def _rate(rate_mbps: float) -> str:
    return f"{rate_mbps:g} Mbit/s"


class Reach:
    """Which satellites (N,) each of all (N) has in reach, at ten times of a revolution."""

    def __init__(self) -> None:
        plan = make_plan(World(scenarios.load(SCENARIO)))
        assert plan.isls is not None
        self.names: Sequence[str] = plan.isls.names
        self._mesh = MeshReach(plan.isls)
        self._at_s = np.linspace(0.1, 0.9, TIMES) * plan.stop_s
        self._found: dict[tuple[int | None, float | None], np.ndarray] = {}

    def of(self, keys: Keys) -> np.ndarray:
        """Return them (TIMES, N, N) for the limits of a row."""
        hops, within_ms = keys.get(HOPS), keys.get(MILLISECONDS)
        within_s = None if within_ms is None else within_ms / 1e3
        key = (hops, within_s)
        if key not in self._found:
            self._found[key] = np.array(
                [
                    [self._mesh.within(name, time_s, hops, within_s) for name in self.names]
                    for time_s in self._at_s
                ]
            )
        return self._found[key]


def digits(run: Any, names: Sequence[str]) -> np.ndarray:
    """Return which digits (N, 10) each satellite has samples of."""
    found = samples_by_class(run.tables, run.manifest)
    assert found is not None
    clusters = [client.split("/")[0] for client in found.clients]
    return found.samples[[clusters.index(name) for name in names]] > 0


def known(reach: np.ndarray, has: np.ndarray) -> float:
    """Return the share of digits that somebody in reach has samples of."""
    return float((reach.astype(int) @ has.astype(int) > 0).mean())


def _print_reach(found: Mapping[str, Row], reach: Reach) -> None:
    names = [*BY_HOPS, *BY_TIME]
    table = {name: {ACCURACY.head: found[name].accuracy} for name in names}
    # Of limits in ms, the first has the satellite alone above it.
    first = next(iter(BY_HOPS))
    pairs = [*pairwise(BY_HOPS), *pairwise([first, *BY_TIME])]
    steps = [Step(table, name, against, (ACCURACY,)) for against, name in pairs]
    cells, tests = compared(steps)
    against = {step.name: cell for step, (cell,) in zip(steps, cells, strict=True)}
    print(
        f"{'reach':<10}{'experts':>9}{'known':>8}{'accuracy':>22}{'more than above':>34}"
        f"{'asked':>8}{'median ms':>11}{'90 %':>7}{'most':>7}"
    )
    for name in names:
        own = found[name]
        mask = reach.of({**BY_HOPS, **BY_TIME}[name])
        answers = pd.concat(own.answers)
        shown = f"{name:<10}{mask.sum(axis=2).mean():>9.1f}{np.mean(own.known):>8.1%}"
        shown += f"{ACCURACY.cell(list(own.accuracy.values())):>22}{against.get(name, ''):>34}"
        print(shown + f"{len(answers) / len(own.answers):>8.0f}" + _latencies(answers, (11, 7, 7)))
    print(f"({tests} tests, corrected by Holm)")


def _latencies(answers: pd.DataFrame, widths: Sequence[int]) -> str:
    """Show median, 90th percentile and most of latencies in ms."""
    ms = np.sort(1e3 * answers.latency_s.dropna().to_numpy())
    if not len(ms):
        return "".join(f"{'-':>{width}}" for width in widths)
    each = (nearest_rank(ms, percent) for percent in (50, 90, 100))
    return "".join(f"{value:>{width}.0f}" for value, width in zip(each, widths, strict=True))


def _by_hops(answers: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    for hops, own in answers.groupby("request_hops"):
        yield f"{hops:.0f}", own


def _print_latencies(groups: Sequence[tuple[str, pd.DataFrame]], what: str) -> None:
    heads = ("light", "sending", "opening", "queue", "computing")
    print(
        f"{what:<12}{'answers':>9}{'range km':>10}{'median':>9}{'90 %':>9}{'most':>9}"
        + "".join(f"{head:>11}" for head in heads)
    )
    for name, rows in groups:
        own = rows[rows.latency_s.notna()]
        each = (own[f"request_{part}_s"] + own[f"answer_{part}_s"] for part in PARTS)
        parts_ms = [1e3 * part.mean() for part in (*each, own.computing_s)]
        range_km = SPEED_OF_LIGHT_KM_S * own.request_propagation_s.mean()
        shown = f"{name:<12}{len(own):>9}{range_km:>10.0f}" + _latencies(own, (9, 9, 9))
        print(shown + "".join(f"{part:>11.2f}" for part in parts_ms))


if __name__ == "__main__":
    main(*sys.argv[1:])
