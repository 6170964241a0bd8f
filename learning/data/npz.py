"""``npz``: images or feature vectors in numpy's .npz files."""

from __future__ import annotations

import math
import os
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from learning.data.federation import cluster_domains
from learning.data.samples import (
    LEFT_OUT,
    Dataset,
    Encoding,
    Form,
    InputSpec,
    Rows,
    not_finite,
)
from learning.data.table import (
    MAX_CLASSES,
    Table,
    check_label,
    class_numbers,
    cluster_files,
    column_names,
    targets_of,
)
from learning.hardware import beyond_memory
from learning.losses import is_of_classes
from learning.settings import LearningConfig

#: What was read: uint8, of which 255 is 1, or floating point, (n, d) or (n, C, H, W).
Pixels = NDArray[Any]
BRIGHTEST = np.float32(255)


def rows_in(arrays: Sequence[tuple[str, Pixels]]) -> Callable[[Rows], NDArray[np.float32]]:
    """Return the features (n, d) or (n, C, H, W) of rows (n,), numbered over all (name, array).

    Raises :class:`ValueError` for an array of another shape than the first.
    """
    first = arrays[0][0]
    wanted = arrays[0][1].shape[1:]
    for name, array in arrays:
        if array.shape[1:] != wanted:
            raise ValueError(
                f"{name}: one sample has shape {array.shape[1:]}, but of {first} {wanted}; give "
                "samples of one shape"
            )
    starts = np.cumsum([0, *(len(array) for _, array in arrays)])

    def features(rows: Rows) -> NDArray[np.float32]:
        out = np.empty((len(rows), *wanted), np.float32)
        for (_, array), start in zip(arrays, starts, strict=False):
            here = np.flatnonzero((start <= rows) & (rows < start + len(array)))
            pixels = array[rows[here] - start].astype(np.float32)
            out[here] = pixels / BRIGHTEST if array.dtype == np.uint8 else pixels
        return out

    return features


def channels_first(name: str, array: NDArray[Any]) -> Pixels:
    """Return vectors (n, d) as they are, and images of both forms as (n, C, H, W).

    Raises :class:`ValueError` for another type or shape, for images whose channels seem to come
    first, and for floating-point numbers that are not finite, as float32 too.
    """
    if array.dtype != np.uint8 and array.dtype.kind != "f":
        raise ValueError(f"{name} is {array.dtype}; save it as uint8 (0 to 255), or as float")
    if array.ndim not in (2, 3, 4) or 0 in array.shape[1:]:
        raise ValueError(
            f"{name} has shape {array.shape}; it must be (n, H, W, C) or (n, H, W) of images, or "
            "(n, d) of vectors"
        )
    if array.ndim == 4 and (said := _bands_first(*array.shape[1:])):
        raise ValueError(f"{name} has shape {array.shape}; {said}")
    if array.dtype.kind == "f":
        wrong = not_finite(array)
        if wrong.any():
            row = int(wrong.reshape(len(array), -1).any(1).argmax())
            value = array[row][wrong[row]][0]
            helps = "divide by the largest magnitude"
            if not np.isfinite(array).all():
                helps = "fill what is not finite, or remove its rows"
            raise ValueError(
                f"{name}[{row}] holds {value}; it must be finite, as float32 too: {helps}"
            )
    if array.ndim == 3:
        return array[:, None]
    return np.moveaxis(array, -1, 1)


def _bands_first(height: int, width: int, channels: int) -> str:
    """Say what to do about images whose first axis is shorter than both others; "" of all others.

    These are bands where the others are alike; else nobody can tell them from low images of many.
    """
    if height >= min(width, channels):
        return ""
    last = "put channels last, (n, H, W, C): x = np.moveaxis(x, 1, -1)"
    if width == channels:
        return last
    low = f"{height} x {width} pixels of {channels} channels"
    return f"{last}; or, if these are {low}, turn them: x = np.swapaxes(x, 1, 2)"


#: Name of the array of labels and of that of domains, where the configuration gives none.
NAMES = {"label": "y", "domain": "domain"}
ENDINGS = ("", "_train", "_test")
MOST_NAMED = 8
"""Arrays of a file that a message names."""
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
    named_classes = is_of_classes(config.loss)
    tables = [
        read_npz(file, columns, needs_domain="domain" in named, as_it_is=not named_classes)
        for file in cluster_files(config)
    ]
    pixels = [array for table in tables for array in table.pixels]
    features = rows_in(pixels)
    shape = pixels[0][1].shape[1:]
    if any(isinstance(table.labels, np.ndarray) for table in tables):
        targets, classes, numbers = targets_of(tables)
    else:
        targets, classes = class_numbers(tables)
        numbers = 0
    domains = cluster_domains(tables, targets, config)
    form: Form = "vector" if len(shape) == 1 else "image"
    spec = InputSpec(form, shape, classes, outputs=numbers)
    return Dataset(domains, lambda _: Encoding(spec, features))


def read_npz(
    path: str, columns: Mapping[str, str], *, needs_domain: bool, as_it_is: bool = False
) -> PixelTable:
    """Read one file. ``columns`` names its arrays of labels and domains, without their endings.

    Numbers that are no class of each sample are targets ``as_it_is`` asked for all.
    """
    wanted = {f"{name}{end}" for name in ("x", *columns.values()) for end in ENDINGS}
    arrays, others = _read(path, wanted)
    # What the names of the train arrays end in, and that of the test arrays if any.
    ends = [end for end in ("_train", "") if f"x{end}" in arrays][:1]
    if not ends:
        what = "no array 'x_train' or 'x'; add one, (n, H, W, C) or (n, d)"
        raise ValueError(f"{path}: {what}{_instead(others)}")
    if "x_test" in arrays:
        ends.append("_test")
    images = [(f"{path}: x{end}", arrays[f"x{end}"]) for end in ends]
    pixels = [(name, channels_first(name, array)) for name, array in images]
    label = columns["label"]
    domain = columns["domain"]
    places = [
        f"{path}: {label}{end}[{row}]" for end in ends for row in range(len(arrays[f"x{end}"]))
    ]
    labels: Sequence[int | str] | NDArray[Any] | None
    labels = _targets(path, arrays, label, ends, as_it_is=as_it_is)
    if labels is None:
        values = _column(path, arrays, label, ends, others)
        labels = [
            value if value == LEFT_OUT else check_label(value, place)
            for value, place in zip(values, places, strict=True)
        ]
    has_domain = needs_domain or f"{domain}{ends[0]}" in arrays
    domains = _column(path, arrays, domain, ends, others) if has_domain else None
    is_test = np.arange(len(labels)) >= len(pixels[0][1]) if len(ends) > 1 else None
    return PixelTable(path, labels, is_test, domains, places.__getitem__, pixels)


def _instead(names: Sequence[str]) -> str:
    """Say which other arrays a file has; "" for none."""
    if not names:
        return ""
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return f" (the file has {', '.join(f'{name!r:.40}' for name in names[:MOST_NAMED])}{more})"


def _targets(
    path: str, arrays: Arrays, name: str, ends: list[str], *, as_it_is: bool
) -> NDArray[Any] | None:
    """Return targets (n, ...) that are numbers, and no class of each sample unless ``as_it_is``."""
    found = [arrays[f"{name}{end}"] for end in ends if f"{name}{end}" in arrays]
    plain = all(array.ndim == 1 and array.dtype.kind != "f" for array in found)
    numbers = all(array.dtype.kind in "iuf" for array in found)
    if len(found) < len(ends) or (plain and not (as_it_is and numbers)):
        return None
    for end, array in zip(ends, found, strict=True):
        size = len(arrays[f"x{end}"])
        what = f"{path}: {name}{end}"
        if array.ndim not in (1, 2, 3) or len(array) != size or 0 in array.shape[1:]:
            raise ValueError(
                f"{what} has shape {array.shape}; it must be ({size},), ({size}, d) or "
                f"({size}, h, w), one target a sample"
            )
        if array.dtype.kind not in "iuf":
            raise ValueError(f"{what} is {array.dtype}; save whole numbers, or floats")
        if array.dtype.kind == "f" and not as_it_is:
            raise ValueError(
                f"{what} is {array.dtype}, which cross_entropy does not take; set learning.loss: "
                "mse, or save classes as whole numbers or strings"
            )
        if array.shape[1:] == (1,) and not as_it_is:
            raise ValueError(
                f"{what} has shape {array.shape}; a label is a number: save {name}{end}.reshape(-1)"
            )
        if array.dtype.kind != found[0].dtype.kind or array.shape[1:] != found[0].shape[1:]:
            first = f"{name}{ends[0]} is {found[0].dtype} of {found[0].shape[1:]}"
            raise ValueError(f"{what} is {array.dtype} of {array.shape[1:]}, but {first}")
        _check_targets(what, array, as_it_is=as_it_is)
    whole = np.concatenate(found)
    return whole if whole.dtype.kind == "f" else whole.astype(np.int64)


def _check_targets(what: str, array: NDArray[Any], *, as_it_is: bool) -> None:
    """Raise ValueError for floats that are not finite, and labels that are no class."""
    if array.dtype.kind == "f":
        wrong = not_finite(array)
        helps = "it must be finite, as float32 too: fill it, or remove its rows"
    else:
        wrong = (array >= MAX_CLASSES) | ((array < 0) & (array != LEFT_OUT))
        wrong &= not as_it_is
        helps = (
            f"labels are numbered from 0 and less than {MAX_CLASSES}, or {LEFT_OUT} to leave out"
        )
    if wrong.any():
        row = int(wrong.reshape(len(array), -1).any(1).argmax())
        value = array[row][wrong[row]].ravel()[0] if array.ndim > 1 else array[row]
        raise ValueError(f"{what}[{row}] holds {value}; {helps}")


def _column(
    path: str, arrays: Arrays, name: str, ends: list[str], others: Sequence[str]
) -> list[Any]:
    """Return one value per sample, whole numbers or strings; the file has ``others`` as well."""
    column: list[Any] = []
    for end in ends:
        if f"{name}{end}" not in arrays:
            raise ValueError(
                f"{path}: no array '{name}{end}'; add it, or see learning.data.columns"
                f"{_instead(others)}"
            )
        values = arrays[f"{name}{end}"]
        size = len(arrays[f"x{end}"])
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


SPARE_BYTES, MOST_TIMES = 100_000_000, 100
"""Arrays up to which any compression is right, and beyond that how many times the file they are."""


def _read(path: str, wanted: set[str]) -> tuple[Arrays, list[str]]:
    """Read the arrays of ``wanted`` that the file has, if there is memory for them.

    The second are the names of its other arrays.
    A few kilobytes can claim to hold any number of terabytes.
    """
    try:
        with open(path, "rb") as file:
            if not zipfile.is_zipfile(file):
                raise ValueError("no .npz file, or one that is cut off")
        with zipfile.ZipFile(path) as archive:
            named = {entry.filename.removesuffix(".npy"): entry for entry in archive.infolist()}
            entries = {name: entry for name, entry in named.items() if name in wanted}
            needed = sum(entry.file_size for entry in entries.values())
            times = needed // max(os.path.getsize(path), 1)
            if needed > SPARE_BYTES and times > MOST_TIMES:
                raise ValueError(f"its arrays are {times} times its size")
            if share := beyond_memory(needed):
                raise ValueError(f"its arrays take {share}")
            others = [name for name in named if name not in wanted]
            return {name: _array(archive, name, entry) for name, entry in entries.items()}, others
    except OSError as error:
        raise ValueError(
            f"{path}: cannot be read ({error.strerror or error}); see learning.data.path and paths"
        ) from None
    except UNREADABLE as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"{path}: cannot be read ({reason}); save plain numbers with numpy.savez"
        ) from None


def _array(archive: zipfile.ZipFile, name: str, entry: zipfile.ZipInfo) -> NDArray[Any]:
    """Read one array. A pickled one, and one that does not fill its entry, is refused unread."""
    try:
        with archive.open(entry) as file:
            is_first = npy.read_magic(file) == (1, 0)
            header = npy.read_array_header_1_0 if is_first else npy.read_array_header_2_0
            shape, _, dtype = header(file)
            if dtype.hasobject:
                raise ValueError("Python objects or no array")
            filled = file.tell() + math.prod(shape) * dtype.itemsize == entry.file_size
            if min(shape, default=0) < 0 or not filled:
                size = f"its {entry.file_size} bytes"
                raise ValueError(f"an array {shape} of {dtype} does not fill {size}")
        with archive.open(entry) as file:
            return npy.read_array(file, allow_pickle=False)
    except UNREADABLE as error:
        raise ValueError(f"{name}: {error}") from None
