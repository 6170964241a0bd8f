"""Elevation and rate over one contact."""

from matplotlib.artist import Artist
from matplotlib.axes import Axes

from sim.draw.canvas import Drawn, behind, new_axes
from sim.draw.colours import DASHES, colour, ink
from sim.draw.names import legend
from sim.draw.views import contact_view


def contact(self: Drawn, contact_id: int | None = None, axes: Axes | None = None) -> Axes:
    """Draw elevation and rate over a contact, by default the one that was served longest.

    They are those of the cluster's centre. The rate's axes are the last of the figure.
    """
    view = contact_view(self.run.tables["contacts"], self.run.manifest, contact_id)
    axes = axes or new_axes()
    lines = axes.plot(view.minutes, view.elevation_deg, color=ink(), linewidth=1.4)
    behind(axes, line="elevation", minutes=view.minutes, elevation_deg=view.elevation_deg)
    rates = axes.twinx()
    for number, (what, (minutes, rate_mbps)) in enumerate(view.rate_mbps.items()):
        line = rates.plot(minutes, rate_mbps, linewidth=1.4)
        behind(axes, line=what, minutes=minutes, rate_mbps=rate_mbps)
        line[0].set(color=colour(number), linestyle=DASHES[number])
        lines += line
    axes.set_xlim(view.minutes[0], view.minutes[-1])
    axes.set_ylim(0, 90)
    if view.fits_one_scale:
        rates.set_ylim(bottom=0)
    else:
        rates.set_yscale("log")
        rates.yaxis.set_major_formatter("{x:g}")
    axes.set_xlabel(f"minutes since the rise at {view.row['rise_utc']:%Y-%m-%d %H:%M:%S} UTC")
    axes.set_ylabel("elevation in degrees")
    rates.set_ylabel("rate in Mbit/s")
    shades: list[Artist] = [
        axes.axvspan(begin, end, color=ink(), alpha=0.12, linewidth=0)
        for begin, end in view.not_served
    ]
    named = ["elevation", *view.rate_mbps, *["not served"] * len(shades[:1])]
    legend(axes, [*lines, *shades[:1]], named)
    return axes
