"""Encoding: observations as arrays of numbers from 0 to 1, and actions as decisions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from learning.requests.decide import Decision, Observation
from sim.errors import InputError
from statements import Code

HOUR_S = 3600.0
DAY_S = 86_400.0


def squashed(values: Any, scale: Any) -> Any:
    """Return x / (x + scale), which is 1/2 at the scale and 1 for inf; values are 0 or more."""
    with np.errstate(invalid="ignore"):
        return np.where(np.isinf(values), 1.0, values / (values + scale))


FEATURES: dict[str, Callable[[Observation], NDArray[Any]]] = {
    "chosen": lambda seen: seen.chosen,
    "working": lambda seen: seen.working,
    "arrived": lambda seen: seen.arrived,
    "staleness": lambda seen: squashed(seen.staleness, 4.0),
    "share": lambda seen: seen.share,
    "wait": lambda seen: squashed(seen.wait_s, 6 * HOUR_S),
    "contact": lambda seen: squashed(seen.contact_s, 0.1 * HOUR_S),
    "uplink": lambda seen: squashed(seen.uplink_bytes, seen.upload_bytes),
    "downlink": lambda seen: squashed(seen.downlink_bytes, seen.download_bytes),
    "round": lambda seen: squashed(seen.round_s, 0.1 * HOUR_S),
    "charge": lambda seen: seen.charge,
}
"""Numbers of each client, (C,), from 0 to 1; the scale of each that is squashed stands here.

Bytes that a contact carries are squashed by those of a model, so that 1/2 is a contact that is just
long enough.
"""

OVERALL: dict[str, Callable[[Observation], float]] = {
    "time": lambda seen: squashed(seen.time_s, DAY_S),
    "version": lambda seen: squashed(seen.version, 10.0),
    "merged": lambda seen: squashed(seen.merged, 10.0),
    "accuracy": lambda seen: 0.0 if np.isnan(seen.accuracy) else seen.accuracy,
}
"""Numbers of the server, from 0 to 1, which stand behind those of the clients."""


def size(clients: int) -> int:
    """Return how many numbers an observation of so many clients has."""
    return clients * len(FEATURES) + len(OVERALL)


def encoded(seen: Observation) -> NDArray[np.float32]:
    """Return an observation of C clients as numbers, (C * len(FEATURES) + len(OVERALL),).

    ``encoded(seen)[: C * len(FEATURES)].reshape(C, -1)`` has a row for each client.
    """
    clients = np.column_stack([read(seen) for read in FEATURES.values()])
    overall = [read(seen) for read in OVERALL.values()]
    return np.concatenate([clients.ravel(), overall]).astype(np.float32)


def decoded(action: Any) -> Decision:
    """Return the decision of an action (C + 1,): a bit for each client, one to aggregate.

    Raises InputError for what is no row of zeros and ones.
    """
    try:
        bits = np.asarray(action)
    except ValueError:  # rows in a row, of different lengths
        bits = np.asarray(None)
    if bits.ndim != 1 or bits.size < 1:
        raise InputError.of(
            Code.WRONG_VALUE,
            "action",
            "is no row of numbers; it must be a bit for each client and one to aggregate",
        )
    # Truth would make True of -1, of nan and of the text "0".
    is_bit = np.isin(bits, (0, 1)) if bits.dtype.kind in "biuf" else np.zeros(bits.shape, bool)
    if not is_bit.all():
        wrong = bits[~is_bit][0].item()
        raise InputError.of(
            Code.WRONG_VALUE,
            "action",
            "holds {wrong!r}; each of its numbers must be 0 or 1",
            wrong=wrong,
        )
    return Decision(bits[:-1] == 1, bool(bits[-1]))
