"""The paper's idealised orbit: clusters served in turn, a slot each."""

from math import isfinite
from operator import index

import numpy as np

from orbit.windows import ContactWindows, bare_windows


def slot_windows(sites: int, slot_s: float, idle: int, cycles: int) -> ContactWindows:
    """`cycles` rounds of one slot for each of `sites` sites in order, then `idle` empty slots.

    One satellite (index 0) at the zenith: elevation 90 deg, ranges and rates nan. Slot n lasts
    from n `slot_s` to (n + 1) `slot_s` seconds. Raises ValueError for counts below 1 (idle below 0)
    or a slot that does not last.
    """
    if not (isfinite(slot_s) and slot_s > 0):
        raise ValueError(
            f"slot_s {slot_s!r} is not a positive number of seconds; give one such as 60"
        )
    for what, count, least in (("sites", sites, 1), ("idle", idle, 0), ("cycles", cycles, 1)):
        if index(count) < least:
            raise ValueError(f"{what} {count} is too few; give {least} or more")
    cycle, site = np.divmod(np.arange(cycles * sites), sites)
    slot = cycle * (sites + idle) + site
    return bare_windows(
        satellite=np.zeros(slot.shape, dtype=np.int64),
        site=site,
        rise_s=slot * slot_s,
        culminate_s=(slot + 0.5) * slot_s,
        set_s=(slot + 1) * slot_s,
        max_elevation_deg=np.full(slot.shape, 90.0),
    )
