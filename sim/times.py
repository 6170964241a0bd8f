"""Times as a user writes them on the command line."""

from __future__ import annotations

import math
import re

from sim.errors import InputError

UNITS_S = {"": 1.0, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_TIME = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*([a-z]*)", re.ASCII)


def seconds(option: str, text: str) -> float:
    """Return the seconds of ``36h``, ``2d``, ``90min``, ``5400s`` or ``5400``.

    Raises InputError, which names the ``option``, for anything else, and for no time at all.
    """
    found = _TIME.fullmatch(text.strip())
    if found is None or found[2] not in UNITS_S:
        raise InputError(
            f"{option} {text}: is not a time; write it like 36h, 2d, 90min, or 5400 (seconds)"
        )
    time_s = float(found[1]) * UNITS_S[found[2]]
    if not (0.0 < time_s < math.inf):
        raise InputError(f"{option} {text}: must be above 0")
    return time_s
