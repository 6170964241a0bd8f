"""References to tensors of checkpoint files, as JSON: what a model's file need not hold again.

They are those that nothing has trained: a tensor that has, bit for bit, the numbers that were read.
A reference says where: the file with its size and SHA-256, the name there, and the part. The file
may have moved since, but not changed.
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

from learning.architecture.kinds import precision_of
from learning.files import Fingerprint, broken, check_regular, fingerprint, open_tensors, sha256_of
from learning.models.stacked import Tensors, bytes_of
from learning.models.tensor_files import Part, tensor_of
from learning.training.state import folded
from learning.training.task import Task
from learning.values.lazy import LARGE_BYTES
from statements import Code, Place, Refused, Statement

FORMAT = "leomix.references/1"
"""Name and version of the JSON."""
NUMBER_FORMATS = ("bfloat16", "float16", "float32", "float64")
"""Formats in which models are run, as torch names them."""


def references(task: Task, server: Tensors) -> dict[str, Any]:
    """Return, as JSON, where tensors of ``server`` and the backbone can be read again.

    It is {} where those are less than :data:`~learning.values.lazy.LARGE_BYTES` in all. A matrix
    that has factors beside it is one of them if only these have been trained. Those of files that
    are no longer as they were read are left out.
    """
    if task.lent.changed:  # code of one's own may have changed what was read
        return {}
    model = {**task.backbone, **server}
    frozen = {
        name: model[name]
        for name in sorted(task.sources)
        if name in model and _same_bits(model[name], task.initial[name])
    }
    if sum(tensor.nbytes for tensor in frozen.values()) < LARGE_BYTES:
        return {}
    known: dict[Fingerprint, int] = {}
    files: list[dict[str, Any]] = []
    found: dict[str, Any] = {}
    for name in (name for name in task.sources if name in frozen):
        source = task.sources[name]
        if source.file not in known and (sha256 := _unchanged(source.file)):
            known[source.file] = len(files)
            path, size_bytes, _ = source.file
            file = {"checkpoint": source.checkpoint, "name": Path(path).name}
            files.append({**file, "bytes": size_bytes, "sha256": sha256})
    for name, tensor in frozen.items():
        source = task.sources[name]
        if source.file in known:
            part = [[i.start, i.stop] if isinstance(i, slice) else i for i in source.part]
            where = {"file": known[source.file], "tensor": source.name}
            found[name] = {**where, **({"part": part} if part else {}), "shape": [*tensor.shape]}
    if not found:
        return {}
    scale = task.config.model.lora.scale  # of products of factors beside these matrices
    about = {"format": FORMAT, "number_format": precision_of(task.config), "scale": scale}
    return {**about, "files": files, "tensors": found}


def _same_bits(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors have the same format, shape and bits: 0 is not -0."""
    if one is other:
        return True
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    return torch.equal(bytes_of(one), bytes_of(other))


def _unchanged(file: Fingerprint) -> str:
    """Return the SHA-256 of a file, "" for one that is not as it was."""
    path = file[0]
    try:
        digest = sha256_of(Path(path))
        return digest if fingerprint(path) == file else ""
    except (OSError, ValueError):
        return ""


def besides(task: Task, server: Tensors, *, names: Sequence[str]) -> dict[str, Tensor]:
    """Return ``server`` and the backbone without the tensors of these names, factors as factors."""
    left_out = set(names)
    model = {**task.backbone, **server}
    return {name: t.contiguous() for name, t in model.items() if name not in left_out}


def made_whole(rest: Tensors, referenced: References, read: Tensors) -> dict[str, Tensor]:
    """Return all tensors of the model, of what is :func:`besides` and what was ``read`` again.

    They are those of :func:`~learning.training.evaluation.final_tensors`, computed as there.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # sums have the same order then
    try:
        return dict(sorted(folded({**read, **rest}, referenced.scale).items()))
    finally:
        torch.set_num_threads(threads)


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
    """What :func:`references` has written: files, and tensors by stored name."""

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
