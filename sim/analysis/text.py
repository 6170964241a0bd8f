"""Summaries and comparisons as text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sim.formatting import data_size, energy, seconds, table

LONGEST_HEAD = 32
"""Longest label that stands at the head of a column of a comparison."""


MOST_PAYLOADS = 6
"""Payloads whose sizes a summary shows."""


def summary_text(summary: Mapping[str, Any]) -> str:
    """Show one run's summary, one figure a line."""
    return "\n".join(f"{name:<14} {value}" for name, value in summary_rows(summary))


def summary_rows(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the figures of one run's summary as text, each with its name."""
    return [
        ("method", f"{summary['method']} (seed {summary['seed']}, {summary['status']})"),
        ("simulated", f"{summary['hours'] / 24:.2f} days, {summary['cycles']} complete cycles"),
        ("contacts", _contacts(summary)),
        ("accuracy", _accuracy(summary)),
        *(
            (f"reached {name}", _target(value))
            for name, value in summary["targets"].items()
            if value is not None
        ),
        *networked_lines(summary),
        *alignment_lines(summary["alignment"]),
        *((("own gate mass", _mass(summary["own_mass"])),) if summary["own_mass"] else ()),
        *((("experts", _classes(summary)),) if summary["expert_classes"] else ()),
        ("device rounds", _rounds(summary)),
        ("energy", _energy(summary)),
        *_load(summary),
        *((("excluded", _excluded(summary)),) if summary["excluded_devices"] else ()),
        *((("faults", _faults(summary)),) if summary["faults"] else ()),
        *((("fork", _fork(summary["fork"])),) if summary["fork"] else ()),
        ("uplink", data_size(summary["uplink_bytes"])),
        *((("payloads", _payloads(summary)),) if summary["payloads"] else ()),
        ("downlink", data_size(summary["downlink_bytes"])),
        *sidelink_line(summary["sidelink_bytes"]),
        ("transfers", _transfers(summary)),
        *_trained(summary),
        ("wall time", f"{summary['wall_s']:.1f} s"),
        ("trace sha256", str(summary["trace_sha256"])[:16]),
    ]


def comparison_text(comparison: Mapping[str, Any]) -> str:
    """Show groups of runs side by side, as medians (and ranges over seeds)."""
    groups = comparison["groups"]
    reached = [
        n
        for n in groups[0]["cycles_to"]
        if any(g["cycles_to"][n]["min"] is not None for g in groups)
    ]
    known = [n for n in reached if any(g["energy_j_to"][n]["min"] is not None for g in groups)]
    texts: list[tuple[str, Callable[[Mapping[str, Any]], str]]] = [
        ("seeds", lambda g: str(g["runs"])),
        ("cycles", lambda g: spread(g["cycles"], "{:g}".format)),
        ("contacts served", lambda g: spread(g["contacts_served"], "{:g}".format)),
        ("hours served", lambda g: spread(g["service_hours"], "{:.1f}".format)),
        ("start accuracy", lambda g: measured(g["accuracy_start"])),
        ("final accuracy", lambda g: measured(g["accuracy_final"])),
        *(
            (name, lambda g, key=key: measured(g[key]))
            for name, key in SYSTEM_ROWS
            if any(group[key]["min"] is not None for group in groups)
        ),
        *((f"cycles to {n}", lambda g, n=n: _cycles(g, n)) for n in reached),
        *(
            (f"days to {n}", lambda g, n=n: spread(g["hours_to"][n], "{:.1f}".format, 24.0))
            for n in reached
        ),
        *(
            (
                f"gradient steps to {n}",
                lambda g, n=n: spread(g["gradient_steps_to"][n], "{:g}".format),
            )
            for n in reached
        ),
        *((f"energy to {n}", lambda g, n=n: _energy_to(g, n)) for n in known),
        ("uplink", lambda g: data_size(g["uplink_bytes"]["median"])),
        ("downlink", lambda g: data_size(g["downlink_bytes"]["median"])),
        *(
            [("sidelink", lambda g: data_size(g["sidelink_bytes"]["median"]))]
            if any(group["sidelink_bytes"]["max"] for group in groups)
            else []
        ),
        ("device rounds", lambda g: spread(g["device_rounds"], "{:g}".format)),
    ]
    rows = [[name, *map(text, groups)] for name, text in texts]
    heads, legend = _heads([group["label"] for group in groups])
    reference = heads[[group["label"] for group in groups].index(comparison["reference"])]
    compared = reached and len(groups) > 1
    note = f"(times fewer cycles than {reference!r}, in the median)" if compared else ""
    lines = [table(["", *heads], rows), *legend, note]
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


def _cycles(group: Mapping[str, Any], name: str) -> str:
    shown = spread(group["cycles_to"][name], "{:g}".format)
    ratio = group["ratio"][name]
    return shown if ratio is None or ratio == 1.0 else f"{shown} ({ratio:.1f}x)"


def spread(
    figure: Mapping[str, float | None],
    form: Callable[[float], str],
    unit: float = 1.0,
    never: str = "never",
) -> str:
    """Show a median, with its range where there is one; ``never`` for a target not reached."""
    shown = {k: never if v is None else form(v / unit) for k, v in figure.items()}
    if shown["min"] == shown["max"]:
        return shown["median"]
    return f"{shown['median']} [{shown['min']}..{shown['max']}]"


def _energy_to(group: Mapping[str, Any], name: str) -> str:
    unknown = group["energy_j_to"][name]["min"] is None
    reached = group["cycles_to"][name]["min"] is not None
    shown = spread(group["energy_j_to"][name], "{:,.1f} kJ".format, 1e3)
    return "not known" if unknown and reached else shown


def _contacts(summary: Mapping[str, Any]) -> str:
    hours, waits = summary["service_hours"], summary["waits"]
    text = f"{summary['contacts_served']} served of {summary['contacts']}, {hours:.1f} hours"
    return f"{text}, {waits} waits" if waits else text


def _accuracy(summary: Mapping[str, Any]) -> str:
    if summary["accuracy_final"] is None:
        return "not measured (timing only)"
    return f"{summary['accuracy_start']:.3f} -> {summary['accuracy_final']:.3f}"


def _target(value: Mapping[str, float]) -> str:
    return f"cycle {value['cycles']}, day {value['hours'] / 24:.2f}"


def _rounds(summary: Mapping[str, Any]) -> str:
    energy = summary["training_energy_kwh"]
    spent = f", {energy:.3f} kWh" if energy is not None else ""
    hours = summary["device_hours_trained"]
    return f"{summary['device_rounds']} in {hours:.1f} device hours{spent}"


def _energy(summary: Mapping[str, Any]) -> str:
    parts = (
        ("training", "training_energy_j", "compute.power_w"),
        ("transmitting", "transmit_energy_j", "link.uplink.tx_power_dbm"),
    )
    known = ((name, summary[key], said) for name, key, said in parts)
    return ", ".join(
        f"{name} not known ({said})" if joules is None else f"{name} {energy(joules)}"
        for name, joules, said in known
    )


def _trained(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """How many trainings were done, where other runs had done some of them."""
    reused = summary.get("trainings_reused")
    text = f"{summary.get('trainings')} done, {reused} known from other runs"
    return [("trainings", text)] if reused else []


def _load(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What a device loads, and the FLOPs of a round, where the method asked for any."""
    most, least = summary["device_memory_bytes"], summary["least_device_memory_bytes"]
    if not most:
        return []
    every = summary["model_expert_bytes"]
    lines = [("memory", f"{data_size(most)} at most, ", summary["expert_memory_bytes"])]
    if least < most:
        fewest = summary["least_expert_memory_bytes"]
        lines.append(("least memory", f"{data_size(least)}, ", fewest))
    flops = ("FLOPs a round", f"{summary['round_flops']:.3g}")
    return [*((name, text + _experts(held, every)) for name, text, held in lines), flops]


def _experts(held: float, every: float) -> str:
    text = f"experts {data_size(held)} of {data_size(every)}"
    return f"{text}: {data_size(every - held)} less" if held < every else text


def _excluded(summary: Mapping[str, Any]) -> str:
    counts = summary["excluded_devices"].items()
    return ", ".join(f"{count} devices of {cluster}" for cluster, count in counts)


def _transfers(summary: Mapping[str, Any]) -> str:
    why = "not delivered" if summary["faults"] else "cut by the end of a pass"
    return f"{summary['transfers']}, {summary['transfers_cut']} {why}"


def _faults(summary: Mapping[str, Any]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in summary["faults"].items())


def _fork(fork: Mapping[str, Any]) -> str:
    changed = ", ".join(f"{key}={value}" for key, value in fork["set"].items())
    return f"from {fork['at_s'] / 3600:g} h on: {changed or 'nothing changed'}"


def _payloads(summary: Mapping[str, Any]) -> str:
    """Sizes of what goes up."""
    up = [row for row in summary["payloads"] if row["direction"] == "uplink"]
    shown = [f"{row['payload']} {data_size(row['bytes'])}" for row in up[:MOST_PAYLOADS]]
    more = len(up) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _classes(summary: Mapping[str, Any]) -> str:
    found = summary["expert_classes"].items()
    return ", ".join(f"{len(experts)} {name}" for name, experts in found)


def _mass(value: Mapping[str, float] | None) -> str:
    return "-" if value is None else f"{value['start']:.3f} -> {value['end']:.3f}"


# Networked experts and client-expert alignment as text for a terminal.


SYSTEM_ROWS = (
    ("macro F1", "f1_final"),
    ("kept local", "local_ratio_final"),
    ("latency mean s", "latency_mean_s"),
    ("latency p95 s", "latency_p95_s"),
    ("CV assignments", "assignment_variation"),
    ("CV samples", "sample_variation"),
    ("fitness", "fitness_mean"),
)
"""Figures of networked experts and of alignment that a comparison shows where they are known."""


def networked_lines(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Show what networked experts reach, and how they answer."""
    lines = []
    if summary["f1_final"] is not None:
        lines.append(("macro F1", f"{summary['f1_final']:.3f}"))
    if summary["local_ratio_final"] is not None:
        shares = [summary[f"local_{key}_final"] for key in ("ratio", "count_share", "weight_share")]
        text = "{:.1%} of samples, {:.1%} of selected experts, {:.1%} of their weight"
        lines.append(("kept local", text.format(*shares)))
    if summary["utilisation"] is not None:
        used = summary["utilisation"]
        idle = f", {used['unused']} never used" if used["unused"] else ""
        lines.append(("expert use", f"variation {used['variation']:.3f}{idle}"))
    if summary["inference"] is not None:
        lines += _inference(summary["inference"])
    return lines


def _inference(figures: Mapping[str, Any]) -> list[tuple[str, str]]:
    outcomes = ", ".join(f"{count} {name}" for name, count in figures["outcomes"].items())
    lines = [("inference", f"{figures['samples']} samples: {outcomes}")]
    if figures["latency_mean_s"] is not None:
        mean, late = seconds(figures["latency_mean_s"]), seconds(figures["latency_p95_s"])
        sent = data_size(figures["sent_bytes"])
        lines.append(("latency", f"mean {mean}, 95 % within {late}; {sent} sent"))
    return lines


def alignment_lines(figures: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """Show how evenly experts are used, and how fit those are who train them."""
    if figures is None:
        return []
    known = [
        (name, figures[key])
        for name, key in (
            ("assignments", "assignment_variation"),
            ("samples", "sample_variation"),
        )
        if figures[key] is not None
    ]
    varied = ", ".join(f"{value:.3f} of {name}" for name, value in known)
    lines = [("load variation", f"{varied} (mean of {figures['rounds']} rounds)")]
    if figures["fitness_mean"] is not None:
        last = f"{figures['fitness_last']:.3f} in the last round"
        lines.append(("fitness", f"mean {figures['fitness_mean']:.3f}, {last}"))
    return lines


def sidelink_line(size_bytes: float) -> list[tuple[str, str]]:
    """Show what devices have sent each other, if they have."""
    return [("sidelink", data_size(size_bytes))] if size_bytes else []


def pattern_text(clients: Sequence[str], pattern: Any) -> str:
    """Show who asks whom, percent of a client's samples; nothing below half a percent."""
    cells = [["" if share < 0.005 else f"{share:.0%}" for share in row] for row in pattern]
    numbers = [str(expert) for expert in range(len(clients))]
    rows = [[f"{n} {name}", *row] for n, name, row in zip(numbers, clients, cells, strict=True)]
    return table(["client, expert", *numbers], rows)
