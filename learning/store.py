"""Learning results on disk: one safetensors file a key, written so that a crash leaves no torso.

Where all devices of a stacked value hold the same rows, memory and disk hold them once. That is
said in front of a tensor's name, as ``5*name`` for five devices, and a tensor that is read is laid
out in memory as the one that was written.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

from learning.values import Handle, Tensors

SUFFIX = ".safetensors"
ALIGNMENT_BYTES = 64


class FolderStore:
    """Values by key in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for stray in folder.glob(".*.part"):
            stray.unlink()
        self._keys = {path.name.removesuffix(SUFFIX) for path in folder.glob(f"*{SUFFIX}")}

    def __contains__(self, key: str) -> bool:
        return key in self._keys

    def load(self, key: str) -> Tensors:
        """Return the tensors of ``key``."""
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        path = self.folder / f"{key}{SUFFIX}"
        try:
            return _rows_again(load_file(path))
        except (SafetensorError, OSError) as error:
            raise ValueError(f"{path}: is broken ({error}); start anew in another folder") from None

    def save(self, handle: Handle) -> None:
        """Write the tensors of a computed handle, unless they are there already."""
        if handle.key in self._keys or handle.value is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        write_bytes(self.folder / f"{handle.key}{SUFFIX}", packed(handle.value))
        self._keys.add(handle.key)

    def keep_only(self, keys: Collection[str]) -> None:
        """Delete every value whose key is not in ``keys``."""
        for key in sorted(self._keys.difference(keys)):
            (self.folder / f"{key}{SUFFIX}").unlink(missing_ok=True)
            self._keys.discard(key)


def _aligned(tensor: Any) -> Any:
    """Return the tensor where torch would put a new one: vector units may round by the address."""
    return tensor.clone() if tensor.data_ptr() % ALIGNMENT_BYTES else tensor


def _rows_once(tensors: Tensors) -> Tensors:
    """Name how many devices share the rows of each tensor, and give them once."""
    named = {}
    for name, tensor in tensors.items():
        shared = tensor.dim() > 0 and len(tensor) > 1 and tensor.stride(0) == 0
        rows, own = (len(tensor), tensor[0]) if shared else (0, tensor)
        named[f"{rows}*{name}"] = own
    return named


def _rows_again(named: Tensors) -> Tensors:
    """Undo :func:`_rows_once`; a name without that in front of it is that of a model's file."""
    tensors = {}
    for name, stored in named.items():
        rows, _, own = name.partition("*") if name[0].isdigit() else ("0", "*", name)
        tensor = _aligned(stored)
        tensors[own] = tensor.expand(int(rows), *tensor.shape) if int(rows) else tensor
    return tensors


def packed(tensors: Tensors) -> bytes:
    """Return a value as bytes."""
    return as_file(_rows_once(tensors))


def unpacked(data: bytes) -> Tensors:
    """Return the value that :func:`packed` wrote; raise ValueError for other bytes."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        return _rows_again(load(data))
    except SafetensorError as error:
        raise ValueError(f"no value: {error}") from None


def as_file(tensors: Tensors) -> bytes:
    """Return ``tensors`` as the bytes of a safetensors file: the same ones for the same tensors."""
    from safetensors.torch import save

    # Stacked states share memory between devices (expand); a file needs its own copy of each.
    data: bytes = save({name: tensor.contiguous().clone() for name, tensor in tensors.items()})
    return data


def write_tensors(path: Path, tensors: Tensors) -> None:
    """Write ``tensors`` to ``path`` at once."""
    write_bytes(path, as_file(tensors))


def write_bytes(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` at once: temporary file, fsync, rename."""
    part = path.with_name(f".{path.name}.part")
    with part.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
