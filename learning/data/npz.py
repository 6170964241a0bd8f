"""``npz``: images or feature vectors in numpy's .npz files."""

from __future__ import annotations

import math
import os
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from learning.config import LearningConfig
from learning.data.federation import cluster_domains
from learning.data.samples import Dataset, Encoding, Form, InputSpec, Rows
from learning.data.table import Table, check_label, class_numbers, cluster_files, column_names
from learning.hardware import free_bytes

#: What was read: uint8 or floating point, (n, d), (n, H, W) or (n, H, W, C).
Pixels = NDArray[Any]
BRIGHTEST = np.float32(255)
LARGEST = float(np.finfo(np.float32).max)
FORMS: dict[int, Form] = {2: "vector", 3: "image", 4: "image"}


class PixelRows:
    """The samples of several (name, array), numbered consecutively, as features of one shape."""

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


#: Name of the array of labels and of that of domains, where the configuration gives none.
NAMES = {"label": "y", "domain": "domain"}
ENDINGS = ("", "_train", "_test")
UNREADABLE = (ValueError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError)

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class PixelTable(Table):
    """What a file says of its rows, and their (name, array), one after another."""

    pixels: Sequence[tuple[str, Pixels]]


def npz(config: LearningConfig) -> Dataset:
    """Return the images or vectors of .npz files.

    A file holds ``x_train``, ``y_train`` and, where it says what is test, ``x_test``, ``y_test``;
    or ``x`` and ``y``. Raises :class:`ValueError` that names the file and the array.
    """
    named = column_names(config.data, tuple(NAMES))
    columns = NAMES | named
    tables = [read_npz(file, columns, "domain" in named) for file in cluster_files(config)]
    pixels = PixelRows([array for table in tables for array in table.pixels])
    numbers, classes = class_numbers(tables)
    domains = cluster_domains(tables, numbers, config)
    spec = InputSpec(pixels.form, pixels.shape, classes)
    return Dataset(domains, lambda trial: Encoding(spec, pixels.at))


def read_npz(path: str, columns: Mapping[str, str], needs_domain: bool) -> PixelTable:
    """Read one file. ``columns`` names its arrays of labels and domains, without their endings."""
    arrays = _read(path, {f"{name}{end}" for name in ("x", *columns.values()) for end in ENDINGS})
    # What the names of the train arrays end in, and that of the test arrays if any.
    ends = [end for end in ("_train", "") if f"x{end}" in arrays][:1]
    if not ends:
        raise ValueError(f"{path}: no array 'x_train' or 'x'; add one, (n, H, W, C) or (n, d)")
    ends += ["_test"] * ("x_test" in arrays)
    pixels = [(f"{path}: x{end}", arrays[f"x{end}"]) for end in ends]
    for name, array in pixels:
        check_pixels(name, array)
    label, domain = columns["label"], columns["domain"]
    values = _column(path, arrays, label, ends)
    places = [
        f"{path}: {label}{end}[{row}]" for end in ends for row in range(len(arrays[f"x{end}"]))
    ]
    labels = [check_label(value, place) for value, place in zip(values, places, strict=True)]
    has_domain = needs_domain or f"{domain}{ends[0]}" in arrays
    domains = _column(path, arrays, domain, ends) if has_domain else None
    is_test = np.arange(len(labels)) >= len(pixels[0][1]) if len(ends) > 1 else None
    return PixelTable(path, labels, is_test, domains, places.__getitem__, pixels)


def _column(path: str, arrays: Arrays, name: str, ends: list[str]) -> list[Any]:
    """Return one value per sample, whole numbers or strings."""
    column: list[Any] = []
    for end in ends:
        if f"{name}{end}" not in arrays:
            raise ValueError(
                f"{path}: no array '{name}{end}'; add it, or see learning.data.columns"
            )
        values, size = arrays[f"{name}{end}"], len(arrays[f"x{end}"])
        if values.shape != (size,):
            raise ValueError(
                f"{path}: {name}{end} has shape {values.shape}; it must be ({size},), one a sample"
            )
        if values.dtype.kind not in "iuU":
            raise ValueError(
                f"{path}: {name}{end} is {values.dtype}; save whole numbers or strings"
            )
        column += values.tolist()
    return column


def _read(path: str, wanted: set[str]) -> Arrays:
    """Read the arrays of ``wanted`` that the file has; pickled ones are refused."""
    try:
        with open(path, "rb") as file:
            if not zipfile.is_zipfile(file):
                raise ValueError("no .npz file, or one that is cut off")
        _check_sizes(path, wanted)
        with np.load(path, allow_pickle=False) as arrays:
            read: dict[str, NDArray[Any]] = {}
            for name in [name for name in arrays.files if name in wanted]:
                try:
                    read[name] = arrays[name]
                except UNREADABLE as error:
                    # numpy's own words would advise to unpickle.
                    why = "Python objects or no array" if "pickle" in str(error) else error
                    raise ValueError(f"{name}: {why}") from None
                if not isinstance(read[name], np.ndarray):
                    raise ValueError(f"{name}: no array")
            return read
    except OSError as error:
        raise ValueError(
            f"{path}: cannot be read ({error.strerror or error}); see learning.data.path and paths"
        ) from None
    except UNREADABLE as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"{path}: cannot be read ({reason}); save plain numbers with numpy.savez"
        ) from None


SPARE_BYTES, MOST_TIMES = 100_000_000, 100
"""Arrays up to which any compression is right, and beyond that how many times the file they are."""


def _check_sizes(path: str, wanted: set[str]) -> None:
    """Refuse arrays of another size than their entries, and more than there is memory for.

    A few kilobytes can claim to hold any number of terabytes; nothing but headers is read.
    """
    with zipfile.ZipFile(path) as archive:
        entries = [entry for entry in archive.infolist() if _name(entry) in wanted]
        for entry in entries:
            try:
                with archive.open(entry) as file:
                    version = npy.read_magic(file)
                    first = version == (1, 0)
                    read = npy.read_array_header_1_0 if first else npy.read_array_header_2_0
                    shape, _, dtype = read(file)
                    filled = file.tell() + math.prod(shape) * dtype.itemsize == entry.file_size
            except UNREADABLE as error:
                raise ValueError(f"{_name(entry)}: {error}") from None
            # Objects are refused where they are read, with another message.
            if not dtype.hasobject and (min(shape, default=0) < 0 or not filled):
                raise ValueError(
                    f"{_name(entry)}: an array {shape} of {dtype} does not fill its "
                    f"{entry.file_size} bytes"
                )
    needed, free = sum(entry.file_size for entry in entries), free_bytes("cpu")
    if free is not None and needed > free:
        raise ValueError(f"its arrays take {needed / 2**30:.1f} GiB of {free / 2**30:.1f} free")
    times = needed // max(os.path.getsize(path), 1)
    if needed > SPARE_BYTES and times > MOST_TIMES:
        raise ValueError(f"its arrays are {times} times its size")


def _name(entry: zipfile.ZipInfo) -> str:
    return entry.filename.removesuffix(".npy")
