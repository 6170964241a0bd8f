"""PayloadList: what payloads of a run are made of, by direction, receiver and name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from learning.requests.payload import Payload, TensorSize
from sim.facts.directions import DIRECTIONS
from sim.links.sharing import everywhere
from sim.network.books import PayloadKey
from statements.arrays import Mask


@dataclass
class _Seen:
    """A payload as it was offered: its largest size with its tensors, and its versions."""

    bytes: float
    tensors: tuple[TensorSize, ...]
    first_version: int
    last_version: int

    def listed(self) -> dict[str, Any]:
        """Return it as JSON, without copies of shapes: there are many."""
        return vars(self) | {"tensors": [vars(tensor) for tensor in self.tensors]}


class PayloadList:
    """The payloads that methods have asked to carry."""

    def __init__(self) -> None:
        self._seen: dict[PayloadKey, _Seen] = {}

    def add(self, direction: str, toward: str, payload: Payload, who: Mask) -> None:
        """Note a payload that the devices in ``who`` (K,) send or ask for.

        ``direction`` and ``toward`` are those of its rows in the transfers table.
        """
        if not who.any():
            return
        (_, size), (first, last) = _range(payload.bytes, who), _range(payload.version, who)
        key = PayloadKey(direction, toward, payload.name)
        seen = self._seen.get(key)
        if seen is None:
            seen = _Seen(float(size), payload.tensors, int(first), int(last))
            self._seen[key] = seen
        if size > seen.bytes:
            seen.bytes = float(size)
            seen.tensors = payload.tensors
        seen.first_version = min(seen.first_version, int(first))
        seen.last_version = max(seen.last_version, int(last))

    def listed(self) -> list[dict[str, Any]]:
        """Return them as JSON, uplinks first, by name; where it is equal, the clients' first."""
        by_name = sorted(
            self._seen, key=lambda key: (DIRECTIONS.index(key.direction), key.payload, key.toward)
        )
        return [key._asdict() | self._seen[key].listed() for key in by_name]


def _range(values: Any, who: Mask) -> tuple[float, float]:
    """Least and most of a number for each device (K,), or of one for all."""
    if not isinstance(values, np.ndarray) or values.ndim == 0:
        return values, values
    if len(who) == 1:
        return values.item(), values.item()
    some = values if everywhere(who) else np.broadcast_to(values, who.shape)[who]
    return np.minimum.reduce(some), np.maximum.reduce(some)
