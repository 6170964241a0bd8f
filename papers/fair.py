"""EMS-FL against other methods, each with settings that were chosen for it.

    python papers/fair.py [seeds]

The scenario is quickstart-8b, once with nothing in common between its cities (each has its own
permutation of the pixels) and once with 30 % of the samples shared. Step size and local rounds of
each method are those with the highest mean accuracy on validation samples after two days, over five
seeds that are not used again. All may train as many rounds in a visit: in the contact and in the
gap behind it together. The row of the paper has its one round per contact, and a step size that was
chosen in the same way. Where samples are shared, the threshold and the period by which EMS-FL draws
its experts are chosen after that, in the same way, and one more row has no draw, unless that is the
chosen one: each city trains the expert of its own data. The chosen settings are then run without a
validation split, with other seeds: 1 and following. Each seed draws its own data, model and start:
it has its own passes.

Sums of 32-bit numbers depend on the instructions of the processor, and so do the accuracies of
large steps. The chosen settings are run by the two widest instruction sets that the processor has.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch
from by_seed import (
    DRAWS,
    FINAL,
    HOME,
    OWN_DATA,
    OWN_EACH,
    SHARE,
    TUNING_SEEDS,
    Measure,
    Step,
    Table,
    accuracy_after,
    average_until,
    compared,
    draw_of,
    measured,
    print_means,
    reached,
    sent,
    summary,
    tuned,
)
from paper_runs import INSTRUCTIONS, Keys, line, runs

import leomix
from sim.sweep import Choice

SCENARIO = "quickstart-8b"
STEP_SIZES = (0.03, 0.1, 0.3, 1.0)
ROUNDS = (1, 4, 8, 16)
"""Local rounds in a visit. A pass of eight minutes holds up to 24 of them."""
DAYS = 2
"""Settings are compared after so many days."""
LAST_DAY = 13
"""Days that each run takes, and over which accuracy is averaged."""
FIXED: dict[str, Any] = {
    "start": {"after": "2026-08-15T14:00:00Z", "within_days": 7},
    "stop.days": LAST_DAY,
    "stop.cycles": None,
    "learning.evaluate_every_hours": 3,
}
UNBUFFERED = {
    "learning.method": "fedbuff",
    "learning.options.buffer_size": 1,
    "learning.options.staleness": "constant",
}
IN_GAPS = {"learning.options.trains": "gaps"}
CONTENDERS: dict[str, dict[str, Any]] = {
    "emsfl-enhanced": {"learning.method": "emsfl-enhanced"},
    "emsfl": {"learning.method": "emsfl"},
    "synchronous": {"learning.method": "synchronous"},
    "fedbuff": UNBUFFERED,
    "fedavg": {"learning.method": "fedavg", **IN_GAPS},
    "model per city, own expert": {
        "learning.method": "fedavg-per-cluster",
        "learning.model.experts": 1,
        **IN_GAPS,
    },
    "local": {"learning.method": "local"},
}
"""`own expert`: a city's model is one dense model, of the size of one expert with the backbone, and
nothing else is loaded."""
IN_CONTACT = ("synchronous",)
"""Those that train in contacts only."""
IN_BOTH = ("emsfl-enhanced", "emsfl", "local")
"""Those that train in contacts and in gaps; all others train in gaps only."""
TASKS = {
    1.0: ("nothing in common", tuple(CONTENDERS)),
    0.7: (
        "30 % shared",
        (
            "emsfl-enhanced",
            "emsfl",
            "synchronous",
            "fedbuff",
            "fedavg",
            "model per city, own expert",
        ),
    ),
}
"""Shares of its own domain in a city's samples, and who is compared."""
PAPER = "synchronous, as in the paper"
OF_THE_PAPER = {PAPER: {"learning.method": "synchronous", "learning.rounds.per_contact": 1}}
OWN = "emsfl-enhanced"
EACH = "emsfl-enhanced, own expert each"
SPLITTING = (OWN, "emsfl")
"""Those whose experts are drawn."""

TESTED = (
    Measure("days to 0.85", reached(0.85, "hours", 24), "{:.2f}", ratios=True),
    Measure("days to 0.90", reached(0.90, "hours", 24), "{:.2f}", ratios=True),
    Measure(f"after {DAYS} days", accuracy_after(DAYS), "{:.3f}", SHARE),
    Measure("time-averaged", average_until(LAST_DAY), "{:.3f}", SHARE),
    FINAL,
)
COSTS = (
    Measure("GB up to 0.90", sent(0.90, "uplink"), "{:.2f}"),
    Measure("GB down to 0.90", sent(0.90, "downlink"), "{:.2f}"),
    Measure("MJ to 0.90", reached(0.90, "energy_j", 1e6), "{:.2f}"),
    Measure("gradient steps to 0.90", reached(0.90, "gradient_steps"), "{:.0f}"),
    Measure("GB of a device", summary("device_memory_bytes", 1e9), "{:.1f}"),
)
CAPABILITIES = ("AVX512", "AVX2", "DEFAULT")
"""Instruction sets that torch has code for, the widest first."""


def main(seeds: str = "10") -> None:
    """Tune, run what was chosen by two instruction sets, and print the tables of both tasks."""
    widest = torch.backends.cpu.get_cpu_capability()
    sets = CAPABILITIES[CAPABILITIES.index(widest) :][:2]
    cpu = Path("/proc/cpuinfo")
    lines = cpu.read_text().splitlines() if cpu.exists() else []
    named = next((line for line in lines if line.startswith("model name")), "unknown")
    print(f"processor: {named.partition(': ')[2] or named}; instructions: {' and '.join(sets)}")
    for own_data, (said, names) in TASKS.items():
        fixed = {**FIXED, OWN_DATA: own_data}
        print(f"\n== {SCENARIO}, {said} ({OWN_DATA} {own_data:g})\n")
        chosen = choose(names, fixed)
        if own_data < 1:  # at 1, every draw gives each city the expert of its own data
            chosen = with_draws(chosen, fixed)
        tables: dict[str, Table] = {}
        for name in sets:
            os.environ[INSTRUCTIONS] = name.lower()
            made = runs(SCENARIO, chosen, fixed=fixed, seeds=int(seeds))
            tables[name] = measured(made, (*TESTED, *COSTS, HOME))
        del os.environ[INSTRUCTIONS]
        print_tables(tables[widest], seeds)
        print_by_instructions(tables)


def choose(names: Sequence[str], fixed: Keys) -> dict[str, dict[str, Any]]:
    """Print and return the keys chosen for each contender, the setting of the paper last."""
    print(f"chosen by validation accuracy after {DAYS} days, {TUNING_SEEDS} seeds, at most")
    print(f"{max(ROUNDS)} local rounds in a visit; MJ: in {DAYS} days, of all settings within")
    print("one standard error of the best mean\n")
    print(f"{'':<30}{'step size':>10}{'in contact':>12}{'in gap':>8}{'settings':>10}{'MJ':>16}")
    found: dict[str, dict[str, Any]] = {}
    for contenders, rounds in groups(names):
        vary = {"learning.step_size": STEP_SIZES, **rounds}
        choice = tuned(SCENARIO, contenders, vary, fixed=fixed, at_days=DAYS)
        found |= choice.chosen
        for row in chosen_rows(choice, leomix.compare(choice.sweep, best_by="energy_j")):
            print(row)
    return {name: found[name] for name in (*names, *OF_THE_PAPER)}


def with_draws(chosen: Mapping[str, dict[str, Any]], fixed: Keys) -> dict[str, dict[str, Any]]:
    """Print and add threshold and period of those that draw, and a row without a draw."""
    drawing = {name: chosen[name] for name in SPLITTING}
    drawn = tuned(SCENARIO, drawing, DRAWS, fixed=fixed, at_days=DAYS).chosen
    print("\nthen threshold and cycles between splits, chosen in the same way from twelve\n")
    for name, keys in drawn.items():
        print(f"{name:<30}{draw_of(keys):>12}")
    rows: dict[str, dict[str, Any]] = {}
    for name, keys in chosen.items():
        rows[name] = drawn.get(name, keys)
        each = {**keys, **OWN_EACH}
        if name == OWN and rows[name] != each:
            rows[EACH] = each
    return rows


def print_tables(table: Table, seeds: str) -> None:
    """Print means by the widest instruction set, and paired tests."""
    print(f"\nseeds 1 to {seeds}: mean [95 % interval], of days the geometric mean\n")
    print_means(table, (*TESTED, HOME), 34, 22)
    print()
    print_means(table, COSTS, 34, 24)
    print(f"\n{OWN} against each: days as a ratio, accuracy as a difference\n")
    others = [name for name in table if name != OWN]
    cells, count = compared([Step(table, OWN, name, TESTED) for name in others])
    print(line("", 34, [measure.head for measure in TESTED], 47))
    for name, row in zip(others, cells, strict=True):
        print(line(name, 34, row, 47))
    print(f"\np is corrected for all {count} tests (Holm); intervals and ranks (Wilcoxon) are not")


def groups(
    names: Sequence[str],
) -> Iterator[tuple[Mapping[str, Keys], Mapping[str, list[dict[str, int]]]]]:
    """Yield contenders that may place their rounds alike, and the key of these rounds."""
    rounds = "learning.rounds"
    once = [{"per_contact": count, "per_gap_max": count} for count in ROUNDS]
    split = [
        {"per_contact": count, "per_gap_max": each - count}
        for each in ROUNDS
        for count in dict.fromkeys((each, each // 2, 1))
        if count > 0
    ]
    yield {name: CONTENDERS[name] for name in names if name in IN_BOTH}, {rounds: split}
    yield {name: CONTENDERS[name] for name in names if name not in IN_BOTH}, {rounds: once}
    yield OF_THE_PAPER, {}


def chosen_rows(choice: Choice, spent: Choice) -> Iterator[str]:
    """Yield a row on each chosen setting, and on those that its seeds do not tell from it.

    ``spent`` has the energy of the same settings, in the same order.
    """
    joules = {one.label: mean(one.known) / 1e6 for one in spent.tried if one.known}
    for best in (one for one in choice.tried if one.is_chosen):
        who = best.name
        error = stdev(best.known) / math.sqrt(len(best.known)) if len(best.known) > 1 else 0.0
        own = [one for one in choice.tried if one.name == who]
        least = choice.basis.merit(best.figures) - error
        level = [joules[one.label] for one in own if choice.basis.merit(one.figures) >= least]
        rounds = best.keys.get("learning.rounds", {"per_contact": 1, "per_gap_max": 0})
        contact = 0 if who not in (*IN_CONTACT, *IN_BOTH, PAPER) else rounds["per_contact"]
        gap = 0 if who in (*IN_CONTACT, PAPER) else rounds["per_gap_max"]
        ends = f"{min(level):.2f} to {max(level):.2f}"
        yield (
            f"{who:<30}{best.keys['learning.step_size']:>10g}{contact:>12}{gap:>8}"
            f"{f'{len(level)} of {len(own)}':>10}{ends:>16}"
        )


def print_by_instructions(tables: Mapping[str, Table]) -> None:
    """Print what depends on the instruction set: days to 0.90 and the ratio to each other row."""
    measure = TESTED[1]
    print("\ndays to 0.90 by instruction set, and days of " + OWN + " as a ratio to them\n")
    print(line("", 34, [head for name in tables for head in (name, "ratio")], 24))
    [first, *_] = tables.values()
    for name in first:
        cells = []
        for table in tables.values():
            cells.append(measure.cell([*table[name][measure.head].values()]))
            [[ratio]], _ = compared([Step(table, OWN, name, [measure])])
            cells.append("" if name == OWN else ratio.partition(" p ")[0])
        print(line(name, 34, cells, 24))


if __name__ == "__main__":
    main(*sys.argv[1:])
