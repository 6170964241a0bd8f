"""A still of a replay: the map of one minute, with the night and with lines to who is served."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
from matplotlib.axes import Axes

from orbit.earth import earth_rotation
from orbit.eclipses import sun_km
from orbit.look_angles import ground_track
from orbit.utc import Start
from sim.analysis.critical_path import Run
from sim.analysis.spans import connected
from sim.draw import Pictures
from sim.draw.canvas import behind
from sim.draw.colours import ink
from sim.draw.views import broken, east
from sim.replay.scene import place_column, sky_of
from statements.arrays import Floats

NIGHT = "#20305a"


def still(run: Run, minute: float, axes: Axes | None = None) -> Axes:
    """Draw the map of a run at a ``minute``: satellites, places, night, and who is served.

    Raises InputError for a run without orbits, and for a minute that it does not have.
    """
    axes = Pictures(run).map(axes, minute=minute)
    at = datetime.fromisoformat(run.manifest["start_utc"]) + timedelta(minutes=minute)
    _night(axes, *sun_below_deg(at))
    _services(axes, run, at, minute * 60.0)
    axes.set_title(f"{at:%Y-%m-%d %H:%M:%S} UTC, minute {minute:g} of the run")
    return axes


def sun_below_deg(at: datetime) -> tuple[float, float]:
    """Return longitude and latitude of the place that has the Sun overhead, in degrees."""
    start = Start.of(at)
    now = np.zeros(1)
    teme_km = sun_km(start.julian_day + start.day_fraction(now)).T
    x, y, z = earth_rotation(start, 0.0, 0.0).rotate(now, teme_km, np.zeros((1, 3)))[:3, 0]
    return float(np.degrees(np.arctan2(y, x))), float(np.degrees(np.arctan2(z, np.hypot(x, y))))


def night_edge_deg(sun_longitude_deg: float, sun_latitude_deg: float) -> tuple[Floats, Floats]:
    """Return longitudes and latitudes (361,) between which the Sun is on the horizon."""
    longitude_deg = np.linspace(-180.0, 180.0, 361)
    # At an equinox the edge is a meridian: it is drawn as one that leans a little.
    leans = np.radians(sun_latitude_deg if abs(sun_latitude_deg) > 1e-3 else 1e-3)
    away = np.radians(longitude_deg - sun_longitude_deg)
    return longitude_deg, np.degrees(np.arctan(-np.cos(away) / np.tan(leans)))


def _night(axes: Axes, sun_longitude_deg: float, sun_latitude_deg: float) -> None:
    longitude_deg, latitude_deg = night_edge_deg(sun_longitude_deg, sun_latitude_deg)
    dark_deg = -90.0 if sun_latitude_deg >= 0 else 90.0
    axes.fill_between(longitude_deg, latitude_deg, dark_deg, color=NIGHT, alpha=0.18, linewidth=0)
    edge = {"longitude_deg": longitude_deg, "latitude_deg": latitude_deg}
    behind(axes, line="edge of the night", **edge)


def _services(axes: Axes, run: Run, at: datetime, time_s: float) -> None:
    """Draw a line from each place that is served to the satellite that serves it."""
    sky = sky_of(run)
    flying = dict(zip(sky.satellites, sky.flying, strict=True))
    services = connected(run.tables["contacts"])
    now = (services.begin_s <= time_s) & (time_s < services.end_s)
    names = (services.rows["satellite"], place_column(services.rows))
    for satellite, place in set(
        zip(*(column.filter(now).to_pylist() for column in names), strict=True)
    ):
        site = sky.sites.get(place)
        if site is None or satellite not in flying:  # a satellite that serves others has no site
            continue
        track = ground_track(flying[satellite], at, np.zeros(1))
        longitude_deg = np.array([east(site.longitude_deg), track.longitude_deg[0]])
        latitude_deg = np.array([site.latitude_deg, track.latitude_deg[0]])
        axes.plot(*broken(longitude_deg, latitude_deg), color=ink(), linewidth=1.6)
        ends = {"longitude_deg": longitude_deg, "latitude_deg": latitude_deg}
        behind(axes, line=f"{satellite} serves {place}", **ends)
