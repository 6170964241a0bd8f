"""How the answers of several experts become one."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def mixed(weights: Tensor, outputs: Tensor) -> Tensor:
    """Return ``sum_e g_e H_e`` of weights (..., N) and outputs (..., N, C).

    An expert of weight 0 does not count, even if its outputs are not finite.
    """
    shares = weights.unsqueeze(-2)
    counted = torch.where(shares.mT == 0, 0.0, outputs)
    return (shares @ counted).squeeze(-2)


def answer(mixture: Tensor, combine: str) -> Tensor:
    """Return logits (..., C) of a mixture: the log of mixed probabilities, or mixed logits.

    A probability of zero counts as the smallest number there is, so that its log is finite.
    """
    if combine == "logit":
        return mixture
    return mixture.clamp_min(torch.finfo(mixture.dtype).tiny).log()


def losses(logits: Tensor, y: Tensor, combine: str) -> Tensor:
    """Return the cross-entropy (...,) of an answer (..., C); mixed logits are normalised first."""
    log_shares = logits if combine == "prob" else functional.log_softmax(logits, -1)
    return -log_shares.gather(-1, y.unsqueeze(-1)).squeeze(-1)
