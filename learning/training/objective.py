"""Objective: what the answers of a model to samples cost, and which of them are right.

Answers to labelled samples are logits (..., n, C). Where each next token is learnt, a model answers
with two numbers of a text, (..., n, 2): the mean surprise of its tokens, in nats, and the share of
them that it holds for the likeliest. So a text counts as much as any other, however long it is.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from learning.data.samples import Form

SURPRISE, RIGHT = 0, 1
"""Columns of the answers where each next token is learnt."""


def training_loss(form: Form, answers: Tensor, y: Tensor) -> Tensor:
    """Return the mean loss of answers (n, C) to labels (n,) of one device."""
    if form == "next_token":
        return answers[:, SURPRISE].mean()
    # As functional.cross_entropy to the last bit of the gradient.
    return answers.log_softmax(-1).gather(-1, y[..., None]).sum() / -y.shape[-1]


def losses(form: Form, answers: Tensor, y: Tensor) -> Tensor:
    """Return the loss of each sample (n,), in nats."""
    if form == "next_token":
        return answers[:, SURPRISE]
    return functional.cross_entropy(answers, y, reduction="none")


def mean_loss(form: Form, answers: Tensor, y: Tensor) -> Tensor:
    """Return the mean loss of samples, in nats."""
    if form == "next_token":
        return answers[:, SURPRISE].mean()
    return functional.cross_entropy(answers, y)


def rightness(form: Form, answers: Tensor, y: Tensor) -> Tensor:
    """Return how right each answer is (n,), double: 0 or 1, of texts the share of tokens."""
    if form == "next_token":
        return answers[:, RIGHT].double()
    return (answers.argmax(-1) == y).to(torch.double)
