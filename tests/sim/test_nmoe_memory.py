"""What `show` tells of a client's memory: the experts that it holds at once."""

from __future__ import annotations

import pytest

import sim
from tests.kit.network import build
from tests.kit.results import summarise
from tests.kit.small_nmoe import nmoe, options


@pytest.mark.parametrize(("exchange", "experts"), [("experts", 5), ("features", 1)])
def test_experts_are_counted_as_they_are_held(exchange: str, experts: int) -> None:
    scenario = nmoe(learning=options(exchange=exchange))
    sizes, result = build(scenario).new_method().sizes, sim.run(scenario)
    found = summarise(result.tables, result.manifest)
    assert found["expert_memory_bytes"] == experts * sizes.expert_bytes
    assert found["least_expert_memory_bytes"] <= sizes.expert_bytes
    assert found["model_expert_bytes"] == 5 * sizes.expert_bytes
