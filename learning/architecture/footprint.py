"""Memory of training in this process: a sum of parts, each of which says when it is there.

Parts are counted from sizes alone, without torch. What is there together is added up; a run takes
what the largest of its phases does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from learning.architecture.costs import Architecture, architecture
from learning.architecture.kinds import (
    BYTES,
    EMBEDDED,
    kind_of,
    precision_of,
    pretraining_of,
    text_shape,
    trains_blocks,
)
from learning.architecture.text_memory import SINGLE_BYTES, TextMemory
from learning.data.samples import FederatedSamples
from learning.files import HUB, files_under
from learning.hardware import MOST_KERNELS
from learning.settings import LearningConfig

When = Literal["always", "later", "before", "embedding", "training", "evaluating", "writing"]
"""When a part is in memory: all the time; from when time begins; only before that; while blocks
below the experts run once; while a device trains; in an evaluation; or while the trained model is
written."""
PHASES: Mapping[When, str] = {
    "before": "before time begins",
    "embedding": "while blocks below the experts run once",
    "training": "while a device trains",
    "evaluating": "in an evaluation",
    "writing": "while the model is written",
}
"""All phases by their words."""


def is_there(when: When, phase: When) -> bool:
    """Whether what is in memory ``when`` that is so is there in a phase."""
    return when in ("always", phase) or (when == "later" and phase != "before")


class Part(NamedTuple):
    """What takes so many ``bytes``, and ``when``."""

    name: str
    bytes: float
    when: When = "always"


@dataclass(frozen=True)
class Footprint:
    """The parts of what training takes, and counts that they come from.

    ``parameters`` and ``trained`` (of one device at most), ``tested`` (the samples of the largest
    test or validation set) and ``classes`` are counts.
    """

    parts: tuple[Part, ...]
    parameters: int
    trained: int
    tested: int
    classes: int

    def of(self, *names: str) -> float:
        """Return the bytes of the parts of these names."""
        return sum(part.bytes for part in self.parts if part.name in names)


@dataclass(frozen=True)
class Federation:
    """Who trains what, and how often: so many ``cycles``.

    With ``own_experts`` every expert is trained by one cluster, else by all of them. Clusters that
    are merged ``in_turn`` each hold another version of the server's model; else a round makes one.
    Of experts of their own only one cluster's change at a time. While the devices of a cluster
    train, so many others are ``waiting`` at most: they have trained and will do so again. Those of
    a cluster whose last contact is over hold nothing. Devices train ``again``, some ``in_gaps``
    between two contacts.
    """

    cycles: int
    own_experts: bool = False
    in_turn: bool = True
    waiting: int = 0
    again: bool = True
    in_gaps: bool = False


KERNELS = "kernels of products"
MODEL, ADDED, STATES = "the model", "what the server has changed", "what devices train"
MERGED = "the server's next version"
LOADING, PRETRAINING = "reading the model", "the server's pre-training"
EMBEDDING, STEP = "the blocks below the experts", "one training step"
EVALUATION, LOGITS = "one evaluation", "the logits of an evaluation"
WRITING, DATA = "the file of the model", "the data"

TOGETHER_COPIES = 3
"""Copies of what is trained that devices hold which are trained together."""
WAITING_COPIES = {"factors": 1.5, "whole": 2.0}
"""Copies of it that waiting devices hold: factors of the last upload and a fresh A; else whole
tensors as they were trained, and the update that was made of them."""
ACTIVATION_COPIES = 1.5
"""Copies of the activations of devices that train together: and what is derived from them."""
VERSIONS = 2
"""Copies of what one cluster changes: the version that devices refer to, and the next one."""
EXPERT_BATCH_SIZE, DENSE_BATCH_SIZE = 16, 32
"""Samples in a step of the server's pre-training: of an expert, and of a dense model."""
PRETRAINING_BYTES = float(1 << 30)
"""Activations of a step of the server's pre-training that are in memory together, at most, unless
one sample has more."""
LOGIT_COPIES = 3
"""Copies of the logits of a test set: of its batches, joined, and for the loss."""
TIMES_SPREAD = 2
"""Standard deviations above the mean that are counted of what differs between minibatches."""
DATA_COPIES = 4
"""Copies of the data: as they are read, as arrays, and as tensors of devices and of tests."""
LARGEST_OF_BLOCKS = 1 << 30
"""Most bytes that are kept of what blocks without experts make of some samples, of each client and
test set."""
BATCH_SAMPLES = 512
BATCH_TOKENS = 32_768
"""Most samples, or tokens, that are evaluated at once."""
KERNEL_BYTES = 2 << 20
"""What a kernel of sixteen-bit products takes on a CPU in torch's cache and in oneDNN's own."""


def footprint(config: LearningConfig, federation: Federation) -> Footprint:
    """Return the memory that training by ``config`` takes."""
    sizes = architecture(config)
    found = _Samples.of(config, sizes)
    trained = _trained(config, sizes, federation)
    makers = (
        _of_model(config, sizes),
        _of_server(config, sizes, federation),
        [Part(STATES, _state_bytes(config, sizes, federation), "later")],
        _of_pretraining(config, sizes),
        _of_training(config, sizes, federation, found),
        _of_evaluation(config, sizes, found),
        _of_data(config, sizes, found),
    )
    return Footprint(
        parts=tuple(part for parts in makers for part in parts if part.bytes),
        parameters=sizes.parameters,
        trained=trained,
        tested=found.largest_test,
        classes=found.classes,
    )


class _Samples(NamedTuple):
    """Counts of samples: of the largest test set, of all tests, of each set that is kept, and of
    the largest cluster; and how many tokens a language model's head predicts in each of them."""

    largest_test: int
    tests: int
    sets: tuple[int, ...]
    shards: int
    classes: int
    predicted: NDArray[np.int64]

    @classmethod
    def of(cls, config: LearningConfig, sizes: Architecture) -> _Samples:
        """Count the samples of a task; those of a library are few."""
        if config.data.kind in EMBEDDED:
            return cls(0, 0, (), 0, 0, np.zeros(1, np.int64))
        from learning.data import load_samples

        samples = load_samples(config)
        tests = (*samples.test.values(), *samples.validation.values())
        distinct = {id(one.x): len(one.y) for one in tests}
        shards = [sum(len(part.y) for part in own) for own in samples.shards.values()]
        return cls(
            largest_test=max(len(one.y) for one in tests),
            tests=sum(distinct.values()),
            sets=(*shards, *distinct.values()),
            shards=max(shards),
            classes=samples.spec.classes,
            predicted=_predicted(samples),
        )

    def predicted_in(self, count: int) -> int:
        """Return how many tokens are predicted in so many samples: seldom more, as these vary."""
        spread = TIMES_SPREAD * np.sqrt(count) * self.predicted.std()
        return int(min(count * self.predicted.mean() + spread, count * self.predicted.max()))


def _predicted(samples: FederatedSamples) -> NDArray[np.int64]:
    """Return how many tokens a language model's head predicts in each training sample."""
    held = [part.x for own in samples.shards.values() for part in own]
    match samples.spec.form:
        case "next_token":
            return np.concatenate([(x[:, 1:] >= 0).sum(1) for x in held])
        case "choices":
            return np.concatenate([(x[:, :, 1] == 1).sum((1, 2)) for x in held])
        case _:
            return np.zeros(1, np.int64)


def _trained(config: LearningConfig, sizes: Architecture, federation: Federation) -> int:
    """Return how many numbers a device trains at most."""
    experts = sizes.experts
    if federation.own_experts:
        experts = -(-experts // len(config.devices))
    return experts * sizes.tuned_parameters + sizes.shared_parameters


def _is_text(config: LearningConfig) -> bool:
    return kind_of(config.model.kind).is_text


def _way(config: LearningConfig) -> Literal["together", "factors", "whole"]:
    """Return how devices are trained: all of a cluster together, or a text model's one by one."""
    if not _is_text(config):
        return "together"
    return "whole" if config.model.lora.rank is None else "factors"


def _single(sizes: Architecture) -> int:
    """Return the bytes of a number that is trained, remembered or added up."""
    return max(sizes.native_bytes, SINGLE_BYTES)


def _of_model(config: LearningConfig, sizes: Architecture) -> Iterator[Part]:
    each = config.model.experts_per_checkpoint
    equal = sizes.experts * (each - 1) // each  # those of a checkpoint are one tensor
    numbers = sizes.parameters - equal * sizes.expert_parameters
    yield Part(MODEL, float(numbers * sizes.native_bytes))
    if sizes.native_bytes < SINGLE_BYTES and config.device in ("cpu", "auto"):
        yield Part(KERNELS, float(MOST_KERNELS * KERNEL_BYTES))
    if config.model.checkpoints:
        stored = precision_of(replace(config, precision="auto"))
        if stored != precision_of(config):  # else the tensors are the files, mapped
            yield Part(LOADING, float(numbers * BYTES[stored]), "before")


def _of_server(
    config: LearningConfig, sizes: Architecture, federation: Federation
) -> Iterator[Part]:
    """What the server has changed so far: factors beside matrices of sixteen bits, else copies."""
    held, most = _versions(len(config.devices), federation)
    whole = float(sizes.experts * sizes.expert_parameters * _single(sizes))
    shared = sizes.shared_parameters * _single(sizes)
    one = whole
    less = 0.0
    if _way(config) == "factors" and sizes.native_bytes < SINGLE_BYTES:
        added = _added_bytes(config, sizes, federation)
        if added < whole:  # each version has an update less than the next one
            one = added
            each = len(config.devices) if federation.in_turn and not federation.own_experts else 1
            less = 1 / (2 * federation.cycles * each)

    def taken(versions: float) -> float:
        return (versions - less * versions * max(versions - 1, 0)) * one + versions * shared

    yield Part(ADDED, taken(held), "later")
    yield Part(MERGED, taken(most) - taken(held), "evaluating")
    # A file is beside the server's model, which is one of the versions if there are any.
    written = min(held, 1.0) if federation.own_experts else 1.0 + max(1.0 - held, 0.0)
    in_file = written * (one + shared) + _written_bytes(config, sizes)
    yield Part(WRITING, in_file, "writing")


def _versions(clusters: int, federation: Federation) -> tuple[float, float]:
    """Return how many versions of what the server changes there are: in training, and at most.

    The start is not one of them, nor are those of clusters that have ended. Most are there when an
    update has been added to the newest, and until its clients refer to another one.
    """
    cycles = federation.cycles
    if federation.own_experts:  # before its first contact a cluster has nothing to send
        versions = min(cycles * clusters - 1, VERSIONS * clusters) / clusters
        return versions, versions
    if federation.in_turn:  # each cluster holds another one, and the newest is the last one's
        held = clusters if cycles > 1 else min(1, clusters - 1)
        return held, held + 1
    # Updates of a round are added one after the other, to the version that devices hold.
    return min(cycles - 1, VERSIONS), min(cycles - 1, 1) + min(clusters, 2)


def _added_bytes(config: LearningConfig, sizes: Architecture, federation: Federation) -> float:
    """Return what all factors take that have been added to the matrices of the server's model."""
    lora = config.model.lora
    assert lora.rank is not None  # else there are no factors
    columns = federation.cycles * lora.rank
    is_cut = lora.aggregate == "merge" and lora.sends_factors
    sides = [1] * len(config.devices)  # of one mean of factors, or of what is cut to a rank
    if not is_cut and lora.aggregate not in ("average", "ffa"):
        sides = [*config.devices]  # each device's own, side by side
    columns *= max(sides) if federation.own_experts else sum(sides)
    ends = sizes.tuned_parameters / lora.rank
    return float(sizes.experts * columns * ends * sizes.native_bytes)


def _written_bytes(config: LearningConfig, sizes: Architecture) -> float:
    """Return what the file of the trained model holds beside what was changed of the experts.

    It refers to checkpoints for the rest.
    """
    if config.model.checkpoints:
        return 0.0
    return float((sizes.parameters - sizes.experts * sizes.expert_parameters) * sizes.native_bytes)


def _state_bytes(config: LearningConfig, sizes: Architecture, federation: Federation) -> float:
    """Return what devices hold of their own, and a training of the largest cluster makes of it."""
    each = _trained(config, sizes, federation)
    held = sum(config.devices) * each
    if federation.own_experts:  # every expert is one cluster's
        experts = max(config.devices) * sizes.experts * sizes.tuned_parameters
        held = min(held, experts + sum(config.devices) * sizes.shared_parameters)
    slots = len(config.optimizer.slots)
    way = _way(config)
    if way == "together":
        return float((TOGETHER_COPIES + 2 * slots) * held * _single(sizes))
    # What an optimiser remembers is there until the next training, which may forget it.
    waiting = (WAITING_COPIES[way] + slots) * federation.waiting
    others = len(config.devices) - 1
    if not federation.in_turn:  # updates of a round are there until it is over
        waiting += others - federation.waiting
    own = max(config.devices) * each
    before = float(slots * federation.again)
    if way == "factors":
        before += WAITING_COPIES[way]
    elif federation.in_gaps:  # what is trained since the last contact, or the update of that
        before += 1
    after = 1 + slots
    # The update is made when what the training began with is gone.
    numbers = (after + max(before, 1)) * own + waiting * (held - own) / max(others, 1)
    return float(numbers * _single(sizes))


def _text_memory(config: LearningConfig, sizes: Architecture, active: int) -> TextMemory:
    return TextMemory(
        text_shape(config.model), sizes.native_bytes, active, config.checkpoint_activations
    )


def _of_training(
    config: LearningConfig, sizes: Architecture, federation: Federation, found: _Samples
) -> Iterator[Part]:
    tokens = config.samples_at_once * sizes.rows.sequences * sizes.rows.tokens
    if not _is_text(config):  # all devices of a cluster in one batch, through every expert
        numbers = max(config.devices) * tokens * sizes.activations(sizes.experts)
        yield Part(STEP, ACTIVATION_COPIES * numbers * sizes.native_bytes, "training")
        return
    memory = _text_memory(config, sizes, config.model.top_k)
    blocks = config.model.layers if trains_blocks(config) else None
    logits = memory.kept_logits(found.predicted_in(config.samples_at_once))
    gradient = _trained(config, sizes, federation) * _single(sizes)
    yield Part(STEP, memory.step(tokens, blocks=blocks) + logits + gradient, "training")
    if _way(config) == "factors" and sizes.native_bytes < SINGLE_BYTES:
        # Factors that a matrix has beside it are put together for the experts that run.
        share = 1 / sizes.experts if federation.own_experts else 1.0
        whole = sizes.experts * sizes.expert_parameters * SINGLE_BYTES
        added = min(_added_bytes(config, sizes, federation), whole)
        yield Part(STEP, share * added, "training")
    if found.shards and embeds(config):
        passed = _tokens_at_once(sizes, found.shards)
        yield Part(EMBEDDING, memory.passing(passed), "embedding")


def embeds(config: LearningConfig) -> bool:
    """Whether blocks below the experts run once for each sample."""
    if not _is_text(config) or trains_blocks(config):
        return False
    return text_shape(config.model).dense_layers > 0


def _tokens_at_once(sizes: Architecture, samples: int) -> int:
    """Return the tokens of so many ``samples`` that run together without a gradient."""
    rows = sizes.rows
    given = rows.tokens * (2 * rows.sequences if rows.sequences > 1 else 1)
    return min(samples, rows_at_once(given)) * rows.sequences * rows.tokens


def rows_at_once(tokens: int) -> int:
    """Return how many samples of so many ``tokens`` are evaluated at once."""
    return max(1, min(BATCH_SAMPLES, BATCH_TOKENS // tokens))


def _of_evaluation(config: LearningConfig, sizes: Architecture, found: _Samples) -> Iterator[Part]:
    copies = LOGIT_COPIES
    if kind_of(config.model.kind).expert_per_device:
        # Each expert answers all samples of a test set, before their answers are mixed.
        copies += sizes.experts
    numbers = copies * found.largest_test * found.classes
    yield Part(LOGITS, float(numbers * _single(sizes)), "evaluating")
    if not _is_text(config) or not found.tests:
        return
    memory = _text_memory(config, sizes, 1)
    tokens = _tokens_at_once(sizes, found.tests)
    samples = tokens // (sizes.rows.sequences * sizes.rows.tokens)
    hidden = tokens * config.model.hidden * sizes.native_bytes
    head = memory.passing_logits(found.predicted_in(samples)) + 2 * hidden
    yield Part(EVALUATION, hidden + max(memory.passing(tokens), head), "evaluating")


def _of_data(config: LearningConfig, sizes: Architecture, found: _Samples) -> Iterator[Part]:
    local = [name for name in config.data.named if not name.startswith(HUB)]
    files = sum(file.stat().st_size for name in local for file in files_under(name))
    yield Part(DATA, float(DATA_COPIES * files))
    if embeds(config):
        each = sizes.rows.sequences * sizes.rows.tokens * config.model.hidden * sizes.native_bytes
        kept = sum(count * each for count in found.sets if count * each <= LARGEST_OF_BLOCKS)
        yield Part(DATA, float(kept))


# What the server trains before time begins.


class _Taken(NamedTuple):
    """How the server pre-trains: samples in a step, experts that each token runs through, whether
    their activations are kept for gradients, and of how many blocks if not of those with experts.
    """

    size: int
    experts: int
    kept: bool
    blocks: int | None = None


Pretrained = Literal["dense", "expert", "gate"]
"""What the server trains before time begins: see :class:`learning.settings.Pretraining`."""


def _taken(config: LearningConfig, what: Pretrained) -> _Taken:
    if what == "gate":
        asked = config.pretraining
        return _Taken(asked.gate_batch, config.model.experts, asked.gate_loss == "task")
    if what == "expert":
        return _Taken(EXPERT_BATCH_SIZE, 1, kept=True)
    return _Taken(DENSE_BATCH_SIZE, 1, kept=True, blocks=config.model.layers)


def _sample_bytes(config: LearningConfig, sizes: Architecture, taken: _Taken) -> float:
    """Return what one sample of a text model takes in a step of pre-training."""
    tokens = sizes.rows.sequences * sizes.rows.tokens
    memory = _text_memory(config, sizes, taken.experts)
    if taken.kept:
        return memory.step(tokens, blocks=taken.blocks)
    inputs = max(config.model.layers, 1) * config.model.hidden * sizes.native_bytes
    return memory.passing(tokens) + tokens * inputs  # what each gate is given


def pretrained_at_once(config: LearningConfig, what: Pretrained) -> int:
    """Return how many samples of a step the server pre-trains by at a time.

    Only those of text models are so large that they are not taken together.
    """
    taken = _taken(config, what)
    if not _is_text(config):
        return taken.size
    fitting = int(PRETRAINING_BYTES // _sample_bytes(config, architecture(config), taken))
    return max(1, min(taken.size, config.micro_batch or taken.size, fitting))


def _of_pretraining(config: LearningConfig, sizes: Architecture) -> Iterable[Part]:
    """What a step of the server's pre-training takes at most, of a text model."""
    steps = pretraining_of(config)
    if not _is_text(config):
        return []
    wanted: dict[Pretrained, int] = {
        "dense": 0 if config.model.checkpoints else steps.backbone_steps,
        "expert": steps.expert_steps,
        "gate": steps.gate_steps,
    }
    asked = [what for what, count in wanted.items() if count and config.model.experts]
    each = [
        pretrained_at_once(config, what) * _sample_bytes(config, sizes, _taken(config, what))
        for what in asked
    ]
    return [Part(PRETRAINING, max(each), "before")] if each else []
