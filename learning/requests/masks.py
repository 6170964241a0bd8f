"""Masks (K,) of a cluster's devices, of which everybody and nobody are always the same two arrays.

Nearly always all devices of a cluster go through a step together. By what array a mask is, it is
then known without a look at it, and what follows from it needs no new one. No mask is ever written
into.
"""

from __future__ import annotations

import numpy as np

from learning.requests.cluster import Ints, Mask


class _Alike(dict[int, Mask]):
    """Masks in which all devices are, or none is, by how many devices there are."""

    def __init__(self, *, there: bool) -> None:
        super().__init__()
        self._there = there

    def __missing__(self, devices: int) -> Mask:
        mask = self[devices] = np.full(devices, self._there)
        mask.setflags(write=False)
        return mask


EVERYBODY = _Alike(there=True)
NOBODY = _Alike(there=False)
"""The masks of all, and of none, of so many devices."""


def known(who: Mask) -> Mask:
    """Return a mask as it is, or the array that always stands for it."""
    number = np.count_nonzero(who)
    if number == who.size:
        return EVERYBODY[who.size]
    return who if number else NOBODY[who.size]


def having(counts: Ints) -> Mask:
    """Return the devices of which a count (K,), none of them negative, is more than 0."""
    number = np.count_nonzero(counts)
    if number == counts.size:
        return EVERYBODY[counts.size]
    return counts > 0 if number else NOBODY[counts.size]


def is_everybody(who: Mask) -> bool:
    """Whether all devices are in it."""
    return who is EVERYBODY[len(who)] or np.count_nonzero(who) == who.size


def is_anybody(who: Mask) -> bool:
    """Whether at least one device is in it."""
    if who is NOBODY[len(who)]:
        return False
    return who is EVERYBODY[len(who)] or bool(np.count_nonzero(who))


def others(who: Mask) -> Mask:
    """Return those that are not in it."""
    if who is NOBODY[len(who)]:
        return EVERYBODY[len(who)]
    if who is EVERYBODY[len(who)]:
        return NOBODY[len(who)]
    return known(~who)


def both(one: Mask, other: Mask) -> Mask:
    """Return those that are in both."""
    every = EVERYBODY[len(one)]
    if one is other or one is every:
        return other
    return one if other is every else known(one & other)


def either(one: Mask, other: Mask) -> Mask:
    """Return those that are in one of two, or in both."""
    none = NOBODY[len(one)]
    if one is other or one is none:
        return other
    return one if other is none else known(one | other)


def without(one: Mask, other: Mask) -> Mask:
    """Return those of one that are not in the other."""
    none = NOBODY[len(one)]
    if one is other:
        return none
    return one if other is none else known(one & ~other)
