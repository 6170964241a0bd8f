"""The state of a cluster's devices as methods pass it on: lazy, bases by reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from learning.values.lazy import Handle
from statements.arrays import Ints, Mask


@dataclass(frozen=True, eq=False)
class Held:
    """What the devices of a cluster hold: the server's models by reference, and their own tensors.

    ``versions`` (E + 1, K) says which of the ``servers`` a device has of each expert, and in the
    last row of what is shared; -1 for none.
    """

    own: Handle
    servers: tuple[Handle, ...]
    versions: Ints

    @property
    def parents(self) -> tuple[Handle, ...]:
        """Return what its tensors are made of."""
        return self.own, *self.servers

    def downloaded(self, server: Handle, who: Mask, parts: Sequence[int], own: Handle) -> Held:
        """Return the state once devices in ``who`` have ``parts`` (rows) of ``server``."""
        if len(parts) == len(self.versions) and np.count_nonzero(who) == who.size:
            return Held(own, (server,), np.zeros_like(self.versions))
        servers = [*self.servers, server]
        versions = self.versions.copy()
        versions[parts] = np.where(who, len(self.servers), versions[parts])
        counts = np.bincount(versions.ravel() + 1, minlength=len(servers) + 1)
        used = np.flatnonzero(counts[1:]).tolist()
        renamed = np.full(len(servers) + 1, -1)  # the last one stands for none, too
        renamed[used] = range(len(used))
        return Held(own, tuple(servers[n] for n in used), renamed[versions])
