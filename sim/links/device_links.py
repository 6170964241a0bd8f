"""Both directions of one contact for all its devices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from channel import SPEED_OF_LIGHT_M_S, Link, LinkCurve, Signal, received_signal, signal_rate_bps
from learning.requests.cluster import Floats
from sim.links.beam import PAPER_ALTITUDE_M, Beam, Radio, Radios


@dataclass(frozen=True, eq=False)
class DeviceLinks:
    """Both directions of one contact for all its devices (K); no downlink is a neglected one.

    ``range_m`` gives the slant range of each device at its time (K,); None stands for no distance.
    ``doppler_hz`` is the largest shift over the cluster's centre and, with that compensated, the
    largest one left over for a device; None without geometry.
    """

    uplink: Beam
    downlink: Beam | None = None
    doppler_hz: tuple[float, float] | None = None
    range_m: Callable[[Floats], Floats] | None = None

    def delay_s(self, time_s: Floats) -> Floats:
        """Seconds that a signal travels between each device and the satellite at its time (K,)."""
        if self.range_m is None:
            return np.zeros_like(time_s)
        return self.range_m(time_s) / SPEED_OF_LIGHT_M_S


@dataclass(frozen=True)
class PassFigures:
    """What is remembered of a pass whose links are let go.

    Bytes that the device with the poorest link could upload, between rise and set and while a beam
    serves the cluster, and the Doppler shifts of ``DeviceLinks``.
    """

    least_bytes: float
    least_in_service_bytes: float
    doppler_hz: tuple[float, float] | None


def served_bits(curve: LinkCurve, start_s: float, end_s: float) -> Floats:
    """Bits (K,) of a curve while a beam serves the cluster: between two times, nan if never."""
    if np.isnan(start_s):
        return np.zeros(len(curve.time_s))
    if start_s <= curve.time_s[:, 0].min() and end_s >= curve.time_s[:, -1].max():
        return curve.capacity_bits
    bits: Floats = curve.delivered_bits(end_s) - curve.delivered_bits(start_s)
    return bits


def along(grid_s: Floats, values: Floats, when_s: Floats) -> Floats:
    """Value of each row of ``values`` (K, T) at its ``when_s`` (K,) on its own grid (K, T).

    Linear in between; before and behind the grid it is the first and the last value.
    """
    when = np.minimum(np.maximum(when_s, grid_s[:, 0]), grid_s[:, -1])
    at = np.count_nonzero(grid_s <= when[:, None], axis=1) - 1
    at = np.minimum(at, grid_s.shape[1] - 2) + np.arange(0, grid_s.size, grid_s.shape[1])
    begin_s = grid_s.take(at)
    step = grid_s.take(at + 1) - begin_s
    share = np.divide(when - begin_s, step, out=np.ones_like(when), where=step > 0)
    low = values.take(at)
    value: Floats = low + (values.take(at + 1) - low) * share
    return value


# Without geometry: slots, or contacts of a file. Links that do not depend on it.


def is_steady(radios: Radios) -> bool:
    """Return whether both directions have their rates whatever the geometry is."""
    links = [radio.link for radio in radios if radio is not None]
    return all(
        link.rate == "fixed" and link.required_snr_db == -np.inf and link.environment is None
        for link in links
    )


def fixed_rate_bps(link: Link) -> float:
    """Return what a link of a fixed rate carries, for the share of the time that it has."""
    return float(_overhead(link, 1)[1][0, 0])


def bare_links(
    radios: Radios,
    devices: int,
    rise_s: float,
    set_s: float,
    range_m: Callable[[Floats], Floats] | None = None,
) -> DeviceLinks:
    """Links without geometry, from rise to set: a fixed rate or a fixed path gain.

    ``range_m`` gives the slant range of each device at times (K,), where there is one.
    """
    uplink, downlink = radios
    down = None if downlink is None else _constant(downlink, devices, rise_s, set_s)
    return DeviceLinks(_constant(uplink, devices, rise_s, set_s), down, range_m=range_m)


def _constant(radio: Radio, devices: int, rise_s: float, set_s: float) -> Beam:
    signal, rate_bps = _overhead(radio.link, devices)

    def whole(link: Link) -> LinkCurve:
        narrow_bps: Floats = signal_rate_bps(radio.link, signal, link.bandwidth_hz)
        return LinkCurve.constant(narrow_bps[:, 0], rise_s, set_s)

    return Beam(LinkCurve.constant(rate_bps[:, 0], rise_s, set_s), radio, whole)


@lru_cache(maxsize=64)
def _overhead(link: Link, devices: int) -> tuple[Signal, Floats]:
    """Overhead at any distance: what the link has in place of geometry does not ask for either."""
    shape = (devices, 2)
    signal = received_signal(link, np.full(shape, 90.0), np.full(shape, PAPER_ALTITUDE_M))
    return signal, signal_rate_bps(link, signal)
