"""Experts in orbit: accuracy by how far a gate may reach, and what answers over links take.

    python papers/reach.py [seeds]

The satellites of `nmoe-orbit`, whose gates may ask experts over so many links at most, or as far as
light gets in so many milliseconds. All rows of a seed have the same experts and gates. Accuracy is
that of the answers, the mean over seeds with its interval (Student's, of 95 %), compared with the
row above by paired t tests, corrected together (Holm). Latencies are those of all answers of other
satellites, of all seeds together. Seeds are 1 and following.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
from by_seed import SHARE, Measure, Step, compared, measured
from paper_runs import Keys, by_variant, runs

SCENARIO = "nmoe-orbit"
HOPS, MILLISECONDS = "learning.options.reach_hops", "learning.options.reach_ms"
ANY = "any"
BY_HOPS: Mapping[str, Keys] = {
    **{f"{hops} links": {HOPS: hops} for hops in range(6)},
    ANY: {},
}
BY_TIME: Mapping[str, Keys] = {f"{ms} ms": {MILLISECONDS: ms} for ms in (20, 40, 60, 80)}
ACCURACY = Measure("accuracy", lambda run: run.summary["inference"]["accuracy"], "{:.3f}", SHARE)
PARTS = {
    "light": "propagation",
    "sending": "transmission",
    "opening": "window",
    "queue": "queue",
}
"""What an answer takes, beside the time to compute it, by its column."""


def main(seeds: str = "5") -> None:
    """Run all rows, and print the tables."""
    made = runs(SCENARIO, {**BY_HOPS, **BY_TIME}, seeds=int(seeds))
    table = measured(made, [ACCURACY])
    answers = {
        name: pd.concat([run.answers for run in own]) for name, own in by_variant(made).items()
    }
    # Of limits in ms, the first has the satellite alone above it.
    pairs = [*pairwise(BY_HOPS), *pairwise([next(iter(BY_HOPS)), *BY_TIME])]
    cells, tests = compared([Step(table, name, above, (ACCURACY,)) for above, name in pairs])
    against = {name: cell for (_, name), (cell,) in zip(pairs, cells, strict=True)}
    print(f"{SCENARIO}, {seeds} seeds\n")
    print(f"{'reach':<10}{'accuracy':>22}{'more than above':>34}{'asked':>8}", end="")
    print(f"{'median ms':>11}{'90 %':>7}{'most':>7}")
    for name, own in table.items():
        asked = answers[name]
        shown = f"{name:<10}{ACCURACY.cell(list(own[ACCURACY.head].values())):>22}"
        shown += f"{against.get(name, ''):>34}{len(asked) / int(seeds):>8.0f}"
        print(shown + _latencies(asked, (11, 7, 7)))
    print(f"({tests} tests, corrected by Holm)")
    print("\nlatency of answers in ms, and what it consists of in the mean, by the links there\n")
    every = answers[ANY]
    print(f"{'links':<12}{'answers':>9}{'median':>9}{'90 %':>9}{'most':>9}", end="")
    print("".join(f"{head:>11}" for head in (*PARTS, "computing")))
    by_hops = ((f"{hops:.0f}", own) for hops, own in every.groupby("request_hops"))
    for name, asked in [(ANY, every), *by_hops]:
        own = asked[asked.latency_s.notna()]
        each = (own[f"request_{part}_s"] + own[f"answer_{part}_s"] for part in PARTS.values())
        parts_ms = [1e3 * part.mean() for part in (*each, own.computing_s)]
        print(f"{name:<12}{len(own):>9}{_latencies(own, (9, 9, 9))}", end="")
        print("".join(f"{part:>11.2f}" for part in parts_ms))


def _latencies(answers: pd.DataFrame, widths: Sequence[int]) -> str:
    """Show median, 90th percentile and most of latencies in ms."""
    ms = 1e3 * answers.latency_s.dropna()
    if not len(ms):
        return "".join(f"{'-':>{width}}" for width in widths)
    each = np.percentile(ms, (50, 90, 100), method="inverted_cdf")
    return "".join(f"{value:>{width}.0f}" for value, width in zip(each, widths, strict=True))


if __name__ == "__main__":
    main(*sys.argv[1:])
