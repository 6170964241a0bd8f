"""What went on when, how long rounds lasted, and how stale updates were."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from sim.analysis import spans
from sim.analysis.critical_path import OF_CLIENTS, Part, shares_of, together
from sim.analysis.rounds import client_word, round_ends_s
from sim.analysis.run import Run
from sim.draw.canvas import Drawn, behind, new_axes, nothing, unit_of
from sim.draw.colours import COLOURS, colour, ink
from sim.draw.names import legend, name, name_ticks
from sim.draw.shapes import rectangles
from statements.arrays import Floats

BARS = {
    "in view": (0.08, 0.84, 0.13),
    "connected": (0.08, 0.84, 0.32),
    "training": (0.16, 0.3, 0.75),
    "transfers": (0.54, 0.3, 1.0),
}
"""Lower edge, height (in lanes) and opacity of what goes on."""
FINEST = 800
"""Gaps shorter than this part of what is shown cannot be seen."""
EDGE_POINTS = 0.5
"""Bars have an edge so that short ones can be seen, in points."""


def timeline(self: Drawn, axes: Axes | None = None, days: float | None = None) -> Axes:
    """Draw contacts, transfers and training by cluster, of the first ``days`` or of all.

    Those of a network study are by station, where there are stations. Of more than lanes can be
    told apart several share a lane, and the axis says so.
    """
    tables = self.run.tables
    simulated_s = self.run.manifest["simulated_s"]
    shown_s = simulated_s if days is None else min(days * 86400.0, simulated_s)
    from matplotlib.patches import Patch

    column, names = lanes_by(self.run)
    if not names or not shown_s > 0:
        raise nothing("the run has no time to show: it ended before anything happened")
    axes = axes or new_axes()
    unit = unit_of(shown_s)
    lanes = spans.lanes_of(names)
    labels = [spans.lane_name(clusters) for clusters in lanes]
    shown = spans.activities(tables)
    for what, own in shown.items():
        low, height, opacity = BARS[what]
        # Lanes of one colour are one path.
        bars: defaultdict[str, list[Floats]] = defaultdict(list)
        for lane, mine in enumerate(spans.by_lane(own, lanes, column)):
            begin_s, end_s = mine.merged(shown_s / FINEST, shown_s)
            behind(axes, lane=labels[lane], what=what, begin_s=begin_s, end_s=end_s)
            edge = np.full(len(begin_s), lane + low)
            bars[colour(lane)].append(np.array([begin_s, end_s, edge]))
        for of_lanes, pieces in bars.items():
            begin_s, end_s, edges = np.concatenate(pieces, axis=1)
            look: dict[str, Any] = {"color": of_lanes, "alpha": opacity, "linewidth": EDGE_POINTS}
            begin, end = begin_s / unit.seconds, end_s / unit.seconds
            rectangles(axes, begin, end, edges, edges + height, **look)
    axes.grid(visible=False)
    axes.set_xlim(0, shown_s / unit.seconds)
    axes.set_ylim(len(lanes), 0)
    axes.set_xlabel(f"simulated {unit.name}")
    if (most := spans.clusters_of_a_lane(len(names))) > 1:
        who = client_word(self.run.manifest) if column == "cluster" else column
        axes.set_ylabel(f"{len(names)} {who}s, up to {most} in a lane")
    name_ticks(axes, "y", [lane + 0.5 for lane in range(len(lanes))], labels)
    axes.tick_params(axis="y", length=0)
    legend(axes, [Patch(color=ink(), alpha=BARS[what][2]) for what in shown], list(shown))
    return axes


def lanes_by(run: Run) -> tuple[str, list[str]]:
    """Return the column of the contacts by which lanes are, and the names of the lanes."""
    if run.manifest["method"] is not None:
        return "cluster", spans.names_of_clients(run.tables, run.manifest)
    column = "station" if spans.of_stations(run.tables["contacts"]) else "cluster"
    return column, sorted(spans.names_in(run.tables, "contacts", (column,)) - {None})


def rounds(self: Drawn, axes: Axes | None = None) -> Axes:
    """Draw how long each round lasted, from the end of the one before, and the mean of all."""
    ends_s = round_ends_s(self.run.tables, self.run.manifest)
    if not len(ends_s):
        raise nothing("the run has no rounds: its method has ended none, or waits for nobody")
    lasted_s = np.diff(ends_s, prepend=0.0)
    axes = axes or new_axes()
    across = unit_of(ends_s[-1])
    up = unit_of(lasted_s.max())
    begin_and_ends = np.append(0.0, ends_s) / across.seconds
    lasted = np.append(lasted_s[0], lasted_s) / up.seconds
    lines = axes.plot(begin_and_ends, lasted, drawstyle="steps-pre", color=colour(0))
    lines += [axes.axhline(lasted_s.mean() / up.seconds, color=colour(1), linestyle="--")]
    behind(axes, end_s=ends_s, lasted_s=lasted_s)
    axes.set_ylim(0, 1.1 * lasted_s.max() / up.seconds)
    axes.set(xlabel=f"simulated {across.name}", ylabel=f"lasted ({up.name})")
    legend(axes, lines, ["a round", "mean"])
    return axes


PART_MARKERS = "os^Dv<>pPX*"
"""How parts are marked, in their order."""
LEAST_PERCENT = 0.01
"""Where the scale of shares begins: less stands there too, nothing stands nowhere."""
MOST_CLIENT_LINES = 16
"""Clients up to which each has a line, and not only their mean."""
LONGEST_LINE_NAME = 60
"""Letters of a name that are written whole."""


def where_time_went(self: Drawn, axes: Axes | None = None) -> Axes:
    """Draw which shares of the simulated time each client spent how."""
    lines = self.run.client_times
    if not any(map(any, (spent.values() for spent in lines.values()))):
        raise nothing("the run has no time to show: it ended before anything happened")
    if len(lines) > MOST_CLIENT_LINES:
        together_name = f"all {len(lines)} {client_word(self.run.manifest)}s together"
        lines = {together_name: together([*lines.values()])}
    shares = {label: shares_of(spent) for label, spent in lines.items()}
    return draw_shares(shares, OF_CLIENTS, axes)


def draw_shares(
    lines: Mapping[str, Mapping[Part, float]],
    names: Mapping[Part, str] | None = None,
    axes: Axes | None = None,
) -> Axes:
    """Draw the shares of time of some lines by part, on a scale that shows 1 % beside 99 %.

    ``names`` has the parts that are drawn and their names in the legend; by default all parts of
    the lines, by their own names.
    """
    names = names or {part: str(part) for shares in lines.values() for part in shares}
    axes = axes or new_axes()
    places = np.arange(len(lines))
    for place, label in enumerate(lines):
        axes.axhline(place, color=ink(), linewidth=0.5, alpha=0.4, zorder=0.5)
        axes.text(LEAST_PERCENT, place - 0.22, name(label, LONGEST_LINE_NAME), va="bottom")
    handles = []
    for number, (part, word) in enumerate(names.items()):
        percent = 100 * np.array([shares.get(part, 0.0) for shares in lines.values()])
        shown = np.where(percent > 0, np.maximum(percent, LEAST_PERCENT), np.nan)
        behind(axes, line=list(lines), part=word, percent=percent)
        handles += axes.plot(
            shown, places, PART_MARKERS[number], color=colour(number), fillstyle="none", mew=2
        )
    axes.grid(axis="x")
    axes.grid(visible=False, axis="y")
    axes.set(xscale="log", xlim=(0.8 * LEAST_PERCENT, 125), yticks=[])
    axes.set_ylim(len(lines) - 0.6, -0.8)
    axes.set_xticks([0.01, 0.1, 1, 10, 100], ["0.01", "0.1", "1", "10", "100"])
    axes.set_xlabel("share of the time in percent, by powers of ten")
    legend(axes, handles, [*names.values()])
    return axes


MOST_STALENESS_BARS = 100
"""Bars of the staleness at most; beyond, one stands for several neighbours."""


def draw_staleness(axes: Axes, counts: Mapping[int, int]) -> None:
    """Draw how many versions lay between a device's download and its update."""
    behind(axes, staleness_versions=list(counts), updates=list(counts.values()))
    values = np.maximum(list(counts), 0)
    updates = list(counts.values())
    width = -(-(int(values.max()) + 1) // MOST_STALENESS_BARS)
    of_a_bar = np.bincount(values // width, updates)
    middles = (np.arange(len(of_a_bar)) + 0.5) * width - 0.5
    axes.bar(middles, of_a_bar, 0.8 * width, color=COLOURS[0])
    axes.locator_params(axis="x", integer=True)
    axes.set_xlim(-0.6 * width - 0.1, len(of_a_bar) * width - 0.4)
    axes.set_xlabel("staleness (versions)")
    axes.set_ylabel("updates")
