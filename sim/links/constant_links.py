"""Links whose rates do not depend on the geometry: fixed rates, or a fixed path gain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from channel import Link, LinkCurve, Signal, received_signal, signal_rate_bps
from sim.links.beam import Beam, DeviceLinks, Radio, Radios
from statements.arrays import Floats, Ints

PAPER_ALTITUDE_M = 600e3
"""Satellite altitude that the paper's fixed large-scale fading stands for: overhead, where there is
no geometry."""


def is_steady(radios: Radios) -> bool:
    """Return whether the rates of both directions are independent of the geometry."""
    links = [radio.link for radio in radios if radio is not None]
    return all(
        link.rate == "fixed" and link.required_snr_db == -np.inf and link.environment is None
        for link in links
    )


def fixed_rate_bps(link: Link) -> float:
    """Return the mean rate of a link of a fixed rate, which is in use for a share of the time."""
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
    to_server, to_client = radios
    back = None if to_client is None else _constant(to_client, devices, rise_s, set_s)
    return DeviceLinks(_constant(to_server, devices, rise_s, set_s), back, range_m=range_m)


def piecewise_links(
    radios: Radios,
    devices: int,
    steps: Steps,
    rates_bps: tuple[Floats, Floats | None],
    range_m: Callable[[Floats], Floats],
) -> DeviceLinks:
    """Links at given rates (P,) of each device, to the server and to the clients, in steps.

    None is a link that is neglected. The band is shared as the ``radios`` have it; where one is
    None there is no limit to it.
    """
    to_server, to_client = (
        None if rate_bps is None else _stepped(radio, devices, steps, rate_bps)
        for radio, rate_bps in zip(radios, rates_bps, strict=True)
    )
    assert to_server is not None  # only the way back may be neglected
    return DeviceLinks(to_server, to_client, range_m=range_m)


def _stepped(radio: Radio | None, devices: int, steps: Steps, rate_bps: Floats) -> Beam:
    each_bps = np.tile(steps.of(rate_bps), (devices, 1))
    time_s = np.tile(steps.time_s, (devices, 1))

    def whole(link: Link) -> LinkCurve:
        assert radio is not None  # whose band is shared
        return LinkCurve.summed(time_s, each_bps * (link.bandwidth_hz / radio.link.bandwidth_hz))

    return Beam(LinkCurve.summed(time_s, each_bps), radio, None if radio is None else whole)


@dataclass(frozen=True, eq=False)
class Steps:
    """Times at which what is constant in between may jump: from each edge (P + 1) to the next."""

    edge_s: Floats

    @cached_property
    def time_s(self) -> Floats:
        """Points of a curve: both ends of each step."""
        return np.repeat(self.edge_s, 2)[1:-1]

    @staticmethod
    def of(values: Floats) -> Floats:
        """Return the values (P,) at these points."""
        return np.repeat(values, 2)

    def at(self, values: Floats, time_s: Floats) -> Floats:
        """Return the values at times; before and after the steps the first and the last."""
        number = np.searchsorted(self.edge_s, time_s, side="right") - 1
        return values[np.clip(number, 0, len(values) - 1)]

    def within(self, begin_s: float, end_s: float) -> tuple[Steps, Ints]:
        """Return the steps between two times, and which they are."""
        numbers = np.flatnonzero((self.edge_s[1:] > begin_s) & (self.edge_s[:-1] < end_s))
        edges = self.edge_s[numbers[0] : numbers[-1] + 2]
        return Steps(np.clip(edges, begin_s, end_s)), numbers


def _constant(radio: Radio, devices: int, rise_s: float, set_s: float) -> Beam:
    signal, rate_bps = _overhead(radio.link, devices)

    def whole(link: Link) -> LinkCurve:
        narrow_bps: Floats = signal_rate_bps(radio.link, signal, link.bandwidth_hz)
        return LinkCurve.constant(narrow_bps[:, 0], rise_s, set_s)

    return Beam(LinkCurve.constant(rate_bps[:, 0], rise_s, set_s), radio, whole)


@lru_cache(maxsize=64)
def _overhead(link: Link, devices: int) -> tuple[Signal, Floats]:
    """Return the signal overhead: a link without geometry does not depend on where it is."""
    shape = (devices, 2)
    signal = received_signal(link, np.full(shape, 90.0), np.full(shape, PAPER_ALTITUDE_M))
    return signal, signal_rate_bps(link, signal)
