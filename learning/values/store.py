"""Values in files: tensors packed as bytes, and a folder that keeps them by key."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from learning.files import (
    check_header,
    checksum_of,
    read_regular,
    sync_folder,
    write_pieces,
)

Tensors = dict[str, Any]

SUFFIX = ".safetensors"


class FolderStore:
    """Values by key in one folder, each with a checksum: those that are told, and those saved."""

    def __init__(self, folder: Path, checksums: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.checksums = dict(checksums or {})
        self._is_synced = True

    def __contains__(self, key: str) -> bool:
        return key in self.checksums

    def check(self) -> None:
        """Raise ValueError, by its file, for a value that is missing or has changed."""
        for key, known in self.checksums.items():
            path = self._path(key)
            try:
                if checksum_of(path) != known:
                    raise ValueError("it has changed since it was written, or was cut short")
            except FileNotFoundError:
                raise ValueError(f"{path}: is missing") from None
            except (ValueError, OSError) as error:
                raise broken(path, error) from None

    def load(self, key: str) -> Tensors:
        """Return the tensors of ``key``."""
        return load_value(self._path(key))

    def save(self, key: str, tensors: Tensors) -> None:
        """Write tensors, unless the folder has them."""
        if key not in self.checksums:
            self._write(key, _pieces(tensors))

    def _write(self, key: str, pieces: Iterable[Any]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._is_synced = False
        self.checksums[key] = write_pieces(self._path(key), pieces, durable=False)

    def sync(self) -> None:
        """Sync all that was saved to the disk; call it before relying on that."""
        if not self._is_synced:
            sync_folder(self.folder)
            self._is_synced = True

    def keep_only(self, keys: Collection[str]) -> None:
        """Delete every value whose key is not in ``keys``."""
        for key in sorted(self.checksums.keys() - set(keys)):
            self._path(key).unlink(missing_ok=True)
            del self.checksums[key]

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}{SUFFIX}"


def load_value(path: Path) -> Tensors:
    """Return the tensors in a file; raise ValueError, by its name, for one that is broken."""
    try:
        return unpacked(read_regular(path))
    except (ValueError, OSError) as error:
        raise broken(path, error) from None


def broken(path: Path, why: object) -> ValueError:
    """Return the error that a file cannot be used, without what to do about it."""
    return ValueError(f"{path}: is broken ({str(why).removeprefix(f'{path}: ')})")


# Learning results as bytes: quick to write and read, or as a model's safetensors file.


LAYOUT = "leomix.layout"
"""Name, type, number of equal rows (0: not all are) and shape of each tensor, as JSON."""
ALIGNMENT_BYTES = 64


def packed(tensors: Tensors) -> bytes:
    """Return a value as bytes."""
    return b"".join(_pieces(tensors))


def _pieces(tensors: Tensors) -> Iterator[Any]:
    """Return :func:`packed` in pieces, each a buffer of bytes."""
    import torch

    layout = []
    parts = dict[str, list[Any]]()
    for name, tensor in tensors.items():
        alike = tensor.dim() > 0 and len(tensor) > 1 and tensor.stride(0) == 0
        own = tensor[0] if alike else tensor
        kind = str(tensor.dtype)
        parts.setdefault(kind, []).append(own.reshape(-1))
        layout.append([name, kind, len(tensor) if alike else 0, list(own.shape)])
    text = bytearray(json.dumps(layout).encode())
    flat = {name: Rows([sum(map(len, rows))], rows) for name, rows in parts.items()}
    return _written(
        {**flat, LAYOUT: Rows([len(text)], [torch.frombuffer(text, dtype=torch.uint8)])}
    )


def unpacked(data: bytes) -> Tensors:
    """Return the value that :func:`packed` wrote, or the tensors of a model's file.

    Raises ValueError for other bytes.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    check_header(data)
    try:
        flat = load(data)
    except SafetensorError as error:
        raise ValueError(f"no value: {error}") from None
    if LAYOUT not in flat:
        return {name: _aligned(tensor) for name, tensor in flat.items()}
    try:
        return _laid_out(flat, json.loads(bytes(flat[LAYOUT].numpy())))
    except (ValueError, KeyError, TypeError, RuntimeError, RecursionError) as error:
        raise ValueError(f"no value: a layout that does not fit ({error})") from None


def _laid_out(flat: Tensors, layout: list[tuple[str, str, int, list[int]]]) -> Tensors:
    tensors = {}
    begin = dict.fromkeys(flat, 0)
    for name, kind, rows, shape in layout:
        end = begin[kind] + math.prod(shape)
        own = _aligned(flat[kind][begin[kind] : end]).view(shape)
        tensors[name] = own.expand(rows, *shape) if rows else own
        begin[kind] = end
    return tensors


def _aligned(tensor: Any) -> Any:
    """Return the tensor aligned as torch aligns new ones: rounding may depend on the address."""
    return tensor.clone() if tensor.data_ptr() % ALIGNMENT_BYTES else tensor


def bytes_of(tensor: Any) -> Any:
    """Return the numbers of a tensor as uint8 (n,): of any format, shape and strides."""
    import torch

    flat = tensor.detach().reshape(-1)
    if flat.stride(0) != 1:  # also of one number, which torch takes for contiguous in any case
        flat = flat.clone(memory_format=torch.contiguous_format)
    return flat.view(torch.uint8)


def as_file(tensors: Tensors) -> bytes:
    """Return ``tensors`` as the bytes of a safetensors file: the same ones for the same tensors."""
    # Stacked states share memory between devices (expand): a file has a copy for each.
    rows = {name: Rows(list(t.shape), [t.reshape(-1)]) for name, t in tensors.items()}
    return b"".join(_written(rows))


class Rows(NamedTuple):
    """A tensor of that ``shape``, of which the numbers are those of ``parts`` (n,) in turn."""

    shape: list[int]
    parts: list[Any]


FORMATS = {
    "bool": "BOOL",
    **{"uint8": "U8", "int8": "I8", "int16": "I16", "uint16": "U16", "float16": "F16"},
    **{"bfloat16": "BF16", "int32": "I32", "uint32": "U32", "float32": "F32"},
    **{"float64": "F64", "int64": "I64", "uint64": "U64"},
}
"""Names of formats in a safetensors file, by torch's, in the order in which it sorts tensors."""


def _written(tensors: Mapping[str, Rows]) -> Iterator[Any]:
    """Yield the pieces of a safetensors file, which are those that the library itself writes.

    It would copy all numbers three times on the way: a server's model of many gigabytes could not
    be kept beside itself.
    """
    order = list(FORMATS)
    kinds = {
        name: str(rows.parts[0].dtype).removeprefix("torch.") for name, rows in tensors.items()
    }
    names = sorted(tensors, key=lambda name: (-order.index(kinds[name]), name))
    header = {}
    begin = 0
    for name in names:
        shape, parts = tensors[name]
        end = begin + sum(part.nbytes for part in parts)
        header[name] = {"dtype": FORMATS[kinds[name]], "shape": shape, "data_offsets": [begin, end]}
        begin = end
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    yield len(text).to_bytes(8, "little")
    yield text
    for name in names:
        for part in tensors[name].parts:
            yield bytes_of(part.cpu()).numpy()
