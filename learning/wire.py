"""What numbers are sent up as: rounding to sixteen or eight bits, and the bytes that it takes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

SCALE_BYTES = 4
"""An eight-bit tensor carries one float32: the size of its step."""

INT8_STEPS = 127


def tensor_bytes(shape: Sequence[int], upload_format: str, native_bytes: int) -> int:
    """Return the bytes of one tensor as it is sent."""
    numbers = math.prod(shape)
    if upload_format == "float16":
        return 2 * numbers
    if upload_format == "int8":
        return numbers + SCALE_BYTES
    return native_bytes * numbers


def as_sent(tensor: Tensor, upload_format: str) -> Tensor:
    """Return what arrives of ``tensor`` (K, ...), one tensor a device, in its own number format.

    ``int8`` divides the largest magnitude of each device's tensor into 127 steps.
    """
    if upload_format == "float16":
        return tensor.half().to(tensor.dtype)
    if upload_format == "int8":
        largest = tensor.abs().reshape(len(tensor), -1).amax(1).view(-1, *[1] * (tensor.dim() - 1))
        step = (largest / INT8_STEPS).clamp_min(1e-30)
        return (tensor / step).round() * step
    return tensor
