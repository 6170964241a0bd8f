"""How much the server trains before time begins, where the scenario does not say."""

from __future__ import annotations

from dataclasses import dataclass

from learning.config import LearningConfig
from learning.networked.shapes import KINDS as NETWORKED_KINDS
from learning.shapes import TEXT_KINDS


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
"""NMoE: all three stages are trained by the clients."""


def pretraining_of(config: LearningConfig) -> Steps:
    """Return the steps of a task: as asked for, else those of the kind of model."""
    kind, asked = config.model.kind, config.pretraining
    usual = READY_MADE if kind in TEXT_KINDS or config.model.checkpoints else UPCYCLED
    usual = UNTRAINED if kind in NETWORKED_KINDS else usual

    def chosen(given: int | None, otherwise: int) -> int:
        return otherwise if given is None else given

    return Steps(
        chosen(asked.backbone_steps, usual.backbone_steps),
        chosen(asked.expert_steps, usual.expert_steps),
        chosen(asked.gate_steps, usual.gate_steps),
    )
