"""Groups of network studies beside each other: what they carry, their gaps, and their payloads."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from sim.analysis.comparison import Comparison, Group
from sim.analysis.figures import OF_NETWORKS, figure_of_network
from sim.analysis.group_tests import GroupTests, Measured
from sim.analysis.measure import measure_of
from sim.analysis.over_seeds import over_seeds
from sim.analysis.rows_json import limits_json, rows_json, verdict_json
from sim.analysis.verdict import Verdict
from sim.analysis.verdict_text import Words, comparison_headline, comparison_limits, limit_lines
from sim.formatting import table


def figures_of_studies(groups: Sequence[Group]) -> list[str]:
    """Return the figures that all studies have, but for those of one place."""
    every = [run.manifest["network"] for group in groups for run in group.runs]
    names = [name for name in every[0] if name not in OF_NETWORKS and ":" not in name]
    return [name for name in (*OF_NETWORKS, *names) if all(name in one for one in every)]


def compare_studies(groups: Sequence[Group]) -> Comparison:
    """Return what a comparison of groups of network studies has found.

    They are judged by the GB a day that go down, and tested by each figure that has a best.
    """
    names = figures_of_studies(groups)
    measured = [_measured(groups, name) for name in names if _of(name).best]
    tested = {one.measure.column: one.measure.column for one in measured}
    found = GroupTests.of(measured, tested)
    answers = tuple(found.answers())
    drawn = any(run.manifest.get("drawn") is not False for group in groups for run in group.runs)
    words = Words()
    title = comparison_headline(answers[:1], len(groups), words)
    limits = comparison_limits(answers[:1], (), len(groups), words, drawn=drawn)
    printed = {
        "headline": title,
        "limits": limits_json(limits),
        "said": [*_said(groups)],
        "groups": [_row(group, names) for group in groups],
        "tests_corrected_for": found.tests.count,
        "verdicts": [
            verdict_json(one, one.measure.column, words)
            for one in answers
            if one.verdict is not Verdict.ALONE
        ],
        "rows": rows_json(answers),
    }
    return Comparison(answers, (), title, tuple(limits), printed, found)


def _of(name: str) -> Any:
    return figure_of_network(name)


def _measured(groups: Sequence[Group], name: str) -> Measured:
    by_seed = {
        group.label: {
            ("", run.summary["seed"]): _or_never(run.manifest["network"][name])
            for run in group.runs
        }
        for group in groups
    }
    return Measured(measure_of(name), by_seed, {})


def _or_never(value: float | None) -> float:
    return math.inf if value is None else float(value)


def _said(groups: Sequence[Group]) -> Iterator[dict[str, Any]]:
    for group in groups:
        for run in group.runs:
            for said in run.manifest.get("said", ()):
                yield {"group": group.label, "seed": run.manifest["seed"], **said}


def _row(group: Group, names: Sequence[str]) -> dict[str, Any]:
    values = {
        name: [_or_never(run.manifest["network"][name]) for run in group.runs] for name in names
    }
    return {
        "label": group.label,
        "runs": len(group.runs),
        "status": group.status,
        "seeds": [run.summary["seed"] for run in group.runs],
        **{name: over_seeds(own, _of(name).bounds) for name, own in values.items()},
    }


def is_of_studies(comparison: Comparison) -> bool:
    """Return whether a comparison is of network studies."""
    return "judged_by" not in comparison  # as runs that learn are


def studies_table(comparison: Comparison) -> tuple[list[str], list[list[str]]]:
    """Return heads and cells: a row a figure, a column a group, the mean over its seeds."""
    groups = comparison["groups"]
    names = [name for name in groups[0] if figure_of_network(name)]
    heads = ["", *(group["label"] for group in groups)]
    cells = [["seeds", *(str(len(group["seeds"])) for group in groups)]]
    cells += [
        [_of(name).head, *(_cell(group[name]["mean"], name) for group in groups)] for name in names
    ]
    seeds = any(len(group["seeds"]) > 1 for group in groups)
    return heads, cells if seeds else cells[1:]


def studies_text(comparison: Comparison) -> str:
    """Return what was found, what limits it, and the table."""
    said = [comparison.headline, *limit_lines(comparison.limits)]
    return "\n".join([*said, "", table(*studies_table(comparison))])


def _cell(mean: float | None, name: str) -> str:
    return "-" if mean is None else _of(name).form(mean / _of(name).unit)
