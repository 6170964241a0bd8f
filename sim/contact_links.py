"""The links of one contact: from geometry and radios to the curves of its devices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import channel
import orbit
from channel import LinkCurve, Path, Signal, rate_state, received_signal, signal_rate_bps
from channel.constants import SPEED_OF_LIGHT_M_S
from channel.even_grid import bit_preserving
from learning.requests import Floats, Ints
from sim.beam import Beam, Radio
from sim.jumps import jump_times
from sim.radios import Radios
from sim.rowwise import along

GRID_S_PER_KM = 4.0 / 600.0
"""Spacing of a link curve's points over the shortest range: the nearer a satellite passes, the
faster its link changes. Payloads are then through to 0.3 ms of where they should be."""
NEAREST_KM, FARTHEST_KM = 150.0, 1800.0
LEAST_POINTS, MOST_POINTS = 40, 1000
"""Points of a short contact, and of one of some hours: a high orbit changes that much slower."""


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
    """A satellite over a cluster: who sees it, from when to when, and each device's luck.

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
        near_km = min(max(self.nearest_km, NEAREST_KM), FARTHEST_KM)
        lasts_s = self.set_s - self.rise_s
        step_s = max(min(GRID_S_PER_KM * near_km, lasts_s / LEAST_POINTS), lasts_s / MOST_POINTS)
        geometry = orbit.contact_geometry(
            self.satellite,
            self.devices,
            self.start,
            self.rise_s,
            self.set_s,
            self.min_elevation_deg,
            step_s,
        )
        uplink, downlink = radios
        return DeviceLinks(
            self._beam(uplink, geometry),
            None if downlink is None else self._beam(downlink, geometry),
            geometry.time_s,
            geometry.slant_range_km * 1e3,
            self._doppler_hz(uplink.link.frequency_hz, geometry),
        )

    def _beam(self, radio: Radio, geometry: orbit.ContactGeometry) -> Beam:
        link, time, path = radio.link, geometry.time_s, self.path
        # AOS and LOS lie on the mask by construction; rounding must not put them below the gate.
        elevation = np.maximum(geometry.elevation_deg, link.min_elevation_deg)
        distance_m = geometry.slant_range_km * 1e3
        signal = received_signal(link, elevation, distance_m, path)
        rate = signal_rate_bps(link, signal)
        if _may_jump(link, signal):
            state = rate_state(link, elevation, distance_m, path)
            rate = bit_preserving(rate, state)
            time, rate, signal = self._with_jumps(link, time, rate, signal, state)
        else:
            rate = bit_preserving(rate)
        seen = geometry.los_s > geometry.aos_s
        return Beam(LinkCurve(time, np.where(seen[:, None], rate, 0.0)), radio, signal)

    def _with_jumps(
        self, link: channel.Link, time_s: Floats, rate: Floats, signal: Signal, state: Ints
    ) -> tuple[Floats, Floats, Signal]:
        """Points just before and just behind each jump, put in between."""
        track = orbit.contact_track(self.satellite, self.start, self.rise_s, self.set_s)

        def look(when_s: Floats) -> tuple[Floats, Floats]:
            inside = np.clip(when_s, self.rise_s, self.set_s)
            looks = track.look(self.devices, inside.T)
            elevation = np.maximum(looks.elevation_deg.T, link.min_elevation_deg)
            return elevation, looks.slant_range_km.T * 1e3

        more_s = jump_times(
            time_s, state, lambda when_s: rate_state(link, *look(when_s), self.path)
        )
        if not more_s.shape[1]:
            return time_s, rate, signal
        more = received_signal(link, *look(more_s), self.path)
        every_s = np.concatenate([time_s, more_s], axis=1)
        order = np.argsort(every_s, axis=1, kind="stable")

        def merged(one: Floats, other: Floats) -> Floats:
            return np.take_along_axis(np.concatenate([one, other], axis=1), order, axis=1)

        both = Signal(
            merged(signal.snr_db, more.snr_db),
            merged(signal.rician_k_linear, more.rician_k_linear),
        )
        return merged(time_s, more_s), merged(rate, signal_rate_bps(link, more)), both

    def _doppler_hz(
        self, frequency_hz: float, geometry: orbit.ContactGeometry
    ) -> tuple[float, float]:
        """Largest Doppler shift (18) over the centre, and of a device against the centre's.

        Every other point of the grid is looked at: right to about a tenth of a percent.
        """
        from scipy.interpolate import CubicSpline

        when_s = np.linspace(self.rise_s, self.set_s, max(geometry.time_s.shape[1] // 2, 16))
        track = orbit.contact_track(self.satellite, self.start, self.rise_s, self.set_s)
        centre_km_s = track.look(self.centre, when_s).range_rate_km_s[:, 0]
        seen = geometry.los_s > geometry.aos_s
        here, there = geometry.range_rate_km_s[seen, ::2], geometry.time_s[seen, ::2]
        left_km_s = here - CubicSpline(when_s, centre_km_s)(there)
        fastest, most = np.abs(centre_km_s).max(), np.abs(left_km_s).max(initial=0.0)
        shift = channel.doppler_hz([fastest, most], frequency_hz)
        return float(-shift[0]), float(-shift[1])


def bare_links(radios: Radios, devices: int, rise_s: float, set_s: float) -> DeviceLinks:
    """Links without geometry, from rise to set: a fixed rate or a fixed path gain."""
    uplink, downlink = radios
    down = None if downlink is None else _constant(downlink, devices, rise_s, set_s)
    return DeviceLinks(_constant(uplink, devices, rise_s, set_s), down)


def _constant(radio: Radio, devices: int, rise_s: float, set_s: float) -> Beam:
    """Overhead at any distance: what the link has in place of geometry does not ask for either."""
    shape = (devices, 2)
    signal = received_signal(radio.link, np.full(shape, 90.0), np.full(shape, 600e3))
    time_s: Floats = np.tile([rise_s, set_s], (devices, 1))
    return Beam(LinkCurve(time_s, signal_rate_bps(radio.link, signal)), radio, signal)


def _may_jump(link: channel.Link, signal: Signal) -> bool:
    steps = link.environment is not None or link.rate == "modcod"
    return steps or bool(signal.snr_db.min() < link.required_snr_db)
