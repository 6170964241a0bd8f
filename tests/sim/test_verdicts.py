"""Who is best: by the tests of scipy, whatever the order, and the same to all who say it."""

import json
import math
import re
from itertools import combinations

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from sim.report import report
from tests.kit import small
from tests.kit.results import (
    Asked,
    Bounds,
    Evaluation,
    Figure,
    Measure,
    Standing,
    Verdict,
    answer_of,
    answer_text,
    headline,
    measure_of,
    nothing_learnt,
    over_seeds,
    pair_tests,
    paired,
    ranking_of,
    rows_json,
)

LABELS = ("a", "b", "c", "d10", "d9")
FIGURES = st.dictionaries(st.integers(1, 8), st.sampled_from([0.5, 0.6, 0.61, 0.9]), max_size=8)
CANDIDATES = st.dictionaries(st.sampled_from(LABELS), FIGURES, min_size=1, max_size=4)


def by_case(candidates):
    return {name: {("", s): x for s, x in own.items()} for name, own in candidates.items()}


def rank_each(asked):
    """Who is best by each of the figures that one comparison asks for."""
    tests = pair_tests(asked)
    return {figure: ranking_of(one, figure, tests) for figure, one in asked.items()}


def rank(candidates, **asked):
    return rank_each({"": Asked(candidates, **asked)})[""]


def ranked(candidates, rising=True, ratios=False):
    bounds = Bounds(0.0, np.inf if ratios else 1.0)
    return rank(by_case(candidates), rising=rising, bounds=bounds, ratios=ratios)


def answered(candidates, rising=True, ratios=False, learnt=True, beside=()):
    """The rows of candidates by a figure, tested together with figures ``beside`` it."""
    form = "{:.3f}".format
    figure = Figure("figure", form, least=0.0, in_text=form, ratios=ratios, learnt=learnt)
    measure = Measure("figure", figure._replace(best="highest" if rising else "lowest"))
    asked = {"figure": measure.asked(by_case(candidates))}
    asked |= {f"beside {n}": Asked(by_case(own), rising=True) for n, own in enumerate(beside)}
    return answer_of(measure, by_case(candidates), pair_tests(asked))


def said(candidates, **how):
    return answer_text(answered(candidates, **how))


def apart(first, second):
    return np.array([first[s] - second[s] for s in first.keys() & second.keys()])


def told(candidates):
    """The pairs of which the first is higher, by t tests of scipy that step down by Holm's rule."""
    found = []
    p_values = []
    for first, second in combinations(candidates, 2):
        differences = apart(candidates[first], candidates[second])
        if len(differences) >= 3 and np.ptp(differences) < 1e-9:
            found += [(first, second)] if differences[0] > 1e-9 else []
            found += [(second, first)] if differences[0] < -1e-9 else []
        elif len(differences) >= 3:
            pair = (first, second) if differences.mean() > 0.0 else (second, first)
            p_values.append((stats.ttest_1samp(differences, 0.0).pvalue, pair))
    for left, (p_value, pair) in zip(
        range(len(p_values), 0, -1), sorted(p_values, key=lambda one: one[0]), strict=True
    ):
        if p_value * left >= 0.05:
            break
        found.append(pair)
    return found


@given(CANDIDATES, st.randoms(), st.booleans())
def test_a_winner_is_ahead_of_every_other_one_whatever_their_order(candidates, random, rising):
    found = ranked(candidates, rising)
    shuffled = list(candidates)
    random.shuffle(shuffled)
    again = ranked({name: candidates[name] for name in shuffled}, rising)
    assert again == found
    rows = rows_json([answered(candidates, rising)])
    assert rows_json([answered({n: candidates[n] for n in shuffled}, rising)]) == rows
    assert said({n: candidates[n] for n in shuffled}, rising=rising) == said(
        candidates, rising=rising
    )
    assert {row["label"] for row in rows if row["verdict"] == "best"} == {*found.winners}
    # Falling figures rank as rising ones do that are turned around.
    turned = {n: {s: 1.0 - x for s, x in own.items()} for n, own in candidates.items()}
    other = ranked(turned, not rising)
    assert (other.winners, other.best) == (found.winners, found.best)
    up = candidates if rising else turned
    higher = told(up)
    for winner in found.winners:
        for label in (name for name, own in candidates.items() if own and name not in found.best):
            assert (winner, label) in higher
    for label in up:
        others = [name for name in up if name != label]
        if others and all(up[name] and (label, name) in higher for name in others):
            assert found.winners == (label,)
    if not found.winners:
        text = said(candidates, rising=rising) + headline([answered(candidates, rising)])
        assert " is best" not in text and "ahead of" not in text.replace("is ahead of", "")


TIMES = st.dictionaries(st.integers(1, 6), st.sampled_from([0.5, 1.0, 1.1, 30.0]), max_size=6)


@given(st.dictionaries(st.sampled_from(LABELS), TIMES, min_size=2, max_size=3), st.randoms())
def test_times_are_ranked_by_their_ratios_whatever_their_order_and_unit(candidates, random):
    found = ranked(candidates, rising=False, ratios=True)
    shuffled = list(candidates)
    random.shuffle(shuffled)
    assert ranked({n: candidates[n] for n in shuffled}, rising=False, ratios=True) == found
    logs = {n: {s: -np.log(x) for s, x in own.items()} for n, own in candidates.items()}
    by_logs = rank(by_case(logs), rising=True)
    assert (found.verdict, found.winners, found.best) == (
        by_logs.verdict,
        by_logs.winners,
        by_logs.best,
    )
    in_days = {n: {s: x / 24 for s, x in own.items()} for n, own in candidates.items()}
    days = ranked(in_days, rising=False, ratios=True)
    assert (days.verdict, days.winners, days.best) == (found.verdict, found.winners, found.best)
    for label, one in found.leads.items():
        ratio = [candidates[label][s] / candidates[found.first][s] for s in one.by_seed]
        assert one.ratio.mean == pytest.approx(stats.gmean(ratio))
        if len(ratio) > 2 and np.ptp(ratio) > 1e-9:
            ends = stats.ttest_1samp(np.log(ratio), 0.0).confidence_interval(0.95)
            assert (one.ratio.low, one.ratio.high) == pytest.approx(tuple(np.exp(ends)))


def test_where_a_time_is_zero_the_differences_count():
    """A start model that is at the target gets there at once: nothing is a multiple of that."""
    slow = {1: 2.0, 2: 3.0, 3: 4.0}
    found = ranked({"at once": dict.fromkeys(slow, 0.0), "slow": slow}, rising=False, ratios=True)
    [one] = found.leads.values()
    assert (found.first, one.ratio, one.mean) == ("at once", None, pytest.approx(3.0))


@pytest.mark.parametrize("skewed", [False, True], ids=["normal", "skewed"])
@pytest.mark.quick(1)
def test_false_alarms_of_a_whole_comparison_are_at_most_one_in_twenty(skewed):
    """Four groups that do not differ, by three figures that go together, over five seeds.

    The tests one by one, at 5 % each, raise several times as many.
    """
    draw = np.random.default_rng(5)
    count = 1500
    alarms = alone = 0
    for _ in range(count):
        noise = draw.normal(size=(3, 4, 5)) + draw.normal(size=(4, 5)) + draw.normal(size=5)
        figures = 1.0 - np.exp(noise / 2 - 3) if skewed else 0.5 + noise / 100
        candidates = [
            by_case({n: dict(enumerate(own)) for n, own in enumerate(f)}) for f in figures
        ]
        asked = {n: Asked(each, rising=True) for n, each in enumerate(candidates)}
        tests = pair_tests(asked)
        assert tests.count == 3 * 6
        alarms += min(np.nanmin(p) for p in tests.p_holm.values()) < 0.05
        alone += min(np.nanmin(p) for p in tests.p.values()) < 0.05
    assert alarms / count < 0.05 + 2.0 * np.sqrt(0.05 * 0.95 / count)
    assert alone / count > 0.15


def test_a_figure_more_makes_a_verdict_harder_and_never_turns_it():
    """With one figure the interval decides; with others beside it a lead must be clearer."""
    first = {1: 0.70, 2: 0.72, 3: 0.71, 4: 0.73}
    second = {1: 0.69, 2: 0.70, 3: 0.697, 4: 0.70}
    one = Asked(by_case({"a": first, "b": second}), rising=True)
    p_value = stats.ttest_rel(list(first.values()), list(second.values())).pvalue
    assert 0.02 < p_value < 0.05
    assert rank_each({"accuracy": one})["accuracy"].winners == ("a",)
    noise = Asked(
        by_case({"a": {1: 1.0, 2: 2.0, 3: 3.0}, "b": {1: 2.0, 2: 3.1, 3: 1.0}}), rising=True
    )
    found = rank_each({"accuracy": one, "noise": noise})["accuracy"]
    assert (found.verdict, found.first, found.winners) == (Verdict.WITHIN_NOISE, "a", ())
    assert found.leads["b"].test.p_holm == pytest.approx(2 * p_value)
    text = said(
        {"a": first, "b": second},
        beside=[{"a": {1: 1.0, 2: 2.0, 3: 3.0}, "b": {1: 2.0, 2: 3.1, 3: 1.0}}],
    )
    apart_by = found.leads["b"]
    assert text == (
        f"a and b cannot be told apart over 4 seeds: {apart_by.mean:.3f} (95 % of this test alone: "
        f"{apart_by.low:.3f} to {apart_by.high:.3f}; p = {2 * p_value:.4f} corrected for 2 tests)"
    )
    alone = said({"a": first, "b": second})
    assert alone.endswith(f"(95 %: {apart_by.low:.3f} to {apart_by.high:.3f}; 4 seeds)")


CYCLES = st.lists(st.tuples(*[st.integers(2, 4)] * 2), min_size=3, max_size=9)


@settings(max_examples=60, deadline=None)  # scipy tries all signs where ranks are equal
@given(CYCLES)
def test_times_on_a_grid_are_told_apart_by_both_tests(pairs):
    """Times that are multiples of a cycle: a t test takes the steps of their ratios for certain."""
    one, other = (dict(enumerate(own)) for own in zip(*pairs, strict=True))
    logs = np.log([a / b for a, b in pairs])
    found = ranked({"a": one, "b": other}, rising=False, ratios=True)
    if len(set(one.values()) | set(other.values())) > len(pairs) or np.ptp(logs.round(9)) == 0.0:
        return  # not few values of so many, or the same lead with each seed
    t_p = stats.ttest_1samp(logs, 0.0).pvalue
    rank_p = stats.wilcoxon(logs.round(12)).pvalue if logs.round(12).any() else 1.0
    assert bool(found.winners) == (max(t_p, rank_p) < 0.05)


def test_a_verdict_on_few_values_says_which_test_holds_it_back():
    fast, slow = {1: 2, 2: 2, 3: 2, 4: 3, 5: 2}, {1: 4, 2: 4, 3: 4, 4: 4, 5: 3}
    how = {"rising": False, "ratios": True}
    logs = np.log([slow[s] / fast[s] for s in fast])
    assert stats.ttest_1samp(logs, 0.0).pvalue < 0.02
    assert stats.wilcoxon(logs.round(12)).pvalue == 0.0625
    answer = answered({"fast": fast, "slow": slow}, **how)
    assert answer.verdict is Verdict.WITHIN_NOISE
    text = answer_text(answer)
    assert "fast and slow cannot be told apart over 5 seeds" in text
    assert "Wilcoxon's test must find it too, which takes 6 seeds: its p = 0.0625" in text
    rows = {row["label"]: row for row in rows_json([answer])}
    assert rows["slow"]["verdict"] == "within noise" and rows["slow"]["wilcoxon_p"] == 0.0625
    six = {"fast": {**fast, 6: 2}, "slow": {**slow, 6: 4}}
    assert answered(six, **how).verdict is Verdict.AHEAD
    # As many seeds whose times differ need no ranks: a t test of five may find them.
    spread = {name: {s: x + 0.01 * s for s, x in own.items()} for name, own in six.items()}
    five = {name: {s: own[s] for s in fast} for name, own in spread.items()}
    alone = answered(five, **how)
    assert alone.verdict is Verdict.AHEAD and rows_json([alone])[1]["wilcoxon_p"] is None
    # Nor are two of the others told from each other by the t test alone.
    wild = {"wild": {1: 1.0, 2: 9.0, 3: 1.1, 4: 0.2, 5: 0.3}}
    assert answered(wild | {"fast": fast, "slow": slow}, **how).ranking.apart is None


def test_times_that_cannot_be_told_apart_say_who_takes_longer():
    slow, fast = {1: 2.0, 2: 4.0, 3: 3.0}, {1: 2.2, 2: 2.0, 3: 2.0}
    text = said({"slow": slow, "fast": fast}, rising=False, ratios=True)
    factor = np.prod([slow[seed] / fast[seed] for seed in slow]) ** (1 / 3)
    apart = (
        f"cannot be told apart over 3 seeds: slow takes {factor:.2f} times as long as fast (95 %"
    )
    assert text.startswith(f"fast and slow {apart}")
    slow = {"slow": slow, "slow too": slow}
    text = said({**slow, "fast": fast}, rising=False, ratios=True)
    assert f"slow and slow too take {factor:.2f} times as long as fast (" in text


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
    assert said({"a": first, "b": late}) == "only a has it with each seed; b: 3 of 4 seeds have it"


def test_a_headline_names_few_and_counts_the_others():
    """Five tie, two cannot be told from them, one is far behind: all of it is in the text."""
    tied = {name: dict.fromkeys(range(5), 0.9) for name in "abcde"}
    noisy = {name: {s: 0.9 - 0.01 * (s % 2) for s in range(5)} for name in "fg"}
    behind = {"h": {seed: 0.5 + 0.001 * seed for seed in range(5)}}
    found = answered(tied | noisy | behind)
    assert headline([found]) == (
        "a, b and 3 others raise the figure from 0.502 (h) to 0.900 "
        "(1.8 times as many; best and last of 8)."
    )
    assert headline([answered(tied | noisy)]) == (
        "Figure: a, b and 3 others are equal: 0.900 at each of 5 seeds, "
        "and 2 others cannot be told from them."
    )
    assert answer_text(found).startswith("a, b, c, d and e are equal")
    few = answered({"a": tied["a"]} | noisy)
    assert (
        headline([few])
        == "Figure: a comes first (0.900), and f and g cannot be told from it over 5 seeds."
    )
    # The first one varies so much that it is told from nobody; two of the others are told apart.
    wild = {"a": {seed: 0.86 + 0.13 * (-1) ** seed for seed in range(5)}}
    close = {name: {s: at + 0.001 * s for s in range(5)} for name, at in (("b", 0.85), ("c", 0.80))}
    close["d"] = {seed: 0.75 + 0.0011 * seed for seed in range(5)}
    assert headline([answered(wild | close)]) == (
        "Figure: a comes first (0.886), and b, c and d cannot be told from it over 5 seeds; "
        "b (0.852) is ahead of d (0.752) by more than noise."
    )


def headline_of(**columns):
    """The headline on figures of groups, each with the one of each seed."""
    figures = [
        (measure_of(column), by_case({name: dict(enumerate(own)) for name, own in each.items()}))
        for column, each in columns.items()
    ]
    tests = pair_tests({measure.column: measure.asked(each) for measure, each in figures})
    return headline([answer_of(measure, each, tests) for measure, each in figures])


SENT = {"a": [20e6] * 3, "b": [15e6] * 3, "c": [10e6] * 3}


@pytest.mark.parametrize("seeds", [1, 3])
def test_bytes_lead_only_where_what_was_learnt_does_not_differ(seeds):
    """The group that learns least sends least: to say that first would praise it."""
    first, worst = [0.91, 0.92, 0.90], [0.30, 0.50, 0.11]
    learnt = {"a": first, "b": [0.93, 0.88, 0.90], "c": [0.30, 0.31, 0.30]}
    sent = {name: own[:seeds] for name, own in SENT.items()}

    def said(learnt):
        few = {name: own[:seeds] for name, own in learnt.items()}
        return headline_of(accuracy_final=few, uplink_bytes=sent)

    # The next one is as good, the last one is not.
    assert "final accuracy 0.9" in said(learnt) and " with c; best and last of 3" in said(learnt)
    # Far behind, though three seeds scatter too much for the test.
    assert "uplink" not in said({"a": first, "b": worst, "c": worst[::-1]})
    alike = {name: [0.91, 0.91, 0.92] for name in "abc"}
    assert said(alike).startswith("c cuts the uplink from 20.00 MB (a) to 10.00 MB")


def test_what_a_table_shows_as_the_same_is_not_the_headline():
    """Milliseconds of 1.41 hours are exact without chance, and of no use to anybody."""
    rounds = {"isl": [5083.0067] * 3, "none": [5083.0] * 3}
    sent = {"isl": [15.18e6] * 3, "none": [10.08e6] * 3}
    assert headline_of(round_mean_s=rounds, isl_bytes=sent) == (
        "none cuts the ISL from 15.18 MB (isl) to 10.08 MB (by a factor of 1.5); "
        "mean round: the same to 0.5 %."
    )
    assert headline_of(round_mean_s=rounds) == "Mean round: the same to 0.5 %."


def test_who_alone_reaches_the_target_is_the_headline():
    reached = {"a": [12.0, 24.0, 48.0], "b": [math.inf] * 3, "c": [30.0, math.inf, math.inf]}
    assert headline_of(**{"hours_to_0.80": reached}) == (
        "Only a reaches 0.80 with each seed (1.00 days); c: 1 of 3 seeds reached it; b: never."
    )
    reached["d"] = [13.0, 20.0, 60.0]
    assert headline_of(**{"hours_to_0.80": reached}).startswith(
        "Days to 0.80: a and d cannot be told apart over 3 seeds"
    )


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
    text = said({"even": even, "odd": odd, "noisy": noisy})
    level = "even and odd are level in the mean, even ahead at 2 and odd at 2 of 4 seeds"
    assert text.startswith(
        f"{level}; even and noisy cannot be told apart over 4 seeds: 0.075 (95 %"
    )


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
    both = paired(dict(enumerate(values)), other, Bounds(0.0, 1.0))
    if len(values) >= 3:
        assert -1.0 <= both["low"] <= both["high"] <= 1.0


THOUSANDTHS = st.integers(100, 900).map(lambda number: number / 1000)


@given(st.lists(st.tuples(THOUSANDTHS, THOUSANDTHS), min_size=3, max_size=8))
def test_rows_have_the_figures_of_scipy(pairs):
    one, other = (dict(enumerate(own)) for own in zip(*pairs, strict=True))
    for ratios in (False, True):
        answer = answered({"a": one, "b": other}, rising=False, ratios=ratios)
        for row, own in ((answer.row("a"), one), (answer.row("b"), other)):
            values = list(own.values())
            assert row.mean == pytest.approx(stats.gmean(values) if ratios else np.mean(values))
            assert row.median == pytest.approx(np.median(values))
            if np.ptp(values) > 1e-6:
                tested = np.log(values) if ratios else values
                low, high = stats.ttest_1samp(tested, 0.0).confidence_interval(0.95)
                ends = np.exp([low, high]) if ratios else (max(low, 0.0), high)
                assert (row.low, row.high) == pytest.approx(tuple(ends))
        behind = next((row for row in answer.rows if row.against), None)
        if behind is None:
            continue
        second, first = (one, other) if behind.label == "a" else (other, one)
        x, y = np.array([*second.values()]), np.array([*first.values()])
        assert behind.against.difference == pytest.approx(np.mean(x - y), abs=1e-12)
        if ratios:
            assert behind.against.ratio == pytest.approx(stats.gmean(x / y))
            x, y = np.log(x), np.log(y)
        if np.ptp(x - y) > 1e-6:
            test = stats.ttest_rel(x, y)
            assert behind.against.p == pytest.approx(test.pvalue, rel=1e-6, abs=1e-12)
            ends = test.confidence_interval(0.95)
            shown = behind.against
            if ratios:
                assert (shown.ratio_low, shown.ratio_high) == pytest.approx(tuple(np.exp(ends)))
            else:
                assert (shown.low, shown.high) == pytest.approx(tuple(ends), abs=1e-12)


@given(CANDIDATES)
def test_settings_that_share_their_seeds_add_nothing_to_the_verdict(candidates):
    """The same figures at three settings are no more evidence than at one."""
    once = rank(by_case(candidates), rising=True)
    repeated = {
        name: {(setting, seed): x for setting in "xyz" for seed, x in own.items()}
        for name, own in candidates.items()
    }
    pooled = rank(repeated, rising=True)
    assert (pooled.verdict, pooled.best, pooled.winners) == (once.verdict, once.best, once.winners)
    assert (pooled.unresolved, pooled.without) == (once.unresolved, once.without)


@given(FIGURES, FIGURES, st.dictionaries(st.integers(20, 25), st.floats(0.0, 1.0), max_size=4))
def test_seeds_that_only_one_has_do_not_change_the_distance(first, second, more):
    rows = [answered({"a": own, "b": second}).rows for own in (first, {**first, **more})]
    distances = [{abs(row.against.difference) for row in each if row.against} for each in rows]
    assert distances[0] == distances[1]


def test_what_seeds_do_not_change_is_exact_and_a_tie_names_nobody():
    """Contacts and bytes of a plan without chance: two seeds show that, where one cannot."""
    counts = {"700": {1: 31.0, 2: 31.0}, "800": {1: 34.0, 2: 34.0}, "900": {1: 34.0, 2: 34.0}}
    answer = answered(counts, learnt=False)
    assert [row.verdict for row in answer.rows] == [Standing.BEST, Standing.BEST, Standing.BEHIND]
    assert said(counts, learnt=False) == (
        "800 and 900 are equal: 34.000 at each of 2 seeds, and ahead of 700 by 3.000 "
        "(the same with each of 2 seeds)"
    )
    assert answered({n: counts[n] for n in ("700", "800")}, learnt=False).verdict is Verdict.EXACT
    # What is learnt has chance in it even where two seeds agree.
    assert answered({n: counts[n] for n in ("700", "800")}).verdict is Verdict.TOO_FEW_SEEDS
    equal = {n: counts[n] for n in ("800", "900")}
    assert said(equal) == "800 and 900 are equal: 34.000 at each of 2 seeds"
    assert [row.verdict for row in answered(equal).rows] == [Standing.EQUAL] * 2
    alone = {n: {1: own[1]} for n, own in counts.items()}
    assert answered(alone, learnt=False).rows[-1].verdict is Standing.ONE_SEED
    # A seed that one of them has alone shows that seeds change the count.
    changed = {"700": {**counts["700"], 3: 35.0}, "800": counts["800"]}
    assert answered(changed, learnt=False).verdict is Verdict.TOO_FEW_SEEDS


def test_who_never_got_there_is_counted_and_has_no_mean():
    never = float("inf")
    times = {"a": {1: 2.0, 2: 3.0}, "b": {1: 5.0, 2: never}, "c": {1: never, 2: never}}
    answer = answered(times, rising=False, ratios=True)
    assert [(row.label, row.reached, row.n, row.mean, row.verdict) for row in answer.rows] == [
        ("a", 2, 2, pytest.approx(6.0**0.5), Standing.ALONE),
        ("b", 1, 2, None, Standing.SOME_NEVER),
        ("c", 0, 2, None, Standing.UNKNOWN),
    ]
    assert "b: 1 of 2 seeds have it" in said(times, rising=False)


@pytest.mark.parametrize(("share", "runs"), [(0.1, 1), (0.5, 1), (0.8, 3)])
def test_nothing_learnt_is_missed_as_seldom_as_it_says(share, runs):
    """Start and end of one accuracy: a rise beyond chance is found in one of forty draws."""
    draw = np.random.default_rng(7)
    count, samples = 2000, 1191
    found = draw.binomial(samples, share, size=(count, runs, 2)) / samples
    wrong = sum(nothing_learnt(list(map(curve, each))) is None for each in found)
    assert wrong / count == pytest.approx(0.025, abs=0.012)


def test_nothing_is_said_of_the_start_where_there_was_nothing_to_measure_then():
    """As in a run whose clients answer once they have experts: it may have learnt before."""
    level = curve((0.9, 0.9))
    later = [one._replace(hours=one.hours + 1.0) for one in level]
    assert nothing_learnt([level, level])
    assert nothing_learnt([level, later]) is None


def test_accuracies_in_percent_are_no_shares():
    """As an app of somebody else's may report them."""
    assert nothing_learnt([curve((55.0, 55.0))]) is None


def curve(ends):
    return [
        Evaluation(float(a), None, n, float(n), None, None, None, None, 1191)
        for n, a in enumerate(ends)
    ]


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
    """Seeds that are a key, replications and single runs are the same seeds.

    So are the tests: one test has one p value, corrected for the same others, wherever it is told.
    """
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
    for one in (each for each in compared[0] if each["figure"] in names):
        other = ours[names[one["figure"]]]
        for key in ("verdict", "seeds", "lead", "low", "high", "lead_by_seed", "ratio", "p"):
            assert one[key] == other[key], key
        assert (one["p_holm"], one["corrected_for"]) == (other["p_holm"], other["corrected_for"])
        for key in ("winners", "best", "against", "unresolved", "without"):
            assert [f"learning.method={label}" for label in one[key]] == other[key], key
    page = report(folders, tmp_path / "page.html").read_text()
    for one in compared[0]:
        assert one["head"][1:] in page and f"{one['text']}." in page
    # Where one key was swept, its values stand side by side, as single runs do.
    assert swept[0]["comparison"]["verdicts"] == compared[0]
    shown = leomix("compare", methods / "key", "--all").out
    assert swept[0]["answers"][0] in shown
    for one in compared[0]:
        assert one["head"] in shown and one["text"] in shown
    told = report([methods / "key"], tmp_path / "sweep.html").read_text()
    families = {int(count) for count in re.findall(r"corrected for (\d+) tests", told)}
    assert families == {swept[0]["comparison"]["tests_corrected_for"]}


def test_a_small_factor_is_told_from_one():
    took = {"a": [35.5] * 3, "b": [36.0] * 3}
    said = headline_of(round_mean_s={name: [60 * x for x in own] for name, own in took.items()})
    assert "from 36 min (b) to 35.5 min (by a factor of 1.01)" in said
