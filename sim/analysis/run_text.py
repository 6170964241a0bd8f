"""One run in words: its headline, what to know of it, its figures, and a screen of all that."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from textwrap import wrap
from typing import Any

from sim.analysis.checks import Check, checks_in
from sim.analysis.checks.held_back import held_back
from sim.analysis.evaluations import Judged, figures_over_hours, is_measured
from sim.analysis.run import Run
from sim.analysis.screen import is_writable, steps_lines, wrapped
from sim.facts.status import COMPLETE
from sim.formatting import (
    WIDTH,
    capital,
    counted,
    data_size,
    duration,
    filled,
    percent,
    seconds,
    short_size,
    table,
)

DIRECTION_LABELS = {
    "uplink": "up",
    "downlink": "down",
    "sidelink": "between devices",
    "isl": "by ISL",
}
ENDED = ("interrupted", "failed")
"""Codes of checks that a headline begins with."""
IN_PLACE = ("no-update", "not-tested")
"""Codes of checks that a headline says in place of figures."""


def headline_of_run(summary: Mapping[str, Any]) -> str:
    """Return what a run has shown, in one sentence or two: first that it ended early, if it did."""
    checks = {check.code: check.sentence for check in checks_in(summary)}
    if why := checks.get("no-update"):
        return f"No result: {why[:1].lower()}{why[1:]}"
    lines = [checks[code] for code in ENDED if code in checks]
    if untested := checks.get("not-tested"):
        lines.append(untested)
    elif summary["hours"]:
        lines.append(_came_out(summary))
    return ". ".join(map(capital, lines))


def lines_below(summary: Mapping[str, Any], held: Check | None) -> list[str]:
    """Return the lines below the headline of a run: its checks, but for what that has said.

    The last line is the bottleneck, unless a check has the same remedy or speaks of passes as well.
    """
    said = {*ENDED, *IN_PLACE}
    every = checks_in(summary)
    lines = [check.advice if check.code in said else check.line for check in every]
    remedies = {(check.key, check.value) for check in every if check.key}
    waits = [check for check in every if check.code == "too-few-passes"]
    if held is not None and (held.key, held.value) not in remedies:
        is_said = any(check.key or not held.key for check in waits)
        lines += [] if is_said else [held.line]
    return [line for line in lines if line]


def _came_out(summary: Mapping[str, Any]) -> str:
    days = f"{summary['hours'] / 24:.2f} days"
    if not summary["trained"]:
        return _timed(summary, days)
    if not is_measured(summary):
        if summary["accuracy_start"] is None and summary["loss_start"] is None:
            return f"{days}, in which neither an accuracy nor a loss was measured"
        return f"{days} without an evaluation of what was learnt"
    after = f" after {duration(3600 * summary['hours'])}"
    if summary["accuracy_final"] is None:
        return _went("loss", summary, "loss", after, form=".4g")
    if summary["judged_by"] == Judged.LOSS and summary["loss_final"] is not None:
        loss = _went("loss of the next token", summary, "loss", f" nats{after}")
        return f"{loss}. {_went('Share of tokens right', summary, 'accuracy')}"
    return _went("accuracy", summary, "accuracy", after)


def _went(
    what: str, summary: Mapping[str, Any], key: str, after: str = "", form: str = ".3f"
) -> str:
    """Say where a figure ended, ``after`` what time and in which unit, and where it began."""
    start, final = (f"{summary[f'{key}_{at}']:{form}}" for at in ("start", "final"))
    return f"{what} {final}{after}, {'as' if start == final else start} at the start"


def _timed(summary: Mapping[str, Any], days: str) -> str:
    """Say what a run without training has shown: how long a round takes, or cycles of contacts."""
    if rounds := summary["rounds"]:
        length = seconds(rounds["mean_s"])
        return f"a round takes {length} in the mean: {counted(rounds['count'], 'round')} in {days}"
    return f"{counted(summary['cycles'], 'complete cycle')} in {days}"


def sent(summary: Mapping[str, Any]) -> list[str]:
    """Return how much a run has sent in each direction in which it sent anything.

    Of a broadcast that is what was on the air.
    """
    found = ((summary[f"{way}_bytes"], word) for way, word in DIRECTION_LABELS.items())
    return [f"{short_size(size)} {word}" for size, word in found if size]


def summary_text(summary: Mapping[str, Any], held: Check | None = None) -> str:
    """Show what a run has shown, its checks, what held it back, and one figure per line."""
    said = [line for text in lines_below(summary, held) for line in wrapped([text])]
    lines = [f"{name:<14} {value}" for name, value in summary_rows(summary)]
    return "\n".join([f"{headline_of_run(summary)}.", *said, *lines])


def summary_rows(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the figures of one run's summary as text, each with its name."""
    filters: dict[str, Callable[..., Any]] = {"stand_in": stand_in_text, "counted": counted}
    text = filled("sim", "analysis", "summary.jinja", summary, filters)
    parts = (line.partition(": ") for line in text.splitlines())
    return [(name, text) for name, _, text in parts if name]


def stand_in_text(found: Mapping[str, Any]) -> str:
    """Say what is trained, or would be, and what its bytes, FLOPs and memory are counted as."""
    verb = "trained" if found["trains"] else "not trained"
    trained = f"{verb}: {found['trained']}, {found['trained_parameters']:,} parameters"
    experts, named = found.get("experts"), found.get("named_experts")
    of_them = ""
    if named is not None and experts != named:
        of_them = f" with {experts} of its {counted(named, 'expert')}"
    sized = f"sized as {found['sized_as']}{of_them}, {found['parameters']:,} parameters"
    of_one = found["expert_upload_bytes"]  # 0 for a plain model
    return f"{trained}; {sized}" + (f": {data_size(of_one)} an expert" if of_one else "")


def pattern_text(clients: Sequence[str], pattern: Any) -> str:
    """Show who asks whom, percent of a client's samples; nothing below half a percent."""
    cells = [["" if share < 0.005 else percent(share, 0) for share in row] for row in pattern]
    numbers = [str(expert) for expert in range(len(clients))]
    rows = [[f"{n} {name}", *row] for n, name, row in zip(numbers, clients, cells, strict=True)]
    return table(["client, expert", *numbers], rows)


NAME_WIDTH = 11
"""Letters of the names of figures, with the space behind them."""
NO_BREAK_SPACE = "\u00a0"
"""A space at which no line is broken."""
MOST_PARTS = 4
"""Parts of the time that are named."""
CELLS = 40
"""Letters of the curve."""
LEVELS = "▁▂▃▄▅▆▇█"
OF_METHODS = (
    "ended by",
    "model kept",
    "worst client",
    "validation",
    "stand-in",
    "macro F1",
    "kept local",
    "inference",
    "latency",
    "answers",
    "fitness",
    "battery",
    "excluded",
    "faults",
)
"""Rows of the whole summary that belong on the screen where a run has them."""


def run_screen(run: Run, folder: Path | None) -> str:
    """Show what a run came to, in some twenty lines of 79 letters.

    ``folder`` is how the user names the run folder; the commands that go on from here name it so.
    """
    summary = run.summary
    said = [headline_of_run(summary), *lines_below(summary, held_back(run))]
    lines = [line for text in said for line in wrapped([text])]
    lines.append("")
    rows = figures(run)
    if (curve := _curve(run)) is not None:
        judged, text = next(rows)
        start, final = text.split(", ")
        lines += [*_row(judged, curve), *_row("", f"{start:<{CELLS - len(final)}} {final}")]
    for name, text in rows:
        lines += _row(name, text)
    about = [summary["name"], summary["method"], f"seed {summary['seed']}", summary["status"]]
    trace = "" if summary["trace_sha256"] is None else f"; trace {summary['trace_sha256'][:12]}"
    lines += ["", f"{', '.join(map(str, about))}; {duration(summary['wall_s'])}{trace}"]
    if folder is not None:
        lines += ["", *steps_lines(_next_steps(run, folder))]
    return "\n".join(lines)


def _row(name: str, text: str) -> list[str]:
    """Return a figure with its name, in as many lines as it needs, broken after commas first."""
    kept = ", ".join(part.replace(" ", NO_BREAK_SPACE) for part in text.split(", "))
    most = max(map(len, kept.split()), default=0)
    lines = wrap(
        kept if most <= WIDTH - NAME_WIDTH else text, WIDTH - NAME_WIDTH, break_long_words=False
    )
    lines = [line.replace(NO_BREAK_SPACE, " ") for line in lines]
    heads = [f"{name:<{NAME_WIDTH - 1}} ", *[" " * NAME_WIDTH] * (len(lines) - 1)]
    return [(head + line).rstrip() for head, line in zip(heads, lines, strict=True)]


def figures(run: Run) -> Iterator[tuple[str, str]]:
    """Yield what a run came to, and what it took: the name of each figure, and a text."""
    summary = run.summary
    if len(known := figures_over_hours(run.evaluations, run.learnt.judged)) > 1:
        start, final = (f"{figure:.3f}" for _, figure in (known[0], known[-1]))
        after = duration(3600 * max(summary["hours"], known[-1][0]))
        yield run.learnt.judged, f"{start} at the start, {final} after {after}"
    if summary["reached"]:
        hours = {target: when["hours"] for target, when in summary["reached"].items()}
        yield "reached", ", ".join(f"{k} in {duration(3600 * when)}" for k, when in hours.items())
    if shares := run.critical_path.shares:
        parts = [*shares.items()][:MOST_PARTS]
        yield "time", ", ".join(f"{percent(share, 1)} {part}" for part, share in parts)
    served, lasted = summary["contacts_served"], duration(3600 * summary["service_hours"])
    yield "contacts", f"{served:,} of {summary['contacts']:,} served, {lasted} in all"
    if rounds := summary["rounds"]:
        mean, most = duration(rounds["mean_s"]), duration(rounds["p95_s"])
        yield "rounds", f"{rounds['count']:,}, {mean} in the mean, 95 % within {most}"
    sizes = ", ".join(sent(summary)) or "nothing"
    cut = f"{summary['transfers_cut']:,} cut" if summary["transfers_cut"] else "none cut"
    if summary["messages"]:
        cut = f"{summary['transfers_cut']:,} under way at the end"
    yield "sent", f"{sizes}; {summary['transfers']:,} transfers, {cut}"
    done = [counted(summary["cycles"], "cycle")] if summary["cycles"] else []
    done.append(f"{summary['device_rounds']:,} device rounds")
    done += [f"{summary['updates_used']:,} updates used"] if summary["updates_used"] else []
    yield ("trained" if summary["trained"] else "timed"), ", ".join(done)
    yield from (row for row in summary_rows(summary) if row[0] in OF_METHODS)


def _curve(run: Run) -> str | None:
    """Return the figure that judges over time, each value held until the next.

    None of one value, and where the terminal has no blocks.
    """
    known = figures_over_hours(run.evaluations, run.learnt.judged)
    if len(known) < 2 or not is_writable(LEVELS):
        return None
    end_h = max(run.summary["hours"], known[-1][0])
    each = [figure for _, figure in known]
    low, span = min(each), max(each) - min(each)
    cells = []
    for n in range(CELLS):
        held = [figure for hours, figure in known if hours <= (n + 1) / CELLS * end_h * (1 + 1e-9)]
        level = (held[-1] - low) / span if held and span else 0.0
        cells.append(LEVELS[round(level * (len(LEVELS) - 1))])
    return "".join(cells)


def _next_steps(run: Run, folder: Path) -> list[tuple[str, str]]:
    steps = []
    if run.summary["status"] != COMPLETE:
        scenario = run.manifest.get("read_from", run.summary["name"])
        again = shlex.join(["leomix", "run", scenario, "-o", str(folder), "--resume"])
        steps.append((again, "go on from here, with the same --set"))
    steps.append((f"leomix report {folder}", "a page that opens offline"))
    steps.append((f"leomix show {folder} --all", "every figure, tables, digest"))
    return steps
