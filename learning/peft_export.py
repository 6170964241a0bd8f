"""A trained model as a start model and PEFT adapters of it, in one folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from learning.adapters import write_adapter
from learning.config import ModelConfig
from learning.models.moe import Residency
from learning.shapes import TEXT_KINDS
from learning.task import Task


def export_adapters(
    folder: Path,
    task: Task,
    start: Mapping[str, Tensor],
    final: Mapping[str, Tensor],
    rank: int | None = None,
) -> list[str]:
    """Write ``base`` and ``adapter`` (of our modules) to ``folder``; return what was written.

    ``start`` and ``final`` are all tensors of the model by stored name. Text models have a base
    that Hugging Face loads, and beside ours an ``adapter-hugging-face`` of that. Raises
    :class:`ValueError` where the two do not belong together, and where no expert has changed.
    """
    before = {name: tensor.cpu() for name, tensor in start.items()}
    after = {name: tensor.cpu() for name, tensor in final.items()}
    _check_same(before, after)
    model = task.skeleton(Residency(held=task.all_experts))
    write_adapter(folder / "adapter", model, before, after, rank)
    written = ["base", "adapter"]
    config = task.config.model
    if config.kind in TEXT_KINDS:
        from learning.fused_adapters import write_fused_adapter
        from learning.models.checkpoints import save_checkpoint

        save_checkpoint(folder / "base", config, before)
        write_fused_adapter(folder / "adapter-hugging-face", before, after, rank)
        return [*written, "adapter-hugging-face"]
    paths = {task.names.path(name): tensor for name, tensor in before.items()}
    _write_base(folder / "base", config, paths)
    return written


def _write_base(folder: Path, config: ModelConfig, tensors: Mapping[str, Tensor]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    save_file(dict(tensors), folder / "model.safetensors", metadata={"format": "pt"})
    about = {"what": "the model before the run, by paths of its modules", "kind": config.kind}
    (folder / "model.json").write_text(json.dumps(about, indent=2), encoding="utf-8")


def _check_same(start: Mapping[str, Tensor], final: Mapping[str, Tensor]) -> None:
    for name in sorted(start.keys() | final.keys()):
        shapes = [tuple(t[name].shape) if name in t else None for t in (start, final)]
        if shapes[0] != shapes[1]:
            raise ValueError(
                f"tensor {name} is {shapes[0]} in the start model, but {shapes[1]} at the end of "
                "the run; the run was made by another version: do it again"
            )
