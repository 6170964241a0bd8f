"""Safetensors files of others: the header is bounded before the library takes it apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from learning.plain_files import check_regular

LARGEST_HEADER_BYTES = 10_000_000
MOST_TENSORS = 100_000
"""The largest published mixtures have some ten thousand tensors a file."""
LENGTH_BYTES = 8
ENTRY = b'"data_offsets"'
"""What every tensor of a header has."""


def open_tensors(path: Path) -> Any:
    """Open a file of tensors, of which each is read when it is asked for.

    The library itself checks that types, shapes and places agree with each other and with the
    file's size. Raises :class:`ValueError` that names the file.
    """
    from safetensors import SafetensorError, safe_open

    try:
        size = check_regular(path)
        with path.open("rb") as file:
            length = _header_bytes(file.read(LENGTH_BYTES), size)
            _check_count(file.read(length))
        return safe_open(str(path), framework="pt")
    except (SafetensorError, OSError, ValueError) as error:
        text = "broken" if path.exists() else "missing"
        raise ValueError(f"{path}: is {text} ({error}); copy it once more") from None


def check_header(data: bytes) -> None:
    """Raise :class:`ValueError` for a file's bytes with too long a header or too many tensors."""
    length = _header_bytes(data[:LENGTH_BYTES], len(data))
    _check_count(data[LENGTH_BYTES : LENGTH_BYTES + length])


def _header_bytes(start: bytes, size: int) -> int:
    length = int.from_bytes(start, "little")
    if length > min(LARGEST_HEADER_BYTES, max(size - LENGTH_BYTES, 0)):
        raise ValueError(
            f"its header would have {length} bytes, where the file has {size} and at most "
            f"{LARGEST_HEADER_BYTES} are read"
        )
    return length


def _check_count(header: bytes) -> None:
    tensors = header.count(ENTRY)
    if tensors > MOST_TENSORS:
        raise ValueError(f"it has {tensors} tensors; at most {MOST_TENSORS} are read")
