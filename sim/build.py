"""From a scenario to everything that a run needs: user units become SI values here."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from learning.config import DataConfig, LearningConfig, ModelConfig
from learning.costs import NAMED
from learning.data import DATASETS
from learning.learner import Learner
from learning.method import Method, MethodType, World, find_method, read_options
from sim.devices import Compute
from sim.errors import InputError
from sim.orbit_plan import orbit_plan, satellite_of
from sim.plan import Plan
from sim.slots_plan import slots_plan

if TYPE_CHECKING:
    from scenarios import Scenario


@dataclass(frozen=True)
class Build:
    """A scenario made ready to run."""

    scenario: Scenario
    plan: Plan
    compute: Compute
    learner: Learner
    method: MethodType
    options: Any
    elements_epoch: datetime | None = None

    @property
    def cycles(self) -> int:
        """Complete cycles that the run can reach."""
        limit = self.scenario.stop.cycles
        return self.plan.cycles if limit is None else min(limit, self.plan.cycles)

    def new_method(self) -> Method:
        """Return the method with its server state as it is before the run."""
        world = World(
            clusters=self.plan.clusters,
            cycles=self.cycles,
            seed=self.scenario.seed,
            learner=self.learner,
            gate_tuning_cycles=self.scenario.learning.gate_tuning_cycles,
        )
        return self.method(world, self.options)


def build(scenario: Scenario) -> Build:
    """Check the whole scenario against the rooms and return what a run needs.

    Raises InputError (or the ValueError of a room) with one line for everything that is wrong.
    """
    try:
        method = find_method(scenario.learning.method)
    except ValueError as error:
        raise InputError(f"learning.method: {error}") from None
    try:
        options = read_options(method, scenario.learning.options)
    except ValueError as error:
        raise InputError(f"learning.options.{error}") from None
    learner = _learner(scenario)
    plan = make_plan(scenario)
    epoch = satellite_of(scenario).epoch if scenario.orbit.source == "tle" else None
    return Build(scenario, plan, _compute(scenario), learner, method, options, epoch)


def make_plan(scenario: Scenario) -> Plan:
    """Return the contact plan of a scenario."""
    return slots_plan(scenario) if scenario.orbit.source == "slots" else orbit_plan(scenario)


def portable(scenario: Scenario) -> dict[str, Any]:
    """Return the scenario as JSON that needs no file beside it: elements in place of their path."""
    import scenarios

    said: dict[str, Any] = scenario.model_dump(mode="json")
    source = scenario.orbit
    if source.source == "tle" and source.path is not None:
        text = scenarios.element_file(scenario).read_text(encoding="utf-8-sig")
        said["orbit"] |= {"path": None, "elements": text}
    return said


def identity(scenario: Scenario, plan: Plan) -> str:
    """Digest what decides a run: the scenario's content and its contact windows."""
    said = portable(scenario)
    said.pop("description", None)
    windows = [(c.satellite, c.norad_id, c.rise_s, c.set_s) for c in plan.contacts]
    text = json.dumps([said, windows], sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _learner(scenario: Scenario) -> Learner:
    model, data = scenario.learning.model, scenario.learning.data
    if model.kind in NAMED:
        if scenario.learning.train:
            raise InputError(
                f"learning.model.kind: {model.kind!r} has no weights here; set "
                "learning.train=false for a timing-only run"
            )
        given = sorted(model.model_fields_set - {"kind"})
        if given:
            raise InputError(
                f"learning.model.{given[0]}: is fixed by learning.model.kind={model.kind!r}; "
                "remove it"
            )
    if data.path is not None:
        raise InputError(f"learning.data.path: is not used by kind {data.kind!r}; remove it")
    if data.kind not in DATASETS:
        raise InputError(
            f"learning.data.kind: no {data.kind!r}; known are {', '.join(sorted(DATASETS))}"
        )
    if scenario.stop.accuracy is not None and not scenario.learning.train:
        raise InputError("stop.accuracy: is never measured with learning.train=false; remove it")
    config = LearningConfig(
        seed=scenario.seed,
        clusters=tuple(c.name for c in scenario.ground.clusters),
        devices=tuple(c.devices for c in scenario.ground.clusters),
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
    try:
        return Learner(config, train=scenario.learning.train)
    except ValueError as error:
        raise InputError(f"learning.model.kind: {error}") from None


def _compute(scenario: Scenario) -> Compute:
    compute, rounds = scenario.compute, scenario.learning.rounds
    per_contact = None if rounds.per_contact == "fill" else int(rounds.per_contact)
    pace_s = None
    if scenario.orbit.source == "slots" and per_contact is not None:
        pace_s = scenario.orbit.slots.seconds / per_contact
    return Compute(
        seconds_per_round=compute.seconds_per_round,
        flops_per_s=None if compute.tflops is None else compute.tflops * 1e12,
        memory_bytes=None if compute.memory_gib is None else compute.memory_gib * 2**30,
        per_contact=per_contact,
        per_gap_max=rounds.per_gap_max,
        pace_s=pace_s,
    )
