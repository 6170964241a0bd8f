"""What the rest of ``learning`` relies on in a model."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from learning.config import ModelConfig
from learning.data.samples import InputSpec
from learning.models.moe import Residency


class MoEModel(nn.Module):
    """A classifier with :class:`~learning.models.moe.MoELayer` somewhere inside.

    ``forward(x)`` maps samples ``x`` of the data's form to logits (n, classes). Training runs it
    over all devices of a cluster at once by :func:`torch.func.vmap`; a model that cannot be run
    so sets ``batched`` to False and is trained device by device.
    """

    batched: bool = True

    def keep(self, x: Tensor) -> Tensor | None:
        """Return which tokens of ``x`` are no padding, bool in the gates' shape; None for all."""
        return None


USUAL = {"vector": "vector-moe", "image": "image-moe", "text": "mixtral", "choices": "mixtral"}
"""A kind of model for each form of data."""


def check_form(kind: str, spec: InputSpec, *forms: str) -> None:
    """Raise ValueError where a kind of model cannot take the data's form."""
    if spec.form not in forms:
        raise ValueError(
            f"learning.model.kind: {kind!r} takes {' or '.join(forms)} data, but these are "
            f"{spec.form}; {USUAL[spec.form]!r} takes them, or learning.train=false for timing only"
        )


Maker = Callable[[ModelConfig, InputSpec, Residency], nn.Module]
"""Makes a model: from its configuration, the data's form, and which experts are in memory."""
