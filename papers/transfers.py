"""How exact the times are at which payloads are through: a row a rate and payload.

    python papers/transfers.py

One device at the north pole sends to a satellite on a polar circle, which passes over it 600 km up
once an orbit. "run" is when the payload has arrived by the transfers of a run. "truth" shares with
it the mean elements, the figures of the link and DVB-S2's table, and no computation: positions are
SGP4's own, the capacity is a quadrature over Rice's density, and the rate is summed in steps of
10 ms with every instant at which it jumps. Exits with 1 if a time is more than a millisecond off.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from scipy.special import i0e

import learning
import leomix
import orbit
import scenarios
from learning.requests import NextContact, Payload, Upload

Floats = NDArray[np.float64]

ALLOWED_S = 1e-3
EQUATOR_KM, POLE_KM, LIGHT_KM_S = 6378.135, 6356.752314, 299792.458
START, ALTITUDE_KM = datetime(2026, 3, 20, 12, tzinfo=UTC), 600 - (EQUATOR_KM - POLE_KM)
MASK_DEG, BANDWIDTH_HZ, FREQUENCY_HZ, RICIAN_K, ROLLOFF = 10.0, 0.36e6, 2e9, 10.0, 0.2
# Preset 'physical', uplink: EIRP, G/T, -10 log10 of Boltzmann's constant, scintillation, shadowing.
ALL_BUT_THE_WAY_DB = -7.0 + 1.1 + 228.5991672 - 2.2 - 3.0
# Bits per symbol and Es/N0 in dB: EN 302 307, table 13.
MODCODS = (
    (0.490243, -2.35), (0.656448, -1.24), (0.789412, -0.3), (0.988858, 1.0), (1.188304, 2.23),
    (1.322253, 3.1), (1.487473, 4.03), (1.587196, 4.68), (1.654663, 5.18), (1.766451, 6.2),
    (1.788612, 6.42), (1.779991, 5.5), (1.980636, 6.62), (2.228124, 7.91), (2.478562, 9.35),
    (2.646012, 10.69), (2.679207, 10.98), (2.637201, 8.97), (2.966728, 10.21), (3.165623, 11.03),
    (3.300184, 11.61), (3.523143, 12.89), (3.567342, 13.13), (3.703295, 12.73), (3.951571, 13.64),
    (4.11954, 14.28), (4.397854, 15.69), (4.453027, 16.05),
)  # fmt: skip
PAYLOADS = {
    "a tenth of a pass": 0.1,
    "nine tenths of a pass": 0.9,
    "just fits into a pass": 0.999999,
    "just does not fit": 1.000001,
    "two passes and a half": 2.5,
}


@learning.register("one-payload")
class OnePayload(learning.Method):
    """Every device sends one payload, over as many passes as it takes."""

    @dataclass(frozen=True)
    class Options:
        """What to send."""

        megabytes: float = 1.0

    def cluster(self, me: Any) -> Any:
        """Send until it is through."""
        while (yield NextContact()):
            receipt = yield Upload(Payload("test", self.options.megabytes * 1e6))
            if receipt.done.all():
                return

    def model(self) -> Any:
        """Nothing is learnt."""


def scenario(rate: str, megabytes: float = 1.0) -> scenarios.Scenario:
    """Four passes over the pole, nothing trained."""
    circle = {"altitude_km": ALTITUDE_KM, "inclination_deg": 90}
    pole = {"name": "pole", "latitude_deg": 90, "longitude_deg": 0}
    learning_part = {"method": "one-payload", "train": False, "options": {"megabytes": megabytes}}
    return scenarios.from_dict(
        {
            "start": START.isoformat(),
            "stop": {"days": 0.25},
            "orbit": {"source": "circular", "min_elevation_deg": MASK_DEG, **circle},
            "ground": {"clusters": [pole]},
            "link": {"uplink": {"rate": rate}},
            "learning": learning_part,
        }
    )


def arrival_s(rate: str, megabytes: float) -> float:
    """When the payload is there, by the transfers of a run."""
    rows = leomix.run(scenario(rate, megabytes)).transfers
    return float(rows[rows.outcome == "delivered"].end_s.iloc[0])


def look(model: Any, time_s: Floats) -> tuple[Floats, Floats]:
    """Sine of the elevation and distance in km from the pole: straight up is the Earth's axis."""
    day = np.full(time_s.shape, model.jdsatepoch)
    _, place_km, _ = model.sgp4_array(day, model.jdsatepochF + time_s / 86400)
    way_km = place_km - [0.0, 0.0, POLE_KM]
    distance_km = np.linalg.norm(way_km, axis=1)
    return way_km[:, 2] / distance_km, distance_km


def snr_db(model: Any, time_s: Floats) -> Floats:
    """Signal-to-noise ratio in dB."""
    rise, distance_km = look(model, time_s)
    path_db = 20 * np.log10(4e3 * np.pi * distance_km * FREQUENCY_HZ / (1e3 * LIGHT_KM_S))
    bandwidth_dbhz = 10 * np.log10(BANDWIDTH_HZ)
    return np.asarray(ALL_BUT_THE_WAY_DB - path_db - 0.035 / rise - bandwidth_dbhz)


def capacity_bps_hz(snr_db: Floats) -> Floats:
    """Mean of log2(1 + snr |g|^2) over Rician fading."""
    direct = np.sqrt(2 * RICIAN_K)
    nodes, weights = np.polynomial.legendre.leggauss(200)
    amplitude = (direct + 9) / 2 * (nodes + 1)
    bell = np.exp(-((amplitude - direct) ** 2) / 2) * i0e(direct * amplitude)
    share = (direct + 9) / 2 * weights * amplitude * bell
    gain = amplitude**2 / (2 * (1 + RICIAN_K))
    return np.asarray(np.log2(1 + np.multiply.outer(10 ** (snr_db / 10), gain)) @ share)


def steps_bps_hz(snr_db: Floats) -> Floats:
    """Efficiency of the best DVB-S2 mode whose threshold is met, over the occupied bandwidth."""
    met = [np.where(snr_db >= threshold_db(x), bits, 0.0) for bits, x in MODCODS]
    return np.asarray(np.max(met, axis=0) / (1 + ROLLOFF))


def threshold_db(es_n0_db: float) -> float:
    """SNR from which a mode can be used."""
    return es_n0_db - 10 * float(np.log10(1 + ROLLOFF))


def passes(model: Any, rate: str) -> Iterator[tuple[Floats, Floats]]:
    """Times and rates (bit/s) of each pass, close enough to be straight in between."""
    efficiency = {"ergodic": capacity_bps_hz, "modcod": steps_bps_hz}[rate]
    seconds = np.arange(0.0, 0.25 * 86400)
    above = CubicSpline(seconds, look(model, seconds)[0] - np.sin(np.radians(MASK_DEG)))
    for rise_s, set_s in above.roots(extrapolate=False).reshape(-1, 2):
        coarse_s = np.linspace(rise_s, set_s, 600)
        signal_db = CubicSpline(coarse_s, snr_db(model, coarse_s))
        fine_s = np.union1d(np.linspace(rise_s, set_s, 50_000), jumps_s(signal_db))
        yield fine_s, BANDWIDTH_HZ * efficiency(signal_db(fine_s))


def jumps_s(signal_db: CubicSpline) -> Floats:
    """Both sides of every instant at which another mode becomes the best one."""
    levels_db = [threshold_db(es_n0_db) for _, es_n0_db in MODCODS]
    at_s = np.concatenate([signal_db.solve(level, extrapolate=False) for level in levels_db])
    return np.concatenate([at_s - 1e-7, at_s + 1e-7])


def carried(one_pass: tuple[Floats, Floats]) -> tuple[Floats, Floats]:
    """Times of a pass, and the megabytes through by then."""
    time_s, rate = one_pass
    cells = (rate[1:] + rate[:-1]) / 2 * np.diff(time_s) / 8e6
    return time_s, np.concatenate([[0.0], np.cumsum(cells)])


def truth_s(model: Any, through: list[tuple[Floats, Floats]], megabytes: float) -> float:
    """When the last bit has arrived: it is sent, and travels at the speed of light."""
    for time_s, done in through:
        if megabytes <= done[-1]:
            sent_s = np.interp(megabytes, done, time_s)
            return float(sent_s + look(model, np.array([sent_s]))[1][0] / LIGHT_KM_S)
        megabytes -= done[-1]
    return float("inf")


def rows(rate: str) -> Iterator[tuple[str, float, float, float]]:
    """Name, megabytes and both times of each payload."""
    model = orbit.circular_satellite("s", ALTITUDE_KM, 90.0, 0.0, 0.0, START).model
    through = [carried(one_pass) for one_pass in passes(model, rate)]
    for name, share in PAYLOADS.items():
        megabytes = share * float(through[0][1][-1])
        yield name, megabytes, truth_s(model, through, megabytes), arrival_s(rate, megabytes)


def main() -> int:
    """Print the table; return 1 if a time is off."""
    print(f"{'rate':<8} {'payload':<22} {'MB':>9} {'truth s':>11} {'run s':>11} {'off ms':>6}")
    broken = False
    for rate in ("ergodic", "modcod"):
        for name, megabytes, true_s, run_s in rows(rate):
            off_s = abs(run_s - true_s)
            broken |= not off_s <= ALLOWED_S
            times = f"{true_s:11.4f} {run_s:11.4f} {off_s * 1e3:6.2f}"
            print(f"{rate:<8} {name:<22} {megabytes:9.4f} {times}", flush=True)
    return int(broken)


if __name__ == "__main__":
    sys.exit(main())
