"""What a sweep answers: which combination of keys is best, by how much, is it noise, and why.

Points are compared as they were made: a combination by the mean over its seeds, a value of one key
with another at the same values of all other keys and the same seed. Nothing is pooled over keys.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

from sim.analysis.comparison import figures_listed, over_seeds
from sim.execution.folder import COMPLETE
from sim.execution.result import Result, load
from sim.formatting import as_yaml, data_size, seconds, some
from sim.sweep.folder import Sweep, read_sweep, why_none
from sim.sweep.points import labelled
from sim.sweep.text import combinations_in

Row = Mapping[str, Any]
Runs = Mapping[str, Result]
"""Runs of points, by the folders that their rows name."""
FEWEST_COMMON = 0.5
"""Share of a value's points that all values must have a figure at: others would be an odd few."""
Case = tuple[str, int]
"""A setting of all keys but one, and a seed."""
Figures = Mapping[Case, float]

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
    counts = [f"{key} ({len({as_yaml(row[key]) for row in rows})} values)" for key in keys]
    over = f", over {' and '.join(counts)}" if counts else ""
    yield f"{len(done)} of {len(rows)} points are complete{over}."
    for number, question in enumerate(questions(done, target) if done else ()):
        standings = ranked(rows, keys, question)
        yield _best(standings, question)
        if number == 0 or question.column.startswith("hours_to"):
            yield from _beside(standings, question)
            by_key = list(_by_key(rows, keys, question, runs))
            yield from by_key or _apart_from_last(standings, question, runs)


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
    equal = some([one.label for one in whole if one.mean == best.mean], 1, " and ")
    text = f"{question.text}: {question.form(best.mean)}, at {equal}"
    text += f", {_mean_of(list(best.figures.values()), question)}"
    if min(values) < max(values):
        text += f"; single points range from {question.form(min(values))} to "
        text += question.form(max(values))
    return f"{text}. Without it: {without}." if without else f"{text}."


def _without(lacking: Sequence[Standing], question: Question) -> str:
    """Name the combinations that lack a figure by what they have instead."""
    labels: dict[str, list[str]] = {}
    has = {one.label: sum(x < math.inf for x in one.figures.values()) for one in lacking}
    for one in sorted(lacking, key=lambda one: -has[one.label]):
        reasons = {why_none(row) for row in one.rows if row[question.column] is None}
        few = f"{has[one.label]} of {len(one.figures)} seeds, else " if has[one.label] else ""
        labels.setdefault(few + ", ".join(sorted(reasons)), []).append(one.label)
    return "; ".join(f"{some(same, 1, ' and ')} ({reason})" for reason, same in labels.items())


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
        following = behind[0]
        gap, _ = _gap(standings[0].figures, following.figures, question)
        yield f"Next is {following.label} with {question.form(following.mean)} in the mean: {gap}."


def _apart_from_last(
    standings: Sequence[Standing], question: Question, runs: Runs
) -> Iterator[str]:
    """Say what sets the best one apart from the last, where no key can be told from the others."""
    best, last = standings[0], [standings[0], *(s for s in standings if s.mean < math.inf)][-1]
    if reasons := "; ".join(_reasons(best.rows, last.rows, question, runs)):
        value = question.form(last.mean)
        yield f"What sets it apart from the last, {last.label} with {value}: {reasons}."


def _gap(first: Figures, second: Figures, question: Question) -> tuple[str, bool]:
    """Say how far two sets of figures are apart, one with one; also return whether it is noise.

    What differs between seeds is noise. Settings share seeds: the mean over them counts of each.
    """
    sign = 1.0 if question.rising else -1.0
    apart: dict[int, list[float]] = {}
    for case in first.keys() & second.keys():
        apart.setdefault(case[1], []).append(sign * (first[case] - second[case]))
    if not apart:
        return "no seed in common, which cannot tell noise", False
    by_seed = {seed: mean(each) for seed, each in apart.items()}
    each = [one for of_seed in apart.values() for one in of_seed]
    text = f"{question.form(abs(mean(by_seed.values())))} apart"
    if len(each) > len(apart):
        text += f", ahead at {sum(one > 0 for one in each)} of {len(each)} points"
    found = over_seeds(list(by_seed.values()))
    if len(by_seed) == 1:
        return f"{text}, on one seed, which cannot tell noise: sweep with --replications 5", False
    low, high = found["low"] or 0.0, found["high"] or 0.0
    is_noise = low <= 0.0 <= high
    verdict = "within noise" if is_noise else "more than noise"
    ends = [("-" if end < 0.0 else "") + question.form(abs(end)) for end in (low, high)]
    if ends[0] == ends[1]:
        return f"{text}, the same with each of {len(by_seed)} seeds", is_noise
    return f"{text}, {verdict} (95 %: {' to '.join(ends)} over {len(by_seed)} seeds)", is_noise


def _reasons(
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


def _by_key(
    rows: Sequence[Row], keys: Sequence[str], question: Question, runs: Runs
) -> Iterator[str]:
    """Say for each of several keys which value is best where all others are equal, and why."""
    varied = [key for key in keys if key != "seed" and len({as_yaml(r[key]) for r in rows}) > 1]
    for key in varied if len(varied) > 1 else ():
        rest = [other for other in keys if other not in (key, "seed")]
        cases: dict[str, dict[Case, Row]] = {}
        for row in rows:
            setting = as_yaml([row[other] for other in rest])
            cases.setdefault(as_yaml(row[key]), {})[setting, row["seed"]] = row
        known = {
            value: {case: _figure(row, question.column) for case, row in own.items()}
            for value, own in cases.items()
        }
        none = [value for value, own in known.items() if min(own.values()) == math.inf]
        sets = {value: own for value, own in known.items() if value not in none}
        if len(sets) < 2:
            continue
        common = sorted(
            case
            for case in set.intersection(*(set(own) for own in sets.values()))
            if all(own[case] < math.inf for own in sets.values())
        )
        points = len(rows) // len(known)
        if len(common) < FEWEST_COMMON * points:
            yield f"By {key}: only {len(common)} of {points} points can be compared, too few."
            continue
        sets = {value: {case: own[case] for case in common} for value, own in sets.items()}
        order = sorted(sets, key=lambda value: mean(sets[value].values()), reverse=question.rising)
        equal = [value for value in order if sets[value] == sets[order[0]]]
        left = f" ({len(common)} of {points} points)" if len(common) < points else ""
        left += f" but for {', '.join(none)}, which has none" if none else ""
        if len(equal) == len(order):
            yield f"By {key}, all else equal{left}: no difference between {' and '.join(order)}."
            continue
        second = order[len(equal)]
        gap, is_noise = _gap(sets[order[0]], sets[second], question)
        best = f"{' and '.join(equal)} {'is' if len(equal) == 1 else 'are'} best"
        of_both = [[cases[value][case] for case in common] for value in (order[0], second)]
        reasons = () if is_noise else _reasons(of_both[0], of_both[1], question, runs)
        why = "; ".join(reasons)
        yield (
            f"By {key}, all else equal{left}: {best}, before {second}: {gap}."
            + f" With {order[0]}: {why}." * bool(why)
        )
        others = [other for other in rest if other in varied]
        yield from _turns([(v, cases[v], sets[v]) for v in (order[0], second)], others, question)


def _turns(
    pair: Sequence[tuple[str, Mapping[Case, Row], Figures]],
    others: Sequence[str],
    question: Question,
) -> Iterator[str]:
    """Say which other keys turn the order of two values of a key around, by more than noise."""
    (first, rows, its), (second, _, others_its) = pair
    sign = 1.0 if question.rising else -1.0
    for other in others:
        ahead: dict[bool, list[tuple[float, str]]] = {True: [], False: []}
        settings: dict[str, list[Case]] = {}
        for case in its:
            settings.setdefault(as_yaml(rows[case][other]), []).append(case)
        for value, cases in settings.items():
            one, two = ({case: figures[case] for case in cases} for figures in (its, others_its))
            by = sign * (mean(one.values()) - mean(two.values()))
            name, best, rest = (first, one, two) if by > 0 else (second, two, one)
            gap, is_noise = _gap(best, rest, question)
            if by and not is_noise and len({seed for _, seed in cases}) > 1:
                ahead[by > 0].append((abs(by), f"at {other}={value} {name} is ahead, {gap}"))
        if all(ahead.values()):
            most = "; ".join(max(ahead[way])[1] for way in (True, False))
            yield f"It depends on {other}: {most}."
