"""Satellites as clients of stations: the same run as with the ends of each window exchanged."""

import re
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
import yaml

import orbit
import scenarios
import sim
from learning.methods.base import METHODS
from leomix import plan as leomix_plan
from sim.errors import InputError
from tests.kit.worlds import one_pass, satellites_of, server_of

WINDOWS = """\
satellite,site,rise_utc,set_utc
A1,Kiruna,2026-08-22T00:00:00Z,2026-08-22T00:08:00Z
B1,Kiruna,2026-08-22T00:06:00Z,2026-08-22T00:15:00Z
A1,Svalbard,2026-08-22T00:20:00Z,2026-08-22T00:31:00Z
B1,Svalbard,2026-08-22T00:29:00Z,2026-08-22T00:40:00Z
A1,Kiruna,2026-08-22T01:30:00Z,2026-08-22T01:41:00Z
B1,Svalbard,2026-08-22T01:35:00Z,2026-08-22T01:47:00Z
"""
SLOW = {"rate": "fixed", "fixed_rate_mbps": 0.01}
FAST = {"rate": "fixed", "fixed_rate_mbps": 0.1}
LEARNING = {"train": False, "method": "fedavg"}
STATIONS = [{"name": "Kiruna"}, {"name": "Svalbard"}]
IN_ORBIT = {
    "stop": {"days": 1},
    "orbit": {"source": "contacts", "windows": WINDOWS},
    "roles": {"server": "stations", "clients": "satellites"},
    "ground": {"stations": STATIONS},
    "link": {"preset": "paper", "uplink": SLOW, "downlink": FAST},
    "learning": LEARNING,
}
"""The uplink goes up to the clients, whose updates come down."""
EXCHANGED = {
    "stop": {"days": 1},
    "orbit": {
        "source": "contacts",
        "windows": WINDOWS,
        "columns": {"satellite": "site", "site": "satellite"},
        "serving": "any",
        "session": "contact",
    },
    "ground": {"clusters": [{"name": "A1"}, {"name": "B1"}]},
    "link": {"preset": "paper", "uplink": FAST, "downlink": SLOW | {"delivery": "unicast"}},
    "learning": LEARNING,
}


@pytest.fixture(scope="module")
def both():
    return [sim.run(scenarios.from_dict(mapping)) for mapping in (IN_ORBIT, EXCHANGED)]


def test_clients_in_orbit_take_as_long_as_clients_on_the_ground(both):
    mine, other = (result.transfers for result in both)
    same = ["contact_id", "cluster", "toward", "payload", "start_s", "end_s", "delivered_bytes"]
    assert mine[same].equals(other[same]) and len(mine) > 6
    events = ["time_s", "kind", "cluster", "contact_id", "detail"]
    assert both[0].events[events].equals(both[1].events[events])
    # Directions are those of geometry, and contacts name both ends.
    up = mine.direction == "uplink"
    assert (mine.toward == np.where(up, "client", "server")).all()
    assert up.equals(other.direction == "downlink")
    assert (both[0].contacts.station == both[1].contacts.satellite).all()
    assert (both[0].contacts.satellite == both[1].contacts.cluster).all()


WALKER = {
    "start": "2026-08-22T00:00:00Z",
    "stop": {"days": 0.5},
    "orbit": {
        **{"source": "walker", "pattern": "star", "satellites": 4, "planes": 2},
        **{"altitude_km": 500, "inclination_deg": 90, "min_elevation_deg": 5},
    },
    "roles": IN_ORBIT["roles"],
    "ground": {"stations": [{"name": "Kiruna", "latitude_deg": 67.9, "longitude_deg": 21.1}]},
    "link": {"preset": "physical"},
    "learning": LEARNING,
}


def test_what_a_pass_carries_down_does_not_depend_on_who_is_the_client():
    over = {
        "roles": {},
        "orbit": WALKER["orbit"] | {"serving": "any"},
        "ground": {"clusters": WALKER["ground"]["stations"]},
        "link": {"preset": "physical", "downlink": {"delivery": "unicast"}},
    }
    passes = [one_pass(scenarios.from_dict(one), 1).tables for one in (WALKER, WALKER | over)]
    for side in ("uplink", "downlink"):
        for name, column in passes[0][side].items():
            assert np.array_equal(column, passes[1][side][name]), name
    contact = sim.run(scenarios.from_dict(WALKER)).contacts.iloc[1]
    carried_mbit = contact.downlink_capacity_bytes_per_device * 8 / 1e6
    assert carried_mbit == pytest.approx(passes[0]["downlink"]["delivered_mbit"][-1], rel=1e-9)


LASER = {"rate_mbps": None, "frequency_ghz": 20, "bandwidth_mhz": 500, "tx_power_dbm": 40}
RELAYED = {
    "start": "2026-08-22T00:00:00Z",
    "stop": {"days": 0.5, "rounds": 2},
    "orbit": {
        "source": "walker",
        "propagation": "secular_j2",
        "shells": [
            {"name": "L", "altitude_km": 2000, "inclination_deg": 60, "satellites": 8, "planes": 2},
            {"name": "M", "semi_major_axis_km": 26378, "inclination_deg": 1, "satellites": 1,
             "planes": 1},
        ],
    },
    "roles": {"server": "satellite:M-P01-S01", "clients": "satellites"},
    "link": {"isl": {"rate_mbps": 1.5, "terminals": 2}},
    "learning": LEARNING | {"method": "fedavg-sat", "options": {"clients": 4}},
}  # fmt: skip


@pytest.mark.parametrize("budget", [{}, LASER | {"gain_dbi": 32.13, "noise_temperature_k": 354}])
def test_a_satellite_in_a_higher_orbit_serves_others_when_it_sees_them(budget):
    isl = RELAYED["link"]["isl"] | budget
    scenario = scenarios.from_dict(RELAYED | {"link": {"isl": isl}})
    run = sim.run(scenario)
    flying = [*satellites_of(scenario), server_of(scenario)]
    start = scenario.start
    seen = orbit.find_isls(flying, start, start + timedelta(days=0.5), [(n, 8) for n in range(8)])
    names = [flying[n].name for n in seen.a]
    mine = {*zip(run.contacts.cluster, run.contacts.rise_s, run.contacts.set_s, strict=True)}
    assert mine <= {*zip(names, seen.start_s, seen.end_s, strict=True)} and len(mine) > 15
    assert {*run.transfers.direction} == {"isl"} and {*run.transfers.toward} == {"server", "client"}
    for row in run.transfers.itertuples():
        client = next(one for one in flying if one.name == row.cluster)
        end_s = row.end_s
        for _ in range(2):  # when the last bit left
            last_m = 1e3 * orbit.RangesBetween([client, flying[-1]], start).km(0, 1, end_s)
            end_s = row.end_s - last_m / 299792458.0
        mean_m = 1e3 * orbit.RangesBetween([client, flying[-1]], start).km(
            0, 1, (row.start_s + end_s) / 2
        )
        loss = (4 * np.pi * mean_m / (299792458.0 / 20e9)) ** 2
        snr = 10 * 10**6.426 / loss / (1.380649e-23 * 354 * 500e6)
        rate_bps = 500e6 * np.log2(1 + snr) if budget else 1.5e6
        lasts_s = row.delivered_bytes * 8 / rate_bps + last_m / 299792458.0
        assert row.end_s - row.start_s == pytest.approx(lasts_s, rel=1e-7)


def test_windows_of_a_file_are_those_with_the_server_and_between_its_clients(tmp_path, leomix):
    links = {"rate_mbps": 1.5, "between_planes": "all"}
    mine = tmp_path / "mine.yaml"
    file = tmp_path / "found.csv"
    mine.write_text(yaml.safe_dump(RELAYED | {"link": {"isl": links}}))
    assert leomix("contacts", "--isl", mine, "-o", file).status == 0
    found, read = (
        leomix_plan(scenarios.load(mine, {"link.isl.windows": windows}))
        for windows in (None, str(file))
    )
    for table in ("contacts", "isl_windows"):
        both = [getattr(plan, table).select_dtypes("number") for plan in (found, read)]
        pd.testing.assert_frame_equal(*both, atol=2e-6, rtol=1e-6)
    rows = file.read_text().splitlines(keepends=True)
    file.write_text("".join(row for row in rows if "M-P01-S01" not in row))
    refused = leomix("validate", mine, "--set", f"link.isl.windows={file}")
    assert refused.status == 2 and "to be linked, like 'L-P01-S01' and 'M-P01-S01'" in refused.err


def test_stations_of_a_file_are_those_that_are_listed(tmp_path):
    """The first of them; and a run has them in its folder."""
    (tmp_path / "s.csv").write_text("Name,country,lat,lon\nKiruna,SE,67.9,21.1\nB,GH,1,2\n")
    path = tmp_path / "mine.yaml"
    used = {"stations_path": "s.csv", "stations_used": 1}
    path.write_text(yaml.safe_dump(WALKER | {"ground": used}))
    read = sim.run(scenarios.load(path))
    stored = scenarios.from_dict(read.manifest["scenario"])
    runs = (sim.run(scenario).manifest for scenario in (scenarios.from_dict(WALKER), stored))
    assert {run["trace_sha256"] for run in runs} == {read.manifest["trace_sha256"]}
    assert any("are left out: 'country'" in said for said in read.manifest["warnings"])


@pytest.mark.parametrize("who", ["satellites", "planes"])
@pytest.mark.parametrize("method", METHODS.shipped)
@pytest.mark.quick(12)
def test_a_method_serves_clients_in_orbit_or_says_why_not(method, who):
    with_experts = {"kind": "vector-nmoe"} if method == "nmoe" else {"experts": 4}
    model = with_experts if METHODS.find(method).needs.experts else {"kind": "vector-mlp"}
    learning = {"train": False, "method": method, "model": model}
    roles = {"server": "stations", "clients": who}
    try:
        run = sim.run(scenarios.from_dict(WALKER | {"roles": roles, "learning": learning}))
    except InputError as error:  # it needs what this scenario does not have
        assert re.fullmatch(rf"(link|learning|roles)\.\S+: method '{method}' .+", str(error))
        return
    came = run.transfers[run.transfers.toward == "server"]
    clients = set(run.contacts.cluster)
    assert len(clients) == (2 if who == "planes" else 4)
    assert set(came.cluster) == (set() if method in ("centralised", "local") else clients)
