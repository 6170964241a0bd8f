"""What is carried over a link: a name, a size, and what it is made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class TensorSize:
    """One tensor of a payload: its shape, the number format that is sent, and its bytes."""

    name: str
    shape: tuple[int, ...]
    format: str
    bytes: int


@dataclass(frozen=True, eq=False)
class Payload:
    """A thing to carry: its name in the traces, its size and the version it stems from.

    ``bytes`` and ``version`` are scalars or arrays (K,). ``tensors`` lists what it is made of,
    where the method says so.
    """

    name: str
    bytes: float | NDArray[np.float64]
    version: int | NDArray[np.int64] = 0
    tensors: tuple[TensorSize, ...] = ()
