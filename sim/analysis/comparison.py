"""Groups of runs that differ in their seed: medians, ranges, means, ratios, tests and verdicts."""

import json
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sim.analysis.figures import FIGURES, bounds_of
from sim.analysis.group_tests import (
    ACCURACY,
    HOURS,
    LOSS,
    TO_DEADLINE,
    BySeed,
    GroupTests,
)
from sim.analysis.over_seeds import over_seeds
from sim.analysis.targets import (
    TARGETS,
    Evaluation,
    first_reached,
    first_sustained,
    given,
    levels,
    named,
)
from sim.analysis.time_average import common_deadline, time_averaged
from sim.formatting import as_yaml, last_parts

BASELINE = "synchronous"
LONGEST_LABEL = 48

NO_RESULT = ("seed", "description", "learning.targets")
"""Keys by which runs of one group may differ."""


Crossing = Callable[[Sequence[Evaluation], float], Mapping[str, Any] | None]
"""When a curve has reached a target, and what had been spent by then; None if never."""


class WithoutTables(NamedTuple):
    """What a comparison needs of a run, as :class:`sim.Result` has it; its tables leave memory."""

    summary: Mapping[str, Any]
    manifest: Mapping[str, Any]
    evaluations: Sequence[Evaluation]


@dataclass(frozen=True)
class Group:
    """Runs of one scenario and method with different seeds, each like :class:`WithoutTables`."""

    label: str
    runs: Sequence[Any]

    def values(self, *path: str) -> list[float]:
        """Return one figure of every run; a figure that was never reached is inf."""
        found = []
        for run in self.runs:
            value: Any = run.summary
            for key in path:
                value = None if value is None else value[key]
            found.append(_or_never(value))
        return found


def group_runs(runs: Sequence[Any]) -> list[Group]:
    """Group runs whose scenarios differ in the seed, or what is said or reported of them, only.

    Groups are in the order in which they came. A run that was done twice counts once.
    """
    plain: list[dict[str, Any]] = [
        {key: None if key in NO_RESULT else value for key, value in values.items()}
        for values in (flat(run.manifest["scenario"]) for run in runs)
    ]
    differing = [k for k in plain[0] if any(p.get(k) != plain[0][k] for p in plain)]
    differing = sorted({*differing, *(k for p in plain for k in p if k not in plain[0])})
    same = {key for values in plain for key in values}.difference(differing)
    others = [key.rsplit(".", 1)[-1] for key in same]
    called = dict(zip(differing, last_parts(differing, others), strict=True))
    members: dict[str, list[Any]] = {}
    labels: dict[str, str] = {}
    for run, values in zip(runs, plain, strict=True):
        named = [k for k in differing if k != "learning.method" and values.get(k) is not None]
        said = (" ".join(f"{called[key]}={as_yaml(values[key])}".split()) for key in named)
        short = (t if len(t) <= LONGEST_LABEL else f"{t[:LONGEST_LABEL]}..." for t in said)
        parts = [values["learning.method"], *short]
        status = run.summary["status"]
        if status != "complete":
            parts.append(f"({status})")
        # By what they say in full: long values may look alike when they are cut.
        key = json.dumps([values, status], sort_keys=True, default=str)
        alike = members.setdefault(key, [])
        # A run that was done twice has the same trace.
        own = run.summary["seed"], run.summary["trace_sha256"]
        if all((r.summary["seed"], r.summary["trace_sha256"]) != own for r in alike):
            alike.append(run)
        labels.setdefault(key, _new(" ".join(parts), labels.values()))
    return [Group(labels[key], tuple(found)) for key, found in members.items()]


def _new(label: str, known: Collection[str]) -> str:
    """Return the label, numbered where another group looks the same."""
    number = 1 + sum(other == label or other.startswith(f"{label} #") for other in known)
    return label if number == 1 else f"{label} #{number}"


MORE_SEEDS = "run each with more seeds (--seed)"
"""What to do where runs of one seed were compared."""


def compare_groups(
    groups: Sequence[Group], more_seeds: str = MORE_SEEDS, deadline_days: float | None = None
) -> dict[str, Any]:
    """Return accuracy, cycles and hours to targets, bytes, and ratios of groups of runs.

    ``targets`` are those that the scenarios name or, where none does, levels that some run reached;
    the figures have ``TARGETS`` beside them. The ratio of a group is how many times fewer cycles it
    needs than the first synchronous group (than the first group, if none is synchronous).
    ``deadline_hours`` ends the time over which accuracy is averaged: ``deadline_days``, else what
    the shortest run covers. ``more_seeds`` says what to do where there is one seed only. Raises
    InputError for a deadline that not all runs cover.
    """
    runs = [run for group in groups for run in group.runs]
    deadline = common_deadline(runs, deadline_days)
    asked = sorted({target for run in runs for target in given(run.manifest)})
    chosen = asked or levels([run.evaluations for run in runs])
    every = asked or sorted({*chosen, *TARGETS})
    rows = [_row(group, every, deadline) for group in groups]
    methods = [group.runs[0].summary["method"] for group in groups]
    reference = methods.index(BASELINE) if BASELINE in methods else 0
    most = {name: figure["median"] for name, figure in rows[reference]["cycles_to"].items()}
    for row in rows:
        own = {name: figure["median"] for name, figure in row["cycles_to"].items()}
        row["ratio"] = {
            name: most[name] / own[name] if most[name] is not None and own[name] else None
            for name in own
        }
    names = [named(target) for target in chosen]
    medians = {name: [row["cycles_to"][name]["median"] for row in rows] for name in names}
    common = max((name for name, found in medians.items() if None not in found), default=None)
    tested = GroupTests.of(_measured(groups, common, deadline))
    return {
        "reference": groups[reference].label,
        "targets": names,
        "common_target": common,
        "deadline_hours": deadline,
        "tests": tested.against(groups[reference].label),
        "tests_corrected_for": tested.tests.count,
        "groups": rows,
        "verdicts": list(tested.verdicts(common, more_seeds)),
    }


def _measured(
    groups: Sequence[Group], common: str | None, deadline: float | None
) -> dict[str, BySeed]:
    """Return what is tested: final and mean accuracy, final loss, and hours to a target, if any."""

    def hours(run: Any) -> float | None:
        reached = None if common is None else first_reached(run.evaluations, float(common))
        return None if reached is None else float(reached["hours"])

    figures = {
        ACCURACY: lambda run: run.summary[ACCURACY],
        TO_DEADLINE: lambda run: _to_deadline(run, deadline),
        LOSS: lambda run: run.summary[LOSS],
        HOURS: hours,
    }
    lacking = {TO_DEADLINE: deadline is None, HOURS: common is None}
    return {
        figure: {
            group.label: {run.summary["seed"]: _or_never(measure(run)) for run in group.runs}
            for group in groups
        }
        for figure, measure in figures.items()
        if not lacking.get(figure)
    }


def _to_deadline(run: Any, deadline: float | None) -> float | None:
    """Return the accuracy of a run averaged over the time to a deadline in hours, if there is one.

    It is None of a run whose accuracy is not known.
    """
    return None if deadline is None else time_averaged(run.evaluations, deadline)


def _row(group: Group, targets: Sequence[float], deadline: float | None) -> dict[str, Any]:
    def values(key: str) -> list[float]:
        if key == TO_DEADLINE:
            return [_or_never(_to_deadline(run, deadline)) for run in group.runs]
        return group.values(*(FIGURES[key].path or [key]))

    return {
        "label": group.label,
        "runs": len(group.runs),
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
    """Return what it took a group to reach each target, and how many of its runs ``reached`` it."""
    found = {
        named(target): [crossing(run.evaluations, target) or {} for run in group.runs]
        for target in targets
    }
    return {
        f"{key}_to{ending}": {
            name: {
                **over_seeds([_or_never(one.get(key)) for one in each], bounds_of(f"{key}_to")),
                "reached": sum(map(bool, each)),
            }
            for name, each in found.items()
        }
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
