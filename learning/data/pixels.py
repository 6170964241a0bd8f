"""Images and feature vectors: kept as they were read, made float32 where they are shared out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from learning.data.samples import Form, Rows

#: What was read: uint8 or floating point, (n, d), (n, H, W) or (n, H, W, C).
Pixels = NDArray[Any]
BRIGHTEST = np.float32(255)
LARGEST = float(np.finfo(np.float32).max)
FORMS: dict[int, Form] = {2: "vector", 3: "image", 4: "image"}


class PixelRows:
    """The samples of several (name, array), counted through, as features of one shape."""

    def __init__(self, arrays: Sequence[tuple[str, Pixels]]) -> None:
        """Raise :class:`ValueError` for an array of another shape than the first."""
        self.form = FORMS[arrays[0][1].ndim]
        self.shape = _shape(arrays[0][1])
        for name, array in arrays:
            if _shape(array) != self.shape:
                raise ValueError(
                    f"{name}: one sample has shape {array.shape[1:]}, but of {arrays[0][0]} "
                    f"{arrays[0][1].shape[1:]}; give samples of one shape"
                )
        self._arrays = [array for _, array in arrays]
        self._starts = np.cumsum([0, *map(len, self._arrays)])

    def at(self, rows: Rows) -> NDArray[np.float32]:
        """Return the features (n, d) or (n, C, H, W) float32 of ``rows`` (n,)."""
        out = np.empty((len(rows), *self.shape), np.float32)
        for array, start in zip(self._arrays, self._starts, strict=False):
            here = np.flatnonzero((start <= rows) & (rows < start + len(array)))
            if len(here) == len(rows):
                return _features(array[rows - start])
            out[here] = _features(array[rows[here] - start])
        return out


def _shape(array: Pixels) -> tuple[int, ...]:
    if array.ndim == 2:
        return array.shape[1:]
    return (*array.shape[3:], *array.shape[1:3]) if array.ndim == 4 else (1, *array.shape[1:])


def _features(array: Pixels) -> NDArray[np.float32]:
    if array.ndim > 2:
        array = array[:, None] if array.ndim == 3 else np.moveaxis(array, 3, 1)
    # contiguous before it is divided, or the quotient keeps the order of channels last
    array = np.ascontiguousarray(array)
    if array.dtype == np.uint8:
        return np.divide(array, BRIGHTEST, dtype=np.float32)
    return array.astype(np.float32, copy=False)


def check_pixels(name: str, array: NDArray[Any]) -> None:
    """Raise :class:`ValueError` for another type or shape, and for values out of range.

    Floating-point images lie in 0..1; vectors are finite, as float32 too.
    """
    if array.dtype != np.uint8 and array.dtype.kind != "f":
        raise ValueError(f"{name} is {array.dtype}; save it as uint8, or as float in 0 to 1")
    if array.ndim not in FORMS or 0 in array.shape[1:]:
        raise ValueError(
            f"{name} has shape {array.shape}; it must be (n, H, W, C) or (n, H, W) of images, or "
            "(n, d) of vectors"
        )
    if array.ndim == 4 and array.shape[1] in (1, 3) and array.shape[3] > 4:
        raise ValueError(f"{name} has shape {array.shape}; put channels last: (n, H, W, C)")
    if array.dtype.kind == "f":
        lowest, highest = (-LARGEST, LARGEST) if array.ndim == 2 else (0.0, 1.0)
        # written so that what is not a number fails too
        wrong = ~((lowest <= array) & (array <= highest))
        if wrong.any():
            row = int(wrong.reshape(len(array), -1).any(1).argmax())
            value = array[row][wrong[row]][0]
            raise ValueError(
                f"{name}[{row}] holds {value}; it must be finite"
                + ("" if array.ndim == 2 else " and in 0 to 1 (or uint8)")
            )
