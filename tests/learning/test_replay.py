"""Gradients that are computed again by the calls of the first are those of the model itself."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.kit.training import Grouped, replay


def gradient(shared, own, leaves):
    """By ``w`` (K, n) of ``sum (x w + c own)^2 / 2``, with a matrix c that all devices share."""

    def of(batch):
        (x,) = batch
        c = shared["c"].expanded() if isinstance(shared["c"], Grouped) else shared["c"]
        frozen = (c * own["b"]).exp()  # depends on no leaf, and on no minibatch
        seen = x.clone().add_(frozen)
        unused = (seen * leaves["w"]).sum()
        assert unused.dim() == 0
        return {"w": seen * (leaves["w"] * seen + 1.0), "not reached": torch.zeros_like(x)}

    return of


def random(*names):
    return {name: torch.randn(3, 5) for name in names}


def test_it_follows_leaves_and_minibatches_and_takes_another_trainings_tensors():
    first = random("c"), random("b"), random("w")
    recording = replay.Recording(gradient, *first)
    for shared, own, leaves in (first, (random("c"), random("b"), random("w"))):
        recording.begin(shared, own, leaves)
        for _ in range(4):
            batch = (torch.randn(3, 5),)
            expected = gradient(shared, own, recording.leaves)(batch)
            found = recording(batch)
            assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
            recording.leaves["w"].sub_(found["w"], alpha=0.1)
        assert not torch.equal(recording.leaves["w"], leaves["w"])
    assert recording.bytes > 0


def test_what_is_frozen_is_computed_once_in_a_training_and_what_nobody_needs_never(monkeypatch):
    tensors = random("c"), random("b"), random("w")
    recording = replay.Recording(gradient, *tensors)
    counts = {"exp": 0, "sum": 0}
    into = dict(replay._INTO)
    for name in counts:
        plain, outputs = into[name]

        def counted(*given, plain=plain, name=name, **named):
            counts[name] += 1
            return plain(*given, **named)

        into[name] = counted, outputs
    monkeypatch.setattr(replay, "_INTO", into)
    recording.begin(*tensors)
    for _ in range(3):
        recording((torch.randn(3, 5),))
    assert counts == {"exp": 0, "sum": 0}
    recording.begin(*tensors)
    recording((torch.randn(3, 5),))
    assert counts == {"exp": 1, "sum": 0}


def steps_in_a_row(shared, own, leaves):
    """Twelve results one after the other, of which the first is read to the end."""

    def of(batch):
        first = now = batch[0] * leaves["w"]
        for _ in range(4):
            now = (now + first).exp().clone().mul_(0.1)
        return {"w": now, "first": first}

    return of


def test_what_is_read_no_more_leaves_its_memory_to_what_follows():
    tensors = random("c"), random("b"), random("w")
    recording = replay.Recording(steps_in_a_row, *tensors)
    recording.begin(*tensors)
    for _ in range(4):
        batch = (torch.randn(3, 5),)
        expected = steps_in_a_row(*tensors)(batch)
        found = recording(batch)
        assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
    assert recording.bytes == 4 * batch[0].nbytes  # two results, and two in turn between them


def test_groups_have_their_own_tensors():
    def grouped():
        return {"c": Grouped([torch.randn(5), torch.randn(5)], [2, 1])}

    first = grouped(), random("b"), random("w")
    recording = replay.Recording(gradient, *first)
    for tensors in (first, (grouped(), random("b"), random("w"))):
        recording.begin(*tensors)
        for _ in range(3):
            batch = (torch.randn(3, 5),)
            assert torch.equal(recording(batch)["w"], gradient(*tensors)(batch)["w"])


KEPT: Tensor = torch.zeros(3, 5)


def by_a_number(shared, own, leaves):
    return lambda batch: {"w": leaves["w"] * batch[0].sum().item()}


def by_a_branch(shared, own, leaves):
    return lambda batch: {"w": leaves["w"] if batch[0].sum() > 0 else -leaves["w"]}


def of_a_tensor_from_elsewhere(shared, own, leaves):
    return lambda batch: {"w": leaves["w"] * KEPT}


def by_the_number_of_calls(shared, own, leaves):
    calls = []
    return lambda batch: calls.append(1) or {"w": leaves["w"] * len(calls)}


@pytest.mark.parametrize("kind", [by_a_number, by_a_branch, of_a_tensor_from_elsewhere])
def test_what_depends_on_more_than_its_tensors_is_computed_by_the_model(kind):
    tensors = {}, {}, random("w")
    recording = replay.Recording(kind, *tensors)
    recording.begin(*tensors)
    for _ in range(4):
        batch = (torch.randn(3, 5),)
        KEPT.normal_()
        assert torch.equal(recording(batch)["w"], kind(*tensors)(batch)["w"])
    assert recording.bytes == 0


def test_calls_that_do_not_have_the_bits_of_the_model_are_given_up():
    tensors = {}, {}, random("w")
    recording = replay.Recording(by_the_number_of_calls, *tensors)
    recording.begin(*tensors)
    found = [recording((torch.randn(3, 5),))["w"].clone() for _ in range(3)]
    assert torch.equal(found[1], tensors[2]["w"] * 2)
    assert torch.equal(found[2], tensors[2]["w"] * 3)
    assert recording.bytes == 0


def used(form, tensors):
    """Train one step of a form, if it is recorded."""
    with replay.recording_of(form, lambda: replay.Recording(gradient, *tensors)) as recording:
        if recording is not None:
            recording.begin(*tensors)
            recording((torch.randn(3, 5),))
    return recording


def test_a_form_that_comes_often_is_recorded_and_used_by_one_thread_at_a_time(monkeypatch):
    monkeypatch.setattr(replay, "_KNOWN", {})
    tensors = random("c"), random("b"), random("w")
    found = [used("often", tensors) for _ in range(replay.TIMES + 2)]
    assert found[:-2] == [None] * replay.TIMES
    assert found[-1] is found[-2] is not None
    with replay.recording_of("often", pytest.fail) as recording:
        assert recording is found[-1]
        assert used("often", tensors) is None
    assert used("often", tensors) is recording


def test_the_recordings_that_were_used_last_are_kept(monkeypatch):
    monkeypatch.setattr(replay, "_KNOWN", {})
    monkeypatch.setattr(replay, "TIMES", 0)
    tensors = random("c"), random("b"), random("w")
    size = used("a", tensors).bytes
    monkeypatch.setattr(replay, "MOST_BYTES", 2 * size)
    first = {form: used(form, tensors) for form in "ab"}
    assert used("a", tensors) is first["a"]
    used("c", tensors)
    assert list(replay._KNOWN) == ["a", "c"]
    assert used("a", tensors) is first["a"]
    assert used("b", tensors) is not first["b"]
