"""Summaries and comparisons as text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from sim.analysis.comparison import FEWEST, FEWEST_RANKED
from sim.formatting import data_size, filled, table

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
    text = filled("sim", "analysis", template, figures, {"stand_in": stand_in_text})
    parts = (line.partition(": ") for line in text.splitlines())
    return [(name, text) for name, _, text in parts if name]


def stand_in_text(found: Mapping[str, Any]) -> str:
    """Say what is trained, and what its bytes, FLOPs and memory are counted as."""
    trained = f"trained: {found['trained']}, {found['trained_parameters']:,} parameters"
    counted = f"sized as {found['sized_as']}, {found['parameters']:,} parameters"
    return f"{trained}; {counted}: {data_size(found['expert_upload_bytes'])} an expert"


def stand_in_lines(groups: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return each stand-in of the groups once, in their order; where there is none, nothing."""
    found = (group["stand_in"] for group in groups)
    return list(dict.fromkeys(stand_in_text(one) for one in found if one is not None))


Shown = Callable[[Mapping[str, Any], str], str]
"""Shows a figure of a group, or the second argument for one that is not known."""


def _ranged(key: str, form: str = "{:g}", unit: float = 1.0) -> Shown:
    return lambda group, unknown: spread(group[key], form.format, unit, unknown)


def _to(target: str, key: str, form: str = "{:g}", unit: float = 1.0) -> Shown:
    return lambda group, _: spread(group[key][target], form.format, unit)


def _known(key: str) -> Shown:
    return lambda group, unknown: measured(group[key], unknown)


def _size(key: str) -> Shown:
    return lambda group, _: data_size(group[key]["median"] or 0.0)


MEAN = "mean accuracy [95 %]"
"""Head of the means over seeds with their interval."""

LEARNT: dict[str, Shown] = {
    "seeds": lambda group, _: str(group["runs"]),
    "cycles": _ranged("cycles"),
    "contacts served": _ranged("contacts_served"),
    "hours served": _ranged("service_hours", "{:.1f}"),
    "start accuracy": _known("accuracy_start"),
    "final accuracy": _known("accuracy_final"),
    MEAN: lambda group, unknown: mean_text(group["accuracy_final"], unknown),
    "final loss": _known("loss_final"),
    "mean staleness": _known("staleness_mean"),
}
ROUNDS: dict[str, Shown] = {
    "rounds": _ranged("round_count"),
    "mean round h": _ranged("round_mean_s", "{:.2f}", 3600.0),
    "planes a round": _ranged("round_planes", "{:.2f}"),
    "idle clients": _ranged("client_idle_share", "{:.3f}"),
}
"""Figures of satellites that are clients."""
MOVED: dict[str, Shown] = {
    "uplink": _size("uplink_bytes"),
    "downlink": _size("downlink_bytes"),
    "device rounds": _ranged("device_rounds"),
}
"""What comparisons show of a group, by its name: text and page alike."""
SYSTEM = {
    "macro F1": "f1_final",
    "kept local": "local_ratio_final",
    "latency mean s": "latency_mean_s",
    "latency p95 s": "latency_p95_s",
    "CV assignments": "assignment_variation",
    "CV samples": "sample_variation",
    "fitness": "fitness_mean",
}
"""Figures of networked experts and of alignment that text shows where they are known."""


def reached_by(comparison: Mapping[str, Any], figure: str = "cycles_to") -> list[str]:
    """Return the targets of a comparison that some run reached, and of which a figure is known."""
    groups = comparison["groups"]
    return [
        n for n in comparison["targets"] if any(g[figure][n]["min"] is not None for g in groups)
    ]


def of_satellites(groups: Sequence[Mapping[str, Any]]) -> dict[str, Shown]:
    """Return the figures of satellites that are clients, none where no group has any."""
    flying = any(group["client_idle_share"]["min"] is not None for group in groups)
    return ROUNDS if flying else {}


def comparison_text(comparison: Mapping[str, Any]) -> str:
    """Show groups of runs side by side, as medians (and ranges over seeds)."""
    groups, reached = comparison["groups"], reached_by(comparison)
    shown = LEARNT | of_satellites(groups)
    if all(group["accuracy_final"]["low"] is None for group in groups):
        del shown[MEAN]
    for name, key in SYSTEM.items():
        if any(group[key]["min"] is not None for group in groups):
            shown[name] = _known(key)
    shown |= {f"cycles to {n}": partial(with_ratio, name=n, same=False) for n in reached}
    shown |= {f"days to {n}": _to(n, "hours_to", "{:.1f}", 24.0) for n in reached}
    shown |= {f"gradient steps to {n}": _to(n, "gradient_steps_to") for n in reached}
    known = reached_by(comparison, "energy_j_to")
    shown |= {f"energy to {n}": partial(_energy_to, name=n) for n in reached if n in known}
    shown |= MOVED
    for name, key in (("sidelink", "sidelink_bytes"), ("ISL", "isl_bytes")):
        if any(group[key]["max"] for group in groups):
            shown |= {name: _size(key), "device rounds": shown.pop("device rounds")}
    rows = [[name, *(text(group, "-") for group in groups)] for name, text in shown.items()]
    heads, legend = _heads([group["label"] for group in groups])
    reference = heads[[group["label"] for group in groups].index(comparison["reference"])]
    compared = reached and len(groups) > 1
    note = f"(times fewer cycles than {reference!r}, in the median)" if compared else ""
    lines = [table(["", *heads], rows), *legend, note, *stand_in_lines(groups)]
    if tested := test_rows(comparison):
        lines += ["", f"differences from {comparison['reference']!r} on the same seeds:"]
        lines += [table(["", "", "seeds", "mean [95 %]", "p (t)", "p (Wilcoxon)"], tested)]
    lines += test_notes(comparison)
    return "\n".join(line for line in lines if line)


def _heads(labels: Sequence[str]) -> tuple[list[str], list[str]]:
    """Heads of columns: the labels, or numbers and a legend where a label is long."""
    if max(map(len, labels)) <= LONGEST_HEAD:
        return list(labels), []
    numbers = [f"({number})" for number in range(1, len(labels) + 1)]
    return numbers, [f"{n} {label}" for n, label in zip(numbers, labels, strict=True)]


def measured(figure: Mapping[str, float | None], unknown: str = "-") -> str:
    """Show an accuracy or the like, which need not have been measured."""
    return unknown if figure["median"] is None else spread(figure, "{:.3f}".format)


def mean_text(figure: Mapping[str, float | None], unknown: str = "-", form: str = "{:.3f}") -> str:
    """Show the mean over seeds, and its 95 % interval where there is one."""
    if figure["mean"] is None:
        return unknown
    text = form.format(figure["mean"])
    if figure["low"] is None:
        return text
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
            found = mean_text({**test, "mean": test["difference"]}, form=form)
            values = [_p_value(test["t_p"]), _p_value(test["wilcoxon_p"])]
            rows.append([test["group"], name, str(test["pairs"]), found, *values])
    return rows


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
    return [f"no test with {found} in common: it needs {FEWEST}, better {FEWEST_RANKED}"]


def with_ratio(group: Mapping[str, Any], _: str, name: str, same: bool = True) -> str:
    """Show the cycles to a target, and times how many fewer they are; once only if ``same``."""
    shown, ratio = spread(group["cycles_to"][name], "{:g}".format), group["ratio"][name]
    return shown if ratio is None or (ratio == 1.0 and not same) else f"{shown} ({ratio:.1f}x)"


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


def _energy_to(group: Mapping[str, Any], _: str, name: str) -> str:
    silent = group["energy_j_to"][name]["min"] is None
    reached = group["cycles_to"][name]["min"] is not None
    shown = spread(group["energy_j_to"][name], "{:,.1f} kJ".format, 1e3)
    return "not known" if silent and reached else shown


def pattern_text(clients: Sequence[str], pattern: Any) -> str:
    """Show who asks whom, percent of a client's samples; nothing below half a percent."""
    cells = [["" if share < 0.005 else f"{share:.0%}" for share in row] for row in pattern]
    numbers = [str(expert) for expert in range(len(clients))]
    rows = [[f"{n} {name}", *row] for n, name, row in zip(numbers, clients, cells, strict=True)]
    return table(["client, expert", *numbers], rows)
