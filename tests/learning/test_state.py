"""Trees of tensors, and the flat names by which values and files know them."""

import pytest
import torch

from tests.kit.training import Offer, Parameter, State, flatten, moved_in_state

WORDS = ("base", "added", "trained", "optimizer", "changes", "own.gate", "own")


@pytest.mark.parametrize("word", WORDS)
def test_a_module_may_be_called_as_a_part_of_a_state_is(word):
    weight = Parameter(f"{word}.weight")
    matrix = Parameter("expert.0.0.up.weight", "a")
    values = iter(torch.arange(10.0))
    state = State(
        trained={weight: next(values), Parameter("weight"): next(values), matrix: next(values)},
        base={weight: next(values), Parameter("weight"): next(values)},
        added={matrix: next(values)},
        optimizer={"mean": {weight: next(values)}},
    )
    assert State.of(flatten(state)) == state
    assert moved_in_state(*flatten(State(trained={weight: values}))) == weight
    assert moved_in_state(*flatten(State(optimizer={"mean": {weight: values}}))) == weight
    offer = Offer({}, {weight.stored: next(values)}, {f"{word}.running_mean": next(values)})
    assert Offer.of(flatten(offer)) == offer
