"""Turns: when a beam that several transfers share is free for the next one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from sim.links.session_beam import SessionBeam
from statements.arrays import Floats, Ints

Turns = tuple[Ints, Floats]
"""Which devices of a transfer have their turn, by number, and until when."""


def beam_free_s(beam: SessionBeam, devices: int, ends_s: Iterable[float]) -> float:
    """When a shared beam is free behind transfers that end at ``ends_s``; -inf for at once.

    A broadcast is one transmission at a time, and where a cluster has more devices than the beam
    has sub-channels, the beam serves the steps of a chain one after the other: those of a later
    step begin when the last device has ended an earlier one.
    """
    if not (beam.is_broadcast or beam.crowding(devices) > 1.0):
        return -np.inf
    return max(ends_s, default=-np.inf)


def turn_s(beside: int, others: Sequence[Turns], devices: int) -> Floats:
    """When each of so many devices (K,) has its turn behind the transfers of other chains.

    These are its own, and as many as the beam has no sub-channels for ``beside`` it.
    """
    rows, until_s = map(np.concatenate, zip(*others, strict=True))
    own_s: Floats = np.full(devices, -np.inf)
    np.maximum.at(own_s, rows, until_s)
    busy_until_s = np.sort(until_s[np.isfinite(until_s)])[::-1]
    if len(busy_until_s) <= beside:
        return own_s
    # So many of the others may still send when the transfer takes its sub-channels.
    return np.maximum(own_s, busy_until_s[beside])
