"""Bytes, FLOPs and memory of a round, and upload formats; whose sizes count."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from learning.architecture.kinds import (
    BYTES,
    KINDS,
    SequenceShape,
    has_fixed_experts,
    input_spec,
    kind_of,
    kinds_for,
    precision_of,
    resolved_task,
    sequence_shape,
    tensors_of,
)
from learning.architecture.personal import personal_tensors
from learning.architecture.shapes import ModelTensors, Shape, numbers_in
from learning.requests.cluster import Cost
from learning.requests.facts import parts_named
from learning.requests.payload import TensorSize
from learning.settings import LearningConfig, ModelConfig
from statements import sentence, statement_of

if TYPE_CHECKING:
    from torch import Tensor


FORWARD = 2
INPUT_GRADIENT = 2
WEIGHT_GRADIENT = 2
"""FLOPs per weight and token: forward, and backward to the inputs and to the weight itself."""

TABLES = ("embed_tokens", "_embeddings")
"""Parts of the names of tables of vectors: of words, of positions and of types of tokens."""


Part = Mapping[str, Shape]
"""Tensors by name that are kept, sent or trained together."""


@dataclass(frozen=True)
class Architecture:
    """Sizes of the model of ``config``; an expert is one index over all layers.

    A plain model has none. ``rows`` are the sequences and tokens of a sample; numbers are kept as
    ``number_format`` (of ``BYTES``) and sent up as the configuration says.
    """

    config: LearningConfig
    tensors: ModelTensors
    rows: SequenceShape
    number_format: str

    @property
    def experts(self) -> int:
        """How many experts the model has."""
        return self.config.model.experts

    @cached_property
    def expert_parameters(self) -> int:
        """Weights of one expert over all layers."""
        return self.tensors.layers * numbers_in(self.tensors.expert)

    @cached_property
    def expert_bytes(self) -> float:
        """Memory of one expert's weights."""
        return float(self.expert_parameters * self.native_bytes)

    @cached_property
    def tuned_parameters(self) -> int:
        """Trained numbers of one expert: its factors, r (in + out) per matrix, or all weights."""
        return sum(math.prod(shape) for _, shape in self._tuned(0))

    @cached_property
    def gate_parameters(self) -> int:
        """Weights of the gate over all layers."""
        return self.tensors.layers * numbers_in(self.tensors.gate_shapes)

    @cached_property
    def backbone_parameters(self) -> int:
        """Weights that belong to neither expert nor gate."""
        return numbers_in(self.tensors.backbone)

    @cached_property
    def shared_parameters(self) -> int:
        """Weights that are shared: the gate, and what is trained of the backbone."""
        return numbers_in(self._shared)

    @cached_property
    def personal(self) -> frozenset[str]:
        """Stored names of the tensors that stay on each device."""
        return personal_tensors(self.config, self.tensors)

    @cached_property
    def personal_parameters(self) -> int:
        """Weights that each device trains for itself, wherever what is shared is trained."""
        return numbers_in({n: s for n, s in self._beside_experts.items() if n in self.personal})

    @property
    def parameters(self) -> int:
        """All weights: of the experts, the gate and the backbone."""
        experts = self.experts * self.expert_parameters
        return experts + self.gate_parameters + self.backbone_parameters

    def named(self, experts: Sequence[int], *, gate: bool) -> str:
        """Name parts of the model; what is shared of a plain one is all of it."""
        return parts_named(experts, gate=gate) if self.experts else "model"

    # -- bytes on the air

    @property
    def native_bytes(self) -> int:
        """Bytes of one number as it is kept."""
        return BYTES[self.number_format]

    def kept_bytes(self, *parts: Part) -> float:
        """Return the bytes of ``parts`` as they are kept, and sent down or between devices."""
        return float(self.native_bytes * sum(map(numbers_in, parts)))

    def sent_tensors(self, *parts: Part) -> tuple[TensorSize, ...]:
        """Return ``parts`` as one device sends them up, in ``upload_format``."""
        asked = self.config.upload_format
        sent_as = self.number_format if asked == "native" else asked
        each = {"float16": 2, "int8": 1}.get(asked, self.native_bytes)
        scale = SCALE_BYTES if asked == "int8" else 0
        return tuple(
            TensorSize(name, shape, sent_as, each * math.prod(shape) + scale)
            for part in parts
            for name, shape in part.items()
        )

    def upload_tensors(
        self, experts: Sequence[int], *, gate: bool, rank: int | None = None
    ) -> tuple[TensorSize, ...]:
        """Return what a device sends up: factors of ``experts``, and what is shared if ``gate``.

        ``rank`` is that of the device's factors, the model's by default.
        """
        parts = tuple(experts), gate, rank
        if parts not in self._uploads:  # a fifth of the time of quickstart-8b
            sent: list[Part] = [dict(self._tuned(expert, rank)) for expert in experts]
            self._uploads[parts] = self.sent_tensors(*sent, *([self._shared] if gate else []))
        return self._uploads[parts]

    @cached_property
    def _uploads(self) -> dict[tuple[tuple[int, ...], bool, int | None], tuple[TensorSize, ...]]:
        return {}

    def upload_bytes(self, experts: Sequence[int], *, gate: bool, rank: int | None = None) -> float:
        """Bytes that one device sends up, as :meth:`upload_tensors`."""
        tensors = self.upload_tensors(experts, gate=gate, rank=rank)
        return float(sum(tensor.bytes for tensor in tensors))

    def download_bytes(self, experts: Sequence[int], *, gate: bool) -> float:
        """Bytes that one device receives: merged weights of ``experts``, and what is shared.

        Merged, because the mean of several devices' products B A has no factors of the same rank.
        """
        numbers = len(experts) * self.expert_parameters + gate * self.shared_parameters
        return float(numbers * self.native_bytes)

    def factor_bytes(self, experts: int) -> float:
        """Bytes of one change of rank r in each of ``experts`` experts, as it is sent down.

        Where A is frozen (``ffa``) it is on the devices already.
        """
        return float(experts * self.tuned_parameters * self.native_bytes)

    # -- what a device computes and holds

    def round_cost(
        self,
        trained: Collection[int],
        held: Collection[int],
        *,
        gate: bool,
        samples: int,
        copies: int = 0,
    ) -> Cost:
        """Cost of one local round over ``samples`` samples with the experts in ``held`` loaded.

        FLOPs count weights, not attention scores or look-ups of words. A frozen matrix costs the
        forward pass and the gradient to its inputs; a trained matrix also its own gradient.

        Memory is that of loaded weights, factors, gradients, what the optimiser remembers, so many
        ``copies`` of what is trained that a method keeps and, for all sequences of the samples that
        are computed at a time (a minibatch, or ``micro_batch`` of it), of the inputs and outputs of
        the linear maps that they run through.
        """
        active = min(self.config.model.top_k, max(len(held), 1))
        moving = min(active, len(trained)) * self.tuned_parameters
        weights = active * self.expert_parameters + min(active, len(trained)) * self._factors
        weights += self.gate_parameters + self._multiplied_parameters
        # What a weight's own gradient takes is as much as its product, wherever that is counted.
        counted = self.tensors.products
        beside = self.shared_parameters + self.personal_parameters
        moving += gate * (beside if counted is None else counted)
        tokens = samples * self.rows.sequences * self.rows.tokens
        flops = tokens * ((FORWARD + INPUT_GRADIENT) * weights + WEIGHT_GRADIENT * moving)
        tuned = len(trained) * self.tuned_parameters
        numbers = len(held) * self.expert_parameters + self.gate_parameters
        numbers += self.backbone_parameters + len(trained) * self._factors
        of_training = 1 + len(self.config.optimizer.slots)
        numbers += (of_training + copies) * (tuned + gate * self.shared_parameters)
        numbers += of_training * gate * self.personal_parameters
        tokens_at_once = self.config.samples_at_once * self.rows.sequences * self.rows.tokens
        numbers += tokens_at_once * self.activations(active)
        return Cost(float(flops), float(numbers * self.native_bytes), len(held) * self.expert_bytes)

    @cached_property
    def _multiplied_parameters(self) -> int:
        """Weights of the backbone without tables of words, of which a token takes one row.

        A matrix that runs at several places of a token counts once per place; of a plain model the
        products are counted.
        """
        if self.tensors.products is not None:
            return self.tensors.products
        tables = (math.prod(s) for n, s in self.tensors.backbone.items() if is_table(n))
        again = (
            (places - 1) * math.prod(self.tensors.backbone[name])
            for name, places in self.tensors.places.items()
        )
        return self.backbone_parameters - sum(tables) + sum(again)

    def activations(self, active: int) -> int:
        """Inputs and outputs of the linear maps that one token runs through."""
        if self.tensors.activations is not None:
            return self.tensors.activations
        layer = active * self.ends(self.tensors.expert) + self.ends(self.tensors.gate_shapes)
        return self.tensors.layers * layer + self.ends(self.tensors.backbone)

    def ends(self, part: Part) -> int:
        """Count the inputs and outputs of a part's linear maps, at all places that they run at."""
        places = self.tensors.places
        return sum(
            sum(shape[:2]) * places.get(name, 1)
            for name, shape in part.items()
            if (len(shape) == 2 and not is_table(name)) or name in places
        )

    # -- names and shapes of what moves

    @cached_property
    def _factors(self) -> int:
        """Numbers of one expert's factors, trained or frozen; 0 where matrices are trained."""
        lora = self.config.model.lora
        factored = (n for n in self.tensors.factored if lora.is_target(_matrix(n)))
        ends = sum(sum(self.tensors.expert[name]) for name in factored)
        return self.tensors.layers * (lora.rank or 0) * ends

    def _tuned(self, expert: int, rank: int | None = None) -> Iterator[tuple[str, Shape]]:
        lora = self.config.model.lora
        rank = rank or lora.rank
        for layer in range(self.tensors.layers):
            for name, shape in self.tensors.expert.items():
                full = f"expert.{expert}.{layer}.{name}"
                if rank is None:
                    yield full, shape
                elif name in self.tensors.factored and lora.is_target(_matrix(name)):
                    matrix = full.removesuffix(".weight")
                    if lora.aggregate != "ffa":
                        yield f"{matrix}.a", (rank, shape[1])
                    yield f"{matrix}.b", (shape[0], rank)

    @cached_property
    def _beside_experts(self) -> Part:
        gates = self.tensors.gate_shapes.items()
        found = {f"gate.{n}.{name}": s for n in range(self.tensors.layers) for name, s in gates}
        return found | dict(self.tensors.backbone)

    @cached_property
    def _shared(self) -> Part:
        trained = self.config.trains_backbone
        kept = self.tensors.frozen | self.personal
        return {
            name: shape
            for name, shape in self._beside_experts.items()
            if name not in kept and (trained or name not in self.tensors.backbone)
        }


def is_table(name: str) -> bool:
    """Whether the tensor of this name is a table, of which a token takes one row."""
    return any(table in name for table in TABLES)


def _matrix(name: str) -> str:
    """Return the name of the matrix whose weights are called ``...matrix.weight``."""
    return name.removesuffix(".weight").split(".")[-1]


def architecture(config: LearningConfig) -> Architecture:
    """Return the sizes of a task's model.

    Raises ValueError for targets that it does not have, for factors that are larger than the matrix
    they replace, and for personal parts that it does not have or that are all of it.
    """
    tensors = tensors_of(config)
    lora = config.model.lora
    lora.check_targets({_matrix(name) for name in tensors.factored})
    targets = [tensors.expert[n] for n in tensors.factored if lora.is_target(_matrix(n))]
    smallest: Shape = min(targets, key=min, default=())
    if lora.rank is not None and smallest and lora.rank > min(smallest):
        raise ValueError(
            f"learning.lora.rank: got {lora.rank}, but the smallest matrix that gets factors is "
            f"{smallest[0]} x {smallest[1]}: at most {min(smallest)}, or null for whole matrices"
        )
    personal_tensors(config, tensors)  # raises
    return Architecture(config, tensors, sequence_shape(config), precision_of(config))


def sized_by(
    config: LearningConfig, named: ModelConfig | None, micro_batch: int | None = None
) -> LearningConfig:
    """Return the task with the architecture ``named`` in place of its model; the task if None.

    Experts map one to one by index, gate to gate, and backbone to backbone. Of an architecture
    whose number of experts is fixed, as many are counted as the model has, with a gate over these
    alone; a token then goes to no more of them than there are. What is not part of a
    model (LoRA, upload format, precision, data, batches) holds for both, but for ``micro_batch``,
    the samples that the architecture computes at a time: by default as many as the model. Raises
    ValueError, in one line, for an architecture that the model of ``config`` cannot stand in for.
    """
    if named is None:
        return config
    if config.personal:  # those of the model, and below those of the architecture
        architecture(config)
    own = kind_of(config.model.kind)
    kind = kind_of(named.kind)
    if kind.expert_per_device != own.expert_per_device:
        alike = (repr(name) for name, other in KINDS.items() if other.is_like(own))
        raise ValueError(
            f"learning.sized_as.kind: {config.model.kind!r} cannot stand in for {named.kind!r}, "
            "since experts are one per device in one of the two only; use one of "
            f"{', '.join(alike)}"
        )
    # Decoders of text are sized without texts, as in a timing-only run.
    form = None if kind.is_text or not kind.forms else input_spec(config).form
    if form is not None and form not in kind.forms:
        others = (repr(n) for n in kinds_for(form) if KINDS[n].is_like(kind))
        raise ValueError(
            f"learning.sized_as.kind: {named.kind!r} takes {' or '.join(kind.forms)} data, but "
            f"these are {form}; use {' or '.join(others)}"
        )
    try:
        at_once = micro_batch or config.micro_batch
        whole = resolved_task(replace(config, model=named, micro_batch=at_once))
        sized = _with_experts_of(config, whole)
        architecture(sized)
    except ValueError as error:
        refused = statement_of(error)
        why = sentence(refused) if refused.path == ("learning", "model", "kind") else str(error)
        if ":" in named.kind:
            why = f"{named.kind!r} has no sizes ({why}); name a shipped kind, like 'llama-3-8b-x3'"
        key = "learning.sized_as" if named.kind in KINDS else "learning.sized_as.kind"
        raise ValueError(f"{key}: {why}") from None
    if bool(sized.model.experts) != bool(config.model.experts):
        which = {True: "experts", False: "no experts"}
        raise ValueError(
            f"learning.sized_as.kind: {config.model.kind!r} has {which[config.model.experts > 0]} "
            f"and cannot stand in for {named.kind!r}, which has {which[sized.model.experts > 0]}"
        )
    for key, has in (("experts", "has {} experts"), ("top_k", "sends a token to {} experts")):
        ours = getattr(config.model, key)
        other = getattr(sized.model, key)
        if ours != other:
            fewer = ", or to fewer, to count only so many"
            raise ValueError(
                f"learning.sized_as: {named.kind!r} {has.format(other)}, learning.model {ours}; "
                f"set learning.model.{key} to {other}"
                f"{fewer if key == 'experts' and has_fixed_experts(named) else ''}"
            )
    return sized


def _with_experts_of(config: LearningConfig, whole: LearningConfig) -> LearningConfig:
    """Return the task of a ``whole`` architecture with as few experts as ``config`` has."""
    experts, model = config.model.experts, whole.model
    if not 0 < experts < model.experts or not has_fixed_experts(model):
        return whole
    fewer = replace(model, experts=experts, top_k=min(model.top_k, experts))
    return replace(whole, model=fewer)


# Upload formats: rounding to sixteen or eight bits, and the bytes of the result.


SCALE_BYTES = 4
"""An eight-bit tensor carries one float32: the size of its step."""

INT8_STEPS = 127


def as_sent(tensor: Tensor, upload_format: str) -> Tensor:
    """Return what arrives of ``tensor`` (K, ...), one tensor a device, in its own number format.

    ``int8`` divides the largest magnitude of each device's tensor into 127 steps.
    """
    if upload_format == "float16":
        return tensor.half().to(tensor.dtype)
    if upload_format == "int8":
        largest = tensor.abs().reshape(len(tensor), -1).amax(1).view(-1, *[1] * (tensor.dim() - 1))
        step = (largest / INT8_STEPS).clamp_min(1e-30)
        return (tensor / step).round() * step
    return tensor
