"""Trained experts as PEFT adapter folders: low-rank changes of the start model's matrices."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from learning.factorising import Factors, factorise
from learning.models.names import Names, names_of
from learning.plain_files import read_object
from learning.task import Task
from learning.tensor_files import open_tensors

PREFIX = "base_model.model."
WEIGHTS, CONFIG, ABOUT = "adapter_model.safetensors", "adapter_config.json", "leomix.json"

Tensors = Mapping[str, Tensor]
Shapes = Mapping[str, tuple[int, ...]]


class Change(NamedTuple):
    """What makes the trained model of the start: added to some tensors, in place of others."""

    added: dict[str, Tensor]
    replaced: dict[str, Tensor]


def write_adapter(
    folder: Path, model: nn.Module, start: Tensors, final: Tensors, rank: int | None = None
) -> None:
    """Write what was trained as a PEFT adapter of ``model`` (shapes are enough) to ``folder``.

    ``start`` and ``final`` are all tensors by stored name. Experts' linear maps get factors;
    every other module that has changed (gates, say) is stored whole, as ``modules_to_save``.
    :func:`peft.PeftModel.from_pretrained` puts it on a model with the start's tensors. Raises
    :class:`ValueError` where no expert has changed.
    """
    names = names_of(model)
    changed = {names.path(name) for name in final if not torch.equal(final[name], start[name])}
    maps = _linear_maps(model, names)
    targets = [path for path in maps if {f"{path}.weight", f"{path}.bias"} & changed]
    if not targets:
        raise ValueError("no linear map of an expert has changed since the start; nothing to adapt")
    whole = _owners(changed, targets)
    biased = any(f"{path}.bias" in changed for path in targets)
    factors: dict[str, Factors] = {}
    tensors: dict[str, Tensor] = {}
    for path in targets:
        weight, bias = names.stored(f"{path}.weight"), names.stored(f"{path}.bias")
        found = factors[path] = factorise(start[weight], final[weight], rank)
        tensors |= {f"{path}.lora_A.weight": found.a, f"{path}.lora_B.weight": found.b}
        if biased and bias in final:
            tensors[f"{path}.lora_B.bias"] = final[bias] - start[bias]
    for path in whole:
        for name, _ in model.get_submodule(path).named_parameters(path):
            tensors[name] = final[names.stored(name)]
    keys = {"target_modules": targets, "modules_to_save": whole, "lora_bias": biased}
    ranks = {path: found.rank for path, found in factors.items()}
    left_out = {path: found.left_out for path, found in factors.items()}
    write_peft(folder, tensors, keys | _ranks(ranks), left_out)


def read_adapter(folder: Path, names: Names, shapes: Shapes | None = None) -> Change:
    """Return what an adapter adds to, and puts in place of, tensors by stored name.

    ``shapes`` are those of the tensors that it may change. Factors of another shape are refused
    before they are multiplied: two small ones can have a product that fills any memory. Raises
    :class:`ValueError` for a folder that holds no adapter, or a broken one.
    """
    try:
        file = open_tensors(folder / WEIGHTS)
        scales = _scales(read_object(folder / CONFIG))
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f"{folder}: no PEFT adapter that can be read ({error})") from None
    change, keys = Change({}, {}), set(file.keys())
    for key in sorted(keys):
        path = key.removeprefix(PREFIX)
        module, _, part = path.partition(".lora_")
        if part == "B.weight":
            name, first = names.stored(f"{module}.weight"), f"{PREFIX}{module}.lora_A.weight"
            _check_factors(folder, file, name, key, first if first in keys else None, shapes)
            product = file.get_tensor(key) @ file.get_tensor(first)
            change.added[name] = scales(module) * product
        elif part == "B.bias":
            change.added[names.stored(f"{module}.bias")] = scales(module) * file.get_tensor(key)
        elif not part:
            change.replaced[names.stored(path)] = file.get_tensor(key)
    return change


def _scales(said: Mapping[str, Any]) -> Callable[[str], float]:
    """Return the number that a module's product is multiplied by, alpha / r, from PEFT's keys."""
    alphas, ranks = said["alpha_pattern"], said["rank_pattern"]
    for found in (alphas, ranks):
        if not isinstance(found, dict):
            raise ValueError(f"rank_pattern and alpha_pattern are objects, not {found!r:.40}")
    for number in (said["lora_alpha"], said["r"], *alphas.values(), *ranks.values()):
        if isinstance(number, bool) or not isinstance(number, int | float) or not 0 < number < 1e9:
            raise ValueError(f"{number!r:.40} is no rank and no alpha")
    return lambda module: alphas.get(module, said["lora_alpha"]) / ranks.get(module, said["r"])


def _check_factors(
    folder: Path, file: Any, name: str, second: str, first: str | None, shapes: Shapes | None
) -> None:
    """Refuse factors that are no pair of matrices, or make another shape than the model's."""
    b, a = ([] if k is None else file.get_slice(k).get_shape() for k in (second, first))
    if len(a) != 2 or len(b) != 2 or b[1] != a[0]:
        raise ValueError(f"{folder}: the factors of {name!r} have shapes {b} and {a}; save it anew")
    if shapes is not None and shapes.get(name) != (b[0], a[1]):
        raise _of_another_model(folder, name, (b[0], a[1]))


def with_adapter(task: Task, server: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the server's model with the changes of the adapter that the task starts from, if any.

    Raises :class:`ValueError` for an adapter of another model, or of tensors that are frozen here.
    """
    if task.config.model.adapter is None:
        return server
    folder = Path(task.config.model.adapter)
    shapes = {name: tuple(tensor.shape) for name, tensor in server.items()}
    change = read_adapter(folder, task.names, shapes)
    changed = dict(server)
    for name, tensor in (change.added | change.replaced).items():
        if shapes.get(name) != tuple(tensor.shape):
            raise _of_another_model(folder, name, tuple(tensor.shape))
        moved = tensor.to(server[name])
        if not moved.isfinite().all():
            raise ValueError(f"{folder}: {name!r} has numbers that are not finite; save it anew")
        changed[name] = server[name] + moved if name in change.added else moved
    return changed


def _of_another_model(folder: Path, name: str, shape: tuple[int, ...]) -> ValueError:
    return ValueError(
        f"{folder}: changes {name!r} of shape {shape}, which this model does not have or does not "
        "train; start from the adapter of a run of the same model"
    )


def write_peft(
    folder: Path,
    tensors: Mapping[str, Tensor],
    keys: Mapping[str, Any],
    left_out: Mapping[str, float],
) -> None:
    """Write an adapter folder: PEFT's two files, and a JSON that says what was left out."""
    from peft import LoraConfig

    folder.mkdir(parents=True, exist_ok=True)
    LoraConfig(inference_mode=True, **keys).save_pretrained(str(folder))
    stored = {f"{PREFIX}{path}": t.contiguous() for path, t in tensors.items()}
    save_file(stored, folder / WEIGHTS, metadata={"format": "pt"})
    about = {
        "what": "the change from the start model in ../base to the model at the end of the run",
        "left_out_max": max(left_out.values()),
        "left_out": left_out,
    }
    (folder / ABOUT).write_text(json.dumps(about, indent=2), encoding="utf-8")


def _linear_maps(model: nn.Module, names: Names) -> list[str]:
    """Paths of the linear maps inside experts."""
    experts = tuple(f"{layer}.experts." for layer in names.layers)
    return [
        path
        for path, module in model.named_modules()
        if isinstance(module, nn.Linear) and path.startswith(experts)
    ]


def _ranks(ranks: Mapping[str, int]) -> dict[str, Any]:
    """PEFT's keys for a rank of each map's own; alpha is the rank, so that products count once."""
    most = max(ranks.values())
    others = {path: rank for path, rank in ranks.items() if rank != most}
    return {"r": most, "lora_alpha": most, "rank_pattern": others, "alpha_pattern": others}


def _owners(changed: Collection[str], targets: Collection[str]) -> list[str]:
    """Modules that hold changed tensors beside the targets."""
    owners = {path.rpartition(".")[0] for path in changed}.difference(targets)
    for owner in sorted(owners):
        if not owner or any(path.startswith(f"{owner}.") for path in targets):
            raise ValueError(
                f"module {owner or 'the model'!r} has trained tensors of its own around an "
                "expert's linear maps; PEFT has no place for them: put them into a module"
            )
    return sorted(owners)
