"""What a sweep answers: which combination of keys is best, by how much, is it noise, and why.

Points are compared as they were made: a combination by the mean over its seeds, a value of one key
with another at the same values of all other keys and the same seed. Nothing is pooled over keys.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

from sim.analysis.lead import CLOSE, Figures
from sim.analysis.methods import known_method
from sim.analysis.over_seeds import over_seeds
from sim.analysis.verdict import Ranking, Verdict, in_order, rank_each, verdict_of
from sim.analysis.verdict_text import ranking_json
from sim.execution.result import Result, load
from sim.execution.status import COMPLETE
from sim.formatting import as_yaml, count, counted, data_size, seconds, some
from sim.sweep.by_key import by_key
from sim.sweep.differences import Question, Row, Runs, reasons
from sim.sweep.folder import Sweep, read_sweep
from sim.sweep.points import labelled
from sim.sweep.rows import why_none
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


def of_sweep(folder: Path) -> dict[str, list[Any]]:
    """Return the answers of the sweep in a folder, and its verdicts as ``compare --json`` has them.

    Raises InputError if it cannot be read.
    """
    sweep = read_sweep(folder)
    rows = sweep.rows.to_pylist()
    done = [row for row in rows if row["status"] == COMPLETE]
    target = best_target(done)
    said = list(answers(rows, sweep.keys, target, runs_of(sweep, done)))
    return {"answers": said, "verdicts": verdicts(rows, sweep.keys, target)}


def verdicts(rows: Sequence[Row], keys: Sequence[str], target: str | None) -> list[dict[str, Any]]:
    """Return which combination of the keys is best by each figure that is asked for."""
    done = [row for row in rows if row["status"] == COMPLETE]
    asked = questions(done, target) if done else []
    standings = {question.column: combined(rows, keys, question) for question in asked}
    rankings = ranked(standings, asked)
    return [
        {
            "figure": question.column,
            **ranking_json(rankings[question.column]),
            "text": question.verdict(rankings[question.column], _names),
        }
        for question in asked
    ]


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


def questions(done: Sequence[Row], target: str | None) -> list[Question]:
    """Return what can be asked of these complete points; the first one is what a sweep is for."""
    if all(row["accuracy_final"] is None for row in done):
        return _questions_of_time(done)
    asked = [
        Question("accuracy_final", "The highest final accuracy", rising=True, form="{:.3f}".format)
    ]
    if target:
        text = f"The least time to {target} accuracy"
        asked.append(Question(f"hours_to_{target}", text, rising=False, form="{:.2f} hours".format))
    for column, traffic in (("uplink_bytes", "uplink"), ("isl_bytes", "ISL traffic")):
        if any(row.get(column) for row in done):
            asked.append(Question(column, f"The least {traffic}", rising=False, form=data_size))
    return asked


def _questions_of_time(done: Sequence[Row]) -> list[Question]:
    """Return what can be asked of points that trained nothing.

    Rounds of an asynchronous method are not those of another one, so that their length comes last.
    """
    counted = [
        Question("cycles", "The most complete cycles", rising=True, form=count),
        Question("contacts_served", "The most contacts served", rising=True, form=count),
    ]
    if any(row.get("round_mean_s") is None for row in done):
        return counted
    methods = {str(row["learning.method"]) for row in done if row.get("learning.method")}
    if len(methods) > 1 and any(map(_is_asynchronous, methods)):
        text = "The shortest rounds in the mean, as each method counts its own"
        return [*counted, Question("round_mean_s", text, rising=False, form=seconds)]
    return [
        Question("round_mean_s", "The shortest rounds in the mean", rising=False, form=seconds),
        *counted,
    ]


def _is_asynchronous(name: str) -> bool:
    method = known_method(name)
    return method is not None and method.asynchronous


def combined(rows: Sequence[Row], keys: Sequence[str], question: Question) -> list[Standing]:
    """Return the combinations of the keys but the seed, in the order of the points."""
    shown = [key for key in keys if key != "seed"]
    return [
        Standing(
            labelled(group[0], shown) or "all points",
            group,
            {("", row["seed"]): _figure(row, question.column) for row in group},
        )
        for group in combinations_in(rows, shown)
    ]


def ranked(
    standings: Mapping[str, Sequence[Standing]], asked: Sequence[Question]
) -> dict[str, Ranking]:
    """Return which combination is best by each of the figures that are asked for, by its column."""
    return rank_each(
        {
            question.column: question.of(
                {one.label: one.figures for one in standings[question.column]}
            )
            for question in asked
        }
    )


def leading(rows: Sequence[Row], keys: Sequence[str], question: Question) -> Sequence[Row]:
    """Return the rows of a combination that no other one is ahead of; else of the first one."""
    standings = combined(rows, keys, question)
    first = ranked({question.column: standings}, [question])[question.column].first
    return next((one.rows for one in standings if one.label == first), standings[0].rows)


def answers(
    rows: Sequence[Row], keys: Sequence[str], target: str | None, runs: Runs
) -> Iterator[str]:
    """Say in sentences what the points show; ``target`` is an accuracy that some have reached."""
    done = [row for row in rows if row["status"] == COMPLETE]
    values = {key: len({as_yaml(row[key]) for row in rows}) for key in keys}
    counts = [f"{key} ({counted(number, 'value')})" for key, number in values.items()]
    over = f", over {' and '.join(counts)}" if counts else ""
    yield f"{len(done)} of {len(rows)} points are complete{over}."
    asked = questions(done, target) if done else []
    each = {question.column: combined(rows, keys, question) for question in asked}
    rankings = ranked(each, asked)
    for number, question in enumerate(asked):
        standings = each[question.column]
        ranking = rankings[question.column]
        yield _top(standings, question)
        if number == 0 or question.column.startswith("hours_to"):
            yield from _verdict(standings, ranking, question)
            found = list(by_key(rows, keys, question, runs))
            yield from found or _apart_from_last(standings, ranking, question, runs)


def _figure(row: Row, column: str) -> float:
    return math.inf if row[column] is None else float(row[column])


def _top(standings: Sequence[Standing], question: Question) -> str:
    """Say what the highest mean is, or the least one, and whose: that alone is no verdict."""
    whole = [one for one in standings if one.mean < math.inf]
    lacking = [one for one in standings if one.mean == math.inf]
    values = [value for one in whole for value in one.figures.values()]
    if whole and _all_the_same(standings):
        return f"{question.text}: {question.form(values[0])}, at every point."
    without = _without(lacking, question)
    if not whole:
        return f"{question.text}: no combination has it with all of its seeds: {without}."
    value = (max if question.rising else min)(one.mean for one in whole)
    top = [one for one in whole if math.isclose(one.mean, value, **CLOSE)]
    text = (
        f"{question.text}: {question.form(value)}, at {_points(in_order(one.label for one in top))}"
    )
    text += f", {_mean_of(list(top[0].figures.values()), question)}"
    if min(values) < max(values):
        text += f"; all points range from {question.form(min(values))} to "
        text += question.form(max(values))
    return f"{text}. Without it: {without}." if without else f"{text}."


def _without(lacking: Sequence[Standing], question: Question) -> str:
    """Name the combinations that lack a figure by what they have instead."""
    labels: dict[str, list[str]] = {}
    has = {one.label: sum(x < math.inf for x in one.figures.values()) for one in lacking}
    by_label = {one.label: one for one in lacking}
    for label in sorted(in_order(by_label), key=lambda label: -has[label]):
        one = by_label[label]
        lacking_rows = [row for row in one.rows if row[question.column] is None]
        why = {why_none(row, question.column) for row in lacking_rows}
        few = f"{has[one.label]} of {len(one.figures)} seeds, else " if has[one.label] else ""
        labels.setdefault(few + ", ".join(sorted(why)), []).append(one.label)
    return "; ".join(f"{_points(same)} ({reason})" for reason, same in labels.items())


def _mean_of(values: Sequence[float], question: Question) -> str:
    if len(values) == 1:
        return "of one seed"
    text = f"mean of {len(values)} seeds"
    if len(set(values)) == 1:
        return f"{text}, the same with each"
    figure = over_seeds(values, question.bounds)
    if figure["low"] is None or figure["high"] is None:
        return f"{text} ({' and '.join(map(question.form, sorted(values)))})"
    ends = [question.form(figure["low"]), question.form(figure["high"])]
    return f"{text} (95 %: {' to '.join(ends)})" if len(set(ends)) > 1 else text


def _verdict(standings: Sequence[Standing], ranking: Ranking, question: Question) -> Iterator[str]:
    """Name the combination that is next, and say whether the first one is told from it."""
    if ranking.verdict in (Verdict.ALONE, Verdict.NEVER) or _all_the_same(standings):
        return
    following = ""
    if ranking.behind:
        second = next(one for one in standings if one.label == ranking.runner_up[0])
        means = " in the mean" if len(second.figures) > 1 else ""
        names = _names(ranking.runner_up)
        following = f"Next, with {question.form(second.mean)}{means}: {names}. "
    yield f"{following}Verdict: {question.verdict(ranking, _names)}."


def _all_the_same(standings: Sequence[Standing]) -> bool:
    """Return whether every point has the same figure."""
    return len({value for one in standings for value in one.figures.values()}) == 1


def _apart_from_last(
    standings: Sequence[Standing], ranking: Ranking, question: Question, runs: Runs
) -> Iterator[str]:
    """Say what sets the first one apart from the last, where no key can be told from the others."""
    if not ranking.behind:
        return
    rows = {one.label: one for one in standings}
    best = rows[str(ranking.first)]
    last = rows[list(ranking.leads)[-1]]
    if verdict_of(ranking.leads[last.label]) is Verdict.WITHIN_NOISE:
        return
    if why := "; ".join(reasons(best.rows, last.rows, question, runs)):
        value = question.form(last.mean)
        means = " in the mean" if len(best.rows) > 1 else ""
        yield f"Beside the last, {last.label} with {value}, {best.label} has{means}: {why}."


def _points(labels: Sequence[str]) -> str:
    """Name the first of some points, and say how many others there are."""
    return some(labels, 1, " and ", "other points")


def _names(labels: Sequence[str]) -> str:
    """Name those that a verdict is about; labels have commas of their own."""
    return some(labels, MOST_NAMED, " and ", "other points")


MOST_NAMED = 3
"""Combinations that a verdict names."""
