"""Learning results on disk: one safetensors file a key, written so that a crash leaves no torso."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from learning.packing import packed, unpacked
from learning.values import Handle, Tensors

SUFFIX = ".safetensors"


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
        path = self.folder / f"{key}{SUFFIX}"
        try:
            return unpacked(path.read_bytes())
        except (ValueError, OSError) as error:
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


def write_bytes(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` at once: temporary file, fsync, rename."""
    part = path.with_name(f".{path.name}.part")
    with part.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
