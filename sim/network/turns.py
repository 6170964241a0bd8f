"""Turns: when a beam that several transfers share is free for the next one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from learning.requests.cluster import Floats
from sim.links.session_beam import SessionBeam

if TYPE_CHECKING:
    from sim.network.transfer import Transfer


def beam_free_s(beam: SessionBeam, devices: int, earlier: Sequence[Transfer]) -> float:
    """When the transfers of earlier steps leave a shared beam to another; -inf for at once.

    A broadcast is one transmission at a time, and where a cluster has more devices than the beam
    has sub-channels, the beam serves the steps of a chain one after the other: those of a later
    step begin when the last device has ended an earlier one.
    """
    if not (beam.is_broadcast or beam.crowding(devices) > 1.0):
        return -np.inf
    ends_s = [float(other.frees_s[other.who].max()) for other in earlier if other.who.any()]
    return max(ends_s, default=-np.inf)


def turn_s(beside: int, others: Sequence[Transfer], devices: int) -> Floats:
    """When each of so many devices (K,) has its turn behind the transfers of other chains.

    These are its own, and as many as the beam has no sub-channels for ``beside`` it.
    """
    rows, until_s = map(np.concatenate, zip(*(one.turns for one in others), strict=True))
    own_s: Floats = np.full(devices, -np.inf)
    np.maximum.at(own_s, rows, until_s)
    busy_until_s = np.sort(until_s[np.isfinite(until_s)])[::-1]
    if len(busy_until_s) <= beside:
        return own_s
    # So many of the others may still send when the transfer takes its sub-channels.
    return np.maximum(own_s, busy_until_s[beside])
