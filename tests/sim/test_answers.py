"""What a sweep answers: what is best, by how much, whether that is noise, and why."""

from hypothesis import given
from hypothesis import strategies as st

from tests.kit import results
from tests.kit.sweeps import answers

UNSEEN = "ground.clusters 'a': no satellite rises above 25 deg there in 2 days"


def point(seed, final, **keys):
    row = {**keys, "seed": seed, "accuracy_final": final, "uplink_bytes": 1e6, "error": ""}
    row |= {"hours_to_0.80": None if final is None or final < 0.8 else 10.0 / final}
    row |= {"status": "complete", "contacts_served": 30, "service_hours": 4.0, "folder": ""}
    return row if final is not None else row | {"status": "refused", "error": UNSEEN}


def said(rows, keys, target=None):
    return "\n".join(answers(rows, keys, target, {}))


def test_a_value_does_not_win_because_its_bad_points_were_refused():
    """The low orbit has the higher mean over masks: at 25 degrees, the worst, it is not seen."""
    finals = {(500, 5): 0.80, (500, 15): 0.80, (500, 25): None}
    finals |= {(800, 5): 0.82, (800, 15): 0.82, (800, 25): 0.60}
    rows = [
        point(seed, final and final + 0.001 * seed, km=km, mask=mask)
        for (km, mask), final in finals.items()
        for seed in (1, 2, 3)
    ]
    text = said(rows, ["km", "mask"])
    best = (
        "The highest final accuracy: 0.822, at km=800, mask=5 and km=800, mask=15, mean of 3 seeds"
    )
    assert best in text
    tied = "Verdict: km=800, mask=5 and km=800, mask=15 are best, equal with each of 3 seeds, and"
    assert f"{tied} ahead of km=500, mask=5 and km=500, mask=15 by 0.020" in text
    ahead = "By km, all else equal (6 of 9 points): 800 is best, ahead of 500 by 0.020 in the mean"
    assert f"{ahead} (ahead at 6 of 6 points), the same with each of 3 seeds." in text
    assert "Without it: km=500, mask=25 (no contact)." in text
    tied = "By mask, all else equal (3 of 6 points): 5 and 15 are best, equal at each of 6 points"
    assert f"{tied}, and ahead of 25 by 0.220" in text
    far = [point(1, None, km=km, mask=25) for km in (300, 400, 500)]
    text = said([*rows[:1], *far], ["km", "mask"])
    assert "Without it: km=300, mask=25 and 2 other points (no contact)." in text


def test_a_difference_is_called_noise_by_the_interval_of_its_pairs():
    luck = [0.00, 0.04, -0.03, 0.02, -0.02]
    within, more = "undecided; method=b leads", "method=b is best, ahead of"
    for step, who, verdict in (
        (0.01, within, "by 0.006, within noise (95 %: -0.065 to 0.077 over 5 seeds)"),
        (0.10, more, "by 0.096, more than noise (95 %: 0.025 to 0.167 over 5 seeds)"),
    ):
        rows = [point(s, 0.6 + draw, method="a") for s, draw in enumerate(luck)]
        rows += [point(s, 0.6 + step - draw, method="b") for s, draw in enumerate(luck)]
        text = said(rows, ["method"])
        assert f"at method=b, mean of 5 seeds (95 %: {0.6 + step - 0.002 - 0.0357:.3f}" in text
        assert f"Verdict: {who} method=a {verdict}." in text
    assert "which cannot be told from noise" in said([rows[0], rows[5]], ["method"])
    apart = said([rows[0], rows[6]], ["method"])
    assert "none is best; there are too few seeds in common to compare." in apart


def test_times_differ_by_a_factor_and_what_is_asked_beside_them_counts():
    """Twice as fast with each seed, however long it takes: hours vary, their ratio hardly."""
    hours = {1: 2.0, 2: 20.0, 3: 7.0, 4: 60.0}
    rows = [
        point(seed, 0.9 + 0.001 * (seed % 2) * (method == "a"), method=method)
        | {"hours_to_0.80": own * (2.0 + 0.01 * seed if method == "b" else 1.0)}
        for method in "ab"
        for seed, own in hours.items()
    ]
    text = said(rows, ["method"], "0.80")
    assert (
        "Verdict: method=a is best, ahead of method=b by a factor of 2.02, more than noise" in text
    )
    assert "(95 %: 2.00 to 2.05 over 4 seeds; p < 0.0001 corrected for 2 tests)" in text
    differences = [own * (1.0 + 0.01 * seed) for seed, own in hours.items()]
    assert results.paired(dict(enumerate(differences)), dict.fromkeys(range(4), 0.0))["t_p"] > 0.05


def test_seeds_that_do_not_differ_have_no_interval_and_nothing_sent_up_is_no_answer():
    rows = [point(s, 0.6 + 0.1 * (m == "b"), method=m) for m in "ab" for s in (1, 2)]
    text = said([row | {"uplink_bytes": 0.0} for row in rows], ["method"])
    assert "at method=b, mean of 2 seeds, the same with each; all points" in text
    assert "by 0.100 with each of two seeds, which allow no test (it takes 3)." in text
    assert "uplink" not in text and "least uplink" in said(rows, ["method"])
    found = results.paired({1: 0.7, 2: 0.8, 3: 0.9}, {1: 0.5, 2: 0.6, 3: 0.7})
    text = results.mean_text({**found, "mean": found["difference"]})
    assert text == "0.200 [the same with each seed]"
    names = [results.some("ABCD"[:count], 2) for count in (2, 3, 4)]
    assert names == ["A, B", "A, B, C", "A, B and 2 more"]


def test_a_method_is_compared_at_each_orbit_and_the_reason_is_named():
    rows = [point(1, 0.9, km=500, method="a"), point(1, 0.7, km=500, method="b")]
    rows += [point(1, 0.9, km=900, method="a"), point(1, 0.7, km=900, method="b")]
    rows[0]["contacts_served"] = 60
    text = said(rows, ["km", "method"], "0.80")
    tie = "By km, all else equal: none is best; 500 and 900 tie, equal at each of 2 points."
    assert tie in text
    assert "By method, all else equal: undecided; a leads b by 0.200 in the mean" in text
    assert "(ahead at 2 of 2 points), on one seed" in text
    assert "--replications 5. With a, in the mean: 45 contacts served against 30." in text
    assert "Without it: km=500, method=b and km=900, method=b (never)." in text


def test_what_a_third_value_lacks_does_not_turn_the_verdict_between_two():
    finals = {("a", 5): 0.80, ("a", 30): 0.70, ("b", 5): 0.80, ("b", 30): 0.60}
    finals |= {("c", 5): 0.74, ("c", 30): None}
    seeds = (1, 2, 3)
    keys = finals.items()
    text = said([point(s, x, km=k, mask=m) for (k, m), x in keys for s in seeds], ["km", "mask"])
    ahead = "a is best, ahead of b by 0.050 in the mean (ahead at 3 of 6 points)"
    assert f"By km, all else equal: {ahead}" in text
    rows = [point(s, x, km=k, mask=m) for (k, m), x in keys for s in (1, 2)]
    seldom = [row | {"accuracy_final": None} if row["km"] == "b" else row for row in rows]
    seldom[4] = rows[4]
    few = "By km: only 1 of 4 points can be compared, too few (with a figure: a at 4, b at 1"
    assert few in said(seldom[:8], ["km", "mask"])
    apart = [point(1, 0.8, km=1, mask=5), point(1, 0.7, km=2, mask=6)]
    assert "By km: no two points differ in it alone" in said(apart, ["km", "mask"])
    rows = [point(s, 0.7 + s / 100, km=km) for km, s in ((1, 1), (1, 2), (2, 2), (2, 3))]
    tie = "none is best; km=1 and km=2 tie, equal with the one seed that both have."
    assert tie in said(rows, ["km"])


def test_never_is_said_of_points_that_were_asked_and_trained():
    late = point(1, 0.7, targets=1, **{"learning.targets": "[0.8]"})
    other = point(1, 0.9, targets=2, **{"learning.targets": "[0.6]"}) | {"hours_to_0.80": None}
    none = point(1, 0.9, targets=3) | {"accuracy_final": None, "hours_to_0.80": None}
    text = said([late, other, none, point(1, 0.9, targets=4)], ["targets"], "0.80")
    for reason in ("targets=1 (never)", "targets=2 (not asked for)", "targets=3 (not trained)"):
        assert reason in text


def test_a_key_that_turns_the_order_of_another_is_named():
    """The high orbit is better for one method and worse for the other, whatever the mask."""
    turned = {("high", "a"): 0.2, ("high", "b"): 0.1, ("low", "a"): 0.1, ("low", "b"): 0.2}
    rows = [
        point(seed, 0.5 + better + 0.01 * seed, orbit=orbit, method=method, mask=mask)
        for (orbit, method), better in turned.items()
        for mask in (5, 15)
        for seed in (1, 2, 3)
    ]
    text = said(rows, ["orbit", "method", "mask"])
    assert "high and low are level in the mean, high ahead at 6 and low at 6 of 12 points." in text
    by = "by 0.100 in the mean (ahead at 6 of 6 points), the same with each of 3 seeds"
    at_a = f"at method=a, orbit=high is best, ahead of orbit=low {by}"
    at_b = f"at method=b, orbit=low is best, ahead of orbit=high {by}"
    assert f"It depends on method: {at_a}; {at_b}." in text
    assert text.count("It depends on") == 2 and "on mask" not in text


def test_no_contact_is_a_result_and_the_sweep_goes_on_past_it(leomix, tmp_path):
    timing = ("--set", "learning.train=false", "--set", "stop.days=1", "--quiet")
    varied = ("-p", "orbit.inclination_deg=3,97.8")
    done = leomix("sweep", "circular", *varied, *timing, "-o", tmp_path / "s")
    assert (done.status, "1 of 2 points are not done" in done.err) == (3, True)
    shown = leomix("compare", tmp_path / "s").out
    assert "at orbit.inclination_deg=97.8, of one seed" in shown
    assert "Without it: orbit.inclination_deg=3 (no contact)." in shown


def test_seeds_that_are_swept_are_pooled_like_replications(leomix, tmp_path):
    varied = ("-p", "seed=1,2", "-p", "orbit.altitude_km=500,900")
    timing = ("--set", "learning.train=false", "--set", "stop.days=0.5", "--quiet")
    shown = leomix("sweep", "circular", *varied, *timing, "-o", tmp_path / "s").out.splitlines()
    assert shown[0].split()[:3] == ["altitude_km", "runs", "cycles"]
    assert [line.split()[:2] for line in shown[1:3]] == [["500", "2"], ["900", "2"]]
    leomix("report", tmp_path / "s", "-o", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "served over altitude (km): median and range over seeds" in page
    assert "over seed and" not in page and "and seed," not in page


def test_an_order_at_all_points_may_be_noise_and_counts_have_no_thousandths():
    """Twelve points share three seeds: of these, one alone makes the distance."""
    seeds = {0: 0.03, 1: 0.001, 2: 0.002}
    keys = [(k, m) for k in (500, 800) for m in (5, 10, 15)]
    rows = [
        point(seed, 0.6 + (km == 800) * luck + mask / 1000, km=km, mask=mask)
        for km, mask in keys
        for seed, luck in seeds.items()
    ]
    ahead = "undecided; 800 leads 500 by 0.011 in the mean (ahead at 9 of 9 points)"
    noise = "but that is within noise: the points share 3 seeds (95 %: -0.030 to 0.052)."
    assert f"By km, all else equal: {ahead}, {noise}" in said(rows, ["km", "mask"])
    timed = {"accuracy_final": None, "cycles": 4}
    rows = [
        point(seed, 0.9, km=km) | timed | {"contacts_served": 30 + 5 * (seed == 1)}
        for km in (500, 900)
        for seed in seeds
    ]
    assert "The most contacts served: 31.7, at km=500 and km=900, mean of 3" in said(rows, ["km"])


@given(st.permutations(range(12)))
def test_no_answer_depends_on_the_order_of_values(order):
    """Two of four values tie, one is behind by noise and one by more."""
    finals = {"a": [0.7, 0.72, 0.71], "c": [0.7, 0.72, 0.71], "b": [0.7, 0.7, 0.72]}
    finals["d"] = [0.5, 0.51, 0.52]
    rows = [point(s, x, method=m) for m, each in finals.items() for s, x in enumerate(each)]
    text = said([rows[place] for place in order], ["method"], "0.80")
    keys = ["method", "mask"]
    assert text == said(rows, ["method"], "0.80")
    both = [row | {"mask": mask} for row in rows for mask in (5, 15)]
    assert said([both[2 * p + q] for p in order for q in (1, 0)], keys) == said(both, keys)
    assert "none is best; method=a and method=c tie, equal with each of 3 seeds, and lead" in text
