"""What devices send and how the satellite adds it, against sums written out in float64."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from learning import Learner, LearningConfig, ModelConfig
from learning.architecture.costs import as_sent
from learning.invariants import Violation, check_shares
from learning.settings import Lora, Pretraining
from learning.training.aggregation import sample_weights
from learning.training.state import not_finite
from tests.kit.rounds import committed, downloaded, merged, models_of, moved, spoilt, trained

EXPERTS = (0, 1)
LORA = Lora(rank=2)
SHORT = Pretraining(20, 20, 20)
MODEL = ModelConfig(experts=2, hidden=10, expert_hidden=6, layers=2, lora=LORA)
CONFIG = LearningConfig(4, ("a", "b"), (3, 2), MODEL, pretraining=SHORT)
MATRIX = "expert.0.0.up.weight"


def learner_of(mode="merge", download="full", **keys):
    lora = replace(LORA, aggregate=mode, download=download)
    return Learner(replace(CONFIG, model=replace(MODEL, lora=lora), **keys))


def best(matrix, rank):
    """The nearest matrix of a rank (Eckart and Young): the singular values behind it cut off."""
    u, values, v = np.linalg.svd(matrix)
    return (u[:, :rank] * values[:rank]) @ v[:rank]


def added(mode, weights, a, b, rank):
    """What a mode makes of the factors of all devices, cut to a rank."""
    if mode in ("average", "ffa"):
        total = sum(weights)
        mean_a = a[1] if mode == "ffa" else np.tensordot(weights, a, 1) / total
        mean_b = np.tensordot(weights, b, 1) / total
        return 2.0 * total * mean_b[:, :rank] @ mean_a[:rank]
    return best(sum(2.0 * w * b[k] @ a[k] for k, w in enumerate(weights)), rank)


MODES = [("merge", "full"), ("merge", "factors"), ("average", "factors")]
MODES += [("ffa", "full"), ("stack", "full"), ("svd", "full")]


@pytest.mark.parametrize(("mode", "download"), MODES)
def test_each_mode_adds_what_its_paper_writes_and_devices_hold_it_cut_to_their_ranks(
    mode, download
):
    """In double precision, to 1e-12; one round has the update of a single device."""
    ranks = ((1, 2, 2), (2, 2))
    learner = learner_of(mode, download, ranks=ranks, precision="float64")
    kept = 2 if (mode, download) == ("merge", "factors") else 6
    server, state = learner.start(), None
    sums = {1: 0.0, 2: 0.0, 6: 0.0}
    first = learner.force(server)[MATRIX].numpy()
    for number, who in enumerate([(True,) * 3, (False, True, False), (True,) * 3]):
        state = downloaded(learner, server, state, number=number)
        bases = learner.force(state.whole)[f".base.{MATRIX}"].numpy()
        for device, rank in enumerate(ranks[0]):
            here = rank if rank in learner.config.cuts else kept
            np.testing.assert_allclose(bases[device], first + sums[here], atol=1e-12)
        state = trained(state, 2, 2 * number)
        sent = learner.force(state.offer(EXPERTS, gate=True))
        a, b = (sent[f"{MATRIX}+{factor}"].numpy() for factor in "ab")
        # zeros behind a rank are never trained
        assert not a[0, 1:].any() and not b[0, :, 1:].any() and b[1, :, 1:].any()
        shares = sample_weights(learner.task, "a", who)
        for rank in sums:
            sums[rank] = sums[rank] + added(mode, shares, a, b, rank)
        server = merged(server, state, who=who)
        state = committed(state, number + 1, who=who)
        found = learner.force(server)[MATRIX].numpy()
        np.testing.assert_allclose(found, first + sums[kept], atol=1e-12)
    assert np.abs(found - first).max() > 1e-2


@pytest.mark.parametrize("mode", ["merge", "average", "ffa"])
def test_a_device_that_takes_no_part_may_hold_anything_and_no_other(mode):
    learner = learner_of(mode)
    server = learner.start()
    state = trained(downloaded(learner, server))
    broken = spoilt(state, 1)
    clean, found = (
        learner.force(merged(server, some, who=(True, False, True))) for some in (state, broken)
    )
    assert moved(clean, found) == set() != moved(learner.force(server), clean)
    with pytest.raises(ValueError, match="from device 1 is not finite"):
        learner.force(merged(server, broken))


def test_offers_since_a_download_stand_side_by_side_in_as_few_ranks_as_there_are():
    """The ranks that a device has not used are free, and go once all that used them have loaded."""
    learner = learner_of()
    server = learner.start()
    state = downloaded(learner, server)

    def ranks():
        factor = learner.force(state.own).get(f".added.{MATRIX}+b")
        return None if factor is None else factor.shape[-1]

    found = []
    for number, who in enumerate([(True, False, False), (False, True, False), (True, True, False)]):
        state = trained(state, 1, number)
        before = models_of(state)
        state = committed(state, number + 1, who=who, gate=False)
        for name, tensor in models_of(state).items():
            torch.testing.assert_close(tensor, before[name], atol=1e-6, rtol=1e-5)
        found.append(ranks())
    for who in ((True, False, False), (False, True, False)):
        state = downloaded(learner, server, state, who=who, number=4)
        found.append(ranks())
    assert found == [2, 2, 4, 4, None]


SHAPES = st.tuples(st.integers(1, 4), st.integers(1, 6), st.integers(1, 5))


@given(hnp.arrays(np.float32, SHAPES, elements=st.floats(-1e4, 1e4, width=32)))
def test_bits_that_are_left_are_numpys_half_or_127_steps_of_each_devices_range(values):
    half, eight = (as_sent(torch.from_numpy(values), f).numpy() for f in ("float16", "int8"))
    np.testing.assert_array_equal(half, values.astype(np.float16).astype(np.float32))
    step = np.abs(values).max(axis=(1, 2), keepdims=True) / 127
    assert (np.abs(eight - values) <= 0.5 * step * (1 + 1e-5) + 1e-30).all()
    assert len(np.unique(np.rint(eight[0] / max(step[0, 0, 0], 1e-30)))) <= 255


@pytest.mark.parametrize("sent_as", ["float16", "int8"])
def test_offers_are_rounded_as_they_are_sent_and_broken_ones_stay_so(sent_as):
    states = []
    for upload_format in ("native", sent_as):
        learner = learner_of(upload_format=upload_format)
        states.append(trained(downloaded(learner, learner.start())))
    exact, rough = (s.learner.force(s.offer(EXPERTS, gate=True)) for s in states)
    assert all(torch.equal(rough[n], as_sent(t, sent_as)) for n, t in exact.items())
    assert moved(exact, rough)
    values = torch.tensor([[1.0, torch.nan], [2.0, 3.0]])
    assert not_finite(None, {"x": as_sent(values, sent_as)}) == [0]


@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=200), st.floats(1e-6, 1e6))
def test_shares_of_counts_sum_to_one_in_spite_of_rounding(counts, factor):
    shares = [count / sum(counts) for count in counts]
    check_shares(shares, "all")
    scaled = [factor * share for share in shares]
    if abs(factor - 1.0) > 1e-8:
        refused("weight", scaled)
    if factor <= 1.0:
        check_shares(scaled, "some", whole=False)
    for wrong in (-1e-12, 1.1, float("nan")):
        refused("a weight of all is", [0.0, wrong], whole=factor <= 1.0)


def refused(message, weights, **how):
    with pytest.raises(Violation, match=message):
        check_shares(weights, "all", **how)
