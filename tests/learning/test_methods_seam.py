"""The seam of methods: their options, and what each device is sent, owes and loses."""

import subprocess
import sys
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import learning
from learning import LearningConfig, ModelConfig, find_method
from learning.clients import ClusterState
from learning.clients.updates import ServerModel
from learning.methods.options import NoOptions, read_options
from learning.requests import Cluster, Receipt, Work
from learning.settings import Lora, Pretraining
from tests.kit import small
from tests.kit.small_nmoe import NMOE

SHIPPED = ("synchronous", "emsfl", "emsfl-enhanced", "fedavg", "fedbuff", "aligned")


@dataclass(frozen=True)
class Options:
    alpha: float = 0.5
    often: bool = False


def test_options_are_filled_with_defaults():
    assert read_options(Options, {"alpha": 1}) == Options(alpha=1)
    assert read_options(find_method("synchronous").Options, {}) == NoOptions()


WRONG_OPTIONS = [
    (Options, "beta", 1, "alpha, often"),
    (Options, "alpha", True, "float"),
    ("emsfl", "resplit_cycles", -1, ""),
    ("emsfl", "threshold", 1.5, "1.5 should be less than or equal to 1"),
    ("emsfl-enhanced", "mask", "0", "'0' should be '-inf' or 'zero'"),
    ("fedasync", "alpha", 1.5, ""),
    ("fedasync", "staleness", "none", "'constant', 'polynomial' or 'hinge'"),
    ("fedbuff", "server_step_size", 0.0, "0.0 should be greater than 0"),
    ("fedbuff", "server_step_size", np.nan, ""),
    ("fedopt", "beta1", 1.0, ""),
    ("aligned", "policy", "gredy", ""),
    ("nmoe", "gate", "learning:Architecture", "should be 'fedgate', 'rollgate'"),
    ("nmoe", "inference_batch", 0, ""),
]


@pytest.mark.parametrize(("method", "key", "value", "line"), WRONG_OPTIONS)
def test_wrong_options_are_refused_by_name(method, key, value, line):
    options = find_method(method).Options if isinstance(method, str) else method
    with pytest.raises(ValueError, match=f"^{key}: .*{line}") as told:
        read_options(options, {key: value})
    assert "\n" not in str(told.value)


@pytest.mark.process
def test_public_names_methods_data_and_runs_that_only_keep_time_need_no_torch():
    plain = set(learning.__all__) - {"expert_relevance", "Learner"}
    said = small.merged(NMOE, {"learning": {"train": False}})
    code = f"""import sys, learning, learning.data, scenarios, sim
for name in {plain}: assert getattr(learning, name)
for name in {SHIPPED}: learning.find_method(name)
sim.run(scenarios.from_dict({said!r}))
sys.exit('torch' in sys.modules)"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert all(getattr(learning, name) for name in learning.__all__)


EVERY = [0, 1, 2]
ALL = np.ones(3, bool)
LORA = Lora(rank=2)
SHORT = Pretraining(20, 20, 20)
MODEL = ModelConfig(experts=3, hidden=12, expert_hidden=10, layers=1, lora=LORA)
CONFIG = LearningConfig(1, ("A",), (3,), MODEL, batch_size=4, pretraining=SHORT)


@cache
def learner_of(train, **lora):
    model = replace(MODEL, lora=replace(LORA, **lora))
    return learning.Learner(replace(CONFIG, model=model), train=train)


def some_side(train=False, **lora):
    learner = learner_of(train, **lora)
    side = ClusterState(learner, Cluster("A", 0, 3))
    side.load_initial(ServerModel(learner.start(), 0, np.zeros(3, int)), EVERY)
    return side


def work(*rounds):
    return Work(np.array(rounds), np.array(rounds, float), ~ALL)


def receipt(*parts):
    """What a transfer of one byte has come to: 1 is done."""
    through = np.array(parts)
    done = through == 1
    return Receipt(done, np.where(done, 1.0, np.inf), through, 1 - through)


def asked(side, version, changes=None):
    return side.download("model", ServerModel(side.learner.start(), version, changes), EVERY)


def versions(down):
    return np.asarray(down.payload.version).tolist()


def weights(side, handle):
    return {n: t.numpy().copy() for n, t in side.learner.force(handle).items()}


def merged(side, server, who):
    merged, _ = learning.merge(side.learner, server, side.update(who))
    return merged


def test_what_is_finished_late_is_the_model_that_it_was_begun_in():
    side = some_side(train=True)
    other = some_side(train=True)
    servers = [side.learner.start()]
    for _ in range(2):
        other.train(work(1, 1, 1), EVERY, gate=True)
        other.offer(EVERY, gate=True)
        servers.append(merged(other, servers[-1], other.deliver(receipt(1, 1, 1))))
    for version, parts, held in (
        (1, (0.5, 0.9, 1), [0, 0, 1]),
        (2, (1, 0.9, 0.2), [1, 0, 1]),
        (2, (1, 1, 1), [2, 1, 2]),
    ):
        side.download("model", ServerModel(servers[version], version), EVERY)
        side.receive(receipt(*parts))
        assert side.version.tolist() == held
    got = weights(side, side.state.whole)
    first, second = (weights(other, server) for server in servers[1:])
    for name, tensor in first.items():
        np.testing.assert_array_equal(got[f".base.{name}"], [second[name], tensor, second[name]])
    assert not np.array_equal(first["gate.0.weight"], second["gate.0.weight"])


@given(st.lists(st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=3, max_size=3), max_size=8))
def test_every_device_downloads_as_if_it_were_alone(contacts):
    """In versions and in bytes, where only the changes that are missing go down."""
    side = some_side(download="factors")
    sizes = side.learner.architecture
    changes = np.zeros(3, np.int64)
    whole = sizes.download_bytes([0], gate=False)
    change = sizes.factor_bytes(1)
    held = [0] * 3
    way = [None] * 3
    through = [0.0] * 3
    for version, parts in enumerate(contacts, 1):
        changes = changes + 1
        down = asked(side, version, changes=changes)
        for k in range(3):
            way[k] = version if way[k] is None else way[k]
            assert versions(down)[k] == way[k]
            missed = 3 * min(whole, change * (way[k] - held[k])) + sizes.download_bytes(
                [], gate=True
            )
            assert np.asarray(down.payload.bytes)[k] == pytest.approx(missed)
            through[k] = max(through[k], parts[k])
        side.receive(receipt(*through))
        for k in range(3):
            held[k] = way[k] if through[k] == 1 else held[k]
            way[k] = None if through[k] in (0, 1) else way[k]
            through[k] = 0.0 if way[k] is None else through[k]
        assert side.version.tolist() == held


def test_what_is_forgotten_is_never_offered_and_not_owed():
    side = some_side(train=True)
    kept = some_side(train=True)
    start = side.learner.start()
    side.train(work(1, 1, 1), [0])
    side.forget([0], np.array([False, True, False]))
    assert side.has_unsent([0]).tolist() == [True, False, True]
    side.offer([0])
    assert side.pending.tolist() == [True, False, True]
    side.deliver(receipt(1, 0, 1))
    changes = []
    for some, rounds in ((side, 1), (kept, 2)):
        some.train(work(0, rounds, 0), [0])
        some.offer([0])
        after = weights(some, merged(some, start, some.deliver(receipt(0, 1, 0))))
        changes.append(after["expert.0.0.up.weight"] - weights(some, start)["expert.0.0.up.weight"])
    moved, whole = (float(np.abs(change).max()) for change in changes)
    assert 0 < moved < 0.9 * whole


@pytest.mark.parametrize("rank", [2, None])
def test_an_upload_that_is_carried_over_and_what_is_trained_since_arrive_once(rank):
    """Trained, offered, trained on, downloaded, offered again: the server gets both changes."""
    side = some_side(train=True, rank=rank)
    start = side.learner.start()
    ends = []
    for _ in range(2):
        side.train(work(3, 3, 3), EVERY, gate=True)
        ends.append(weights(side, side.models))
        side.offer(EVERY, gate=True)  # the second one waits for the first
    first = weights(side, merged(side, start, ALL))
    asked(side, 1)
    side.receive(receipt(1, 1, 1))
    side.deliver(receipt(1, 1, 1))
    side.offer(EVERY, gate=True)
    second = weights(side, merged(side, start, ALL))
    begin = weights(side, start)
    shares = np.array(side.learner.samples()[0]) / sum(side.learner.samples()[0])
    for name in ("gate.0.weight", "expert.0.0.up.weight"):
        begun, trained, ended = (model[name] for model in (begin, *ends))
        for found, change in ((first, trained - begun), (second, ended - trained)):
            mean = np.tensordot(shares, change, 1)
            np.testing.assert_allclose(found[name] - begun, mean, atol=1e-6)
        assert np.abs(second[name] - begun).max() > 1e-4


def test_a_gate_that_was_lost_is_in_no_later_offer():
    side = some_side(train=True)
    side.train(work(2, 2, 2), [0], gate=True)
    side.forget([], np.array([True, False, True]), gate=True)
    asked(side, 1)
    side.receive(receipt(1, 1, 1))
    offered = weights(side, side.state.offer([], gate=True))
    change = np.abs(offered[".changes.gate.0.weight"]).max(axis=(1, 2))
    assert (change > 0).tolist() == [False, True, False]
    assert side.has_unsent([0]).all()  # the experts' rounds are still to be sent
