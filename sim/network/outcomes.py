"""How a chain ends, and what then becomes of the transfer of each of its devices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from learning.requests.reasons import Reason
from sim.facts.transfers import Outcome
from statements.arrays import Ints, Mask

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
