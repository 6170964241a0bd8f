"""What a network carries in a day: compared with runs in which somebody always sends, and sums."""

import json
import re
from datetime import timedelta

import numpy as np
import pytest

import leomix as face
import orbit
import scenarios
import sim
from tests.kit import small
from tests.kit.inner.sim import satellites_of

STATIONS = small.STUDY | {
    "stop": {"days": 1},
    "orbit": small.STUDY["orbit"] | {"satellites": 12, "planes": 3},
    "link": {
        "uplink": {"rate": "fixed", "fixed_rate_mbps": 10_000},
        "downlink": {"rate": "fixed", "fixed_rate_mbps": 0.1, "delivery": "unicast"},
    },
    "compute": {"seconds_per_round": 0.001},
    "learning": {
        "method": "fedavg",
        "train": False,
        "model": {"kind": "vector-mlp", "hidden": 1_000_000},
    },
}
"""A model of 300 MB that goes up in a quarter of a second, and never comes down in a day."""


def changed(scenario, changes):
    return scenarios.from_dict(scenario | changes)


def operations(scenario):
    return face.plan(scenario).operations


def shape(table):
    """Rows of each kind, by name."""
    return {kind: rows.set_index("name") for kind, rows in table.groupby("kind")}


def test_gb_a_day_are_those_of_a_run_in_which_everybody_always_sends():
    """By station and by satellite, but for what they wait for the model in their first pass."""
    scenario = scenarios.from_dict(STATIONS)
    rows = shape(face.plan(scenario).operations)
    run = sim.run(scenario)
    down = run.transfers[run.transfers.direction == "downlink"]
    assert not (down.outcome == "delivered").any()
    sent = down.merge(run.contacts[["contact_id", "satellite", "station"]], on="contact_id")
    for kind in ("station", "satellite"):
        gb = sent.groupby(kind).on_air_bytes.sum() / 1e9
        assert (gb <= rows[kind].down_gb_a_day[gb.index] * (1 + 1e-9)).all()
        assert len(gb) == len(rows[kind])
    first_s = 0.3  # up to the satellite, and the round
    lost_gb = len(rows["satellite"]) * first_s * 0.1e6 / 8e9
    total = rows["total"].down_gb_a_day.sum()
    assert total - lost_gb < sent.on_air_bytes.sum() / 1e9 <= total * (1 + 1e-9)


BUDGET = {
    "uplink": {"rate": "fixed", "fixed_rate_mbps": 50},
    "downlink": {
        **{"rate": "shannon", "scintillation_loss_db": 0, "shadowing_margin_db": 0},
        **{"zenith_attenuation_db": 0, "delivery": "unicast"},
        **{"eirp_dbw": 10, "g_over_t_db_k": 20},
    },
}


def by_seconds_mb(schedule, row):
    """What a service has carried down at the end of each second, without the program's budget.

    Shannon's rate of the range in the middle of the second.
    """
    edges_s = np.append(np.arange(row.service_start_s, row.service_end_s), row.service_end_s)
    satellites = {satellite.name: satellite for satellite in satellites_of(schedule.scenario)}
    sites = {one["name"]: orbit.Site(**one) for one in STATIONS["ground"]["stations"]}
    ends = satellites[row.satellite], sites[row.station]
    seen = orbit.look_angles(*ends, schedule.start, (edges_s[1:] + edges_s[:-1]) / 2)
    loss_db = 20 * np.log10(4 * np.pi * seen.slant_range_km[:, 0] * 1e3 * 2e9 / 299_792_458.0)
    snr = 10 ** ((10 + 20 - loss_db + 228.5991672 - 10 * np.log10(30e6)) / 10)
    return np.cumsum(30e6 * np.log2(1 + snr) / 8e6 * np.diff(edges_s))


def test_a_payload_takes_the_seconds_that_a_sum_over_them_says(leomix, tmp_path):
    """Of 2 GB, where passes that are cut are out."""
    path = tmp_path / "network.json"
    path.write_text(json.dumps(STATIONS | {"link": BUDGET}))
    schedule = face.plan(path)
    contacts = schedule.contacts
    served = contacts[contacts.served]
    whole = (served.service_start_s > 0.0) & (served.service_end_s < schedule.stop_s)
    every = [by_seconds_mb(schedule, row) for row in served.itertuples()]
    total = shape(schedule.operations)["total"]
    carried_gb = sum(mb[-1] for mb in every) / 1e3
    assert total.down_gb_a_day.sum() == pytest.approx(carried_gb, rel=1e-4)
    carried = [mb for mb, is_whole in zip(every, whole, strict=True) if is_whole]
    took_s = [np.searchsorted(mb, 2000) + 1 for mb in carried if mb[-1] >= 2000]
    worst_mb = min(mb[-1] for mb in carried)
    up, down = json.loads(leomix("link", path, "--send", "2000MB", "--json").out)
    assert 0 < down["whole"] == len(took_s) < down["services"] == len(carried)
    assert min(took_s) - 1 <= down["best_s"] <= min(took_s)
    assert abs(down["median_s"] - np.median(took_s)) <= 1
    assert down["worst_mb"] == pytest.approx(worst_mb, rel=1e-3)
    assert (up["best_s"], up["median_s"]) == pytest.approx((320.0, 320.0))
    assert "goes with --send" in leomix("link", path, "--json").err
    said = leomix("link", path, "--send", "2GB").out
    assert said.startswith(f"2 GB: 320 s up, {down['median_s']:.0f} s down; ")
    nothing, everything = (
        leomix("link", path, "--send", size).out for size in ("900GB", "0.001kB")
    )
    assert nothing.startswith("900 GB: no pass carries it in one\n")
    assert "; all passes carry it up in one, all down\n" in everything


RELAY = {
    "roles": {"server": "satellite:P01-S01", "clients": "satellites"},
    "ground": {"clusters": []},
    "link": {"isl": {"rate_mbps": 10, "between_planes": "all", "terminals": 1}},
}
GROUND = {**small.ORBIT, "learning": small.ORBIT["learning"] | {"train": False}}
EACH = {
    "stations": (STATIONS, "station", "satellite"),
    "devices": (GROUND, "cluster", "satellite"),
    "slots": (small.SLOTS, "cluster", "satellite"),
}
SUMS = ["passes_a_day", "served_a_day", "in_view_hours_a_day", "busy_hours_a_day"]
SUMS += ["down_gb_a_day", "up_gb_a_day"]


@pytest.mark.parametrize("which", EACH)
def test_ends_add_up_to_their_total_and_both_sides_to_the_same(which):
    scenario, ground, flying = EACH[which]
    table = operations(scenarios.from_dict(scenario))
    rows = shape(table)
    total = rows["total"].iloc[0]
    for kind in (ground, flying):
        assert rows[kind][SUMS].sum(min_count=1).to_numpy(float) == pytest.approx(
            total[SUMS].to_numpy(float), rel=1e-9, nan_ok=True
        )
    assert (table.busy_hours_a_day <= table.in_view_hours_a_day * (1 + 1e-9)).all()
    assert (table.any_in_view_hours_a_day <= 24 * (1 + 1e-9)).all()
    in_a_day = table.largest_up_gb_in_a_day
    assert (in_a_day.isna() | (in_a_day >= table.largest_up_gb_per_pass * (1 - 1e-9))).all()


def test_a_dish_more_is_less_than_any_number_and_any_number_serves_all_the_time_in_view():
    served = []
    for antennas in (1, 2, "unlimited"):
        ground = STATIONS["ground"] | {"antennas": antennas}
        rows = shape(operations(changed(STATIONS, {"ground": ground})))
        served.append(rows["total"].busy_hours_a_day.iloc[0])
        if antennas == 1:  # one dish cannot be busy for longer than anything is in view
            station = rows["station"]
            assert (station.busy_hours_a_day <= station.any_in_view_hours_a_day + 1e-9).all()
    assert served[0] < served[1] <= served[2] * (1 + 1e-9)
    satellites = rows["satellite"]
    assert satellites.busy_hours_a_day.to_numpy() == pytest.approx(
        satellites.any_in_view_hours_a_day.to_numpy(), rel=1e-9
    )
    assert rows["station"].at_a_time.tolist() == [np.inf, np.inf]


def test_hours_of_turning_are_those_that_each_service_begins_with():
    """Half a minute of every pass that is served, but of those that are open at the start."""
    seconds = 30
    plan = face.plan(changed(STATIONS, {"ground": STATIONS["ground"] | {"acquisition_s": seconds}}))
    rows = shape(plan.operations)
    contacts = plan.contacts
    acquired = contacts[contacts.served & (contacts.rise_s > 0.0)]
    expected = acquired.groupby("station").size() * seconds / 3600
    lost = rows["station"].setup_hours_a_day
    assert lost[expected.index].to_numpy() == pytest.approx(expected.to_numpy())
    assert rows["satellite"].setup_hours_a_day.sum() == pytest.approx(lost.sum())
    assert rows["total"].setup_hours_a_day.iloc[0] == pytest.approx(lost.sum())
    assert operations(scenarios.from_dict(STATIONS)).setup_hours_a_day.isna().all()


def test_devices_of_a_cluster_add_up_and_a_broadcast_to_them_counts_once():
    """In one place: each has a sub-channel of its own up, and all hear one transmission down."""

    def cluster(devices, **link):
        place = {"name": "North", "latitude_deg": 60, "longitude_deg": 20, "devices": devices}
        keys = {"ground": {"clusters": [place]}, "link": {**GROUND["link"], **link}}
        return shape(operations(changed(GROUND, keys)))["cluster"].iloc[0]

    one, four = cluster(1), cluster(4)
    assert four.up_gb_a_day == pytest.approx(4 * one.up_gb_a_day, rel=1e-9)
    assert four.down_gb_a_day == pytest.approx(one.down_gb_a_day, rel=1e-9)
    # Of eight in two sub-channels, two send at a time.
    eight = cluster(8, uplink={"total_bandwidth_mhz": 0.72})
    assert eight.up_gb_a_day == pytest.approx(2 * one.up_gb_a_day, rel=1e-9)


def test_over_links_nobody_waits_longer_and_gaps_are_those_of_sessions():
    keys = small.OVER_GRID | {"stop.days": 0.1}
    schedule = face.plan(scenarios.load("iridium-isl", keys))
    rows = shape(schedule.operations)["satellite"]
    assert (rows.longest_gap_over_links_hours <= rows.longest_gap_hours + 1e-9).all()
    own = schedule.sessions[schedule.sessions.client == "IRIDIUM 100"]
    gb = own.to_server_bits.sum() / 8e9 * 10
    assert rows.over_links_gb_a_day["IRIDIUM 100"] == pytest.approx(gb, rel=1e-9)
    ends_s = np.append(0.0, own.end_s.cummax())
    gap_s = (np.append(own.start_s, schedule.stop_s) - ends_s).max()
    assert rows.longest_gap_over_links_hours["IRIDIUM 100"] * 3600 == pytest.approx(max(gap_s, 0.0))


def test_gateways_carry_what_their_dishes_are_served():
    isl = {"within_plane": "ring", "between_planes": "grid", "rate_mbps": 100, "route": "earliest"}
    quito = {"name": "Quito", "latitude_deg": 0, "longitude_deg": -78}
    changes = {
        "stop": {"days": 0.1},
        "roles": {"server": "stations", "clients": "devices"},
        "orbit": {"satellites": 66, "planes": 6, "altitude_km": 780},
        "ground": {"clusters": [quito]},
    }
    given = small.merged(STATIONS, changes) | {"link": {"isl": isl, "feeder": {"rate_mbps": 500}}}
    schedule = face.plan(given)
    gateways = shape(schedule.operations)["gateway"]
    lasted_s = schedule.feeder_windows.eval("end_s - start_s")
    by_station = lasted_s.groupby(schedule.feeder_windows.station).sum()
    for way in ("down", "up"):
        gb = gateways[f"{way}_gb_a_day"][by_station.index]
        assert gb.to_numpy() == pytest.approx(by_station.to_numpy() * 500e6 / 8e9 * 10, rel=1e-9)
    assert (gateways.passes_a_day > gateways.served_a_day).any()


@pytest.fixture
def path(tmp_path):
    """Sixty satellites, more than digits can be dealt to: no run, but a network."""
    sixty = STATIONS["orbit"] | {"satellites": 60, "planes": 6}
    link = {"preset": "physical"}
    only = {key: STATIONS[key] for key in ("start", "roles", "ground")}
    path = tmp_path / "sixty.json"
    path.write_text(json.dumps(only | {"orbit": sixty, "link": link, "stop": {"days": 0.25}}))
    return path


def test_one_more_dish_brings_what_a_plan_with_it_carries(leomix, path):
    """At each station alone."""
    told = json.loads(leomix("capacity", path, "--json").out)
    assert told["finding"].endswith("; the dishes of Bremen and Perth are the limits")
    assert told["without"] is None
    now = told["rows"][2]["down_gb_a_day"]
    for number, more in enumerate(told["one_more"]):
        key = f"ground.stations.{number}.antennas=2"
        again = json.loads(leomix("capacity", path, "--json", "--set", key).out)["rows"]
        assert more["station"] == again[number]["name"] and again[number]["at_a_time"] == 2
        assert more["gb_down_per_day"] == pytest.approx(again[2]["down_gb_a_day"], rel=1e-9)
        assert more["gb_up_per_day"] == pytest.approx(again[2]["up_gb_a_day"], rel=1e-9)
        assert more["gain"] == pytest.approx(again[2]["down_gb_a_day"] / now - 1)


def test_a_station_that_is_left_out_carries_nothing_and_what_is_lost_is_said(leomix, path):
    whole = json.loads(leomix("capacity", path, "--json").out)["rows"][2]
    told = json.loads(leomix("capacity", path, "--without", "Perth", "--json").out)
    out = "faults.planned=[{station: Perth, from_hours: 0}]"
    again = json.loads(leomix("capacity", path, "--json", "--set", out).out)
    left = again["rows"][2]["down_gb_a_day"]
    assert told["without"] == {
        "station": "Perth",
        "gb_down_per_day": left,
        "gb_up_per_day": again["rows"][2]["up_gb_a_day"],
        "change": pytest.approx(left / whole["down_gb_a_day"] - 1),
    }
    assert told["rows"] == again["rows"] and told["limiting_stations"] == ["Bremen"]


def test_beams_are_the_limit_where_clusters_share_one(leomix, tmp_path):
    """Four clusters in one valley, under one beam."""
    place = {"latitude_deg": 47.0, "longitude_deg": 10.0}
    clusters = [{"name": name, **place} for name in "ABCD"]
    scenario = GROUND | {"ground": {"clusters": clusters}}
    path = tmp_path / "valley.json"
    path.write_text(json.dumps(scenario))
    told = json.loads(leomix("capacity", path, "--json").out)
    assert told["limited_by"] == "antennas"
    assert told["finding"].endswith("; the beams are the limit")
    [more] = told["one_more"]
    assert more["station"] is None
    satellites = [row["name"] for row in told["rows"] if row["kind"] == "satellite"]
    assert told["limiting_stations"] == satellites
    assert more["gain"] == pytest.approx(1.0, abs=0.2)
    assert told["rows"][4]["blocked_share"] == pytest.approx(0.75, abs=0.01)


def test_a_satellite_that_serves_others_is_a_relay(leomix, tmp_path):
    path = tmp_path / "relay.json"
    path.write_text(json.dumps(STATIONS | {"stop": {"days": 0.1}} | RELAY))
    rows = json.loads(leomix("capacity", path, "--json").out)["rows"]
    kinds = [row["kind"] for row in rows]
    assert kinds[:2] == ["relay", "total"] and set(kinds[2:]) == {"satellite"}
    sent_gb = rows[0]["busy_hours_a_day"] * 3600 * 10e6 / 8e9
    assert rows[0]["up_gb_a_day"] == pytest.approx(sent_gb)


def test_a_plan_takes_overrides_as_load_does(path):
    """Of a name, a path and a mapping; a scenario that is loaded says where they go."""
    keys = {"stop.days": 0.375, "orbit.altitude_km": "700"}
    loaded = face.load(str(path), keys)
    volumes = face.plan(loaded).sessions
    for given in (str(path), path, json.loads(path.read_text())):
        assert face.plan(given, keys).sessions.equals(volumes)
    assert face.plan("paper-slots", overrides={"seed": 5}).scenario.seed == 5
    for given, wrong, said in (
        (loaded, keys, "give them to leomix.load"),
        (path, {"orbit.altitude": 700}, "orbit.altitude: is not a known key"),
    ):
        with pytest.raises(ValueError, match=said):
            face.plan(given, wrong)


def test_the_largest_file_of_a_day_is_that_of_a_whole_day():
    """In a day and a half there is one; services that last beyond its end are cut there."""
    scenario = changed(STATIONS, {"stop": {"days": 1.5}})
    schedule = face.plan(scenario)
    total = shape(schedule.operations)["total"].iloc[0]
    rows = schedule.capacities[schedule.capacities.direction == "downlink"]
    assert total.down_gb_a_day * 1.5 == pytest.approx(rows.capacity_bits.sum() / 8e9, rel=1e-9)
    day_s = timedelta(days=1).total_seconds()
    in_first = np.clip(day_s - rows.start_s, 0, rows.end_s - rows.start_s)
    first = (rows.rate_bps * in_first).sum() / 8e9
    assert total.largest_down_gb_in_a_day == pytest.approx(first, rel=1e-9)


def test_all_rows_as_csv_go_to_a_file_or_alone_to_stdout(leomix, path, tmp_path):
    assert leomix("capacity", path, "--csv", tmp_path / "rows.csv").status == 0
    printed = leomix("capacity", path, "--csv", "-")
    assert (printed.status, printed.out) == (0, (tmp_path / "rows.csv").read_text())
    refused = leomix("capacity", path, "--csv", "-", "--json")
    assert (refused.status, "does not go with --json" in refused.err) == (2, True)


def test_a_network_without_bits_says_that_its_gaps_are_without_service(leomix, path):
    """At a rate that needs more than 200 dB everybody is served, and nothing is carried."""
    keys = (
        "--set",
        "link.downlink.other_losses_db=200",
        "--set",
        "link.uplink.other_losses_db=200",
    )
    said = leomix("capacity", path, *keys).out
    assert "without service, h" in said and "gap" not in said


def test_validate_has_a_row_for_each_client_whose_passes_it_names(leomix, tmp_path):
    """Of 60 satellites ten have the fewest passes; others may have the weakest link."""
    sixty = STATIONS["orbit"] | {"satellites": 60, "planes": 6, "inclination_deg": 97.6}
    path = tmp_path / "sixty.json"
    path.write_text(json.dumps(STATIONS | {"orbit": sixty, "stop": {"days": 0.4}}))
    said = " ".join(leomix("validate", path).out.split())
    named = re.findall(r"\(weakest link, ([\w-]+)\)", said)
    table, _, _ = said.partition("none with fewer")
    assert len(named) == 2 and all(f" {name} 1 " in table for name in named)
