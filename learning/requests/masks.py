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
    """Return the array that always stands for a mask, or a copy that nobody writes into."""
    if who is EVERYBODY[len(who)] or who is NOBODY[len(who)]:  # nearly always
        return who
    standing = _standing(who)
    if standing is not None:
        return standing
    return _closed(who.copy()) if who.flags.writeable else who


def _standing(who: Mask | Ints) -> Mask | None:
    """Return the array that always stands for those that are not 0 or False, if there is one."""
    number = np.count_nonzero(who)
    if number == who.size:
        return EVERYBODY[who.size]
    return None if number else NOBODY[who.size]


def _closed(who: Mask) -> Mask:
    """Let nobody write into a mask any more."""
    who.setflags(write=False)
    return who


def _made(who: Mask) -> Mask:
    """Return the array that always stands for a new mask, or this one, read-only from now on."""
    standing = _standing(who)
    return _closed(who) if standing is None else standing


def having(counts: Ints) -> Mask:
    """Return the devices of which a count (K,), none of them negative, is more than 0."""
    standing = _standing(counts)
    return counts > 0 if standing is None else standing


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
    return _made(~who)


def both(one: Mask, other: Mask) -> Mask:
    """Return those that are in both."""
    every = EVERYBODY[len(one)]
    if one is other or one is every:
        return other
    return one if other is every else _made(one & other)


def either(one: Mask, other: Mask) -> Mask:
    """Return those that are in one of two, or in both."""
    none = NOBODY[len(one)]
    if one is other or one is none:
        return other
    return one if other is none else _made(one | other)


def without(one: Mask, other: Mask) -> Mask:
    """Return those of one that are not in the other."""
    none = NOBODY[len(one)]
    if one is other:
        return none
    return one if other is none else _made(one & ~other)
