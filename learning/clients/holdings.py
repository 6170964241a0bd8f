"""What the devices of a cluster hold: experts of their own, and changes of their own ranks."""

from __future__ import annotations

from collections.abc import Collection
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from learning.requests.cluster import Floats, Ints, Mask

NOT_HELD = -1
"""Stands for the changes in an expert that a device has let go of."""


class HeldExperts:
    """Which experts each device holds, as ``mask`` (K, E), which does not change.

    ``alike`` says whether every device holds all, ``parties`` (K,) which devices hold any (all of
    them where the model has none), ``numbers`` which experts any device holds.
    """

    def __init__(self, mask: Mask) -> None:
        if mask.flags.writeable:
            mask = mask.copy()
            mask.setflags(write=False)
        self.mask = mask
        self.alike = bool(np.count_nonzero(mask) == mask.size)
        self.parties = mask.any(axis=1) | (mask.shape[1] == 0)
        self.numbers: tuple[int, ...] = tuple(np.flatnonzero(mask.any(axis=0)).tolist())


class Ranks:
    """The ranks of devices (K,), and those to which changes are cut that go down.

    Where they are not, these are 1.
    """

    def __init__(self, each: Ints, *, cuts_downloads: bool) -> None:
        self.each = each
        self.cuts: Ints = each if cuts_downloads else np.ones_like(each)

    @cached_property
    def cut_alike(self) -> bool:
        """Whether changes that go down are cut to one rank for all devices."""
        return len(set(self.cuts.tolist())) < 2

    @cached_property
    def common(self) -> int | None:
        """The rank of the changes of all devices; None where they have several."""
        ranks = set(self.each.tolist())
        return ranks.pop() if len(ranks) == 1 else None


class Parts:
    """Marks parts of a model of E experts: each of these, and behind them what is shared."""

    def __init__(self, experts: int) -> None:
        self._experts = experts
        # Asked for at every contact, and nearly always for the same.
        self._known: dict[tuple[tuple[int, ...], bool], Mask] = {}

    def marked(self, experts: Collection[int], *, gate: bool) -> Mask:
        """Mark in (E + 1,) what an update of ``experts``, and what is shared if ``gate``, holds."""
        asked = tuple(experts), gate
        marked = self._known.get(asked)
        if marked is None:
            marked = np.zeros(self._experts + 1, bool)
            marked[list(experts)] = True
            marked[-1] = gate
            marked.setflags(write=False)
            self._known[asked] = marked
        return marked

    def of_experts(self, experts: Collection[int]) -> Mask:
        """Mark ``experts`` in (E,)."""
        return self.marked(experts, gate=False)[:-1]


@lru_cache(256, typed=True)
def same(devices: int, number: float) -> NDArray[Any]:
    """Return the same number for all devices (K,), of its type; nobody writes into it."""
    numbers = np.full(devices, number)
    numbers.setflags(write=False)
    return numbers


def differ(held: HeldExperts, ranks: Ranks, who: Mask) -> bool:
    """Whether devices in ``who`` (K,) hold other experts than others of them, or other ranks."""
    if held.alike and ranks.cut_alike:
        return False
    mine: Floats = np.column_stack([held.mask, ranks.cuts])[who]
    return bool((mine != mine[:1]).any())
