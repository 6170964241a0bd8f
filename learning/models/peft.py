"""PEFT adapters, read and written; factorising of a trained change."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from learning.architecture.kinds import kind_of, text_shape
from learning.architecture.text_shape import TextShape
from learning.files import open_tensors, read_object
from learning.models.interface import Names, names_of
from learning.models.stacked import Tensors
from learning.settings import ModelConfig
from learning.values.store import save_tensors

PREFIX = "base_model.model."
WEIGHTS = "adapter_model.safetensors"
PICKLED = "adapter_model.bin"
CONFIG = "adapter_config.json"
ABOUT = "leomix.json"

PLAIN_LORA = {
    "peft_type": "LORA",
    "task_type": None,
    "base_model_name_or_path": None,
    "bias": "none",
    "fan_in_fan_out": False,
    "inference_mode": True,
    "init_lora_weights": True,
    "lora_dropout": 0.0,
    "use_dora": False,
    "use_rslora": False,
}
"""Keys of an adapter's configuration that are the same for all; PEFT itself knows the others."""


def write_adapter(folder: Path, model: nn.Module, start: Tensors, final: Tensors) -> None:
    """Write what was trained as a PEFT adapter of ``model`` (shapes are enough) to ``folder``.

    ``start`` and ``final`` are all tensors by stored name. Experts' linear maps get factors;
    every other module that has changed (gates, say) is stored whole, as ``modules_to_save``.
    :func:`peft.PeftModel.from_pretrained` puts it on a model with the start's tensors. Raises
    :class:`ValueError` where no expert has changed.
    """
    names = names_of(model)
    changed = {names.path(name) for name in final if not torch.equal(final[name], start[name])}
    experts = tuple(f"{layer}.experts." for layer in names.layers)
    targets = [
        path
        for path, module in model.named_modules()
        if isinstance(module, nn.Linear) and path.startswith(experts)
        if {f"{path}.weight", f"{path}.bias"} & changed
    ]
    if not targets:
        raise ValueError("no linear map of an expert has changed since the start; nothing to adapt")
    whole = _owners(changed, targets)
    biased = any(f"{path}.bias" in changed for path in targets)
    factors: dict[str, Factors] = {}
    tensors: dict[str, Tensor] = {}
    for path in targets:
        weight = names.stored(f"{path}.weight")
        bias = names.stored(f"{path}.bias")
        found = factors[path] = factorise(start[weight], final[weight])
        tensors |= {f"{path}.lora_A.weight": found.a, f"{path}.lora_B.weight": found.b}
        if biased and bias in final:
            tensors[f"{path}.lora_B.bias"] = final[bias] - start[bias]
    for path in whole:
        for name, _ in model.get_submodule(path).named_parameters(path):
            tensors[name] = final[names.stored(name)]
    keys = {"target_modules": targets, "modules_to_save": whole, "lora_bias": biased}
    # One rank per map; alpha is the rank, so that products count once.
    most = max(found.rank for found in factors.values())
    others = {path: found.rank for path, found in factors.items() if found.rank != most}
    keys |= {"r": most, "lora_alpha": most, "rank_pattern": others, "alpha_pattern": others}
    left_out = {path: found.left_out for path, found in factors.items()}
    write_peft(folder, tensors, keys, left_out)


def adapted(folder: Path, names: Names, tensors: Tensors) -> Tensors:
    """Return those of ``tensors``, by stored name, that an adapter changes, as it makes them.

    Factors of another shape are refused before they are multiplied: two small ones can have a
    product that fills any memory. Raises :class:`ValueError` for a folder that holds no adapter, a
    broken one, or one of another model or method: no key and no tensor of it is passed over.
    """
    pickled = folder / PICKLED
    if pickled.is_file() and not (folder / WEIGHTS).exists():
        raise ValueError(
            f"{pickled}: pickled weights are not read; save the adapter anew, with "
            "save_pretrained(safe_serialization=True)"
        )
    try:
        file = open_tensors(folder / WEIGHTS)
        scale = scale_of(read_object(folder / CONFIG))
    except (OSError, ValueError) as error:
        raise ValueError(f"{folder}: no PEFT adapter that can be read ({error})") from None
    return _Adapter(folder, file, scale, names, tensors).made()


WRAPPED = ("base_layer", "modules_to_save")
"""What PEFT puts around a module that it adapts, and around one that it saves whole."""


class _Adapter:
    """An adapter of ``tensors``: its parts in ``file``, by the path of their module."""

    def __init__(
        self, folder: Path, file: Any, scale: float, names: Names, tensors: Tensors
    ) -> None:
        self._folder, self._file, self._scale = folder, file, scale
        self._names, self._tensors = names, tensors

    def made(self) -> Tensors:
        """Return the tensors that it changes."""
        modules: dict[str, dict[str, str]] = {}
        made: dict[str, Tensor] = {}
        for key in sorted(self._file.keys()):
            if ".original_module." in key:  # which a module that is saved whole has replaced
                continue
            path = key.removeprefix(PREFIX)
            for wrapper in WRAPPED:
                path = path.replace(f".{wrapper}.", ".")
            module, dot, part = path.partition(".lora_")
            if dot:
                modules.setdefault(module, {})[f"lora_{part}"] = key
            else:
                name = self._known(path, tuple(self._file.get_slice(key).get_shape()))
                made[name] = self._finite(name, self._number(key))
        if not made and not modules:
            raise ValueError(f"{self._folder}: the adapter holds no tensors; save it anew")
        for module, parts in modules.items():
            made |= self._factored(module, parts)
        return made

    def _factored(self, module: str, parts: dict[str, str]) -> Tensors:
        """Return the weight of a module, and its bias where that has moved, with its factors."""
        a, b = (parts.pop(f"lora_{which}.weight", None) for which in "AB")
        if a is None or b is None:
            odd = next(iter(parts.values()), a or b)
            raise ValueError(
                f"{self._folder}: tensor {odd!r} is of no pair of factors of a linear map, and not "
                f"read; {PLAIN}"
            )
        name = self._known(f"{module}.weight", self._shape(module, a, b))
        moved = self._finite(name, self._scale * (self._number(b) @ self._number(a)))
        made = {name: self._tensors[name] + moved}
        if (shift := parts.pop("lora_B.bias", None)) is not None:
            bias = self._known(f"{module}.bias", tuple(self._file.get_slice(shift).get_shape()))
            made[bias] = self._tensors[bias] + self._finite(bias, self._scale * self._number(shift))
        for key in parts.values():
            raise ValueError(f"{self._folder}: tensor {key!r} is not read; {PLAIN}")
        return made

    def _known(self, path: str, shape: tuple[int, ...]) -> str:
        """Return the stored name of a tensor that the model has in this shape."""
        name = self._names.stored(path)
        if name not in self._tensors or tuple(self._tensors[name].shape) != shape:
            raise of_another_model(self._folder, name, shape)
        return name

    def _shape(self, module: str, a: str, b: str) -> tuple[int, ...]:
        """Return the shape of a product of factors."""
        first, second = (list(self._file.get_slice(key).get_shape()) for key in (a, b))
        if len(first) != 2 or len(second) != 2 or second[1] != first[0]:
            raise ValueError(
                f"{self._folder}: the factors of {module!r} have shapes {second} and {first}; save "
                "it anew"
            )
        return second[0], first[1]

    def _number(self, key: str) -> Tensor:
        """Return a tensor of the file in single precision at least."""
        tensor: Tensor = self._file.get_tensor(key)
        if not tensor.is_floating_point():
            raise ValueError(f"{self._folder}: tensor {key!r} holds {tensor.dtype}; save it anew")
        return tensor if tensor.dtype is torch.float64 else tensor.float()

    def _finite(self, name: str, tensor: Tensor) -> Tensor:
        """Return ``tensor`` in the format of the one that it changes."""
        moved = tensor.to(self._tensors[name])
        if not moved.isfinite().all():
            raise ValueError(
                f"{self._folder}: {name!r} has numbers that are not finite; save it anew"
            )
        return moved


def of_another_model(folder: Path, name: str, shape: tuple[int, ...]) -> ValueError:
    """Return the error of an adapter whose tensor this model does not have in that shape."""
    return ValueError(
        f"{folder}: changes {name!r} of shape {shape}, which this model does not have or does not "
        "train; start from the adapter of a run of the same model"
    )


def write_peft(
    folder: Path, tensors: Tensors, keys: Mapping[str, Any], left_out: Mapping[str, float]
) -> None:
    """Write an adapter folder: PEFT's two files, and a JSON that says what was left out."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG).write_text(json.dumps({**PLAIN_LORA, **keys}, indent=2), encoding="utf-8")
    adapter = {f"{PREFIX}{path}": t for path, t in tensors.items()}
    save_tensors(folder / WEIGHTS, adapter, format="pt")
    about = {
        "what": "the change from the start model in ../base to the model at the end of the run",
        "left_out_max": max(left_out.values()),
        "left_out": left_out,
    }
    (folder / ABOUT).write_text(json.dumps(about, indent=2), encoding="utf-8")


def _owners(changed: Collection[str], targets: Collection[str]) -> list[str]:
    """Modules other than the targets that hold changed tensors."""
    owners = {path.rpartition(".")[0] for path in changed}.difference(targets)
    for owner in sorted(owners):
        if not owner or any(path.startswith(f"{owner}.") for path in targets):
            raise ValueError(
                f"module {owner or 'the model'!r} has trained tensors of its own around an "
                "expert's linear maps; PEFT has no place for them: put them into a module"
            )
    return sorted(owners)


# The change of a matrix as a product of two factors of low rank.


class Factors(NamedTuple):
    """``b`` (out, r) times ``a`` (r, in) is a change but for ``left_out``, a share of its norm."""

    a: Tensor
    b: Tensor
    left_out: float

    @property
    def rank(self) -> int:
        """The number of columns of ``b``."""
        return len(self.a)


def factorise(start: Tensor, final: Tensor) -> Factors:
    """Return the factors of ``final - start`` (out, in), of its numerical rank.

    This counts singular values above those of rounding: entries off by e |w| make a
    matrix of spectral norm at most about e rms(w) (sqrt(out) + sqrt(in)).
    """
    eps = torch.finfo(final.dtype).eps
    change = final.double() - start.double()
    u, s, v = torch.linalg.svd(change, full_matrices=False)
    rounding = eps * final.double().square().mean().sqrt() * sum(n**0.5 for n in change.shape)
    kept = max(1, int((s > rounding).sum()))
    root = s[:kept].sqrt()
    left_out = float(s[kept:].norm() / s.norm()) if s.any() else 0.0
    dtype = torch.float64 if final.dtype == torch.float64 else torch.float32
    return Factors((root[:, None] * v[:kept]).to(dtype), (u[:, :kept] * root).to(dtype), left_out)


# A trained model as a start model and PEFT adapters of it, in one folder.


def export_adapters(
    folder: Path,
    model: nn.Module,
    config: ModelConfig,
    names: Names,
    start: Tensors,
    final: Tensors,
) -> list[str]:
    """Write ``base`` and ``adapter`` (of our modules) to ``folder``; return what was written.

    ``model`` has all experts; ``start`` and ``final`` are all its tensors by stored name. Decoders
    of text with experts in all layers have a base that Hugging Face loads, and beside ours an
    ``adapter-hugging-face`` of that.
    Raises :class:`ValueError` where the two do not belong together, and where no expert changed.
    """
    before = {name: tensor.cpu() for name, tensor in start.items()}
    after = {name: tensor.cpu() for name, tensor in final.items()}
    for name in sorted(before.keys() | after.keys()):
        shapes = [tuple(t[name].shape) if name in t else None for t in (before, after)]
        if shapes[0] != shapes[1]:
            raise ValueError(
                f"tensor {name} is {shapes[0]} in the start model, but {shapes[1]} at the end of "
                "the run; the run was made by another version: do it again"
            )
    write_adapter(folder / "adapter", model, before, after)
    written = ["base", "adapter"]
    shape = text_shape(config) if kind_of(config.kind).is_text else None
    if isinstance(shape, TextShape) and not shape.dense_layers:
        write_fused = resolve_name("learning.text.fused_adapters:write_fused")
        write_fused(folder, config, before, after)
        return [*written, "adapter-hugging-face"]
    base = folder / "base"
    paths = {names.path(name): tensor for name, tensor in before.items()}
    base.mkdir(parents=True, exist_ok=True)
    save_tensors(base / "model.safetensors", paths, format="pt")
    about = {"what": "the model before the run, by paths of its modules", "kind": config.kind}
    (base / "model.json").write_text(json.dumps(about, indent=2), encoding="utf-8")
    return written


PASSED_OVER = {
    "peft_type", "r", "lora_alpha", "rank_pattern", "alpha_pattern",
    *("target_modules", "exclude_modules", "layers_to_transform", "layers_pattern"),
    *("modules_to_save", "bias", "lora_bias"),
    *("task_type", "auto_mapping", "peft_version", "base_model_name_or_path", "revision"),
    *("inference_mode", "lora_dropout", "megatron_core", "qalora_group_size", "runtime_config"),
    *("loftq_config", "eva_config", "corda_config", "lora_ga_config"),
}  # fmt: skip
"""Keys that say of which rank factors are, which tensors there are, and how they were made.

Tensors are all read, or refused by their names.
"""
PLAIN = "merge the adapter into its model, or train plain LoRA"


def scale_of(keys: Mapping[str, Any]) -> float:
    """Return by what the products of an adapter's factors are multiplied: alpha / r.

    Raises :class:`ValueError` with the name of a key that would change what the factors mean.
    """
    if keys.get("peft_type") != "LORA":
        raise ValueError(f"peft_type is {keys.get('peft_type')!r:.40}; only 'LORA' is read")
    for key, value in keys.items():
        usual: tuple[Any, ...] = (None, False, "", [], {}, PLAIN_LORA.get(key))
        if key not in PASSED_OVER and value not in usual:
            raise ValueError(f"{key} is {value!r:.60}, which is not read; {PLAIN}")
    rank: Any = keys.get("r")
    alpha: Any = keys.get("lora_alpha")
    for key, number in (("r", rank), ("lora_alpha", alpha)):
        if type(number) not in (int, float) or not 0 < number < 1e9:
            raise ValueError(f"{key} is {number!r:.40}; must be a number above 0")
    ranks, alphas = keys.get("rank_pattern") or {}, keys.get("alpha_pattern") or {}
    if ranks != alphas or (ranks and rank != alpha):
        raise ValueError(f"alpha_pattern gives modules scales of their own; {PLAIN}")
    return float(alpha / rank)
