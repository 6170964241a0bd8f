"""Scenarios on windows of other tools: tables and contact plans, and exports that are read back."""

import pytest

import leomix as lm
import orbit
import scenarios
import sim

PLACES = (("A", 48.1, 11.6), ("B", -12.0, -77.0))
CLUSTERS = [{"name": n, "latitude_deg": a, "longitude_deg": o} for n, a, o in PLACES]
WALKER = {
    "source": "walker", "altitude_km": 600, "inclination_deg": 86, "satellites": 6, "planes": 2,
    "min_elevation_deg": 10.0,
}  # fmt: skip
TRAIN = {"method": "fedavg", "train": False, "model": {"kind": "vector-mlp"}}
BASE = {"compute": {"seconds_per_round": 60}, "learning": TRAIN}
FLOWN = BASE | {"start": "2026-08-22T12:00:00Z", "stop": {"days": 1}, "orbit": WALKER}
BY_STATIONS = {"roles": {"server": "stations", "clients": "satellites"}}
FIXED = {"rate": "fixed", "fixed_rate_mbps": 10}
FIXED_BOTH = {"uplink": FIXED, "downlink": FIXED}
KINDS = {
    "clusters": {"ground": {"clusters": CLUSTERS}},
    "stations": {"ground": {"stations": CLUSTERS, "antennas": 3}, **BY_STATIONS},
}


def read_back(text, kind, **orbit_keys):
    bare = {key: [{"name": name} for name, *_ in PLACES] for key in [kind]}
    ground = bare | ({"antennas": 3} if kind == "stations" else {})
    roles = BY_STATIONS if kind == "stations" else {}
    source = {"source": "contacts", "windows": text, **orbit_keys}
    if kind == "clusters":
        source["serving"] = "any"
    keys = BASE | roles | {"stop": {}, "orbit": source, "ground": ground, "link": FIXED_BOTH}
    return scenarios.from_dict(keys)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("form", "piece_s"), [("ion", None), ("ion", 60), ("hdtn", None), ("hdtn", 60)]
)
def test_a_plan_that_is_exported_is_read_back_to_the_second(kind, form, piece_s):
    schedule = lm.plan(scenarios.from_dict(FLOWN | KINDS[kind]))
    text = schedule.text(form, piece_s)
    back = lm.plan(read_back(text, kind))
    assert back.start == schedule.start and back.text(form, piece_s) == text
    assert not back.doubts


def test_a_run_over_a_plan_takes_its_rates_and_its_light_time():
    text = "\n".join([
        "a contact +100 +400 2 1 1000", "a contact +100 +700 1 2 2000",
        "a contact +400 +700 2 1 4000", "a range +0 +900 1 2 1", "m horizon +0",
    ])  # fmt: skip
    keys = BASE | {"ground": {"clusters": [{"name": "A", "devices": 2}]}, "stop": {}}
    source = {"source": "contacts", "windows": text, "names": {1: "ISS", 2: "A"}}
    result = sim.run(scenarios.from_dict(keys | {"orbit": source, "link": {"preset": "paper"}}))
    row = result.contacts.iloc[0]
    assert (row.satellite, row.cluster, row.rise_s, row.set_s) == ("ISS", "A", 100.0, 700.0)
    assert row.uplink_capacity_bytes_per_device == 1000 * 300 + 4000 * 300
    first = result.transfers.groupby("direction").first()
    for direction, bytes_s in (("downlink", 2000), ("uplink", 1000)):
        row = first.loc[direction]
        assert row.end_s == pytest.approx(row.start_s + row.payload_bytes / bytes_s + 1, abs=1e-6)
    assert any("m horizon" in line for line in result.manifest["warnings"])


def test_links_between_satellites_of_a_plan_are_those_of_the_scenario(tmp_path):
    keys = {"learning.train": False, "stop.days": 0.05}
    scenario = scenarios.load("iridium-isl", keys)
    path = tmp_path / "plan.json"
    path.write_text(lm.plan(scenario).text("hdtn"))
    found = lm.plan(
        scenarios.load("iridium-isl", keys | {"link.isl.windows": str(path)})
    ).isl_windows
    wanted = lm.plan(scenario).isl_windows
    for name in ("a", "b", "start_s", "end_s"):
        assert found[name].tolist() == wanted[name].tolist()


def test_a_table_of_links_may_be_larger_than_a_scenario_and_is_called_a_table(tmp_path):
    path = tmp_path / "links.csv"
    text = "a,b,start_utc,end_utc\n" + "# a week\n" * 200_000
    path.write_text(text)
    scenario = scenarios.load("iridium-isl", {"link.isl.windows": str(path)})
    assert scenarios.isl_windows(scenario) == (text, str(path))
    path.write_text(text[:100], encoding="utf-16")
    with pytest.raises(scenarios.ScenarioError, match="not text; save the table of windows as UTF"):
        scenarios.isl_windows(scenario)


ONE = """\
Upcoming passes for ISS

AOS (UTC);Dauer (min)
2026-08-22T12:00:00;6,5
noon;7
2026-08-22T14:00:00;5
"""


def test_a_table_of_one_place_needs_no_column_for_it_and_bad_rows_are_left_out(leomix, tmp_path):
    (tmp_path / "w.csv").write_text(ONE)
    path = tmp_path / "s.yaml"
    path.write_text(
        "stop: {}\norbit: {source: contacts, path: w.csv, satellite: ISS, "
        "columns: {rise_utc: AOS (UTC), duration_s: Dauer (min)}}\n"
        "ground: {clusters: [{name: Bern}]}\nlink: {preset: paper}\n"
        "compute: {seconds_per_round: 60}\nlearning: {method: fedavg, train: false}\n"
    )
    done = leomix("contacts", path)
    assert done.status == 2 and "w.csv:5: AOS (UTC) 'noon' is not a time" in done.err
    done = leomix("contacts", path, "--skip-bad", "-o", tmp_path / "o.csv")
    assert done.status == 0 and "warning: orbit.skip_bad: left out: " in done.err
    found = orbit.read_windows(tmp_path / "o.csv")
    assert (found.satellites, found.sites) == (["ISS"], ["Bern"])
    assert found.windows.set_s.tolist() == [390.0, 7500.0]
