"""The constants of a model that is made without memory."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor, nn

from learning.config import ModelConfig
from learning.data.samples import InputSpec
from learning.models.interface import Maker
from learning.models.making import make_model, refusal
from learning.models.moe import Residency

SEEDS = (1, 2)


def place_buffers(
    model: nn.Module,
    maker: Maker,
    config: ModelConfig,
    spec: InputSpec,
    here: Residency,
    device: str,
    dtype: torch.dtype,
) -> None:
    """Put real buffers on ``device`` in place of those that ``model`` has shapes of only.

    Those are computed in the format ``dtype`` of the weights where they are no integers; buffers
    that are real already keep their own. Raises :class:`ValueError` for random ones.
    """
    buffers = dict(model.named_buffers(remove_duplicate=False))
    known: dict[str, Tensor] = {}
    if any(buffer.is_meta for buffer in buffers.values()):
        known = _constants(maker, config, spec, here)
    for path, buffer in buffers.items():
        parent, _, name = path.rpartition(".")
        real = known[path] if buffer.is_meta else buffer
        new = dtype if buffer.is_meta and real.is_floating_point() else real.dtype
        setattr(model.get_submodule(parent), name, real.to(device, new))


@lru_cache(maxsize=16)
def _constants(
    maker: Maker, config: ModelConfig, spec: InputSpec, here: Residency
) -> dict[str, Tensor]:
    """Return the buffers of a model that is made in memory, for that once.

    It is made from two seeds: devices hold different experts, so that draws would differ too.
    """
    first, second = (_made_from(seed, maker, config, spec, here) for seed in SEEDS)
    for path, buffer in first.items():
        if not torch.equal(buffer, second[path]):
            raise refusal(
                config.kind,
                f"draws its buffer {path!r} at random; draw it from a torch.Generator of its own "
                "seed, or make it a parameter",
            )
    return first


def _made_from(
    seed: int, maker: Maker, config: ModelConfig, spec: InputSpec, here: Residency
) -> dict[str, Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return dict(make_model(maker, config, spec, here).named_buffers(remove_duplicate=False))
