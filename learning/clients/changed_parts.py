"""Which parts of their offers the devices of a cluster have changed: ``learning.upload``."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from learning.learner import Learner
from learning.requests.cluster import Mask, Measure
from learning.values.handle import Handle
from learning.values.held import Held


@dataclass(frozen=True, eq=False)
class Compared:
    """What the devices ``who`` (K,) offer of a ``state``, to be compared with what they began with.

    ``offered`` are its ``experts``, and what is shared if ``gate``.
    """

    who: Mask
    state: Held
    offered: Handle
    experts: tuple[int, ...]
    gate: bool

    def is_like(self, other: Compared) -> bool:
        """Whether it is an offer of the same parts."""
        return self.experts == other.experts and self.gate == other.gate


class ChangedParts:
    """The parts of its offer, ``sends`` (K, E + 1), that each of K devices has changed, and sends.

    A part is one of E experts or, the last one, what is shared. It is measured which ones these are
    when an offer is first sent, or before it is made, where a chain trains before it sends. Until
    then all are. Whole models are compared with what was downloaded (``since_download``).
    """

    def __init__(
        self, learner: Learner, devices: int, experts: int, *, since_download: bool
    ) -> None:
        self.sends: Mask = np.ones((devices, experts + 1), bool)
        self._learner = learner
        self._since_download = since_download
        self._to_measure: list[Compared] = []
        self._foreseen: tuple[Compared, Mask] | None = None

    def forget_foreseen(self) -> None:
        """Forget what was foreseen of an offer that has not been made."""
        self._foreseen = None

    def foresee(self, offer: Compared) -> Generator[Measure, Any, Mask]:
        """Return the parts (K, E + 1) that will have been changed of an offer, and keep them."""
        changed = yield from self._changed(offer)
        self._foreseen = offer, changed
        return changed

    def offered(self, offer: Compared) -> None:
        """Note which parts of an offer are sent, if that was foreseen; else all, until measured."""
        foreseen, self._foreseen = self._foreseen, None
        if foreseen is not None and foreseen[0].is_like(offer):
            self.sends = np.where(offer.who[:, None], foreseen[1], self.sends)
        else:
            self.sends = self.sends | offer.who[:, None]
            self._to_measure.append(offer)

    def measure(self, pending: Mask) -> Generator[Measure, Any, None]:
        """Measure offers that were not sent yet, of the devices that have one ``pending`` (K,)."""
        for offer in self._to_measure:
            if np.count_nonzero(offer.who & pending):
                changed = yield from self._changed(offer)
                self.sends = np.where(offer.who[:, None], changed, self.sends)
        self._to_measure = []

    def _changed(self, offer: Compared) -> Generator[Measure, Any, Mask]:
        """Return the parts (K, E + 1) that were changed of an offer."""
        compute = partial(
            self._learner.changed_parts,
            offer.offered,
            offer.state,
            since_download=self._since_download,
        )
        found = yield Measure("changed parts", compute, None)
        changed = np.zeros_like(self.sends)
        for device, parts in enumerate(found):
            changed[device, parts] = True
        return changed
