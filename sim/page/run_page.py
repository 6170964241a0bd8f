"""The page of one run."""

from datetime import datetime

import pyarrow.compute as pc

import scenarios
from sim.analysis.critical_path import CriticalPath, Spent
from sim.analysis.groups import Group
from sim.analysis.rounds import client_word
from sim.analysis.run_headline import headline_of_run, lines_below, sent
from sim.analysis.samples import samples_by_class
from sim.analysis.spans import lanes_of, names_of_clients, of_stations
from sim.analysis.summary import staleness
from sim.analysis.text import alignment_lines, summary_rows
from sim.draw import updates
from sim.draw.accuracy import OVER
from sim.draw.timeline import CRITICAL, MOST_LINES, PARTS
from sim.draw.views import longest_service
from sim.execution.result import Result
from sim.page.chart import chart_of, title_of
from sim.page.learnt import answers, assigned_rounds, last_split, latency_rows
from sim.page.page import MOST_ROWS, Page
from sim.page.scenario_text import scenario_yaml
from sim.world.scenery import scenery_of
from statements import in_turn


def page(run: Result) -> Page:
    """Return the report of a run."""
    manifest = run.manifest
    called = (
        summary_rows,
        alignment_lines,
        longest_service,
        staleness,
        samples_by_class,
        names_of,
        satellites_in,
        gateways_in,
        last_split,
        answers,
        latency_rows,
        assigned_rounds,
        client_word,
        scenario_yaml,
        time_rows,
        of_all,
        sent,
        in_turn,
    )
    title, more = headline_and_rest(headline_of_run(run.summary))
    trains = manifest["scenario"]["learning"].get("train", True)
    curves = chart_of([Group(str(manifest["method"]), [run])], map(float, run.summary["targets"]))
    return Page(
        template="run.html",
        kind=f"Run of {manifest.get('name')} with {manifest['method']}, "
        f"seed {manifest['seed']}, {manifest['status']}, begins "
        f"{datetime.fromisoformat(manifest['start_utc']):%Y-%m-%d %H:%M:%S} UTC",
        title=title,
        subtitle="",
        context={
            "curves": curves,
            "curves_title": title_of(curves),
            "run": run,
            "manifest": manifest,
            "summary": run.summary,
            "path": run.critical_path,
            "shares": run.critical_path.spent.shares,
            "OVER": OVER,
            "PARTS": PARTS,
            "updates": updates,
            "trains": trains,
            "more": more,
            "MOST_LINES": MOST_LINES,
            "lanes": lanes_of(names_of_clients(run.tables, manifest)),
            "first_days": first_days(run),
            "checks": lines_below(run.summary, run.held_back),
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


MOST_BARS = 420
"""Contacts and transfers that a timeline shows, about: of more nobody can tell one from the next.

A hundred lanes of a day are four megabytes.
"""


def first_days(run: Result) -> float | None:
    """Return how much of a run its timeline shows, by the mean rate of bars; None for all of it."""
    bars = len(run.tables["contacts"]) + run.summary["transfers"]
    days = run.manifest["simulated_s"] / 86400.0
    return None if bars <= MOST_BARS else float(days * MOST_BARS / bars)


def names_of(run: Result, what: str) -> list[str]:
    """Return the names in a column of the contacts: each satellite, or each station."""
    return pc.unique(run.tables["contacts"][what]).drop_null().to_pylist()


def satellites_in(run: Result) -> list[str]:
    """Return the names of the satellites that serve the devices of a run, in contact or not.

    Of other clients, of contacts without an orbit, and where files of the scenario are gone, these
    are those in contact.
    """
    if not of_stations(run.tables["contacts"]):
        try:
            scenario = scenarios.from_dict(run.manifest["scenario"])
            if scenario.orbit.has_geometry:
                return [satellite.name for satellite in scenery_of(scenario).flying]
        except (ValueError, OSError):  # as of the elements of a file
            pass
    return names_of(run, "satellite")


def gateways_in(run: Result) -> list[str]:
    """Return the names of the stations that are the server of devices, over links."""
    scenario = run.manifest["scenario"]
    if scenario["roles"]["server"] != "stations" or of_stations(run.tables["contacts"]):
        return []
    return [station["name"] for station in scenario["ground"]["stations"]]


def time_rows(path: CriticalPath, client: str) -> list[tuple[str, Spent]]:
    """Return the table of where the time went: clusters, those behind the first ones together."""
    rows = list(path.clusters.items())
    if others := [spent for _, spent in rows[MOST_ROWS:]]:
        together = Spent(*map(sum, zip(*others, strict=True)))
        rows[MOST_ROWS:] = [(f"{len(others)} other {client}s together", together)]
    return [*rows, (CRITICAL, path.spent)] if path.cycles else rows


def of_all(shown: int, every: int, what: str) -> str:
    """Return what stands behind a caption where only the first rows or columns are shown."""
    return f"; the first {shown} of {every} {what}s" if shown < every else ""
