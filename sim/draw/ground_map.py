"""Ground tracks, clusters or stations, and their circles."""

from collections.abc import Sequence
from datetime import datetime

import numpy as np
from matplotlib.axes import Axes
from matplotlib.transforms import Bbox

from orbit import Satellite
from orbit.look_angles import ground_track
from sim.draw.canvas import LETTER, LINE, Drawn, behind, new_axes, room_of
from sim.draw.colours import colour, ink
from sim.draw.names import name
from sim.draw.views import MapView, broken, land_rings, map_view

MOST_PLACES_NAMED = 30
"""Places up to which each has its name written."""


def write_names(axes: Axes, places: Sequence[tuple[float, float, str]]) -> None:
    """Write the names of places (longitude, latitude, name); of too many none."""
    taken: list[Bbox] = []
    letter_deg = 360.0 / (0.85 * room_of(axes)[0])
    line_deg = letter_deg * LINE / LETTER
    gap_deg = 0.7 * letter_deg
    for longitude_deg, latitude_deg, text in places if len(places) <= MOST_PLACES_NAMED else []:
        label = name(text, 14)
        width_deg = letter_deg * len(label)
        # To the right, to the left, then both a line further up or down.
        boxes = [
            Bbox.from_bounds(west, latitude_deg + line - line_deg / 2, width_deg, line_deg)
            for line in (0.0, line_deg, -line_deg)
            for west in (longitude_deg + gap_deg, longitude_deg - gap_deg - width_deg)
        ]
        inside = [box for box in boxes if box.x0 > -180 and box.x1 < 180] or boxes
        taken.append(min(inside, key=lambda box: box.count_overlaps(taken)))
        right = taken[-1].x0 > longitude_deg
        x, aligned = (taken[-1].x0, "left") if right else (taken[-1].x1, "right")
        axes.text(x, taken[-1].y0 + line_deg / 2, label, ha=aligned, va="center")


TRACK_STEP_S = 20.0
MOST_TRACKS = 24
"""Satellites up to which each has its track drawn, and not only where it begins."""
MOST_CIRCLES = 120
"""Sites up to which each has its circle drawn, and not only a dot."""


def ground_map(
    self: Drawn, axes: Axes | None = None, hours: float | None = None, minute: float = 0.0
) -> Axes:
    """Draw all satellites at a ``minute`` of the run, their tracks of the ``hours`` from then on,
    the clusters or the stations, and from where these see them.

    Without ``hours`` it is about two orbits of one satellite, half of one of a constellation.
    """
    view, axes = map_view(self.run.manifest, minute), axes or new_axes()
    satellites = view.satellites
    period_s = 60.0 * 2 * np.pi / float(satellites[0].model.no_kozai)
    orbits = 2.0 if len(satellites) == 1 else 0.5
    span_s = period_s * orbits if hours is None else hours * 3600.0
    axes.grid(visible=False)
    _land(axes)
    if len(satellites) <= MOST_TRACKS:
        for satellite in satellites:
            _track(axes, satellite, view.at, span_s, alone=len(satellites) == 1)
    else:
        _marks(axes, view)
    (_circles if len(view.sites) <= MOST_CIRCLES else _dots)(axes, view)
    places = zip(view.site_longitude_deg, view.site_latitude_deg, view.sites, strict=True)
    write_names(axes, [(longitude, latitude, site.name) for longitude, latitude, site in places])
    axes.set(xlim=(-180, 180), ylim=(-90, 90), aspect="equal")
    axes.set(xlabel="longitude in degrees", ylabel="latitude in degrees")
    axes.set_xticks(range(-120, 121, 60))
    axes.set_yticks(range(-60, 61, 30))
    return axes


def _circles(axes: Axes, view: MapView) -> None:
    """Draw each site, and from where it sees a satellite above its mask."""
    for number, site in enumerate(view.sites):
        longitude_deg, latitude_deg = view.circle(site)
        here = view.site_longitude_deg[number], view.site_latitude_deg[number]
        axes.plot(longitude_deg, latitude_deg, color=colour(number), linewidth=1.0)
        axes.plot(*here, "o", color=colour(number), ms=4)
        line = f"from where {site.name} sees a satellite"
        behind(axes, line=line, longitude_deg=longitude_deg, latitude_deg=latitude_deg)


def _dots(axes: Axes, view: MapView) -> None:
    """Draw where many sites are, without their circles, and say that these are left out."""
    longitude_deg, latitude_deg = view.site_longitude_deg, view.site_latitude_deg
    axes.plot(longitude_deg, latitude_deg, "o", color=colour(0), ms=1.5)
    axes.set_title(f"{len(view.sites)} places, without their circles")
    names = [site.name for site in view.sites]
    behind(axes, line=names, longitude_deg=longitude_deg, latitude_deg=latitude_deg)


def _track(
    axes: Axes, satellite: Satellite, start: datetime, span_s: float, *, alone: bool
) -> None:
    """Draw a satellite where it begins, and its track."""
    time_s = np.linspace(0.0, span_s, max(2, int(span_s / TRACK_STEP_S) + 1))
    track = ground_track(satellite, start, time_s)
    places = {"longitude_deg": track.longitude_deg, "latitude_deg": track.latitude_deg}
    behind(axes, line=satellite.name, seconds=time_s, **places)
    line = broken(track.longitude_deg, track.latitude_deg)
    axes.plot(*line, color=ink(), linewidth=0.8 if alone else 0.5, alpha=0.6)
    axes.plot(track.longitude_deg[:1], track.latitude_deg[:1], "^", color=ink(), ms=3)


def _marks(axes: Axes, view: MapView) -> None:
    """Draw where many satellites begin."""
    axes.plot(view.longitude_deg, view.latitude_deg, "^", color=ink(), ms=3)
    places = {"longitude_deg": view.longitude_deg, "latitude_deg": view.latitude_deg}
    behind(axes, line=[one.name for one in view.satellites], seconds=0.0, **places)


def _land(axes: Axes) -> None:
    """Fill the land; its one path has holes where a ring runs the other way round."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    rings = [Path(ring, closed=True) for ring in land_rings()]
    land = PathPatch(Path.make_compound_path(*rings), facecolor="#8a8a8a", alpha=0.3, linewidth=0)
    axes.add_patch(land)
