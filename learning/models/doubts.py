"""What is legal in a module of one's own and may yet not be what its author means.

Each kind of doubt is a class with what was found; its ``text`` is the line that a user reads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

SHOWN = 3
"""Most attributes that a line names; of the others it gives the count."""


class ModuleDoubt(Protocol):
    """A doubt about a module of one's own, found by trying it."""

    @property
    def text(self) -> str:
        """One line for the user: where, what is doubtful, what it causes, and the cure."""


def _named(names: tuple[str, ...]) -> str:
    """Name the first few, and count the others."""
    others = len(names) - SHOWN
    return ", ".join(map(repr, names[:SHOWN])) + (f" and {others} more" if others > 0 else "")


NOT_FEDERATED = (
    "this state is not sent or averaged, not reset for each client and not stored in a checkpoint, "
    "so that results depend on the order of training"
)


@dataclass(frozen=True)
class HiddenState:
    """State in plain ``attributes`` of a module or its parts, by their paths in it."""

    kind: str
    attributes: tuple[str, ...]

    @property
    def text(self) -> str:
        """One line for the user."""
        kept_in = "attribute" if len(self.attributes) == 1 else "attributes"
        return (
            f"learning.model.kind: forward of {self.kind!r} changes the plain {kept_in} "
            f"{_named(self.attributes)}: {NOT_FEDERATED}; use register_buffer, and change the "
            "buffer in place in training"
        )


@dataclass(frozen=True)
class PassingBuffers:
    """State in ``buffers`` that are not persistent, and so no part of the model that is sent."""

    kind: str
    buffers: tuple[str, ...]

    @property
    def text(self) -> str:
        """One line for the user."""
        return (
            f"learning.model.kind: forward of {self.kind!r} changes {_named(self.buffers)} in "
            f"training, which is registered with persistent=False: {NOT_FEDERATED}; leave "
            "persistent=False out, and change the buffer in place"
        )


@dataclass(frozen=True)
class ReplacedBuffers:
    """State in ``buffers`` for which forward puts other tensors, in place of changing them."""

    kind: str
    buffers: tuple[str, ...]

    @property
    def text(self) -> str:
        """One line for the user."""
        return (
            f"learning.model.kind: forward of {self.kind!r} puts another tensor for its buffer "
            f"{_named(self.buffers)} in training, and what is new in it is lost after each step; "
            "change the buffer in place, for example by copy_"
        )


@dataclass(frozen=True)
class CoarseLogits:
    """Logits in the number format ``logits``, other than that of the ``parameters``."""

    kind: str
    logits: str
    parameters: str

    @property
    def text(self) -> str:
        """One line for the user."""
        return (
            f"learning.model.kind: {self.kind!r} returns logits in {self.logits}, and its "
            f"parameters are in {self.parameters}: the loss is that of rounded logits, and large "
            "logits or small gradients may be lost; return logits in float32"
        )


@dataclass(frozen=True)
class Probabilities:
    """Logits that are the outputs of ``function``, softmax or sigmoid."""

    kind: str
    function: str

    @property
    def text(self) -> str:
        """One line for the user."""
        return (
            f"learning.model.kind: {self.kind!r} ends with a {self.function}: the cross-entropy "
            "takes a softmax of what forward returns, so that gradients are small and training "
            f"is slow; return the logits without the {self.function}"
        )
