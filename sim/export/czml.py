"""Export to CZML: satellites, by samples of their ephemerides, sites and links for Cesium."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc

import orbit
from orbit.propagation import Stretch, good_stretch, propagate
from orbit.utc import Start
from scenarios.orbit import SOURCES
from sim.analysis.spans import Spans, connected, in_view, of_stations, over_feeder, transferring
from sim.draw.colours import colour
from sim.errors import InputError
from sim.execution.result import Result
from sim.files import write_text
from sim.trace.arrow import word
from sim.world.scenery import scenery_of
from statements import Code

CZML_FILE = "run.czml"
TRAIL_S = 2700
"""How much of its way a satellite trails, about half an orbit."""
SPEED = 60
"""Simulated seconds a second, when Cesium begins to play."""
WHITE = "#ffffff"
GREEN = "#009e73"
"""Links between satellites, as in the report's timeline."""
MOST_SATELLITES_NAMED = 30
"""Satellites up to which each has its name written beside it."""

Packet = dict[str, Any]


def write_czml(run: Result, place: Path) -> list[str]:
    """Write ``run.czml``. Raises InputError for a run without satellites that have elements."""
    if not run.scenario.orbit.has_geometry:
        *most, last = (name for name, kind in SOURCES.items() if kind.has_geometry)
        raise InputError.of_file(
            str(run.folder),
            Code.NOT_RECORDED,
            "has no satellites to draw (orbit.source is {source}); --to czml "
            f"needs a run with elements: {', '.join(most)} or {last}",
            source=run.scenario.orbit.source,
        )
    scenery = scenery_of(run.scenario)
    satellites, sites = scenery.flying, scenery.sites
    start = datetime.fromisoformat(run.manifest["start_utc"])
    end_s = run.manifest["simulated_s"]
    shown_s = min(end_s, longest_s(len(satellites)))
    tracks = ephemerides(satellites, Start.of(start), shown_s)
    known = [(s, track) for s, track in zip(satellites, tracks, strict=True) if track]
    about = f"the first {shown_s / 3600:.1f} of {end_s / 3600:.1f} h; " if shown_s < end_s else ""
    samples = sum(len(track.time_s) for _, track in known)
    error_m = max((track.error_m for _, track in known), default=0.0)
    about += f"{len(known)} of {len(satellites)} satellites, {samples} positions; "
    about += f"between them Cesium is off by at most {error_m:.1f} m"
    scene = _Scene(start, shown_s)
    places = {s.name: f"satellite/{number}" for number, (s, _) in enumerate(known)}
    contacts = run.tables["contacts"]
    ground = "station" if of_stations(contacts) else "cluster"
    servers = {s.name: f"site/{n}" for n, s in enumerate(sites)} or places  # of a relay
    sights = {"satellite": places, ground: servers}
    packets = [
        scene.document(run.title, about),
        *scene.satellites(known),
        *_sites(sites),
        # Thin lines while a satellite is in view, thick ones while it serves.
        *scene.lines("contact", 1, in_view(contacts), sights),
        *scene.lines("service", 4, connected(contacts), sights),
    ]
    if (isls := run.tables.get("isl_windows")) is not None:
        moved = run.tables["transfers"]
        peers = {f"{name}/0": at for name, at in places.items()}
        hops = transferring(moved.filter(pc.equal(moved["direction"], word("isl"))))
        packets += scene.lines("isl", 1, transferring(isls), {"a": places, "b": places})
        packets += scene.lines("hop", 4, hops, {"cluster": places, "peer": peers})
    if (feeder := run.tables.get("feeder_windows")) is not None:
        gateways = {"satellite": places, "station": servers}
        packets += scene.lines("feeder", 1, transferring(feeder), gateways)
        packets += scene.lines("feeder-hop", 4, transferring(over_feeder(run.tables)), gateways)
    # Without NaN: Cesium's reader is strict.
    write_text(place / CZML_FILE, json.dumps(packets, allow_nan=False, separators=(",", ":")))
    return [f"{run.folder}: {about}"]


@dataclass(frozen=True)
class _Scene:
    """Packets of one run. Ids are counters, and descriptions, which are HTML, have no names."""

    start: datetime
    end_s: float

    def document(self, title: str, about: str) -> Packet:
        """The first packet: what this is, and the clock."""
        clock = {
            "interval": self._interval(0.0, self.end_s),
            "currentTime": self._utc(0.0),
            "multiplier": SPEED,
            "range": "LOOP_STOP",
            "step": "SYSTEM_CLOCK_MULTIPLIER",
        }
        said = {"id": "document", "name": title, "version": "1.0", "description": about}
        return {**said, "clock": clock}

    def satellites(self, known: Sequence[tuple[orbit.Satellite, Ephemeris]]) -> Iterator[Packet]:
        """A point that moves, its name and its trail."""
        for number, (satellite, track) in enumerate(known):
            samples = np.column_stack([track.time_s, track.position_m])
            trail = {"leadTime": 0, "trailTime": TRAIL_S, "resolution": 60}
            yield {
                "id": f"satellite/{number}",
                "name": satellite.name,
                "description": f"catalogue number {satellite.norad_id or 'none'}",
                "availability": self._interval(track.first_s, track.last_s),
                "position": {
                    "interpolationAlgorithm": "LAGRANGE",
                    "interpolationDegree": DEGREE,
                    "referenceFrame": "FIXED",
                    "epoch": self._utc(0.0),
                    "cartesian": samples.ravel().tolist(),
                },
                **_point(satellite.name if len(known) <= MOST_SATELLITES_NAMED else "", 8, WHITE),
                "path": {**trail, **_line(1, WHITE)},
            }

    def lines(
        self, kind: str, width: int, spans: Spans, ends: Mapping[str, Mapping[str, str]]
    ) -> Iterator[Packet]:
        """A line from satellite to site or satellite, there during the spans that are in the run.

        ``ends`` has the columns that name both, with the packet of each name that is drawn.
        """
        windows: dict[tuple[str, str], list[str]] = defaultdict(list)
        names = (spans.rows[key].to_pylist() for key in ends)
        begin_s = np.maximum(spans.begin_s, 0.0).tolist()
        end_s = np.minimum(spans.end_s, self.end_s).tolist()
        for one, other, first_s, last_s in zip(*names, begin_s, end_s, strict=True):
            if last_s > first_s:
                windows[one, other].append(self._interval(first_s, last_s))
        for (one, other), shown in windows.items():
            at = [known.get(name) for name, known in zip((one, other), ends.values(), strict=True)]
            if at[0] and at[1]:
                (_, number) = at[0].split("/")
                (toward, last) = at[1].split("/")
                references = [f"{place}#position" for place in at]
                where = {"positions": {"references": references}, "arcType": "NONE"}
                shown_in = colour(int(last)) if toward == "site" else GREEN
                yield {
                    "id": f"{kind}/{number}/{last}",
                    "name": f"{kind}: {one} - {other}",
                    "availability": shown,
                    "polyline": {**where, **_line(width, shown_in)},
                }

    def _interval(self, first_s: float, last_s: float) -> str:
        return f"{self._utc(first_s)}/{self._utc(last_s)}"

    def _utc(self, time_s: float) -> str:
        at = self.start + timedelta(seconds=time_s)
        return at.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _sites(sites: Sequence[orbit.Site]) -> Iterator[Packet]:
    """The centres of the clusters, or the stations, in the colours of the pictures."""
    for number, site in enumerate(sites):
        place = [site.longitude_deg, site.latitude_deg, site.altitude_m]
        yield {
            "id": f"site/{number}",
            "name": site.name,
            "description": f"{place[1]:.4f} deg north, {place[0]:.4f} deg east, {place[2]:.0f} m",
            "position": {"cartographicDegrees": place},
            **_point(site.name, 10, colour(number)),
        }


def _point(name: str, pixels: int, shown_in: str) -> Packet:
    """A point and its name, if that is written."""
    point = {"point": {"pixelSize": pixels, "color": _rgba(shown_in)}}
    if not name:
        return point
    label = {
        "text": name,
        "font": "12px sans-serif",
        "horizontalOrigin": "LEFT",
        "pixelOffset": {"cartesian2": [10, 0]},
        "fillColor": _rgba(WHITE),
    }
    return {**point, "label": label}


def _line(width: int, shown_in: str) -> Packet:
    return {"width": width, "material": {"solidColor": {"color": _rgba(shown_in)}}}


def _rgba(shown_in: str) -> Packet:
    return {"rgba": [*bytes.fromhex(shown_in[1:]), 255]}


DEGREE = 7
"""Degree of the polynomial through the nearest samples, half of them on either side."""
STEP_S = 300.0
ACCURATE_M = 10.0
"""The step is halved until positions between samples are as good as this."""
MOST_SAMPLES = 200_000
"""Samples of all satellites together: about eight megabytes of text."""

_BEYOND = (DEGREE + 1) // 2
_FAILING_STEP_S = 60.0
# Lagrange's weights of eight even samples for the middle between the fourth and the fifth.
_MIDDLE = np.array([-5, 49, -245, 1225, 1225, -245, 49, -5]) / 2048


@dataclass(frozen=True, eq=False)
class Ephemeris:
    """Where a satellite is, (T, 3) in metres, Earth-fixed, at even times (T,) since the start.

    Good from ``first_s`` to ``last_s``; samples reach beyond, so that the polynomial has as many
    on both sides. ``error_m`` is the largest deviation in the middle between samples.
    """

    first_s: float
    last_s: float
    time_s: np.ndarray
    position_m: np.ndarray
    error_m: float


def longest_s(satellites: int) -> float:
    """Return for how long so many satellites can be sampled, in seconds."""
    steps = MOST_SAMPLES // satellites - 2 * _BEYOND - 1
    return max(DEGREE, steps) * STEP_S


def ephemerides(
    satellites: Sequence[orbit.Satellite], start: Start, span_s: float
) -> list[Ephemeris | None]:
    """Sample the satellites from the start for ``span_s``; None where SGP4 has nothing to say.

    The step is at most 300 s, less where the polynomial is off by more than ten metres, unless
    that takes more than 200,000 samples.
    """
    most = MOST_SAMPLES // len(satellites)
    tracks = list[Ephemeris | None]()
    for satellite in satellites:
        good = good_stretch(satellite, start, span_s, _FAILING_STEP_S)
        step_s = STEP_S
        track = None if good is None else _grid(satellite, start, good, step_s)
        while good and track and track.error_m > ACCURATE_M and 2 * len(track.time_s) <= most:
            step_s /= 2
            track = _grid(satellite, start, good, step_s)
        tracks.append(track)
    return tracks


def _grid(satellite: orbit.Satellite, start: Start, good: Stretch, step_s: float) -> Ephemeris:
    """Sample what is good, and beyond; where SGP4 fails beyond, a few steps less are shown."""
    steps = max(3 * DEGREE, ceil((good.last_s - good.first_s) / step_s))
    step_s = (good.last_s - good.first_s) / steps
    before = 0 if good.fails_before else _BEYOND
    after = 0 if good.fails_after else _BEYOND
    from_s = good.first_s - before * step_s
    to_s = good.last_s + after * step_s
    halves = np.linspace(from_s, to_s, 2 * (steps + before + after) + 1)
    position_m = np.round(propagate(satellite, start, halves)[:, :3] * 1000, 1)
    at = position_m[::2]
    between = position_m[1::2]
    windows = np.lib.stride_tricks.sliding_window_view(at, DEGREE + 1, axis=0)
    middle = windows @ _MIDDLE
    off_m = np.linalg.norm(middle - between[_BEYOND - 1 :][: len(middle)], axis=1)
    first_s = from_s + _BEYOND * step_s
    last_s = to_s - _BEYOND * step_s
    return Ephemeris(first_s, last_s, halves[::2], at, float(off_m.max()))
