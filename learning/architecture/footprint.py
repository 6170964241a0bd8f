"""Memory of training in this process, estimated from sizes alone."""

from __future__ import annotations

from typing import Literal, NamedTuple

from learning.architecture.costs import Architecture, architecture
from learning.architecture.kinds import BYTES, EMBEDDED, kind_of, pretraining_of, text_shape
from learning.data.samples import FederatedSamples
from learning.data.table import HUB
from learning.files import files_under
from learning.settings import LearningConfig

SINGLE_BYTES = 4
"""What is trained, remembered and added up is kept in single precision at least."""
STATE_COPIES = {"together": 3.0, "factors": 1.5, "whole": 2.5}
"""Copies of what devices train: their own, and what a step and an upload make of it."""
SLOT_COPIES = 2
"""Copies of what an optimiser remembers of it: before a training and after it."""
VERSIONS = 2
"""Copies of what a server changes: the version that devices refer to, and the next one."""
ACTIVATION_COPIES = {"together": 1.5, "factors": 1.1, "whole": 1.1}
"""Copies of the activations of a step: inputs and outputs, and what is derived from them."""
RECOMPUTED = 1.25
KEPT = 2
"""Copies of one layer's activations, and of each layer's input, where layers are recomputed."""
EXPERT_BATCH_SIZE, DENSE_BATCH_SIZE = 16, 32
"""Samples in a step of the server's pre-training: of an expert, and of a dense model."""
PRETRAINING_BYTES = float(1 << 30)
"""Activations of a step of the server's pre-training that are in memory together, at most, unless
one sample has more."""
LOGIT_COPIES = 3
"""Copies of the logits of a test set: of its batches, joined, and for the loss."""
DATA_COPIES = 4
"""Copies of the data: as they are read, as arrays, and as tensors of devices and of tests."""


LARGEST_OF_BLOCKS = 1 << 29
"""Most numbers that are kept of what blocks without experts make of some samples, of each client
and test set: 1 GiB in sixteen bits."""
LOGITS_AT_ONCE = 1 << 24
"""Logits of next tokens that are computed together, about, where they are not kept: 64 MiB."""
NEXT_TOKEN_COPIES = 3
"""Copies of the logits of next tokens: as they are, for the loss, and their gradient."""


class Footprint(NamedTuple):
    """Bytes of the model, what devices train, one training step, one evaluation, and the data.

    ``pretraining`` is one step of what the server trains before time begins. Each includes all
    copies; ``parameters`` and ``trained`` (of one device), ``tested`` (the samples of the largest
    test or validation set) and ``classes`` are counts.
    """

    model: float
    state: float
    step: float
    pretraining: float
    evaluation: float
    data: float
    parameters: int
    trained: int
    tested: int
    classes: int


def footprint(config: LearningConfig, cycles: int) -> Footprint:
    """Return the memory that training by ``config`` takes over so many ``cycles``."""
    sizes = architecture(config)
    model = config.model
    number_bytes = max(sizes.native_bytes, SINGLE_BYTES)
    trained = sizes.experts * sizes.tuned_parameters + sizes.shared_parameters
    state_bytes = float(sum(config.devices) * trained * number_bytes)
    moved_bytes = float((sizes.experts * sizes.expert_parameters or trained) * number_bytes)
    way = "whole" if model.lora.rank is None else "factors"
    server = min(cycles, VERSIONS) * moved_bytes
    if way == "factors" and number_bytes > sizes.native_bytes:
        # What is added to a matrix of sixteen bits stays factors, as long as these are smaller.
        server = min(VERSIONS * max(cycles - 1, 0) * state_bytes, server)
    tokens = config.samples_at_once * sizes.rows.sequences * sizes.rows.tokens
    if kind_of(model.kind).is_text:  # device by device
        activations = _activations(config, sizes, model.top_k)
    else:  # all devices of a cluster in one batch, in which every token runs through every expert
        way = "together"
        tokens = max(config.devices) * tokens
        activations = sizes.activations(sizes.experts)
    tested = classes = 0  # the data sets of a library are small
    kept = 0.0
    if config.data.kind not in EMBEDDED:
        from learning.data import load_samples

        samples = load_samples(config)
        sets = (*samples.test.values(), *samples.validation.values())
        kept = _below_experts(config, sizes, samples)
        tested = max(len(one.y) for one in sets)
        classes = samples.spec.classes
    local = [name for name in config.data.named if not name.startswith(HUB)]
    data_bytes = sum(file.stat().st_size for name in local for file in files_under(name))
    logits = LOGIT_COPIES
    if kind_of(config.model.kind).expert_per_device:
        # Each expert answers all samples of a test set, before their answers are mixed.
        logits += sizes.experts
    copies = STATE_COPIES[way] + SLOT_COPIES * len(config.optimizer.slots)
    return Footprint(
        evaluation=logits * tested * classes * max(sizes.native_bytes, BYTES["float32"])
        + _next_token_logits(config, tested * sizes.rows.tokens, kept=False),
        tested=tested,
        classes=classes,
        model=sizes.parameters * sizes.native_bytes + server,
        state=copies * state_bytes,
        step=ACTIVATION_COPIES[way] * tokens * activations * sizes.native_bytes
        + _next_token_logits(config, tokens),
        pretraining=_of_pretraining(config, sizes),
        data=DATA_COPIES * data_bytes + kept,
        parameters=sizes.parameters,
        trained=trained,
    )


def _below_experts(config: LearningConfig, sizes: Architecture, samples: FederatedSamples) -> float:
    """Return what is kept of what the blocks of a text model make that have no experts."""
    kind = kind_of(config.model.kind)
    if not kind.is_text or (config.trains_backbone and not kind.head_alone):
        return 0.0
    if not text_shape(config.model).dense_layers:
        return 0.0
    shards = [sum(len(part.y) for part in own) for own in samples.shards.values()]
    sets = (*samples.test.values(), *samples.validation.values())
    counts = [*shards, *(len(own.y) for own in {id(own): own for own in sets}.values())]
    numbers = sizes.rows.sequences * sizes.rows.tokens * config.model.hidden
    fits = (count * numbers for count in counts if count * numbers <= LARGEST_OF_BLOCKS)
    return float(sum(fits) * sizes.native_bytes)


def _next_token_logits(config: LearningConfig, tokens: int, *, kept: bool = True) -> float:
    """Return what the logits of so many tokens take where each next one is learnt.

    They are ``kept`` for gradients, unless layers are recomputed.
    """
    if config.data.objective != "next_token":
        return 0.0
    logits = tokens * config.model.vocabulary
    if config.checkpoint_activations or not kept:
        logits = min(logits, LOGITS_AT_ONCE)
    return float(NEXT_TOKEN_COPIES * logits * SINGLE_BYTES)


def _activations(config: LearningConfig, sizes: Architecture, experts: int) -> float:
    """Return the numbers that a step of a text model keeps for a token through so many experts."""
    kept: float = sizes.activations(experts)
    if config.checkpoint_activations:
        kept *= RECOMPUTED / config.model.layers
        kept += KEPT * config.model.layers * config.model.hidden
    return kept


class _Taken(NamedTuple):
    """How the server pre-trains: samples in a step, experts that each token runs through, and
    whether their activations are kept for gradients."""

    size: int
    experts: int
    kept: bool


Pretrained = Literal["dense", "expert", "gate"]
"""What the server trains before time begins: see :class:`learning.settings.Pretraining`."""


def _taken(config: LearningConfig, what: Pretrained) -> _Taken:
    if what == "gate":
        asked = config.pretraining
        return _Taken(asked.gate_batch, config.model.experts, asked.gate_loss == "task")
    return _Taken(EXPERT_BATCH_SIZE if what == "expert" else DENSE_BATCH_SIZE, 1, kept=True)


def _sample_bytes(config: LearningConfig, sizes: Architecture, taken: _Taken) -> float:
    """Return what one sample of a text model takes in a step of pre-training."""
    if taken.kept:
        numbers = _activations(config, sizes, taken.experts)
    else:  # what each gate is given, and one layer at a time
        layers = max(config.model.layers, 1)
        numbers = sizes.activations(taken.experts) / layers + layers * config.model.hidden
    tokens = sizes.rows.sequences * sizes.rows.tokens
    return ACTIVATION_COPIES["whole"] * tokens * numbers * sizes.native_bytes


def pretrained_at_once(config: LearningConfig, what: Pretrained) -> int:
    """Return how many samples of a step the server pre-trains by at a time.

    Only those of text models are so large that they are not taken together.
    """
    taken = _taken(config, what)
    if not kind_of(config.model.kind).is_text:
        return taken.size
    fitting = int(PRETRAINING_BYTES // _sample_bytes(config, architecture(config), taken))
    return max(1, min(taken.size, config.micro_batch or taken.size, fitting))


def _of_pretraining(config: LearningConfig, sizes: Architecture) -> float:
    """Return what a step of the server's pre-training takes at most, of a text model."""
    steps = pretraining_of(config)
    if not kind_of(config.model.kind).is_text:
        return 0.0
    wanted: dict[Pretrained, int] = {
        "dense": 0 if config.model.checkpoints else steps.backbone_steps,
        "expert": steps.expert_steps,
        "gate": steps.gate_steps,
    }
    asked = [what for what, count in wanted.items() if count and config.model.experts]
    return max(
        (
            pretrained_at_once(config, what) * _sample_bytes(config, sizes, _taken(config, what))
            for what in asked
        ),
        default=0.0,
    )
