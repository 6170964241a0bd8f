"""Memory of training in this process: parameters times copies, and one term of activations.

Both are counted from sizes alone, without torch. What is computed at once follows from the same
sizes: samples of an evaluation, and of a step of what the server trains before time begins.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from learning.architecture.costs import Architecture, architecture
from learning.architecture.kinds import EMBEDDED, kind_of
from learning.files import HUB, files_under
from learning.settings import LearningConfig

EXPERT_BATCH_SIZE, DENSE_BATCH_SIZE = 16, 32
"""Samples in a step of the server's pre-training: of an expert, and of a dense model."""
PRETRAINING_BYTES = float(1 << 30)
"""Activations of a step of the server's pre-training that are in memory together, at most, unless
one sample has more."""
LARGEST_OF_BLOCKS = 1 << 30
"""Most bytes that are kept of what blocks without experts make of some samples, of each client and
test set."""
BATCH_SAMPLES = 512
BATCH_TOKENS = 32_768
"""Most samples, or tokens, that are evaluated at once."""
SINGLE_BYTES = 4
"""Bytes of a number in single precision: what is trained and added up has no fewer."""
DEVICE_COPIES = 2
"""Copies of what a device trains: as it is, and as it was or will be sent."""
DATA_COPIES = 4
"""Copies of the data: as they are read, as arrays, and as tensors of devices and of tests."""


@dataclass(frozen=True)
class Footprint:
    """Bytes that training takes: of the ``model`` as it starts, of ``copies`` of what is trained of
    it, of ``activations`` at once, and of the ``data``.

    The model has so many ``parameters``, of which a device trains ``trained`` at most.
    """

    model: float
    copies: float
    activations: float
    data: float
    parameters: int
    trained: int


def footprint(
    config: LearningConfig, *, cycles: int, versions: int, own_experts: bool
) -> Footprint:
    """Return the memory that training by ``config`` takes.

    The server's model changes in so many ``cycles``, and devices refer to so many ``versions`` of
    it at most. With ``own_experts`` each cluster trains its own, else all of them.
    """
    sizes = architecture(config)
    each = config.model.experts_per_checkpoint
    equal = sizes.experts * (each - 1) // each  # those of a checkpoint are one tensor
    held = sizes.parameters - equal * sizes.expert_parameters
    experts = -(-sizes.experts // len(config.devices)) if own_experts else sizes.experts
    trained = experts * sizes.tuned_parameters + sizes.shared_parameters
    trained += sizes.personal_parameters
    of_devices = sum(config.devices) * trained
    number_bytes = max(sizes.native_bytes, SINGLE_BYTES)
    changed = (sizes.experts * sizes.expert_parameters + sizes.shared_parameters) * number_bytes
    if config.model.lora.rank is not None and sizes.native_bytes < SINGLE_BYTES:
        # Factors that are added to matrices of sixteen bits, until these would be larger.
        changed = min(changed, cycles * of_devices * sizes.native_bytes)
    devices = (DEVICE_COPIES + len(config.optimizer.slots)) * of_devices * number_bytes
    return Footprint(
        model=float(held * sizes.native_bytes),
        copies=float(versions * changed + devices),
        activations=_activations(config, sizes),
        data=float(DATA_COPIES * sum(_data_files(config))),
        parameters=sizes.parameters,
        trained=trained,
    )


def _activations(config: LearningConfig, sizes: Architecture) -> float:
    """Return what a step keeps for its gradient, or what an evaluation has at once."""
    tokens = sizes.rows.sequences * sizes.rows.tokens
    at_once = config.samples_at_once
    active = config.model.top_k
    if not kind_of(config.model.kind).is_text:  # all devices of a cluster in one batch
        at_once *= max(config.devices)
        active = sizes.experts
    step = at_once * _sample_bytes(config, sizes, active, kept=True)
    tested = min(rows_at_once(tokens), _tests(config))
    return max(step, tested * _sample_bytes(config, sizes, active, kept=False))


def _tests(config: LearningConfig) -> int:
    """Count the samples that are tested; those of a library are few."""
    if config.data.kind in EMBEDDED:
        return 0
    from learning.data import load_samples

    samples = load_samples(config)
    tests = (*samples.test.values(), *samples.validation.values())
    return sum({id(one.x): len(one.y) for one in tests}.values())


def _sample_bytes(config: LearningConfig, sizes: Architecture, active: int, *, kept: bool) -> float:
    """Return the bytes of one sample's activations.

    ``kept`` are those of all blocks for a gradient, or the inputs of blocks that are recomputed
    and one block; else there is one block at a time.
    """
    numbers = float(sizes.activations(active))
    blocks = max(config.model.layers or 1, 1)
    if not kept:
        numbers /= blocks
    elif config.checkpoint_activations:
        numbers = blocks * config.model.hidden + numbers / blocks
    return numbers * sizes.rows.sequences * sizes.rows.tokens * sizes.native_bytes


def _data_files(config: LearningConfig) -> list[int]:
    local = [name for name in config.data.named if not name.startswith(HUB)]
    return [file.stat().st_size for name in local for file in files_under(name)]


def rows_at_once(tokens: int) -> int:
    """Return how many samples of so many ``tokens`` are evaluated at once."""
    return max(1, min(BATCH_SAMPLES, BATCH_TOKENS // tokens))


Pretrained = Literal["dense", "expert", "gate"]
"""What the server trains before time begins: see :class:`learning.settings.Pretraining`."""


def pretrained_at_once(config: LearningConfig, what: Pretrained) -> int:
    """Return how many samples of a step the server pre-trains by at a time.

    Only those of text models are so large that they are not taken together.
    """
    asked = config.pretraining
    sizes = {"dense": DENSE_BATCH_SIZE, "expert": EXPERT_BATCH_SIZE, "gate": asked.gate_batch}
    size = sizes[what]
    if not kind_of(config.model.kind).is_text:
        return size
    active = config.model.experts if what == "gate" else 1
    kept = what != "gate" or asked.gate_loss == "task"
    each = _sample_bytes(config, architecture(config), active, kept=kept)
    return max(1, min(size, config.micro_batch or size, int(PRETRAINING_BYTES // each)))
