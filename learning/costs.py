"""Bytes and FLOPs of an architecture, without its weights: all that the network needs to know."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from learning.config import ModelConfig
from learning.requests import Cost

BACKWARD_AND_FORWARD = 6.0
"""FLOPs a parameter and token of one training step: 2 forward, 4 backward."""


@dataclass(frozen=True)
class Architecture:
    """Sizes of a mixture of experts; an expert is one index over all ``layers``.

    ``expert_matrices`` are the (in, out) shapes in one layer of one expert,
    ``backbone_parameters`` everything that is neither expert nor gate.
    """

    experts: int
    top_k: int
    layers: int
    hidden: int
    expert_matrices: tuple[tuple[int, int], ...]
    backbone_parameters: int
    lora_rank: int
    bytes_per_number: int
    tokens_per_sample: int

    @property
    def expert_parameters(self) -> int:
        """Weights of one expert over all layers."""
        return self.layers * sum(i * o for i, o in self.expert_matrices)

    @property
    def expert_factor_parameters(self) -> int:
        """Numbers in one expert's LoRA factors: rank x (in + out), summed over its matrices."""
        return self.layers * self.lora_rank * sum(i + o for i, o in self.expert_matrices)

    @property
    def gate_parameters(self) -> int:
        """Weights of the gate over all layers."""
        return self.layers * self.hidden * self.experts

    def upload_bytes(self, experts: Sequence[int], gate: bool) -> float:
        """Bytes that one device sends up: LoRA factors of ``experts``, and the gate if asked."""
        numbers = len(experts) * self.expert_factor_parameters + gate * self.gate_parameters
        return float(numbers * self.bytes_per_number)

    def download_bytes(self, experts: Sequence[int], gate: bool) -> float:
        """Bytes that one device receives: merged weights of ``experts``, and the gate if asked.

        Merged, because the mean of several devices' products B A has no factors of the same rank.
        """
        numbers = len(experts) * self.expert_parameters + gate * self.gate_parameters
        return float(numbers * self.bytes_per_number)

    def round_cost(
        self, trained: Sequence[int], held: Sequence[int], gate: bool, samples: int
    ) -> Cost:
        """Cost of one local round over ``samples`` samples with the experts in ``held`` loaded.

        Memory counts the loaded weights and, for every trained number, its gradient and two
        moments of 4 bytes; activations are not counted.
        """
        active = min(self.top_k, max(len(held), 1)) * self.expert_parameters
        active += self.gate_parameters + self.backbone_parameters
        flops = BACKWARD_AND_FORWARD * active * samples * self.tokens_per_sample
        weights = len(held) * self.expert_parameters + self.gate_parameters
        weights += self.backbone_parameters
        tuned = len(trained) * self.expert_factor_parameters + gate * self.gate_parameters
        return Cost(flops, float(weights * self.bytes_per_number + tuned * 12))


def architecture(config: ModelConfig) -> Architecture:
    """Return the sizes of a model; raise ValueError for an unknown kind."""
    if config.kind == "vector-moe":
        return _vector_moe(config)
    if config.kind not in NAMED:
        known = ", ".join(["vector-moe", *sorted(NAMED)])
        raise ValueError(f"no model kind {config.kind!r}; known are {known}")
    experts, top_k = NAMED[config.kind]
    return _llama_like(experts, top_k, config.lora_rank)


def _vector_moe(config: ModelConfig) -> Architecture:
    hidden, inner = config.hidden, config.expert_hidden
    pixels, classes = 64, 10
    norms = 2 * hidden * (config.layers + 1)
    return Architecture(
        experts=config.experts,
        top_k=config.top_k,
        layers=config.layers,
        hidden=hidden,
        expert_matrices=((hidden, inner), (inner, hidden)),
        backbone_parameters=(pixels + 1) * hidden + norms + (hidden + 1) * classes,
        lora_rank=config.lora_rank,
        bytes_per_number=4,
        tokens_per_sample=1,
    )


NAMED = {"llama-3-8b-x3": (3, 1), "mixtral-8x7b": (8, 2)}
"""Architectures without weights here, for timing-only runs: number of experts and Top-K."""


def _llama_like(experts: int, top_k: int, rank: int) -> Architecture:
    """Llama-3-8B's FFN (Mixtral-8x7B's is the same): 32 layers, 4096 wide, 14336 inner, bf16."""
    hidden, inner, layers = 4096, 14336, 32
    attention = layers * (2 * hidden * hidden + 2 * hidden * 1024 + 2 * hidden)
    vocabulary = 128256 if experts == 3 else 32000
    return Architecture(
        experts=experts,
        top_k=top_k,
        layers=layers,
        hidden=hidden,
        expert_matrices=((hidden, inner), (hidden, inner), (inner, hidden)),
        backbone_parameters=attention + 2 * vocabulary * hidden + hidden,
        lora_rank=rank,
        bytes_per_number=2,
        tokens_per_sample=384,
    )
