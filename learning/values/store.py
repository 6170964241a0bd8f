"""Values in files: tensors packed as bytes, and a folder that keeps them by key."""

from __future__ import annotations

import json
import math
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Any

from learning.files import check_header, read_regular, sync_folder, write_bytes

Tensors = dict[str, Any]

SUFFIX = ".safetensors"


class FolderStore:
    """Values by key in one folder; ``cure`` says what to do about a broken one."""

    def __init__(self, folder: Path, cure: str = "") -> None:
        self.folder = folder
        self.cure = cure or f"remove {folder.parent} and --resume begins anew"
        self._keys = {path.name.removesuffix(SUFFIX) for path in folder.glob(f"*{SUFFIX}")}
        self._is_synced = True

    def __contains__(self, key: str) -> bool:
        return key in self._keys

    def load(self, key: str) -> Tensors:
        """Return the tensors of ``key``."""
        path = self._path(key)
        try:
            return unpacked(read_regular(path))
        except (ValueError, OSError) as error:
            raise ValueError(f"{path}: is broken ({error}); {self.cure}") from None

    def save(self, key: str, tensors: Tensors) -> None:
        """Write tensors, unless the folder has them."""
        if key not in self._keys:
            self._write(key, packed(tensors))

    def _write(self, key: str, data: bytes) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._is_synced = False
        write_bytes(self._path(key), data, durable=False)
        self._keys.add(key)

    def take(self, folder: Path) -> None:
        """Copy the values of another store, which may change meanwhile."""
        for path in sorted(folder.glob(f"*{SUFFIX}")):
            key = path.name.removesuffix(SUFFIX)
            with suppress(FileNotFoundError):  # that store has deleted it
                self._write(key, read_regular(path))

    def sync(self) -> None:
        """Sync all that was saved to the disk; call it before relying on that."""
        if not self._is_synced:
            sync_folder(self.folder)
            self._is_synced = True

    def held(self, keys: Collection[str]) -> list[str]:
        """Return those of ``keys`` that are there, sorted."""
        return sorted(self._keys.intersection(keys))

    def keep_only(self, keys: Collection[str]) -> None:
        """Delete every value whose key is not in ``keys``."""
        for key in sorted(self._keys.difference(keys)):
            self._path(key).unlink(missing_ok=True)
            self._keys.discard(key)

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}{SUFFIX}"


# Learning results as bytes: quick to write and read, or as a model's safetensors file.


LAYOUT = "leomix.layout"
"""Name, type, number of equal rows (0: not all are) and shape of each tensor, as JSON."""
ALIGNMENT_BYTES = 64


def packed(tensors: Tensors) -> bytes:
    """Return a value as bytes."""
    import torch
    from safetensors.torch import save

    layout = []
    parts = dict[str, list[Any]]()
    for name, tensor in tensors.items():
        alike = tensor.dim() > 0 and len(tensor) > 1 and tensor.stride(0) == 0
        own = tensor[0] if alike else tensor
        kind = str(tensor.dtype)
        parts.setdefault(kind, []).append(own.reshape(-1))
        layout.append([name, kind, len(tensor) if alike else 0, list(own.shape)])
    text = bytearray(json.dumps(layout).encode())
    flat = {kind: torch.cat(rows) for kind, rows in parts.items()}
    return save({**flat, LAYOUT: torch.frombuffer(text, dtype=torch.uint8)})


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


def as_file(tensors: Tensors) -> bytes:
    """Return ``tensors`` as the bytes of a safetensors file: the same ones for the same tensors."""
    from safetensors.torch import save

    # Stacked states share memory between devices (expand); a file needs a copy for each.
    return save({name: tensor.contiguous().clone() for name, tensor in tensors.items()})
