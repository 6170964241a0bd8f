"""Capacity of clients: how many experts each can hold, train and carry in its next contact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from learning.learner import Learner
from learning.requests import Cost, Floats, Ints, Mask, Outlook


class Needs(NamedTuple):
    """What a round with k experts takes of a device: its cost, and its bytes down and up."""

    cost: Cost
    down_bytes: float
    up_bytes: float


@dataclass(frozen=True, eq=False)
class Capacity:
    """Most ``experts`` (K,) that each device takes, and for those that take none, ``why``."""

    experts: Ints
    why: tuple[str, ...]


def needs_of(learner: Learner) -> list[Needs]:
    """Return what a round with 1, 2, ... E experts takes; whole experts go down."""
    sizes, every = learner.architecture, range(learner.architecture.experts)
    return [
        Needs(
            learner.round_cost(every[:k], every[:k], gate=True),
            sizes.download_bytes(every[:k], gate=True),
            sizes.upload_bytes(every[:k], gate=True),
        )
        for k in range(1, len(every) + 1)
    ]


def no_capacity(devices: int) -> Capacity:
    """Return the capacity of ``devices`` that will have no contact any more."""
    return Capacity(np.zeros(devices, np.int64), ("no contact is left for it",) * devices)


def capacity(outlook: Outlook, needs: Sequence[Needs], rounds: int) -> Capacity:
    """Return how many experts each device of a cluster can take through one ``outlook``.

    The weights fit the memory; and download, ``rounds`` local rounds and upload, one after the
    other and each link at its mean rate over the session, fit the session. So the transfers are
    within what the contact plan says that the device can move, if alone, and the rounds within the
    session's time.
    """
    fits = np.array([_limits(outlook, need, rounds).all(axis=0) for need in needs])
    most: Ints = fits.cumprod(axis=0).sum(axis=0)
    why = [_why(column) for column in _limits(outlook, needs[0], rounds).T]
    return Capacity(most, tuple("" if k else text for k, text in zip(most, why, strict=True)))


def _limits(outlook: Outlook, need: Needs, rounds: int) -> Mask:
    """Return (4, K): whether memory, link, compute, and all in one session allow what is needed."""
    session_s = outlook.end_s - outlook.start_s
    training = rounds * outlook.round_s(need.cost) / session_s
    down = _share(need.down_bytes, outlook.downlink_bytes)
    up = _share(need.up_bytes, outlook.uplink_bytes)
    return np.array(
        [
            need.cost.memory_bytes <= outlook.memory_bytes,
            (down <= 1) & (up <= 1),
            training <= 1,
            down + training + up <= 1,
        ]
    )


def _share(needed_bytes: float, carried_bytes: Floats) -> Floats:
    """Return what part (K,) of a link's bytes is needed; inf for a link that carries nothing."""
    share = np.full(carried_bytes.shape, np.inf)
    np.divide(needed_bytes, carried_bytes, out=share, where=carried_bytes > 0)
    return share


LIMITS = (
    "its memory holds no expert",
    "its next contact carries no expert down and up",
    "its next contact is too short for its local rounds",
    "its next contact is too short for download, local rounds and upload",
)


def _why(allowed: Mask) -> str:
    """Say what keeps a device from taking one expert; empty where nothing does."""
    return next((text for here, text in zip(allowed, LIMITS, strict=True) if not here), "")
