"""All that is doubted of a scenario before it runs, as `leomix validate` looks for it."""

import scenarios
from sim.advice.doubts import doubts_before as before_it_begins
from sim.advice.training import learning_doubts, missing_data
from sim.execution.ready import build
from statements import Statement


def doubts_before(scenario: scenarios.Scenario) -> list[Statement]:
    built = build(scenario)
    lacking = missing_data(built.world, built.learner)
    tried = learning_doubts(built) if built.learner.trains and not lacking else []
    return [*before_it_begins(built), *lacking, *tried]
