"""Export to CZML: satellites, sites and links for Cesium."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from orbit.propagation import Stretch, good_stretch, propagate
from orbit.utc import Start
from sim.analysis.spans import Spans, connected, in_view
from sim.errors import InputError
from sim.files import write_text

if TYPE_CHECKING:
    import orbit
    from sim.execution.result import Result


FILE = "run.czml"
TRAIL_S = 2700
"""How much of its way a satellite trails, about half an orbit."""
SPEED = 60
"""Simulated seconds a second, when Cesium begins to play."""

Packet = dict[str, Any]
Window = tuple[float, float]


def write_czml(run: Result, place: Path) -> list[str]:
    """Write ``run.czml``. Raises InputError for a run without satellites that have elements."""
    if not run.scenario.orbit.has_geometry:
        source = run.scenario.orbit.source
        raise InputError(
            f"{run.folder}: has no satellites to draw (orbit.source is {source}); --to czml needs "
            "a run with elements: tle, omm, circular, keplerian or walker"
        )
    from orbit.utc import Start
    from sim.devices.satellites import satellites_of
    from sim.devices.sites import ground_sites

    satellites, sites = satellites_of(run.scenario), ground_sites(run.scenario)
    start, end_s = datetime.fromisoformat(run.manifest["start_utc"]), run.manifest["simulated_s"]
    shown_s = min(end_s, longest_s(len(satellites)))
    tracks = ephemerides(satellites, Start.of(start), shown_s)
    known = [(s, track) for s, track in zip(satellites, tracks, strict=True) if track]
    about = f"the first {shown_s / 3600:.1f} of {end_s / 3600:.1f} h; " if shown_s < end_s else ""
    about += _quality(known, len(satellites))
    scene = _Scene(run, start, shown_s)
    packets = [
        scene.document(about),
        *scene.satellites(known),
        *scene.sites(sites),
        *scene.links([s.name for s, _ in known], [s.name for s in sites]),
    ]
    # Without NaN: Cesium's reader is strict.
    write_text(place / FILE, json.dumps(packets, allow_nan=False, separators=(",", ":")))
    return [f"{run.folder}: {about}"]


def _quality(known: Sequence[tuple[orbit.Satellite, Ephemeris]], total: int) -> str:
    """What is in the file, and how good it is."""
    samples = sum(len(track.time_s) for _, track in known)
    error_m = max((track.error_m for _, track in known), default=0.0)
    return (
        f"{len(known)} of {total} satellites, {samples} positions; between them Cesium is off by "
        f"at most {error_m:.1f} m"
    )


class _Scene:
    """Packets of one run. Ids are counters, and descriptions, which are HTML, have no names."""

    def __init__(self, run: Result, start: datetime, end_s: float) -> None:
        self._run = run
        self._start = start
        self._end_s = end_s

    def document(self, about: str) -> Packet:
        """The first packet: what this is, and the clock."""
        whole = self._interval((0.0, self._end_s))
        clock = {
            "interval": whole,
            "currentTime": whole.split("/")[0],
            "multiplier": SPEED,
            "range": "LOOP_STOP",
            "step": "SYSTEM_CLOCK_MULTIPLIER",
        }
        return {
            "id": "document",
            "name": self._run.title,
            "version": "1.0",
            "description": about,
            "clock": clock,
        }

    def satellites(self, known: Sequence[tuple[orbit.Satellite, Ephemeris]]) -> Iterator[Packet]:
        """A point that moves, its name and its trail."""
        colour = _rgba("#ffffff")
        for number, (satellite, track) in enumerate(known):
            samples = np.column_stack([track.time_s, track.position_m])
            yield {
                "id": f"satellite/{number}",
                "name": satellite.name,
                "description": f"catalogue number {satellite.norad_id or 'none'}",
                "availability": self._interval((track.first_s, track.last_s)),
                "position": {
                    "interpolationAlgorithm": "LAGRANGE",
                    "interpolationDegree": DEGREE,
                    "referenceFrame": "FIXED",
                    "epoch": self._utc(0.0),
                    "cartesian": samples.ravel().tolist(),
                },
                "point": {"pixelSize": 8, "color": colour},
                "label": _label(satellite.name),
                "path": {
                    "leadTime": 0,
                    "trailTime": TRAIL_S,
                    "resolution": 60,
                    "width": 1,
                    "material": {"solidColor": {"color": colour}},
                },
            }

    def sites(self, sites: Sequence[orbit.Site]) -> Iterator[Packet]:
        """The centres of the clusters."""
        for number, (site, colour) in enumerate(zip(sites, _colours(len(sites)), strict=True)):
            place = [site.longitude_deg, site.latitude_deg, site.altitude_m]
            about = f"{place[1]:.4f} deg north, {place[0]:.4f} deg east, {place[2]:.0f} m"
            yield {
                "id": f"site/{number}",
                "name": site.name,
                "description": about,
                "position": {"cartographicDegrees": place},
                "point": {"pixelSize": 10, "color": colour},
                "label": _label(site.name),
            }

    def links(self, satellites: Sequence[str], sites: Sequence[str]) -> Iterator[Packet]:
        """Thin lines while a satellite is in view, thick ones while it serves."""
        contacts = self._run.tables["contacts"]
        yield from self._lines("contact", 1, in_view(contacts), satellites, sites)
        yield from self._lines("service", 4, connected(contacts), satellites, sites)

    def _lines(
        self,
        kind: str,
        width: int,
        spans: Spans,
        satellites: Sequence[str],
        sites: Sequence[str],
    ) -> Iterator[Packet]:
        """A line from satellite to site, there during the spans."""
        colours, places = _colours(len(sites)), {name: k for k, name in enumerate(sites)}
        numbers = {name: s for s, name in enumerate(satellites)}
        for (satellite, site), windows in self._windows(spans).items():
            if satellite in numbers:
                s, k = numbers[satellite], places[site]
                ends = [f"satellite/{s}#position", f"site/{k}#position"]
                yield {
                    "id": f"{kind}/{s}/{k}",
                    "name": f"{kind}: {satellite} - {site}",
                    "availability": [self._interval(window) for window in windows],
                    "polyline": {
                        "positions": {"references": ends},
                        "arcType": "NONE",
                        "width": width,
                        "material": {"solidColor": {"color": colours[k]}},
                    },
                }

    def _windows(self, spans: Spans) -> Mapping[tuple[str, str], list[Window]]:
        """By satellite and site, within the run."""
        names = (spans.rows[key].to_pylist() for key in ("satellite", "cluster"))
        begin_s = np.maximum(spans.begin_s, 0.0).tolist()
        end_s = np.minimum(spans.end_s, self._end_s).tolist()
        found: dict[tuple[str, str], list[Window]] = defaultdict(list)
        for satellite, site, first_s, last_s in zip(*names, begin_s, end_s, strict=True):
            if last_s > first_s:
                found[satellite, site].append((first_s, last_s))
        return found

    def _interval(self, window: Window) -> str:
        return f"{self._utc(window[0])}/{self._utc(window[1])}"

    def _utc(self, time_s: float) -> str:
        at = self._start + timedelta(seconds=time_s)
        return at.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _label(text: str) -> Packet:
    return {
        "text": text,
        "font": "12px sans-serif",
        "horizontalOrigin": "LEFT",
        "pixelOffset": {"cartesian2": [10, 0]},
        "fillColor": _rgba("#ffffff"),
    }


def _colours(count: int) -> list[Packet]:
    """One a cluster, those of its pictures."""
    from sim.plots.canvas import colour

    return [_rgba(colour(number)) for number in range(count)]


def _rgba(colour: str) -> Packet:
    return {"rgba": [*bytes.fromhex(colour[1:]), 255]}


# Positions of satellites on an even grid that a polynomial goes through, and how good that is.


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
    return [_sampled(satellite, start, span_s, most) for satellite in satellites]


def _sampled(
    satellite: orbit.Satellite, start: Start, span_s: float, most: int
) -> Ephemeris | None:
    stretch = good_stretch(satellite, start, span_s, _FAILING_STEP_S)
    if stretch is None:
        return None
    step_s, found = STEP_S, _grid(satellite, start, stretch, STEP_S)
    while found.error_m > ACCURATE_M and 2 * len(found.time_s) <= most:
        step_s /= 2
        found = _grid(satellite, start, stretch, step_s)
    return found


def _grid(satellite: orbit.Satellite, start: Start, good: Stretch, step_s: float) -> Ephemeris:
    """Sample what is good, and beyond; where SGP4 fails beyond, a few steps less are shown."""
    steps = max(3 * DEGREE, ceil((good.last_s - good.first_s) / step_s))
    step_s = (good.last_s - good.first_s) / steps
    before = 0 if good.fails_before else _BEYOND
    after = 0 if good.fails_after else _BEYOND
    from_s, to_s = good.first_s - before * step_s, good.last_s + after * step_s
    halves = np.linspace(from_s, to_s, 2 * (steps + before + after) + 1)
    position_m = np.round(propagate(satellite, start, halves)[:, :3] * 1000, 1)
    at, between = position_m[::2], position_m[1::2]
    windows = np.lib.stride_tricks.sliding_window_view(at, DEGREE + 1, axis=0)
    middle = windows @ _MIDDLE
    off_m = np.linalg.norm(middle - between[_BEYOND - 1 :][: len(middle)], axis=1)
    first_s, last_s = from_s + _BEYOND * step_s, to_s - _BEYOND * step_s
    return Ephemeris(first_s, last_s, halves[::2], at, float(off_m.max()))
