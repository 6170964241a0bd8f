"""Fitness, load, capacity and exploration: the parts of the alignment paper."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from learning.policies.problem import Problem
from learning.requests.cluster import Cost, Outlook
from learning.rng import stream
from statements.arrays import Floats, Ints, Mask

UNKNOWN = 0.5
"""Fitness of a pair that was never tried."""

JITTER = 1e-6
"""What first fitness differs by at most, so that a tie is no matter of the order of clients."""


def first_fitness(clients: int, experts: int, seed: int) -> Floats:
    """Return Q_0 (C, E): 1/2 for every pair, and a tiny part drawn from the seed."""
    draw = stream(seed, "fitness").uniform(-JITTER, JITTER, (clients, experts))
    return UNKNOWN + draw


NEWEST = 0.5
"""Weight of the newest score in a pair's fitness."""


def averaged(before: Floats, scored: Floats, samples: Ints) -> Floats:
    """Return ``Q_t = (1 - b) Q_(t-1) + b s`` (C, E) where an expert has served ``samples``.

    All other pairs keep their fitness: those not assigned, and those assigned but not used.
    """
    return np.asarray(np.where(samples > 0, (1 - NEWEST) * before + NEWEST * scored, before))


def deficit(assignments: Ints) -> Floats:
    """Return how far (E,) each expert's assignments have fallen behind, from 0 to 1.

    ``D_e = max(0, mean(N) - N_e)``, over max(1, max_e D_e), with N_e the ``assignments`` (E,) of
    the expert to a client so far.
    """
    behind = np.maximum(0.0, assignments.mean() - assignments)
    return np.asarray(behind / max(1.0, float(behind.max())))


# Capacity of clients: how many experts each can hold, train and carry in its next contact.


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


def capacity(outlook: Outlook, needs: Sequence[Needs], rounds: int) -> Capacity:
    """Return how many experts each device of a cluster can take through one ``outlook``.

    The weights fit the memory. Where the end of the session cuts off what goes on, download,
    ``rounds`` local rounds and upload fit it too, one after the other and each link at its mean
    rate over the session. So the transfers are within what the contact plan says that the device
    can move, if alone, and the rounds within the session's time.
    """
    allowed = []
    for need in needs:
        memory = need.cost.memory_bytes <= outlook.memory_bytes
        if outlook.cuts_off:
            allowed.append([memory, *_fits_session(outlook, need, rounds)])
        else:
            allowed.append([memory] * len(LIMITS))
    limits = np.array(allowed)  # (experts, LIMITS, K)
    most: Ints = limits.all(axis=1).cumprod(axis=0).sum(axis=0)
    first = limits[0].argmin(axis=0)
    return Capacity(most, tuple("" if k else LIMITS[n] for k, n in zip(most, first, strict=True)))


def _fits_session(outlook: Outlook, need: Needs, rounds: int) -> list[Mask]:
    """Return for each device (K,) whether a session holds the transfers, the rounds, and all."""
    training = rounds * outlook.round_s(need.cost) / (outlook.end_s - outlook.start_s)
    with np.errstate(divide="ignore"):  # a link that carries nothing takes for ever
        down = need.down_bytes / outlook.downlink_bytes
        up = need.up_bytes / outlook.uplink_bytes
    return [(down <= 1) & (up <= 1), training <= 1, down + training + up <= 1]


LIMITS = (
    "its memory holds no expert",
    "its next contact carries no expert down and up",
    "its next contact is too short for its local rounds",
    "its next contact is too short for download, local rounds and upload",
)
"""What keeps a device from taking one expert."""


# Exploration: a client tries an expert that it was not given, or its fitness is never known.


def explored(
    assigned: Mask, problem: Problem, probability: float, rng: np.random.Generator
) -> Mask:
    """Let every client, with ``probability``, swap one of its experts for another one.

    It gives the expert to nobody where the bounds allow that, or else to a client who gives his for
    it. No client gets more experts than it had, and no bound is broken that held. A client for whom
    no swap is possible keeps what it has.
    """
    found = np.array(assigned)
    wish = rng.random(len(found)) < probability
    for client in np.flatnonzero(wish).tolist():
        has = np.flatnonzero(found[client])
        lacks = np.flatnonzero(~found[client])
        pairs = np.stack(np.meshgrid(has, lacks, indexing="ij"), axis=-1).reshape(-1, 2)
        for old, new in rng.permutation(pairs).tolist():
            if _swap(found, problem, client, old, new, rng):
                break
    return found


def _swap(
    found: Mask, problem: Problem, client: int, old: int, new: int, rng: np.random.Generator
) -> bool:
    """Swap ``old`` for ``new`` in place, if that is possible."""
    least, most = problem.bounds
    given = found.sum(axis=0)
    if given[old] <= least[old] or given[new] >= most[new]:
        partners = np.flatnonzero(found[:, new] & ~found[:, old]).tolist()
        if not partners:
            return False
        found[int(rng.choice(partners)), [old, new]] = True, False
    found[client, [old, new]] = False, True
    return True
