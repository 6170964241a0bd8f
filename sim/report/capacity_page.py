"""The page of a network: what it carries in a day, and when which places are served."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sim.formatting import legend_of
from sim.plots.ground_map import draw_map
from sim.plots.network import HOUR_S, Lane, day, lanes_shown
from sim.plots.views import MapView
from sim.report.page import Page

DAY_S = 86_400.0
MOST_SAID = 3
"""Sentences below the title; the others stand in the text."""
Table = tuple[str, list[str], list[list[str]]]
"""Caption, heads and cells."""


@dataclass(frozen=True)
class Network:
    """What is shown of a network: there are no ``map`` and ``links`` where it has no orbits.

    A day is drawn, from ``drawn_s`` on. What was assumed stands in the ``scenario`` and in the
    budgets of its ``links``, as text.
    """

    name: str
    kind: str
    start: datetime
    span_s: float
    lanes: Sequence[Lane]
    map: MapView | None
    drawn_s: float = 0.0
    scenario: str = ""
    links: str = ""


def capacity_page(
    network: Network, finding: str, advice: Sequence[str], tables: Sequence[Sequence[Table]]
) -> Page:
    """Return the page of a network; its title is the finding.

    The first of the ``tables`` stand open, the second ones are folded.
    """
    from_h = network.drawn_s / HOUR_S
    to_h = min(network.span_s, network.drawn_s + DAY_S) / HOUR_S
    return Page(
        template="capacity.html",
        kind=f"{network.kind} {network.name}, {network.span_s / DAY_S:.2f} days from "
        f"{network.start:%Y-%m-%d %H:%M:%S} UTC",
        title=finding.rstrip("."),
        subtitle=" ".join(f"{line.rstrip('.')}." for line in advice[:MOST_SAID]),
        context={
            "advice": advice[MOST_SAID:],
            "tables": tables,
            "legend": [*legend_of("capacity").values()][1:],
            "hours": (from_h, to_h),
            "lanes": lanes_shown(network.lanes),
            "day": day,
            "scenario": network.scenario,
            "links": network.links,
            "many": len(network.lanes),
            "map": network.map,
            "draw_map": draw_map,
        },
    )
