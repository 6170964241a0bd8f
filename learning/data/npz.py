"""Images or feature vectors in numpy's .npz files."""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Mapping
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from learning.config import LearningConfig
from learning.data.domains import cluster_domains
from learning.data.files import cluster_files, column_names
from learning.data.pixels import PixelRows, Pixels, check_pixels
from learning.data.samples import Dataset, Encoding, InputSpec
from learning.data.table import Table, check_label, class_numbers
from learning.memory import free_bytes

#: Name of the array of labels and of that of domains, where the configuration gives none.
NAMES = {"label": "y", "domain": "domain"}
ENDINGS = ("", "_train", "_test")
UNREADABLE = (ValueError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError)

Arrays = Mapping[str, NDArray[Any]]


class Part(NamedTuple):
    """One file: what it says of its rows, and their (name, array), one after another."""

    table: Table
    pixels: list[tuple[str, Pixels]]


def npz(config: LearningConfig) -> Dataset:
    """Return the images or vectors of .npz files.

    A file holds ``x_train``, ``y_train`` and, where it says what is test, ``x_test``, ``y_test``;
    or ``x`` and ``y``. Raises :class:`ValueError` that names the file and the array.
    """
    named = column_names(config.data, tuple(NAMES))
    columns = NAMES | named
    parts = [read_npz(file, columns, "domain" in named) for file in cluster_files(config)]
    pixels = PixelRows([array for part in parts for array in part.pixels])
    numbers, classes = class_numbers([part.table for part in parts])
    domains = cluster_domains([part.table for part in parts], numbers, config)
    spec = InputSpec(pixels.form, pixels.shape, classes)
    return Dataset(domains, lambda trial: Encoding(spec, pixels.at))


def read_npz(path: str, columns: Mapping[str, str], needs_domain: bool = False) -> Part:
    """Read one file. ``columns`` names its arrays of labels and domains, without their endings."""
    arrays = _read(path, {f"{name}{end}" for name in ("x", *columns.values()) for end in ENDINGS})
    ends = _endings(path, arrays)
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
    table = Table(path, labels, is_test, domains, places.__getitem__)
    table.check()
    return Part(table, pixels)


def _endings(path: str, arrays: Arrays) -> list[str]:
    """Return what the names of the train arrays end in, and that of the test arrays if any."""
    for end in ("_train", ""):
        if f"x{end}" in arrays:
            return [end, "_test"] if "x_test" in arrays else [end]
    raise ValueError(f"{path}: no array 'x_train' or 'x'; add one, (n, H, W, C) or (n, d)")


def _column(path: str, arrays: Arrays, name: str, ends: list[str]) -> list[Any]:
    """Return one value a sample, whole numbers or strings."""
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
            return {name: _array(path, arrays, name) for name in arrays.files if name in wanted}
    except OSError as error:
        raise ValueError(
            f"{path}: cannot be read ({error.strerror or error}); see learning.data.path and paths"
        ) from None
    except UNREADABLE as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"{path}: cannot be read ({reason}); save plain numbers with numpy.savez"
        ) from None


def _check_sizes(path: str, wanted: set[str]) -> None:
    """Refuse arrays of another size than their entries, and more than there is memory for.

    A few kilobytes can claim to hold any number of terabytes; nothing but headers is read.
    """
    with zipfile.ZipFile(path) as archive:
        entries = [entry for entry in archive.infolist() if _name(entry) in wanted]
        for entry in entries:
            try:
                with archive.open(entry) as file:
                    _check_entry(file, entry.file_size)
            except UNREADABLE as error:
                raise ValueError(f"{_name(entry)}: {error}") from None
    needed, free = sum(entry.file_size for entry in entries), free_bytes("cpu")
    if free is not None and needed > free:
        raise ValueError(f"its arrays take {needed / 2**30:.1f} GiB of {free / 2**30:.1f} free")


def _name(entry: zipfile.ZipInfo) -> str:
    return entry.filename.removesuffix(".npy")


def _check_entry(file: IO[bytes], size: int) -> None:
    """Raise ValueError unless the header's shape and type fill an entry of ``size`` bytes."""
    version = npy.read_magic(file)
    read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = read_header(file)
    if dtype.hasobject:
        return  # refused where it is read, in words of its own
    if min(shape, default=0) < 0 or file.tell() + math.prod(shape) * dtype.itemsize != size:
        raise ValueError(f"an array {shape} of {dtype} does not fill its {size} bytes")


def _array(path: str, arrays: np.lib.npyio.NpzFile, name: str) -> NDArray[Any]:
    try:
        array: NDArray[Any] = arrays[name]
    except UNREADABLE as error:
        # numpy's own words would advise to unpickle.
        why = "Python objects or no array" if "pickle" in str(error) else error
        raise ValueError(f"{name}: {why}") from None
    if not isinstance(array, np.ndarray):
        raise ValueError(f"{name}: no array")
    return array
