"""What payloads of a run are made of, by direction and name."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from learning.requests.cluster import Mask
from learning.requests.payload import Payload, TensorSize
from sim.ledger import DIRECTIONS


@dataclass
class _Seen:
    """A payload as it was offered: its largest size with its tensors, and its versions."""

    bytes: float
    tensors: tuple[TensorSize, ...]
    first_version: int
    last_version: int


class PayloadList:
    """The payloads that methods have asked to carry."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], _Seen] = {}

    def add(self, direction: str, payload: Payload, who: Mask) -> None:
        """Note a payload that the devices in ``who`` (K,) send or ask for."""
        if not who.any():
            return
        size = float(np.broadcast_to(payload.bytes, who.shape)[who].max())
        versions = np.broadcast_to(payload.version, who.shape)[who]
        first, last = int(versions.min()), int(versions.max())
        seen = self._seen.setdefault(
            (direction, payload.name), _Seen(size, payload.tensors, first, last)
        )
        if size > seen.bytes:
            seen.bytes, seen.tensors = size, payload.tensors
        seen.first_version = min(seen.first_version, first)
        seen.last_version = max(seen.last_version, last)

    def listed(self) -> list[dict[str, Any]]:
        """Return them as JSON, uplinks first, by name."""
        keys = sorted(self._seen, key=lambda key: (DIRECTIONS.index(key[0]), key[1]))
        return [
            {"direction": direction, "payload": name, **asdict(self._seen[direction, name])}
            for direction, name in keys
        ]
