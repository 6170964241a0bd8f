"""Server models on their way down to the devices of a cluster, each in the version it began in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from learning.requests import Floats, Ints, Mask, Payload, Receipt
from learning.values import Handle


@dataclass(frozen=True, eq=False)
class Inbound:
    """A server model on its way down to the devices ``who`` (K,), and its ``bytes`` for each (K,).

    ``name`` is that of its payload. ``changes`` (E,) had been aggregated into it; None where the
    method does not count them.
    """

    name: str
    server: Handle
    version: int
    experts: tuple[int, ...]
    who: Mask
    bytes: Floats
    changes: Ints | None

    def left(self, receipt: Receipt) -> Inbound:
        """Return it for the devices that have a part of it, and not all."""
        return replace(self, who=self.who & ~receipt.done & (receipt.delivered_bytes > 0))


def payload_of(name: str, inbound: Sequence[Inbound], devices: int) -> Payload:
    """Return what each of the ``devices`` downloads, in the version that is meant for it."""
    size, version = np.zeros(devices), np.zeros(devices, np.int64)
    for model in inbound:
        size = np.where(model.who, model.bytes, size)
        version = np.where(model.who, model.version, version)
    return Payload(name, size, version)
