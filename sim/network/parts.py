"""What of a transfer lies in one contact, and what of it is on the air."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from learning.requests.cluster import Floats, Mask
from sim.plan.contacts import PlannedContact


@dataclass(frozen=True, eq=False)
class Part:
    """What the link carries for each device (K,) in one contact, between two times.

    ``last`` marks the devices for which nothing of the transfer lies in a later contact; ``bytes``
    and ``last`` are None where all of it lies in this one.
    """

    contact: PlannedContact
    begin_s: Floats
    end_s: Floats
    bytes: Floats | None = None
    last: Mask | None = None


def first_heard(
    part: Part, who: Mask, moved: Floats, bytes_since: Callable[[Floats], Floats]
) -> Floats:
    """Bytes (K,) that each device of ``who`` hears and no device before has heard.

    All hear one transmission of a broadcast, each from when it sees the sender until it has
    ``moved`` bytes. In order of their beginnings, what one hears later than all before it is sent
    for it; ``bytes_since`` gives what each hears from a time of its own (K,) until its end.
    """
    on_air = np.zeros_like(moved)
    rows = np.flatnonzero(who)
    rows = rows[np.lexsort((-part.end_s[rows], part.begin_s[rows]))]
    first_s, last_s = part.begin_s[rows], part.end_s[rows]
    heard_until_s = np.concatenate([[-np.inf], np.maximum.accumulate(last_s)[:-1]])
    alone = first_s >= heard_until_s
    on_air[rows[alone]] = moved[rows[alone]]
    if (later := ~alone & (last_s > heard_until_s)).any():
        since_s = part.begin_s.copy()
        since_s[rows] = np.minimum(heard_until_s, last_s)
        on_air[rows[later]] = np.minimum(bytes_since(since_s), moved)[rows[later]]
    return on_air
