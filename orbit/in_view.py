"""How well sites are covered: passes, their lengths, gaps and the share of time in view."""

from dataclasses import dataclass

import numpy as np

from orbit.arrays import BoolArray, FloatArray, IntArray
from orbit.clock import DAY_S
from orbit.limits import finite, whole
from orbit.windows import ContactWindows


@dataclass(frozen=True, eq=False)
class Coverage:
    """Arrays (S,) over sites.

    `passes` counts windows of any satellite; `longest_gap_s` is the longest time with no satellite
    in view and `in_view_fraction` the share of the span with at least one. Durations are nan where
    there is no pass.
    """

    passes: IntArray
    passes_per_day: FloatArray
    mean_duration_s: FloatArray
    longest_duration_s: FloatArray
    longest_gap_s: FloatArray
    in_view_fraction: FloatArray


def coverage(windows: ContactWindows, sites: int, span_s: float) -> Coverage:
    """Coverage of each of `sites` sites from 0 to `span_s` seconds; gaps count at both ends too.

    Raises ValueError when a window's site is not below `sites`, a window reaches out of the span,
    or the span is not a positive number.
    """
    gaps_s, in_view_s = _gaps_and_views_s(windows, sites, span_s)
    lasts_s = windows.set_s - windows.rise_s
    passes = np.bincount(windows.site, minlength=sites)
    total_s = np.bincount(windows.site, weights=lasts_s, minlength=sites)
    longest_s = np.full(sites, -np.inf)
    np.maximum.at(longest_s, windows.site, lasts_s)
    seen: BoolArray = passes > 0
    return Coverage(
        passes=passes,
        passes_per_day=passes.astype(np.float64) * (DAY_S / span_s),
        mean_duration_s=np.where(seen, total_s / np.maximum(passes, 1), np.nan),
        longest_duration_s=np.where(seen, longest_s, np.nan),
        longest_gap_s=gaps_s,
        in_view_fraction=in_view_s / span_s,
    )


def _gaps_and_views_s(
    windows: ContactWindows, sites: int, span_s: float
) -> tuple[FloatArray, FloatArray]:
    """Longest gap, and time with a satellite in view, of each site (S,)."""
    _check_span(windows, sites, span_s)
    longest_s, in_view_s = np.empty(sites), np.empty(sites)
    for site in range(sites):
        mine = windows.site == site
        covered_until_s = np.maximum.accumulate(np.append(0.0, windows.set_s[mine]))
        gaps_s = np.maximum(np.append(windows.rise_s[mine], span_s) - covered_until_s, 0.0)
        longest_s[site], in_view_s[site] = gaps_s.max(), span_s - gaps_s.sum()
    return longest_s, in_view_s


def _check_span(windows: ContactWindows, sites: int, span_s: float) -> None:
    whole(sites, "sites")
    if finite(span_s, "span_s", "give a positive number of seconds") <= 0:
        raise ValueError(f"span_s {span_s} is not a positive number of seconds; give one")
    if not len(windows):
        return
    first_s, last_s = windows.rise_s.min(), windows.set_s.max()
    if windows.site.max() >= sites or first_s < 0 or last_s > span_s:
        raise ValueError(
            f"windows reach site {windows.site.max()} and from {first_s} s to {last_s} s, beyond "
            f"{sites} sites and span_s {span_s}; give the numbers that the windows were made with"
        )
