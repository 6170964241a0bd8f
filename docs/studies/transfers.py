"""How exact the times are at which payloads are through: a row a payload.

    python docs/studies/transfers.py

One device at the north pole sends to a satellite on a polar circle 600 km up, which passes over it
once an orbit. "run" is when the payload is there by the transfers of a run. "truth" uses nothing of
leomix but the figures of the link preset: positions by SGP4 alone, the mean capacity over the
fading by a quadrature of Rice's density, the integral of the rate by a spline over every second
("ergodic") or by its steps ("modcod"). Exits with 1 if anything is more than a millisecond off.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.optimize import brentq
from scipy.special import i0e

import learning
import scenarios
import sim
from channel.modcod import MODCODS
from learning.requests import NextContact, Payload, Upload
from sim.satellites import satellites_of

ALLOWED_S = 1e-3
POLE_KM = 6378.137 * (1 - 1 / 298.257223563)
LIGHT_KM_S = 299792.458
# Preset 'physical', uplink: EIRP, G/T, scintillation and shadowing, and 10 log10 of 0.36 MHz.
FIXED_DB = -7.0 + 1.1 + 228.5991672 - 2.2 - 3.0 - 55.5630250
WAVELENGTH_KM, ZENITH_DB, BANDWIDTH_HZ, K = LIGHT_KM_S / 2e9, 0.035, 0.36e6, 10.0
ROLLOFF = 0.2
SIZES = {"a tenth": 0.1, "nine tenths": 0.9, "just fits": 0.999999, "just not": 1.000001, "two": 2.5}
"""Payloads in parts of what the first pass carries."""


@learning.register("one-payload")
class OnePayload(learning.Method):
    """Each device sends one payload, over as many passes as it takes."""

    @dataclass(frozen=True)
    class Options:
        """What to send."""

        megabytes: float = 1.0

    def cluster(self, me: Any) -> Any:
        """Ask until it is through."""
        while (yield NextContact()):
            receipt = yield Upload(Payload("test", self.options.megabytes * 1e6, 0))
            if receipt.done.all():
                return

    def model(self) -> Any:
        """Nothing is learnt."""
        return None
