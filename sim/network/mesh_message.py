"""A message: a payload under way over a mesh."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from learning.requests.payload import Payload
from sim.facts.directions import Way


@dataclass(slots=True, eq=False)
class MeshMessage:
    """A message: who is the client, and what is sent.

    Its ``way`` is None between clients. It has ``size`` bytes of one ``version``.
    """

    number: int
    client: str
    way: Way | None
    payload: Payload
    device: int = 0
    size: float = field(init=False)
    version: int = field(init=False)

    def __post_init__(self) -> None:
        self.size = float(_first(self.payload.bytes))
        self.version = int(_first(self.payload.version))


def _first(values: Any) -> Any:
    """Return what the first device has of a figure of each, or the one of all."""
    return values.item(0) if isinstance(values, np.ndarray) else values
