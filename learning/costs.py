"""Bytes, FLOPs and memory of an architecture, without its weights: all that the network needs."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from learning.config import LearningConfig, LoraConfig
from learning.precision import BYTES, precision_of
from learning.requests import Cost, TensorSize
from learning.tensors import ModelTensors, Shape, numbers_in, tensors_of
from learning.tokens import Rows, rows_of
from learning.wire import tensor_bytes

FORWARD, INPUT_GRADIENT, WEIGHT_GRADIENT = 2, 2, 2
"""FLOPs a weight and token: forward, and backward to the inputs and to the weight itself."""

WORDS = "embed_tokens"
"""What the table of word vectors is called."""


@dataclass(frozen=True)
class Architecture:
    """Sizes of a mixture of experts; an expert is one index over all layers.

    ``rows`` are the sequences and tokens that a sample brings through the model; numbers are kept
    as ``number_format`` (of :data:`~learning.precision.BYTES`) and sent up as ``upload_format``,
    ``native`` for the same.
    """

    experts: int
    top_k: int
    tensors: ModelTensors
    lora: LoraConfig
    trains_backbone: bool
    upload_format: str
    number_format: str
    rows: Rows

    @property
    def native_bytes(self) -> int:
        """Bytes of one number as it is kept."""
        return BYTES[self.number_format]

    @property
    def layers(self) -> int:
        """Layers with experts."""
        return self.tensors.layers

    @property
    def expert_parameters(self) -> int:
        """Weights of one expert over all layers."""
        return self.layers * numbers_in(self.tensors.expert)

    @property
    def expert_bytes(self) -> float:
        """Memory of one expert's weights."""
        return float(self.expert_parameters * self.native_bytes)

    @property
    def tuned_parameters(self) -> int:
        """Numbers that are trained of one expert: its factors, r (in + out) a matrix, or all."""
        return sum(math.prod(shape) for _, shape in self._tuned(0))

    @property
    def gate_parameters(self) -> int:
        """Weights of the gate over all layers."""
        return self.layers * numbers_in(self.tensors.gate_shapes)

    @property
    def backbone_parameters(self) -> int:
        """Everything that is neither expert nor gate."""
        return numbers_in(self.tensors.backbone)

    @property
    def shared_parameters(self) -> int:
        """What goes with the gate: the gate, and a backbone that is trained."""
        return self.gate_parameters + self.trains_backbone * self.backbone_parameters

    # -- bytes on the air

    def upload_tensors(self, experts: Sequence[int], gate: bool) -> tuple[TensorSize, ...]:
        """What one device sends up: LoRA factors of ``experts``, and what is shared if ``gate``."""
        parts = tuple(experts), gate
        if parts not in self._uploads:  # asked for at every contact, and the same each time
            self._uploads[parts] = tuple(self._listed(*parts))
        return self._uploads[parts]

    @cached_property
    def _uploads(self) -> dict[tuple[tuple[int, ...], bool], tuple[TensorSize, ...]]:
        return {}

    def _listed(self, experts: tuple[int, ...], gate: bool) -> Iterator[TensorSize]:
        named = [pair for expert in experts for pair in self._tuned(expert)]
        named += list(self._shared()) if gate else []
        sent_as = self.number_format if self.upload_format == "native" else self.upload_format
        for name, shape in named:
            size = tensor_bytes(shape, self.upload_format, self.native_bytes)
            yield TensorSize(name, shape, sent_as, size)

    def upload_bytes(self, experts: Sequence[int], gate: bool) -> float:
        """Bytes that one device sends up."""
        return float(sum(tensor.bytes for tensor in self.upload_tensors(experts, gate)))

    def download_bytes(self, experts: Sequence[int], gate: bool) -> float:
        """Bytes that one device receives: merged weights of ``experts``, and what is shared.

        Merged, because the mean of several devices' products B A has no factors of the same rank.
        """
        numbers = len(experts) * self.expert_parameters + gate * self.shared_parameters
        return float(numbers * self.native_bytes)

    def factor_bytes(self, experts: int) -> float:
        """Bytes of one change of rank r of that many experts, as it goes down."""
        return float(experts * self.tuned_parameters * self.native_bytes)

    # -- what a device computes and holds

    def round_cost(
        self, trained: Collection[int], held: Collection[int], gate: bool, samples: int
    ) -> Cost:
        """Cost of one local round over ``samples`` samples with the experts in ``held`` loaded.

        FLOPs count weights, not attention scores or looking up a word. What does not move costs the
        forward pass and the gradient to its inputs; a matrix that moves, its own gradient too.

        Memory is that of loaded weights, factors, gradients (training keeps no other state) and,
        for one sequence, the inputs and outputs of the linear maps that it runs through.
        """
        active = min(self.top_k, max(len(held), 1))
        moving = min(active, len(trained)) * self.tuned_parameters
        factors = self.lora.rank is not None
        weights = active * self.expert_parameters + factors * moving
        weights += self.gate_parameters + self._multiplied_parameters
        moving += gate * self.shared_parameters
        tokens = samples * self.rows.sequences * self.rows.tokens
        flops = tokens * ((FORWARD + INPUT_GRADIENT) * weights + WEIGHT_GRADIENT * moving)
        tuned = len(trained) * self.tuned_parameters
        numbers = len(held) * self.expert_parameters + self.gate_parameters
        numbers += self.backbone_parameters + factors * tuned
        numbers += tuned + gate * self.shared_parameters
        numbers += self.rows.tokens * self.activations(active)
        return Cost(float(flops), float(numbers * self.native_bytes), len(held) * self.expert_bytes)

    @property
    def _multiplied_parameters(self) -> int:
        """Backbone without tables of words, of which a token takes one row.

        A matrix that runs over several places of a token counts as often.
        """
        tables = (math.prod(s) for n, s in self.tensors.backbone.items() if WORDS in n)
        again = (
            (places - 1) * math.prod(self.tensors.backbone[name])
            for name, places in self.tensors.places.items()
        )
        return self.backbone_parameters - sum(tables) + sum(again)

    def activations(self, active: int) -> int:
        """Inputs and outputs of the linear maps that one token runs through."""
        in_expert = sum(sum(s) for s in self.tensors.expert.values() if len(s) == 2)
        backbone = self.tensors.backbone.items()
        places = self.tensors.places
        outside = sum(
            sum(s[:2]) * places.get(name, 1)
            for name, s in backbone
            if (len(s) == 2 and WORDS not in name) or name in places
        )
        return self.layers * (active * in_expert + sum(self.tensors.gate)) + outside

    # -- names and shapes of what moves

    def _tuned(self, expert: int) -> Iterator[tuple[str, Shape]]:
        rank = self.lora.rank
        for layer in range(self.layers):
            for name, shape in self.tensors.expert.items():
                full = f"expert.{expert}.{layer}.{name}"
                if rank is None:
                    yield full, shape
                elif self._has_factors(name):
                    matrix = full.removesuffix(".weight")
                    yield f"{matrix}.a", (rank, shape[1])
                    yield f"{matrix}.b", (shape[0], rank)

    def _has_factors(self, name: str) -> bool:
        return name in self.tensors.factored and self.lora.is_target(_matrix(name))

    def _shared(self) -> Iterator[tuple[str, Shape]]:
        for layer in range(self.layers):
            for name, shape in self.tensors.gate_shapes.items():
                yield f"gate.{layer}.{name}", shape
        if self.trains_backbone:
            yield from self.tensors.backbone.items()


def _matrix(name: str) -> str:
    """Return what the matrix whose weights are called ``...matrix.weight`` is called itself."""
    return name.removesuffix(".weight").split(".")[-1]


def _check_rank(lora: LoraConfig, matrices: Sequence[Shape]) -> None:
    """Refuse factors that are larger than what they stand for."""
    if lora.rank is None or not matrices:
        return
    smallest = min(matrices, key=min)
    if lora.rank > min(smallest):
        raise ValueError(
            f"learning.lora.rank is {lora.rank}, but the smallest matrix that gets factors is "
            f"{smallest[0]} x {smallest[1]}: at most {min(smallest)}, or null for whole matrices"
        )


def architecture(config: LearningConfig) -> Architecture:
    """Return the sizes of a task's model; raise ValueError for targets that it does not have."""
    tensors = tensors_of(config)
    lora = config.model.lora
    lora.check_targets({_matrix(name) for name in tensors.factored})
    targets = [name for name in tensors.factored if lora.is_target(_matrix(name))]
    _check_rank(lora, [tensors.expert[name] for name in targets])
    return Architecture(
        experts=config.model.experts,
        top_k=config.model.top_k,
        tensors=tensors,
        lora=lora,
        trains_backbone=config.trains_backbone,
        upload_format=config.upload_format,
        number_format=precision_of(config),
        rows=rows_of(config),
    )
