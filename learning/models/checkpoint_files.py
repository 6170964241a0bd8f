"""One checkpoint folder: which safetensors file holds which tensor, read when it is asked for."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor

from learning.plain_files import read_object
from learning.tensor_files import open_tensors

INDEX = "model.safetensors.index.json"
PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt")


class CheckpointFolder:
    """The tensors of ``folder`` by name. Nothing is opened before one of them is asked for.

    Its methods raise :class:`ValueError` for a folder without safetensors, and for broken files.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._open: dict[Path, Any] = {}

    @cached_property
    def _files(self) -> dict[str, Path]:
        return self._indexed() if (self.folder / INDEX).is_file() else self._listed()

    def __contains__(self, name: str) -> bool:
        return name in self._files

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a tensor, which is not read."""
        return tuple(self._file(self._files[name]).get_slice(name).get_shape())

    def number_format(self, name: str) -> str:
        """Return what the numbers of a tensor are kept as, in the words of safetensors."""
        return str(self._file(self._files[name]).get_slice(name).get_dtype())

    def read(self, name: str, part: tuple[int | slice, ...] = ()) -> Tensor:
        """Return a tensor, or the ``part`` of it; nothing else is read."""
        file = self._file(self._files[name])
        tensor: Tensor = file.get_slice(name)[part] if part else file.get_tensor(name)
        return tensor

    def _indexed(self) -> dict[str, Path]:
        path = self.folder / INDEX
        try:
            places = read_object(path)["weight_map"]
            return {name: self.folder / Path(file).name for name, file in places.items()}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path}: no index of safetensors files ({error!r})") from None

    def _listed(self) -> dict[str, Path]:
        files = sorted(self.folder.glob("*.safetensors"))
        if not files:
            raise ValueError(self._why_empty())
        return {name: path for path in files for name in self._names(path)}

    def _names(self, path: Path) -> Iterable[str]:
        names: Iterable[str] = self._file(path).keys()
        return names

    def _file(self, path: Path) -> Any:
        if path not in self._open:
            self._open[path] = open_tensors(path)
        return self._open[path]

    def _why_empty(self) -> str:
        pickled = sorted(p.name for pattern in PICKLED for p in self.folder.glob(pattern))
        if not pickled:
            return f"{self.folder}: no weights (it has no *.safetensors)"
        return (
            f"{self.folder}: holds pickled weights ({pickled[0]}), which are not read; save it "
            "with save_pretrained(safe_serialization=True)"
        )
