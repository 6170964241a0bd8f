"""Learning results on disk: one safetensors file a key, written so that a crash leaves no torso."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from learning.at_once import sync_folder, write_bytes
from learning.packing import packed, unpacked
from learning.values import Handle, Tensors

SUFFIX = ".safetensors"


class FolderStore:
    """Values by key in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._keys = {path.name.removesuffix(SUFFIX) for path in folder.glob(f"*{SUFFIX}")}
        self._is_synced = True

    def __contains__(self, key: str) -> bool:
        return key in self._keys

    def load(self, key: str) -> Tensors:
        """Return the tensors of ``key``."""
        path = self._path(key)
        try:
            return unpacked(path.read_bytes())
        except (ValueError, OSError) as error:
            raise ValueError(
                f"{path}: is broken ({error}); remove {self.folder.parent} and --resume begins anew"
            ) from None

    def save(self, handle: Handle) -> None:
        """Write the tensors of a computed handle, unless they are there already."""
        if handle.key not in self._keys and handle.value is not None:
            self._write(handle.key, packed(handle.value))

    def _write(self, key: str, data: bytes) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._is_synced = False
        write_bytes(self._path(key), data, durable=False)
        self._keys.add(key)

    def take(self, folder: Path) -> None:
        """Copy the values of another store, which may go on meanwhile."""
        for path in sorted(folder.glob(f"*{SUFFIX}")):
            key = path.name.removesuffix(SUFFIX)
            with suppress(FileNotFoundError):  # not needed there any more
                self._write(key, path.read_bytes())

    def sync(self) -> None:
        """Wait until all that was saved is on the disk, to be called before it is relied on."""
        if not self._is_synced:
            sync_folder(self.folder)
            self._is_synced = True

    def missing(self, keys: Collection[str]) -> set[str]:
        """Return those of ``keys`` that are not there."""
        return set(keys) - self._keys

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
