"""Groups of runs that differ in their seed: what each is called, and how they compare."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from learning.settings import CROSS_ENTROPY, NEXT_TOKEN
from sim.analysis.checks import checks_in
from sim.analysis.comparison import MORE_SEEDS, CheckOfRun, Comparison
from sim.analysis.figures import (
    FIGURES,
    OF_NETWORKS,
    Figure,
    figure_listed,
    figure_of_network,
    figures_of,
)
from sim.analysis.judged import Judged, is_measured, judged_together
from sim.analysis.labels import CODE, code_label, labels_of
from sim.analysis.methods import known_method
from sim.analysis.ranking import Case
from sim.analysis.targets import (
    Evaluation,
    first_reached,
    given,
    levels,
    shared_target,
    times_reached,
)
from sim.facts.status import COMPLETE
from statements import Code, Other, Remedy, Statement

NO_RESULT = ("seed", "description", "learning.targets")
"""Keys by which runs of one group may differ."""


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

    @property
    def about(self) -> dict[str, Any]:
        """What ``compare --json`` says of it."""
        return {
            "label": self.label,
            "status": self.status,
            "seeds": [run.summary["seed"] for run in self.runs],
            "stand_in": self.runs[0].summary.get("stand_in"),
        }


def group_runs(runs: Sequence[Any]) -> list[Group]:
    """Group runs whose scenarios differ in the seed, or what is said or reported of them, only.

    Groups are in the order in which they came. A run that was done twice counts once.
    Runs with other code of the user's are another group, and so is a run of the same seed with
    another trace, whatever the reason is: it is no further seed.
    Single runs that differ in more keys than a label has room for are called by their folders.
    """
    members: dict[str, list[Any]] = {}
    settings: dict[str, dict[str, Any]] = {}
    for run in runs:
        scenario = flat(run.manifest["scenario"])
        values = {key: None if key in NO_RESULT else value for key, value in scenario.items()}
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


def compare_groups(
    groups: Sequence[Group],
    *,
    more_seeds: Remedy = MORE_SEEDS,
    without: Sequence[Case] = (),
    lacking: Mapping[str, str] = {},
    points: Mapping[str, Mapping[str, Any]] = {},
) -> Comparison:
    """Compare groups of runs, or of network studies.

    Times are those to the targets that the scenarios name, or else to one that runs share: the
    highest that all have reached, or half, or any. ``without`` are runs that have no figures, and
    ``lacking`` says why of groups that have no others. ``points`` are the rows of runs in a sweep,
    by names of folders.
    """
    runs = [(group.label, run) for group in groups for run in group.runs]
    manifests = [run.manifest for _, run in runs]
    words = {**lacking, **_unended(groups)}
    about: dict[str, Any] = {
        "said": [
            {"group": label, "seed": run.manifest["seed"], **said}
            for label, run in runs
            for said in run.manifest.get("said", ())
        ],
        "groups": [group.about for group in groups],
    }
    losses = None
    if any(manifest["method"] is None for manifest in manifests):
        cases = [Case(label, run.summary["seed"], run.manifest["network"]) for label, run in runs]
        figures, beside = figures_of_studies([case.figures for case in cases])
    else:
        ended = [run for label, run in runs if label not in words]
        judged = judged_together(run.summary for _, run in runs)
        targets, shared = _targets(ended)
        cases = []
        for label, run in runs:
            row = points.get("" if run.folder is None else run.folder.name, {})
            own = {} if label in words else _figures(run, targets, row)
            cases.append(Case(label, run.summary["seed"], own))
        losses = _other_losses(manifests)
        figures, beside = figures_of_cases(
            [case.figures for case in cases if case.figures],
            targets,
            judged=judged,
            methods={str(run.summary["method"]) for _, run in runs},
            ranks_loss=losses is None,
        )
        about = {"judged_by": judged, "shared_target": shared} | about
    return Comparison.of(
        [*cases, *without],
        figures,
        untrained={label for label, run in runs if not run.summary.get("trained", True)},
        limits=[said for said in (losses, _other_versions(manifests)) if said],
        drawn=any(manifest.get("drawn") is not False for manifest in manifests),
        lacking=words,
        beside=beside,
        more_seeds=more_seeds,
        checks=tuple(
            CheckOfRun(label, run.summary["seed"], check)
            for label, run in runs
            for check in checks_in(run.manifest)
        ),
        about=about,
    )


def _other_versions(manifests: Iterable[Mapping[str, Any]]) -> Statement | None:
    """Return the note of runs that were made with different versions; None where all had the same.

    What a run of an earlier version does not tell is not compared.
    """
    known: dict[str, set[str]] = {}
    for manifest in manifests:
        for name, number in manifest.get("versions", {}).items():
            known.setdefault(name, set()).add(str(number))
    differ = [f"{name} {' or '.join(sorted(one))}" for name, one in known.items() if len(one) > 1]
    if not differ:
        return None
    text = "these runs were made with different versions: {versions}"
    helps = Other(said="run those of the older ones anew to rule that out as a cause")
    return Statement.note(Code.OTHER_VERSIONS, "", text, helps, versions=", ".join(differ))


def _other_losses(manifests: Iterable[Mapping[str, Any]]) -> Statement | None:
    """Return the note of runs that minimise different losses; None where all have one."""
    learning = [manifest["scenario"].get("learning") or {} for manifest in manifests]
    names = sorted({one.get("loss") or _loss_of_the_data(one) for one in learning})
    if len(names) < 2:
        return None
    text = "these runs minimise different losses, whose values do not compare: {losses}"
    helps = Other(said="compare what learning.metrics measures of all of them")
    return Statement.note(
        Code.OTHER_LOSSES, "learning.loss", text, helps, losses=" or ".join(names)
    )


def _loss_of_the_data(learning: Mapping[str, Any]) -> str:
    data = learning.get("data") or {}
    return NEXT_TOKEN if data.get("objective") == NEXT_TOKEN else CROSS_ENTROPY


def figures_of_studies(
    known: Sequence[Mapping[str, Any]],
) -> tuple[dict[str, Figure], dict[str, Figure]]:
    """Return the figures that all network studies have, but for those of one place.

    Those by which some study is the best come first, then the others.
    """
    every = dict.fromkeys((*OF_NETWORKS, *(known[0] if known else ())))
    of_all = (name for name in every if ":" not in name)
    found = {
        name: figure
        for name in of_all
        if (figure := figure_of_network(name)) is not None
        and all(one.get(name) is not None for one in known)
    }
    table = {name: figure for name, figure in found.items() if figure.best}
    return table, {name: figure for name, figure in found.items() if not figure.best}


def figures_of_cases(
    known: Sequence[Mapping[str, Any]],
    targets: Sequence[str],
    *,
    judged: Judged,
    methods: Collection[str],
    ranks_loss: bool = True,
) -> tuple[dict[str, Figure], dict[str, Figure]]:
    """Return the figures of the table of runs that learn, the first ones first, and all others.

    ``known`` are the figures of runs by column. Of runs that are judged by accuracy the loss is
    none by which somebody is best, nor is any loss where these are of several kinds.
    """
    trained = any(map(is_measured, known))
    tokens = any(one.get("accuracy_final") is not None for one in known)
    listed = figures_of(judged, tokens=tokens)
    other = Judged.LOSS if judged == Judged.ACCURACY else Judged.ACCURACY
    unranked = {f"{other}_final"} | (set() if ranks_loss else {"loss_final"})
    if trained:
        unranked |= {"round_mean_s", "contacts_served"}
    elif len(methods) > 1 and any(map(_is_asynchronous, methods)):
        unranked.add("round_mean_s")  # rounds of an asynchronous method are not those of others
    table: dict[str, Figure] = {}
    for target in targets:
        figure = figure_listed(f"hours_to_{target}")
        assert figure is not None  # of every target
        table[f"hours_to_{target}"] = figure
    others: dict[str, Figure] = {}
    for column in FIGURES:
        figure = listed[column]
        values = [one.get(column) for one in known]
        have = sum(value is not None for value in values)
        if not have or not figure.head:
            continue
        if not figure.best or column in unranked:
            others[column] = figure
        elif figure.learnt or (have == len(values) and any(values)):
            table[column] = figure
    return table, others


def _is_asynchronous(name: str) -> bool:
    method = known_method(name)
    return method is not None and method.traits.asynchronous


def _unended(groups: Sequence[Group]) -> dict[str, str]:
    """Return the groups whose runs have not come to their end, where others' runs have, and why.

    What they would have reached is not known, so that nobody is ahead of them or behind.
    """
    if all(group.status != COMPLETE for group in groups):
        return {}
    return {group.label: group.status for group in groups if group.status != COMPLETE}


def _targets(runs: Sequence[Any]) -> tuple[list[str], str | None]:
    """Return the targets of the table, the one that runs share first; and this one."""
    asked = {level for run in runs for level in given(run.manifest)}
    curves = [run.evaluations for run in runs]
    judged = judged_together(run.summary for run in runs)
    chosen = sorted(asked) or (levels(curves) if judged == Judged.ACCURACY else ())
    reached = times_reached(curves, chosen)
    shared = shared_target(reached, sum(map(bool, curves)))
    if shared is None:
        return [], None
    rest = [target for target, count in reached.items() if asked and count and target != shared]
    return [shared, *reversed(rest)], shared


def _figures(run: Any, targets: Sequence[str], row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures of a run by column."""
    found: dict[str, Any] = {}
    for column, figure in FIGURES.items():
        value: Any = run.summary
        for key in figure.path or [column]:
            value = None if value is None else value.get(key)
        found[column] = row.get(column, value)
    for target in targets:
        found[f"hours_to_{target}"] = (first_reached(run.evaluations, float(target)) or {}).get(
            "hours"
        )
    return found


def flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """Return nested dictionaries as one, by dotted keys; lists become JSON."""
    if not isinstance(value, dict):
        return {prefix: value if not isinstance(value, list) else json.dumps(value)}
    found: dict[str, Any] = {}
    for key, inner in value.items():
        found |= flat(inner, f"{prefix}.{key}" if prefix else key)
    return found
