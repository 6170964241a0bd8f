"""Aggregation at the satellite against sums written out in float64, in every mode of LoRA."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from learning import Learner
from tests.kit import learning as kit
from tests.kit.devices import Devices
from tests.kit.training import LocalRounds, TrainedPart, Weighing, add_changes, sample_weights

EXPERTS = (0, 1)
WEIGHTS = (0.5, 0.2, 0.3)
LORA = kit.Lora(rank=2)
SHORT = kit.Pretraining(20, 20, 20)
MODEL = kit.ModelConfig(experts=2, hidden=10, expert_hidden=6, layers=2, lora=LORA)
CONFIG = kit.LearningConfig(4, ("a", "b"), (3, 2), MODEL, pretraining=SHORT)
MODES = [{}, {"aggregate": "average"}, {"aggregate": "ffa"}]


def with_lora(task, **changes):
    model = replace(MODEL, lora=replace(MODEL.lora, **changes))
    return replace(task, config=replace(CONFIG, model=model))


@pytest.fixture(scope="module")
def offered(task, server):
    devices = Devices(task)
    held = devices.receive(server, generation=(0, 1, 1))
    return devices.offer(devices.train(held, (3, 5, 4), experts=EXPERTS, gate=True), EXPERTS)


def factors(offered, matrix="expert.0.0.up"):
    return (offered[f"{matrix}.weight+{factor}"].double().numpy() for factor in "ab")


def change_of(task, server, offered, weights=WEIGHTS, cut=None, matrix="expert.0.0.up"):
    merged = add_changes(task, server, offered, {0: weights}, cut=cut)
    return (merged[f"{matrix}.weight"] - server[f"{matrix}.weight"]).double().numpy()


def best(matrix, rank):
    """The nearest matrix of a rank (Eckart and Young): the singular values behind it cut off."""
    u, values, v = np.linalg.svd(matrix)
    return (u[:, :rank] * values[:rank]) @ v[:rank]


@pytest.mark.parametrize("ranks", [(2, 2, 2), (2, 1, 2)])
@pytest.mark.parametrize("mode", ["merge", "average", "ffa", "stack", "svd"])
def test_each_mode_is_what_its_paper_writes_device_by_device(task, server, offered, mode, ranks):
    """In double precision, to 1e-12; what goes down cut to a rank is the best of that rank."""
    exact = {name: tensor.double() for name, tensor in offered.items()}
    server = {name: tensor.double() for name, tensor in server.items()}
    a = exact["expert.0.0.up.weight+a"]
    b = exact["expert.0.0.up.weight+b"]
    a[:] = a[0] if mode == "ffa" else a
    for device, rank in enumerate(ranks):  # zeros behind a device's own rank
        a[device, rank:], b[device, :, rank:] = 0, 0
    a = a.numpy()
    b = b.numpy()
    shares = np.array(WEIGHTS)[:, None, None]
    merged = sum(2.0 * w * b[k] @ a[k] for k, w in enumerate(WEIGHTS))
    mean_a = a[0] if mode == "ffa" else (shares * a).sum(0)
    mean_b = (shares * b).sum(0)
    averages = 2.0 * mean_b @ mean_a
    stacked = np.hstack(2.0 * shares * b) @ np.vstack(a)
    np.testing.assert_allclose(stacked, merged, atol=1e-12)
    if mode == "ffa":
        np.testing.assert_allclose(averages, merged, atol=1e-12)
    some = with_lora(task, aggregate=mode)
    of_means = mode in ("average", "ffa")
    found = change_of(some, server, exact)
    np.testing.assert_allclose(found, averages if of_means else merged, atol=1e-12)
    for rank in () if mode == "stack" else (1, 2):
        cut = 2.0 * mean_b[:, :rank] @ mean_a[:rank] if of_means else best(merged, rank)
        found = change_of(some, server, exact, cut=rank)
        np.testing.assert_allclose(found, cut, atol=1e-12)
    # late devices add their share of it too
    found = change_of(some, server, exact, (0.0, 0.2, 0.0))
    np.testing.assert_allclose(found, 0.2 * 2.0 * b[1] @ a[1], atol=1e-12)


@pytest.mark.parametrize(("mode", "down"), [("svd", "full"), ("merge", "factors"), ("ffa", "full")])
def test_devices_hold_the_sum_of_changes_cut_to_their_ranks(mode, down):
    """The server's, too, where it sends what it keeps; zeros behind a rank are never trained."""
    model = replace(MODEL, lora=replace(LORA, aggregate=mode, download=down))
    ranks = ((1, 2, 2), (2, 2))
    learner = Learner(replace(CONFIG, model=model, ranks=ranks, precision="float64"))
    who = np.ones(3, bool)
    none = np.zeros(3, int)
    name = "expert.0.0.up"
    server = learner.start()
    state = None
    wanted = {1: 0.0, 2: 0.0, 6: 0.0}
    first = learner.force(server)[f"{name}.weight"].numpy()
    for number in range(3):
        state = kit.DeviceState.load(learner, server, state, "a", who, EXPERTS, none + number)
        bases = learner.force(state.whole)[f".base.{name}.weight"].numpy()
        for device, rank in enumerate(ranks[0]):
            np.testing.assert_allclose(bases[device], first + wanted[rank], atol=1e-12)
        kept = first + wanted[2 if mode == "merge" else 6]
        found = learner.force(server)[f"{name}.weight"].numpy()
        np.testing.assert_allclose(found, kept, atol=1e-12)
        state = state.train(LocalRounds("a", none + 2, none), TrainedPart(EXPERTS, gate=True))
        sent = state.offer(EXPERTS, gate=True)
        a, b = factors(learner.force(sent), name)
        assert not a[0, 1:].any() and not b[0, :, 1:].any() and a[1, 1:].any() and b[1, :, 1:].any()
        shares = sample_weights(learner.task, "a", who)
        change = sum(2.0 * w * b[k] @ a[k] for k, w in enumerate(shares))
        mean_b = sum(2.0 * w * b[k] for k, w in enumerate(shares))
        for rank in wanted:
            cut = mean_b[:, :rank] @ a[1, :rank] if mode == "ffa" else best(change, rank)
            wanted[rank] = wanted[rank] + cut
        state = state.commit(who, none + number + 1, EXPERTS, gate=True)
        server = kit.aggregate(learner, server, sent, EXPERTS, Weighing("a", who), gate=True)


def test_devices_weigh_by_their_samples_among_those_who_can_take_part(task):
    counts = np.array(task.shards["a"].sizes)
    assert len(set(counts)) == 2
    some = (True, False, True)
    for who, able, weights in (
        ((True,) * 3, None, counts / counts.sum()),
        (some, None, counts * some / counts.sum()),
        ((True, False, False), some, counts * [1, 0, 0] / counts[[0, 2]].sum()),
    ):
        np.testing.assert_allclose(sample_weights(task, "a", who, able), weights, atol=1e-15)
    for nobody in ((False,) * 3, (True, True)):
        with pytest.raises(ValueError, match="name at least one of the 3 devices"):
            sample_weights(task, "a", nobody)


@pytest.mark.parametrize("mode", MODES)
def test_a_device_of_weight_zero_may_hold_anything_and_no_other(task, server, offered, mode):
    some = with_lora(task, **mode)
    broken = {name: tensor.clone() for name, tensor in offered.items()}
    for tensor in broken.values():
        tensor[1] = torch.nan
    clean, found = (change_of(some, server, o, (0.5, 0.0, 0.3)) for o in (offered, broken))
    assert np.abs(clean).max() > 1e-3
    np.testing.assert_array_equal(found, clean)
    broken = {name: tensor.clone() for name, tensor in offered.items()}
    broken["expert.0.0.up.weight+b"][1, 0, 0] = torch.inf
    with pytest.raises(ValueError, match=r"'expert\.0\.0\.up\.weight' from device 1"):
        add_changes(some, server, broken, {0: WEIGHTS})
    broken[".changes.gate.0.weight"][2, 0, 0] = torch.nan
    with pytest.raises(ValueError, match=r"'gate\.0\.weight' from device 2"):
        add_changes(some, server, broken, {}, WEIGHTS)


def test_wrong_weights_and_what_was_not_offered_cannot_be_merged(task, server, offered):
    for weights in ((0.5, 0.5), (0.5, 0.6, -0.1)):
        for experts, gate in (({0: weights}, None), ({}, weights)):
            with pytest.raises(ValueError, match="give 3 that are 0 or more"):
                add_changes(task, server, offered, experts, gate)
    fewer = {name: tensor for name, tensor in offered.items() if "expert.1." not in name}
    with pytest.raises(ValueError, match=r"no factors of 'expert\.1"):
        add_changes(task, server, fewer, dict.fromkeys(EXPERTS, WEIGHTS))
    with pytest.raises(ValueError, match=r"no change of 'gate\.0"):
        add_changes(task, server, {}, {}, WEIGHTS)
