"""FLOPs that PyTorch does in a call of any code."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from torch.utils.flop_counter import FlopCounterMode

T = TypeVar("T")


def counted_flops(call: Callable[[], T]) -> tuple[T, float]:
    """Return what ``call`` returns, and the FLOPs of the matrix products and convolutions in it."""
    with FlopCounterMode(display=False) as counter:
        value = call()
    return value, float(counter.get_total_flops())
