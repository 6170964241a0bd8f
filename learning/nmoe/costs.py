"""Bytes, FLOPs and memory of the parts of NMoE and of a local round of each stage."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from learning.architecture.costs import (
    FORWARD,
    INPUT_GRADIENT,
    WEIGHT_GRADIENT,
    Architecture,
    Part,
    architecture,
)
from learning.architecture.kinds import input_spec
from learning.architecture.shapes import Shape, numbers_in, with_biases
from learning.nmoe.shapes import PROJECTOR_EXPANSION, VIEWS
from learning.requests.cluster import Cost
from learning.settings import LearningConfig
from statements.arrays import Floats, Ints


@dataclass(frozen=True)
class Sizes(Architecture):
    """Parts of NMoE by shape: ``extractor``, one ``expert``, one ``gate``.

    The extractor is the backbone of the mixture, and the N clients hold an expert each. Of a sample
    there are d ``features`` and C ``outputs``, its classes; ``samples`` go into one local round.
    """

    extractor: Part
    expert: Part
    gate: Part
    features: int
    outputs: int
    samples: int

    # -- bytes

    def trained_with(self, loss: str) -> Part:
        """Return what is trained with the extractor: head (``ce``) or projector (``spectral``)."""
        hidden = self.config.model.hidden
        inner = PROJECTOR_EXPANSION * hidden
        maps: dict[str, dict[str, Shape]] = {
            "ce": {"head": (self.outputs, hidden)},
            "spectral": {"projector.up": (inner, hidden), "projector.down": (hidden, inner)},
        }
        return with_biases(maps.get(loss, {}))

    def gate_part(self, names: tuple[str, ...]) -> Part:
        """Return the tensors of the gate called ``names``."""
        return {name: self.gate[name] for name in names}

    @property
    def correlation_bytes(self) -> float:
        """Bytes of the upper triangle of a correlation matrix (d, d)."""
        return float(self.native_bytes * self.features * (self.features + 1) // 2)

    @property
    def feature_bytes(self) -> float:
        """Bytes of the features of one sample."""
        return float(self.native_bytes * self.features)

    @property
    def output_bytes(self) -> float:
        """Bytes of the outputs of one expert on one sample."""
        return float(self.native_bytes * self.outputs)

    def forward_flops(self, part: Part) -> float:
        """Return the FLOPs of a part's forward pass per sample, without biases and norms."""
        return float(FORWARD * self._multiplied(part))

    # -- one local round: its memory is that of weights, gradients and momentum, of inputs and
    # -- outputs of linear maps for a minibatch, and of what a stage keeps for the next

    def extractor_round(self, loss: str) -> Cost:
        """Cost of a local round of stage 1 by ``loss``: two views per sample for ``spectral``."""
        parts = {**self.extractor, **self.trained_with(loss)}
        views = VIEWS if loss == "spectral" else 1
        flops = views * self.samples * _TRAINING * self._multiplied(parts)
        if loss == "spectral":
            flops += FORWARD * VIEWS * self.samples * self.features**2
        return Cost(float(flops), self._memory(parts, copies=3, views=views))

    def correlation_flops(self, samples: int) -> float:
        """Return the FLOPs of the matrix R of ``samples`` samples, from two views of each."""
        parts = {**self.extractor, **self.trained_with("spectral")}
        multiplied = self._multiplied(parts) + self.features**2
        return float(FORWARD * VIEWS * samples * multiplied)

    @property
    def expert_round(self) -> Cost:
        """Cost of a local round of stage 2: the extractor forward, the expert trained.

        Features are computed again in each round. A client holds the extractor and its expert.
        """
        flops = FORWARD * self._multiplied(self.extractor) + _TRAINING * self._multiplied(
            self.expert
        )
        memory = self._memory(self.expert, copies=2) + self._memory(self.extractor, copies=1)
        return Cost(float(self.samples * flops), memory, self.expert_bytes)

    def gate_round(self, samples: Ints, experts: int) -> Cost:
        """Cost of a local round of stage 3 of K clients, on features and outputs at hand.

        A client keeps the features of its ``samples`` (K,) and all N experts' outputs on them. It
        holds its gate, the extractor and ``experts``: its own, or all that it was sent to compute
        the outputs with.
        """
        mixing = self.experts * self.outputs
        flops = _TRAINING * self._multiplied(self.gate) + (FORWARD + INPUT_GRADIENT) * mixing
        kept: Floats = samples.astype(np.float64) * (
            self.feature_bytes + self.experts * self.output_bytes
        )
        held = experts * self.expert_bytes
        shared = self.kept_bytes(self.extractor) + held + self._memory(self.gate, copies=2)
        return Cost(
            np.full(len(samples), float(self.samples * flops)),
            kept + shared,
            np.full(len(samples), held),
        )

    def _multiplied(self, part: Part) -> int:
        """Return the multiplications of the forward pass of one sample."""
        matrices = [(name, shape) for name, shape in part.items() if len(shape) > 1]
        return sum(math.prod(s) * self.tensors.places.get(name, 1) for name, s in matrices)

    def _memory(self, part: Part, copies: int, views: int = 1) -> float:
        """Weights (and gradients, and momentum), and what runs through the maps of a minibatch.

        That are the inputs and outputs of linear maps, for so many ``views`` of each sample.
        """
        through = views * self.config.samples_at_once * self.ends(part)
        return float(self.native_bytes * (copies * numbers_in(part) + through))


_TRAINING = FORWARD + INPUT_GRADIENT + WEIGHT_GRADIENT


def sizes_of(config: LearningConfig) -> Sizes:
    """Return the sizes of a task; reads the data where their form decides a shape."""
    classes = input_spec(config).outputs
    whole = architecture(config)
    return Sizes(
        **vars(whole),
        extractor=whole.tensors.backbone,
        expert=whole.tensors.expert,
        gate=whole.tensors.gate_shapes,
        features=whole.tensors.gate[1],
        outputs=classes,
        samples=config.steps_per_round * config.batch_size,
    )
