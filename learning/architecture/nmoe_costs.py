"""Bytes, FLOPs and memory of NMoE's parts and of one local round of each stage, without torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from learning.architecture.costs import FORWARD, INPUT_GRADIENT, WEIGHT_GRADIENT, tensor_bytes
from learning.architecture.kinds import BYTES, input_spec, precision_of
from learning.architecture.nmoe import (
    VIEWS,
    Shape,
    expert_shapes,
    extractor_of,
    head_shapes,
    projector_shapes,
)
from learning.architecture.shapes import numbers_in
from learning.config import LearningConfig
from learning.requests.cluster import Cost, Floats, Ints
from learning.requests.payload import TensorSize


@dataclass(frozen=True)
class Sizes:
    """Parts of NMoE by shape, and how numbers are kept and sent.

    ``places`` says at how many places of one sample each matrix of the extractor is multiplied;
    ``features`` is d, ``outputs`` the classes C, ``clients`` N. ``samples`` go into one local
    round. Parts: ``extractor``, ``head``, ``projector``, one ``expert``, one ``gate``.
    """

    extractor: Mapping[str, Shape]
    places: Mapping[str, int]
    head: Mapping[str, Shape]
    projector: Mapping[str, Shape]
    expert: Mapping[str, Shape]
    gate: Mapping[str, Shape]
    features: int
    outputs: int
    clients: int
    samples: int
    number_format: str
    upload_format: str

    # -- bytes

    @property
    def native_bytes(self) -> int:
        """Bytes of one number as it is kept."""
        return BYTES[self.number_format]

    def download_bytes(self, *parts: Mapping[str, Shape]) -> float:
        """Bytes of ``parts`` as they are kept: what goes down, or from device to device."""
        return float(self.native_bytes * sum(map(numbers_in, parts)))

    def upload_tensors(self, *parts: Mapping[str, Shape]) -> tuple[TensorSize, ...]:
        """What one device sends up to be averaged, in ``learning.upload_format``."""
        sent_as = self.number_format if self.upload_format == "native" else self.upload_format
        named = [pair for part in parts for pair in part.items()]
        return tuple(
            TensorSize(name, s, sent_as, tensor_bytes(s, self.upload_format, self.native_bytes))
            for name, s in named
        )

    def upload_bytes(self, *parts: Mapping[str, Shape]) -> float:
        """Bytes that one device sends up to be averaged."""
        return float(sum(tensor.bytes for tensor in self.upload_tensors(*parts)))

    def trained_with(self, loss: str) -> Mapping[str, Shape]:
        """What goes with the extractor in stage 1: head (``ce``), projector (``spectral``)."""
        return {"ce": self.head, "spectral": self.projector, "none": {}}[loss]

    def gate_part(self, names: tuple[str, ...]) -> Mapping[str, Shape]:
        """Return the tensors of the gate called ``names``."""
        return {name: self.gate[name] for name in names}

    @property
    def correlation_bytes(self) -> float:
        """Upper triangle of one correlation matrix (d, d), as kept."""
        return float(self.native_bytes * self.features * (self.features + 1) // 2)

    @property
    def expert_bytes(self) -> float:
        """One expert, as kept."""
        return self.download_bytes(self.expert)

    @property
    def feature_bytes(self) -> float:
        """One sample's features, as kept."""
        return float(self.native_bytes * self.features)

    @property
    def output_bytes(self) -> float:
        """One expert's answer to one sample, as kept."""
        return float(self.native_bytes * self.outputs)

    # -- FLOPs of one sample, forward; biases and norms are not counted

    @property
    def extractor_flops(self) -> float:
        """The extractor."""
        return float(FORWARD * self._multiplied(self.extractor))

    @property
    def expert_flops(self) -> float:
        """One expert."""
        return float(FORWARD * self._multiplied(self.expert))

    @property
    def gate_flops(self) -> float:
        """The gate."""
        return float(FORWARD * self._multiplied(self.gate))

    # -- one local round: its memory is that of weights, gradients and momentum, of what the linear
    # -- maps of one sample take and give, and of what is kept from one stage for the next

    def extractor_round(self, loss: str) -> Cost:
        """A local round of stage 1 by ``loss``: two views a sample for ``spectral``.

        There are no experts yet.
        """
        parts = {**self.extractor, **self.trained_with(loss)}
        views = VIEWS if loss == "spectral" else 1
        flops = views * self.samples * _TRAINING * self._multiplied(parts)
        if loss == "spectral":
            flops += FORWARD * VIEWS * self.samples * self.features**2
        return Cost(float(flops), self._memory(parts, copies=3))

    def correlation_flops(self, samples: int) -> float:
        """Both views of ``samples`` samples, through extractor and projector, to their matrix R."""
        multiplied = self._multiplied({**self.extractor, **self.projector}) + self.features**2
        return float(FORWARD * VIEWS * samples * multiplied)

    @property
    def expert_round(self) -> Cost:
        """A local round of stage 2: the extractor forward, the expert trained.

        Features are computed again in each round. A client holds the extractor and its own expert.
        """
        flops = FORWARD * self._multiplied(self.extractor) + _TRAINING * self._multiplied(
            self.expert
        )
        memory = self._memory(self.expert, copies=2) + self._memory(self.extractor, copies=1)
        return Cost(float(self.samples * flops), memory, self.expert_bytes)

    def gate_round(self, samples: Ints, experts: int) -> Cost:
        """A local round of stage 3 of K clients, on features and outputs that are there already.

        A client keeps the features of its own ``samples`` (K,) and all N experts' outputs on them.
        Beside its gate it holds the extractor and ``experts``: its own one, or all that it was
        sent to compute the outputs by.
        """
        mixing = self.clients * self.outputs
        flops = _TRAINING * self._multiplied(self.gate) + (FORWARD + INPUT_GRADIENT) * mixing
        kept: Floats = samples.astype(np.float64) * (
            self.feature_bytes + self.clients * self.output_bytes
        )
        held = experts * self.expert_bytes
        shared = self.download_bytes(self.extractor) + held + self._memory(self.gate, copies=2)
        return Cost(
            np.full(len(samples), float(self.samples * flops)),
            kept + shared,
            np.full(len(samples), held),
        )

    def _multiplied(self, part: Mapping[str, Shape]) -> int:
        """Multiplications of one sample's forward pass."""
        matrices = [(name, shape) for name, shape in part.items() if len(shape) > 1]
        return sum(math.prod(shape) * self.places.get(name, 1) for name, shape in matrices)

    def _memory(self, part: Mapping[str, Shape], copies: int) -> float:
        """Weights (and gradients, and momentum), inputs and outputs of one sample's linear maps."""
        return float(copies * self.native_bytes * numbers_in(part)) + self._activations(part)

    def _activations(self, part: Mapping[str, Shape]) -> float:
        matrices = [(name, shape) for name, shape in part.items() if len(shape) > 1]
        numbers = sum((s[0] + s[1]) * self.places.get(name, 1) for name, s in matrices)
        return float(self.native_bytes * numbers)


_TRAINING = FORWARD + INPUT_GRADIENT + WEIGHT_GRADIENT


def sizes_of(config: LearningConfig) -> Sizes:
    """Return the sizes of a task; reads the data where their form decides a shape."""
    model, spec = config.model, input_spec(config)
    extractor = extractor_of(model, spec)
    return Sizes(
        extractor=extractor.shapes,
        places=extractor.places,
        head=head_shapes(model, spec.classes),
        projector=projector_shapes(model),
        expert=expert_shapes(model, spec.classes),
        gate={"weight": (model.experts, model.hidden), "bias": (model.experts,)},
        features=model.hidden,
        outputs=spec.classes,
        clients=model.experts,
        samples=config.steps_per_round * config.batch_size,
        number_format=precision_of(config),
        upload_format=config.upload_format,
    )
