"""The view of ready contact windows: our own export, or another tool's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

import orbit
import scenarios
from sim.errors import InputError
from sim.faults import Before, outages_of
from sim.faults.outages import cut
from sim.satellites import chosen
from sim.view import View, served

if TYPE_CHECKING:
    from scenarios import Scenario


@dataclass(frozen=True)
class _Satellite:
    """A satellite of the file: its name and place in the file's list."""

    name: str
    index: int
    norad_id: int = 0


def view_of(scenario: Scenario, before: Before | None = None) -> View:
    """Return windows and service; raise InputError (or the room's error) for a bad file."""
    source: Any = scenario.orbit
    table = _table(scenario)
    names = [cluster.name for cluster in scenario.ground.clusters]
    found = [_Satellite(name, index) for index, name in enumerate(table.satellites)]
    kept = chosen(found, source.serving, source.satellite)
    windows = _renumbered(table, kept, names)
    days = scenario.stop.days
    span_s = float(windows.set_s.max(initial=0.0)) if days is None else days * 86400.0
    passes = _within(windows, span_s)
    if not len(passes):
        raise InputError(
            f"orbit: no window is left for the clusters {', '.join(names)} in the first "
            f"{span_s / 86400:g} days from {table.start:%Y-%m-%dT%H:%M:%SZ}; the sites there are "
            f"{', '.join(table.sites)}"
        )
    kept_names = [satellite.name for satellite in kept]
    windows, of = cut(passes, outages_of(scenario, kept_names, span_s, before))
    service, sessions = served(windows, source)
    return View(
        satellite_names=kept_names,
        norad_ids=[None] * len(kept),
        sites=names,
        start=table.start,
        span_s=span_s,
        windows=windows,
        service=service,
        sessions=sessions,
        passes=passes,
        of=of,
        doubts=tuple(_strangers(table, names)),
    )


def _table(scenario: Scenario) -> orbit.WindowFile:
    source: Any = scenario.orbit
    columns = source.columns.model_dump(exclude_none=True)
    if source.windows is not None:
        return orbit.parse_windows(source.windows, "orbit.windows", scenario.start, columns)
    return orbit.read_windows(scenarios.windows_file(scenario), scenario.start, columns)


def _strangers(table: orbit.WindowFile, names: list[str]) -> Iterator[str]:
    strangers = sorted(set(table.sites) - set(names))
    if strangers:
        yield f"windows of {', '.join(strangers)} are not used: no cluster is called so"


def _renumbered(
    table: orbit.WindowFile, kept: list[_Satellite], names: list[str]
) -> orbit.ContactWindows:
    """Windows of the satellites that serve and of the clusters, numbered as these are."""
    satellite = {column.index: number for number, column in enumerate(kept)}
    site = {table.sites.index(name): n for n, name in enumerate(names) if name in table.sites}
    windows = table.windows
    mine = [
        a in satellite and b in site
        for a, b in zip(windows.satellite.tolist(), windows.site.tolist(), strict=True)
    ]
    windows = windows.where(np.array(mine, bool))
    numbers = {
        "satellite": np.array([satellite[a] for a in windows.satellite.tolist()], np.int64),
        "site": np.array([site[b] for b in windows.site.tolist()], np.int64),
    }
    order = np.lexsort((numbers["site"], numbers["satellite"], windows.rise_s))
    columns = vars(windows) | numbers
    return orbit.ContactWindows(**{key: values[order] for key, values in columns.items()})


def _within(windows: orbit.ContactWindows, span_s: float) -> orbit.ContactWindows:
    """Windows that open before the end of the span, clipped there."""
    windows = windows.where(windows.rise_s < span_s)
    late = windows.set_s > span_s
    return replace(
        windows,
        set_s=np.minimum(windows.set_s, span_s),
        culminate_s=np.minimum(windows.culminate_s, span_s),
        clipped_end=windows.clipped_end | late,
    )
