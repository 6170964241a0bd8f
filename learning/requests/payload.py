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
    where the method says so. Raises ValueError where the bytes are negative or no number.
    """

    name: str
    bytes: float | NDArray[np.float64]
    version: int | NDArray[np.int64] = 0
    tensors: tuple[TensorSize, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what no link can carry."""
        at_least_0(f"Payload {self.name!r}: bytes", self.bytes)


def at_least_0(what: str, value: float | NDArray[np.float64]) -> None:
    """Raise ValueError unless a number, or each of an array, is at least 0."""
    try:
        allowed = bool(value >= 0.0) if isinstance(value, float | int) else (value >= 0.0).all()
    except (TypeError, AttributeError):
        raise ValueError(f"{what} is {value!r}, which is no number") from None
    if not allowed:
        raise ValueError(f"{what} is {value}; allowed is at least 0")
