"""The validation split: samples that nobody trains on, like those that a cluster is tested on."""

import hashlib
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from learning import LearningConfig, ModelConfig
from learning.data import DATASETS, Dataset, Domain, Encoding, load_samples
from learning.data.federation import federate
from learning.data.samples import InputSpec, SampleArrays
from learning.declarations import FrozenDict
from learning.settings import Data, Pretraining, Split
from learning.training import evaluation
from learning.training.start import build_task, start_model

VECTOR = InputSpec("vector", (1,), 3)
PLAIN = ModelConfig(kind="vector-mlp", experts=0)
CONFIG = LearningConfig(seed=1, clusters=("a", "b", "c", "d"), devices=(5, 3, 1, 7))
SPLITS = {
    "iid": Split(),
    "dirichlet": Split(kind="dirichlet", alpha=5.0),
    "quantity": Split(kind="quantity", alpha=5.0),
    "shards": Split(kind="shards", classes=2),
    "domains": Split(kind="domains"),
    "over clusters": Split("clusters"),
    "domains over clusters": Split("clusters", "domains"),
    "within clusters": Split("devices", "dirichlet", 0.5),
}


def numbers(dataset):
    """The data set with the numbers of its rows as features."""
    return replace(dataset, encode=lambda _: Encoding(VECTOR, lambda rows: rows))


def held(samples, config):
    """The rows of all training samples: in shards, and where the server keeps them the trial's."""
    parts = [part.x for shards in samples.shards.values() for part in shards]
    if config.model.experts:
        parts += [part.x for part in samples.trial.values()]
    return np.concatenate(parts)


def check(samples, dataset, config):
    """Each training sample is there once, and is a cluster's kind of sample where it is set aside.

    Clusters share a validation set if they share a test set. A limit leaves some out.
    """
    most = config.data.train_samples or 10**6
    counts = [min(most, len(domain.train.x)) for domain in dataset.domains]
    trained = np.concatenate([domain.train.x for domain in dataset.domains])
    tests = [domain.test for domain in dataset.domains]
    shared = all(np.array_equal(tests[0].x, test.x) for test in tests) and len(tests) > 1
    assert bool(samples.validation) == (config.data.validation > 0)
    sets = list(samples.validation.values())
    aside = sets[:1] if shared else sets
    rows = np.concatenate([held(samples, config), *(part.x for part in aside)])
    assert len(set(rows.tolist())) == len(rows) == sum(counts) and np.isin(rows, trained).all()
    for name, domain, count in zip(config.clusters, dataset.domains, counts, strict=True):
        test = samples.test[name].x
        assert np.isin(test, domain.test.x).all()
        assert len(test) == min(config.data.test_samples or 5, 5)
        assert all(len(shard.y) for shard in samples.shards[name])
        if part := samples.validation.get(name):
            assert not np.isin(samples.trial[name].x, part.x).any()
            assert np.isin(part.x, trained if shared else domain.train.x).all()
            assert len(part.x) == round(config.data.validation * (sum(counts) if shared else count))
    label = {}
    for domain in dataset.domains:
        label.update(zip(domain.train.x.tolist(), domain.train.y.tolist(), strict=True))
    assert all([label[row] for row in part.x.tolist()] == part.y.tolist() for part in sets)


@st.composite
def tasks(draw):
    """A data set of numbered rows, with one test set or one a cluster, and how it is shared out."""
    devices = draw(st.lists(st.integers(1, 3), min_size=1, max_size=4))
    sizes = [draw(st.integers(40, 90)) for _ in devices]
    one_test = draw(st.booleans())
    names_devices = draw(st.booleans())
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    domains = []
    for index, (size, count) in enumerate(zip(sizes, devices, strict=True)):
        x = 1000 * index + np.arange(size)
        train = SampleArrays(x, x % 3, np.full(size, index))
        tested = 9000 + np.arange(5) + (0 if one_test else 10 * index)
        test = SampleArrays(tested, tested % 3, np.full(5, index))
        device = rng.permutation(np.arange(size) % count) if names_devices else None
        domains.append(Domain(train, test, device))
    how = draw(st.sampled_from([{}, {"own_domain_fraction": 0.6},
                                *({"split": split} for split in SPLITS.values())]))  # fmt: skip
    limits = draw(st.sampled_from([{}, {"train_samples": 35, "test_samples": 3}]))
    share = draw(st.just(0.0) | st.floats(0.02, 0.6))
    trial = draw(st.integers(1, 4))
    data = Data(trial_samples=trial, validation=share, **how, **limits)
    names = tuple("abcd"[: len(devices)])
    config = LearningConfig(draw(st.integers(0, 99)), names, tuple(devices), data=data)
    config = replace(config, model=draw(st.sampled_from([PLAIN, config.model])))
    return numbers(Dataset(domains, lambda _: None)), config


@given(tasks())
def test_training_trial_validation_and_test_samples_are_disjoint_and_all_there_are(task):
    dataset, config = task
    try:
        samples = federate(dataset, config)
    except ValueError as refusal:
        assert "\n" not in str(refusal)
        with suppress(ValueError):  # refused anyway
            federate(dataset, replace(config, data=replace(config.data, validation=0.0)))
            assert "learning.data.validation" in str(refusal)
        return
    check(samples, dataset, config)


def test_satellites_that_hold_the_samples_of_clusters_have_their_validation_sets():
    data = Data(validation=0.2)
    names = ("Bern", "Rome", "Wien")
    apart = LearningConfig(1, names, (1, 1, 1), data=data)
    holders = (("Bern", "Wien"), ("Rome",))
    together = LearningConfig(1, ("S1", "S2"), (1, 1), data=data, holders=holders)
    each = load_samples(apart)
    found = load_samples(together)
    both = [each.validation[name].x for name in holders[0]]
    assert np.array_equal(found.validation["S1"].x, np.concatenate(both))
    assert np.array_equal(found.validation["S2"].x, each.validation["Rome"].x)
    assert set(found.validation["S1"].domain.tolist()) == {0}
    shared = replace(together, data=replace(data, kind="digit-images"))
    found = load_samples(shared)
    assert found.validation["S1"].x is found.validation["S2"].x  # and counts once
    assert len(found.validation["S1"].y) == 280


def test_a_class_is_as_frequent_among_validation_samples_as_among_all():
    x = np.arange(20_000)
    y = (np.random.default_rng(0).random(20_000) < 0.1).astype(int)
    domain = Domain(SampleArrays(x, y, 0 * x), SampleArrays(x[:2] + 1e6, y[:2], 0 * x[:2]))
    config = LearningConfig(3, ("a",), (2,), data=Data(validation=0.2))
    part = federate(numbers(Dataset([domain], lambda _: None)), config).validation["a"]
    # the standard error of a share of 0.1 among 4,000 samples is 0.005
    assert part.y.mean() == pytest.approx(y.mean(), abs=0.015)


def digest(config):
    samples = load_samples(config)
    whole = hashlib.sha256()
    for name in config.clusters:
        for part in (*samples.shards[name], samples.trial[name], samples.test[name]):
            for array in part:
                whole.update(np.ascontiguousarray(array).tobytes())
    return whole.hexdigest()[:16]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (
            Data(own_domain_fraction=0.7, split=SPLITS["within clusters"]),
            "26477d7bf1d549c4",
        ),
        (Data("digit-images", split=SPLITS["dirichlet"]), "fc134033bddca798"),
        (Data(split=Split("clusters", "quantity", 0.5)), "947130caab1032e7"),
    ],
)
def test_without_a_share_nothing_is_drawn_and_all_is_as_it_was(data, said):
    """Digests of federations, which tell that draws stay what they are."""
    assert digest(replace(CONFIG, data=data)) == said
    assert load_samples(replace(CONFIG, data=data)).validation == {}


def one_cluster(size, device=None, labels=2):
    x = np.arange(size)
    train = SampleArrays(x, x % labels, 0 * x)
    return Domain(train, SampleArrays(x[:2] + 1000, x[:2], 0 * x[:2]), device)


ALONE, TEN = one_cluster(20), one_cluster(20, np.arange(20) // 2)
NATURAL = {"split": Split(kind="domains", over="clients")}


@pytest.mark.parametrize(
    ("domain", "keys", "message"),
    [
        (ALONE, {"validation": 0.01},
         "validation: 0.01 of 20 training samples leaves cluster 'a' no validation samples; raise"),
        (TEN, {"validation": 0.7},
         "validation: 0.7 of 20 training samples leaves a device of cluster 'a' no .*; lower"),
        (one_cluster(20, labels=20), {"validation": 0.5},
         "validation: 0.5 leaves class . no training samples; lower it"),
        (TEN, {"validation": 0.25, "trial_samples": 8},
         "validation: 0.25 of the samples .*; lower it, have fewer devices or lower learning"),
        (TEN, {"trial_samples": 18}, "kind: 'digits' leaves cluster 'a' .*; have fewer devices"),
        (TEN, NATURAL | {"trial_samples": 18}, "split.kind: 'domains' leaves cluster 'a' .*; have"),
    ],
)  # fmt: skip
def test_the_key_that_leaves_somebody_too_few_samples_is_named(domain, keys, message):
    """Of one device, or of ten with two samples each."""
    data = Data(**{"trial_samples": 1, **keys})
    devices = 1 if domain.device is None else 10
    trains = Pretraining(backbone_steps=int(data.trial_samples > 1))
    config = LearningConfig(1, ("a",), (devices,), PLAIN, data=data, pretraining=trains)
    with pytest.raises(ValueError, match=rf"^learning\.data\.{message}"):
        federate(numbers(Dataset([domain], lambda _: None)), config)


def some_share_a_test(config, shared):
    """Digits, of which the ``shared`` clusters have the test of the last of them."""
    made = DATASETS.find("digits")(config)
    domains = dict(zip(config.clusters, made.domains, strict=True))
    of_all = [domains[name].test for name in shared][-1:]
    domains |= {name: replace(domains[name], test=of_all[0]) for name in shared}
    return replace(made, domains=list(domains.values()))


@pytest.mark.parametrize("shared", [("a", "b", "c"), ("b", "d"), ()])
def test_samples_that_clusters_share_are_tested_once(shared):
    """Counted as the model is run with them; the scores are those of each cluster alone.

    Those of the test are the same bits without a validation set.
    """
    kind = f"{__name__}:{some_share_a_test.__name__}"
    data = Data(kind, validation=0.2, arguments=FrozenDict(shared=shared))
    model = ModelConfig("vector-moe", experts=2)
    task = build_task(replace(CONFIG, data=data, model=model))
    server = start_model(task)
    run = [0]

    def count(module, given, _):
        if isinstance(module, type(task.model(server))):
            run[0] += len(given[0])

    with nn.modules.module.register_module_forward_hook(count):
        scores = evaluation.evaluate(task, server)
    sizes = [len(task.test[name].y) for name in task.config.clusters if name not in shared[1:]]
    kept = {id(part.x): len(part.y) for part in task.validation.values()}
    assert run[0] == sum(sizes) + sum(kept.values())
    plain = evaluation.evaluate(replace(task, validation={}), server)
    for score, said in zip(scores, plain, strict=True):
        assert {key: score[key] for key in said} == said
        # experts round otherwise in another batch
        (alone,) = evaluation.evaluate(task.tested_in(score["cluster"]), server)
        assert score.pop("cluster") == alone.pop("cluster")
        assert score == pytest.approx(alone, rel=1e-6)
