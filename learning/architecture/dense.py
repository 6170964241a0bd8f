"""Dense models of blocks: their shapes, their families, and the config.json that says which.

The feed-forward networks of dense models become experts: of several models, merged, or of one,
upcycled (Komatsuzaki et al., ICLR 2023).
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self

from learning.architecture.shapes import ModelTensors
from learning.files import HUB, read_object
from learning.settings import ModelConfig

MOST = 100_000_000
MOST_LAYERS = 1_000
MOST_EXPERTS = 10_000
"""Far above any published model: larger numbers mean a broken file."""


@dataclass(frozen=True, kw_only=True)
class BlockShape:
    """A model of ``layers`` blocks of attention and a mixture of feed-forward networks.

    The first ``dense_layers`` blocks have one feed-forward network as wide as an expert, and no
    gate. It has seen texts of as many tokens as it has ``positions``. In training a feed-forward
    network keeps ``kept_wide`` numbers for each of its hidden units.
    """

    kept_wide: ClassVar[int]

    hidden: int
    expert_hidden: int
    layers: int
    heads: int
    kv_heads: int
    vocabulary: int
    experts: int
    top_k: int
    positions: int
    dense_layers: int = 0

    def with_experts_in(self, last: int | None) -> Self:
        """Return the same with experts in so many of the last blocks alone; None for all.

        Raises ValueError for more blocks than there are.
        """
        if last is None:
            return self
        if last > self.layers:
            raise ValueError(
                f"learning.model.moe_layers: got {last}; the model has {self.layers} layers"
            )
        return replace(self, dense_layers=self.layers - last)

    @abstractmethod
    def tensors(self, classes: int | None) -> ModelTensors:
        """Return its tensors as a classifier of ``classes``; None where the data are not there."""


@dataclass(frozen=True)
class DenseFamily:
    """Dense models of one architecture, whose feed-forward networks can be experts.

    ``types`` are its names in config.json. ``read`` returns the shape of a folder with so many
    experts and top_k. Models have ``same`` in common to be merged. ``network`` names the tensors of
    a feed-forward network. ``file_names`` returns what files may call a tensor of a model, whose
    stored name has the number of its block.
    """

    types: tuple[str, ...]
    read: Callable[[Path, tuple[int, int]], BlockShape]
    same: tuple[str, ...]
    network: tuple[str, ...]
    file_names: Callable[[str], tuple[str, ...]]


def merged_shape(config: ModelConfig, family: DenseFamily) -> BlockShape:
    """Return the shape of dense models whose networks are experts: that of the first, if all fit.

    Each is as many experts as ``config.experts_per_checkpoint``, which are equal.
    """
    checkpoints = config.checkpoints
    if not checkpoints:
        raise ValueError(f"kind {config.kind!r} needs checkpoints: folders of dense models")
    held = len(checkpoints) * config.experts_per_checkpoint, config.top_k
    if config.top_k > held[0]:
        raise ValueError(
            f"learning.model.top_k: got {config.top_k}; {len(checkpoints)} x "
            f"{config.experts_per_checkpoint} experts (checkpoints x experts_per_checkpoint) are "
            f"{held[0]}, and a token goes to no more"
        )
    shapes = [family.read(Path(place), held) for place in checkpoints]
    for place, shape in zip(checkpoints, shapes, strict=True):
        for key in family.same:
            first = getattr(shapes[0], key)
            other = getattr(shape, key)
            if first != other:
                raise ValueError(
                    f"{place}: {key} is {other}, but {first} in {checkpoints[0]}; dense models "
                    "must have the same shape to be put together: all of one base model"
                )
    return shapes[0]


# What a config.json says.


def refuse_gguf(place: Path) -> None:
    """Raise ValueError for a GGUF file, and for a folder that holds one and no safetensors."""
    is_one = place.suffix == ".gguf" and place.is_file()
    found = [place] if is_one else sorted(place.glob("*.gguf"))
    if found and not any(place.glob("*.safetensors")):
        raise ValueError(
            f"{place}: holds GGUF ({found[0].name}), which cannot be trained; use the model's "
            "safetensors, or write them by transformers, as examples/real_models/fetch.py does"
        )


def refuse_hub(place: Path) -> None:
    """Raise ValueError for a name on the hub: a run downloads nothing."""
    if str(place).startswith(HUB):
        raise ValueError(
            f"{place}: is on the hub, and a run downloads nothing; fetch it once by hf download "
            f"{str(place).removeprefix(HUB)} --local-dir FOLDER, and name that folder"
        )


def check_folder(place: Path) -> None:
    """Raise ValueError for what is no local folder of a checkpoint."""
    refuse_hub(place)
    refuse_gguf(place)
    if not place.is_dir():
        raise ValueError(f"{place}: no such folder; name a local folder with config.json")


def read_config(folder: Path) -> dict[str, Any]:
    """Return a checkpoint's config.json; raise ValueError where there is none that can be read."""
    check_folder(folder)
    path = folder / "config.json"
    if not path.is_file():
        raise ValueError(f"{folder}: no checkpoint (it has no config.json)")
    return read_object(path)


def refuse_type(folder: Path, config: Mapping[str, Any], types: tuple[str, ...]) -> None:
    """Raise ValueError for a model of another architecture than ``types``, or a quantised one."""
    kind = config.get("model_type")
    if kind not in types:
        raise ValueError(
            f"{folder}: model_type is {kind!r}; only {' or '.join(types)} is read, others by a "
            "model of your own (docs/your-own.md)"
        )
    if config.get("quantization_config") is not None:
        raise ValueError(
            f"{folder / 'config.json'}: quantization_config says that the weights are quantised; "
            "use the checkpoint in bfloat16, float16 or float32"
        )


def refuse_other(folder: Path, config: Mapping[str, Any], usual: Mapping[str, object]) -> None:
    """Raise ValueError for a key that has another value than the ``usual`` one, which is read."""
    for key, plain in usual.items():
        if config.get(key, plain) not in (plain, None):
            raise ValueError(f"{folder}: {key} is {config[key]!r}; only {plain!r} is read")


def number_in(
    folder: Path, config: Mapping[str, Any], key: str, default: int | None = None, most: int = MOST
) -> int:
    """Return a count that a config.json gives; raise ValueError for anything else."""
    value = config.get(key)
    value = default if value is None else value
    if type(value) is not int or not 1 <= value <= most:
        raise wrong_value(folder, key, value, f"a whole number from 1 to {most}")
    return value


def wrong_value(folder: Path, key: str, value: object, wanted: str) -> ValueError:
    """Return the error of a value in a config.json."""
    return ValueError(f"{folder / 'config.json'}: {key} is {value!r:.60}; must be {wanted}")


def positive(folder: Path, key: str, value: object) -> float:
    """Return a ``value`` that a config.json gives; raise ValueError if it is no number above 0."""
    if not is_positive(value):
        raise wrong_value(folder, key, value, "a number above 0")
    return float(value)  # type: ignore[arg-type]


def is_positive(value: object) -> bool:
    """Whether a JSON value is a finite number above 0."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and 0 < value < math.inf  # type: ignore[operator]
