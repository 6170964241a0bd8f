"""The page of one run."""

from collections.abc import Mapping
from datetime import datetime

from sim.analysis.critical_path import OF_CLIENTS, CriticalPath, Part, shares_of, together
from sim.analysis.rounds import client_word
from sim.analysis.run_text import figures, headline_of_run, lines_below, summary_rows
from sim.analysis.spans import lanes_of, names_of_clients, of_stations
from sim.analysis.summary import staleness
from sim.draw.accuracy import OVER
from sim.draw.client_samples import samples_by_class
from sim.draw.timeline import MOST_CLIENT_LINES, draw_staleness
from sim.draw.views import longest_service
from sim.execution.result import Result
from sim.formatting import percent, seconds
from sim.page.chart import chart_of, title_of
from sim.page.figures import as_sentence
from sim.page.page import MOST_PAGE_ROWS, Page, scenario_yaml
from statements import in_turn


def page_of_run(run: Result) -> Page:
    """Return the report of a run."""
    manifest = run.manifest
    called = (
        summary_rows,
        longest_service,
        staleness,
        draw_staleness,
        samples_by_class,
        client_word,
        scenario_yaml,
        time_rows,
        path_rows,
    )
    title, more = headline_and_rest(headline_of_run(run.summary))
    below = lines_below(run.summary, run.held_back)
    doubts, notes = in_turn(run.warnings)
    curves = chart_of({str(manifest["method"]): [run]}, map(float, run.summary["targets"]))
    return Page(
        template="run.html",
        kind=f"Run of {manifest.get('name')} with {manifest['method']}, "
        f"seed {manifest['seed']}, {manifest['status']}, begins "
        f"{datetime.fromisoformat(manifest['start_utc']):%Y-%m-%d %H:%M:%S} UTC",
        title=title,
        subtitle=" ".join(filter(None, [more and as_sentence(more), *below])),
        context={
            "curves": curves,
            "curves_title": title_of(curves),
            "run": run,
            "manifest": manifest,
            "summary": run.summary,
            "path": run.critical_path,
            "OVER": OVER,
            "STATES": OF_CLIENTS.values(),
            "MOST_LINES": MOST_CLIENT_LINES,
            "lanes": lanes_of(names_of_clients(run.tables, manifest)),
            "first_days": first_days(run),
            "figures": [*figures(run)],
            "doubts": doubts,
            "notes": notes,
            "turned": of_stations(run.tables["contacts"]),
            **{function.__name__: function for function in called},
        },
    )


HEADLINE = 90
"""Letters of a headline at most, if it has a sentence or a clause that ends before."""


def headline_and_rest(text: str) -> tuple[str, str]:
    """Return as much of what was found as a headline has room for, and what is behind that."""
    rest = ""
    for mark in (". ", ": "):
        if len(text) > HEADLINE and mark in text:
            text, _, more = text.partition(mark)
            rest = f"{more}. {rest}" if rest else more
    return text, rest


MOST_TIMELINE_BARS = 420
"""Contacts and transfers that a timeline shows, about: of more nobody can tell one from the next.

A hundred lanes of a day are four megabytes.
"""


def first_days(run: Result) -> float | None:
    """Return how much of a run its timeline shows, by the mean rate of bars; None for all of it."""
    bars = len(run.tables["contacts"]) + run.summary["transfers"]
    days = run.manifest["simulated_s"] / 86400.0
    return None if bars <= MOST_TIMELINE_BARS else float(days * MOST_TIMELINE_BARS / bars)


def path_rows(path: CriticalPath) -> list[list[str]]:
    """Return the table of the critical path: a row a part, the largest first; time and share."""
    return [
        [part, seconds(lasted_s), percent(path.shares[part], 1)]
        for part, lasted_s in path.parts_s.items()
    ]


def time_rows(client_times: Mapping[str, Mapping[Part, float]], client: str) -> list[list[str]]:
    """Return the table of clients' time: a row a client, those after the first ones together."""
    rows = [*client_times.items()]
    if others := [*client_times.values()][MOST_PAGE_ROWS:]:
        rows[MOST_PAGE_ROWS:] = [(f"{len(others)} other {client}s together", together(others))]
    cells = []
    for name, parts_s in rows:
        shares = shares_of(parts_s)
        spent = ((parts_s.get(part), shares.get(part, 0.0)) for part in OF_CLIENTS)
        each = (
            f"{seconds(time_s)}, {percent(share, 1)}" if time_s else "-" for time_s, share in spent
        )
        cells.append([name, *each])
    return cells
