"""Link curves of the devices in a pass, from geometry and radios; some prefetched."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any

import numpy as np

import channel
import orbit
from channel import (
    SPEED_OF_LIGHT_M_S,
    Link,
    LinkCurve,
    Path,
    Signal,
    received_signal,
    signal_rate_bps,
)
from channel.capacity import not_a_knot
from learning.requests.cluster import Floats
from orbit.contact_geometry import contact_geometries
from orbit.sites import site_frames
from sim.links.batching import Batched, GeometryQuery, alone, run_batched
from sim.links.beam import PAPER_ALTITUDE_M, Beam, Radio, Radios
from sim.links.pass_grid import PassGrid, along

GRID_S_PER_KM, FINE_GRID_S_PER_KM = 6.0 / 600.0, 4.0 / 600.0
"""Spacing of a link curve's points over the shortest range: the nearer a satellite passes, the
faster its link changes. Payloads are then through to 0.3 ms of where they should be. What is
around a device may take nearly all of its rate away: what was sent until then has to be righter."""
NEAREST_KM, FARTHEST_KM = 150.0, 1800.0
LEAST_POINTS, MOST_POINTS = 40, 1000
"""Points of a short contact, and of one of some hours: a high orbit changes that much slower."""


def grid_step_s(link: Link, nearest_km: float, lasts_s: float) -> float:
    """Spacing of the points of a contact's link curves, at most."""
    near_km = min(max(nearest_km, NEAREST_KM), FARTHEST_KM)
    step_s = near_km * (GRID_S_PER_KM if link.environment is None else FINE_GRID_S_PER_KM)
    return max(min(step_s, lasts_s / LEAST_POINTS), lasts_s / MOST_POINTS)


@dataclass(frozen=True, eq=False)
class DeviceLinks:
    """Both directions of one contact for all its devices (K); no downlink is a neglected one.

    ``slant_range_m`` (K, T) at ``time_s`` (K, T) gives the delay; None stands for no distance.
    ``doppler_hz`` is the largest shift over the cluster's centre and, with that compensated, the
    largest one left over for a device; None without geometry.
    """

    uplink: Beam
    downlink: Beam | None = None
    time_s: Floats | None = None
    slant_range_m: Floats | None = None
    doppler_hz: tuple[float, float] | None = None

    def delay_s(self, time_s: Floats) -> Floats:
        """Seconds that a signal travels between each device and the satellite at its time (K,)."""
        if self.time_s is None or self.slant_range_m is None:
            return np.zeros_like(time_s)
        return along(self.time_s, self.slant_range_m, time_s) / SPEED_OF_LIGHT_M_S


@dataclass(frozen=True, eq=False)
class Pass:
    """A satellite over a cluster: who sees it, from when to when, and each device's draws.

    No device is nearer to the satellite than ``nearest_km``.
    """

    satellite: orbit.Satellite
    centre: orbit.Site
    devices: Sequence[orbit.Site]
    start: Any
    rise_s: float
    set_s: float
    nearest_km: float
    min_elevation_deg: float
    path: Path

    def links(self, radios: Radios) -> DeviceLinks:
        """Return the links of the pass, each device's from its own AOS to its own LOS."""
        return links_of([self], radios)[0]

    def making(
        self, radios: Radios, geometry: orbit.ContactGeometry, step_s: float
    ) -> Batched[DeviceLinks]:
        """The work on ``links``, with a geometry whose points are a step apart at most."""
        own = common = PassGrid.own(geometry, self.devices, self.path)
        if not all(radio is None or radio.alone for radio in radios):
            common = yield from own.common(step_s)
        beams: list[Beam | None] = []
        for radio in radios:
            grid = own if radio is None or radio.alone else common
            beams.append(None if radio is None else (yield from _beam(radio, grid)))
        uplink, downlink = beams
        assert uplink is not None  # only a downlink may be neglected
        doppler_hz = yield from self._doppler_hz(radios[0].link.frequency_hz, geometry)
        range_m = geometry.slant_range_km * 1e3
        return DeviceLinks(uplink, downlink, geometry.time_s, range_m, doppler_hz)

    def _doppler_hz(
        self, frequency_hz: float, geometry: orbit.ContactGeometry
    ) -> Batched[tuple[float, float]]:
        """Largest Doppler shift (18) over the centre, and of a device against the centre's.

        At the points of the grid: right to about a tenth of a percent.
        """
        when_s = np.linspace(self.rise_s, self.set_s, max(geometry.time_s.shape[1], 16))
        frames, one = site_frames([self.centre], 0.0), np.array([0])
        *_, centre_km_s = yield GeometryQuery(geometry.track, frames, when_s[None, :], one)
        seen = geometry.los_s > geometry.aos_s
        here, there = geometry.range_rate_km_s[seen], geometry.time_s[seen]
        left_km_s = here - _smooth(when_s, centre_km_s[0], there)
        fastest, most = np.abs(centre_km_s).max(), np.abs(left_km_s).max(initial=0.0)
        shift = channel.doppler_hz([fastest, most], frequency_hz)
        return float(-shift[0]), float(-shift[1])


def links_of(passes: Sequence[Pass], radios: Radios) -> list[DeviceLinks]:
    """Return the links of several passes over one cluster, each as if it were alone."""
    steps_s = [grid_step_s(radios[0].link, p.nearest_km, p.set_s - p.rise_s) for p in passes]
    contacts = [
        (p.satellite, p.rise_s, p.set_s, step_s) for p, step_s in zip(passes, steps_s, strict=True)
    ]
    one = passes[0]
    geometries = contact_geometries(contacts, one.devices, one.start, one.min_elevation_deg)
    both = zip(passes, geometries, steps_s, strict=True)
    return run_batched([p.making(radios, geometry, step_s) for p, geometry, step_s in both])


def _smooth(x: Floats, values: Floats, at: Floats) -> Floats:
    """Values at places within even knots, by a cubic spline through those at the knots."""
    piece = np.minimum(np.searchsorted(x, at, side="right"), len(x) - 1) - 1
    cubic, square, rate, value = not_a_knot(x, values)[:, piece]
    beyond = at - x[piece]
    smooth: Floats = value + rate * beyond + square * beyond**2 + cubic * (beyond**2 * beyond)
    return smooth


def _beam(radio: Radio, grid: PassGrid) -> Batched[Beam]:
    """One direction; where all devices use the beam together they have common times."""
    curve, rates = yield from grid.curve(radio.link)
    if radio.sharing != "equal_share":
        return Beam(curve, radio, rates.signal)
    return Beam(curve, radio, rates.signal, lambda link: alone(grid.curve(link))[0], grid.stretch)


def bare_links(radios: Radios, devices: int, rise_s: float, set_s: float) -> DeviceLinks:
    """Links without geometry, from rise to set: a fixed rate or a fixed path gain."""
    uplink, downlink = radios
    down = None if downlink is None else _constant(downlink, devices, rise_s, set_s)
    return DeviceLinks(_constant(uplink, devices, rise_s, set_s), down)


def _constant(radio: Radio, devices: int, rise_s: float, set_s: float) -> Beam:
    signal, rate_bps = _overhead(radio.link, devices)
    time_s: Floats = np.tile([rise_s, set_s], (devices, 1))
    return Beam(LinkCurve(time_s, rate_bps), radio, signal)


@lru_cache(maxsize=64)
def _overhead(link: Link, devices: int) -> tuple[Signal, Floats]:
    """Overhead at any distance: what the link has in place of geometry does not ask for either."""
    shape = (devices, 2)
    signal = received_signal(link, np.full(shape, 90.0), np.full(shape, PAPER_ALTITUDE_M))
    return signal, signal_rate_bps(link, signal)


# Links of a cluster's passes, made some at a time: those that follow will be wanted next.


DEVICES_AT_ONCE = 300
"""Devices of all passes whose links are made together: more would be no quicker, but larger."""


class LinkPrefetch:
    """The passes over one cluster by number, and links made before they are asked for."""

    def __init__(
        self, radios: Radios, devices: int, make: Callable[[int], Pass], wanted: Sequence[int]
    ) -> None:
        """Take in how a pass is made, and those whose links will be wanted, by rising number."""
        self._radios, self._make = radios, make
        self._at_once = max(1, DEVICES_AT_ONCE // devices)
        self._to_come = dict.fromkeys(wanted)
        self._made: dict[int, DeviceLinks] = {}

    def links(self, number: int) -> DeviceLinks:
        """Return the links of a pass, and forget them."""
        if number not in self._made:
            following = (n for n in self._to_come if n > number)
            first = number in self._to_come  # else they are asked for once more
            some = [number, *islice(following, self._at_once - 1 if first else 0)]
            made = links_of([self._make(n) for n in some], self._radios)
            self._made.update(zip(some, made, strict=True))
            for n in some:
                self._to_come.pop(n, None)
        return self._made.pop(number)
