"""Learning results on disk: one safetensors file a key, written so that a crash leaves no torso."""

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
            tensors: Tensors = {name: _aligned(tensor) for name, tensor in load_file(path).items()}
        except (SafetensorError, OSError) as error:
            raise ValueError(f"{path}: is broken ({error}); start anew in another folder") from None
        return tensors

    def save(self, handle: Handle) -> None:
        """Write the tensors of a computed handle, unless they are there already."""
        if handle.key in self._keys or handle.value is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        write_tensors(self.folder / f"{handle.key}{SUFFIX}", handle.value)
        self._keys.add(handle.key)

    def keep_only(self, keys: Collection[str]) -> None:
        """Delete every value whose key is not in ``keys``."""
        for key in sorted(self._keys.difference(keys)):
            (self.folder / f"{key}{SUFFIX}").unlink(missing_ok=True)
            self._keys.discard(key)


def _aligned(tensor: Any) -> Any:
    """Return the tensor where torch would put a new one: vector units may round by the address."""
    return tensor.clone() if tensor.data_ptr() % ALIGNMENT_BYTES else tensor


def write_tensors(path: Path, tensors: Tensors) -> None:
    """Write ``tensors`` to ``path`` at once: temporary file, fsync, rename."""
    from safetensors.torch import save

    # Stacked states share memory between devices (expand); a file needs its own copy of each.
    data = save({name: tensor.contiguous().clone() for name, tensor in tensors.items()})
    part = path.with_name(f".{path.name}.part")
    with part.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
