"""What a sweep answers: which combination of keys is best, by how much, is it noise, and why.

Points are compared as they were made: a combination by the mean over its seeds, a value of one key
with another at the same values of all other keys and the same seed. Nothing is pooled over keys.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

from sim.analysis.comparison import figures_listed, over_seeds, paired
from sim.execution.folder import COMPLETE
from sim.execution.result import Result, load
from sim.formatting import as_yaml, data_size, seconds
from sim.sweep.folder import Sweep, read_sweep, why_none
from sim.sweep.points import labelled
from sim.sweep.text import combinations_in

Row = Mapping[str, Any]
Runs = Mapping[str, Result]
"""Runs of points, by the folders that their rows name."""

MOST_RUNS = 60
"""Complete points up to which their runs are read."""
APART = 0.05
"""Share of the larger of two figures (shares: of 1) from which on their difference is a reason."""


class Question(NamedTuple):
    """A figure of the points: its column, its name, whether more of it is better, and its form."""

    column: str
    text: str
    rising: bool
    form: Callable[[float], str]


class Standing(NamedTuple):
    """A combination of keys, its rows, and its figure by seed: inf where it never got there."""

    label: str
    rows: Sequence[Row]
    by_seed: Mapping[int, float]

    @property
    def mean(self) -> float:
        """The mean over seeds; inf if one of them has none."""
        return mean(self.by_seed.values())


def of_sweep(folder: Path) -> list[str]:
    """Return the answers of the sweep in a folder; raise InputError if it cannot be read."""
    sweep = read_sweep(folder)
    rows = sweep.rows.to_pylist()
    done = [row for row in rows if row["status"] == COMPLETE]
    return list(answers(rows, sweep.keys, best_target(done), runs_of(sweep, done)))


def runs_of(sweep: Sweep, done: Sequence[Row]) -> dict[str, Result]:
    """Return the runs of complete points by the folders in their rows; none where they are many."""
    folders = dict.fromkeys(row["folder"] for row in done)
    few = folders if len(folders) <= MOST_RUNS else ()
    return {folder: load(sweep.folder / folder) for folder in few}


def best_target(done: Sequence[Row]) -> str | None:
    """Return the highest accuracy that all points have reached, else the highest of any."""
    names = [name for name in (done[0] if done else ()) if name.startswith("hours_to_")]
    count = {name: sum(row[name] is not None for row in done) for name in names}
    common = [name for name in names if count[name] == len(done)]
    some = [name for name in names if count[name]]
    return max((name.removeprefix("hours_to_") for name in common or some), default=None)


def questions(done: Sequence[Row], target: str | None) -> list[Question]:
    """Return what can be asked of these complete points; the first one is what a sweep is for."""
    if all(row["accuracy_final"] is None for row in done):
        rounds = all(row.get("round_mean_s") is not None for row in done)
        return [
            *[Question("round_mean_s", "The shortest rounds in the mean", False, seconds)] * rounds,
            Question("cycles", "The most complete cycles", True, "{:.4g}".format),
            Question("contacts_served", "The most contacts served", True, "{:.4g}".format),
        ]
    hours = f"The least time to {target} accuracy"
    return [
        Question("accuracy_final", "The best final accuracy", True, "{:.3f}".format),
        *[Question(f"hours_to_{target}", hours, False, "{:.2f} hours".format)] * bool(target),
        Question("uplink_bytes", "The least uplink", False, data_size),
    ]


def ranked(rows: Sequence[Row], keys: Sequence[str], question: Question) -> list[Standing]:
    """Return the combinations of the keys but the seed, the best one first."""
    shown = [key for key in keys if key != "seed"]
    found = [
        Standing(
            labelled(group[0], shown) or "all points",
            group,
            {row["seed"]: _figure(row, question.column) for row in group},
        )
        for group in combinations_in(rows, shown)
    ]
    sign = -1.0 if question.rising else 1.0
    return sorted(found, key=lambda one: sign * one.mean if one.mean < math.inf else math.inf)


def answers(
    rows: Sequence[Row], keys: Sequence[str], target: str | None, runs: Runs
) -> Iterator[str]:
    """Say in sentences what the points show; ``target`` is an accuracy that some have reached."""
    done = [row for row in rows if row["status"] == COMPLETE]
    counts = [f"{key} ({len({as_yaml(row[key]) for row in rows})} values)" for key in keys]
    over = f", over {' and '.join(counts)}" if counts else ""
    yield f"{len(done)} of {len(rows)} points are complete{over}."
    for number, question in enumerate(questions(done, target) if done else ()):
        standings = ranked(rows, keys, question)
        yield _best(standings, question)
        if number == 0 or question.column.startswith("hours_to"):
            yield from _beside(standings, question, runs)
            yield from _by_key(rows, keys, question)


def _figure(row: Row, column: str) -> float:
    return math.inf if row[column] is None else float(row[column])


def _best(standings: Sequence[Standing], question: Question) -> str:
    whole = [one for one in standings if one.mean < math.inf]
    lacking = standings[len(whole) :]
    values = [value for one in whole for value in one.by_seed.values()]
    if whole and min(values) == max(values) and not lacking:
        return f"{question.text}: {question.form(values[0])}, at every point."
    without = _without(lacking, question)
    if not whole:
        return f"{question.text}: no combination has it with all of its seeds: {without}."
    best = whole[0]
    equal = _some([one.label for one in whole if one.mean == best.mean])
    text = f"{question.text}: {question.form(best.mean)}, at {equal}"
    text += f", {_mean_of(list(best.by_seed.values()), question)}"
    if min(values) < max(values):
        text += f"; the points range from {question.form(min(values))} to "
        text += question.form(max(values))
    return f"{text}. Without it: {without}." if without else f"{text}."


def _without(lacking: Sequence[Standing], question: Question) -> str:
    """Name the combinations that lack a figure by what they have instead."""
    labels: dict[str, list[str]] = {}
    for one in lacking:
        reasons = {why_none(row) for row in one.rows if row[question.column] is None}
        labels.setdefault(", ".join(sorted(reasons)), []).append(one.label)
    return "; ".join(f"{_some(same)} ({reason})" for reason, same in labels.items())


def _some(labels: Sequence[str]) -> str:
    """Name two combinations, or the first one and how many others there are."""
    others = f" and {len(labels) - 1} more" if len(labels) > 2 else ""
    return f"{labels[0]}{others}" if others else " and ".join(labels)


def _mean_of(values: Sequence[float], question: Question) -> str:
    if len(values) == 1:
        return "of one seed"
    figure = over_seeds(values)
    ends = [question.form(end) for end in (figure["low"], figure["high"]) if end is not None]
    interval = f" (95 %: {' to '.join(ends)})" if len(set(ends)) > 1 else ""
    return f"mean of {len(values)} seeds{interval}"


def _beside(standings: Sequence[Standing], question: Question, runs: Runs) -> Iterator[str]:
    """Say how far the next one is behind, and what sets the best one apart from the last."""
    whole = [one for one in standings if one.mean < math.inf]
    behind = [one for one in whole if one.mean != whole[0].mean]
    if not behind:
        return
    best, following, last = whole[0], behind[0], behind[-1]
    gap = _gap(best.by_seed, following.by_seed, question, "the same seeds")
    yield f"Next is {following.label} with {question.form(following.mean)}: {gap}."
    if reasons := list(_reasons(best, last, question, runs)):
        yield (
            f"What sets it apart from the last, {last.label} with {question.form(last.mean)}: "
            f"{'; '.join(reasons)}."
        )


def _gap(
    first: Mapping[int, float], second: Mapping[int, float], question: Question, where: str
) -> str:
    """Say how far two sets of figures are apart, one with one, and whether that is noise."""
    found = paired(first, second)
    apart = [first[key] - second[key] for key in first.keys() & second.keys()]
    size = question.form(abs(mean(apart)))
    if found["low"] is None:
        return f"{size} apart on one seed, which cannot tell noise: sweep with --replications 5"
    ends = sorted(abs(found[end]) for end in ("low", "high"))
    pairs = f"over {len(apart)} pairs of {where}"
    if found["low"] <= 0.0 <= found["high"]:
        return f"{size} apart, within noise (95 % interval {pairs})"
    between = " to ".join(dict.fromkeys(map(question.form, ends)))
    return f"{size} apart, more than noise (95 %: {between} {pairs})"


def _reasons(best: Standing, last: Standing, asked: Question, runs: Runs) -> Iterator[str]:
    """Name the figures of two combinations that differ: contacts, time in view, rate, idling."""

    def means(standing: Standing) -> dict[str, float]:
        read = [runs[row["folder"]] for row in standing.rows if row["folder"] in runs]
        shares = [run.critical_path.spent.shares for run in read]
        figures: dict[str, list[float]] = {
            what: [one[what] for one in shares]
            for what in ("waiting", "transmitting", "queueing")
            if all(shares)
        }
        for name in COUNTED:
            figures[name] = [row[name] for row in standing.rows if row.get(name) is not None]
        known = {name: mean(values) for name, values in figures.items() if values}
        if known.get("service_hours"):
            known["rate"] = known["uplink_bytes"] / (known["service_hours"] * 3600)
        return known

    one, other = means(best), means(last)
    for name, figure in REASONS.items():
        both = one.get(name), other.get(name)
        if name == asked.column or None in both:
            continue
        mine, its = float(both[0] or 0.0), float(both[1] or 0.0)
        if abs(mine - its) > APART * (1.0 if name in SHARES else max(mine, its)):
            yield f"{figure.form(mine)} {figure.head.format(figure.form(its))}"


COUNTED = ("contacts_served", "service_hours", "idle_share", "uplink_bytes", "cycles")
SHARES = ("idle_share", "waiting", "transmitting", "queueing")
REASONS = figures_listed("reasons")
"""Figures that can explain another, in the order in which they are named."""


def _by_key(rows: Sequence[Row], keys: Sequence[str], question: Question) -> Iterator[str]:
    """Say for each of several keys which value is best where all others are equal."""
    varied = [key for key in keys if key != "seed" and len({as_yaml(r[key]) for r in rows}) > 1]
    for key in varied if len(varied) > 1 else ():
        rest = [other for other in keys if other not in (key, "seed")]
        figures: dict[str, dict[str, float]] = {}
        for row in rows:
            setting = as_yaml([*(row[other] for other in rest), row["seed"]])
            figures.setdefault(as_yaml(row[key]), {})[setting] = _figure(row, question.column)
        none = [value for value, known in figures.items() if min(known.values()) == math.inf]
        settings = len(rows) // len(figures)
        for value in none:
            del figures[value]
        if len(figures) < 2:
            continue
        common = sorted(
            setting
            for setting in set.intersection(*(set(known) for known in figures.values()))
            if all(known[setting] < math.inf for known in figures.values())
        )
        if not common:
            yield f"By {key}: its values have figures at no common setting of the other keys."
            continue
        sets = {
            value: {i: known[setting] for i, setting in enumerate(common)}
            for value, known in figures.items()
        }
        order = sorted(sets, key=lambda value: mean(sets[value].values()), reverse=question.rising)
        equal = [value for value in order if sets[value] == sets[order[0]]]
        left = f" ({len(common)} of {settings} settings)" if len(common) < settings else ""
        left += f" but for {', '.join(none)}, which has none" if none else ""
        if len(equal) == len(order):
            yield f"By {key}, all else equal{left}: no difference between {' and '.join(order)}."
            continue
        second = order[len(equal)]
        gap = _gap(sets[order[0]], sets[second], question, "equal settings")
        best = f"{' and '.join(equal)} {'is' if len(equal) == 1 else 'are'} best"
        yield f"By {key}, all else equal{left}: {best}, before {second}: {gap}."
