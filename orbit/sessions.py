"""Services of a site that follow each other closely, counted as one session."""

import numpy as np

from orbit.arrays import IntArray
from orbit.serving import Service
from orbit.windows import ContactWindows


def session_numbers(
    windows: ContactWindows, service: Service, gap_s: float | None = 0.0
) -> IntArray:
    """Number the sessions of each site from 0; -1 for windows that were not served.

    A session is a site's services whose gaps are at most `gap_s` (None: every service is one).
    """
    numbers = np.full(len(windows), -1, dtype=np.int64)
    for site in np.unique(windows.site):
        mine = np.flatnonzero((windows.site == site) & service.served)
        mine = mine[np.argsort(service.start_s[mine], kind="stable")]
        gaps_s = service.start_s[mine][1:] - service.end_s[mine][:-1]
        parted = np.ones(len(gaps_s), dtype=bool) if gap_s is None else gaps_s > gap_s
        numbers[mine] = np.append(0, np.cumsum(parted))[: len(mine)]
    return numbers
