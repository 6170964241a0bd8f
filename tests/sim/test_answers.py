"""What a sweep answers: what is best, by how much, whether that is noise, and why."""

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
    best = "The best final accuracy: 0.822, at km=800, mask=5 and km=800, mask=15, mean of 3 seeds"
    assert best in text
    assert "By km, all else equal (6 of 9 points): 800 is best, before 500: 0.020 apart" in text
    assert "Without it: km=500, mask=25 (no contact)." in text
    assert (
        "By mask, all else equal (3 of 6 points): 5 and 15 are best, before 25: 0.220 apart" in text
    )
    far = [point(1, None, km=km, mask=25) for km in (300, 400, 500)]
    text = said([*rows[:1], *far], ["km", "mask"])
    assert "Without it: km=300, mask=25 and 2 other points (no contact)." in text


def test_a_difference_is_called_noise_by_the_interval_of_its_pairs():
    luck = [0.00, 0.04, -0.03, 0.02, -0.02]
    for step, verdict in ((0.01, "within noise"), (0.10, "more than noise")):
        rows = [point(s, 0.6 + draw, method="a") for s, draw in enumerate(luck)]
        rows += [point(s, 0.6 + step - draw, method="b") for s, draw in enumerate(luck)]
        text = said(rows, ["method"])
        assert f"at method=b, mean of 5 seeds (95 %: {0.6 + step - 0.002 - 0.0357:.3f}" in text
        assert f"apart, {verdict}" in text
    assert "which cannot tell noise" in said([rows[0], rows[5]], ["method"])
    apart = said([rows[0], rows[6]], ["method"])
    assert "in the mean: method=a, no seed in common, which cannot tell noise." in apart


def test_seeds_that_do_not_differ_have_no_interval_and_nothing_sent_up_is_no_answer():
    rows = [point(s, 0.6 + 0.1 * (m == "b"), method=m) for m in "ab" for s in (1, 2)]
    text = said([row | {"uplink_bytes": 0.0} for row in rows], ["method"])
    assert "at method=b, mean of 2 seeds, the same with each; all points" in text
    assert "0.100 apart, the same with each of 2 seeds." in text
    assert "uplink" not in text and "least uplink" in said(rows, ["method"])
    found = results.paired({1: 0.7, 2: 0.8}, {1: 0.5, 2: 0.6})
    text = results.mean_text({**found, "mean": found["difference"]})
    assert text == "0.200 [the same with each seed]"
    names = [results.some("ABCD"[:count], 2) for count in (2, 3, 4)]
    assert names == ["A, B", "A, B, C", "A, B and 2 more"]


def test_a_method_is_compared_at_each_orbit_and_the_reason_is_named():
    rows = [point(1, 0.9, km=500, method="a"), point(1, 0.7, km=500, method="b")]
    rows += [point(1, 0.9, km=900, method="a"), point(1, 0.7, km=900, method="b")]
    rows[0]["contacts_served"] = 60
    text = said(rows, ["km", "method"], "0.80")
    assert "By km, all else equal: no difference between 500 and 900." in text
    assert "By method, all else equal: a is best, before b: 0.200 apart" in text
    assert "ahead at 2 of 2 points, on one seed" in text
    assert "--replications 5. With a: 45 contacts served against 30." in text
    assert "Without it: km=500, method=b and km=900, method=b (never)." in text


def test_what_a_third_value_lacks_does_not_turn_the_verdict_between_two():
    finals = {("a", 5): 0.80, ("a", 30): 0.70, ("b", 5): 0.80, ("b", 30): 0.60}
    finals |= {("c", 5): 0.74, ("c", 30): None}
    rows = [point(s, x, km=km, mask=mask) for (km, mask), x in finals.items() for s in (1, 2)]
    text = said(rows, ["km", "mask"])
    assert "By km, all else equal: a is best, before b: 0.050 apart, ahead at 2 of 4 points" in text
    seldom = [row | {"accuracy_final": None} if row["km"] == "b" else row for row in rows]
    seldom[4] = rows[4]
    few = "By km: only 1 of 4 points can be compared, too few (with a figure: a at 4, b at 1"
    assert few in said(seldom[:8], ["km", "mask"])
    apart = [point(1, 0.8, km=1, mask=5), point(1, 0.7, km=2, mask=6)]
    assert "By km: no two points differ in it alone" in said(apart, ["km", "mask"])
    rows = [point(s, 0.7 + s / 100, km=km) for km, s in ((1, 1), (1, 2), (2, 2), (2, 3))]
    assert "on the one seed of 3 that both have, which cannot tell" in said(rows, ["km"])


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
    at_b = "; at method=b, orbit=low is ahead, 0.100 apart, ahead at 6 of 6 points, the same with"
    assert "It depends on method: at method=a, orbit=high is ahead, 0.100 apart" in text
    assert at_b in text
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
