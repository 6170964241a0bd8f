"""Links whose rates do not depend on the geometry: fixed rates, or a fixed path gain."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from channel import Link, LinkCurve, Signal, received_signal, signal_rate_bps
from learning.requests.cluster import Floats
from sim.links.beam import Beam, Radio, Radios
from sim.links.device_links import DeviceLinks

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
