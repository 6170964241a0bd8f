"""The loss that a model is trained by: its name, and the targets and texts that it is of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from learning.data.samples import Form
from learning.registry import Register
from learning.settings import CROSS_ENTROPY, MSE, NEXT_TOKEN

KEY = "learning.loss"

LOSSES: Register[Callable[..., Any]] = Register(
    "loss",
    "leomix.losses",
    {
        CROSS_ENTROPY: "learning.models.objective:cross_entropy",
        MSE: "learning.models.objective:mse",
        NEXT_TOKEN: "learning.models.objective:next_token",
    },
    "a function of outputs and targets",
)
"""Losses by what ``learning.loss`` calls them: the mean over a minibatch, a scalar tensor."""


def find_loss(loss: str) -> Callable[..., Any]:
    """Return the function of a loss; raise ValueError that names the key for one that is none."""
    try:
        return LOSSES.find(loss)
    except ValueError as error:
        raise ValueError(f"{KEY}: {error}") from None


def is_own(loss: str | None) -> bool:
    """Whether a loss is none of ours."""
    return loss is not None and loss not in LOSSES.shipped


def is_of_classes(loss: str | None) -> bool:
    """Whether a loss is the cross-entropy of classes, as it is of labels without a name."""
    return loss in (None, CROSS_ENTROPY)


def check_targets(loss: str | None, kind: str, dtype: np.dtype[Any]) -> None:
    """Raise ValueError for targets y of a type that the loss does not take; ``kind`` of data."""
    is_float = dtype.kind == "f"
    if is_of_classes(loss) and is_float:
        raise ValueError(
            f"{KEY}: the targets of {kind!r} are {dtype}, and cross_entropy takes classes; set "
            f"{KEY}: mse, or MODULE:NAME for a loss of your own"
        )
    if loss == MSE and not is_float:
        raise ValueError(
            f"{KEY}: the targets of {kind!r} are {dtype}, and mse takes floats; give them as "
            "float32, or set cross_entropy"
        )


def check_classes(loss: str | None, who: str) -> None:
    """Raise ValueError for a loss that is not of classes, which ``who`` learns by."""
    if not is_of_classes(loss):
        raise ValueError(
            f"{KEY}: got {loss!r}, and classes that are right or wrong are all that {who} can "
            "learn by; remove it, or use another method"
        )


def check_form(loss: str | None, form: Form) -> None:
    """Raise ValueError for a loss of next tokens where the data have none, and any other there."""
    if loss == NEXT_TOKEN and form != NEXT_TOKEN:
        raise ValueError(
            f"{KEY}: got {loss!r}, and these are {form} data; set learning.data.objective: "
            "next_token, with a model of texts"
        )
    if form == NEXT_TOKEN and loss not in (None, NEXT_TOKEN):
        raise ValueError(
            f"{KEY}: got {loss!r}, and with learning.data.objective next_token each next token is "
            "learnt; remove one of the two"
        )
