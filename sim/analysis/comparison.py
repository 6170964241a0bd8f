"""Groups of runs that differ in their seed: medians, ranges, means, ratios, tests and verdicts."""

import json
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

from scenarios.parsing import shipped_table
from sim.analysis.over_seeds import over_seeds, paired
from sim.analysis.targets import TARGETS, Evaluation, first_reached, given, levels, named
from sim.analysis.verdict import (
    NO_BOUNDS,
    Bounds,
    Ranking,
    rank,
)
from sim.analysis.verdict_text import ranking_json, sentence
from sim.files import packaged
from sim.formatting import as_yaml, count, data_size, last_parts, listed

BASELINE = "synchronous"
HOURS = "hours_to_common"
"""What a test of the hours to the highest common target is called."""
LONGEST_LABEL = 48

NO_RESULT = ("seed", "description", "learning.targets")
"""Keys by which runs of one group may differ."""

LISTED: dict[str, dict[str, Any]] = shipped_table(packaged("sim.analysis", "figures.yaml"))
"""What ``figures.yaml`` says of each figure."""


class Figure(NamedTuple):
    """A figure of runs: its head where it is shown, its form in a unit, and its path in summaries.

    Without a head it is one of ``compare --json`` only; without a path it has the same key there.
    It is not below ``least`` and not above ``most``.
    """

    head: str
    form: Callable[[float], str]
    unit: float = 1.0
    path: Sequence[str] = ()
    least: float = -math.inf
    most: float = math.inf

    @classmethod
    def of(cls, head: str = "", form: str = "{:g}", **more: Any) -> Self:
        """Return the figure of an entry of ``figures.yaml``."""
        return cls(head, NAMED_FORMS.get(form, form.format), **more)

    @property
    def bounds(self) -> Bounds:
        """What it cannot be below and above, in the unit of summaries and tables."""
        return Bounds(self.least, self.most)


NAMED_FORMS: dict[str, Callable[[float], str]] = {"data_size": data_size, "count": count}
"""Forms that ``figures.yaml`` has by name."""


def figures_listed(kind: str) -> dict[str, Figure]:
    """Return the figures of one of the lists of ``figures.yaml``."""
    return {key: Figure.of(**listed) for key, listed in LISTED[kind].items()}


FIGURES = figures_listed("of_groups")
"""What is known of a group of runs, in the order in which text and pages show it."""
OF_POINTS = figures_listed("of_points")
"""Figures of points of a sweep that groups do not have, or not as numbers in one unit."""
TO_TARGETS = figures_listed("to_targets")
"""What a target takes."""


def bounds_of(column: str) -> Bounds:
    """Return what a figure cannot be below and above, by its key or its column of a sweep."""
    for key, figure in TO_TARGETS.items():
        if column.startswith(f"{key}_") or column == key:
            return figure.bounds
    known = FIGURES.get(column) or OF_POINTS.get(column)
    return known.bounds if known else NO_BOUNDS


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


def compare_groups(groups: Sequence[Group], more_seeds: str = MORE_SEEDS) -> dict[str, Any]:
    """Return accuracy, cycles and hours to targets, bytes, and ratios of groups of runs.

    ``targets`` are those that the scenarios name or, where none does, levels that some run reached;
    the figures have ``TARGETS`` beside them. The ratio of a group is how many times fewer cycles it
    needs than the first synchronous group (than the first group, if none is synchronous).
    ``more_seeds`` says what to do where there is one seed only.
    """
    runs = [run for group in groups for run in group.runs]
    asked = sorted({target for run in runs for target in given(run.manifest)})
    chosen = asked or levels([run.evaluations for run in runs])
    every = asked or sorted({*chosen, *TARGETS})
    rows = [_row(group, every) for group in groups]
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
    return {
        "reference": groups[reference].label,
        "targets": names,
        "common_target": common,
        "tests": _tests(groups, groups[reference], common),
        "groups": rows,
        "verdicts": [
            {**asked, **ranking_json(found), "text": _words(found, asked["figure"], more_seeds)}
            for asked, found in _verdicts(groups, common)
        ],
    }


def _by_seed(group: Group, figure: str, common: str | None) -> dict[int, float]:
    """Return what was measured, by seed; inf where it was not, or was never reached."""
    found = {}
    for run in group.runs:
        value = run.summary.get(figure)
        if figure == HOURS and common is not None:
            value = (first_reached(run.evaluations, float(common)) or {}).get("hours")
        found[run.summary["seed"]] = _or_never(value)
    return found


def _tests(groups: Sequence[Group], reference: Group, common: str | None) -> list[dict[str, Any]]:
    """Compare each group with the reference on the seeds of both, by what was measured."""
    figures = ["accuracy_final", "loss_final", *([] if common is None else [HOURS])]
    return [
        {
            "group": group.label,
            "against": reference.label,
            "figure": figure,
            **paired(
                _by_seed(group, figure, common),
                _by_seed(reference, figure, common),
                bounds_of("hours_to" if figure == HOURS else figure),
            ),
        }
        for group in groups
        if group is not reference
        for figure in figures
    ]


ASKED = {"accuracy_final": True, HOURS: False}
"""Figures of which a comparison says who is best, and whether more of them is better."""


def _verdicts(
    groups: Sequence[Group], common: str | None
) -> Iterator[tuple[dict[str, str], Ranking]]:
    """Rank the groups by each figure that one of them has, on the seeds that two have."""
    for figure, rising in ASKED.items():
        candidates = {
            group.label: {("", seed): value for seed, value in of_group.items()}
            for group in groups
            for of_group in [_by_seed(group, figure, common)]
        }
        known = any(math.isfinite(x) for own in candidates.values() for x in own.values())
        if known and len(groups) > 1:
            column = "hours_to" if figure == HOURS else figure
            head = f"time to {common}" if figure == HOURS else FIGURES[figure].head
            found = rank(candidates, rising=rising, bounds=bounds_of(column))
            yield {"figure": figure, "head": head}, found


def _words(ranking: Ranking, figure: str, more_seeds: str) -> str:
    """Say who is best by a figure; times in days, as the tables have them."""
    form = (lambda hours: f"{hours / 24:.2f} days") if figure == HOURS else FIGURES[figure].form
    text = sentence(ranking, form, more_seeds=more_seeds)
    if not ranking.without:
        return text
    lacks = "did not get there" if figure == HOURS else "does not have it"
    lacking = f"{listed(ranking.without)} {lacks} with every seed"
    return "; ".join(part for part in (text, lacking) if part)


def _row(group: Group, targets: Sequence[float]) -> dict[str, Any]:
    reached = {
        named(target): [first_reached(run.evaluations, target) or {} for run in group.runs]
        for target in targets
    }

    return {
        "label": group.label,
        "runs": len(group.runs),
        "stand_in": group.runs[0].summary["stand_in"],
        "seeds": [run.summary["seed"] for run in group.runs],
        **{
            key: over_seeds(group.values(*(figure.path or [key])), figure.bounds)
            for key, figure in FIGURES.items()
        },
        **{
            f"{key}_to": {
                name: over_seeds([_or_never(one.get(key)) for one in each], bounds_of(f"{key}_to"))
                for name, each in reached.items()
            }
            for key in ("cycles", "hours", "gradient_steps", "energy_j")
        },
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
