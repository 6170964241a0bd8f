"""Who is best: the table by scipy by hand, its words, and the same for all who ask."""

import json
import math
import re
from itertools import combinations, product

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import sim
from sim.page import report
from tests.kit import small
from tests.kit.inner.sim import (
    LONGEST_LABEL,
    ComparedRun,
    Comparison,
    Evaluation,
    compare_cases,
    compare_rows,
    comparison_text,
    drawings_of_groups,
    figure_listed,
    labels_of,
    mean_of,
    ranked,
    reading_of_groups,
    shared_target,
    values_of,
)

FIGURES = {
    name: figure_listed(name) for name in ("hours_to_0.80", "accuracy_final", "uplink_bytes")
}


def cases_of(figures, settings=("",)):
    """Cases of figures by column, group and seed, as lists or dictionaries."""
    found = {}
    for column, groups in figures.items():
        for group, own in groups.items():
            by_seed = own if isinstance(own, dict) else dict(enumerate(own))
            for seed, value in by_seed.items():
                for setting in settings:
                    found.setdefault((group, setting, seed), {})[column] = value
    return [ComparedRun(group, seed, own, setting) for (group, setting, seed), own in found.items()]


def compared(figures, **how):
    """What a comparison has found of figures by column, group and seed."""
    shown = {column: figure_listed(column) for column in figures}
    return Comparison.of(cases_of(figures), shown, **how)


def words(figures, **how):
    """The verdicts by figure and group."""
    rows = compared(figures, **how).rows
    return {(row.figure, row.group): row.verdict for row in rows.itertuples()}


def random_table(draw):
    """Figures of two to six groups over one to seven seeds and one or two settings."""
    groups = [f"g{n}" for n in range(draw.integers(2, 6))]
    settings, seeds = range(draw.integers(1, 3)), range(draw.integers(1, 8))
    cases = []
    for number, group in enumerate(groups):
        own = [seed for seed in seeds if draw.random() > 0.1] or [0]
        for setting in settings:
            for seed in own:
                hours = float(np.exp(draw.normal(3 - 0.2 * number, 0.2)))
                figures = {
                    "hours_to_0.80": None if draw.random() < 0.03 else hours,
                    "accuracy_final": float(np.clip(draw.normal(0.8 + 0.03 * number, 0.05), 0, 1)),
                    "uplink_bytes": float(draw.integers(1, 4)) * 1e6 * (number + 1),
                }
                cases.append(ComparedRun(group, seed, figures, str(setting)))
    return cases


def by_seed(cases, group, column):
    """The mean over the settings of each seed, on logarithms of times; None for one never there."""
    found = {}
    for case in (case for case in cases if case.group == group):
        value = case.figures[column]
        found.setdefault(case.seed, []).append(math.nan if value is None else value)
    ratio = column.startswith("hours")
    return {seed: np.mean(np.log(own) if ratio else own) for seed, own in found.items()}


def holm(p_of):
    """The p values of pairs, each corrected for all of them."""
    adjusted, largest = {}, 0.0
    for left, (pair, p) in enumerate(sorted(p_of.items(), key=lambda each: each[1])):
        largest = max(largest, min(1.0, p * (len(p_of) - left)))
        adjusted[pair] = largest
    return adjusted


def test_the_table_is_that_of_scipy_by_hand():
    """Random tables: means, intervals, and p values corrected for all pairs by all figures."""
    draw = np.random.default_rng(77)
    for _ in range(40):
        cases = random_table(draw)
        groups = list(dict.fromkeys(case.group for case in cases))
        table = ranked(values_of(cases, FIGURES), FIGURES).set_index(["figure", "group"])
        own = {(c, group): by_seed(cases, group, c) for c in FIGURES for group in groups}
        reached = {key for key, seeds in own.items() if not np.isnan([*seeds.values()]).any()}

        def leads(column, one, other, own=own):
            one, other = own[column, one], own[column, other]
            return np.array([one[seed] - other[seed] for seed in sorted(one.keys() & other.keys())])

        p_of = {}
        for column, (one, other) in product(FIGURES, combinations(groups, 2)):
            apart = leads(column, one, other)
            known = {(column, one), (column, other)} <= reached and len(apart) > 2
            if known and np.ptp(apart) > 1e-9 * max(abs(apart)):
                p_of[column, frozenset((one, other))] = stats.ttest_1samp(apart, 0.0).pvalue
        adjusted = holm(p_of)
        for column, figure in FIGURES.items():
            back = np.exp if figure.ratios else np.asarray
            sign = -1 if figure.rising else 1
            rows = table.loc[column]
            known = [group for group in groups if (column, group) in reached]
            assert {*rows.index[len(known) :]} == {*groups} - {*known}
            assert {*rows.verdict[len(known) :]} <= {"not reached"}

            def rank(group, column=column, sign=sign, rows=rows, own=own):
                mean = np.mean([*own[column, group].values()])
                return float(f"{sign * mean:.12g}"), -rows.seeds[group], group

            assert rows.index[: len(known)].tolist() == sorted(known, key=rank)
            for group, row in rows.iloc[: len(known)].iterrows():
                values = np.array([*own[column, group].values()])
                assert (row.seeds, row["mean"]) == (len(values), pytest.approx(back(values.mean())))
                assert math.isnan(row.low) == math.isnan(row.high) == (len(values) < 3)
                if len(values) > 2 and np.ptp(values):
                    ends = stats.t.interval(0.95, len(values) - 1, values.mean(), stats.sem(values))
                    low, high = np.clip(back(ends), figure.least, figure.most)
                    assert (row.low, row.high) == pytest.approx((low, high))
                first = rows.index[0]
                p = adjusted.get((column, frozenset((first, group))), math.nan)
                assert group == first or row.p == pytest.approx(p, nan_ok=True)
                if p >= 0 and figure.learnt:
                    is_behind = leads(column, first, group).mean() * sign < 0.0 and p < 0.05
                    assert row.verdict == ("behind" if is_behind else "no difference found")


CLEAR = {"a": [0.90, 0.91, 0.92], "b": [0.80, 0.812, 0.82]}


@pytest.mark.parametrize(
    ("groups", "found"),
    [
        ({**CLEAR, "c": [0.5, 0.9, 0.7]}, {"a": "no difference found", "b": "behind"}),
        ({"a": [0.9] * 3, "b": [0.9] * 3}, {"a": "equal", "b": "equal"}),
        ({"a": [0.9] * 2, "b": [0.9] * 2}, {"a": "too few seeds", "b": "too few seeds"}),
        ({"a": [0.9], "b": [0.9]}, {"a": "too few seeds", "b": "too few seeds"}),
        ({"a": {1: 0.9, 2: 0.8}, "b": {3: 0.7}}, {"a": "too few seeds", "b": "too few seeds"}),
        ({"a": [0.9, 0.8, 0.9], "b": [0.7, 0.6, 0.7]}, {"a": "best", "b": "behind"}),  # same lead
        ({"a": [0.9] * 3}, {"a": None}),
        ({"a": [0.9, 0.9, 0.91], "b": [None] * 3}, {"a": "best", "b": "not reached"}),
        ({"a": [0.9], "b": [None]}, {"a": "too few seeds", "b": "not reached"}),
    ],
)
def test_each_word_has_its_case(groups, found):
    said = words({"accuracy_final": groups})
    assert {group: said["accuracy_final", group] for group in found} == found


def test_what_seeds_do_not_change_needs_no_test():
    """Contacts and bytes of a plan without chance: two seeds show that, where one cannot.

    That they are always equal takes three.
    """
    counts = {"700": [31, 31], "800": [34, 34], "900": [34, 34]}
    assert compared({"contacts_served": counts}).rows.verdict.tolist() == [
        "too few seeds",
        "too few seeds",
        "behind",
    ]
    counts = {group: [*own, own[0]] for group, own in counts.items()}
    found = compared({"contacts_served": counts})
    assert found.rows.verdict.tolist() == ["equal", "equal", "behind"]
    assert found.leaders("contacts_served") == ["800", "900"]
    assert found.headline == "800 and 900 have the most contacts served (34); 700 31"
    one = {name: own[:1] for name, own in counts.items()}
    assert words({"contacts_served": one})["contacts_served", "700"] == "too few seeds"
    told = words({"contacts_served": one}, drawn=False)
    assert told["contacts_served", "700"] == "behind"
    # What is learnt has chance in it even where two seeds agree.
    assert words({"contacts_served": one}, drawn=False)["contacts_served", "900"] == "equal"
    learnt = {"a": [0.9, 0.9], "b": [0.8, 0.8]}
    assert words({"accuracy_final": learnt})["accuracy_final", "b"] == "too few seeds"


SPENT = ["uplink_bytes", "downlink_bytes", "sidelink_bytes", "isl_bytes", "energy_j"]


@given(
    column=st.sampled_from(SPENT),
    sent=st.lists(st.integers(1, 9), min_size=1, max_size=3),
    silent=st.integers(0, 2),
    seeds=st.integers(1, 5),
)
def test_who_spends_nothing_neither_wins_nor_loses(column, sent, silent, seeds):
    """The others have the verdicts and stars that they have among themselves."""
    spends = {f"s{n}": [size * 1e6 + n] * seeds for n, size in enumerate(sent)}
    alone = compared({column: spends})
    found = compared({column: spends | {f"none{n}": [0.0] * seeds for n in range(silent)}})
    count = len(spends)
    assert found.rows[:count].to_json() == alone.rows.to_json()
    rest = found.rows[count:]
    assert rest["mean"].tolist() == [0.0] * silent and rest["verdict"].isna().all()
    assert found.leaders(column) == alone.leaders(column)
    text = comparison_text(found)
    assert "0*" not in text.split() and "nan" not in text
    nobody = compared({column: {"a": [0.0] * 3, "b": [0.0] * 3}})
    assert nobody.rows.verdict.tolist() == ["equal", "equal"]


def test_a_time_of_zero_is_compared_by_differences():
    found = compared({"hours_to_0.80": {"at once": [0.0] * 3, "slow": [2.0, 3.0, 4.0]}})
    at_once, slow = found.rows.itertuples()
    assert (at_once.group, at_once.mean, slow.mean) == ("at once", 0.0, pytest.approx(3.0))


def test_groups_whose_means_differ_by_rounding_alone_stand_in_order_of_their_names():
    """As many seeds, or more of them first; ten is behind nine."""
    for apart, order in ((1e-14, ["d9", "d10"]), (1e-6, ["d10", "d9"])):
        groups = {"d10": [0.8 + apart] * 2, "d9": [0.8] * 2}
        assert compared({"accuracy_final": groups}).groups == order
        assert compared({"accuracy_final": dict([*groups.items()][::-1])}).groups == order
    more = {"d9": [0.8, 0.8 + 1e-14], "d10": [0.8] * 3}
    assert compared({"accuracy_final": more}).groups == ["d10", "d9"]


def test_times_to_a_target_are_in_hours_below_two_days_and_in_days_above():
    for factor, unit, means in ((1.0, "(h)", ["30.0", "40.0"]), (2.0, "(days)", ["2.50", "3.33"])):
        hours = {"a": [30.0 * factor], "b": [40.0 * factor]}
        text = comparison_text(compared({"hours_to_0.80": hours}), in_full=True)
        [head] = [line for line in text.splitlines() if line.startswith("time to 80 %")]
        assert unit in head
        rows = [line.split() for line in text.splitlines() if line.startswith(("a   ", "b   "))]
        assert [row[2].rstrip("*") for row in rows] == means


def test_rounds_are_in_the_largest_unit_of_which_the_shortest_has_one():
    text = comparison_text(compared({"round_mean_s": {"a": [1800.0], "b": [7200.0]}}), in_full=True)
    assert "(min)" in text and "30.0" in text and "120" in text


@pytest.mark.parametrize("count", [3, 6, 20])
def test_a_headline_counts_the_groups_for_which_it_has_no_room(count):
    groups = {f"a method of a long name {n:02}": [n / 100] for n in range(count)}
    headline = compared({"accuracy_final": groups}).headline
    others = re.findall(r"; (\d+) others? ", headline)
    named = sum(name in headline for name in groups)
    assert len(headline) <= 90 and named > 0
    assert [int(number) + named for number in others] == [count] * (count < 20)


def test_p_values_are_shown_in_two_digits_and_small_ones_in_one():
    """Leads of one pattern and of many sizes give p values of all magnitudes."""
    pattern = np.array([-1.0, -0.3, 0.1, 0.4, 0.8])
    seeds = np.array([0.9, 0.91, 0.89, 0.9, 0.9])
    leads = {f"g{n}": lead for n, lead in enumerate((0.001, 0.01, 0.02, 0.05, 0.1, 0.4))}
    groups = {name: seeds - lead - 0.01 * pattern for name, lead in leads.items()}
    found = compared({"accuracy_final": {"best": seeds, **groups}})
    rows = found.by("accuracy_final").set_index("group").p
    lines = (re.split("  +", line) for line in comparison_text(found, in_full=True).splitlines())
    cells = {line[0]: line[-2] for line in lines if line[0] in groups}
    units = set()
    for group, p in rows[rows >= 0.0001].items():
        units.add(unit := 0.01 if p >= 0.01 else 10.0 ** math.floor(math.log10(p)))
        assert float(cells[group]) == pytest.approx(p, abs=0.501 * unit)
    assert units >= {1e-4, 1e-3, 1e-2}
    assert [*cells.values()].count("< 0.0001") == (rows < 0.0001).sum() > 0


def test_a_ring_is_spoken_of_where_the_picture_has_one():
    clear = {"a": [9e6] * 3, "b": [3e6, 3e6, 3e6]}
    unclear = {"a": [9e6, 2e6, 4e6], "b": [3e6, 8e6, 5e6]}
    for groups, has_best in ((clear, True), (unclear, False), ({"a": [1.0], "b": [2.0]}, False)):
        found = compared({"uplink_bytes": groups})
        [drawing] = drawings_of_groups(found)
        rings = [line for line in drawing.draw().lines if line.get_markersize() > 5]
        assert (len(rings), "ring" in reading_of_groups(found)) == (int(has_best), has_best)


TABLES = st.dictionaries(
    st.sampled_from(["a", "b", "c", "d9", "d10"]),
    st.dictionaries(st.integers(1, 8), st.sampled_from([0.5, 0.6, 0.61, 0.9]), min_size=1),
    min_size=1,
)


@given(TABLES, st.randoms())
def test_neither_order_nor_unit_nor_more_settings_change_the_table(groups, random):
    shuffled = list(groups)
    random.shuffle(shuffled)
    once = compared({"accuracy_final": groups})
    again = compared({"accuracy_final": {name: groups[name] for name in shuffled}})
    assert again.rows.to_json() == once.rows.to_json()
    assert again.headline == once.headline and len(once.headline) <= 90
    figures = {"accuracy_final": figure_listed("accuracy_final")}
    cases = cases_of({"accuracy_final": groups}, settings="xyz")
    pooled = ranked(values_of(cases, figures), figures)
    assert (
        pooled.drop(columns=["mean", "low", "high", "p"]).to_json()
        == once.rows.drop(columns=["mean", "low", "high", "p"]).to_json()
    )
    best = once.rows[once.rows.verdict == "best"].group.tolist()
    for name in best:  # ahead of each other one by a test of scipy's, uncorrected
        for other in (other for other in groups if other != name):
            both = sorted(groups[name].keys() & groups[other].keys())
            one, two = ([groups[own][seed] for seed in both] for own in (name, other))
            assert len(both) > 2 and np.mean(one) > np.mean(two)
            assert np.ptp(np.subtract(one, two)) < 1e-9 or stats.ttest_rel(one, two).pvalue < 0.05


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=8))
def test_intervals_end_where_the_figure_does(values):
    mean, low, high = mean_of(values, figure_listed("accuracy_final"))
    assert math.isnan(low) == math.isnan(high) == (len(values) < 3)
    if len(values) > 2:
        assert 0.0 <= low <= mean + 1e-12 and mean - 1e-12 <= high <= 1.0


HOURS = {
    "one-model-per-city": [24.0, 25.0, 26.0],
    "EMS-FL": [25.0, 31.0, 38.0],
    "synchronous": [None] * 3,
    "local": [None] * 3,
}
FINAL = {
    "one-model-per-city": [0.925, 0.929, 0.933],
    "EMS-FL": [0.920, 0.927, 0.934],
    "synchronous": [0.845, 0.870, 0.889],
    "local": [0.838, 0.840, 0.842],
}
SENT = {
    "one-model-per-city": [1.96e9] * 3,
    "EMS-FL": [1.93e9] * 3,
    "synchronous": [3.70e9] * 3,
    "local": [0.0] * 3,
}
SCREEN = """\
one-model-per-city reaches 90 % first (25.0 h); EMS-FL 30.9 h, local and
synchronous never
No difference found between one-model-per-city and EMS-FL in time to 90 % (3
seeds).

                          20                 40
time to 90 % (h)    mean  |                   |
one-model-per-city  25.0  ····●●●··············
EMS-FL              30.9  ·····●─────●──────●··  no difference found
local                  -  ·····················  not reached (0 of 3)
synchronous            -  ·····················  not reached (0 of 3)

                           0.80             0.95
final accuracy       mean  |                   |
one-model-per-city  0.929  ·················●●··
EMS-FL              0.927  ················●●●··  no difference found
synchronous         0.868  ······●──●──●········  no difference found
local               0.840  ·····●●··············  behind

                    uplink
                      (GB)
one-model-per-city   1.96
EMS-FL               1.93*
local                   0
synchronous          3.70
● a seed   * best   p values and all figures: --all"""


def test_a_screen_has_the_answer_first_and_the_figures_behind_it():
    figures = {"hours_to_0.90": HOURS, "accuracy_final": FINAL, "uplink_bytes": SENT}
    found = compared(figures)
    screen = comparison_text(found)
    assert max(map(len, screen.splitlines())) <= 79 and len(screen.splitlines()) <= 26
    assert screen == SCREEN
    in_full = comparison_text(found, in_full=True)
    assert "no difference found" in in_full and "1.0000" not in in_full


@pytest.mark.parametrize(
    ("figures", "title"),
    [
        ({"accuracy_final": {"a": [0.9]}, "cycles": {"a": [4]}}, "Final accuracy 0.900, cycles 4"),
        (
            {"hours_to_0.80": {"a": [12.0, 24.0, 48.0], "b": [30.0, None, None], "c": [None] * 3}},
            "a reaches 80 % first (24.0 h); b in 1 of 3 seeds, c never",
        ),
        (
            {"hours_to_0.80": {"a": [7.5], "b": [7.5], "local": [10.1], "sync": [46.7]}},
            "a and b reach 80 % first (7.5 h); local 10.1 h, sync 46.7 h",
        ),
        ({"hours_to_0.80": {"a": [7.5] * 3, "b": [7.5] * 3}}, "a and b reach 80 % after 7.5 h"),
        ({"cycles": {"a": [3.0] * 3, "b": [3.0] * 3}}, "a and b have the same cycles (3)"),
        # Who learns least is often who sends least: that leads only where no difference is found.
        (
            {"accuracy_final": CLEAR, "uplink_bytes": {"a": [9e6] * 3, "b": [3e6] * 3}},
            "a has the highest final accuracy (0.910); b 0.811",
        ),
        (
            {
                "accuracy_final": {"a": [0.8, 0.9, 0.85], "b": [0.9, 0.8, 0.84]},
                "uplink_bytes": {"a": [9e6] * 3, "b": [3e6] * 3},
            },
            "b has the least uplink (3.00 MB); a 9.00 MB",
        ),
        # All are in one sentence, or from where to where the others are.
        (
            {"uplink_bytes": {"a": [9e6] * 3, "b": [3e6] * 3, "local": [0.0] * 3}},
            "b has the least uplink (3.00 MB); a 9.00 MB, local nothing",
        ),
        (
            {"accuracy_final": {f"method {n} of many": [n / 20] for n in range(1, 10)}},
            "method 9 of many has the highest final accuracy (0.450); 8 others 0.400 to 0.050",
        ),
        (
            {"cycles": {f"point number {n}": [4.0 - (n > 11)] for n in range(20)}},
            "point number 0 and 11 more have the most cycles (4); 8 others 3",
        ),
        (
            {"down_gb_a_day": {"base": [1620], "two-poles": [2025], "with_svalbard": [4504]}},
            "with_svalbard has the most data down (4.50 TB a day, +178 % over base)",
        ),
        (
            {"down_gb_a_day": {"all": [300], "without": [150]}},
            "all has the most data down (300 GB a day); without 150 GB a day",
        ),
        ({"accuracy_final": {"a": [None], "b": [None]}}, ""),
    ],
)
def test_the_headline_names_the_figure_the_groups_and_their_values(figures, title):
    assert compared(figures).headline == title


def point(seed, final, **keys):
    row = {**keys, "seed": seed, "accuracy_final": final, "uplink_bytes": 1e6, "error": ""}
    row |= {"status": "complete", "code": "", "folder": ""}
    refused = {"status": "refused", "error": "unseen", "code": "never_seen"}
    return row if final is not None else row | refused


def test_a_key_is_compared_where_all_others_are_equal():
    """The high orbit is better for one method and worse for the other; the mask does nothing."""
    finals = {("high", "a"): 0.7, ("high", "b"): 0.6, ("low", "a"): 0.6, ("low", "b"): 0.5}
    rows = [
        point(seed, final + 0.01 * seed, orbit=orbit, method=method, mask=mask)
        for (orbit, method), final in finals.items()
        for mask in ("5", "15")
        for seed in (1, 2, 3)
    ]
    found = compare_rows(rows, ["orbit", "method", "mask"])
    words = {
        key: dict(
            zip(own.by("accuracy_final").group, own.by("accuracy_final").verdict, strict=True)
        )
        for key, own in found.keys_compared.items()
    }
    assert words == {
        "orbit": {"high": "best", "low": "behind"},
        "method": {"a": "best", "b": "behind"},
        "mask": {"5": "equal", "15": "equal"},
    }
    notes = found.notes
    said = "high has the highest final accuracy (0.670); low 0.570"
    assert f"By orbit, all else equal: {said}." in notes
    # A value does not win because its bad points were refused.
    rows = [row if row["mask"] == "5" else row | point(1, None) for row in rows[:6]]
    unseen = compare_rows(rows, ["mask", "orbit"])
    assert "3 of 6 points are complete." in unseen.notes
    assert {*unseen.rows[unseen.rows.group == "mask=15"].verdict} == {"not reached"}


@pytest.fixture
def methods(leomix, runs):
    """A sweep of three methods, two of them with the same updates, over three seeds."""

    def make(folder):
        folder.mkdir()
        change = {"method": "fedavg", "targets": [0.1]}
        scenario = small.merged(small.SLOTS, {"learning": change})
        (folder / "s.yaml").write_text(yaml.safe_dump(scenario))
        keys = ("-p", "learning.method=fedprox,fedavg,synchronous", "-p", "seed=3,4,5", "--quiet")
        assert leomix("sweep", folder / "s.yaml", *keys, "-o", folder / "sweep").status == 0

    return runs.made("sweep-of-three-methods", make) / "sweep"


@pytest.mark.wide
def test_runs_and_sweeps_have_one_table(leomix, methods, tmp_path):
    """Seeds that are a key and single runs are the same seeds, in any order."""
    swept = json.loads(leomix("compare", methods, "--json").out)
    folders = sorted((methods / "points").iterdir())
    for order in (folders, folders[::-1]):
        alone = json.loads(leomix("compare", *order, "--json").out)
        for key in ("rows", "headline", "notes"):
            assert alone[key] == swept[key]
    keys = {"figure", "group", "seeds", "mean", "low", "high", "p", "verdict"}
    assert all({*row} == keys for row in alone["rows"])
    said = " ".join(leomix("compare", methods).out.split())  # a long one is on two lines
    assert said.startswith(swept["headline"])
    for shown in ([methods], folders):
        page = report(shown, tmp_path / "page.html").read_text()
        assert f"<h1>{swept['headline']}</h1>" in page


@pytest.mark.parametrize("radius_km", [0, 5])
def test_devices_are_drawn_where_they_have_room(radius_km):
    """All at one place are where they are with any seed; so there seeds change nothing."""
    keys = {"learning": {"train": False, "method": "fedavg"}, "stop": {"cycles": 1}}
    clusters = [{**one, "radius_km": radius_km} for one in small.ORBIT["ground"]["clusters"]]
    one, other = (
        sim.run(small.orbit(ground={"clusters": clusters}, seed=s, **keys)) for s in (1, 2)
    )
    assert one.manifest["drawn"] == other.manifest["drawn"] == (radius_km > 0)
    same = one.manifest["trace_sha256"] == other.manifest["trace_sha256"]
    assert same == (radius_km == 0)


WORDS = ("min", "max", "used", "elevation", "stations", "altitude", "size", "planes")
UNITS = ("", "_deg", "_km", "_s", "_bytes")
KEYS = st.builds(
    lambda sections, words, unit: ".".join([*sections, f"{'_'.join(words)}{unit}"]),
    st.lists(st.sampled_from(("orbit", "ground", "link", "uplink")), min_size=1, max_size=2),
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=3),
    st.sampled_from(UNITS),
)
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(0, 2000),
    st.sampled_from(("shannon", "modcod", "data/" + "long" * 20 + ".npz")),
    st.lists(st.integers(0, 9), max_size=30),
)


@st.composite
def some_settings(draw):
    """Settings of different groups, as a scenario has them: the same keys in all."""
    keys = draw(st.lists(KEYS, unique=True, min_size=1, max_size=6))
    rows = st.tuples(*(VALUES for _ in keys))
    found = draw(st.lists(rows, min_size=1, max_size=8, unique_by=json.dumps))
    return [dict(zip(keys, row, strict=True)) for row in found]


@given(some_settings())
def test_labels_are_unique_short_and_name_only_what_differs(settings):
    labels = labels_of(settings)
    assert len(set(labels)) == len(labels) == len(settings)
    assert max(map(len, labels)) <= LONGEST_LABEL
    with_same = [{**one, "ground.places": 7, "seed": 1} for one in settings]
    if len(settings) > 1:
        assert labels_of(with_same) == labels


@pytest.mark.parametrize(
    ("reached", "target"),
    [
        ({"0.80": 6, "0.90": 6, "0.95": 3}, "0.90"),
        ({"0.80": 5, "0.90": 3, "0.95": 1}, "0.90"),
        ({"0.80": 2, "0.90": 1}, "0.90"),
        ({"0.80": 0}, None),
        ({}, None),
    ],
)
def test_the_one_target_is_that_of_all_runs_else_of_half_else_of_any(reached, target):
    assert shared_target(reached, 6) == target
    assert shared_target({"0.80": 3, "0.90": 2}, 5) == "0.80"  # two of five are no half


@given(
    st.lists(st.sampled_from([0.5, 0.6, 0.75, 0.8, 0.9, 0.95]), min_size=2, unique=True),
    st.lists(st.floats(0.4, 400.0), min_size=6, max_size=6),
    st.randoms(),
)
def test_times_to_targets_stand_in_their_order_and_in_one_unit(targets, hours, random):
    """In the table, in full and with --json; whatever the order in which they are compared."""
    targets = sorted(targets)
    times = dict(zip(targets, sorted(hours), strict=False))
    evaluations = [evaluated(0.0, 0.1), *(evaluated(h, target) for target, h in times.items())]
    random.shuffle(asked := [*targets])
    manifest = {"scenario": {"learning": {"targets": asked}}}
    cases = [
        ComparedRun(
            group, 1, {"accuracy_final": 0.9, "judged_by": "accuracy"}, "", evaluations, manifest
        )
        for group in ("a", "b")
    ]
    found = compare_cases(cases)
    own = [f"hours_to_{target:.2f}" for target in targets]
    assert [name for name in found.figures if name.startswith("hours")] == own
    assert [*dict.fromkeys(found.rows.figure)][: len(own)] == own
    shown = [one for one in found.columns if one.figure.target]
    assert [one.column for one in shown] == own
    [unit] = {one.shown.head.rpartition("(")[2] for one in shown}
    hours_of_unit = {"h)": 1.0, "days)": 24.0}[unit]
    for one, target in zip(shown, targets, strict=True):
        assert float(one.text("a").replace(",", "")) * hours_of_unit == pytest.approx(
            times[target], rel=0.06
        )


def evaluated(hours, accuracy):
    """An evaluation of that accuracy."""
    return Evaluation(accuracy, None, 0, hours, None, None, None)


@pytest.mark.parametrize(
    ("hours", "gap"),
    [
        ([0.0, 10.0, 19.7, 31.8], "12.1 h"),  # 0.9 was reached between 19.7 and 31.8 h
        ([0.0, 0.1, 30.0, 31.0], None),  # within 1 h of 31 h
        ([0.0, 0.1, 0.2, 72.0], "3.0 days"),
    ],
)
def test_a_comparison_says_how_exactly_its_times_are_known(hours, gap):
    rising = [
        evaluated(h, accuracy) for h, accuracy in zip(hours, (0.1, 0.3, 0.5, 0.9), strict=True)
    ]
    manifest = {"scenario": {"learning": {"targets": [0.9]}}}
    figures = {"accuracy_final": 0.9, "judged_by": "accuracy"}
    notes = compare_cases(
        [ComparedRun(group, 1, figures, "", rising, manifest) for group in ("a", "b")]
    ).notes
    said = [note for note in notes if "complete cycles" in note]
    assert len(said) == (gap is not None)
    assert gap is None or f"up to {gap} before" in said[0]


def test_times_are_compared_at_the_target_that_all_seeds_have_reached():
    """Without targets in scenarios: 0.95 by four runs of ten, 0.90 by eight, 0.85 by all."""
    best = {"a": (0.96, 0.96, 0.96, 0.91, 0.86), "b": (0.96, 0.91, 0.91, 0.91, 0.88)}
    figures = {"accuracy_final": 0.9, "judged_by": "accuracy"}
    manifest = {"scenario": {"learning": {}}}
    cases = []
    for group, finals in best.items():
        for seed, final in enumerate(finals):
            curve = [
                evaluated(hour, float(np.interp(hour, [0, 9], [0.2, final]))) for hour in range(10)
            ]
            cases.append(ComparedRun(group, seed, figures, "", curve, manifest))
    found = compare_cases(cases)
    assert found["shared_target"] == "0.85"
    assert [name for name in found.figures if name.startswith("hours")] == ["hours_to_0.85"]
    assert "85 %" in " ".join([found.headline, *found.notes])


def test_a_group_without_a_figure_leaves_the_column_to_the_others():
    """One network study delivers nothing: the latency of the others stays."""
    payload = "images.hours_median"
    studies = {"a": {payload: 2.0}, "b": {payload: 3.0}, "silent": {payload: None}}
    cases = [
        ComparedRun(group, seed, {"down_gb_a_day": 5.0, "drawn": False} | own)
        for group, own in studies.items()
        for seed in (1, 2, 3)
    ]
    found = compare_cases(cases)
    assert found.by(payload).group.tolist() == ["a", "b", "silent"]
    [shown] = [one for one in found.columns if one.column == payload]
    assert {group: shown.text(group) for group in shown.means} == {
        "a": "2.00",
        "b": "3.00",
        "silent": "-",
    }
    assert (
        found.telling == "down_gb_a_day" or not found.by("down_gb_a_day").verdict.eq("best").any()
    )


def test_rounds_of_the_server_stand_in_place_of_cycles_where_all_runs_have_them():
    figures = {"judged_by": "accuracy", "method": "fedavg", "cycles": 16, "rounds": 3}
    groups = {"a": figures, "b": figures | {"rounds": 4}, "c": figures | {"rounds": None}}

    def shown(names):
        found = compare_cases([ComparedRun(name, 1, groups[name]) for name in names])
        return [*found.figures], [*found.beside]

    assert shown("ab") == (["rounds"], ["cycles"])
    assert shown("abc") == (["cycles"], ["rounds"])
