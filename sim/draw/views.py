"""One contact, and one minute on a map: what pictures of a run show, derived once.

matplotlib, the page and the replay draw it. It is computed again from the scenario of the run's
manifest, as no table has so many rows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from numbers import Real
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import scenarios
from orbit import Satellite, Site
from orbit.look_angles import ground_track
from scenarios import Scenario
from sim.capacity.budget import fit_one_scale, passes_of
from sim.draw.canvas import nothing
from sim.errors import InputError
from sim.files import packaged
from sim.world.scenery import scenery_of
from statements import Code
from statements.arrays import Floats

MAP_RADIUS_KM = 6371.0
"""Of the sphere that maps are drawn on."""


# One contact.


@dataclass(frozen=True, eq=False)
class ContactView:
    """Elevation and rate of the cluster's centre over a contact, ``row`` of the contacts table.

    ``minutes`` (T,) count from its rise; ``rate_mbps`` has minutes and rates (T,) by direction.
    """

    row: Mapping[str, Any]
    minutes: Floats
    elevation_deg: Floats
    rate_mbps: Mapping[str, tuple[Floats, Floats]]
    fits_one_scale: bool

    @property
    def not_served(self) -> list[tuple[float, float]]:
        """When it is not served, in minutes: before and behind its service, or all of it."""
        row = self.row
        rise_s = row["rise_s"]
        edges_s = [rise_s, row["set_s"]]
        if row["served"]:
            edges_s[1:1] = [row["service_start_s"], row["service_end_s"]]
        minutes = [(edge_s - rise_s) / 60.0 for edge_s in edges_s]
        pairs = zip(minutes[::2], minutes[1::2], strict=True)
        return [(begin, end) for begin, end in pairs if end > begin]


def contact_view(
    contacts: pa.Table, manifest: Mapping[str, Any], contact_id: int | None = None
) -> ContactView:
    """Return the view of a contact, by default of the one that was served longest.

    Raises InputError where contacts have no elevation, and for a contact that is not there.
    """
    scenario = with_geometry(manifest, "the run's contacts have no elevation")
    row = longest_service(contacts) if contact_id is None else _contact(contacts, contact_id)
    if row is None:
        raise nothing("the run served no contact", "name one by its contact_id")
    sides = passes_of(scenario)(row["contact_id"])
    seen = sides["uplink"]
    return ContactView(
        row,
        seen["time_s"] / 60.0,
        seen["elevation_deg"],
        {name: (side["time_s"] / 60.0, side["rate_mbps"]) for name, side in sides.items()},
        fit_one_scale(sides),
    )


def longest_service(contacts: pa.Table) -> dict[str, Any] | None:
    """Return the row of the contact that was served for the longest, the first of several."""
    lasted_s = pc.subtract(contacts["service_end_s"], contacts["service_start_s"])
    rows = contacts.filter(pc.equal(lasted_s, pc.max(lasted_s))).slice(0, 1).to_pylist()
    return rows[0] if rows else None


def _contact(contacts: pa.Table, contact_id: int) -> dict[str, Any]:
    rows: list[dict[str, Any]] = contacts.filter(
        pc.equal(contacts["contact_id"], contact_id)
    ).to_pylist()
    if not rows:
        raise InputError.of(
            Code.WRONG_VALUE,
            "",
            f"the run has no contact {{contact_id}}; it has 0 to {len(contacts) - 1}",
            contact_id=contact_id,
        )
    return rows[0]


def with_geometry(manifest: Mapping[str, Any], lacking: str) -> Scenario:
    """Return the scenario of a run; raise InputError without orbits, with what is ``lacking``."""
    scenario = scenarios.from_dict(manifest["scenario"])
    if not scenario.orbit.has_geometry:
        source = scenario.orbit.source
        text = f"{lacking}: orbit.source {{source!r}} has no satellite's orbit"
        raise nothing(text, source=source)
    return scenario


# One minute on a map.


@dataclass(frozen=True, eq=False)
class MapView:
    """Where ``satellites`` (S,) are at a time, and the ``sites`` (N,) that see them.

    ``mask_deg`` is that of sites without one of their own.
    """

    at: datetime
    satellites: Sequence[Satellite]
    sites: Sequence[Site]
    longitude_deg: Floats
    latitude_deg: Floats
    altitude_km: Floats
    mask_deg: float

    @cached_property
    def site_longitude_deg(self) -> Floats:
        """Of the sites (N,), from -180 to 180 degrees."""
        east_deg: Floats = east(np.array([site.longitude_deg for site in self.sites]))
        return east_deg

    @cached_property
    def site_latitude_deg(self) -> Floats:
        """Of the sites (N,)."""
        return np.array([site.latitude_deg for site in self.sites])

    def circle(self, site: Site) -> tuple[Floats, Floats]:
        """Return the line about a site at which it sees a satellite at its mask."""
        own_deg = site.min_elevation_deg
        altitude_km = float(self.altitude_km.mean())
        reach_deg = reach(altitude_km, self.mask_deg if own_deg is None else own_deg)
        return broken(*circle(site, reach_deg))


def map_view(manifest: Mapping[str, Any], minute: float) -> MapView:
    """Return the view of a minute of a run; raise InputError without one, or without a map."""
    scenario = with_geometry(manifest, "the run has no map")
    last = manifest["simulated_s"] / 60.0
    if not isinstance(minute, Real):
        helps = f"give a number, from 0 to {last:g}"
        text = "got {minute!r}"
        raise InputError.of_option("minute", Code.WRONG_VALUE, text, helps, minute=minute)
    if not 0.0 <= minute <= last:
        text = "got {minute:g}; the run has the minutes 0 to {last:g}"
        raise InputError.of_option("minute", Code.WRONG_VALUE, text, minute=minute, last=last)
    scenery = scenery_of(scenario)
    at = datetime.fromisoformat(manifest["start_utc"]) + timedelta(minutes=minute)
    mask_deg = float(manifest["scenario"]["orbit"]["min_elevation_deg"])
    tracks = [ground_track(one, at, np.zeros(1)) for one in scenery.satellites]
    longitude_deg, latitude_deg, altitude_km = (
        np.concatenate([getattr(track, key) for track in tracks])
        for key in ("longitude_deg", "latitude_deg", "altitude_km")
    )
    return MapView(
        at,
        scenery.satellites,
        scenery.sites,
        longitude_deg,
        latitude_deg,
        altitude_km,
        mask_deg,
    )


def land_rings() -> list[Floats]:
    """Return the rings (P, 2) of all land: longitudes and latitudes in degrees."""
    rings = json.loads(packaged("sim.draw", "land.json"))["rings"]
    return [np.array(ring, dtype=float) for ring in rings]


def east(longitude_deg: Any) -> Any:
    """Return a longitude, or an array of them, as one from -180 to 180 degrees."""
    return (longitude_deg + 180.0) % 360.0 - 180.0


def reach(altitude_km: float, mask_deg: float) -> float:
    """Return how far from a site, in degrees of the Earth, a satellite at its mask stands."""
    mask = np.radians(mask_deg)
    ratio = MAP_RADIUS_KM / (MAP_RADIUS_KM + altitude_km)
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
