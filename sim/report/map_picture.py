"""The map of one minute of a run: satellites, places, and from where these see a satellite."""

import numpy as np

from orbit import Site
from sim.execution.result import Result
from sim.plots.ground_map import MOST_CIRCLES, MOST_NAMES
from sim.plots.views import MapView, east, land_rings, map_view
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

LEFT = 37
"""About where the axis to the left stands."""
NAME = 12
"""Letters of the name of a place."""


def map_of(run: Result, minute: float) -> Picture:
    """Return where the satellites of a run are at a minute; raise InputError if it has no map."""
    return picture_of(map_view(run.manifest, minute))


def picture_of(view: MapView) -> Picture:
    """Return the picture of a map: land, satellites, and places with from where they see one."""
    frame = Frame(
        Axis("longitude (degrees)", -180.0, 180.0, _degrees(180, 60)),
        Axis("latitude (degrees)", -90.0, 90.0, _degrees(90, 30)),
        height=TOP + BOTTOM + (WIDTH - LEFT - RIGHT) // 2,
    )
    sites = view.sites
    x_deg, y_deg = view.site_longitude_deg, view.site_latitude_deg
    land = [frame.line(ring[:, 0], ring[:, 1], "land").path + "z" for ring in land_rings()]
    shapes = [Shape("".join(land), "land")]
    if len(sites) <= MOST_CIRCLES:
        shapes += [frame.line(*view.circle(site), "seed hue-0") for site in sites]
    shapes.append(frame.dots(x_deg, y_deg, "hue-0"))
    shapes.append(frame.dots(view.longitude_deg, view.latitude_deg, "hue-1"))
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
