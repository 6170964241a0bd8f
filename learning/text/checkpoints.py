"""Weights of text models, out of folders of Hugging Face and into them."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from torch import Tensor, nn

from learning.architecture.dense import DenseFamily
from learning.architecture.kinds import kind_of, text_shape
from learning.architecture.text_shape import TextShape, dense_name
from learning.files import check_regular
from learning.models.interface import expert_of, is_gate, names_of
from learning.models.stacked import Tensors
from learning.models.tensor_files import CheckpointFolder, Place
from learning.settings import ModelConfig
from learning.values.store import save_tensors

CLASSIFIER = "score.weight"
"""The head of a classifier, which neither a dense model nor a language model has."""
HEADS = (CLASSIFIER, "score.bias")
"""Tensors that a checkpoint need not have: the head that the data require."""
FORMATS = ("F64", "F32", "F16", "BF16")
"""Number formats of weights that can be trained, as safetensors names them."""
MATRICES = {"gate": "w1", "down": "w2", "up": "w3"}
LANGUAGE_HEAD = "lm_head.weight"
COPIED = (
    *("config.json", "generation_config.json", "chat_template.jinja"),
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("tokenizer.model", "vocab.json", "merges.txt", "LICENSE", "LICENSE.txt", "NOTICE"),
)
"""Files of a checkpoint that stay what they are, whatever its weights are."""


def checkpoint_places(config: ModelConfig, model: nn.Module) -> dict[str, Place]:
    """Return by stored name where ``config.checkpoints`` hold the tensors of ``model``.

    ``model`` needs shapes only; experts that it does not hold are not read, nor are files that
    hold nothing else. Tensors that a checkpoint need not have are left out: the gates of merged
    dense models, and the classification head. Backbone and head of merged models are the first's.

    Raises :class:`ValueError` for folders that are missing, pickled, broken or without some of
    the tensors, for tensors of another shape, and for integers.
    """
    _check_named(config)
    folders = [CheckpointFolder(Path(of)) for of in config.checkpoints]
    names = names_of(model)
    wanted = {names.stored(path): tuple(p.shape) for path, p in model.named_parameters()}
    merged = kind_of(config.kind).merged
    dense = text_shape(config).dense_layers if kind_of(config.kind).is_text else 0
    places = {
        name: _found(config, folders, in_block(name, dense), shape)
        for name, shape in wanted.items()
    }
    missing = [
        place
        for name, place in places.items()
        if not place.exists and name not in HEADS and not (merged and is_gate(name))
    ]
    if missing:
        first = missing[0]
        others = len(missing) - 1
        more = f" and {others} other tensors of the model" if others else ""
        raise ValueError(
            f"{first.folder.folder}: lacks {first.name}{more}; save the whole model once more"
        )
    found = {name: place for name, place in places.items() if place.exists}
    for place in found.values():
        _check_kept(place)
    return found


def save_checkpoint(folder: Path, config: ModelConfig, tensors: Tensors) -> None:
    """Write a Mixtral folder that Hugging Face loads, from tensors by stored name.

    With ``score.weight`` it is one for sequence classification, else a language model.
    """
    from learning.text.mixtral import hugging_face_config

    folder.mkdir(parents=True, exist_ok=True)
    shape = text_shape(config)
    assert isinstance(shape, TextShape)
    described = hugging_face_config(shape)
    described.architectures = ["MixtralForCausalLM"]
    if CLASSIFIER in tensors:
        described.architectures = ["MixtralForSequenceClassification"]
        described.num_labels = len(tensors[CLASSIFIER])
    described.dtype = next(iter(tensors.values())).dtype
    described.save_pretrained(folder)
    on_disk = {_mixture_name(name): tensor for name, tensor in tensors.items()}
    save_tensors(folder / "model.safetensors", on_disk, format="pt")


def save_dense(
    folder: Path,
    source: Path,
    family: DenseFamily,
    expert: int,
    tensors: Tensors,
    dense_layers: int = 0,
) -> None:
    """Write a folder of a dense model: ``source`` with an expert of a merged model in its place.

    ``tensors`` are by stored name; those of other experts, gates and the head of a classifier are
    left out. What they do not hold is that of ``source``, bit for bit, in whose number formats all
    is written; so are its config.json and tokenizer. Layers with experts are counted behind
    ``dense_layers``.

    Raises :class:`ValueError` for a source that is none, or a model of another shape.
    """
    stored = CheckpointFolder(source)
    shape = family.read(source, (1, 1))
    mine = {
        in_block(name, dense_layers): tensor
        for name, tensor in tensors.items()
        if expert_of(name) in (None, expert) and not is_gate(name) and name not in HEADS
    }
    for layer in range(dense_layers, shape.layers):
        for part in family.network:
            if f"expert.{expert}.{layer}.{part}" not in mine:
                matrix = part.removesuffix(".weight")
                raise ValueError(f"no expert {expert} with {matrix} in layer {layer} is there")
    ours: dict[str, Tensor] = {}
    for name, tensor in mine.items():
        place = _in_dense(stored, family, name, tuple(tensor.shape))
        if not place.exists:
            raise ValueError(f"{source}: lacks {place.name}; save the whole model once more")
        _check_kept(place)
        ours[place.name] = tensor
    # Of a tied model the embedding is the head: to keep another one would untie them.
    tied = isinstance(shape, TextShape) and shape.tied
    made: dict[str, Tensor] = {}
    for name in stored.names:
        if tied and name == LANGUAGE_HEAD:
            continue
        before: Tensor = stored.file(name).get_tensor(name)
        made[name] = ours[name].to("cpu", before.dtype) if name in ours else before
    folder.mkdir(parents=True, exist_ok=True)
    save_tensors(folder / "model.safetensors", made, format="pt")
    for copied in COPIED:
        if (source / copied).exists():
            check_regular(source / copied)
            shutil.copyfile(source / copied, folder / copied)


def _check_named(config: ModelConfig) -> None:
    """Refuse checkpoints of the right shapes that compute another function than the kind does."""
    if kind_of(config.kind).shape is None:
        return
    general = "merged-llama" if kind_of(config.kind).merged else "mixtral"
    found = text_shape(replace(config, kind=general))
    fixed = text_shape(config)
    for key in ("heads", "rope", "norm_eps", "window"):
        if getattr(found, key) != getattr(fixed, key):
            raise ValueError(
                f"{config.checkpoints[0]}: {key} is {getattr(found, key)}, but that of kind "
                f"{config.kind!r} is {getattr(fixed, key)}; use kind {general!r}"
            )


def in_block(name: str, dense_layers: int) -> str:
    """Return the stored name of a tensor with the number of its block in place of its layer's.

    Layers with experts are counted behind the blocks that have none.
    """
    match name.split("."):
        case ["expert", expert, layer, *rest]:
            return ".".join(["expert", expert, str(int(layer) + dense_layers), *rest])
        case ["gate", layer, *rest]:
            return ".".join(["gate", str(int(layer) + dense_layers), *rest])
        case _:
            return name


def _in_dense(
    folder: CheckpointFolder, family: DenseFamily, name: str, shape: tuple[int, ...]
) -> Place:
    """Return the place of a stored tensor, of its block, in a folder of a dense model."""
    places = [Place(folder, file_name, shape) for file_name in family.file_names(name)]
    return next((place for place in places if place.exists), places[0])


def _mixture_name(name: str) -> str:
    """Return what a stored tensor is called in a Mixtral's files."""
    match name.split("."):
        case ["expert", expert, layer, matrix, "weight"]:
            block = f"model.layers.{layer}.block_sparse_moe"
            return f"{block}.experts.{expert}.{MATRICES[matrix]}.weight"
        case ["gate", layer, "weight"]:
            return f"model.layers.{layer}.block_sparse_moe.gate.weight"
        case _:
            return name


def _found(
    config: ModelConfig, folders: list[CheckpointFolder], name: str, shape: tuple[int, ...]
) -> Place:
    """Return the place of a stored tensor: in dense models, or in a mixture of either layout.

    Where a mixture's experts are fused, gate rows come first in ``gate_up_proj`` (E, 2 inner,
    hidden), up rows second.
    """
    if (family := kind_of(config.kind).merged) is not None:
        # As experts are at home in clusters in turn, so are they made of checkpoints.
        folder = folders[(expert_of(name) or 0) % len(folders)]
        return _in_dense(folder, family, name, shape)
    split = Place(folders[0], _mixture_name(name), shape)
    fused = split
    match name.split("."):
        case ["model", "layers", _, "mlp", _, "weight"]:
            return Place(folders[0], dense_name(name), shape)
        case ["expert", expert, layer, "down", "weight"]:
            path = f"model.layers.{layer}.mlp.experts.down_proj"
            fused = Place(folders[0], path, (config.experts, *shape), (int(expert),))
        case ["expert", expert, layer, matrix, "weight"]:
            path, (inner, hidden) = f"model.layers.{layer}.mlp.experts.gate_up_proj", shape
            rows = slice(0, inner) if matrix == "gate" else slice(inner, 2 * inner)
            whole = (config.experts, 2 * inner, hidden)
            fused = Place(folders[0], path, whole, (int(expert), rows))
        case ["gate", layer, "weight"]:
            fused = Place(folders[0], f"model.layers.{layer}.mlp.gate.weight", shape)
    return fused if fused.exists and not split.exists else split


def _check_kept(place: Place) -> None:
    stored = place.folder.file(place.name).get_slice(place.name)
    found = tuple(stored.get_shape())
    kept = stored.get_dtype()
    if found != place.shape:
        raise ValueError(
            f"{place.folder.folder}: {place.name} has the shape {found}, but the model "
            f"{place.shape}; use a checkpoint of the model's own sizes"
        )
    if kept not in FORMATS:
        raise ValueError(
            f"{place.folder.folder}: {place.name} is kept as {kept}, quantised; use the "
            "checkpoint in bfloat16, float16 or float32"
        )
