"""What a payload takes that begins with a service: compared with a sum over every second."""

import json
from math import ceil

import numpy as np
import pytest

import leomix as face
import orbit
import scenarios
from tests.kit.network import satellites_of

NOISE = {"rate": "shannon", "scintillation_loss_db": 0, "shadowing_margin_db": 0}
SIZE_MB = 2_000
NETWORK = {
    "start": "2026-08-22T00:00:00Z",
    "stop": {"days": 1},
    "roles": {"server": "stations", "clients": "satellites"},
    "orbit": {
        **{"source": "walker", "pattern": "delta", "satellites": 12, "planes": 3, "phasing": 1},
        **{"altitude_km": 550, "inclination_deg": 53, "min_elevation_deg": 5},
    },
    "ground": {
        "stations": [
            {"name": "Matera", "latitude_deg": 40.65, "longitude_deg": 16.7},
            {"name": "Padua", "latitude_deg": 45.4, "longitude_deg": 11.9},
        ]
    },
    "link": {
        "uplink": {"rate": "fixed", "fixed_rate_mbps": 50},
        "downlink": NOISE
        | {"zenith_attenuation_db": 0, "delivery": "unicast", "eirp_dbw": 10, "g_over_t_db_k": 20},
    },
}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "network.json"
    path.write_text(json.dumps(NETWORK))
    return path


def test_times_are_those_of_a_sum_over_every_second(leomix, path):
    """Of Shannon's rate of the range in the middle of each second; passes that are cut are out."""
    schedule = face.plan(path)
    satellites = {one.name: one for one in satellites_of(scenarios.load(str(path)))}
    sites = {one["name"]: orbit.Site(**one) for one in NETWORK["ground"]["stations"]}
    took_s, carried_mb = [], []
    contacts = schedule.contacts
    whole = (contacts.service_start_s > 0.0) & (contacts.service_end_s < schedule.stop_s)
    for row in contacts[contacts.served & whole].itertuples():
        edges_s = np.append(
            np.arange(row.service_start_s, row.service_end_s, 1.0), row.service_end_s
        )
        middle_s = (edges_s[1:] + edges_s[:-1]) / 2
        seen = orbit.look_angles(
            satellites[row.satellite], sites[row.station], schedule.start, middle_s
        )
        range_m = seen.slant_range_km[:, 0] * 1e3
        loss_db = 20 * np.log10(4 * np.pi * range_m * 2e9 / 299_792_458.0)
        snr = 10 ** ((10 + 20 - loss_db + 228.5991672 - 10 * np.log10(30e6)) / 10)
        mb = np.cumsum(30e6 * np.log2(1 + snr) / 8e6 * np.diff(edges_s))
        carried_mb.append(mb[-1])
        if mb[-1] >= SIZE_MB:
            took_s.append(np.searchsorted(mb, SIZE_MB) + 1)
    up, down = json.loads(leomix("link", path, "--send", f"{SIZE_MB}MB", "--json").out)
    assert 0 < down["whole"] == len(took_s) < down["services"] == len(carried_mb)
    assert down["share"] == pytest.approx(len(took_s) / len(carried_mb))
    assert min(took_s) - 1 <= down["best_s"] <= min(took_s)
    assert abs(down["median_s"] - np.median(took_s)) <= 1
    assert down["worst_mb"] == pytest.approx(min(carried_mb), rel=1e-3)
    assert down["worst_services"] == ceil(SIZE_MB / min(carried_mb))
    assert up["best_s"] == up["median_s"] == pytest.approx(SIZE_MB * 8 / 50)
    said = leomix("link", path, "--send", "2GB").out
    assert said.startswith(f"2 GB: 320 s up, {down['median_s']:.0f} s down; ")


def test_a_payload_that_no_pass_carries_and_one_that_every_pass_does(leomix, path):
    nothing, everything = (leomix("link", path, "--send", size) for size in ("900 GB", "0.001 kB"))
    assert nothing.out.startswith("900 GB: no pass carries it in one\n")
    assert "; all passes carry it up in one, all down\n" in everything.out
    [up] = json.loads(leomix("link", "paper-slots", "--send", "300MB", "--json").out)
    assert up["best_s"] == up["median_s"] == pytest.approx(300 * 8 / 5)
    assert (up["share"], up["worst_services"]) == (1.0, 1)
