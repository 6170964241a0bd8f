"""What a sweep answers: which combination of keys is best, by how much, is it noise, and why.

Points are compared as they were made: a combination by the mean over its seeds, a value of one key
with another at the same values of all other keys and the same seed. Nothing is pooled over keys.
"""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import mean
from typing import NamedTuple

from sim.analysis.comparison import over_seeds
from sim.execution.folder import COMPLETE
from sim.execution.result import Result, load
from sim.formatting import as_yaml, data_size, seconds, some
from sim.sweep.by_key import by_key
from sim.sweep.differences import Figures, Question, Row, Runs, gap, reasons
from sim.sweep.folder import Sweep, read_sweep, why_none
from sim.sweep.points import labelled
from sim.sweep.text import combinations_in

MOST_RUNS = 60
"""Complete points up to which their runs are read."""


class Standing(NamedTuple):
    """A combination of keys, its rows, and its figure by seed: inf where it never got there."""

    label: str
    rows: Sequence[Row]
    figures: Figures

    @property
    def mean(self) -> float:
        """The mean over seeds; inf if one of them has none."""
        return mean(self.figures.values())


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
    """Return the highest accuracy that all points have reached, else half of them, else any."""
    names = [name for name in (done[0] if done else ()) if name.startswith("hours_to_")]
    count = {name: sum(row[name] is not None for row in done) for name in names}
    common = [name for name in names if count[name] == len(done)]
    half = [name for name in names if 2 * count[name] >= len(done)]
    found = common or half or [name for name in names if count[name]]
    return max((name.removeprefix("hours_to_") for name in found), default=None)


ASYNCHRONOUS = ("fedasync", "fedbuff", "fedsat", "fedspace")
"""Methods whose rounds are one or a few updates: not to be compared with those of all clients."""


def questions(done: Sequence[Row], target: str | None) -> list[Question]:
    """Return what can be asked of these complete points; the first one is what a sweep is for."""
    if all(row["accuracy_final"] is None for row in done):
        methods = {row.get("learning.method") for row in done}
        mixed = len(methods) > 1 and not methods.isdisjoint(ASYNCHRONOUS)
        text = "The shortest rounds in the mean" + ", as each method counts its own" * mixed
        rounds = all(row.get("round_mean_s") is not None for row in done)
        found = [
            Question("cycles", "The most complete cycles", True, "{:.6g}".format),
            Question("contacts_served", "The most contacts served", True, "{:.6g}".format),
        ]
        found[2 * mixed : 0] = [Question("round_mean_s", text, False, seconds)] * rounds
        return found
    hours = f"The least time to {target} accuracy"
    return [
        Question("accuracy_final", "The best final accuracy", True, "{:.3f}".format),
        *[Question(f"hours_to_{target}", hours, False, "{:.2f} hours".format)] * bool(target),
        *[
            Question(column, f"The least {what}", False, data_size)
            for column, what in (("uplink_bytes", "uplink"), ("isl_bytes", "ISL traffic"))
            if any(row.get(column) for row in done)
        ],
    ]


def ranked(rows: Sequence[Row], keys: Sequence[str], question: Question) -> list[Standing]:
    """Return the combinations of the keys but the seed, the best one first."""
    shown = [key for key in keys if key != "seed"]
    found = [
        Standing(
            labelled(group[0], shown) or "all points",
            group,
            {("", row["seed"]): _figure(row, question.column) for row in group},
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
    values = {key: len({as_yaml(row[key]) for row in rows}) for key in keys}
    counts = [f"{key} ({count} value{'s' * (count > 1)})" for key, count in values.items()]
    over = f", over {' and '.join(counts)}" if counts else ""
    yield f"{len(done)} of {len(rows)} points are complete{over}."
    for number, question in enumerate(questions(done, target) if done else ()):
        standings = ranked(rows, keys, question)
        yield _best(standings, question)
        if number == 0 or question.column.startswith("hours_to"):
            yield from _beside(standings, question)
            found = list(by_key(rows, keys, question, runs))
            yield from found or _apart_from_last(standings, question, runs)


def _figure(row: Row, column: str) -> float:
    return math.inf if row[column] is None else float(row[column])


def _best(standings: Sequence[Standing], question: Question) -> str:
    whole = [one for one in standings if one.mean < math.inf]
    lacking = standings[len(whole) :]
    values = [value for one in whole for value in one.figures.values()]
    if whole and min(values) == max(values) and not lacking:
        return f"{question.text}: {question.form(values[0])}, at every point."
    without = _without(lacking, question)
    if not whole:
        return f"{question.text}: no combination has it with all of its seeds: {without}."
    best = whole[0]
    equal = _points([one.label for one in whole if one.mean == best.mean])
    text = f"{question.text}: {question.form(best.mean)}, at {equal}"
    text += f", {_mean_of(list(best.figures.values()), question)}"
    if min(values) < max(values):
        text += f"; all points range from {question.form(min(values))} to "
        text += question.form(max(values))
    return f"{text}. Without it: {without}." if without else f"{text}."


def _without(lacking: Sequence[Standing], question: Question) -> str:
    """Name the combinations that lack a figure by what they have instead."""
    labels: dict[str, list[str]] = {}
    has = {one.label: sum(x < math.inf for x in one.figures.values()) for one in lacking}
    for one in sorted(lacking, key=lambda one: -has[one.label]):
        lacking_rows = [row for row in one.rows if row[question.column] is None]
        why = {why_none(row, question.column) for row in lacking_rows}
        few = f"{has[one.label]} of {len(one.figures)} seeds, else " if has[one.label] else ""
        labels.setdefault(few + ", ".join(sorted(why)), []).append(one.label)
    return "; ".join(f"{_points(same)} ({reason})" for reason, same in labels.items())


def _mean_of(values: Sequence[float], question: Question) -> str:
    if len(values) == 1:
        return "of one seed"
    figure = over_seeds(values)
    ends = [question.form(end) for end in (figure["low"], figure["high"]) if end is not None]
    same = ", the same with each" if len(set(values)) == 1 else ""
    interval = f" (95 %: {' to '.join(ends)})" if len(set(ends)) > 1 else same
    return f"mean of {len(values)} seeds{interval}"


def _beside(standings: Sequence[Standing], question: Question) -> Iterator[str]:
    """Say how far the next one is behind the best one."""
    behind = [one for one in standings if standings[0].mean != one.mean < math.inf]
    if behind:
        following = [one for one in behind if one.mean == behind[0].mean]
        text, _ = gap(standings[0].figures, following[0].figures, question)
        names = _points([one.label for one in following])
        yield f"Next, with {question.form(following[0].mean)} in the mean: {names}, {text}."


def _apart_from_last(
    standings: Sequence[Standing], question: Question, runs: Runs
) -> Iterator[str]:
    """Say what sets the best one apart from the last, where no key can be told from the others."""
    best, last = standings[0], [standings[0], *(s for s in standings if s.mean < math.inf)][-1]
    _, is_noise = gap(best.figures, last.figures, question)
    if is_noise or best.mean == last.mean:
        return
    if why := "; ".join(reasons(best.rows, last.rows, question, runs)):
        value = question.form(last.mean)
        yield f"Beside the last, {last.label} with {value}, {best.label} has: {why}."


def _points(labels: Sequence[str]) -> str:
    """Name the first of some points, and say how many others there are."""
    return some(labels, 1, " and ", "other points")
