"""Groups of runs that differ in their seed, and what each is called."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from sim.analysis.evaluations import Evaluation
from sim.analysis.labels import CODE, code_label, labels_of
from sim.facts.status import COMPLETE

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


def flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """Return nested dictionaries as one, by dotted keys; lists become JSON."""
    if not isinstance(value, dict):
        return {prefix: value if not isinstance(value, list) else json.dumps(value)}
    found: dict[str, Any] = {}
    for key, inner in value.items():
        found |= flat(inner, f"{prefix}.{key}" if prefix else key)
    return found
