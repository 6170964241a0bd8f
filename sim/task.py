"""What a scenario trains: its model and data as the learning room knows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from learning.config import DataConfig, LearningConfig, ModelConfig
from learning.costs import NAMED
from learning.data import DATASETS
from learning.learner import Learner
from sim.errors import InputError
from sim.ground import device_counts

if TYPE_CHECKING:
    from scenarios import Scenario


def learner_of(scenario: Scenario) -> Learner:
    """Return the learner of a scenario; raise InputError for keys that contradict each other."""
    _check_model(scenario)
    _check_data(scenario)
    config = _config(scenario)
    try:
        return Learner(config, train=scenario.learning.train)
    except ValueError as error:
        raise InputError(f"learning.model.kind: {error}") from None


def _check_model(scenario: Scenario) -> None:
    model = scenario.learning.model
    if model.kind not in NAMED:
        return
    if scenario.learning.train:
        raise InputError(
            f"learning.model.kind: {model.kind!r} has no weights here; set "
            "learning.train=false for a timing-only run"
        )
    given = sorted(model.model_fields_set - {"kind"})
    if given:
        raise InputError(
            f"learning.model.{given[0]}: is fixed by learning.model.kind={model.kind!r}; remove it"
        )


def _check_data(scenario: Scenario) -> None:
    data = scenario.learning.data
    if data.path is not None:
        raise InputError(f"learning.data.path: is not used by kind {data.kind!r}; remove it")
    if data.kind not in DATASETS:
        raise InputError(
            f"learning.data.kind: no {data.kind!r}; known are {', '.join(sorted(DATASETS))}"
        )
    if scenario.stop.accuracy is not None and not scenario.learning.train:
        raise InputError("stop.accuracy: is never measured with learning.train=false; remove it")


def _config(scenario: Scenario) -> LearningConfig:
    model, data = scenario.learning.model, scenario.learning.data
    return LearningConfig(
        seed=scenario.seed,
        clusters=tuple(c.name for c in scenario.ground.clusters),
        devices=device_counts(scenario),
        model=ModelConfig(
            kind=model.kind,
            experts=model.experts,
            top_k=model.top_k,
            hidden=model.hidden,
            expert_hidden=model.expert_hidden,
            layers=model.layers,
            lora_rank=scenario.learning.lora_rank,
        ),
        data=DataConfig(data.kind, data.path, data.own_domain_fraction, data.trial_samples),
        step_size=scenario.learning.step_size,
        gate_step_size_ratio=scenario.learning.gate_step_size_ratio,
        steps_per_round=scenario.learning.steps_per_round,
        batch_size=scenario.learning.batch_size,
    )
