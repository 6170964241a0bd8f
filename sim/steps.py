"""The steps of a chain as a method asks for them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from learning.requests.cluster import Download, Mask, Train, Upload
from sim.errors import SimulationError

Step = Train | Upload | Download


def everybody(who: Mask | None, k: int) -> Mask:
    """Return ``who`` as a mask (K,); None stands for all devices."""
    return np.ones(k, bool) if who is None else np.asarray(who, bool)


def direction_of(step: Upload | Download) -> str:
    """Return ``uplink`` or ``downlink``."""
    return "uplink" if isinstance(step, Upload) else "downlink"


def check_names(steps: Sequence[Step]) -> None:
    """Refuse a chain that sends one payload twice: the ledger knows payloads by their names."""
    sent = [(direction_of(s), s.payload.name) for s in steps if not isinstance(s, Train)]
    for direction, name in sent:
        if sent.count((direction, name)) > 1:
            raise SimulationError(
                f"a chain has two {direction} transfers of payload {name!r}; give them two names, "
                "or ask for the second one in a request of its own"
            )
