"""Trees of tensors, and the flat names by which values and files know them."""

import pytest
import torch

from tests.kit.training import Offer, Parameter, State, flatten, map_tensors, moved_in_state

STATE = {
    ".added.expert.1.0.up.weight+a": Parameter("expert.1.0.up.weight", "a"),
    ".base.expert.0.0.up.weight": Parameter("expert.0.0.up.weight"),
    ".base.expert.0.0.up.weight+a": Parameter("expert.0.0.up.weight", "a"),
    "expert.0.0.up.bias": Parameter("expert.0.0.up.bias"),
    "expert.1.0.up.weight+b": Parameter("expert.1.0.up.weight", "b"),
    "gate.0.weight": Parameter("gate.0.weight"),
    ".optimizer.mean.expert.1.0.up.weight+b": Parameter("expert.1.0.up.weight", "b"),
    ".optimizer.steps.gate.0.weight": Parameter("gate.0.weight"),
}
OFFER = (".changes.gate.0.weight", "expert.1.0.up.weight+a", "norm.running_mean")


def test_a_state_is_read_by_its_flat_names_and_written_by_the_same():
    flat = {name: torch.full((2,), float(n)) for n, name in enumerate(STATE)}
    state = State.of(flat)
    parts = (state.base, state.trained, *state.optimizer.values(), state.added)
    found = [(key, tensor) for part in parts for key, tensor in part.items()]
    assert sorted(key for key, _ in found) == sorted(STATE.values())
    assert set(state.optimizer) == {"mean", "steps"}
    again = flatten(state)
    assert sorted(again) == sorted(flat) and all(again[name] is flat[name] for name in flat)
    doubled = flatten(map_tensors(lambda tensor: 2 * tensor, state))
    assert all(torch.equal(doubled[name], 2 * tensor) for name, tensor in flat.items())


def test_an_offer_is_read_by_its_flat_names_and_written_by_the_same():
    flat = {name: torch.ones(2) for name in OFFER}
    offer = Offer.of(flat)
    assert list(offer.changes) == ["gate.0.weight"] and list(offer.whole) == ["norm.running_mean"]
    assert flatten(offer).keys() == flat.keys()


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
