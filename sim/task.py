"""What a scenario trains: its model and data as the learning room knows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from learning.architecture.kinds import data_keys, model_keys
from learning.architecture.nmoe import KINDS as NETWORKED_KINDS
from learning.config import DataConfig, LearningConfig, LoraConfig, ModelConfig, Pretraining
from learning.data import DATASETS
from learning.learner import Learner
from learning.methods.base import find_method
from scenarios import local_path
from sim.errors import InputError
from sim.ground import device_counts

if TYPE_CHECKING:
    from scenarios import Scenario
    from scenarios.section import Section


def learner_of(scenario: Scenario) -> Learner:
    """Return the learner of a scenario; raise InputError for keys that contradict each other."""
    _check_model(scenario)
    _check_lora(scenario)
    _check_data(scenario)
    try:
        return Learner(_config(scenario), train=scenario.learning.train)
    except ValueError as error:
        text = str(error)
        raise InputError(text if text.startswith("learning.") else f"learning: {text}") from None


def _check_model(scenario: Scenario) -> None:
    model = scenario.learning.model
    allowed = model_keys(model.kind, bool(model.checkpoints))
    if allowed is None:
        return
    for key in sorted(_said(model) - {"kind", *allowed}):
        raise InputError(
            f"learning.model.{key}: is not used by kind {model.kind!r}, or fixed by it; remove it"
        )


def _check_lora(scenario: Scenario) -> None:
    lora, method = scenario.learning.lora, scenario.learning.method
    for key in () if find_method(method).uses_lora else sorted(_said(lora)):
        raise InputError(f"learning.lora.{key}: is not used by method {method!r}; remove it")
    for key in sorted(_said(lora) - {"rank"}) if lora.rank is None else ():
        raise InputError(
            f"learning.lora.{key}: is not used without factors (learning.lora.rank null); remove it"
        )


def _check_data(scenario: Scenario) -> None:
    data = scenario.learning.data
    allowed = data_keys(data.kind)
    try:
        DATASETS.find(data.kind)
    except ValueError as error:
        raise InputError(f"learning.data.kind: {error}") from None
    for key in sorted(_said(data) - {"kind", *allowed}) if allowed is not None else ():
        raise InputError(f"learning.data.{key}: is not used by kind {data.kind!r}; remove it")
    for name in data.paths:
        if name not in {cluster.name for cluster in scenario.ground.clusters}:
            raise InputError(f"learning.data.paths: no cluster {name!r} in ground.clusters")
    if scenario.stop.accuracy is not None and not scenario.learning.train:
        raise InputError("stop.accuracy: is never measured with learning.train=false; remove it")


def _said(section: Section) -> set[str]:
    """Keys that say something else than their default."""
    plain = type(section)().model_dump()
    return {key for key, value in section.model_dump().items() if value != plain[key]}


def _config(scenario: Scenario) -> LearningConfig:
    learning = scenario.learning
    return LearningConfig(
        seed=scenario.seed,
        clusters=tuple(c.name for c in scenario.ground.clusters),
        devices=device_counts(scenario),
        model=_model(scenario),
        data=_data(scenario),
        pretraining=Pretraining(**learning.pretraining.model_dump()),
        step_size=learning.step_size,
        gate_step_size_ratio=learning.gate_step_size_ratio,
        steps_per_round=learning.steps_per_round,
        batch_size=learning.batch_size,
        trains_backbone=learning.trains_backbone,
        upload_format=learning.upload_format,
        device=learning.device,
        precision=learning.precision,
    )


def _model(scenario: Scenario) -> ModelConfig:
    model = scenario.learning.model
    said = model.model_dump(exclude={"checkpoints", "tokenizer", "adapter"})
    if model.kind in NETWORKED_KINDS:
        said["experts"] = sum(device_counts(scenario))
    return ModelConfig(
        **said,
        checkpoints=tuple(local_path(scenario, name) for name in model.checkpoints),
        tokenizer=_place(scenario, model.tokenizer),
        adapter=_place(scenario, model.adapter),
        lora=LoraConfig(**scenario.learning.lora.model_dump()),
    )


def _place(scenario: Scenario, name: str | None) -> str | None:
    return None if name is None else local_path(scenario, name)


def _data(scenario: Scenario) -> DataConfig:
    data = scenario.learning.data
    said = data.model_dump(exclude={"path", "paths", "columns"})
    return DataConfig(
        **said,
        path=_place(scenario, data.path),
        paths=tuple((name, local_path(scenario, path)) for name, path in data.paths.items()),
        columns=tuple(data.columns.model_dump(exclude_none=True).items()),
    )
