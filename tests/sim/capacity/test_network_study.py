"""Network studies: what a scenario without learning comes to, and how payloads get through."""

import json
import re
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import leomix as face
import scenarios
from sim.sweep import sweep
from tests.kit import small
from tests.kit.inner.sim import InputError, study_text

WINDOWS = {
    "start": small.STUDY["start"],
    "stop": {"days": 0.02},
    "ground": {"clusters": [{"name": "A"}]},
    "link": small.FIXED,
}
DISH = {"preset": "station", "station": {"dish_m": 5, "band": "X", "uplink_band": "S"}}
STATIONS = small.STUDY | {"link": DISH}
LEARNT = ("learn", "method", "accuracy", "train", "emsfl", "cycle", "digits")
"""Words that nobody who studies a network wants to read."""


def of_windows(spans, traffic):
    text = small.pass_table([(f"s{n}", "A", *span) for n, span in enumerate(spans)])
    orbit = {"source": "contacts", "windows": text, "serving": "any"}
    return WINDOWS | {"orbit": orbit, "traffic": traffic}


@st.composite
def plans(draw):
    """Windows of a cluster that do not overlap, and up to three kinds of payloads."""
    cuts = draw(st.lists(st.integers(1, 1700), min_size=2, max_size=8, unique=True).map(sorted))
    spans = [*zip(cuts[::2], cuts[1::2], strict=False)]
    kind = st.fixed_dictionaries(
        {
            "payload_mb": st.sampled_from([0.5, 3.0, 40.0, 300.0]),
            "direction": st.sampled_from(["up", "down"]),
            "every_hours": st.sampled_from([None, 0.05, 0.1]),
        }
    )
    kinds = draw(st.lists(kind, min_size=1, max_size=3))
    return spans, [{"name": f"kind-{n}", **kind} for n, kind in enumerate(kinds)]


def kaplan_meier_hours(payloads, stop_s, share):
    """The hours by which a share is through: the product over the times at which some are."""
    waits = [
        (through_s - ready_s, True) if through_s == through_s else (stop_s - ready_s, False)
        for ready_s, through_s in zip(payloads["ready_s"], payloads["through_s"], strict=True)
    ]
    left = Fraction(1)
    for time_s in sorted({wait_s for wait_s, is_through in waits if is_through}):
        at_risk = sum(wait_s >= time_s for wait_s, _ in waits)
        left *= 1 - Fraction(sum(wait == (time_s, True) for wait in waits), at_risk)
        if 1 - left >= share:
            return time_s / 3600
    return None


@given(plans())
@settings(max_examples=20, deadline=None)
def test_quantiles_are_those_of_kaplan_and_meier_over_all_payloads(plan):
    spans, traffic = plan
    run = face.run(scenarios.from_dict(of_windows(spans, traffic)))
    stop_s = 86_400 * WINDOWS["stop"]["days"]
    for name, own in run.payloads.groupby("name"):
        share = own["through_s"].notna().mean()
        assert run.summary[f"{name}.delivered_share"] == pytest.approx(share)
        assert run.summary[f"{name}.undelivered"] == own["through_s"].isna().sum()
        for figure, quantile in (("hours_median", Fraction(1, 2)), ("hours_p90", Fraction(9, 10))):
            expected = kaplan_meier_hours(own, stop_s, quantile)
            growth = run.summary[f"{name}.backlog_growth"]
            if growth is not None and growth > 2 and share < quantile:
                expected = None
            assert run.summary[f"{name}.{figure}"] == pytest.approx(expected)


def queue_of(load, days, *, every_hours=1.0, stations=2, orbit=None):
    """A study whose payloads ask for a share of what the links carry, in the mean of satellites."""
    orbit = STATIONS["orbit"] | (orbit or {"satellites": 4})
    ground = {"stations": STATIONS["ground"]["stations"][:stations], "antennas": 4}
    given = {**small.STUDY, "orbit": orbit, "ground": ground, "stop": {"days": days}}
    hours_a_day = {1: 0.8, 2: 1.4}[stations]  # served, for each satellite
    mb_a_day = load * hours_a_day * 3600
    payload = {"name": "x", "direction": "down", "every_hours": every_hours}
    payload["payload_mb"] = mb_a_day * (1 if every_hours is None else every_hours / 24)
    return face.run(scenarios.from_dict({**given, "traffic": [payload]}))


@pytest.mark.parametrize("stations", [1, 2])
@pytest.mark.parametrize("days", [0.1, 0.5, 2])
def test_a_queue_below_what_links_carry_is_no_overload_in_short_or_long_studies(stations, days):
    for load in (0.1, 0.6):
        run = queue_of(load, days, stations=stations)
        assert (run.summary["x.backlog_growth"] or 0) < 2
        assert "Overload" not in study_text(run)


@pytest.mark.parametrize("stations", [1, 2])
@pytest.mark.parametrize("days", [1, 2])
def test_a_queue_beyond_what_links_carry_is_an_overload_and_has_no_quantiles(stations, days):
    run = queue_of(4, days, stations=stations)
    summary = run.summary
    assert 2 < summary["x.backlog_growth"] < 4
    assert (summary["x.hours_median"], summary["x.hours_p90"]) == (None, None)
    size_mb = run.manifest["scenario"]["traffic"][0]["payload_mb"]
    counts = len(run.payloads), run.payloads.through_s.count()
    asked, got = (f"{count * size_mb / 1000 / days:.3g} GB" for count in counts)
    [line] = [line for line in study_text(run).splitlines() if line.startswith("Overload")]
    assert line == f"Overload: x asks for {asked} a day and gets {got}."
    assert "not reached" in study_text(run)


@pytest.mark.parametrize("load", [0.01, 10])
def test_payloads_that_come_once_are_no_overload(load):
    run = queue_of(load, 1, every_hours=None)
    assert (run.summary["x.backlog_growth"] or 0) < 2


@pytest.mark.parametrize("stations", [1, 2])
def test_twice_the_days_change_no_quantile_by_more_than_a_twentieth(stations):
    orbit = {"satellites": 36, "planes": 6}
    two, four = (
        queue_of(0.6, days, every_hours=0.5, stations=stations, orbit=orbit).summary
        for days in (2, 4)
    )
    for name in ("x.hours_median", "x.hours_p90"):
        assert four[name] == pytest.approx(two[name], rel=0.05)


def tick_by_tick(spans, payloads, devices, channels, stop_s):
    """When payloads (ready second, MB) of each device are through: 1 MB/s on a sub-channel.

    Who came first sends first, a device sends one payload at a time. All is in half seconds.
    """
    left = {(n, d): 2.0 * mb for n, (_, mb) in enumerate(payloads) for d in range(devices)}
    through, sending, free_s = {}, [], [0.0] * devices
    for tick in range(int(2 * stop_s)):
        now_s = tick / 2.0
        begin_s = next((begin for begin, end in spans if begin <= now_s < end), None)
        sending = [] if begin_s is None or begin_s == now_s else sending
        busy = {device for _, device in sending}
        heads = {}
        for number, device in sorted(left):
            heads.setdefault(device, number)
        came = sorted(
            (max(payloads[number][0], begin_s, free_s[device]), number, device)
            for device, number in heads.items()
            if begin_s is not None and device not in busy and payloads[number][0] <= now_s
        )
        sending += [(number, device) for _, number, device in came[: channels - len(sending)]]
        for each in sending:
            left[each] -= 1.0
        for each in [each for each in sending if left[each] == 0.0]:
            through[each] = free_s[each[1]] = now_s + 0.5
            sending.remove(each)
            del left[each]
    return [[through.get((n, d), np.nan) for d in range(devices)] for n in range(len(payloads))]


def shared_by(devices, channels, scenario):
    band = {"bandwidth_mhz": 1.0, "total_bandwidth_mhz": float(channels)}
    links = {way: {**keys, **band} for way, keys in scenario["link"].items()}
    cluster = {"name": "A", "devices": devices, "radius_km": 0}
    return {**scenario, "ground": {"clusters": [cluster]}, "link": links}


@given(plans(), st.integers(1, 5), st.integers(1, 3))
@settings(max_examples=40, deadline=None)
def test_each_device_has_its_payloads_and_all_share_the_sub_channels(plan, devices, channels):
    spans, traffic = plan
    spans = spans[:3]
    scenario = shared_by(devices, channels, of_windows(spans, traffic))
    found = face.run(scenarios.from_dict(scenario)).payloads
    size_of = {kind["name"]: kind["payload_mb"] for kind in traffic}
    for _, own in found.groupby("direction"):
        kinds = own[own["device"] == 0]
        assert (own.groupby("device").size() == len(kinds)).all()
        queue = [*zip(kinds["ready_s"], kinds["name"].map(size_of), strict=True)]
        stop_s = spans[-1][1] if spans else 0.0
        counted = tick_by_tick(spans, queue, devices, channels, stop_s)
        got = own["through_s"].to_numpy().reshape(len(queue), devices)
        np.testing.assert_allclose(got, counted, atol=1e-6)


def test_a_study_counts_the_payloads_of_all_devices_before_they_take_all_memory():
    traffic = [{"name": "r", "payload_mb": 1.0, "direction": "up", "every_hours": 0.0001}]
    scenario = shared_by(3000, 3000, of_windows([(100, 1000)], traffic))
    with pytest.raises(InputError, match="makes 14,400,000 payloads"):
        face.run(scenarios.from_dict(scenario))


@pytest.mark.parametrize("payload_mb", [20.0, 700.0])
def test_a_queue_that_is_never_empty_sends_all_that_its_links_carry(payload_mb):
    """On curves whose rates change all the time: bytes are neither lost nor made."""
    day = {"name": "data", "payload_mb": payload_mb, "direction": "down", "every_hours": 0.0005}
    run = face.run(scenarios.from_dict({**STATIONS, "traffic": [day]}))
    assert run.payloads["device"].isna().all()
    rows = run.capacity.set_index("name")
    through = run.payloads[run.payloads["through_s"].notna()].groupby("client").size()
    carried_mb = 1000.0 * rows.loc[through.index, "down_gb_a_day"] * STATIONS["stop"]["days"]
    left_mb = carried_mb - payload_mb * through
    assert (left_mb > -1e-6).all() and (left_mb < payload_mb).all()


def test_a_study_has_the_rows_of_capacity_its_figures_and_no_word_of_learning(tmp_path, leomix):
    file = tmp_path / "net.yaml"
    traffic = [{"name": "image", "payload_mb": 300, "direction": "down"}]
    file.write_text(yaml.safe_dump({**STATIONS, "traffic": traffic}))
    out = tmp_path / "run"
    asked = (["run", file, "-o", out], ["validate", file], ["show", out], ["report", out])
    told = "".join(leomix(*words).out for words in asked)
    told += re.sub("<style.*</style>", "", (out / "report.html").read_text(), flags=re.DOTALL)
    told = told.lower().replace("mixtures of experts", "").replace("networks and learning", "")
    assert [word for word in LEARNT if word in told] == []
    run = face.load(out)
    shown = json.loads(leomix("show", out, "--json").out)
    assert (shown["limited_by"], run.manifest["method"]) == ("demand", None)
    rows = json.loads(leomix("capacity", file, "--json").out)["rows"]
    assert run.tables["capacity"].to_pylist() == rows
    [total] = [row for row in rows if row["kind"] == "total"]
    names = ("passes_a_day", "served_a_day", "down_gb_a_day", "up_gb_a_day", "busy_hours_a_day")
    assert {name: run.summary[name] for name in names} == {name: total[name] for name in names}
    gaps = [row["longest_gap_hours"] for row in rows if row["kind"] == "satellite"]
    assert run.summary["longest_gap_hours"] == max(gaps)
    hours = (run.payloads["through_s"] - run.payloads["ready_s"]) / 3600
    assert run.summary["image.undelivered"] == hours.isna().sum()
    assert run.summary["image.one_service_share"] == (run.payloads["services"] == 1).mean()


def test_digests_cover_what_is_carried_and_when_payloads_are_through():
    size = [{"name": "image", "payload_mb": mb, "direction": "down"} for mb in (300, 301)]
    up = {"link": {**STATIONS["link"], "station": {"dish_m": 6, "band": "X", "uplink_band": "S"}}}
    keys = [{"traffic": [size[0]]}, {"traffic": [size[1]]}, {"traffic": [size[0]], **up}]
    runs = [face.run(scenarios.from_dict({**STATIONS, **own})) for own in keys]
    assert len({run.manifest["timing_sha256"] for run in runs}) == 3


@pytest.mark.wide
def test_studies_have_a_picture_of_what_is_compared_and_no_page_with_runs_that_learn(
    tmp_path, leomix, runs
):
    """A row a study, the best first and bold."""
    file = tmp_path / "net.yaml"
    file.write_text(yaml.safe_dump(STATIONS))
    swept = sweep(file, {"link.station.band": ["S", "X"]}, tmp_path / "out").rows.to_pylist()
    carried = [row["down_gb_a_day"] for row in swept]
    points = [tmp_path / "out" / row["folder"] for row in swept]
    page, into = tmp_path / "both.html", tmp_path / "figures"
    assert leomix("report", *points, "-o", page, "--figures", into).status == 0
    bold = re.findall('<text[^>]*font-weight="700"[^>]*>([^<]*)<', page.read_text())
    assert f"{carried[1]:,.0f}" in bold
    drawn = pd.read_csv(into / "down-gb-a-day-by-group.csv")
    assert [label[-1] for label in drawn["group"]] == ["X", "S"]
    np.testing.assert_allclose(drawn["value"], carried[::-1])
    said, *others = leomix("compare", *points).out.splitlines()
    assert not {word for word in ("p values", "a seed") if word in " ".join(others)}
    assert re.match(r"X has the most data down \([\d.]+ TB a day, \+\d+ % over S\); ", said)
    mixed = leomix("compare", points[0], runs["slots-timing"])
    assert (mixed.status, "compare those of one kind" in mixed.err) == (2, True)


def test_a_study_is_kept_and_made_anew_with_another_stop(tmp_path):
    first = face.run(scenarios.from_dict(STATIONS), tmp_path / "run")
    again = face.run(scenarios.from_dict(STATIONS), tmp_path / "run", resume=True)
    assert again.manifest == first.manifest
    longer = scenarios.from_dict({**STATIONS, "stop": {"days": 0.75}})
    extended = face.run(longer, tmp_path / "run", resume=True)
    undisturbed = face.run(longer, tmp_path / "other")
    assert extended.manifest["trace_sha256"] == undisturbed.manifest["trace_sha256"]
    other = scenarios.from_dict({**STATIONS, "traffic": [{**IMAGE}]})
    with pytest.raises(InputError, match="another scenario"):
        face.run(other, tmp_path / "run", resume=True)


IMAGE = {"name": "image", "payload_mb": 300, "direction": "down"}


@pytest.mark.process
def test_studies_are_swept_and_compared(tmp_path, leomix):
    file = tmp_path / "net.yaml"
    file.write_text(yaml.safe_dump({**STATIONS, "traffic": [IMAGE]}))
    spec = {"ground.antennas": [1, 2], "orbit.inclination_deg": [0.0, 60.0]}
    overrides = {"orbit.min_elevation_deg": 40}
    swept = sweep(file, spec, tmp_path / "out", overrides=overrides, keep_going=True)
    rows = swept.rows.to_pylist()
    assert [row["status"] for row in rows] == ["refused", "complete", "refused", "complete"]
    assert rows[0]["code"] == "never_seen"
    assert not {name for name in swept.rows.column_names if name.startswith(("acc", "loss", "cyc"))}
    alone = face.run(scenarios.load(str(file), {**overrides, "orbit.inclination_deg": 60.0}))
    figures = alone.manifest["network"]
    names = ", ".join(figures["limiting_stations"])
    assert {name: rows[1][name] for name in figures} == figures | {"limiting_stations": names}
    said = leomix("compare", tmp_path / "out").out
    assert leomix("report", tmp_path / "out").status == 0
    said += (tmp_path / "out" / "report.html").read_text()
    assert [word for word in ("accuracy", "emsfl", "digits") if word in said] == []
    for column, told in (("validation", "name a column"), ("down_gb", "one of down_gb_a_day, ")):
        refused = leomix("compare", tmp_path / "out", "--best-by", column)
        assert refused.status == 2 and told in refused.err
    choice = face.compare([tmp_path / "out"], best_by="down_gb_a_day")
    assert next(iter(choice.chosen.values()))["ground.antennas"] in (1, 2)


@pytest.mark.process
def test_studies_and_runs_that_learn_are_not_swept_together(tmp_path):
    file = tmp_path / "net.yaml"
    file.write_text(yaml.safe_dump(STATIONS))
    learns = {"learning": {"method": "fedsat", "train": False}}
    with pytest.raises(InputError, match="one kind at a time"):
        sweep(file, {}, variants={"network": {"ground.antennas": 2}, "learns": learns})


# Keys of learning: a study has them counted, told or refused.

CLUSTERS = {
    **{key: value for key, value in STATIONS.items() if key not in ("roles", "ground", "link")},
    "ground": {"clusters": [{"name": "A", "latitude_deg": 48, "longitude_deg": 11, "devices": 3}]},
    "link": {"preset": "physical", **small.merged(small.FIXED, {"uplink": {"tx_power_dbm": 60}})},
}
DEVICES = {"devices": 3}
LEARNT_KEYS = [
    ("compute", {"seconds_per_round": 60}),  # as by default
    ("compute", {"tflops": 2}),
    ("compute", {"processor": "jetson-nano"}),
    ("faults.stragglers", {"share": 0.5}),
    ("faults.churn", {"mean_present_hours": 5}),
    ("faults.packets", {"loss": 0.1}),
    ("faults.uploads", {"corrupted": 0.1}),
    ("link.relay", "store"),
    ("link.sidelink", {}),
    ("link.cut_transfers", "restart"),
    ("ground.clusters.0.kinds", [{**DEVICES, "tflops": 2}]),
    ("ground.clusters.0.kinds", [{**DEVICES, "memory_gib": 2}]),
    ("ground.clusters.0.kinds", [{**DEVICES, "lora_rank": 2}]),
]


@pytest.mark.parametrize("base", [STATIONS, CLUSTERS], ids=["satellites", "clusters"])
@pytest.mark.parametrize(("key", "value"), LEARNT_KEYS, ids=[key for key, _ in LEARNT_KEYS])
def test_a_study_refuses_keys_of_learning_in_one_line(base, key, value, tmp_path):
    if key.startswith("ground.clusters") and base is STATIONS:
        return
    place = tmp_path / "study.yaml"
    place.write_text(yaml.safe_dump({**base, "traffic": DAILY}))
    with pytest.raises(scenarios.ScenarioError, match=r"is not used (in a network study|with)"):
        scenarios.load(place, {key: value})
    outer, _, inner = key.partition(".")
    if not key.startswith("ground"):
        section = {**base.get(outer, {}), inner: value} if inner else value
        place.write_text(yaml.safe_dump({**base, outer: section}))
        with pytest.raises(scenarios.ScenarioError, match=rf"study.yaml:\d+: {key}: is not used"):
            scenarios.load(place)


DAILY = [{"name": "data", "payload_mb": 5.0, "direction": "down", "every_hours": 6.0}]
ROUND = {"walker": {"satellites": 22, "planes": 2, "altitude_km": 1200, "inclination_deg": 87.8}}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("link.isl", {"within_plane": "ring", "rate_mbps": 1000}),
        ("orbit.session", "contact"),
        ("orbit.max_session_s", 600.0),
    ],
)
def test_keys_that_change_no_figure_of_a_study_are_doubted(key, value):
    orbit = {**STATIONS["orbit"], **ROUND["walker"]}
    scenario = {**STATIONS, "orbit": orbit, "traffic": DAILY}
    outer, inner = key.split(".")
    changed = {**scenario, outer: {**scenario[outer], inner: value}}
    plain, run = (face.run(scenarios.from_dict(each)) for each in (scenario, changed))
    assert run.manifest["network"] == plain.manifest["network"]
    assert not [text for text in map(str, plain.warnings) if text.startswith(key)]
    [told] = [text for text in map(str, run.warnings) if text.startswith(key)]
    assert "is not used by a network study" in told


def test_the_network_of_a_scenario_that_learns_is_studied_without_its_learning(tmp_path):
    place = tmp_path / "learns.yaml"
    faults = {"stragglers": {"share": 0.5}, "outages": {"per_day": 1.0}}
    learns = {"learning": {"train": False}, "compute": {"tflops": 2}, "faults": faults}
    place.write_text(yaml.safe_dump({**STATIONS, **learns}))
    study = scenarios.load(place, {"learning": None})
    assert study.faults.outages == scenarios.load(place).faults.outages
    assert study.faults.stragglers is None and study.compute.tflops is None
    with pytest.raises(scenarios.ScenarioError, match=r"link\.relay: is not used in a network"):
        scenarios.load(place, {"learning": None, "link.relay": "store"})


def test_a_study_with_nothing_but_its_own_keys_is_read_again_from_its_manifest():
    run = face.run(scenarios.from_dict({**STATIONS, "traffic": DAILY}))
    assert scenarios.from_dict(run.manifest["scenario"]) == run.scenario


def test_no_remedy_for_devices_over_stations_is_what_a_study_refuses(tmp_path):
    """The circle of a user who follows each refusal: a route that the next one forbids."""
    links = {"route": "earliest", "within_plane": "ring", "between_planes": "grid"}
    mesh = {"link.isl": {**links, "rate_mbps": 100}, "link.feeder": {"rate_mbps": 100}}
    place = tmp_path / "study.yaml"
    both = {**CLUSTERS, "roles": {"server": "stations", "clients": "devices"}, "traffic": DAILY}
    both["ground"] = {**CLUSTERS["ground"], **STATIONS["ground"]}
    both["orbit"] = {**STATIONS["orbit"], **ROUND["walker"]}
    place.write_text(yaml.safe_dump(both))
    with pytest.raises(scenarios.ScenarioError) as first:
        scenarios.load(place)
    assert "earliest" not in str(first.value)
    with pytest.raises(InputError, match=r"remove it$") as second:
        face.run(scenarios.load(place, mesh))
    assert "direct" not in str(second.value)
    scenarios.load(place, {"roles.server": "satellites", "ground.stations": None})
