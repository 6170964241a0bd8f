"""Questions with options as token ids, and what Hugging Face's models make of each by itself."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from learning.data.samples import InputSpec

T, OPTIONS = 16, 4
SPEC = InputSpec("choices", (OPTIONS, 2, T), OPTIONS, 61)


def questions(count: int = 7, seed: int = 0) -> Tensor:
    """Questions (n, O, 2, T) of 1 to 9 tokens with options of 1 to 6; some have fewer options."""
    rng = torch.Generator().manual_seed(seed)

    def draw(low: int, high: int) -> int:
        return int(torch.randint(low, high, (1,), generator=rng))

    x = torch.full((count, OPTIONS, 2, T), -1)
    x[:, :, 1] = 0
    for question in range(count):
        asked = torch.randint(0, 61, (draw(1, 10),), generator=rng)
        for option in range(OPTIONS if question % 3 else 2 + question % 2):
            answer = torch.randint(0, 61, (draw(1, 7),), generator=rng)
            end = len(asked) + len(answer)
            x[question, option, 0, :end] = torch.cat([asked, answer])
            x[question, option, 1, len(asked) : end] = 1
    x[3, 0, 0], x[3, 0, 1] = -1, 0  # the first of the options is missing
    x[1, 1] = x[1, 0]  # two options that are equal
    x[4, :, 1] *= (x[4, :, 0] >= 0).roll(1, -1)  # the first of an option's tokens may be shared too
    return x


@torch.no_grad()
def likelihoods(model: Any, x: Tensor) -> Tensor:
    """Scores (n, O), each option by itself by Hugging Face's model, without any padding."""
    found = torch.full(x.shape[:2], -torch.inf)
    for question, option in (x[:, :, 0] >= 0).any(-1).nonzero().tolist():
        ids, marks = x[question, option, :, : int((x[question, option, 0] >= 0).sum())]
        logits = model(ids[None]).logits[0, :-1]
        lost = functional.cross_entropy(logits, ids[1:], reduction="none")
        found[question, option] = -lost[marks[1:] == 1].mean()
    return found
