"""Who holds which samples: domains, clusters and their devices."""

import sys
from dataclasses import replace
from itertools import chain, combinations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from learning import LearningConfig
from learning.data import load_samples
from learning.data.embedded import draw_client, shipped_digits
from learning.data.federation import mix_domains
from learning.data.partition import class_parts, dirichlet_parts, share_devices, split_rows
from learning.data.samples import SampleArrays
from learning.declarations import FrozenDict
from learning.rng import stream
from learning.settings import Data, Split

CONFIG = LearningConfig(seed=1, clusters=("a", "b", "c", "d"), devices=(5, 3, 1, 7))
DIGITS = load_digits()
PIXELS = DIGITS.data.astype("f4") / 16
SORTED = {tuple(np.sort(row)): number for number, row in enumerate(PIXELS)}


def numbers(*parts):
    rows = [row for part in parts for row in np.sort(part.x.reshape(len(part.y), -1), axis=1)]
    return [SORTED[tuple(row)] for row in rows]


def held(samples, *clusters):
    return [part for c in clusters for part in (samples.trial[c], *samples.shards[c])]


def rng(seed=0):
    return np.random.default_rng(seed)


def test_the_digits_are_those_that_scikit_learn_loads(monkeypatch, tmp_path):
    pixels, labels = shipped_digits()
    assert np.array_equal(pixels, DIGITS.data) and np.array_equal(labels, DIGITS.target)
    (tmp_path / "sklearn").mkdir()
    (tmp_path / "sklearn" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "sklearn")
    with pytest.raises(ValueError, match=r"cannot read .*digits.csv.gz.*install it anew"):
        shipped_digits()


def test_each_domain_holds_and_tests_its_images_through_its_own_permutation():
    samples, other = (load_samples(replace(CONFIG, seed=seed)) for seed in (1, 2))
    tests = [samples.test[c] for c in CONFIG.clusters]
    everything = [*held(samples, *CONFIG.clusters), tests[0]]
    assert sorted(numbers(*everything)) == sorted(SORTED[tuple(np.sort(row))] for row in PIXELS)
    labels = np.concatenate([part.y for part in everything])
    assert (DIGITS.target[numbers(*everything)] == labels).all()
    assert all(numbers(test) == numbers(tests[0]) for test in tests)
    assert len({test.x.tobytes() for test in tests}) == 4
    assert set(numbers(other.test["a"])) != set(numbers(tests[0]))
    view = True
    for part in [samples.test["b"], *held(samples, "b")]:
        view &= (PIXELS[numbers(part)][:, :, None] == part.x[:, None, :]).all(0)
    # pixels that are dark in every image fit several places, so at least one match each
    assert view.any(0).all() and view.any(1).all()


@given(st.lists(st.integers(1, 40), min_size=2, max_size=6), st.floats(0, 1), st.integers(0, 1000))
def test_mixing_keeps_every_sample_once_and_the_asked_fraction_at_home(sizes, fraction, seed):
    domains = []
    for c, n in enumerate(sizes):
        x = np.arange(n)[:, None] + 100.0 * c
        y = np.zeros(n, "i8")
        domains.append(SampleArrays(x, y, np.full(n, c)))
    mixed = mix_domains(domains, fraction, seed)
    values, all_values = (np.concatenate([p.x[:, 0] for p in parts]) for parts in (mixed, domains))
    assert sorted(values) == sorted(all_values)
    for home, size in enumerate(sizes):
        kept = [int((part.domain == home).sum()) for part in mixed]
        assert abs(kept[home] - fraction * size) <= 0.5
        away = kept[:home] + kept[home + 1 :]
        assert max(away) - min(away) <= 1


def each_once(parts, count):
    return sorted(np.concatenate(parts).tolist()) == list(range(count))


LABELS = st.lists(st.integers(0, 6), min_size=1, max_size=80).map(np.array)
EVEN = Split("devices")
OWN_LABELS = st.floats(1e-12, 1e6).map(lambda alpha: Split("devices", "dirichlet", alpha))


@given(LABELS, st.data(), st.one_of(st.none(), st.just(EVEN), OWN_LABELS), st.integers(0, 99))
def test_every_sample_is_on_one_device_and_no_device_is_empty(y, data, split, seed):
    devices = data.draw(st.integers(1, len(y)))
    how = replace(CONFIG, seed=seed, data=Data(split=split))
    parts = share_devices(y, "a", devices, how)
    assert len(parts) == devices and min(map(len, parts)) >= 1
    assert each_once(parts, len(y))


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.integers(1, 3), st.integers(1, 4))
def test_a_partition_by_classes_is_refused_only_where_there_is_none(sizes, devices, per_device):
    y = np.repeat(np.arange(len(sizes)), sizes)
    choices = list(combinations(range(len(sizes)), per_device))
    possible = any(
        all(1 <= sum(label in held for held in dealt) <= n for label, n in enumerate(sizes))
        for dealt in product(choices, repeat=devices)
    )
    try:
        parts = class_parts(y, devices, per_device, rng())
    except ValueError as refusal:
        assert "\n" not in str(refusal) and not possible
    else:
        assert possible and each_once(parts, len(y))
        assert [len(set(y[rows].tolist())) for rows in parts] == [per_device] * devices
    y = np.repeat([0, 1, 2], [600, 300, 100])  # labels with more samples go to more devices
    parts = class_parts(y, 10, 1, rng())
    assert np.bincount([int(y[rows[0]]) for rows in parts]).tolist() == [6, 3, 1]


def test_parts_depend_on_the_seed_and_on_no_other_cluster():
    split = Split("devices", "dirichlet", 0.5)
    config = replace(CONFIG, data=Data(split=split), devices=(5, 6, 5, 7))
    mine, theirs, other = (
        load_samples(replace(config, **more))
        for more in ({}, {"devices": (5, 7, 5, 7)}, {"seed": 4})
    )
    for one, same in zip(held(mine, *"acd"), held(theirs, *"acd"), strict=True):
        assert np.array_equal(one.x, same.x)
    assert mine.shards["a"][0].x.tobytes() != other.shards["a"][0].x.tobytes()


SPLITS = {
    "iid": Split(),
    "dirichlet": Split(kind="dirichlet", alpha=0.3),
    "quantity": Split(kind="quantity", alpha=0.5),
    "shards": Split(kind="shards", classes=2),
}


def counts_of(y, parts):
    return np.array([np.bincount(y[rows], minlength=y.max() + 1) for rows in parts])


@given(LABELS, st.integers(1, 9), st.sampled_from(list(SPLITS)), st.floats(0.01, 1e6), st.data())
def test_a_split_gives_every_sample_to_one_holder(y, holders, kind, alpha, data):
    split = SPLITS[kind]
    split = replace(split, alpha=alpha) if split.alpha else split
    most = min(len(set(y.tolist())), len(y) // holders)
    if kind == "shards" and most:
        split = replace(split, classes=data.draw(st.integers(1, most)))
    try:
        parts = split_rows(y, holders, split, rng(), lambda n: "" if n.all() else "one")
    except ValueError as refusal:
        assert holders > len(y) or (kind == "shards" and not most) or alpha < 5 * holders
        assert "learning.data.split." in str(refusal) and "\n" not in str(refusal)
        return
    assert len(parts) == holders and min(map(len, parts)) >= 1
    assert each_once(parts, len(y))
    if kind in ("iid", "shards"):
        sizes = np.array([len(rows) for rows in parts])
        assert np.ptp(sizes) <= (1 if kind == "iid" else split.classes)


def test_splits_are_distributed_as_their_papers_say():
    holders, classes, alpha = 400, 50, 0.5
    y = np.tile(np.arange(classes), 20_000)
    drawn = {
        kind: counts_of(y, split_rows(y, holders, split, rng(), lambda counts: ""))
        for kind, split in (SPLITS | {"dirichlet": Split("clients", "dirichlet", alpha)}).items()
    }
    # a holder's share of a label, and of everything, has the variance of Beta(a, (N - 1) a)
    variance = (1 / holders) * (1 - 1 / holders) / (holders * alpha + 1)
    # standard errors of the variance of 20,000 and of 400 draws: about 2 and 14 % of it
    assert (drawn["dirichlet"] / 20_000).var() == pytest.approx(variance, rel=0.08)
    assert (drawn["quantity"].sum(1) / len(y)).var() == pytest.approx(variance, rel=0.5)
    assert (drawn["iid"].sum(1) == len(y) // holders).all()
    # labels come as they are: a count of n_k draws has a variance of n_k p (1 - p)
    for kind in ("quantity", "iid"):
        size = drawn[kind].sum(1, keepdims=True)
        spread = (drawn[kind] - size / classes)[size[:, 0] > 100] ** 2
        expected = (size / classes * (1 - 1 / classes))[size[:, 0] > 100]
        assert (spread / expected).mean() == pytest.approx(1.0, rel=0.05)
    # 800 shards of 1,250 samples, 16 of each label: two a holder
    held = np.sort(drawn["shards"], axis=1)
    assert (held[:, :-2] == 0).all() and (held.sum(1) == 2500).all()
    assert set(held[:, -1].tolist()) == {1250, 2500}
    # within clusters each device has shares of the labels, of variance (1/K)(1 - 1/K) / (K a + 1)
    y = np.tile(np.arange(5), 100_000)
    parts = dirichlet_parts(y, 2000, alpha, rng())
    shares = np.array([np.bincount(y[rows], minlength=5) / len(rows) for rows in parts])
    assert shares.mean(axis=0) == pytest.approx(np.full(5, 0.2), abs=0.02)
    assert shares.var(axis=0) == pytest.approx(np.full(5, 0.2 * 0.8 / (5 * alpha + 1)), rel=0.15)


def test_domains_over_clients_are_the_clients_that_the_data_name(tmp_path):
    who = np.repeat(np.arange(8), 40)
    split = Split(kind="domains")
    np.savez(tmp_path / "x.npz", x=who[:, None] + 0.0, y=np.arange(320) % 2, domain=who)
    data = Data("npz", str(tmp_path / "x.npz"), split=split, trial_samples=9)
    config = LearningConfig(1, ("a", "b"), (3, 4), data=data)
    samples = load_samples(config)
    found = [sorted(set(part.x[:, 0].tolist())) for c in "ab" for part in samples.shards[c]]
    assert found == [[0, 1], [2], [3], [4], [5], [6], [7]]
    assert [len(samples.test[c].y) for c in "ab"] == [32, 32]
    assert set(samples.trial["a"].x[:, 0]) <= {0, 1, 2, 3}
    everything = [*held(samples, "a", "b"), *(samples.test[c] for c in "ab")]
    assert sorted(np.concatenate([part.x[:, 0] for part in everything])) == sorted(who)
    with pytest.raises(ValueError, match="8 domains for 9 devices; have fewer devices"):
        load_samples(replace(config, devices=(4, 5)))


# -- FedProx's synthetic clients


def test_synthetic_clients_are_drawn_as_the_paper_says():
    drawn = [draw_client(np.random.default_rng(n), 0.5, 2.0) for n in range(600)]
    sizes = np.log([len(client.y) - 50 + 0.5 for client in drawn])  # whole parts, on average
    assert np.median(sizes) == pytest.approx(4, abs=0.3) and sizes.std() == pytest.approx(
        2, rel=0.15
    )
    assert min(len(client.y) for client in drawn) >= 50
    for client in drawn[:20]:
        assert (client.y == (client.x @ client.weight + client.bias).argmax(1)).all()
    # weights of a client are 1 around its mean, which is alpha around 0; bias likewise
    means = np.array([client.weight.mean() for client in drawn])
    assert means.std() == pytest.approx(0.5, rel=0.1)
    assert np.mean([client.weight.std() for client in drawn]) == pytest.approx(1, rel=0.02)
    gaps = [(client.bias - client.weight.mean()).std() for client in drawn]
    assert np.mean(gaps) == pytest.approx(1, rel=0.1)
    # a client's features are 1 around their mean, which is beta around 0
    centres = np.array([client.x.mean(0) for client in drawn])
    assert centres.mean(1).std() == pytest.approx(2.0, rel=0.1)
    assert np.mean(centres.std(1)) == pytest.approx(1.0, rel=0.05)
    large = max(drawn, key=lambda client: len(client.y))
    np.testing.assert_allclose(large.x.var(0), np.arange(1, 61) ** -1.2, rtol=0.1)


def rows_of(x):
    return [row.tobytes() for row in x]


def test_synthetic_clients_are_the_devices_and_can_be_split_otherwise():
    data = Data("synthetic", arguments=FrozenDict(alpha=0.5, beta=0), trial_samples=5)
    config = LearningConfig(4, ("a", "b"), (3, 2), data=data)
    samples = load_samples(config)
    for cluster, devices in (("a", 3), ("b", 2)):
        streams = (stream(4, "synthetic", cluster, device) for device in range(devices))
        drawn = [rows_of(draw_client(rng, 0.5, 0).x.astype("f4")) for rng in streams]
        cuts = [int(0.9 * len(own)) for own in drawn]
        shards = [rows_of(part.x) for part in samples.shards[cluster]]
        trial, test = (rows_of(part[cluster].x) for part in (samples.trial, samples.test))
        assert sorted(chain(trial, test, *shards)) == sorted(chain(*drawn))
        for own, cut, shard in zip(drawn, cuts, shards, strict=True):
            assert {*shard} <= {*own[:cut]} and {*own[cut:]} <= {*test}
    even = load_samples(replace(config, data=replace(data, split=Split())))
    sizes = [len(part.y) for name in "ab" for part in even.shards[name]]
    assert max(sizes) - min(sizes) <= 10 < np.ptp([len(p.y) for p in samples.shards["a"]])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"alpha": -1}, "arguments.alpha: got -1; must be a number from 0"),
        ({"gamma": 1}, "arguments: 'synthetic' is not called like that"),
    ],
)
def test_arguments_that_synthetic_clients_do_not_take_are_refused(wrong, message):
    data = Data("synthetic", arguments=FrozenDict(wrong))
    with pytest.raises(ValueError, match=f"^learning.data.{message}"):
        load_samples(LearningConfig(4, ("a",), (3,), data=data))
