"""All that is doubted of a scenario before it runs, as `leomix validate` looks for it."""

import scenarios
from sim.cli.foreseen import foreseen
from sim.cli.training_doubts import learning_doubts, missing_data
from sim.engine.doubts import doubts_before as before_it_begins
from sim.engine.setup import build
from statements import Statement


def doubts_before(scenario: scenarios.Scenario) -> list[Statement]:
    built = build(scenario)
    lacking = missing_data(built.world, built.learner)
    tried = learning_doubts(built) if built.learner.trains and not lacking else []
    return [*before_it_begins(built), *foreseen(built), *lacking, *tried]
