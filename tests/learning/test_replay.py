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


def test_a_form_is_recorded_when_it_comes_again_and_by_one_thread_at_a_time(monkeypatch):
    monkeypatch.setattr(replay, "_KNOWN", {})

    def make():
        return replay.Recording(gradient, random("c"), random("b"), random("w"))

    with replay.recording_of("form", make) as recording:
        assert recording is None
    with replay.recording_of("form", make) as recording:
        assert recording is not None
        with replay.recording_of("form", make) as other:
            assert other is None
    with replay.recording_of("form", make) as again:
        assert again is recording


def test_the_recordings_that_were_used_last_are_kept(monkeypatch):
    monkeypatch.setattr(replay, "_KNOWN", {})
    # Each takes the memory of a clone, two products, a sum and an exponential, 60 bytes each.
    monkeypatch.setattr(replay, "MOST_BYTES", 1200)
    for form in "aabbccaabb":
        tensors = random("c"), random("b"), random("w")
        make = lambda tensors=tensors: replay.Recording(gradient, *tensors)  # noqa: E731
        with replay.recording_of(form, make) as recording:
            if recording is not None:
                recording.begin(*tensors)
                recording((torch.randn(3, 5),))
    kept = [r for r in replay._KNOWN.values() if r is not None]
    assert 0 < sum(r.bytes for r in kept) <= 1200
    assert list(replay._KNOWN)[-1] == "b"
