"""Memory of one device in EMS-FL's Experiment 1: what is estimated, and what CUDA measures.

    python docs/studies/memory.py [layers]

One training step of 384 tokens on a Llama-3-8B-shaped mixture of three experts with random
weights: the synchronous baseline (three experts loaded and trained) and the enhanced form (one).
Fewer layers than 32 fit into a smaller GPU, and are scaled in the estimate alike. Without a CUDA
device the estimates are printed alone.
"""

from __future__ import annotations

import sys
from dataclasses import replace

import torch
from torch.func import functional_call
from torch.nn import functional

from learning.architecture.costs import architecture
from learning.architecture.kinds import KINDS, SequenceShape, resolved, text_shape
from learning.data.samples import InputSpec
from learning.models import Residency
from learning.models.build import skeleton
from learning.settings import Data, LearningConfig, ModelConfig
from learning.training.sgd import each, gradients

KIND = "llama-3-8b-x3"
TOKENS = 384
FORMS = {"baseline": (0, 1, 2), "enhanced EMS-FL": (0,)}


def main(layers: str = "32") -> None:
    """Print one row a form."""
    model = ModelConfig(kind=KIND)
    KINDS[KIND] = replace(KINDS[KIND], shape=replace(text_shape(model), layers=int(layers)))
    model = resolved(model)
    cuda = torch.cuda.is_available()
    device = "cuda" if cuda else "cpu"
    config = LearningConfig(
        1, ("A",), (1,), model, data=Data(tokens=TOKENS), batch_size=1, device=device
    )
    sizes = replace(architecture(config), rows=SequenceShape(1, TOKENS))  # what is measured, too
    print(f"Llama-3-8B shape, {layers} layers, 3 experts, {TOKENS} tokens, LoRA rank 4, GB\n")
    print(f"{'':<18}{'weights of experts':>20}{'estimated peak':>16}{'measured peak':>15}")
    estimates, measured = {}, dict[str, int]()
    for form, held in FORMS.items():
        cost = sizes.round_cost(held, held, gate=len(held) > 1, samples=1)
        estimates[form] = cost
        shown = "-"
        if cuda:
            measured[form] = _measured_bytes(config, held)
            shown = f"{measured[form] / 1e9:.2f}"
        print(
            f"{form:<18}{cost.expert_bytes / 1e9:>20.2f}{cost.memory_bytes / 1e9:>16.2f}{shown:>15}"
        )
    whole, own = (estimates[form] for form in FORMS)
    saved = [whole.expert_bytes - own.expert_bytes, whole.memory_bytes - own.memory_bytes]
    last = "-"
    if cuda:
        first, second = measured.values()
        last = f"{(first - second) / 1e9:.2f}"
    print(f"{'difference':<18}{saved[0] / 1e9:>20.2f}{saved[1] / 1e9:>16.2f}{last:>15}")
    if not cuda:
        print("\nnot measured: torch sees no CUDA device here")


def _measured_bytes(config: LearningConfig, held: tuple[int, ...]) -> int:
    """Peak of one training step, weights drawn on the device itself."""
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    spec = InputSpec("choices", (1, 2, TOKENS), 1, config.model.vocabulary)
    model = skeleton(config, spec, Residency(held, held))
    weights = {
        path: 0.02 * torch.randn(p.shape, dtype=torch.bfloat16, device="cuda")
        for path, p in model.named_parameters()
    }
    moving = {p: t for p, t in weights.items() if p.endswith((".a", ".b"))}
    standing = {p: t for p, t in weights.items() if p not in moving}
    tokens = torch.randint(0, config.model.vocabulary, (1, 1, TOKENS), device="cuda")
    x = torch.stack([tokens, torch.ones_like(tokens)], dim=2)
    y = torch.zeros(1, dtype=torch.int64, device="cuda")

    def loss(factors: dict[str, torch.Tensor]) -> torch.Tensor:
        return functional.cross_entropy(functional_call(model, {**standing, **factors}, (x,)), y)

    gradients(moving, (), each(loss, together=False))
    return torch.cuda.max_memory_allocated()


if __name__ == "__main__":
    main(*sys.argv[1:])
