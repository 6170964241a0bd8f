"""One run on a screen: the answer, what held it back, its figures, and what to do next."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from textwrap import wrap
from typing import Any, Protocol

from sim.analysis.checks import Check
from sim.analysis.checks.held_back import critical_shares
from sim.analysis.critical_path import Run
from sim.analysis.judged import Judged
from sim.analysis.run_headline import headline_of_run, lines_below, sent
from sim.analysis.screen import steps_lines, wrapped
from sim.analysis.targets import Evaluation
from sim.analysis.text import summary_rows
from sim.facts.status import COMPLETE
from sim.formatting import WIDTH, counted, duration, percent

NAMES = 11
"""Letters of the names of figures, with the space behind them."""
KEPT = "\u00a0"
"""A space at which no line is broken."""
MOST_PARTS = 4
"""Parts of the time that are named."""
CELLS = 40
"""Letters of the curve."""
LEVELS = "▁▂▃▄▅▆▇█"
OF_METHODS = (
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


class Shown(Run, Protocol):
    """What the screen needs of a run, beside what says where its time went."""

    @property
    def summary(self) -> Mapping[str, Any]:
        """Its figures, with the checks that were stored."""

    @property
    def evaluations(self) -> Sequence[Evaluation]:
        """What was measured, in order of time."""

    @property
    def held_back(self) -> Check | None:
        """What most of the time went into, and the keys that shorten that."""


def run_screen(run: Shown, folder: Path | None) -> str:
    """Show what a run came to, in some twenty lines of 79 letters.

    ``folder`` is how the user names the run folder; the commands that go on from here name it so.
    """
    summary = run.summary
    said = [headline_of_run(summary), *lines_below(summary, run.held_back)]
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
    kept = ", ".join(part.replace(" ", KEPT) for part in text.split(", "))
    most = max(map(len, kept.split()), default=0)
    lines = wrap(kept if most <= WIDTH - NAMES else text, WIDTH - NAMES, break_long_words=False)
    lines = [line.replace(KEPT, " ") for line in lines]
    heads = [f"{name:<{NAMES - 1}} ", *[" " * NAMES] * (len(lines) - 1)]
    return [(head + line).rstrip() for head, line in zip(heads, lines, strict=True)]


def figures(run: Shown) -> Iterator[tuple[str, str]]:
    """Yield what a run came to, and what it took: the name of each figure, and a text."""
    summary = run.summary
    if len(known := _known(run)) > 1:
        start, final = (f"{figure:.3f}" for _, figure in (known[0], known[-1]))
        after = duration(3600 * max(summary["hours"], known[-1][0]))
        yield Judged(summary["judged_by"]), f"{start} at the start, {final} after {after}"
    if summary["reached"]:
        hours = {target: when["hours"] for target, when in summary["reached"].items()}
        yield "reached", ", ".join(f"{k} in {duration(3600 * when)}" for k, when in hours.items())
    if shares := critical_shares(run):
        parts = [*shares.items()][:MOST_PARTS]
        named = (f"{percent(share, 0 if share >= 0.01 else 1)} {part}" for part, share in parts)
        yield "time", ", ".join(named)
    yield "contacts", _contacts(summary)
    if rounds := summary["rounds"]:
        mean, most = duration(rounds["mean_s"]), duration(rounds["p95_s"])
        yield "rounds", f"{rounds['count']:,}, {mean} in the mean, 95 % within {most}"
    sizes = ", ".join(sent(summary)) or "nothing"
    yield "sent", f"{sizes}; {summary['transfers']:,} transfers, {_cut(summary)}"
    done = [counted(summary["cycles"], "cycle")] if summary["cycles"] else []
    done.append(f"{summary['device_rounds']:,} device rounds")
    done += [f"{summary['updates_used']:,} updates used"] if summary["updates_used"] else []
    yield ("trained" if summary["trained"] else "timed"), ", ".join(done)
    yield from (row for row in summary_rows(summary) if row[0] in OF_METHODS)


def _known(run: Shown) -> list[tuple[float, float]]:
    """Return when the figure that judges was measured, in hours, and what it was."""
    judged = Judged(run.summary["judged_by"])
    found = ((one.hours, one.figure(judged)) for one in run.evaluations)
    return [(hours, figure) for hours, figure in found if figure is not None]


def _curve(run: Shown) -> str | None:
    """Return the figure that judges over time, each value held until the next.

    None of one value, and where the terminal has no blocks.
    """
    try:
        LEVELS.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return None
    if len(known := _known(run)) < 2:
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


def _contacts(summary: Mapping[str, Any]) -> str:
    served, lasted = summary["contacts_served"], duration(3600 * summary["service_hours"])
    return f"{served:,} of {summary['contacts']:,} served, {lasted} in all"


def _cut(summary: Mapping[str, Any]) -> str:
    if summary["messages"]:
        return f"{summary['transfers_cut']:,} under way at the end"
    return f"{summary['transfers_cut']:,} cut" if summary["transfers_cut"] else "none cut"


def _next_steps(run: Shown, folder: Path) -> list[tuple[str, str]]:
    steps = []
    if run.summary["status"] != COMPLETE:
        scenario = run.manifest.get("read_from", run.summary["name"])
        again = shlex.join(["leomix", "run", scenario, "-o", str(folder), "--resume"])
        steps.append((again, "go on from here, with the same --set"))
    steps.append((f"leomix report {folder}", "a page that opens offline"))
    steps.append((f"leomix show {folder} --all", "every figure, tables, digest"))
    return steps
