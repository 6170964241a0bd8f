"""Ground tracks, clusters or stations, and their circles."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from numbers import Real
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.transforms import Bbox

import scenarios
from learning.requests.cluster import Floats
from orbit import Satellite, Site
from orbit.look_angles import ground_track
from scenarios import Scenario
from sim.errors import InputError
from sim.files import packaged
from sim.plots.canvas import Drawn, behind, new_axes
from sim.plots.colours import colour, ink
from sim.plots.names import name
from sim.world.scenery import scenery_of
from statements import Code, Other, Statement

LETTER_DEG = 7.5
"""About the width of a letter on a map of the world 4.6 inches wide, in degrees."""
LINE_DEG = 14.0
"""About the height of a line there, in degrees."""
GAP_DEG = 5.0
"""What lies between a place and its name, in degrees."""
MOST_NAMES = 30
"""Places up to which each has its name written."""


def write_names(axes: Axes, places: Sequence[tuple[float, float, str]]) -> None:
    """Write the names of places (longitude, latitude, name); of too many none."""
    taken: list[Bbox] = []
    for longitude_deg, latitude_deg, text in places if len(places) <= MOST_NAMES else []:
        label = name(text, 14)
        width_deg = LETTER_DEG * len(label)
        # To the right, to the left, then both a line further up or down.
        boxes = [
            Bbox.from_bounds(west, latitude_deg + line - LINE_DEG / 2, width_deg, LINE_DEG)
            for line in (0.0, LINE_DEG, -LINE_DEG)
            for west in (longitude_deg + GAP_DEG, longitude_deg - GAP_DEG - width_deg)
        ]
        inside = [box for box in boxes if box.x0 > -180 and box.x1 < 180] or boxes
        taken.append(min(inside, key=lambda box: box.count_overlaps(taken)))
        right = taken[-1].x0 > longitude_deg
        x, aligned = (taken[-1].x0, "left") if right else (taken[-1].x1, "right")
        axes.text(x, taken[-1].y0 + LINE_DEG / 2, label, ha=aligned, va="center")


STEP_S = 20.0
EARTH_RADIUS_KM = 6371.0
"""Of the sphere that maps are drawn on."""
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
    manifest = self.run.manifest
    scenery = scenery_of(check_map(manifest, minute))
    satellites, sites = scenery.satellites, scenery.sites
    start = datetime.fromisoformat(manifest["start_utc"]) + timedelta(minutes=minute)
    period_s = 60.0 * 2 * np.pi / float(satellites[0].model.no_kozai)
    orbits = 2.0 if len(satellites) == 1 else 0.5
    span_s = period_s * orbits if hours is None else hours * 3600.0
    axes = axes or new_axes()
    _land(axes)
    if len(satellites) <= MOST_TRACKS:
        alone = len(satellites) == 1
        altitudes_km = np.array([_track(axes, s, start, span_s, alone=alone) for s in satellites])
    else:
        altitudes_km = _marks(axes, satellites, start)
    if len(sites) <= MOST_CIRCLES:
        mask_deg: float = manifest["scenario"]["orbit"]["min_elevation_deg"]
        _circles(axes, sites, float(np.mean(altitudes_km)), mask_deg)
    else:
        _dots(axes, sites)
    write_names(axes, [(east(s.longitude_deg), s.latitude_deg, s.name) for s in sites])
    axes.set(xlim=(-180, 180), ylim=(-90, 90), aspect="equal")
    axes.set(xlabel="longitude in degrees", ylabel="latitude in degrees")
    axes.set_xticks(range(-180, 181, 60))
    axes.set_yticks(range(-90, 91, 30))
    return axes


def check_map(manifest: Mapping[str, Any], minute: float) -> Scenario:
    """Return the scenario of a run that has a map of this minute; raise InputError without one."""
    scenario = scenarios.from_dict(manifest["scenario"])
    if not scenario.orbit.has_geometry:
        source = scenario.orbit.source
        raise InputError(
            Statement.of(
                Code.NOT_RECORDED,
                "",
                "the run has no map: orbit.source {source!r} has no satellite's orbit",
                source=source,
            )
        )
    last = manifest["simulated_s"] / 60.0
    if not isinstance(minute, Real):
        raise InputError(
            Statement.of(
                Code.WRONG_VALUE,
                "minute",
                "got {minute!r}",
                Other(said=f"give a number, from 0 to {last:g}"),
                minute=minute,
            )
        )
    if not 0.0 <= minute <= last:
        raise InputError(
            Statement.of(
                Code.WRONG_VALUE,
                "minute",
                "got {minute:g}; the run has the minutes 0 to {last:g}",
                minute=minute,
                last=last,
            )
        )
    return scenario


def east(longitude_deg: Any) -> Any:
    """Return a longitude, or an array of them, as one from -180 to 180 degrees."""
    return (longitude_deg + 180.0) % 360.0 - 180.0


def reach(altitude_km: float, mask_deg: float) -> float:
    """Return how far from a site, in degrees of the Earth, a satellite at its mask stands."""
    mask = np.radians(mask_deg)
    ratio = EARTH_RADIUS_KM / (EARTH_RADIUS_KM + altitude_km)
    return float(np.degrees(np.arccos(ratio * np.cos(mask)) - mask))


def circle(site: Site, radius_deg: float) -> tuple[Floats, Floats]:
    """Return longitudes and latitudes (361,) of a circle about a site on a sphere."""
    bearing = np.radians(np.arange(361.0))
    here = np.radians(site.latitude_deg)
    far = np.radians(radius_deg)
    sine = np.sin(here) * np.cos(far) + np.cos(here) * np.sin(far) * np.cos(bearing)
    latitude = np.arcsin(np.clip(sine, -1.0, 1.0))
    along = np.cos(far) - np.sin(here) * sine
    turn = np.arctan2(np.sin(bearing) * np.sin(far) * np.cos(here), along)
    return east(site.longitude_deg + np.degrees(turn)), np.degrees(latitude)


def broken(longitude_deg: Floats, latitude_deg: Floats) -> tuple[Floats, Floats]:
    """Return a line without its steps from one side of the map to the other: nan lies between."""
    over = np.flatnonzero(np.abs(np.diff(longitude_deg)) > 180.0) + 1
    return np.insert(longitude_deg, over, np.nan), np.insert(latitude_deg, over, np.nan)


def _circles(axes: Axes, sites: Sequence[Site], altitude_km: float, mask_deg: float) -> None:
    """Draw each site, and from where it sees a satellite at an altitude above its mask."""
    for number, site in enumerate(sites):
        own_deg = site.min_elevation_deg
        reach_deg = reach(altitude_km, mask_deg if own_deg is None else own_deg)
        longitude_deg, latitude_deg = broken(*circle(site, reach_deg))
        axes.plot(longitude_deg, latitude_deg, color=colour(number), linewidth=1.0)
        axes.plot(east(site.longitude_deg), site.latitude_deg, "o", color=colour(number), ms=4)
        line = f"from where {site.name} sees a satellite"
        behind(axes, line=line, longitude_deg=longitude_deg, latitude_deg=latitude_deg)


def _dots(axes: Axes, sites: Sequence[Site]) -> None:
    """Draw where many sites are, without their circles, and say that these are left out."""
    longitude_deg = east(np.array([site.longitude_deg for site in sites]))
    latitude_deg = np.array([site.latitude_deg for site in sites])
    axes.plot(longitude_deg, latitude_deg, "o", color=colour(0), ms=1.5)
    axes.set_title(f"{len(sites)} places, without their circles")
    names = [site.name for site in sites]
    behind(axes, line=names, longitude_deg=longitude_deg, latitude_deg=latitude_deg)


def _track(
    axes: Axes, satellite: Satellite, start: datetime, span_s: float, *, alone: bool
) -> float:
    """Draw a satellite where it begins, and its track; return its mean altitude in km."""
    time_s = np.linspace(0.0, span_s, max(2, int(span_s / STEP_S) + 1))
    track = ground_track(satellite, start, time_s)
    places = {"longitude_deg": track.longitude_deg, "latitude_deg": track.latitude_deg}
    behind(axes, line=satellite.name, seconds=time_s, **places)
    line = broken(track.longitude_deg, track.latitude_deg)
    axes.plot(*line, color=ink(), linewidth=0.8 if alone else 0.5, alpha=0.6)
    axes.plot(track.longitude_deg[:1], track.latitude_deg[:1], "^", color=ink(), ms=3)
    return float(track.altitude_km.mean())


def _marks(axes: Axes, satellites: Sequence[Satellite], start: datetime) -> Floats:
    """Draw where many satellites begin; return their altitudes there in km."""
    found = [ground_track(satellite, start, np.zeros(1)) for satellite in satellites]
    longitude_deg, latitude_deg, altitude_km = (
        np.concatenate([getattr(track, key) for track in found])
        for key in ("longitude_deg", "latitude_deg", "altitude_km")
    )
    axes.plot(longitude_deg, latitude_deg, "^", color=ink(), ms=3)
    places = {"longitude_deg": longitude_deg, "latitude_deg": latitude_deg}
    behind(axes, line=[satellite.name for satellite in satellites], seconds=0.0, **places)
    return altitude_km


def _land(axes: Axes) -> None:
    """Fill the land; its one path has holes where a ring runs the other way round."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    rings = json.loads(packaged("sim.plots", "land.json"))["rings"]
    rings = [Path(ring, closed=True) for ring in rings]
    land = PathPatch(Path.make_compound_path(*rings), facecolor="#8a8a8a", alpha=0.3, linewidth=0)
    axes.add_patch(land)
