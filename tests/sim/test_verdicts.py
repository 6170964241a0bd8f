"""Who is best: by the tests of scipy, whatever the order, and the same to all who say it."""

import json

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from sim.report import report
from tests.kit import small
from tests.kit.results import Bounds, Verdict, over_seeds, paired, rank, sentence

LABELS = ("a", "b", "c", "d10", "d9")
FIGURES = st.dictionaries(st.integers(1, 8), st.sampled_from([0.5, 0.6, 0.61, 0.9]), max_size=8)
CANDIDATES = st.dictionaries(st.sampled_from(LABELS), FIGURES, min_size=1, max_size=4)


def ranked(candidates, rising=True):
    cases = {name: {("", s): x for s, x in own.items()} for name, own in candidates.items()}
    return rank(cases, rising=rising, bounds=Bounds(0.0, 1.0))


def higher(first, second):
    """Whether the first is higher on the seeds of both by a t test of scipy: None is not known."""
    apart = np.array([first[s] - second[s] for s in first.keys() & second.keys()])
    if len(apart) < 3:
        return None
    if np.ptp(apart) < 1e-9:
        return bool(apart[0] > 1e-9)
    return bool(stats.ttest_1samp(apart, 0.0).pvalue < 0.05 and apart.mean() > 0.0)


@given(CANDIDATES, st.randoms(), st.booleans())
def test_a_winner_is_ahead_of_every_other_one_whatever_their_order(candidates, random, rising):
    found = ranked(candidates, rising)
    shuffled = list(candidates)
    random.shuffle(shuffled)
    again = ranked({name: candidates[name] for name in shuffled}, rising)
    assert again == found
    assert sentence(again, "{:.3f}".format) == sentence(found, "{:.3f}".format)
    # Falling figures rank as rising ones do that are turned around.
    turned = {n: {s: 1.0 - x for s, x in own.items()} for n, own in candidates.items()}
    other = ranked(turned, not rising)
    assert (other.winners, other.best) == (found.winners, found.best)
    up = candidates if rising else turned
    for winner in found.winners:
        for label in (name for name, own in candidates.items() if own and name not in found.best):
            assert higher(up[winner], up[label])
    for label, own in up.items():
        others = [up[name] for name in up if name != label]
        if others and all(their and higher(own, their) for their in others):
            assert found.winners == (label,)
    if not found.winners:
        assert " best, " not in sentence(found, "{:.3f}".format).replace("none is best", "")


@given(FIGURES.filter(len), st.integers(1, 4))
def test_equal_candidates_tie_all_of_them_with_any_seeds(figures, count):
    found = ranked(dict.fromkeys(LABELS[:count], figures))
    assert found.verdict is (Verdict.ALONE if count == 1 else Verdict.TIE)
    assert (set(found.best), found.winners) == (set(LABELS[:count]), ())


def test_seeds_that_are_dropped_weaken_the_verdict_and_never_turn_it():
    first = {1: 0.70, 2: 0.72, 3: 0.71, 4: 0.73}
    second = {seed: value - 0.1 - 0.001 * seed for seed, value in first.items()}
    wanted = {4: "ahead", 3: "ahead", 2: "two seeds", 1: "one seed"}
    for seeds, verdict in wanted.items():
        few = {seed: second[seed] for seed in list(second)[:seeds]}
        found = ranked({"b": few, "a": first})
        assert (found.verdict, found.best) == (verdict, ("a",))
        assert found.winners == (("a",) if seeds >= 3 else ())
    assert ranked({"a": first, "b": {9: 0.1}}).verdict is Verdict.NO_COMMON_SEED
    late = {**second, 4: float("inf")}
    found = ranked({"a": first, "b": late})
    assert (found.verdict, found.best, found.without) == (Verdict.NEVER, ("a",), ("b",))
    assert "best" not in sentence(found, str)


def test_a_third_that_cannot_be_told_from_the_best_keeps_it_from_winning():
    best = dict.fromkeys(range(4), 0.8)
    next_one = dict.fromkeys(range(4), 0.79)
    noisy = {0: 0.9, 1: 0.5, 2: 0.9, 3: 0.6}
    found = ranked({"best": best, "next": next_one, "noisy": noisy})
    assert (found.best, found.runner_up, found.against) == (("best",), ("next",), ("noisy",))
    assert (found.verdict, found.winners) == (Verdict.WITHIN_NOISE, ())
    assert ranked({"best": best, "next": next_one}).winners == ("best",)
    odd = {0: 0.7, 1: 0.9, 2: 0.7, 3: 0.9}
    even = {0: 0.9, 1: 0.7, 2: 0.9, 3: 0.7}
    text = sentence(ranked({"even": even, "odd": odd, "noisy": noisy}), "{:.3f}".format)
    level = "none is best; even and odd are level in the mean, even ahead at 2 and odd at 2 of 4"
    assert text == f"{level} seeds, and noisy cannot be told apart from these either"


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=8))
def test_intervals_end_where_the_figure_does(values):
    figure = over_seeds(values, Bounds(0.0, 1.0))
    free = over_seeds(values)
    assert (figure["low"] is None) == (len(values) < 3)
    if len(values) >= 3:
        assert 0.0 <= figure["low"] <= figure["mean"] + 1e-12
        assert figure["mean"] - 1e-12 <= figure["high"] <= 1.0
        assert figure["low"] == max(0.0, free["low"]) and figure["high"] == min(1.0, free["high"])
    other = {seed: 1.0 - value for seed, value in enumerate(values)}
    apart = paired(dict(enumerate(values)), other, Bounds(0.0, 1.0))
    if len(values) >= 3:
        assert -1.0 <= apart["low"] <= apart["high"] <= 1.0


@pytest.fixture
def methods(leomix, runs):
    """A sweep of three methods, two of them with the same updates, over three seeds."""

    def make(folder):
        folder.mkdir()
        change = {"method": "fedavg", "targets": [0.1]}
        (folder / "s.yaml").write_text(
            yaml.safe_dump(small.merged(small.SLOTS, {"learning": change}))
        )
        keys = ("-p", "learning.method=fedprox,fedavg,synchronous", "--quiet")
        for name, seeds in (("replications", ("--replications", 3)), ("key", ("-p", "seed=3,4,5"))):
            words = (folder / "s.yaml", *keys, *seeds, "-o", folder / name)
            assert leomix("sweep", *words).status == 0

    return runs.made("sweeps-of-three-methods", make)


def test_compare_the_page_and_sweeps_agree_on_who_is_best(leomix, methods, tmp_path):
    """Seeds that are a key, replications and single runs are the same seeds."""
    swept = [
        json.loads(leomix("compare", methods / name, "--json").out)
        for name in ("key", "replications")
    ]
    assert swept[0]["verdicts"] == swept[1]["verdicts"]
    folders = sorted((methods / "key" / "points").iterdir())
    compared = [
        json.loads(leomix("compare", *order, "--json").out)["verdicts"]
        for order in (folders, folders[::-1])
    ]
    assert compared[0] == compared[1]
    names = {"accuracy_final": "accuracy_final", "hours_to_common": "hours_to_0.10"}
    ours = {one["figure"]: one for one in swept[0]["verdicts"]}
    for one in compared[0]:
        other = ours[names[one["figure"]]]
        for key in ("verdict", "seeds", "lead", "low", "high", "lead_by_seed"):
            assert one[key] == other[key], key
        for key in ("winners", "best", "against", "unresolved", "without"):
            assert [f"learning.method={label}" for label in one[key]] == other[key], key
    page = report(folders, tmp_path / "page.html").read_text()
    for one in compared[0]:
        assert f"{one['head'][1:]}: {one['text']}." in page
    # Where one key was swept, its values stand side by side, as single runs do.
    assert swept[0]["comparison"]["verdicts"] == compared[0]
    shown = leomix("compare", methods / "key").out
    assert swept[0]["answers"][0] in shown
    for one in compared[0]:
        assert f"{one['head']}: {one['text']}" in shown
