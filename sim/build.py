"""From a scenario to everything that a run needs: user units become SI values here."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

from learning.faults import Spoiling
from learning.learner import Learner, StepSizes
from learning.methods.base import Method, MethodType, World, find_method, read_options
from learning.requests.cluster import Closing
from sim.compute import compute_of, transmitter_of
from sim.devices import Compute
from sim.energy import Transmitter
from sim.errors import InputError
from sim.faults import Before
from sim.finding import Find, find
from sim.fingerprints import without_places
from sim.ground import device_kinds, device_places
from sim.limits import CONTACT_BYTES, check_plan
from sim.plan import Plan
from sim.planning import make_plan
from sim.sidelinks import Sidelinks, sidelinks_of
from sim.task import learner_of

if TYPE_CHECKING:
    from scenarios import Scenario


@dataclass(frozen=True)
class Build:
    """A scenario made ready to run."""

    scenario: Scenario
    plan: Plan
    compute: tuple[Compute, ...]
    transmitter: Transmitter
    learner: Learner
    method: MethodType
    options: Any
    sidelinks: Sidelinks | None = None

    @property
    def cycles(self) -> int:
        """Complete cycles that the run can reach."""
        limit = self.scenario.stop.cycles
        return self.plan.cycles if limit is None else min(limit, self.plan.cycles)

    @property
    def evaluate_every_s(self) -> float | None:
        """Seconds between evaluations beside those of cycles; None for none."""
        hours = self.scenario.learning.evaluate_every_hours
        return None if hours is None else hours * 3600

    @property
    def step_sizes(self) -> StepSizes:
        """Step size of local training, and that of the gate over it."""
        learning = self.scenario.learning
        return learning.step_size, learning.gate_step_size_ratio

    @property
    def world(self) -> World:
        """What the method is told."""
        return World(
            clusters=self.plan.clusters,
            cycles=self.cycles,
            seed=self.scenario.seed,
            learner=self.learner,
            gate_tuning_cycles=self.scenario.learning.gate_tuning_cycles,
            closing=_closing(self.scenario),
        )

    @property
    def spoiling(self) -> Spoiling:
        """Which updates are to be not finite."""
        return _spoiling(self.scenario)

    def new_method(self) -> Method:
        """Return the method with its server state as it is before the run."""
        return self.method(self.world, self.options)


def build(scenario: Scenario, find: Find = find, before: Before | None = None) -> Build:
    """Check the whole scenario against the rooms and return what a run needs.

    ``find`` looks for the contact windows. ``before`` says what faults held until a fork.
    Raises InputError (or the ValueError of a room) with one line for everything that is wrong.
    """
    method, options, learner = method_of(scenario)
    learner.spoiling = _spoiling(scenario)
    check_plan(scenario, CONTACT_BYTES)
    plan = make_plan(scenario, find, before)
    compute, transmitter = compute_of(scenario), transmitter_of(scenario)
    sidelinks = sidelinks_of(scenario)
    return Build(scenario, plan, compute, transmitter, learner, method, options, sidelinks)


def method_of(scenario: Scenario) -> tuple[MethodType, Any, Learner]:
    """Return a scenario's method with its options, and its learner: all but plan and links.

    Raises InputError with one line for what is wrong in ``learning``.
    """
    try:
        method = find_method(scenario.learning.method)
    except ValueError as error:
        raise InputError(f"learning.method: {error}") from None
    try:
        options = read_options(method, scenario.learning.options)
    except ValueError as error:
        raise InputError(f"learning.options.{error}") from None
    if method.waits_for_all and scenario.learning.aggregation.when != "all":
        raise InputError(
            f"learning.aggregation: method {scenario.learning.method!r} waits for all its clients; "
            "remove it"
        )
    learner = learner_of(scenario)
    try:
        method.check(learner.config)
    except ValueError as error:
        raise InputError(str(error)) from None
    return method, options, learner


def _closing(scenario: Scenario) -> Closing:
    """Whom the scenario's aggregation waits for."""
    said = scenario.learning.aggregation
    return Closing(
        1.0 if said.quorum is None else said.quorum,
        inf if said.deadline_s is None else said.deadline_s,
    )


def _spoiling(scenario: Scenario) -> Spoiling:
    """Which updates the scenario wants not to be finite."""
    uploads = scenario.faults.uploads
    return Spoiling(scenario.seed, 0.0 if uploads is None else uploads.not_finite)


def portable(scenario: Scenario) -> dict[str, Any]:
    """Return the scenario as JSON that needs no file beside it: what they hold, not their paths."""
    import scenarios

    said: dict[str, Any] = scenario.model_dump(mode="json")
    source = scenario.orbit
    if source.source in ("tle", "omm") and source.path is not None:
        said["orbit"] |= {"path": None, "elements": _text(scenarios.element_file(scenario))}
    if source.source == "contacts" and source.path is not None:
        said["orbit"] |= {"path": None, "windows": _text(scenarios.windows_file(scenario))}
    for index, cluster in enumerate(scenario.ground.clusters):
        if cluster.places_path is not None:
            places = [asdict(site) for site in device_places(scenario, index) or ()]
            kinds = device_kinds(scenario, index)
            said["ground"]["clusters"][index] |= {
                "places_path": None,
                "places": places,
                "kinds": None
                if kinds is None
                else [kind.model_dump(mode="json") for kind in kinds],
            }
    _place_files(said["learning"], scenario)
    return said


def _place_files(learning: dict[str, Any], scenario: Scenario) -> None:
    """Name data and weights by absolute paths: too large to be held, and needed to run again."""
    model, data = learning["model"], learning["data"]
    model["checkpoints"] = [_absolute(scenario, name) for name in model["checkpoints"]]
    for section, key in ((model, "tokenizer"), (model, "adapter"), (data, "path")):
        if section[key] is not None:
            section[key] = _absolute(scenario, section[key])
    data["paths"] = {c: _absolute(scenario, name) for c, name in data["paths"].items()}


def _absolute(scenario: Scenario, name: str) -> str:
    import scenarios

    place = scenarios.local_path(scenario, name)
    return str(Path(place).resolve()) if Path(place).exists() else name


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8-sig")


def identity(said: dict[str, Any], plan: Plan, *earlier: Any) -> str:
    """Digest what decides a run: what its portable scenario says, and its contact windows.

    Of a fork also what it went by ``earlier``, as JSON.
    """
    said = {key: value for key, value in without_places(said).items() if key != "description"}
    windows = [(c.satellite, c.norad_id, c.rise_s, c.set_s) for c in plan.contacts]
    text = json.dumps([said, windows, *earlier], sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
