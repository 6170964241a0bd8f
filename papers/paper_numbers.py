"""The paper's own numbers (EMS-FL, sections II-B and V-A), worked out: a line a number.

    python papers/paper_numbers.py

The paper gives 23 dBm, a large-scale fading of -160 dB, 40 dBi, 5 MHz a device, 600 km, contacts of
ten minutes, payloads of 300 MB and a rate of 5 Mbit/s. Each line is a name, which ends in the unit,
and a value. "sphere" is a sphere of 6371 km that does not turn, "orbit" is the room of that name:
SGP4 over the pole of the ellipsoid.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import acos, cos, log10, radians, sqrt, tau

import numpy as np
from scipy.optimize import brentq

import channel
import orbit

ALTITUDE_M = 600e3
GRAVITY_M3_S2 = 398600.4418e9  # WGS 84
MASKS_DEG = (10.0, 30.0)
CONTACT_S = 600.0
RATE_BPS = 5e6
PAYLOAD_BYTES = 300e6
RICIAN_K_DB = 10.0
CARRIER_HZ = 4e9
TX_POWER_DBM = 23.0
PATH_GAIN_DB = -160.0
ANTENNA_DBI = 40.0
TEMPERATURE_K = 290.0
BOLTZMANN_J_K = 1.380649e-23
EARTH_RADIUS_M = 6371e3
BEAMWIDTH_CONSTANT_DEG = 70.0  # times the wavelength over the diameter

Numbers = Iterator[tuple[str, float]]

# The receiver is as noisy as a resistor at 290 K: the paper names no noise figure.
PAPER = channel.Link(
    CARRIER_HZ,
    5e6,
    float(channel.eirp_dbw(TX_POWER_DBM, 0.0)),
    float(channel.g_over_t_db_k(ANTENNA_DBI, 0.0, TEMPERATURE_K)),
    path_gain_db=PATH_GAIN_DB,
    rate="shannon",
)


def signal() -> Numbers:
    """SNR, and the rates that it carries."""
    overhead = 90.0, ALTITUDE_M
    snr_db = float(channel.snr_db(PAPER, *overhead))
    yield "received_power_dbm", TX_POWER_DBM + PATH_GAIN_DB + ANTENNA_DBI
    yield "noise_power_dbm", 10 * log10(BOLTZMANN_J_K * TEMPERATURE_K * PAPER.bandwidth_hz) + 30
    yield "snr_db", snr_db
    yield "shannon_rate_mbps", float(channel.rate_bps(PAPER, *overhead)) / 1e6
    faded = replace(
        PAPER, rate="ergodic", fading="rician", rician_k_linear=10 ** (RICIAN_K_DB / 10)
    )
    yield "ergodic_rate_k_10_db_mbps", float(channel.rate_bps(faded, *overhead)) / 1e6
    rayleigh = replace(faded, fading="rayleigh")
    yield "ergodic_rate_rayleigh_mbps", float(channel.rate_bps(rayleigh, *overhead)) / 1e6


def stated_rate() -> Numbers:
    """What 5 Mbit/s needs, and what the paper's own numbers have over."""
    fixed = replace(PAPER, rate="fixed", fixed_rate_bps=RATE_BPS)
    row = channel.link_budget_terms(fixed, 90.0, altitude_m=ALTITUDE_M)
    yield "stated_efficiency_bps_hz", float(row["spectral_efficiency_bps_hz"][0])
    yield "stated_rate_needs_snr_db", float(row["required_snr_db"][0])
    yield "stated_rate_leaves_db", float(row["margin_db"][0])


def carrier() -> Numbers:
    """Where free space over 600 km is 160 dB, and what an antenna of 40 dBi is there."""
    at_1_hz_db = float(channel.free_space_path_loss_db(ALTITUDE_M, 1.0))
    yield "carrier_of_160_db_ghz", 10 ** ((-PATH_GAIN_DB - at_1_hz_db) / 20) / 1e9
    wavelength_m = channel.SPEED_OF_LIGHT_M_S / CARRIER_HZ
    width_deg = float(channel.beamwidth_deg(ANTENNA_DBI))
    yield "antenna_diameter_m", BEAMWIDTH_CONSTANT_DEG * wavelength_m / width_deg
    yield "antenna_beamwidth_deg", width_deg
    yield "antenna_footprint_km", float(channel.footprint_km(width_deg, ALTITUDE_M))


def passes() -> Numbers:
    """How long an overhead pass lasts, and over which mask it would last ten minutes."""
    for name, pass_s in (("sphere", sphere_pass_s), ("orbit", orbit_pass_s)):
        for mask_deg in MASKS_DEG:
            yield f"{name}_pass_over_{mask_deg:.0f}_deg_min", pass_s(mask_deg) / 60
        yield f"{name}_mask_of_ten_minutes_deg", mask_of(CONTACT_S, pass_s)
    yield "orbit_overhead_range_km", float(pole_pass(0.0).min_slant_range_km[0])


def sphere_pass_s(mask_deg: float) -> float:
    """Duration of an overhead pass at 600 km over a sphere that does not turn.

    The satellite is seen within the central angle arccos(R cos e / (R + h)) - e to either side.
    """
    mask, radius_m = radians(mask_deg), EARTH_RADIUS_M + ALTITUDE_M
    half = acos(EARTH_RADIUS_M * cos(mask) / radius_m) - mask
    return 2 * half * sqrt(radius_m**3 / GRAVITY_M3_S2)


def pole_pass(mask_deg: float) -> orbit.ContactWindows:
    """A polar orbit over the pole: overhead every time, on ground that turns but does not move.

    600 km count from the pole of the ellipsoid; the oblate Earth pulls the orbit some km lower.
    """
    equator_to_pole_km = 6378.135 - 6356.752
    start = datetime(2026, 3, 20, 12, tzinfo=UTC)
    altitude_km = ALTITUDE_M / 1e3 - equator_to_pole_km
    satellite = orbit.circular_satellite("polar", altitude_km, 90.0, 0.0, 50.0, start)
    site = orbit.Site("pole", 90.0, 0.0)
    return orbit.contact_windows([satellite], [site], start, start + timedelta(hours=1), mask_deg)


def orbit_pass_s(mask_deg: float) -> float:
    """Duration of the pass over the pole."""
    window = pole_pass(mask_deg)
    return float(window.set_s[0] - window.rise_s[0])


def mask_of(duration_s: float, pass_s: Callable[[float], float]) -> float:
    """The mask over which an overhead pass lasts so long."""
    return float(brentq(lambda mask_deg: pass_s(mask_deg) - duration_s, 0.0, 60.0))


def payload() -> Numbers:
    """300 MB at 5 Mbit/s, and what ten minutes of it carry."""
    curve = channel.LinkCurve([0.0, CONTACT_S], [RATE_BPS, RATE_BPS])
    yield "payload_takes_min", float(curve.completion_time_s(PAYLOAD_BYTES * 8)) / 60
    yield "contact_carries_mb", float(curve.capacity_bits) / 8e6


def phase() -> Numbers:
    """Equation (16) with a phase of rain and Doppler and without: the same power, the same rate."""
    rng = np.random.default_rng(0)
    k, snr = 10 ** (RICIAN_K_DB / 10), 10 ** (float(channel.snr_db(PAPER, 90.0, ALTITUDE_M)) / 10)
    scattered = rng.normal(size=(2, 100_000)).T.copy().view(complex)[:, 0] / sqrt(2)
    fading = sqrt(k / (1 + k)) + sqrt(1 / (1 + k)) * scattered
    doppler_hz = float(channel.doppler_hz(pole_pass(10.0).rise_range_rate_km_s[0], CARRIER_HZ))
    turned = rng.uniform(0, tau, fading.size) + tau * doppler_hz * rng.uniform(0, 600, fading.size)
    rates = [
        PAPER.bandwidth_hz * np.mean(np.log2(1 + snr * np.abs(h) ** 2))
        for h in (fading, fading * np.exp(1j * turned))
    ]
    yield "doppler_at_10_deg_khz", doppler_hz / 1e3
    yield "phase_changes_rate_by_bps", float(abs(rates[1] - rates[0]))


def numbers() -> dict[str, float]:
    """All numbers by name, in the order of the lines."""
    parts = (signal, stated_rate, carrier, passes, payload, phase)
    return {name: value for part in parts for name, value in part()}


def main() -> int:
    """Print a line a number."""
    for name, value in numbers().items():
        print(f"{name} {value:.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
