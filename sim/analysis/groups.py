"""Groups of runs that differ in their seed, and what each is called."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sim.analysis.labels import CODE, code_label, labels_of
from sim.analysis.ranking import ComparedRun
from sim.facts.status import COMPLETE

NO_RESULT = ("seed", "description", "learning.targets")
"""Keys by which runs of one group may differ."""


def group_runs(runs: Sequence[ComparedRun]) -> dict[str, list[ComparedRun]]:
    """Group runs whose scenarios differ in the seed, or what is said or reported of them, only.

    Groups are by label, in the order in which they came. A run that was done twice counts once.
    Runs with other code of the user's are another group, and so is a run of the same seed with
    another trace, whatever the reason is: it is no further seed.
    Single runs that differ in more keys than a label has room for are called by their folders.
    """
    members: dict[str, list[ComparedRun]] = {}
    settings: dict[str, dict[str, Any]] = {}
    for run in runs:
        scenario = flat(run.manifest["scenario"])
        values = {key: None if key in NO_RESULT else value for key, value in scenario.items()}
        # By what they say in full: long values may look alike when they are cut.
        key = json.dumps([values, run.manifest["status"]], sort_keys=True, default=str)
        settings[key] = values
        members.setdefault(key, []).append(run)
    groups: list[tuple[dict[str, Any], list[ComparedRun]]] = []
    for key, alike in members.items():
        by_code: dict[str, list[ComparedRun]] = {}
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
        [each[0].manifest["status"] for _, each in groups],
        [] if len(runs) > len(groups) else [run.folder.name for run in runs if run.folder],
    )
    return {label: each for label, (_, each) in zip(labels, groups, strict=True)}


def _repeats(runs: Sequence[ComparedRun]) -> list[list[ComparedRun]]:
    """Return runs so that no two of a seed are together, but for those of equal traces: one stays.

    Runs that were done twice have the same trace.
    """
    repeats: list[list[ComparedRun]] = [[]]
    traces: dict[int, list[Any]] = {}
    for run in runs:
        of_seed = traces.setdefault(run.manifest["seed"], [])
        trace = run.manifest.get("trace_sha256")
        if trace in of_seed:
            continue
        if len(of_seed) == len(repeats):
            repeats.append([])
        repeats[len(of_seed)].append(run)
        of_seed.append(trace)
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


def flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """Return nested dictionaries as one, by dotted keys; lists become JSON."""
    if not isinstance(value, dict):
        return {prefix: value if not isinstance(value, list) else json.dumps(value)}
    found: dict[str, Any] = {}
    for key, inner in value.items():
        found |= flat(inner, f"{prefix}.{key}" if prefix else key)
    return found
