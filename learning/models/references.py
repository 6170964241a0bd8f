"""References to tensors of checkpoint files, as JSON: what a model's file need not hold again.

A reference says where a tensor was read: the file with its size and SHA-256, the name there, and
the part. The file may have moved since, but not changed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor

from learning.files import Fingerprint, broken, check_regular, fingerprint, open_tensors, sha256_of
from learning.models.stacked import Tensors
from learning.models.tensor_files import Part, Source, tensor_of
from statements import Code, Place, Refused, Statement

FORMAT = "leomix.references/1"
"""Name and version of the JSON."""
NUMBER_FORMATS = ("bfloat16", "float16", "float32", "float64")
"""Formats in which models are run, as torch names them."""


def references_to(
    sources: Mapping[str, Source], tensors: Tensors, number_format: str, scale: float
) -> dict[str, Any]:
    """Return, as JSON, where ``tensors`` by stored name can be read again; {} where none can.

    Those of files that are no longer as they were read are left out. They are placed in the
    ``number_format``. ``scale`` is that of the products of factors which a model's file may have
    beside the matrices that are referred to.
    """
    known: dict[Fingerprint, int] = {}
    files: list[dict[str, Any]] = []
    for source in sources.values():
        if source.file not in known and (sha256 := _unchanged(source.file)):
            known[source.file] = len(files)
            path, size_bytes, _ = source.file
            file = {"checkpoint": source.checkpoint, "name": Path(path).name}
            files.append({**file, "bytes": size_bytes, "sha256": sha256})
    found = {
        name: {
            "file": known[source.file],
            "tensor": source.name,
            **({"part": _plain(source.part)} if source.part else {}),
            "shape": list(tensors[name].shape),
        }
        for name, source in sorted(sources.items())
        if source.file in known
    }
    if not found:
        return {}
    about = {"format": FORMAT, "number_format": number_format, "scale": scale}
    return {**about, "files": files, "tensors": found}


def _plain(part: Part) -> list[Any]:
    return [[index.start, index.stop] if isinstance(index, slice) else index for index in part]


def _unchanged(file: Fingerprint) -> str:
    """Return the SHA-256 of a file, "" for one that is not as it was."""
    path = file[0]
    try:
        digest = sha256_of(Path(path))
        return digest if fingerprint(path) == file else ""
    except (OSError, ValueError):
        return ""


def missing(path: Path) -> ValueError:
    """Return the error that a file or folder with weights of a model is not there."""
    what = "is missing, and the run's model refers to its weights"
    return Refused(Statement(Code.NO_FILE, (), what), Place(file=str(path)))


@dataclass(frozen=True)
class ReferencedFile:
    """A file of the checkpoint of that number, from 0, as it was when it was referred to."""

    checkpoint: int
    name: str
    size_bytes: int
    sha256: str

    def checked(self, folder: Path) -> Path:
        """Return where it is in ``folder``; raise ValueError where it is missing or has changed."""
        path = folder / self.name
        if not os.path.exists(path):
            raise missing(path)
        if check_regular(path) != self.size_bytes or sha256_of(path) != self.sha256:
            raise broken(path, "has changed since the run whose model refers to its weights")
        return path


@dataclass(frozen=True)
class ReferencedTensor:
    """A tensor, or a part of it, in the file of that number, and the shape that it has."""

    file: int
    name: str
    part: Part
    shape: tuple[int, ...]


@dataclass(frozen=True)
class References:
    """What :func:`references_to` has written: files, and tensors by stored name."""

    number_format: torch.dtype
    scale: float
    files: tuple[ReferencedFile, ...]
    tensors: Mapping[str, ReferencedTensor]

    @classmethod
    def of(cls, said: Mapping[str, Any], checkpoints: int) -> References:
        """Read the JSON of a run with so many ``checkpoints``.

        Raises ValueError for another format, and for what is none of it.
        """
        if (found := said.get("format")) != FORMAT:
            raise ValueError(f"its format is {found!r}, and {FORMAT!r} is read")
        try:
            if said["number_format"] not in NUMBER_FORMATS:
                raise ValueError(f"number_format {said['number_format']!r}")
            files = tuple(map(_file, said["files"]))
            tensors = {name: _tensor(one) for name, one in said["tensors"].items()}
            if not all(0 <= one.file < len(files) for one in tensors.values()):
                raise ValueError("a tensor of no file")
            if not all(0 <= file.checkpoint < checkpoints for file in files):
                raise ValueError("a file of no checkpoint")
            number_format = getattr(torch, said["number_format"])
            return cls(number_format, float(said["scale"]), files, tensors)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"is broken ({error})") from None

    def read(self, folders: Sequence[Path]) -> dict[str, Tensor]:
        """Return the tensors by stored name; ``folders`` are those of the checkpoints, in order.

        Raises ValueError, by its name, for a file that is missing, has changed, or lacks a tensor.
        """
        paths = [file.checked(folders[file.checkpoint]) for file in self.files]
        opened = [open_tensors(path) for path in paths]
        found: dict[str, Tensor] = {}
        read: dict[str, Tensor] = {}  # by what refers to it: equal experts are one tensor
        for name, one in self.tensors.items():
            if (same := repr(one)) in read:
                found[name] = read[same]
                continue
            try:
                tensor = tensor_of(opened[one.file], one.name, one.part)
            except (SafetensorError, LookupError, TypeError, ValueError, RuntimeError) as error:
                raise broken(paths[one.file], f"gives no {one.name} ({error})") from None
            if tuple(tensor.shape) != one.shape:
                raise broken(paths[one.file], f"{one.name} has the shape {tuple(tensor.shape)}")
            found[name] = read[same] = tensor.to(self.number_format)
        return found


def _file(said: Mapping[str, Any]) -> ReferencedFile:
    name = str(said["name"])
    if Path(name).name != name or "\0" in name:
        raise ValueError(f"{name!r} is no file of a checkpoint")
    return ReferencedFile(int(said["checkpoint"]), name, int(said["bytes"]), str(said["sha256"]))


def _tensor(said: Mapping[str, Any]) -> ReferencedTensor:
    indices = said.get("part", ())
    part = tuple(slice(*map(int, i)) if isinstance(i, list) else int(i) for i in indices)
    shape = tuple(map(int, said["shape"]))
    return ReferencedTensor(int(said["file"]), str(said["tensor"]), part, shape)
