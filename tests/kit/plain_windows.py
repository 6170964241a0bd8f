"""Windows for tests that ask who is in view when, and nothing of geometry."""

import numpy as np

import orbit


def windows_of(rows):
    """ContactWindows of (satellite, site, rise, set) rows."""
    rows = sorted(rows, key=lambda row: (row[2], row[0], row[1]))
    satellite, site, rise_s, set_s = np.array(rows, dtype=float).reshape(-1, 4).T
    return orbit.bare_windows(
        satellite=satellite.astype(int), site=site.astype(int),
        rise_s=rise_s, culminate_s=(rise_s + set_s) / 2, set_s=set_s,
    )  # fmt: skip
