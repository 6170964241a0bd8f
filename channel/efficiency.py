"""Bits per second and hertz that a link gets out of a signal."""

import numpy as np

from channel.arrays import Floats
from channel.capacity import shannon_capacity
from channel.capacity_table import tabulated_capacity
from channel.link import Link
from channel.modcod import modcod_efficiency_bps_hz
from channel.outage import outage_gain


def spectral_efficiency_bps_hz(link: Link, snr_db: Floats, k_linear: Floats) -> Floats:
    """Spectral efficiency of the link's rate at an SNR and Rician factor that broadcast.

    Every rate but the fixed one, without duty and threshold; -infinity dB carries nothing.
    """
    if link.rate == "modcod":
        return modcod_efficiency_bps_hz(snr_db, link.rolloff)
    k = _one_or_each(link, k_linear)
    if link.rate == "shannon" or (isinstance(k, float) and k == np.inf):
        return shannon_capacity(10.0 ** (snr_db / 10.0))
    if link.rate == "outage":
        gain = outage_gain(k, link.outage_probability)
        return (1.0 - link.outage_probability) * shannon_capacity(10.0 ** (snr_db / 10.0) * gain)
    return tabulated_capacity(snr_db, k)


def constant_rician_k(link: Link) -> float | None:
    """Rician factor of the link's fading, None where the tables of an environment give it."""
    if link.fading == "rician":
        return link.rician_k_linear if link.environment is None else None
    return 0.0 if link.fading == "rayleigh" else np.inf


def _one_or_each(link: Link, k_linear: Floats) -> float | Floats:
    """The link's own factor as a number, which has quicker tables; else the array of factors.

    Which table a point goes through must not depend on the points beside it: a link has one or
    the other, unless its signal was made by hand.
    """
    constant = constant_rician_k(link)
    return k_linear if constant is None or (k_linear != constant).any() else float(constant)
