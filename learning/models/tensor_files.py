"""Files of tensors: those of a folder by name, where each was read, and how they are written."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from learning.architecture.dense import check_folder
from learning.files import open_tensors, read_object

INDEX = "model.safetensors.index.json"
PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt")


class CheckpointFolder:
    """The tensors of ``folder`` by name; files are opened when one of them is read.

    Its methods raise :class:`ValueError` for a folder without safetensors, and for broken files.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._files_open: dict[Path, Any] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._files

    @property
    def names(self) -> list[str]:
        """The names of all tensors, sorted."""
        return sorted(self._files)

    def file(self, name: str) -> Any:
        """Return the open file that holds a tensor."""
        return self._opened(self._files[name])

    def _opened(self, path: Path) -> Any:
        """Return a file, open. Whoever drops the folder closes it: there must be no circle."""
        if path not in self._files_open:
            self._files_open[path] = open_tensors(path)
        return self._files_open[path]

    @cached_property
    def _files(self) -> dict[str, Path]:
        check_folder(self.folder)
        index = self.folder / INDEX
        if index.is_file():
            try:
                places = read_object(index)["weight_map"]
                return {name: self.folder / Path(file).name for name, file in places.items()}
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise ValueError(f"{index}: no index of safetensors files ({error!r})") from None
        files = sorted(self.folder.glob("*.safetensors"))
        pickled = sorted(p.name for pattern in PICKLED for p in self.folder.glob(pattern))
        if not files and not pickled:
            raise ValueError(f"{self.folder}: no weights (it has no *.safetensors)")
        if not files:
            raise ValueError(
                f"{self.folder}: holds pickled weights ({pickled[0]}), which are not read; save it "
                "with save_pretrained(safe_serialization=True)"
            )
        return {name: path for path in files for name in self._opened(path).keys()}  # noqa: SIM118


Part = tuple[int | slice, ...]
"""Index of a part of a tensor, () for all of it."""


class Place(NamedTuple):
    """Where a tensor lies: the tensor ``name`` of a folder, its shape, and the part it is of it."""

    folder: CheckpointFolder
    name: str
    shape: tuple[int, ...]
    part: Part = ()

    @property
    def exists(self) -> bool:
        """Whether the folder has a tensor of that name."""
        return self.name in self.folder

    def read(self) -> Tensor:
        """Return the tensor in the file's format; raise ValueError if it is not finite."""
        file = self.folder.file(self.name)
        tensor: Tensor = (
            file.get_slice(self.name)[self.part] if self.part else file.get_tensor(self.name)
        )
        if not tensor.isfinite().all():
            raise ValueError(
                f"{self.folder.folder}: {self.name} holds numbers that are not finite; use another "
                "checkpoint"
            )
        return tensor


def read_places(places: Mapping[str, Place]) -> dict[str, Tensor]:
    """Return the tensors at ``places``: what lies in one place is read once, and is one tensor."""
    keys = {name: (p.folder.folder, p.name, repr(p.part)) for name, p in places.items()}
    first = {key: places[name] for name, key in reversed(keys.items())}
    read = {key: place.read() for key, place in first.items()}
    return {name: read[key] for name, key in keys.items()}
