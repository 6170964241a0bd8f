"""Exploration: a client tries an expert that it was not given, or its fitness is never known."""

from __future__ import annotations

import numpy as np

from learning.policies.problem import Problem
from learning.requests.cluster import Ints, Mask


def explored(
    assigned: Mask, problem: Problem, probability: float, rng: np.random.Generator
) -> Mask:
    """Let every client, with ``probability``, swap one of its experts for another one.

    It gives the expert to nobody where the bounds allow that, or else to a client who gives his for
    it. No client gets more experts, or more bytes than it has room for, and no bound is broken that
    held. A client for whom no swap is possible keeps what it has.
    """
    found = np.array(assigned)
    wish = rng.random(len(found)) < probability
    for client in np.flatnonzero(wish).tolist():
        pairs = rng.permutation(_pairs(found[client]))
        for old, new in pairs.tolist():
            if _swap(found, problem, client, old, new, rng):
                break
    return found


def _pairs(own: Mask) -> Ints:
    """Return all (n, 2) of an expert that a client has and one that it has not."""
    has, lacks = np.flatnonzero(own), np.flatnonzero(~own)
    return np.stack(np.meshgrid(has, lacks, indexing="ij"), axis=-1).reshape(-1, 2)


def _swap(
    found: Mask, problem: Problem, client: int, old: int, new: int, rng: np.random.Generator
) -> bool:
    """Swap ``old`` for ``new`` in place, if that is possible."""
    if not problem.fits(client, _swapped(found[client], old, new)):
        return False
    least, most = problem.bounds
    given = found.sum(axis=0)
    if given[old] <= least[old] or given[new] >= most[new]:
        partners = np.flatnonzero(found[:, new] & ~found[:, old]).tolist()
        able = [c for c in partners if problem.fits(c, _swapped(found[c], new, old))]
        if not able:
            return False
        partner = int(rng.choice(able))
        found[partner] = _swapped(found[partner], new, old)
    found[client] = _swapped(found[client], old, new)
    return True


def _swapped(own: Mask, old: int, new: int) -> Mask:
    """Return ``own`` (E,) without ``old`` and with ``new``."""
    swapped = own.copy()
    swapped[old], swapped[new] = False, True
    return swapped
