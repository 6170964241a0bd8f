"""Masks by azimuth of clusters and stations: in scenarios, their files, and runs."""

import numpy as np

import leomix as lm
import orbit
import scenarios

PAIRS = [[0, 5], [90, 40], [180, 5], [270, 12]]
FILE = "# azimuth elevation\n" + "".join(f"{a} {e}\n" for a, e in PAIRS)
TEXT = """\
start: 2026-08-22T12:00:00Z
stop: {days: 1}
orbit: {source: circular, altitude_km: 600, inclination_deg: 97.8, min_elevation_deg: 10}
ground:
  clusters:
    - {name: A, latitude_deg: 48.1, longitude_deg: 11.6, min_elevation_deg: MASK}
    - {name: B, latitude_deg: -12.0, longitude_deg: -77.0}
compute: {seconds_per_round: 60}
learning: {method: fedavg, train: false, model: {kind: vector-mlp}}
"""
STATIONS = {
    "start": "2026-08-22T12:00:00Z", "stop": {"days": 1},
    "roles": {"server": "stations", "clients": "satellites"},
    "orbit": {"source": "walker", "altitude_km": 600, "inclination_deg": 90, "satellites": 2,
              "planes": 1},
    "compute": {"seconds_per_round": 60},
    "learning": {"method": "fedavg", "train": False, "model": {"kind": "vector-mlp"}},
}  # fmt: skip


def written(folder, mask):
    path = folder / "s.yaml"
    path.write_text(TEXT.replace("MASK", mask))
    return path


def test_a_horizon_in_a_file_is_that_of_its_pairs_and_bounds_the_contacts(tmp_path):
    (tmp_path / "roof.txt").write_text(FILE)
    by_file, by_pairs = (scenarios.load(written(tmp_path, m)) for m in ("roof.txt", str(PAIRS)))
    rows = lm.plan(by_file).contacts
    assert rows.equals(lm.plan(by_pairs).contacts)
    site = orbit.Site("A", 48.1, 11.6, 0.0, PAIRS)
    satellite = orbit.circular_satellite("circular", 600, 97.8, 0.0, 0.0, by_file.start)
    for row in rows[rows.cluster == "A"].itertuples():
        look = orbit.look_angles(satellite, site, by_file.start, np.array([row.rise_s, row.set_s]))
        np.testing.assert_allclose(
            look.elevation_deg[:, 0], site.horizon.at(look.azimuth_deg[:, 0]), atol=1e-4
        )


def test_a_station_of_a_file_may_have_a_horizon(tmp_path):
    (tmp_path / "p.csv").write_text(
        "name,latitude_deg,longitude_deg,min_elevation_deg\nK,67.9,21.1,0 5; 90 40; 180 5; 270 12\n"
    )
    keys = {"stations_path": str(tmp_path / "p.csv")}
    by_file = lm.plan(scenarios.from_dict(STATIONS | {"ground": keys})).contacts
    station = {"name": "K", "latitude_deg": 67.9, "longitude_deg": 21.1, "min_elevation_deg": PAIRS}
    by_list = lm.plan(scenarios.from_dict(STATIONS | {"ground": {"stations": [station]}})).contacts
    assert by_file.equals(by_list) and len(by_list) > 4
