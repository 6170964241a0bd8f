"""`leomix validate`: what a scenario would do, before it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sim.cli.options import Json, ScenarioName, SetKeys, overrides_of
from sim.cli.output import print_json, warn
from sim.errors import InputError
from sim.formatting import Bar
from statements import Statement, as_json, by_rank

if TYPE_CHECKING:
    from scenarios import Scenario
    from sim.engine.setup import Build


@dataclass
class _Looked:
    """What was found of a scenario: doubts, what it would do, and what refuses it all the same."""

    json_: bool
    doubts: list[Statement] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    too_large: InputError | None = None

    def doubt(self, doubts: list[Statement]) -> None:
        """Keep doubts, and print them at once unless they will be part of JSON."""
        self.doubts += doubts
        if not self.json_:
            warn(by_rank(doubts))

    def show(self) -> None:
        """Print it; raise InputError for a run that does not fit into memory."""
        if not self.json_:
            print("\n".join(self.lines))
        elif self.too_large is None:
            said = [as_json(doubt) for doubt in by_rank(self.doubts)]
            print_json({"refused": None, "doubts": said, "text": "\n".join(self.lines)})
        if self.too_large is not None:
            raise self.too_large


def validate_command(
    scenario: ScenarioName,
    set_: SetKeys = None,
    *,
    json_: Json = False,
) -> None:
    """Check a scenario without running it, and show what it would do."""
    looked = _Looked(json_)
    overrides = overrides_of(set_)
    with Bar(quiet=False) as bar:
        bar.start("reading the scenario")  # to import what reads it takes a second
        import scenarios
        from sim.execution.ready import build
        from sim.world.fleet import flown_altitudes

        loaded = scenarios.load(scenario, overrides)
        bar.update("looking for contacts")
        if loaded.learning is None:
            _look_at_network(loaded, looked)
        else:
            _look(build(loaded), overrides, looked, bar)
        looked.doubt([*flown_altitudes(loaded.orbit)])
    looked.show()


def _look_at_network(scenario: Scenario, looked: _Looked) -> None:
    """Look at what a network study would be of, and whether it would be refused."""
    from sim.capacity.study import study_of
    from sim.cli.preview import network_text
    from sim.execution.ready import network_plan
    from sim.world.world import World

    world = World(scenario)
    plan = network_plan(world)
    study_of(world, plan)
    looked.doubt([*plan.doubts])
    looked.lines.append(network_text(world, plan))


def _look(built: Build, overrides: Mapping[str, Any], looked: _Looked, bar: Bar) -> None:
    """Look at what a run would do, and try what is the user's own in it."""
    from sim.advice import memory
    from sim.advice.doubts import doubts_before
    from sim.advice.training import as_shipped, learning_doubts, missing_data
    from sim.cli.preview import fitted, plan_text

    lacking = missing_data(built.world, built.learner)
    try:
        looked.doubt(memory.doubts(built))
    except InputError as error:  # what it would be is shown all the same, but not tried
        looked.too_large = error
    looked.doubt([*doubts_before(built), *lacking])
    looked.lines.append(plan_text(built))
    if not lacking:
        looked.lines.append(fitted([memory.text(built)]))
    if as_shipped(built.world, overrides):
        return
    if built.learner.trains and not lacking and looked.too_large is None:
        bar.update("trying data and model")  # with a module of one's own seconds
        looked.doubt([*learning_doubts(built)])
    elif built.method.traits.own_learning:
        looked.doubt([*built.try_hooks()])
    elif not built.learner.trains:
        built.new_method()  # one of the user's own may fail
