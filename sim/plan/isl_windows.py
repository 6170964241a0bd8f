"""Windows in which pairs of satellites see each other: by their orbits, or of a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np

import orbit
import scenarios
from learning.requests.cluster import Ints
from scenarios import Scenario
from scenarios.link import Isl
from sim.devices.satellites import flying_of
from sim.errors import InputError

SAMPLES = 65
"""Samples of the range in a window of a file that does not tell it."""


def find_isls(
    scenario: Scenario, isl: Isl, start: datetime, span_s: float, pairs: Ints
) -> orbit.IslWindows:
    """Find the windows of pairs (P, 2), or read them where the scenario has a file of them.

    Pairs are indices in ``flying_of``. Raises InputError for what `orbit.find_isls` refuses, and
    for a file without any of their windows.
    """
    satellites = flying_of(scenario)
    if (text := scenarios.isl_windows(scenario)) is not None:
        return _of_file(orbit.parse_isl_windows(*text, start), satellites, span_s, pairs)
    end = start + timedelta(seconds=span_s)
    most_km = isl.values()["max_range_km"]
    try:
        return orbit.find_isls(satellites, start, end, pairs.tolist(), isl.grazing_km, most_km)
    except orbit.ElementError:
        raise
    except ValueError as error:
        raise InputError(f"link.isl.{error}") from None


def _of_file(
    file: orbit.IslFile, satellites: Sequence[orbit.Satellite], span_s: float, pairs: Ints
) -> orbit.IslWindows:
    """Return the windows of pairs (P, 2) in a file until the end; missing ranges are sampled."""
    number = {satellite.name: k for k, satellite in enumerate(satellites)}
    if unknown := sorted(set(file.satellites) - number.keys()):
        raise InputError(
            f"link.isl.windows: {unknown[0]!r} is none of the {len(number)} satellites, the first "
            f"of which is {satellites[0].name!r}; name them as there"
        )
    index = np.array([number[name] for name in file.satellites])
    ends = np.sort(index[np.stack([file.windows.a, file.windows.b], axis=1)], axis=1)
    wanted = np.isin(ends @ [len(number), 1], pairs @ [len(number), 1])
    wanted &= file.windows.start_s < span_s
    if not wanted.any():
        one, other = (satellites[k].name for k in pairs[0])
        raise InputError(
            f"link.isl.windows: none is between satellites that are to be linked, like {one!r} and "
            f"{other!r}, within {span_s / 86_400:g} days from {file.start:%Y-%m-%dT%H:%M:%SZ}"
        )
    kept = replace(file.windows, a=ends[:, 0], b=ends[:, 1]).where(wanted)
    for k in np.flatnonzero(np.isnan(kept.min_range_km + kept.max_range_km)):
        one = satellites[kept.a[k]]
        other = satellites[kept.b[k]]
        time_s = np.linspace(kept.start_s[k], min(kept.end_s[k], span_s), SAMPLES)
        range_km = np.asarray(orbit.pair_range_km(one, other, file.start, time_s))
        kept.min_range_km[k] = range_km.min()
        kept.max_range_km[k] = range_km.max()
    over = kept.end_s > span_s
    return replace(kept, end_s=np.minimum(kept.end_s, span_s), clipped_end=kept.clipped_end | over)
