"""Memory that training takes in this process, from sizes alone: nothing is loaded to tell."""

from __future__ import annotations

from dataclasses import dataclass

from learning.config import LearningConfig
from learning.costs import Architecture
from learning.data.files import HUB
from learning.shapes import TEXT_KINDS
from learning.stamps import files_under

MODEL_COPIES = 2
"""Copies of the whole model: as it was drawn, and as it stands at the server."""
STATE_COPIES = 3
"""Copies of what a device trains: its own, the gradients, and what it offers."""
ACTIVATION_COPIES = 1.5
"""What a step keeps of its activations: inputs and outputs once, and what is worked out of them."""
DATA_COPIES = 4
"""Copies of the data: as they are read, as arrays, and as tensors of devices and of tests."""


@dataclass(frozen=True)
class Footprint:
    """Bytes of the model, of what devices train, of one training step, and of the data.

    Each is with all its copies; ``parameters`` and ``trained`` (of one device) are counts.
    """

    model: float
    state: float
    step: float
    data: float
    parameters: int
    trained: int


def footprint(config: LearningConfig, sizes: Architecture) -> Footprint:
    """Return what training by ``config`` takes."""
    trained = sizes.experts * sizes.tuned_parameters + sizes.shared_parameters
    parameters = sizes.experts * sizes.expert_parameters + sizes.gate_parameters
    parameters += sizes.backbone_parameters
    tokens = config.batch_size * sizes.rows.sequences * sizes.rows.tokens
    if config.model.kind in TEXT_KINDS:  # device by device
        at_once = tokens * sizes.activations(sizes.top_k)
    else:  # all devices of a cluster in one batch, in which every token runs through every expert
        at_once = max(config.devices) * tokens * sizes.activations(sizes.experts)
    return Footprint(
        model=float(MODEL_COPIES * parameters * sizes.native_bytes),
        state=float(STATE_COPIES * sum(config.devices) * trained * sizes.native_bytes),
        step=float(ACTIVATION_COPIES * at_once * sizes.native_bytes),
        data=float(DATA_COPIES * _data_bytes(config)),
        parameters=parameters,
        trained=trained,
    )


def _data_bytes(config: LearningConfig) -> int:
    """Bytes of the files that are learnt from; data sets that come with a library are small."""
    named = [config.data.path, *(path for _, path in config.data.paths)]
    local = [name for name in named if name is not None and not name.startswith(HUB)]
    return sum(file.stat().st_size for name in local for file in files_under(name))
