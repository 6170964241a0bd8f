"""A dense Llama tuned on the texts of one domain, by the local training of one device.

The feed-forward networks of its last layers are one expert of kind ``merged-llama``, which is what
a run with several such models would train of each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from learning.clients.merging import aggregate
from learning.data.loading import loaded_spec
from learning.data.texts import json_rows
from learning.learner import Learner
from learning.settings import (
    Data,
    LearningConfig,
    Lora,
    ModelConfig,
    Objective,
    Optimizer,
    Pretraining,
)
from learning.training import operations
from learning.training.recipe import LocalRounds, TrainedPart, Weighing

if TYPE_CHECKING:
    from learning.metrics import Score
    from learning.values.store import Tensors

WHO = "texts"
"""The name of the one cluster, which has one device."""
LEAST_TEXTS = 3


@dataclass(frozen=True)
class Specialising:
    """What is tuned, on which texts and how: ``steps`` of Adam on ``batch`` texts each.

    The networks of the last ``layers`` are tuned (None for all), each matrix by factors of a
    ``rank``. Texts have at most so many ``tokens``. Everything that is drawn comes from ``seed``.
    """

    checkpoint: Path
    data: Path
    steps: int = 30
    batch: int = 8
    rank: int = 4
    layers: int | None = None
    step_size: float = 2e-3
    tokens: int = 64
    objective: Objective = "next_token"
    seed: int = 0

    @property
    def config(self) -> LearningConfig:
        """The learning task, with no more training texts than steps can take.

        One of them is the trial sample that a mixture needs.
        """
        return LearningConfig(
            self.seed,
            clusters=(WHO,),
            devices=(1,),
            model=ModelConfig(
                "merged-llama",
                experts=1,
                moe_layers=self.layers,
                checkpoints=(str(self.checkpoint),),
                lora=Lora(self.rank),
            ),
            data=Data(
                "jsonl",
                path=str(self.data),
                tokens=self.tokens,
                objective=self.objective,
                trial_samples=1,
                train_samples=self.steps * self.batch + 1,
            ),
            pretraining=Pretraining(gate_steps=0),
            optimizer=Optimizer("adam"),
            step_size=self.step_size,
            steps_per_round=self.steps,
            batch_size=self.batch,
            device="auto",
        )


@dataclass(frozen=True)
class Specialised:
    """What was tuned: the expert's ``tensors`` by stored name, and how it does on held-out texts.

    ``before`` and ``after`` are scores of the same texts; ``trained`` is how many others there were
    to draw from.
    """

    tensors: Tensors
    before: Score
    after: Score
    trained: int


def check_texts(asked: Specialising) -> None:
    """Raise ValueError for data that are missing, cannot be read, or hold nothing to learn here."""
    few = sum(1 for _ in islice(json_rows(str(asked.data), {}), LEAST_TEXTS))
    if 0 < few < LEAST_TEXTS:
        raise ValueError(
            f"{asked.data}: holds {few} of the {LEAST_TEXTS} texts that it takes to tune, to try "
            "and to test; add some"
        )
    form = loaded_spec(asked.config).form
    if form == "text":
        raise ValueError(
            "learning.data.objective: label is learnt of questions with options, and these are "
            "texts with labels, for which a language model has no head; use next_token"
        )


def specialise(asked: Specialising) -> Specialised:
    """Tune a checkpoint; imports torch. What it returns is rounded as the checkpoint is.

    Raises :class:`ValueError` for data and weights that do not do, and for numbers that are not
    finite any more.
    """
    learner = Learner(asked.config)
    start = learner.start()
    [before] = learner.evaluate(start)
    one, none = np.ones(1, bool), np.zeros(1, int)
    state = learner.load(start, None, WHO, one, [0], none)
    trained = learner.train(state, LocalRounds(WHO, none + 1, none), TrainedPart([0], gate=False))
    if learner.not_finite(trained):
        raise ValueError(
            f"learning.step_size: {asked.step_size} makes weights that are not finite; lower it"
        )
    offered = learner.offer(trained, [0], gate=False)
    tuned = aggregate(learner, start, offered, [0], Weighing(WHO, one))
    kept = learner.make(operations.evaluation.in_format_of_frozen, tuned)
    [after] = learner.evaluate(kept)
    [[samples]] = learner.samples()
    return Specialised(_expert(learner.force(kept)), before, after, samples)


def _expert(tensors: Tensors) -> dict[str, Any]:
    """Return the tensors of the one expert."""
    return {name: tensor for name, tensor in tensors.items() if name.startswith("expert.0.")}


def write(asked: Specialising, tensors: Mapping[str, Any], folder: Path) -> None:
    """Write the checkpoint to a folder, with the tensors of :class:`Specialised` in it."""
    from learning.architecture.kinds import text_shape
    from learning.architecture.text_shape import LLAMAS
    from learning.models.checkpoints import save_dense

    dense = text_shape(asked.config.model).dense_layers
    save_dense(folder, asked.checkpoint, LLAMAS, 0, tensors, dense)
