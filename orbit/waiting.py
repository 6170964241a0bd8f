"""How long sites wait for a beam while a satellite is in view."""

from math import inf

import numpy as np

from orbit.arrays import FloatArray
from orbit.windows import ContactWindows


def waiting(
    windows: ContactWindows, start_s: FloatArray, end_s: FloatArray, until_s: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """How long, and from when, each window was open up to `until_s` without its site served."""
    waited_s, from_s = np.zeros(len(windows)), np.full(len(windows), np.nan)
    for site in np.unique(windows.site):
        mine = np.flatnonzero(windows.site == site)
        served = mine[~np.isnan(start_s[mine])]
        begins, ends = _merged(start_s[served], end_s[served])
        rise_s, last_s = windows.rise_s[mine], until_s[mine]
        busy_s = _covered(begins, ends, last_s) - _covered(begins, ends, rise_s)
        waited_s[mine] = np.maximum(last_s - rise_s - busy_s, 0.0)
        within = np.searchsorted(begins, rise_s, "right") - 1
        free_s = np.append(ends, -inf)[within]  # index -1: no service has begun by the rise
        from_s[mine] = np.maximum(rise_s, free_s)
    # Sums of times are right to about a microsecond over decades.
    waits = waited_s > 1e-6
    return np.where(waits, waited_s, 0.0), np.where(waits, from_s, np.nan)


def _merged(begins: FloatArray, ends: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Services of one site, which never overlap, with those that follow at once made one."""
    order = np.argsort(begins)
    begins, ends = begins[order], ends[order]
    apart = begins[1:] > ends[:-1]
    return begins[np.append(True, apart)[: len(begins)]], ends[np.append(apart, True)[: len(ends)]]


def _covered(begins: FloatArray, ends: FloatArray, time_s: FloatArray) -> FloatArray:
    """How much of the intervals lies before each time."""
    edges = np.stack([begins, ends], axis=1).ravel()
    total = np.stack([np.zeros(len(begins)), ends - begins], axis=1).ravel().cumsum()
    return np.interp(time_s, edges, total) if len(edges) else np.zeros(len(time_s))
