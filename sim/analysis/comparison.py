"""Groups of runs that differ in their seed: medians, ranges, means, ratios, tests and verdicts."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from sim.analysis.caveats import Caveat, caveats_of, other_losses, other_versions
from sim.analysis.figures import FIGURES, TO_TARGETS, figures_of
from sim.analysis.group_tests import ACCURACY, HOURS, LOSS, TO_DEADLINE, GroupTests, Measured
from sim.analysis.judged import Judged, judged_together
from sim.analysis.labels import CODE, code_label, labels_of
from sim.analysis.lead import Case
from sim.analysis.main_figures import SPENT
from sim.analysis.measure import Measure, measure_of, measures_of_time
from sim.analysis.notebook import framed
from sim.analysis.over_seeds import geometric, over_seeds
from sim.analysis.rows import Answer, Standing
from sim.analysis.rows_json import caveat_json, limits_json, rows_json, verdict_json
from sim.analysis.targets import (
    TARGETS,
    Evaluation,
    first_reached,
    first_sustained,
    given,
    levels,
    named,
    shared_target,
)
from sim.analysis.time_average import common_deadline, time_averaged
from sim.analysis.verdict import Verdict
from sim.analysis.verdict_text import (
    MORE_SEEDS,
    Words,
    comparison_headline,
    comparison_limits,
    with_spent,
)
from sim.facts.status import COMPLETE, FAILED
from statements import Code, Remedy, Statement

if TYPE_CHECKING:
    import pandas as pd

BASELINE = "synchronous"

NO_RESULT = ("seed", "description", "learning.targets")
"""Keys by which runs of one group may differ."""


Crossing = Callable[[Sequence[Evaluation], float], Mapping[str, Any] | None]
"""When a curve has reached a target, and what had been spent by then; None if never."""


class WithoutTables(NamedTuple):
    """What a comparison needs of a run, as :class:`sim.Result` has it; its tables leave memory."""

    summary: Mapping[str, Any]
    manifest: Mapping[str, Any]
    evaluations: Sequence[Evaluation]
    folder: Path | None


@dataclass(frozen=True)
class Group:
    """Runs of one scenario and method with different seeds, each like :class:`WithoutTables`."""

    label: str
    runs: Sequence[Any]

    @property
    def status(self) -> str:
        """How its runs have ended, which is the same of all."""
        return str(self.runs[0].summary["status"])

    def values(self, *path: str) -> list[float]:
        """Return one figure of every run; a figure that was never reached is inf."""
        return [_or_never(at_path(run.summary, path)) for run in self.runs]


def at_path(summary: Mapping[str, Any], path: Sequence[str]) -> float | None:
    """Return a figure of a summary by the keys that lead to it; None where there is none."""
    value: Any = summary
    for key in path:
        value = None if value is None else value[key]
    return None if value is None else float(value)


def group_runs(runs: Sequence[Any]) -> list[Group]:
    """Group runs whose scenarios differ in the seed, or what is said or reported of them, only.

    Groups are in the order in which they came. A run that was done twice counts once.
    Runs with other code of the user's are another group, and so is a run of the same seed with
    another trace, whatever the reason is: it is no further seed.
    Single runs that differ in more keys than a label has room for are called by their folders.
    """
    plain: list[dict[str, Any]] = [
        {key: None if key in NO_RESULT else value for key, value in values.items()}
        for values in (flat(run.manifest["scenario"]) for run in runs)
    ]
    members: dict[str, list[Any]] = {}
    settings: dict[str, dict[str, Any]] = {}
    for run, values in zip(runs, plain, strict=True):
        # By what they say in full: long values may look alike when they are cut.
        key = json.dumps([values, run.summary["status"]], sort_keys=True, default=str)
        settings[key] = values
        members.setdefault(key, []).append(run)
    groups: list[tuple[dict[str, Any], list[Any]]] = []
    for key, alike in members.items():
        by_code: dict[str, list[Any]] = {}
        for run in alike:
            by_code.setdefault(code_label(run.manifest), []).append(run)
        for code, own in by_code.items():
            repeats = _repeats(own)
            for number, each in enumerate(repeats, 1):
                told = {CODE: code} if len(by_code) > 1 else {}
                again = {"repeat": number} if len(repeats) > 1 else {}
                groups.append((settings[key] | told | again, each))
    order = {id(run): number for number, run in enumerate(runs)}
    groups.sort(key=lambda group: order[id(group[1][0])])
    labels = _labels(
        [own for own, _ in groups],
        [each[0].summary["status"] for _, each in groups],
        [] if len(runs) > len(groups) else [run.folder.name for run in runs if run.folder],
    )
    return [Group(label, tuple(each)) for label, (_, each) in zip(labels, groups, strict=True)]


def _repeats(runs: Sequence[Any]) -> list[list[Any]]:
    """Return runs so that no two of a seed are together, but for those of equal traces: one stays.

    Runs that were done twice have the same trace.
    """
    repeats: list[list[Any]] = [[]]
    for run in runs:
        seed, trace = run.summary["seed"], run.summary["trace_sha256"]
        of_seed = [own.summary for each in repeats for own in each if own.summary["seed"] == seed]
        if trace in [own["trace_sha256"] for own in of_seed]:
            continue
        if len(of_seed) == len(repeats):
            repeats.append([])
        repeats[len(of_seed)].append(run)
    return repeats


def _labels(
    settings: Sequence[Mapping[str, Any]], statuses: Sequence[str], names: Sequence[str]
) -> list[str]:
    """Return the labels of groups by what they set; those that are not complete say so."""
    keys = [json.dumps(own, sort_keys=True, default=str) for own in settings]
    different = dict(zip(keys, settings, strict=True))
    own_names = names if len(names) == len(different) else ()
    labels = dict(zip(different, labels_of([*different.values()], names=own_names), strict=True))
    return [
        labels[key] if status == COMPLETE else f"{labels[key]} ({status})"
        for key, status in zip(keys, statuses, strict=True)
    ]


TESTED = {
    Judged.ACCURACY: {ACCURACY: ACCURACY, TO_DEADLINE: TO_DEADLINE, LOSS: LOSS},
    Judged.LOSS: {LOSS: LOSS, ACCURACY: ACCURACY},
}
"""Columns of what is tested of runs that train, beside the hours to the shared target."""
BYTES = "bytes"
"""The unit of figures of traffic, which have no rows where nobody sends anything."""
UNRANKED = {Judged.ACCURACY: LOSS, Judged.LOSS: ACCURACY}
"""Figures that are tested, and of which nobody is called best."""


@dataclass(frozen=True, eq=False)
class Comparison(Mapping[str, Any]):
    """What a comparison of groups of runs has found.

    ``answers`` are its rows by figure, those that are tested first; ``caveats`` are what has to
    be known of them; ``headline`` is what was found in one sentence, and ``limits`` are what
    limits its meaning. ``tests`` are all that were made. As a mapping it is what ``compare --json``
    prints. ``folders`` are those of the runs; with them it shows itself in a notebook as the page
    of the report.
    """

    answers: tuple[Answer, ...]
    caveats: tuple[Caveat, ...]
    headline: str
    limits: tuple[Statement, ...]
    printed: Mapping[str, Any]
    tests: GroupTests = field(repr=False)
    folders: tuple[Path, ...] = field(default=(), repr=False)
    deadline_days: float | None = field(default=None, repr=False)

    @property
    def rows(self) -> pd.DataFrame:
        """One row per figure and group as a pandas table, the best one of a figure first."""
        import pandas as pd

        return pd.DataFrame(rows_json(self.answers))

    def __getitem__(self, key: str) -> Any:
        """Return one part of what is printed."""
        return self.printed[key]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names of these parts."""
        return iter(self.printed)

    def __len__(self) -> int:
        """Return how many parts there are."""
        return len(self.printed)

    def _repr_html_(self) -> str | None:
        """Return the page of the report in a frame; None without folders."""
        return framed(self.headline, self) if self.folders else None


def compare_groups(
    groups: Sequence[Group],
    more_seeds: Remedy = MORE_SEEDS,
    deadline_days: float | None = None,
    target: str | None = None,
) -> Comparison:
    """Return accuracy, cycles and hours to targets, bytes, and ratios of groups of runs.

    ``judged_by`` is the figure that comes first: the accuracy, or the loss of runs that learn each
    next token or measure no accuracy, which have no targets but those that they name.
    ``targets`` are those that the scenarios name or, where none does, levels that some run reached;
    the figures have ``TARGETS`` beside them. The ``shared_target`` is the one of tests, verdicts,
    tables and pictures: ``target``, else the highest that all runs have reached, or half, or any.
    The ratio of a group is how many times fewer cycles it needs than the first synchronous group,
    or than the first group, if none is synchronous.
    ``deadline_hours`` ends the time over which accuracy is averaged: ``deadline_days``, else what
    the shortest run covers. ``more_seeds`` is what helps where there is one seed only. Raises
    InputError for a deadline that not all runs cover.
    """
    runs = [run for group in groups for run in group.runs]
    deadline = common_deadline(runs, deadline_days)
    judged = judged_together(run.summary for run in runs)
    tokens = any(run.summary.get("accuracy_final") is not None for run in runs)
    chosen, every = _levels(runs, judged, target)
    methods = [group.runs[0].summary["method"] for group in groups]
    reference = methods.index(BASELINE) if BASELINE in methods else 0
    rows = _with_ratios([_row(group, every, deadline) for group in groups], reference)
    names = [named(level) for level in chosen]
    unended = _unended(groups)
    shared, by_all = _shared(groups, rows, names, unended, target)
    caveats = _caveats(groups)
    untrained = [caveat.group for caveat in caveats if caveat.said.code is Code.TIMING_ONLY]
    timed = _timed(runs) if len(untrained) == len(groups) else {}
    common = {} if shared is None else {f"hours_to_{shared}": HOURS}
    tested = {**({column: column for column in timed} or TESTED[judged]), **common}
    drawn = any(run.manifest.get("drawn") is not False for run in runs)
    measured = [
        one.asked_as(timed.get(one.measure.column), drawn=drawn)
        for one in _measured(groups, chosen, deadline, untrained, unended, judged, tokens=tokens)
    ]
    found = GroupTests.of(measured, tested)
    words = Words(more_seeds=more_seeds)
    answers = _tested_first(found.answers(), tested)
    ranked = [one for one in answers if one.measure.column in tested.keys() - {UNRANKED[judged]}]
    titled = _titled(ranked, answers)
    title = comparison_headline(titled, len(groups), words)
    limits = comparison_limits(titled, caveats, len(groups), words, drawn=drawn)
    printed = {
        "headline": title,
        "limits": limits_json(limits),
        "caveats": [caveat_json(caveat) for caveat in caveats],
        "said": _said(groups),
        "judged_by": judged,
        "reference": groups[reference].label,
        "targets": names,
        "shared_target": shared,
        "common_target": shared if by_all else None,
        "deadline_hours": deadline,
        "tests": found.against(groups[reference].label),
        "tests_corrected_for": found.tests.count,
        "groups": rows,
        "verdicts": [
            verdict_json(one, tested[one.measure.column], words)
            for one in ranked
            if one.verdict is not Verdict.ALONE
        ],
        "rows": rows_json(answers),
    }
    return Comparison(answers, caveats, title, tuple(limits), printed, found)


def _titled(ranked: Sequence[Answer], answers: Sequence[Answer]) -> list[Answer]:
    """Return what a headline is on, of what is ``ranked`` first; of all ``answers`` what is spent.

    What a simulation of time is for comes first: how long it takes to get there.
    """
    by_purpose = sorted(ranked, key=lambda one: not one.measure.target)
    return with_spent(by_purpose, [one for one in answers if one.measure.column in SPENT])


def _shared(
    groups: Sequence[Group],
    rows: Sequence[Mapping[str, Any]],
    names: Sequence[str],
    unended: Collection[str],
    target: str | None,
) -> tuple[str | None, bool]:
    """Return the target at which groups are compared, if any, and whether all runs reached it.

    Runs that have not come to their end do not count.
    """
    runs = [run for group in groups if group.label not in unended for run in group.runs]
    ended = [row for row in rows if row["label"] not in unended]
    reached = {name: sum(row["cycles_to"][name]["reached"] for row in ended) for name in names}
    shared = target or shared_target(reached, sum(1 for run in runs if run.evaluations))
    return shared, shared is not None and reached[shared] == len(runs)


def _levels(
    runs: Sequence[Any], judged: Judged, target: str | None
) -> tuple[Sequence[float], Sequence[float]]:
    """Return the targets of a comparison, and all levels that it has figures of."""
    asked = sorted({level for run in runs for level in given(run.manifest)})
    curves = [run.evaluations for run in runs] if judged == Judged.ACCURACY else ()
    chosen = asked or levels(curves)
    if target is not None:
        chosen = sorted({*chosen, float(target)})
    return chosen, asked or sorted({*chosen, *TARGETS})


def _caveats(groups: Sequence[Group]) -> tuple[Caveat, ...]:
    """Return what limits the runs of each group, and that losses or versions differ."""
    caveats = tuple(c for group in groups for c in caveats_of(group.label, group.runs))
    manifests = [run.manifest for group in groups for run in group.runs]
    of_all = [said for said in (other_losses(manifests), other_versions(manifests)) if said]
    return (*caveats, *(Caveat(group.label, said) for said in of_all for group in groups))


def _unended(groups: Sequence[Group]) -> dict[str, Standing]:
    """Return the groups whose runs have not come to their end, where others' runs have.

    What they would have reached is not known, so that nobody is ahead of them or behind.
    """
    if all(group.status != COMPLETE for group in groups):
        return {}
    return {
        group.label: Standing.FAILED if group.status == FAILED else Standing.NOT_ENDED
        for group in groups
        if group.status != COMPLETE
    }


def _timed(runs: Sequence[Any]) -> dict[str, Measure]:
    """Return what runs without training are compared by, by its column."""
    rounds = all(at_path(run.summary, FIGURES["round_mean_s"].path) is not None for run in runs)
    asked = measures_of_time([run.summary["method"] for run in runs], rounds=rounds)
    return {one.column: one for one in asked}


def _said(groups: Sequence[Group]) -> list[dict[str, Any]]:
    """Return what the runs of groups have warned of and noted, as their manifests have it."""
    return [
        {"group": group.label, "seed": run.manifest["seed"], **said}
        for group in groups
        for run in group.runs
        for said in run.manifest.get("said", ())
    ]


def _with_ratios(rows: list[dict[str, Any]], reference: int) -> list[dict[str, Any]]:
    """Return rows of groups, each with how many times fewer cycles it needs than the reference."""
    most = {name: figure["median"] for name, figure in rows[reference]["cycles_to"].items()}
    for row in rows:
        own = {name: figure["median"] for name, figure in row["cycles_to"].items()}
        row["ratio"] = {
            name: most[name] / own[name] if most[name] is not None and own[name] else None
            for name in own
        }
    return rows


def _tested_first(answers: Iterable[Answer], tested: Collection[str]) -> tuple[Answer, ...]:
    """Return answers in order: tested ones first, as they are tested."""
    order = list(tested)
    rest = len(order)

    def place(one: Answer) -> int:
        return order.index(one.measure.column) if one.measure.column in order else rest

    return tuple(sorted(answers, key=place))


def _measured(
    groups: Sequence[Group],
    targets: Sequence[float],
    deadline: float | None,
    untrained: Collection[str],
    unended: Mapping[str, Standing],
    judged: Judged,
    *,
    tokens: bool,
) -> list[Measured]:
    """Return all figures by which one group may be better than another, if some group has them."""

    def of_run(key: str) -> Callable[[Any], float | None]:
        if key == TO_DEADLINE:
            return lambda run: _to_deadline(run, deadline)
        path = FIGURES[key].path or [key]
        return lambda run: at_path(run.summary, path)

    def to_target(key: str, target: float) -> Callable[[Any], float | None]:
        return lambda run: (first_reached(run.evaluations, target) or {}).get(key)

    figures = figures_of(judged, tokens=tokens)
    wanted = {key: of_run(key) for key, figure in figures.items() if figure.best}
    for target in targets:
        for key in TO_TARGETS:
            spent = key.removesuffix("_to")
            wanted[f"{key}_{named(target)}"] = to_target(spent, target)
    found = []
    for column, figure_of in wanted.items():
        by_seed = {
            group.label: _by_seed(group, _unknown if group.label in unended else figure_of)
            for group in groups
        }
        known = {x for own in by_seed.values() for x in own.values() if math.isfinite(x)}
        measure = measure_of(column, judged, tokens=tokens)
        nothing_sent = measure.unit == BYTES and known == {0.0}
        if (known and not nothing_sent) or column.startswith("hours_to_"):
            lacking = {**_lacking(groups, measure, untrained), **unended}
            found.append(Measured(measure, by_seed, lacking))
    return found


def _by_seed(group: Group, figure_of: Callable[[Any], float | None]) -> dict[Case, float]:
    return {("", run.summary["seed"]): _or_never(figure_of(run)) for run in group.runs}


def _unknown(_run: Any) -> None:
    """Give no figure of a run that has not come to its end."""


def _lacking(
    groups: Sequence[Group], measure: Measure, untrained: Collection[str]
) -> dict[str, Standing]:
    """Say which groups cannot have a figure: nothing was trained, or nobody counted."""
    found = {label: Standing.NOT_TRAINED for label in untrained if measure.figure.learnt}
    spent = measure.column.partition("_to_")[0]
    for group in groups if measure.target else ():
        reached = (first_reached(run.evaluations, float(measure.target)) for run in group.runs)
        if any(one is not None and one[spent] is None for one in reached):
            found[group.label] = Standing.UNKNOWN
    return found


def _to_deadline(run: Any, deadline: float | None) -> float | None:
    """Return the accuracy of a run averaged over the time to a deadline in hours, if there is one.

    It is None of a run whose accuracy is not known.
    """
    if deadline is None or run.summary["accuracy_final"] is None:
        return None
    return time_averaged(run.evaluations, deadline)


def _row(group: Group, targets: Sequence[float], deadline: float | None) -> dict[str, Any]:
    def values(key: str) -> list[float]:
        if key == TO_DEADLINE:
            return [_or_never(_to_deadline(run, deadline)) for run in group.runs]
        return group.values(*(FIGURES[key].path or [key]))

    return {
        "label": group.label,
        "runs": len(group.runs),
        "status": group.status,
        "stand_in": group.runs[0].summary["stand_in"],
        "seeds": [run.summary["seed"] for run in group.runs],
        **{key: over_seeds(values(key), figure.bounds) for key, figure in FIGURES.items()},
        **_to_targets(group, targets, first_reached, ""),
        **_to_targets(group, targets, first_sustained, SUSTAINED),
    }


SUSTAINED = "_sustained"
"""How keys end of what it took to reach targets and stay there."""


def _to_targets(
    group: Group, targets: Sequence[float], crossing: Crossing, ending: str
) -> dict[str, dict[str, Any]]:
    """Return what it took a group to reach each target, and how many of its runs ``reached`` it.

    What is compared by ratios has its geometric mean too.
    """

    def spent(each: Sequence[Mapping[str, Any]], key: str) -> dict[str, Any]:
        values = [_or_never(one.get(key)) for one in each]
        figure = TO_TARGETS[f"{key}_to"]
        on_logarithms = geometric(values) if figure.ratios else {}
        reached = sum(map(bool, each))
        return {**over_seeds(values, figure.bounds), **on_logarithms, "reached": reached}

    found = {
        named(target): [crossing(run.evaluations, target) or {} for run in group.runs]
        for target in targets
    }
    return {
        f"{key}_to{ending}": {name: spent(each, key) for name, each in found.items()}
        for key in ("cycles", "hours", "gradient_steps", "energy_j")
    }


def _or_never(value: float | None) -> float:
    return math.inf if value is None else float(value)


def flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """Return nested dictionaries as one, by dotted keys; lists become JSON."""
    if not isinstance(value, dict):
        return {prefix: value if not isinstance(value, list) else json.dumps(value)}
    found: dict[str, Any] = {}
    for key, inner in value.items():
        found |= flat(inner, f"{prefix}.{key}" if prefix else key)
    return found
