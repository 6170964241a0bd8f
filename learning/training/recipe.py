"""How a device trains: optimiser, step sizes and minibatches of local training, as one value."""

from __future__ import annotations

from dataclasses import dataclass, replace

from learning.settings import LearningConfig, Optimizer, Schedule

PLAIN_SGD = Optimizer()
CONSTANT = Schedule()


@dataclass(frozen=True)
class Recipe:
    """Local training of one device: ``steps_per_round`` steps on minibatches of its samples.

    ``clip_norm`` is the norm that a device's whole gradient is clipped to, None for any; the
    ``schedule`` multiplies the step size by local rounds, ``gate_step_size_ratio`` that of gates.
    Gradients are computed over ``micro_batch`` samples of a device at a time, None for all, and
    with ``checkpoint_activations`` activations are computed again in the backward pass.
    """

    step_size: float
    steps_per_round: int
    batch_size: int
    gate_step_size_ratio: float = 1.0
    optimizer: Optimizer = PLAIN_SGD
    schedule: Schedule = CONSTANT
    clip_norm: float | None = None
    micro_batch: int | None = None
    checkpoint_activations: bool = False

    @classmethod
    def of(cls, config: LearningConfig) -> Recipe:
        """Return the recipe that the settings of a task ask for."""
        return cls(
            config.step_size,
            config.steps_per_round,
            config.batch_size,
            config.gate_step_size_ratio,
            config.optimizer,
            config.schedule,
            config.clip_norm,
            config.micro_batch,
            config.checkpoint_activations,
        )

    def by_sgd(
        self, step_size: float, momentum: float = 0.0, clip_norm: float | None = None
    ) -> Recipe:
        """Return SGD of a constant step size on the same minibatches, each of them whole."""
        return replace(
            self,
            step_size=step_size,
            optimizer=Optimizer(momentum=momentum),
            schedule=CONSTANT,
            clip_norm=clip_norm,
            micro_batch=None,
        )
