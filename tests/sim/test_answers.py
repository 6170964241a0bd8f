"""What a sweep answers: what is best, by how much, whether that is noise, and why."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from statements import Code
from tests.kit import results
from tests.kit.results import Standing, Verdict
from tests.kit.sweeps import answers, first_lines, sweep_headline, sweep_limits, sweep_lines


def point(seed, final, **keys):
    row = {**keys, "seed": seed, "accuracy_final": final, "uplink_bytes": 1e6, "error": ""}
    row |= {"hours_to_0.80": None if final is None or final < 0.8 else 10.0 / final}
    row |= {"status": "complete", "contacts_served": 30, "service_hours": 4.0, "folder": ""}
    return (
        row
        if final is not None
        else row | {"status": "refused", "error": "unseen", "code": "never_seen"}
    )


def of_accuracy(rows, keys):
    """What a sweep says of the final accuracy."""
    return answers(rows, keys, {}).figures[0]


def by_key(rows, keys, key):
    return next(one for one in of_accuracy(rows, keys).keys if one.key == key)


def standings(answer):
    return {row.label: row.verdict for row in answer.rows}


def said(rows, keys):
    return "\n".join(sweep_lines(answers(rows, keys, {})))


def test_a_value_does_not_win_because_its_bad_points_were_refused():
    """The low orbit has the higher mean over masks: at c, the worst, it is not seen."""
    finals = {(500, "a"): 0.80, (500, "b"): 0.80, (500, "c"): None}
    finals |= {(800, "a"): 0.82, (800, "b"): 0.82, (800, "c"): 0.60}
    rows = [
        point(seed, final and final + 0.001 * seed, km=km, mask=mask)
        for (km, mask), final in finals.items()
        for seed in (1, 2, 3)
    ]
    found = of_accuracy(rows, ["km", "mask"]).combinations
    best = [row for row in found.rows if row.verdict is Standing.BEST]
    assert [row.values for row in best] == [{"km": 800, "mask": "a"}, {"km": 800, "mask": "b"}]
    assert (round(best[0].mean, 12), best[0].n) == (0.822, 3)
    behind = found.row("km=500, mask=a")
    assert (behind.verdict, round(behind.against.difference, 12)) == (Standing.BEHIND, -0.02)
    assert standings(found)["km=500, mask=c"] is Standing.NO_CONTACT
    km = by_key(rows, ["km", "mask"], "km")
    assert (km.answer.ranking.winners, km.compared, km.points) == (("800",), 6, 9)
    mask = by_key(rows, ["km", "mask"], "mask")
    assert (mask.answer.ranking.winners, mask.compared) == (("a", "b"), 3)
    text = said(rows, ["km", "mask"])
    assert "km=500 mask=c: no contact" in text
    assert "By km, all else equal (6 of 9 points): 800 is best, ahead of 500 by 0.020" in text
    far = [point(1, None, km=km, mask="c") for km in ("x", "y", "z")]
    text = said([*rows[:1], *far], ["km", "mask"])
    assert "km=x mask=c and 2 other points: no contact" in text


def test_a_difference_is_called_noise_by_the_interval_of_its_pairs():
    luck = [0.00, 0.04, -0.03, 0.02, -0.02]
    for step, verdict, ends in (
        (0.01, Verdict.WITHIN_NOISE, (-0.065, 0.077)),
        (0.10, Verdict.AHEAD, (0.025, 0.167)),
    ):
        rows = [point(s, 0.6 + draw, method="a") for s, draw in enumerate(luck)]
        rows += [point(s, 0.6 + step - draw, method="b") for s, draw in enumerate(luck)]
        found = of_accuracy(rows, ["method"]).combinations
        assert (found.verdict, found.reference) == (verdict, "method=b")
        lead = found.ranking.leads["method=a"]
        assert (round(lead.low, 3), round(lead.high, 3)) == ends
        against = found.row("method=a").against
        assert (against.low, against.high) == (-lead.high, -lead.low)
        assert f"{0.6 + step - 0.002 - 0.0357:.3f} to" in said(rows, ["method"])
    assert "b leads a by 0.100 (one seed)" in said([rows[0], rows[5]], ["method"])
    assert "too few seeds in common to compare" in said([rows[0], rows[6]], ["method"])


def test_times_differ_by_a_factor_and_what_is_asked_beside_them_counts():
    """Twice as fast with each seed, however long it takes: hours vary, their ratio hardly."""
    hours = {1: 2.0, 2: 20.0, 3: 7.0, 4: 60.0}
    rows = [
        point(seed, 0.9 + 0.001 * (seed % 2) * (method == "a"), method=method)
        | {"hours_to_0.80": own * (2.0 + 0.01 * seed if method == "b" else 1.0)}
        for method in "ab"
        for seed, own in hours.items()
    ]
    found = answers(rows, ["method"], {})
    time = found.figures[1].combinations
    against = time.row("method=b").against
    assert (time.measure.column, time.ranking.winners) == ("hours_to_0.80", ("method=a",))
    shown = (against.ratio, against.ratio_low, against.ratio_high)
    assert [round(x, 2) for x in shown] == [2.02, 2.0, 2.05]
    assert (against.p_holm < 0.0001, time.ranking.tests) == (True, 2)
    assert sweep_headline(found) == (
        "a reaches 0.80 2.0 times sooner than b (0.47 days against 0.96 days)."
    )
    differences = [own * (1.0 + 0.01 * seed) for seed, own in hours.items()]
    assert results.paired(dict(enumerate(differences)), dict.fromkeys(range(4), 0.0))["t_p"] > 0.05


def test_seeds_that_do_not_differ_have_no_interval_and_nothing_sent_up_is_no_answer():
    rows = [point(s, 0.6 + 0.1 * (m == "b"), method=m) for m in "ab" for s in (1, 2)]
    quiet = answers([row | {"uplink_bytes": 0.0} for row in rows], ["method"], {})
    first, second = quiet.figures[0].combinations.rows
    assert (first.label, first.low, second.verdict) == ("method=b", None, Standing.TWO_SEEDS)
    columns = [one.combinations.measure.column for one in answers(rows, ["method"], {}).figures]
    assert columns == ["accuracy_final", "uplink_bytes"]
    assert [one.combinations.measure.column for one in quiet.figures] == ["accuracy_final"]
    found = results.paired({1: 0.7, 2: 0.8, 3: 0.9}, {1: 0.5, 2: 0.6, 3: 0.7})
    text = results.mean_text({**found, "mean": found["difference"]})
    assert text == "0.200 [the same with each seed]"
    names = [results.some("ABCD"[:count], 2) for count in (2, 3, 4)]
    assert names == ["A, B", "A, B, C", "A, B and 2 more"]


def test_a_method_is_compared_at_each_orbit_and_the_reason_is_named():
    rows = [point(1, 0.9, km=500, method="a"), point(1, 0.7, km=500, method="b")]
    rows += [point(1, 0.9, km=900, method="a"), point(1, 0.7, km=900, method="b")]
    rows[0]["contacts_served"] = 60
    keys = ["km", "method"]
    assert by_key(rows, keys, "km").no_effect
    method = by_key(rows, keys, "method")
    assert (method.answer.verdict, method.answer.reference) == (Verdict.ONE_SEED, "a")
    assert [reason.text for reason in method.reasons] == ["45 contacts served against 30"]
    text = said(rows, keys)
    assert "km has no effect on final accuracy: equal at each of 2 points." in text
    assert "With a, in the mean: 45 contacts served against 30." in text
    assert "km=500 method=b and km=900 method=b: never" in text


def test_what_a_third_value_lacks_does_not_turn_the_verdict_between_two():
    finals = {("a", 5): 0.80, ("a", 30): 0.70, ("b", 5): 0.80, ("b", 30): 0.60}
    finals |= {("c", 5): 0.74, ("c", 30): None}
    seeds = (1, 2, 3)
    keys = finals.items()
    names = ["km", "mask"]
    found = by_key([point(s, x, km=k, mask=m) for (k, m), x in keys for s in seeds], names, "km")
    assert found.answer.ranking.winners == ("a",)
    assert round(found.answer.row("b").against.difference, 12) == -0.05
    rows = [point(s, x, km=k, mask=m) for (k, m), x in keys for s in (1, 2)]
    seldom = [row | {"accuracy_final": None} if row["km"] == "b" else row for row in rows]
    seldom[4] = rows[4]
    few = "By km: only 1 of 4 points can be compared, too few (with a figure: a at 4, b at 1"
    assert few in said(seldom[:8], names)
    apart = [point(1, 0.8, km=1, mask=5), point(1, 0.7, km=2, mask=6)]
    assert "By km: no two points differ in it alone" in said(apart, names)
    rows = [point(s, 0.7 + s / 100, km=km) for km, s in ((1, 1), (1, 2), (2, 2), (2, 3))]
    tie = "km=1 and km=2 are equal with the one seed that both have."
    assert tie in said(rows, ["km"])


def test_never_is_said_of_points_that_were_asked_and_trained():
    late = point(1, 0.7, targets=1, **{"learning.targets": "[0.8]"})
    other = point(1, 0.9, targets=2, **{"learning.targets": "[0.6]"}) | {"hours_to_0.80": None}
    none = point(1, 0.9, targets=3) | {"accuracy_final": None, "hours_to_0.80": None}
    rows = [late, other, none, point(1, 0.9, targets=4)]
    time = answers(rows, ["targets"], {}).figures[1].combinations
    assert standings(time) == {
        "targets=4": Standing.ALONE,
        "targets=1": Standing.NEVER,
        "targets=2": Standing.NOT_ASKED,
        "targets=3": Standing.NOT_TRAINED,
    }


def test_a_key_that_turns_the_order_of_another_is_named():
    """The high orbit is better for one method and worse for the other, whatever the mask."""
    turned = {("high", "a"): 0.2, ("high", "b"): 0.1, ("low", "a"): 0.1, ("low", "b"): 0.2}
    rows = [
        point(seed, 0.5 + better + 0.01 * seed, orbit=orbit, method=method, mask=mask)
        for (orbit, method), better in turned.items()
        for mask in (5, 15)
        for seed in (1, 2, 3)
    ]
    keys = ["orbit", "method", "mask"]
    orbit = by_key(rows, keys, "orbit")
    assert (orbit.answer.verdict, orbit.answer.ranking.best) == (Verdict.LEVEL, ("high", "low"))
    [turn] = orbit.interactions
    winners = {value: one.ranking.winners for value, one in turn.answers.items()}
    assert (turn.key, winners) == ("method", {"a": ("orbit=high",), "b": ("orbit=low",)})
    assert by_key(rows, keys, "mask").no_effect
    text = said(rows, keys)
    assert "high and low are level in the mean, high ahead at 6 and low at 6 of 12 points." in text
    assert "It depends on method: at method=a, orbit=high is best" in text
    assert text.count("It depends on") == 2 and "on mask" not in text


def test_no_contact_is_a_result_and_the_sweep_goes_on_past_it(leomix, tmp_path):
    timing = ("--set", "learning.train=false", "--set", "stop.days=1", "--quiet")
    varied = ("-p", "orbit.inclination_deg=3,97.8")
    done = leomix("sweep", "circular", *varied, *timing, "-o", tmp_path / "s")
    assert (done.status, "1 of 2 points are not done" in done.err) == (3, True)
    shown = leomix("compare", tmp_path / "s").out
    assert "inclination_deg=3: no contact" in shown
    printed = json.loads(leomix("compare", tmp_path / "s", "--json").out)
    by_label = {row["label"]: row for row in printed["rows"] if row["figure"] == "cycles"}
    assert by_label["orbit.inclination_deg=3"]["verdict"] == "no contact"
    assert printed["headline"] == (
        "Cycles: only inclination_deg=97.8 has it; inclination_deg=3: no contact."
    )
    assert printed["limits"][0]["text"].startswith("Only the timing was simulated")
    [unseen] = [one for one in printed["said"] if one["severity"] == "refusal"]
    assert (unseen["point"], unseen["code"], unseen["remedies"] != []) == (0, "never_seen", True)


def test_where_nothing_is_drawn_nobody_advises_to_replicate(leomix, tmp_path):
    keys = ("learning.train=false", "stop.days=0.5", "orbit.use.planes=1")
    timing = (*(part for key in keys for part in ("--set", key)), "--quiet")
    leomix("sweep", "flystack", "-p", "ground.stations_used=1,2", *timing, "-o", tmp_path / "s")
    said = "Nothing here is drawn at random: every seed gives the same figures."
    for folder in (tmp_path / "s", *sorted((tmp_path / "s/points").iterdir())):
        assert "One seed" not in leomix("compare", folder).out
    assert said in leomix("compare", tmp_path / "s").out


@pytest.mark.parametrize("status", ["missing", "refused", "failed"])
def test_of_points_that_are_not_complete_nothing_is_said_but_their_number(status):
    """Neither that nothing was learnt nor that seeds change nothing is known of them."""
    found = answers([point(seed, None) | {"status": status} for seed in (1, 2)], ["seed"], {})
    assert sweep_limits(found) == []
    assert first_lines(found, None) == [""]
    assert sweep_lines(found) == ["0 of 2 points are complete, over seed (2 values)."]


@pytest.mark.parametrize("radius_km", [0, 5])
def test_devices_are_drawn_where_they_have_room(radius_km, leomix, tmp_path):
    """All at one place are where they are with any seed; so there seeds change nothing."""
    leomix("new", tmp_path / "mine")
    radius = "".join(f" --set ground.clusters.{n}.radius_km={radius_km}" for n in (0, 1)).split()
    keys = ("--set", "learning.train=false", "--set", "stop.cycles=1", *radius, "--quiet")
    leomix("sweep", tmp_path / "mine.yaml", "-p", "seed=1,2", *keys, "-o", tmp_path / "s")
    runs = [
        json.loads(path.read_text()) for path in (tmp_path / "s").glob("points/*/manifest.json")
    ]
    assert [run["drawn"] for run in runs] == [radius_km > 0] * 2
    assert (runs[0]["trace_sha256"] == runs[1]["trace_sha256"]) == (radius_km == 0)


def test_seeds_that_are_swept_are_pooled_like_replications(leomix, tmp_path):
    varied = ("-p", "seed=1,2", "-p", "orbit.altitude_km=500,900")
    timing = ("--set", "learning.train=false", "--set", "stop.days=0.5", "--quiet")
    shown = leomix("sweep", "circular", *varied, *timing, "-o", tmp_path / "s").out.splitlines()
    first = next(number for number, line in enumerate(shown) if line.startswith("altitude_km  "))
    assert shown[first].split()[:3] == ["altitude_km", "runs", "cycles"]
    assert [line.split()[:2] for line in shown[first + 1 : first + 3]] == [
        ["500", "2"],
        ["900", "2"],
    ]
    leomix("report", tmp_path / "s", "-o", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "over seed and" not in page and "and seed," not in page


def test_an_order_at_all_points_may_be_noise_and_counts_have_no_thousandths():
    """Twelve points share three seeds: of these, one alone makes the distance."""
    seeds = {0: 0.03, 1: 0.001, 2: 0.002}
    keys = [(k, m) for k in (500, 800) for m in "abc"]
    rows = [
        point(seed, 0.6 + (km == 800) * luck + ord(mask) / 1000, km=km, mask=mask)
        for km, mask in keys
        for seed, luck in seeds.items()
    ]
    km = by_key(rows, ["km", "mask"], "km").answer
    assert (km.verdict, km.reference) == (Verdict.WITHIN_NOISE, "800")
    cannot = "By km, all else equal: 800 and 500 cannot be told apart over 3 seeds: 0.011 in the"
    shared = "mean (ahead at 9 of 9 points, which share 3 seeds; 95 %: -0.030 to 0.052"
    assert f"{cannot} {shared}" in said(rows, ["km", "mask"])
    timed = {"accuracy_final": None, "cycles": 4}
    rows = [
        point(seed, 0.9, km=km) | timed | {"contacts_served": 30 + 5 * (seed == 1)}
        for km in (500, 900)
        for seed in seeds
    ]
    assert "Contacts served: 31.7; km=500 and km=900 are equal" in said(rows, ["km"])


def test_of_many_points_the_best_five_are_shown_and_ranks_are_none():
    """Nine combinations over three seeds; what no test tells from the best has no rank."""
    luck = [0.00, 0.03, -0.03]
    rows = [
        point(
            s, 0.7 - 0.002 * k - 0.001 * m + draw * (-1) ** k, km="abc"[k], mask="abc"[m], fixed=7
        )
        for k in (0, 1, 2)
        for m in (0, 1, 2)
        for s, draw in enumerate(luck)
    ]
    found = answers(rows, ["km", "mask", "fixed"], {})
    combinations = found.figures[0].combinations
    assert [row.mean for row in combinations.rows] == sorted(
        (row.mean for row in combinations.rows), reverse=True
    )
    assert {row.verdict for row in combinations.rows if "km=b" in row.label} == {
        Standing.WITHIN_NOISE
    }
    lines = sweep_lines(found)
    table = lines[1:8]
    assert table[0].split()[:2] == ["km", "mask"] and "fixed" not in table[0]
    assert (len(table), table[-1]) == (1 + 5 + 1, "and 4 others, to 0.694")
    assert any(line.startswith("The best of 9 is picked by noise too") for line in lines)
    flat = found.rows
    assert flat[flat.figure == "accuracy_final"].query("group == 'combination'").km.tolist() == [
        row.values["km"] for row in combinations.rows
    ]


@given(st.permutations(range(12)))
def test_no_answer_depends_on_the_order_of_values(order):
    """Two of four values tie, one is behind by noise and one by more."""
    finals = {"a": [0.7, 0.72, 0.71], "c": [0.7, 0.72, 0.71], "b": [0.7, 0.7, 0.72]}
    finals["d"] = [0.5, 0.51, 0.52]
    rows = [point(s, x, method=m) for m, each in finals.items() for s, x in enumerate(each)]
    text = said([rows[place] for place in order], ["method"])
    keys = ["method", "mask"]
    assert text == said(rows, ["method"])
    both = [row | {"mask": mask} for row in rows for mask in (5, 15)]
    assert said([both[2 * p + q] for p in order for q in (1, 0)], keys) == said(both, keys)
    assert "Final accuracy: a and c are equal at each of 3 seeds" in text


def swept(key, figures, seeds=(1,)):
    """What points without training say, with these figures (`{value: {column: figure}}`)."""
    untrained = {"accuracy_final": None, "hours_to_0.80": None}
    rows = [
        point(seed, 0.0, **{key: value}) | untrained | own
        for value, own in figures.items()
        for seed in seeds
    ]
    return answers(rows, [key], {})


def test_the_largest_finding_is_the_headline_and_what_limits_it_stands_behind():
    figures = {1: {"cycles": 4, "contacts_served": 10}, 13: {"cycles": 75, "contacts_served": 12}}
    found = swept("stations", figures)
    assert sweep_headline(found) == (
        "stations=13 raises the cycles from 4 (stations=1) to 75 (18.8 times as many)."
    )
    turned = swept("stations", dict(reversed(figures.items())))
    assert sweep_headline(turned) == sweep_headline(found)
    timing, seeds = sweep_limits(found)
    assert (timing.code, seeds.code) == (Code.TIMING_ONLY, Code.FEW_SEEDS)
    assert (
        first_lines(found, None)[2]
        == "One seed, another one may give another order: add --replications 5."
    )
    same = swept("stations", {key: {"cycles": 4, "contacts_served": 10} for key in (1, 13)})
    assert ("equal" in sweep_headline(same), sweep_limits(same)) == (True, [timing])
    two = swept("stations", figures, seeds=(1, 2))
    assert sweep_headline(two) == sweep_headline(found)  # seeds change nothing
    assert len(sweep_limits(two)) == 1


def test_without_training_the_length_of_a_round_comes_first_and_the_best_is_held_against_the_last():
    rounds = {5: 5472.0, 10: 6480.0, 15: 9000.0, 25: 24624.0}
    cycles = {5: 21, 10: 17, 15: 12, 25: 10}
    found = swept(
        "mask",
        {
            mask: {"round_mean_s": length, "cycles": cycles[mask], "drawn": False}
            for mask, length in rounds.items()
        },
    )
    assert sweep_headline(found) == (
        "mask=5 cuts the mean round from 6.84 h (mask=25) to 1.52 h "
        "(by a factor of 4.5; best and last of 4), ahead of mask=10 by 16.8 min."
    )
