"""Elevation and rate over one contact."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from matplotlib.artist import Artist
from matplotlib.axes import Axes

import scenarios
from sim.errors import InputError
from sim.plan.budget import fit_one_scale, passes_of
from sim.plots.canvas import Drawn, behind, new_axes
from sim.plots.colours import DASHES, colour, ink
from sim.plots.names import legend
from statements import Code, Other, Statement


def contact(self: Drawn, contact_id: int | None = None, axes: Axes | None = None) -> Axes:
    """Draw elevation and rate over a contact, by default the one that was served longest.

    They are those of the cluster's centre. The rate's axes are the last of the figure.
    """
    scenario = scenarios.from_dict(self.run.manifest["scenario"])
    if not scenario.orbit.has_geometry:
        source = scenario.orbit.source
        raise InputError(
            Statement.of(
                Code.NOT_RECORDED,
                "",
                "the run's contacts have no elevation: orbit.source is {source!r}",
                source=source,
            )
        )
    row = _contact(self.run.tables["contacts"], contact_id)
    sides = passes_of(scenario)(row["contact_id"])
    seen = sides["uplink"]
    axes = axes or new_axes()
    minutes = seen["time_s"] / 60.0
    lines = axes.plot(minutes, seen["elevation_deg"], color=ink(), linewidth=1.4)
    behind(axes, line="elevation", minutes=minutes, elevation_deg=seen["elevation_deg"])
    rates = axes.twinx()
    for number, (what, side) in enumerate(sides.items()):
        line = rates.plot(side["time_s"] / 60.0, side["rate_mbps"], linewidth=1.4)
        behind(axes, line=what, minutes=side["time_s"] / 60.0, rate_mbps=side["rate_mbps"])
        line[0].set(color=colour(number), linestyle=DASHES[number])
        lines += line
    axes.set_xlim(minutes[0], minutes[-1])
    axes.set_ylim(0, 90)
    if fit_one_scale(sides):
        rates.set_ylim(bottom=0)
    else:
        rates.set_yscale("log")
        rates.yaxis.set_major_formatter("{x:g}")
    axes.set_xlabel(f"minutes since the rise at {row['rise_utc']:%Y-%m-%d %H:%M:%S} UTC")
    axes.set_ylabel("elevation in degrees")
    rates.set_ylabel("rate in Mbit/s")
    shades = _not_served(axes, row)
    legend(axes, [*lines, *shades], ["elevation", *sides, *["not served"] * len(shades)])
    return axes


def _not_served(axes: Axes, row: Mapping[str, Any]) -> list[Artist]:
    """Shade the parts of a contact in which the cluster is not served; return what marks them."""
    begin_s = row["rise_s"]
    end_s = row["set_s"]
    if row["served"]:
        parts = [(begin_s, row["service_start_s"]), (row["service_end_s"], end_s)]
    else:
        parts = [(begin_s, end_s)]
    shades: list[Artist] = [
        axes.axvspan((a - begin_s) / 60, (b - begin_s) / 60, color=ink(), alpha=0.12, linewidth=0)
        for a, b in parts
        if b > a
    ]
    return shades[:1]


def _contact(contacts: pa.Table, contact_id: int | None) -> dict[str, Any]:
    """Return a contact's row, or that of the longest service."""
    if contact_id is None:
        if (longest := longest_service(contacts)) is None:
            raise InputError(
                Statement.of(
                    Code.NOT_RECORDED,
                    "",
                    "the run served no contact",
                    Other(said="name one by its contact_id"),
                )
            )
        return longest
    rows: list[dict[str, Any]] = contacts.filter(
        pc.equal(contacts["contact_id"], contact_id)
    ).to_pylist()
    if not rows:
        raise InputError(
            Statement.of(
                Code.WRONG_VALUE,
                "",
                f"the run has no contact {{contact_id}}; it has 0 to {len(contacts) - 1}",
                contact_id=contact_id,
            )
        )
    return rows[0]


def longest_service(contacts: pa.Table) -> dict[str, Any] | None:
    """Return the row of the contact that was served for the longest, the first of several."""
    lasted_s = pc.subtract(contacts["service_end_s"], contacts["service_start_s"])
    rows = contacts.filter(pc.equal(lasted_s, pc.max(lasted_s))).slice(0, 1).to_pylist()
    return rows[0] if rows else None
