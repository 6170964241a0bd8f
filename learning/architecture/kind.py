"""What a kind of model is: who makes it, from which data, with which keys, out of which tensors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pkgutil import resolve_name

from learning.architecture.dense import BlockShape, DenseFamily
from learning.architecture.shapes import ModelTensors
from learning.data.samples import Form, InputSpec
from learning.settings import ModelConfig


@dataclass(frozen=True)
class Steps:
    """Gradient steps for the dense start model, each expert and the gate."""

    backbone_steps: int
    expert_steps: int
    gate_steps: int


UPCYCLED = Steps(150, 60, 60)
READY_MADE = Steps(0, 0, 60)
"""EMS-FL, Experiment 1: only the gate is pre-trained, for 60 rounds."""
UNTRAINED = Steps(0, 0, 0)
"""The clients train all of it."""


@dataclass(frozen=True)
class Kind:
    """What a kind of ``learning.model.kind`` is.

    ``module`` makes it, as MODULE:CLASS, from data of one of ``forms``. ``keys`` are those of
    ``learning.model`` that it uses, None for any. ``steps`` is how much the server pre-trains it
    where the scenario does not say. ``tensors`` says what it is made of, as a function or, behind a
    door, as the place of one; without it a text model is sized by its shape, and any other one is
    built without memory and measured.

    Of text models, ``shape`` is fixed by the name, else it is that of the checkpoints; those that
    are ``merged`` have the feed-forward networks of dense models of a family as experts, the others
    are mixtures already, in one checkpoint. Of those with ``head_alone`` no other part of the
    backbone is ever trained than the head. With
    ``expert_per_device`` experts are one per device, and its devices answer together. ``plain``
    models have no experts; None stands for a module of one's own, which is asked. A ``weightless``
    one is a size alone: nothing makes or trains it, and it needs no data.
    """

    module: str = ""
    forms: tuple[Form, ...] = ()
    keys: tuple[str, ...] | None = None
    steps: Steps = UPCYCLED
    tensors: Callable[[ModelConfig, InputSpec], ModelTensors] | str | None = None
    shape: BlockShape | None = None
    merged: DenseFamily | None = None
    head_alone: bool = False
    expert_per_device: bool = False
    plain: bool | None = False
    weightless: bool = False

    def made_of(self, model: ModelConfig, spec: InputSpec) -> ModelTensors:
        """Return what a model is made of whose kind has ``tensors``."""
        make = resolve_name(self.tensors) if isinstance(self.tensors, str) else self.tensors
        assert make is not None  # for the type checker: it has them
        made: ModelTensors = make(model, spec)
        return made

    def is_like(self, other: Kind) -> bool:
        """Whether both have no experts, experts of one device each, or experts of all."""
        return (self.plain, self.expert_per_device) == (
            other.plain or False,
            other.expert_per_device,
        )

    @property
    def is_text(self) -> bool:
        """Whether it is a mixture over tokens of text: its devices are trained one by one."""
        return "text" in self.forms and not self.plain

    @property
    def takes_bfloat16(self) -> bool:
        """Whether its frozen weights may be in sixteen bits: not those of small mixtures."""
        return self.is_text or self.plain is not False
