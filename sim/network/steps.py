"""The steps of a chain as a method asks for them, and how a chain ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from learning.requests.cluster import Download, Receipt, Step, Train, Upload, Work
from learning.requests.reasons import Reason
from sim.errors import SimulationError
from sim.facts.directions import Way
from sim.facts.transfers import Outcome
from statements.arrays import Ints, Mask

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


CutTransfers = Literal["resume", "restart", "drop"]
"""What becomes of a transfer that a contact cuts off: ``link.cut_transfers``."""


@dataclass(frozen=True)
class Ending:
    """When a chain is over, and why, if not because all its devices are through or cut off.

    It may be ``closed`` before: for a quorum that was reached, or a deadline. What the end of the
    run interrupts (``run_over``) no pass has cut off.
    """

    time_s: float
    closed: Reason = Reason.NONE
    run_over: bool = False


OF_CUT_OFF: dict[CutTransfers, Outcome] = {
    "resume": Outcome.CARRIED,
    "restart": Outcome.RESTARTED,
    "drop": Outcome.DROPPED,
}
"""The outcome of a transfer that has begun and is cut off, by the rule under which it began."""


def outcomes_of(
    *,
    whole: Mask,
    begun: Mask,
    corrupted: Mask | None,
    cut_transfers: CutTransfers,
    carry: bool,
    run_over: bool,
) -> Ints:
    """Return the outcome of a transfer for each device (K,) that takes part in it.

    It is ``whole`` where the last bit is there: delivered, or refused where it is ``corrupted``
    (None: nobody's). Otherwise a pass has cut it off, unless the run is over before that. What had
    ``begun``, in this session or an earlier one, then meets the rule ``cut_transfers``; a transfer
    that had not begun has nothing to lose. What its sender does not ``carry`` over is given up in
    any case.
    """
    cut_off = OF_CUT_OFF[cut_transfers] if carry else Outcome.DROPPED
    if run_over:
        cut_off = Outcome.CARRIED
    lost = begun | (not carry)
    outcome = np.where(whole, Outcome.DELIVERED, np.where(lost, cut_off, Outcome.CARRIED))
    if corrupted is not None:
        outcome = np.where(whole & corrupted, Outcome.CORRUPTED, outcome)
    return outcome
