"""When a chain with uploads ends, if that does not wait for all of its devices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from learning.requests.cluster import Closing, Floats, Mask, Upload
from sim.legs import Leg, Training
from sim.steps import Step, everybody


def closes_s(
    closing: Closing, steps: Sequence[Step], legs: Sequence[Leg], begun_s: float, all_s: float
) -> float:
    """Return when a chain is over that was begun at ``begun_s`` and would last until ``all_s``.

    With a quorum, when so many of the devices that take part have ended it; if fewer ever do, it
    waits for all. A chain without an upload aggregates nothing, and waits for all too.
    """
    if closing.waits_for_all or not any(isinstance(step, Upload) for step in steps):
        return all_s
    if np.isfinite(closing.deadline_s):
        return min(begun_s + closing.deadline_s, all_s)
    ends_s = np.sort(_ended_s(steps, legs)[_parties(legs)])
    needed = closing.enough(len(ends_s))
    return float(ends_s[needed - 1]) if needed and np.isfinite(ends_s[needed - 1]) else all_s


def cut_off(steps: Sequence[Step], legs: Sequence[Leg], over_s: float) -> int:
    """How many of the devices that take part in a chain have not ended it when it is over."""
    return int((_ended_s(steps, legs)[_parties(legs)] > over_s).sum())


def _parties(legs: Sequence[Leg]) -> Mask:
    """Devices (K,) that begin any step; who lacks the memory for one takes no part."""
    begins: Mask = np.logical_or.reduce([leg.who for leg in legs])
    unable = [leg.excluded for leg in legs if isinstance(leg, Training)]
    return begins & ~np.logical_or.reduce(unable) if unable else begins


def _ended_s(steps: Sequence[Step], legs: Sequence[Leg]) -> Floats:
    """When each device (K,) has ended all steps that it was asked for; inf for never."""
    ended_s = np.full(len(legs[0].who), -np.inf)
    for step, leg in zip(steps, legs, strict=True):
        end_s = np.where(leg.who, leg.end_s, np.inf)
        if not isinstance(leg, Training) and leg.corrupted is not None:
            end_s = np.where(leg.corrupted, np.inf, end_s)
        asked = everybody(step.who, len(end_s))
        ended_s = np.maximum(ended_s, np.where(asked, end_s, -np.inf))
    return ended_s
