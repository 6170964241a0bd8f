"""Summaries and comparisons as text."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sim.analysis.comparison import FIGURES, TO_TARGETS
from sim.analysis.verdict import FEWEST, FEWEST_RANKED
from sim.formatting import counted, data_size, filled, table

LONGEST_HEAD = 32
"""Longest label that stands at the head of a column of a comparison."""


def summary_text(summary: Mapping[str, Any]) -> str:
    """Show one run's summary, one figure per line."""
    return "\n".join(f"{name:<14} {value}" for name, value in summary_rows(summary))


def summary_rows(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the figures of one run's summary as text, each with its name."""
    return _rows("summary.jinja", summary)


def alignment_lines(figures: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """Show how evenly experts are used, and how fit those are who train them."""
    return _rows("alignment.jinja", {"alignment": figures})


def _rows(template: str, figures: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Lines of a template, each a name and a text."""
    filters: dict[str, Callable[..., Any]] = {"stand_in": stand_in_text, "counted": counted}
    text = filled("sim", "analysis", template, figures, filters)
    parts = (line.partition(": ") for line in text.splitlines())
    return [(name, text) for name, _, text in parts if name]


def stand_in_text(found: Mapping[str, Any]) -> str:
    """Say what is trained, or would be, and what its bytes, FLOPs and memory are counted as."""
    # A run folder that is older than the key was trained.
    verb = "trained" if found.get("trains", True) else "not trained"
    trained = f"{verb}: {found['trained']}, {found['trained_parameters']:,} parameters"
    counted = f"sized as {found['sized_as']}, {found['parameters']:,} parameters"
    return f"{trained}; {counted}: {data_size(found['expert_upload_bytes'])} an expert"


def stand_in_lines(groups: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return each stand-in of the groups once, in their order; where there is none, nothing."""
    found = (group["stand_in"] for group in groups)
    return list(dict.fromkeys(stand_in_text(one) for one in found if one is not None))


MEAN = "mean accuracy [95 %]"
"""Head of the means over seeds with their interval."""
ONLY_WHERE_ANY = ("uplink_bytes", "downlink_bytes", "sidelink_bytes", "isl_bytes")
"""Figures that are shown where one of them is not 0."""


def figure_rows(groups: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return how each group has what some group has, by the head of the figure."""
    rows = {"seeds": [str(group["runs"]) for group in groups]}
    for key, figure in FIGURES.items():
        own = [group[key] for group in groups]
        least = any(one["max"] for one in own) if key in ONLY_WHERE_ANY else 1
        if figure.head and least and any(one["min"] is not None for one in own):
            rows[figure.head] = [spread(one, figure.form, figure.unit, "-") for one in own]
            if key == "accuracy_final" and any(one["low"] is not None for one in own):
                rows[MEAN] = list(map(mean_text, own))
    return rows


def target_rows(comparison: Mapping[str, Any]) -> dict[str, dict[str, list[str]]]:
    """Return what it took each group to reach the targets, by what is counted and by target.

    Cycles stand beside how many times fewer they are than those of the reference.
    """

    def shown(group: Mapping[str, Any], key: str, name: str) -> str:
        found = group[key][name]
        ratio = group["ratio"][name]
        if group["accuracy_final"]["min"] is None:
            return "not trained"
        if found["min"] is None and group["cycles_to"][name]["min"] is not None:
            return "not known"
        text = spread(found, TO_TARGETS[key].form, TO_TARGETS[key].unit)
        return f"{text} ({ratio:.1f}x)" if key == "cycles_to" and _is_shown(ratio) else text

    return {
        figure.head: {
            name: [shown(group, key, name) for group in comparison["groups"]]
            for name in comparison["targets"]
            if any(group[key][name]["min"] is not None for group in comparison["groups"])
        }
        for key, figure in TO_TARGETS.items()
    }


def comparison_text(comparison: Mapping[str, Any]) -> str:
    """Show groups of runs side by side, as medians (and ranges over seeds)."""
    groups = comparison["groups"]
    reached = target_rows(comparison)
    rows = [[head, *cells] for head, cells in figure_rows(groups).items()]
    rows += [
        [f"{what} to {name}", *cells]
        for what, each in reached.items()
        for name, cells in each.items()
    ]
    heads, legend = _heads([group["label"] for group in groups])
    reference = heads[[group["label"] for group in groups].index(comparison["reference"])]
    compared = shows_ratio(comparison)
    note = (
        f"(2.0x) stands for 2.0 times fewer cycles than {reference!r}, in the median"
        if compared
        else ""
    )
    lines = [table(["", *heads], rows), *legend, note, *stand_in_lines(groups)]
    if tested := test_rows(comparison):
        lines += ["", f"differences from {comparison['reference']!r} on the same seeds:"]
        lines += [
            table(
                ["", "", "seeds", "mean [95 % from three seeds on]", "p (t)", "p (Wilcoxon)"],
                tested,
            )
        ]
    lines += verdict_lines(comparison)
    lines += test_notes(comparison)
    return "\n".join(line for line in lines if line)


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


def mean_text(figure: Mapping[str, float | None], unknown: str = "-", form: str = "{:.3f}") -> str:
    """Show the mean over seeds, and its 95 % interval where there is one."""
    if figure["mean"] is None:
        return unknown
    text = form.format(figure["mean"])
    if figure["low"] is None or figure["high"] is None:
        return text
    if math.isclose(figure["low"], figure["high"], rel_tol=1e-9, abs_tol=1e-12):
        return f"{text} [the same with each seed]"
    return f"{text} [{form.format(figure['low'])}..{form.format(figure['high'])}]"


def test_rows(comparison: Mapping[str, Any]) -> list[list[str]]:
    """Return what the tests of a comparison have found, a row for each that could be made."""
    common = comparison["common_target"]
    names = {
        "accuracy_final": ("final accuracy", "{:+.3f}"),
        "loss_final": ("final loss", "{:+.3f}"),
    }
    names |= {"hours_to_common": (f"hours to {common}", "{:+.2f}")}
    rows = []
    for test in comparison["tests"]:
        if test["difference"] is not None:
            name, form = names[test["figure"]]
            found = _of_pairs(test, form)
            values = [_p_value(test["t_p"]), _p_value(test["wilcoxon_p"])]
            rows.append([test["group"], name, str(test["pairs"]), found, *values])
    return rows


def _of_pairs(test: Mapping[str, Any], form: str) -> str:
    """Show a mean difference with its interval; of two pairs, which have none, with both."""
    if test["low"] is not None:
        return mean_text({**test, "mean": test["difference"]}, form=form)
    ends = list(dict.fromkeys(form.format(test[key]) for key in ("min", "max")))
    return f"{form.format(test['difference'])} ({' and '.join(ends)})"


def verdict_lines(comparison: Mapping[str, Any]) -> list[str]:
    """Say who is best by each figure, or why none is."""
    return [f"{one['head']}: {one['text']}" for one in comparison["verdicts"] if one["text"]]


def _p_value(value: float | None) -> str:
    if value is None:
        return "-"
    return "< 0.0001" if value < 0.0001 else f"{value:.4f}"


def test_notes(comparison: Mapping[str, Any]) -> list[str]:
    """Say what the tests of a comparison lack; nothing where they lack nothing."""
    accuracy = [test for test in comparison["tests"] if test["figure"] == "accuracy_final"]
    known = any(group["accuracy_final"]["median"] is not None for group in comparison["groups"])
    fewest = min((test["pairs"] for test in accuracy), default=FEWEST_RANKED)
    if not known or fewest >= FEWEST_RANKED:
        return []
    if fewest >= FEWEST:
        return [f"Wilcoxon's test needs {FEWEST_RANKED} seeds in common; there are {fewest}"]
    found = "1 seed" if fewest == 1 else f"{fewest} seeds"
    return [
        f"no significance test: {found} in common, where it needs {FEWEST}, better {FEWEST_RANKED}"
    ]


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


def pattern_text(clients: Sequence[str], pattern: Any) -> str:
    """Show who asks whom, percent of a client's samples; nothing below half a percent."""
    cells = [["" if share < 0.005 else f"{share:.0%}" for share in row] for row in pattern]
    numbers = [str(expert) for expert in range(len(clients))]
    rows = [[f"{n} {name}", *row] for n, name, row in zip(numbers, clients, cells, strict=True)]
    return table(["client, expert", *numbers], rows)
