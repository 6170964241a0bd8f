"""Comparisons of groups of runs as text."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from sim.analysis.comparison import SUSTAINED, Comparison
from sim.analysis.figures import TO_TARGETS, figures_of_all, in_one_unit
from sim.analysis.group_tests import ACCURACY, HOURS, LOSS, TO_DEADLINE
from sim.analysis.judged import Judged
from sim.analysis.lead import CLOSE, FEWEST, FEWEST_RANKED
from sim.analysis.main_figures import (
    ONLY_WHERE_ANY,
    SPENT,
    TRAFFIC,
    Cell,
    MainFigures,
    main_figures,
    unreached,
)
from sim.analysis.over_seeds import on_logarithms
from sim.analysis.text import stand_in_text
from sim.analysis.verdict_text import caveats_beside, limit_lines, p_text
from sim.formatting import table

LONGEST_HEAD = 32
"""Longest label that stands at the head of a column of a comparison."""


def stand_in_lines(groups: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return each stand-in of the groups once, in their order; where there is none, nothing."""
    found = (group["stand_in"] for group in groups)
    return list(dict.fromkeys(stand_in_text(one) for one in found if one is not None))


SUSTAINED_HOURS = f"hours_to{SUSTAINED}"
MEAN = "mean accuracy [95 %]"
"""Head of the mean final accuracies over seeds with their interval."""


def figure_rows(comparison: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return how each group has what some group has, by the head of the figure."""
    groups = comparison["groups"]
    rows = {"seeds": [str(group["runs"]) for group in groups]}
    for key, listed in figures_of_all(comparison).items():
        own = [group[key] for group in groups]
        least = any(one["max"] for one in own) if key in ONLY_WHERE_ANY else 1
        if listed.head and least and any(one["min"] is not None for one in own):
            figure = in_one_unit(listed, (one["median"] for one in own))
            rows[figure.head] = [spread(one, figure.form, figure.unit, "-") for one in own]
    return rows


def mean_rows(comparison: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return means over seeds with their 95 % intervals, by figure; none below three seeds.

    Times to targets have their geometric means, since they are compared by ratios. Figures that
    are the same with each seed are left out. Where some seeds have not reached a
    target there is no mean: it says how many have.
    """
    groups = comparison["groups"]
    rows = {}
    for key, listed in figures_of_all(comparison).items():
        own = [group[key] for group in groups]
        if listed.head and _has_interval(own):
            figure = in_one_unit(listed, (one["median"] for one in own))
            rows[figure.head] = [mean_text(one, "-", figure.form, figure.unit) for one in own]
    days = TO_TARGETS["hours_to"]
    for name in comparison["targets"]:
        for key, ending in (("hours_to", ""), (SUSTAINED_HOURS, ", sustained")):
            own = [group[key][name] for group in groups]
            if _has_interval(own) and (key == "hours_to" or _differs(groups, name)):
                rows[f"{days.head} to {name}{ending}, geometric"] = [
                    mean_text(
                        on_logarithms(one),
                        _how_many(one["reached"], group),
                        days.form,
                        days.unit,
                    )
                    for one, group in zip(own, groups, strict=True)
                ]
    return rows


def _has_interval(figures: Iterable[Mapping[str, float | None]]) -> bool:
    return any(one["low"] is not None and one["low"] != one["high"] for one in figures)


def _how_many(reached: int, group: Mapping[str, Any]) -> str:
    return f"{reached} of {group['runs']} reached it" if reached else unreached(group)


def _differs(groups: Sequence[Mapping[str, Any]], name: str) -> bool:
    """Return whether a target was sustained at another time than it was first reached."""
    return any(group["hours_to"][name] != group[SUSTAINED_HOURS][name] for group in groups)


def target_rows(comparison: Mapping[str, Any]) -> dict[str, dict[str, list[str]]]:
    """Return what it took each group to reach the targets, by what is counted and by target.

    Cycles stand beside how many times fewer they are than those of the reference, and days beside
    how many of the seeds got there where not all did. Where a target was not sustained from its
    first crossing on, the days until it was have a row of their own.
    """
    groups = comparison["groups"]

    def shown(group: Mapping[str, Any], key: str, name: str) -> str:
        found = group[key][name]
        if found["min"] is None and group["cycles_to"][name]["min"] is not None:
            return "not sustained" if key == SUSTAINED_HOURS else "not known"
        figure = TO_TARGETS[key.removesuffix(SUSTAINED)]
        text = spread(found, figure.form, figure.unit, unreached(group))
        ratio = group["ratio"][name]
        if key == "cycles_to" and _is_shown(ratio):
            return f"{text} ({ratio:.1f}x)"
        partly = key.startswith("hours_to") and 0 < found["reached"] < group["runs"]
        return f"{text} ({found['reached']} of {group['runs']})" if partly else text

    def rows(key: str) -> Iterator[tuple[str, list[str]]]:
        for name in comparison["targets"]:
            if any(group[key][name]["min"] is not None for group in groups):
                yield name, [shown(group, key, name) for group in groups]
                if key == "hours_to" and _differs(groups, name):
                    yield f"{name}, sustained", [shown(g, SUSTAINED_HOURS, name) for g in groups]

    return {figure.head: dict(rows(key)) for key, figure in TO_TARGETS.items()}


def comparison_text(comparison: Comparison, *, in_full: bool = False) -> str:
    """Show groups of runs side by side: what was found, what limits it, and the main figures.

    ``in_full`` has all figures as medians (and ranges over seeds), means and tests too.
    """
    labels = [group["label"] for group in comparison["groups"]]
    heads, legend = _heads(labels)
    lines = [comparison.headline, *limit_lines(comparison.limits)]
    shown = main_figures(comparison)
    if in_full:
        lines += _in_full(comparison, heads, legend)
    else:
        lines += [table(["", *heads], main_rows(shown)), *legend]
        lines += stand_in_lines(comparison["groups"])
    lines += caveats_beside(comparison.limits, comparison.caveats, len(labels))
    if in_full:
        lines += [*verdict_lines(comparison), *test_notes(comparison)]
    else:
        lines += [*verdict_lines(comparison, shown), "all figures and tests: --all"]
    return "\n".join(line for line in lines if line)


def main_rows(found: MainFigures) -> list[list[str]]:
    """Return means over seeds of the main figures, of what came out with intervals.

    What was sent has one row.
    """
    in_order = [cells for *_, cells in sorted(found.rows, key=lambda row: row[0])]
    rows = []
    sent = [place for place, key in enumerate(found.keys) if key in TRAFFIC]
    for place, (key, head) in enumerate(zip(found.keys, found.heads, strict=True)):
        if key not in TRAFFIC:
            own = [cells[place] for cells in in_order]
            rows.append([head, *(c.text if key in SPENT else _with_interval(c) for c in own)])
        elif place == sent[0]:
            ways = ", ".join(TRAFFIC[found.keys[one]] for one in sent)
            each = (", ".join(cells[one].text for one in sent) for cells in in_order)
            rows.append([f"sent {ways}", *each])
    return rows


def _with_interval(cell: Cell) -> str:
    is_apart = cell.low is not None and cell.low != cell.high
    return f"{cell.text} [{cell.small}]" if is_apart else cell.text


def _in_full(
    comparison: Mapping[str, Any], heads: Sequence[str], legend: Sequence[str]
) -> list[str]:
    groups = comparison["groups"]
    reached = target_rows(comparison)
    rows = [[head, *cells] for head, cells in figure_rows(comparison).items()]
    rows += [
        [f"{what} to {name}", *cells]
        for what, each in reached.items()
        for name, cells in each.items()
    ]
    reference = heads[[group["label"] for group in groups].index(comparison["reference"])]
    lines = [table(["", *heads], rows), *legend, *_notes(comparison, reference)]
    lines += stand_in_lines(groups)
    if means := mean_rows(comparison):
        lines += [MEANS, table(["", *heads], [[head, *cells] for head, cells in means.items()])]
    if tested := rows_of_tests(comparison):
        lines += [f"differences from {comparison['reference']!r} on the same seeds:"]
        lines += [table(["", "", *TEST_HEADS], tested)]
    return lines


MEANS = "means over the seeds, with 95 % intervals (Student's t) from three seeds on:"
TEST_HEADS = ("seeds", "mean, or ratio [95 %]", "p (t)", "p (Holm)", "p (Wilcoxon)")
"""Heads of what a test has found, behind its group and its figure."""


def _notes(comparison: Mapping[str, Any], reference: str) -> Iterator[str]:
    """Say what ratios in brackets stand for, and until when accuracy is averaged over time."""
    if shows_ratio(comparison):
        yield f"(2.0x): {reference!r} takes 2.0 times as many cycles (median over seeds)"
    yield from deadline_notes(comparison)


def deadline_notes(comparison: Mapping[str, Any]) -> list[str]:
    """Say until when accuracy is averaged over time; nothing where none is known."""
    hours = comparison["deadline_hours"]
    if hours is None or comparison["judged_by"] != Judged.ACCURACY:
        return []
    return [f"accuracy is averaged over the first {hours / 24:.6g} days, which all runs cover"]


def shows_ratio(comparison: Mapping[str, Any]) -> bool:
    """Return whether some group needs another number of cycles to a target than the reference."""
    names = comparison["targets"]
    return any(_is_shown(group["ratio"][name]) for group in comparison["groups"] for name in names)


def _is_shown(ratio: float | None) -> bool:
    return ratio is not None and ratio != 1.0


def _heads(labels: Sequence[str]) -> tuple[list[str], list[str]]:
    """Heads of columns: the labels, or numbers and a legend where a label is long."""
    if max(map(len, labels)) <= LONGEST_HEAD:
        return list(labels), []
    numbers = [f"({number})" for number in range(1, len(labels) + 1)]
    return numbers, [f"{n} {label}" for n, label in zip(numbers, labels, strict=True)]


def mean_text(
    figure: Mapping[str, float | None],
    unknown: str = "-",
    form: Callable[[float], str] = "{:.3f}".format,
    unit: float = 1.0,
) -> str:
    """Show the mean over seeds, and its 95 % interval where there is one."""
    if figure["mean"] is None:
        return unknown
    text = form(figure["mean"] / unit)
    if figure["low"] is None or figure["high"] is None:
        return text
    if math.isclose(figure["low"], figure["high"], **CLOSE):
        return f"{text} [the same with each seed]"
    return f"{text} [{form(figure['low'] / unit)}..{form(figure['high'] / unit)}]"


def rows_of_tests(comparison: Mapping[str, Any]) -> list[list[str]]:
    """Return what the tests of a comparison have found, a row for each that could be made."""
    shared = comparison["shared_target"]
    figures = figures_of_all(comparison)
    names = {
        **{key: (figures[key].head, "{:+.3f}") for key in (ACCURACY, TO_DEADLINE, LOSS)},
        HOURS: (f"hours to {shared}", "{:+.2f}"),
    }
    rows = []
    for test in comparison["tests"]:
        if test["difference"] is not None:
            name, form = names.get(test["figure"], (test["figure"].replace("_", " "), "{:+g}"))
            ratio = test["ratio"] is not None
            found = _ratio_of_pairs(test) if ratio else _of_pairs(test, form.format)
            values = [p_text(test[key]) for key in ("t_p", "t_p_holm", "wilcoxon_p")]
            name += ", ratio" if ratio else ""
            rows.append([test["group"], name, str(test["pairs"]), found, *values])
    return rows


def _of_pairs(test: Mapping[str, Any], form: Callable[[float], str]) -> str:
    """Show a mean difference with its interval; of two pairs, which have none, with both."""
    if test["low"] is not None:
        return mean_text({**test, "mean": test["difference"]}, form=form)
    ends = list(dict.fromkeys(form(test[key]) for key in ("min", "max")))
    return f"{form(test['difference'])} ({' and '.join(ends)})"


def _ratio_of_pairs(test: Mapping[str, Any]) -> str:
    ends = {"low": test["ratio_low"], "high": test["ratio_high"]}
    return mean_text({"mean": test["ratio"], **ends}, form="{:.2f}".format)


def verdict_lines(comparison: Mapping[str, Any], shown: MainFigures | None = None) -> list[str]:
    """Say who is best by each figure, or why none is; once where it is the same of several.

    With ``shown`` of these figures only.
    """
    heads: dict[str, list[str]] = {}
    # Heads of columns have units, which names of figures do not.
    among = None if shown is None else {head.partition(" (")[0] for head in shown.heads}
    for one in comparison["verdicts"]:
        if one["text"] and (among is None or one["head"] in among):
            heads.setdefault(one["text"], []).append(one["head"])
    return [f"{', '.join(of)}: {text}" for text, of in heads.items()]


def test_notes(comparison: Mapping[str, Any]) -> list[str]:
    """Say what the tests of a comparison are corrected for, and which could not be made."""
    tests = comparison["tests_corrected_for"]
    notes = []
    if tests > 1:
        notes = [
            f"p (Holm) is p (t) corrected for {tests} tests: every two groups by each figure; "
            "verdicts need it below 0.05, and p (Wilcoxon) too where a figure takes few values. "
            "Intervals and the other p values are not corrected"
        ]
    accuracy = [test for test in comparison["tests"] if test["figure"] == ACCURACY]
    known = any(group[ACCURACY]["median"] is not None for group in comparison["groups"])
    fewest = min((test["pairs"] for test in accuracy), default=FEWEST_RANKED)
    if not known or fewest >= FEWEST_RANKED:
        return notes
    if fewest >= FEWEST:
        lacking = f"Wilcoxon's test needs {FEWEST_RANKED} seeds in common; there are {fewest}"
        return [*notes, lacking]
    found = "1 seed" if fewest == 1 else f"{fewest} seeds"
    needed = f"where it needs {FEWEST}, better {FEWEST_RANKED}"
    return [*notes, f"no significance test: {found} in common, {needed}"]


def spread(
    figure: Mapping[str, float | None],
    form: Callable[[float], str],
    unit: float = 1.0,
    never: str = "never",
) -> str:
    """Show a median, with its range where there is one; ``never`` for a target not reached."""
    ends = {key: figure[key] for key in ("median", "min", "max")}
    shown = {k: never if v is None else form(v / unit) for k, v in ends.items()}
    if shown["min"] == shown["max"]:
        return shown["median"]
    return f"{shown['median']} [{shown['min']}..{shown['max']}]"
