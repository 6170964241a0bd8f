"""The page of a network: what it carries in a day, and when which places are served."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import numpy as np

from sim.formatting import legend_of
from sim.plots.views import MapView
from sim.report.drawing import BOTTOM, LINE, TOP, WIDTH, Axis, Frame, Key, Picture
from sim.report.map_picture import picture_of
from sim.report.page import Page
from statements.arrays import Floats

DAY_S = 86_400.0
HOUR_S = 3_600.0
MOST_SAID = 3
"""Sentences below the title; the others stand in the text."""
MOST_LANES = 30
"""Places whose day is drawn; of more, those that are served for the longest."""
BROAD = 1120
"""Pixels of a picture that is as wide as the page."""
PIXELS = 1000
"""Gaps of less than one of so many parts of what is drawn cannot be seen."""
TALL = 0.72
"""Part of a lane that its bars take."""

Table = tuple[str, list[str], list[list[str]]]
"""Caption, heads and cells."""


class Lane(NamedTuple):
    """Spans (N, 2) in seconds in which a place is in view of a satellite, and (M, 2) is served."""

    name: str
    seen_s: Floats
    served_s: Floats


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
            "day": [day_of(network.lanes, from_h, to_h, width) for width in (BROAD, WIDTH)],
            "scenario": network.scenario,
            "links": network.links,
            "many": len(network.lanes),
            "most": MOST_LANES,
            "map": None if network.map is None else picture_of(network.map),
        },
    )


def _joined(spans: Floats, least: float) -> Floats:
    """Return begins and ends (2, M) of spans (N, 2): those ``least`` or more apart stay apart."""
    begin, end = spans[spans[:, 1] > spans[:, 0]].T
    apart = begin[1:] - end[:-1] >= least
    return np.stack([begin[np.r_[True, apart][: len(begin)]], end[np.r_[apart, True][: len(end)]]])


def day_of(lanes: Sequence[Lane], from_h: float, to_h: float, width: int) -> Picture | None:
    """Return when places are in view and served in some hours; None without any pass."""
    shown = [lane for lane in lanes if len(lane.seen_s)]
    if not shown:
        return None
    if len(shown) > MOST_LANES:
        longest = sorted(shown, key=lambda lane: -float(np.diff(lane.served_s).sum()))
        kept = {lane.name for lane in longest[:MOST_LANES]}
        shown = [lane for lane in shown if lane.name in kept]
    shown = shown[::-1]  # the first one stands above
    frame = Frame(
        Axis("hours since the start", from_h, to_h),
        Axis.named("", [lane.name for lane in shown]),
        width=width,
        height=TOP + BOTTOM + LINE * (len(shown) + 1),
    )
    shapes = []
    for look, spans in (
        ("hue-7", [lane.seen_s for lane in shown]),
        ("hue-0", [lane.served_s for lane in shown]),
    ):
        for number, span_s in enumerate(spans):
            begin, end = _joined(np.clip(span_s / HOUR_S, from_h, to_h), (to_h - from_h) / PIXELS)
            shapes.append(frame.fields(begin, np.full(len(begin), number), look, end - begin, TALL))
    return frame.picture(shapes, [Key("in view", "hue-7"), Key("served", "hue-0")])
