"""How fast the room channel is: a million ergodic capacities, a million completion times.

Run it from the root of the repository: python tests/benchmarks/bench_channel.py
"""

import numpy as np
from scipy.optimize import brentq
from stopwatch import timed

from channel import Link, LinkCurve, ergodic_capacity, rate_bps, slant_range_m

POINTS = 1_000_000
BY_BRENTQ = 200


def capacities(rng: np.random.Generator) -> None:
    """Ergodic capacities over -60 to 60 dB and K from 0.001 to a million."""
    snr = 10.0 ** rng.uniform(-6.0, 6.0, POINTS)
    k = 10.0 ** rng.uniform(-3.0, 6.0, POINTS)
    wall_s, _ = timed(ergodic_capacity, snr, k)
    print(f"ergodic capacity: {POINTS:,} in {wall_s:.2f} s, {1e6 * wall_s / POINTS:.2f} us each")


def rates(rng: np.random.Generator) -> None:
    """Ergodic rates of 250 contacts, each of 5 devices on a grid of 75 points."""
    link = Link(2e9, 0.36e6, -7.0, 1.1, zenith_attenuation_db=0.035, fading="rician")
    elevation_deg = rng.uniform(10.0, 90.0, (250, 5, 75))
    range_m = slant_range_m(600e3, elevation_deg)
    pairs = list(zip(elevation_deg, range_m, strict=True))
    wall_s, _ = timed(lambda: [rate_bps(link, *pair) for pair in pairs])
    print(f"link rates: 250 contacts x 5 devices x 75 points in {wall_s:.3f} s")


def completions(rng: np.random.Generator) -> None:
    """Completion times from random starts, and the same by a root finder on the same integral.

    The curve has 75 points over 500 s, and rises and falls.
    """
    time_s = np.linspace(5400.0, 5900.0, 75)
    curve = LinkCurve(time_s, 5e6 * (0.3 + 0.7 * np.sin(np.pi * (time_s - 5400.0) / 500.0)))
    start_s = rng.uniform(5400.0, 5900.0, POINTS)
    bits = rng.random(POINTS) * (curve.capacity_bits - curve.delivered_bits(start_s))
    curve.completion_time_s(bits, start_s)  # what is made once is not counted
    wall_s, found_s = timed(curve.completion_time_s, bits, start_s)
    goal = curve.delivered_bits(start_s) + bits

    def by_brentq() -> list[float]:
        return [
            brentq(lambda t, bits=b: curve.delivered_bits(t) - bits, 5400.0, 5900.0, xtol=1e-9)
            for b in goal[:BY_BRENTQ]
        ]

    by_brentq()
    root_wall_s, root_s = timed(by_brentq)
    ratio = (root_wall_s / BY_BRENTQ) / (wall_s / POINTS)
    apart_s = np.abs(found_s[:BY_BRENTQ] - root_s).max()
    print(f"completion times: {POINTS:,} in {wall_s:.2f} s, {1e6 * wall_s / POINTS:.2f} us each")
    print(f"  scipy brentq takes {ratio:,.0f} times as long a piece; answers {apart_s:.1e} s apart")


def batches(rng: np.random.Generator) -> None:
    """Completion times of a batch of 1000 devices, a thousand times."""
    time_s = np.linspace(0.0, 500.0, 75)
    curve = LinkCurve(time_s, rng.uniform(1e6, 5e6, (1000, 75)))
    wall_s, _ = timed(lambda: [curve.completion_time_s(bits) for bits in range(1000)])
    print(f"batches: 1,000 calls x 1,000 devices in {wall_s:.2f} s")


if __name__ == "__main__":
    generator = np.random.default_rng(0)
    for measure in (capacities, rates, completions, batches):
        measure(generator)
