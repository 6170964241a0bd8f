"""Who sees whom in a scenario, and who serves whom, before any link is looked at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

import orbit
from learning.requests.cluster import Ints
from sim.errors import InputError


@dataclass(frozen=True, eq=False)
class View:
    """Windows between satellites and clusters (``sites``), and which of them are served.

    ``satellites`` and ``places`` are empty where there is no geometry. ``sessions`` numbers the
    services of each cluster, -1 for windows that are not served. ``doubts`` are lines for the user.
    Where satellites are out at times, the windows are the pieces in which they work: ``of`` says of
    which of the ``passes``, the windows as they were.
    """

    satellite_names: list[str]
    norad_ids: list[int | None]
    sites: list[str]
    start: datetime
    span_s: float
    windows: orbit.ContactWindows
    service: orbit.Service
    sessions: Ints
    passes: orbit.ContactWindows
    of: Ints
    satellites: tuple[orbit.Satellite, ...] = ()
    places: tuple[orbit.Site, ...] = ()
    min_elevation_deg: float = 0.0
    doubts: tuple[str, ...] = ()

    def sessions_of(self, site: int) -> int:
        """How many sessions a cluster is served in."""
        return int(self.sessions[self.windows.site == site].max(initial=-1)) + 1


def served(
    windows: orbit.ContactWindows,
    source: Any,
    elevation_deg: Callable[[int, float], float] | None = None,
) -> tuple[orbit.Service, Ints]:
    """Share the satellites by the rules of ``orbit:``, and number the sessions."""
    service = orbit.serve(
        windows,
        source.beams,
        priority=source.priority,
        hand_over=source.hand_over or "longest_remaining",
        min_contact_s=source.min_contact_s,
        elevation_deg=elevation_deg,
    )
    each = source.serving == "single" or source.session == "contact"
    gap_s = None if each else source.hand_over_gap_s or 0.0
    return service, orbit.session_numbers(windows, service, gap_s)


def check_served(view: View, source: Any) -> None:
    """Raise InputError for a cluster that is never seen, never served or served without end."""
    figures = orbit.coverage(view.windows, len(view.sites), view.span_s)
    for site, name in enumerate(view.sites):
        here = view.windows.site == site
        gap = f"longest gap {figures.longest_gap_s[site] / 3600:.1f} h"
        days = f"{view.span_s / 86400:g} days"
        if (view.passes.site == site).any() and not here.any():
            raise InputError(f"ground.clusters {name!r}: {_always_out(view, site)}")
        if not here.any():
            raise InputError(f"ground.clusters {name!r}: {_never_seen(view, site, days)} ({gap})")
        if not view.service.served[here].any():
            raise InputError(
                f"ground.clusters {name!r}: seen {int(here.sum())} times, but never served "
                f"({gap}): {_why_never_served(view, here, source)}"
            )
        if source.serving == "any" and _without_end(view, here):
            raise InputError(
                f"ground.clusters {name!r}: one satellite hands it over to the next for all of "
                f"{days}, so that its session never ends and no cycle is complete; set "
                "orbit.session: contact (every contact counts), lower orbit.hand_over_gap_s or "
                "raise orbit.min_elevation_deg"
            )


def check_in_service(view: View) -> None:
    """Raise InputError for a cluster whose satellites are out in every one of its windows."""
    for site, name in enumerate(view.sites):
        if not (view.windows.site == site).any():
            raise InputError(f"ground.clusters {name!r}: {_always_out(view, site)}")


def _always_out(view: View, site: int) -> str:
    count = int((view.passes.site == site).sum())
    return (
        f"its satellites are out in all of its {count} windows; lower faults.outages.per_day or "
        "mean_hours, or simulate longer"
    )


def _never_seen(view: View, site: int, days: str) -> str:
    if not view.places:
        return f"no window has this site in {days}; the windows' sites are to be called like it"
    own_deg = view.places[site].min_elevation_deg
    mask_deg = view.min_elevation_deg if own_deg is None else own_deg
    return (
        f"no satellite rises above {mask_deg:g} deg there in {days}; "
        "lower orbit.min_elevation_deg, simulate longer, or move the cluster"
    )


def _why_never_served(view: View, here: np.ndarray, source: Any) -> str:
    longest_s = float((view.windows.set_s - view.windows.rise_s)[here].max())
    if longest_s < source.min_contact_s:
        cut = " or faults.outages.per_day" if len(view.passes) != len(view.windows) else ""
        return f"its longest contact is {longest_s:.0f} s; lower orbit.min_contact_s{cut}"
    fairer = ", or set orbit.priority: least_recently_served"
    remedy = "raise orbit.beams" + (fairer if source.priority == "highest_elevation" else "")
    return f"the {source.beams} beam(s) always serve another cluster; {remedy}"


def _without_end(view: View, here: np.ndarray) -> bool:
    """Whether a cluster is in one session from the start of the span to its end."""
    mine = here & view.service.served
    from_s, to_s = view.service.start_s[mine].min(), view.service.end_s[mine].max()
    return bool(
        len(set(view.sessions[mine].tolist())) == 1 and from_s <= 0.0 and to_s >= view.span_s
    )
