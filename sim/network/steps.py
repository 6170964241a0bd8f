"""The steps of a chain as a method asks for them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from learning.requests.cluster import Download, Receipt, Step, Train, Upload, Work
from sim.errors import SimulationError
from sim.facts.directions import Way
from statements.arrays import Mask

Reply = Work | Receipt


def everybody(who: Mask | None, k: int) -> Mask:
    """Return ``who`` as a mask (K,); None stands for all devices."""
    return np.ones(k, bool) if who is None else np.asarray(who, bool)


def way_of(step: Upload | Download) -> Way:
    """Return which way a step sends its payload."""
    return Way.TO_SERVER if isinstance(step, Upload) else Way.TO_CLIENT


def check_names(steps: Sequence[Step]) -> None:
    """Refuse a chain that sends one payload twice: the ledger knows payloads by their names."""
    if len(steps) == 1:
        return
    sent = [(way_of(s), s.payload.name) for s in steps if not isinstance(s, Train)]
    for way, name in sent if len(set(sent)) < len(sent) else ():
        if sent.count((way, name)) > 1:
            raise SimulationError(
                f"a chain has two transfers of payload {name!r} to the {way}; give them two names, "
                "or ask for the second one in a request of its own"
            )
