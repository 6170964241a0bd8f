"""The map of one minute of a run: satellites, places, and from where these see a satellite."""

import json
from datetime import datetime, timedelta

import numpy as np

from orbit import Site
from orbit.look_angles import ground_track
from sim.execution.result import Result
from sim.files import packaged
from sim.plots.ground_map import MOST_CIRCLES, MOST_NAMES, broken, check_map, circle, east, reach
from sim.report.drawing import (
    BOTTOM,
    LETTER,
    RIGHT,
    TOP,
    WIDTH,
    Axis,
    Frame,
    Key,
    Picture,
    Shape,
    Text,
    cut,
)
from sim.world.scenery import scenery_of

LEFT = 37
"""About where the axis to the left stands."""
NAME = 12
"""Letters of the name of a place."""


def map_of(run: Result, minute: float) -> Picture:
    """Return where the satellites of a run are at a minute; raise InputError if it has no map."""
    scenery = scenery_of(check_map(run.manifest, minute))
    at = datetime.fromisoformat(run.manifest["start_utc"]) + timedelta(minutes=minute)
    tracks = [ground_track(one, at, np.zeros(1)) for one in scenery.satellites]
    longitude_deg, latitude_deg, altitude_km = (
        np.concatenate([getattr(track, key) for track in tracks])
        for key in ("longitude_deg", "latitude_deg", "altitude_km")
    )
    frame = Frame(
        Axis("longitude (degrees)", -180.0, 180.0, _degrees(180, 60)),
        Axis("latitude (degrees)", -90.0, 90.0, _degrees(90, 30)),
        height=TOP + BOTTOM + (WIDTH - LEFT - RIGHT) // 2,
    )
    sites = scenery.sites
    x_deg = np.array([east(site.longitude_deg) for site in sites])
    y_deg = np.array([site.latitude_deg for site in sites])
    rings = map(np.array, json.loads(packaged("sim.plots", "land.json"))["rings"])
    land = [frame.line(ring[:, 0], ring[:, 1], "land").path + "z" for ring in rings]
    shapes = [Shape("".join(land), "land")]
    mask_deg = float(run.manifest["scenario"]["orbit"]["min_elevation_deg"])
    for site in sites[:MOST_CIRCLES] if len(sites) <= MOST_CIRCLES else []:
        own_deg = mask_deg if site.min_elevation_deg is None else site.min_elevation_deg
        radius_deg = reach(float(altitude_km.mean()), own_deg)
        shapes.append(frame.line(*broken(*circle(site, radius_deg)), "seed hue-0"))
    shapes.append(frame.dots(x_deg, y_deg, "hue-0"))
    shapes.append(frame.dots(longitude_deg, latitude_deg, "hue-1"))
    named = sites if len(sites) <= MOST_NAMES else []
    texts = [_name(frame, site) for site in named]
    keys = [Key("satellite", "hue-1"), Key("place, and from where it sees one", "hue-0")]
    return frame.picture(shapes, keys, texts)


def _degrees(most: int, step: int) -> list[tuple[float, str]]:
    return [(float(at), str(at)) for at in range(-most, most + 1, step)]


def _name(frame: Frame, site: Site) -> Text:
    """Return the name of a place above it, within the map."""
    words = cut(site.name, NAME)
    half = LETTER * len(words) / 2
    x = float(
        np.clip(frame.x(east(site.longitude_deg)), frame.left + half, frame.width - RIGHT - half)
    )
    return Text(x, float(frame.y(site.latitude_deg)) - 6.0, words)
