"""Values in safetensors files: as bytes, and in a folder that keeps them by key."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Mapping
from errno import EIO
from pathlib import Path
from stat import S_IMODE
from typing import Any

from learning.files import (
    at_once,
    check_header,
    checksum,
    checksum_of,
    link_or_copy,
    read_regular,
    sync_folder,
    write_bytes,
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
        """Write tensors, unless the folder has them; raise OSError where that cannot be done."""
        if key in self.checksums:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        self._is_synced = False
        data = packed(tensors)
        write_bytes(self._path(key), data, durable=False)
        self.checksums[key] = checksum(data)

    def take(self, key: str, other: FolderStore) -> None:
        """Have the file of ``key`` that another folder has; raise OSError where it cannot be."""
        if key in self.checksums:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        self._is_synced = False
        link_or_copy(other._path(key), self._path(key))
        self.checksums[key] = other.checksums[key]

    def sync(self) -> None:
        """Sync all that was saved to the disk; call it before relying on that."""
        if not self._is_synced:
            sync_folder(self.folder)
            self._is_synced = True

    def remove_unknown(self) -> None:
        """Delete files that a process has saved which was killed before it could say so."""
        for path in self.folder.glob(f"*{SUFFIX}"):
            if path.name.removesuffix(SUFFIX) not in self.checksums:
                path.unlink(missing_ok=True)

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


def save_tensors(path: Path, tensors: Tensors, **metadata: str) -> None:
    """Write tensors to a safetensors file at once, which needs no copy of them in memory.

    Raises:
        OSError: The file could not be written, such as on a disk that is full.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    with at_once(path) as part:
        part.unlink(missing_ok=True)
        part.touch()
        mode = S_IMODE(part.stat().st_mode)
        try:
            save_file(plain(tensors), part, metadata=metadata or None)
        except SafetensorError as error:
            raise _as_os_error(error, path) from None
        part.chmod(mode)  # the library makes a file that nobody but its owner may read


def _as_os_error(error: Exception, path: Path) -> OSError:
    """Return the error of the operating system that the library only quotes in its text."""
    number = re.search(r"\(os error (\d+)\)", str(error))
    if number is None:
        return OSError(EIO, str(error), str(path))
    return OSError(int(number[1]), os.strerror(int(number[1])), str(path))


def broken(path: Path, why: object) -> ValueError:
    """Return the error that a file cannot be used, without what to do about it."""
    return ValueError(f"{path}: is broken ({str(why).removeprefix(f'{path}: ')})")


ROWS = "equal rows"
"""Key of a file's metadata: how many rows each tensor has of which one is kept, as JSON."""
ALIGNMENT_BYTES = 64


def packed(tensors: Tensors) -> bytes:
    """Return a value as the bytes of a safetensors file, in which equal rows stand once."""
    from safetensors.torch import save

    data: bytes = save(*_once(tensors))
    return data


def as_file(tensors: Tensors) -> bytes:
    """Return ``tensors`` as the bytes of a safetensors file that is whole for everybody."""
    from safetensors.torch import save

    data: bytes = save(plain(tensors))
    return data


def unpacked(data: bytes) -> Tensors:
    """Return the tensors of a file of bytes; raise ValueError for any others."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    check_header(data)
    try:
        tensors = {name: _aligned(tensor) for name, tensor in load(data).items()}
        for name, rows in _rows_in(data).items():
            tensors[name] = tensors[name].expand(rows, *tensors[name].shape)
    except (
        SafetensorError,
        ValueError,
        KeyError,
        TypeError,
        RuntimeError,
        RecursionError,
    ) as error:
        raise ValueError(f"no value: {error}") from None
    return tensors


def _once(tensors: Tensors) -> tuple[Tensors, dict[str, str]]:
    """Return tensors without rows that share their memory, as devices do, and how many these are.

    A file has a copy for each row, and its bytes depend on the tensors alone.
    """
    rows = {n: len(t) for n, t in tensors.items() if t.dim() and len(t) > 1 and not t.stride(0)}
    once = {name: tensor[0] if name in rows else tensor for name, tensor in tensors.items()}
    return plain(once), {ROWS: json.dumps(rows, sort_keys=True)}


def _rows_in(data: bytes) -> dict[str, int]:
    size = int.from_bytes(data[:8], "little")
    metadata = json.loads(data[8 : 8 + size]).get("__metadata__", {})
    rows: dict[str, int] = json.loads(metadata.get(ROWS, "{}"))
    return rows


def plain(tensors: Mapping[str, Any]) -> Tensors:
    """Return tensors as the library takes them: whole, on the CPU, and no two in one memory."""
    import torch

    plain = {}
    memories = set[int]()
    for name, tensor in tensors.items():
        own = tensor.detach().cpu().contiguous()
        if own.untyped_storage().data_ptr() in memories:
            own = own.clone(memory_format=torch.contiguous_format)
        memories.add(own.untyped_storage().data_ptr())
        plain[name] = own
    return plain


def _aligned(tensor: Any) -> Any:
    """Return the tensor aligned as torch aligns new ones: rounding may depend on the address."""
    return tensor.clone() if tensor.data_ptr() % ALIGNMENT_BYTES else tensor
