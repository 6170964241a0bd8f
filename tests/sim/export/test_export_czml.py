"""CZML: structure, links against the contacts, positions against Skyfield."""

import json
import re
import shutil
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.interpolate import BarycentricInterpolator

import scenarios
import sim
from orbit import keplerian_satellite
from orbit.utc import Start
from sim.export.czml import ephemerides
from sim.export.formats import export
from tests.kit.folders import without_checksums
from tests.kit.replay import skyfield_km
from tests.kit.skies import START as NOON
from tests.kit.small import orbit
from tests.kit.worlds import ground_sites, satellites_of

START = datetime(2026, 8, 22, tzinfo=UTC)
END_S = 0.5 * 86400
CONSTELLATION = {
    **{"source": "walker", "satellites": 6, "planes": 3, "phasing": 1},
    **{"altitude_km": 600, "inclination_deg": 60, "serving": "any"},
}
COLUMNS = {"contact": ("rise_s", "set_s"), "service": ("service_start_s", "service_end_s")}


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    scenario = orbit(orbit=CONSTELLATION, learning={"train": False}, stop={"days": 0.5})
    return sim.run(scenario, out=tmp_path_factory.mktemp("run") / "r")


@pytest.fixture(scope="module")
def packets(result):
    [path] = export(result.folder, "czml").paths
    return json.loads(path.read_text(), parse_constant=pytest.fail)


def of(packets, kind):
    return [packet for packet in packets if packet["id"].split("/")[0] == kind]


def window_s(text):
    """An interval of CZML, ISO 8601 with both ends, in seconds since the start."""
    ends = [datetime.fromisoformat(end) for end in text.split("/")]
    return tuple((end - START).total_seconds() for end in ends)


def test_the_clock_is_that_of_the_run_and_sites_are_where_they_are(result, packets):
    assert len({packet["id"] for packet in packets}) == len(packets)
    assert (packets[0]["id"], packets[0]["version"]) == ("document", "1.0")
    assert window_s(packets[0]["clock"]["interval"]) == (0.0, END_S)
    sites = ground_sites(scenarios.from_dict(result.manifest["scenario"]))
    for packet, site in zip(of(packets, "site"), sites, strict=True):
        place = packet["position"]["cartographicDegrees"]
        assert packet["name"] == site.name
        assert place == [site.longitude_deg, site.latitude_deg, site.altitude_m]


@pytest.mark.parametrize("which", COLUMNS)
def test_links_are_there_when_contacts_are(result, packets, which):
    names = {f"{packet['id']}#position": packet["name"] for packet in packets}
    shown = {
        (*(names[end] for end in packet["polyline"]["positions"]["references"]), *window_s(text))
        for packet in of(packets, which)
        for text in packet["availability"]
    }
    begin, end = COLUMNS[which]
    contacts = result.contacts[result.contacts[begin].notna()]
    rows = contacts[["satellite", "cluster", begin, end]].round(6)
    assert len(rows) > 5
    assert shown == set(rows.itertuples(index=False, name=None))


def test_a_satellite_that_serves_has_a_thicker_line_than_one_that_is_in_view(packets):
    in_view, serving = (
        {packet["polyline"]["width"] for packet in of(packets, which)} for which in COLUMNS
    )
    assert len(in_view) == len(serving) == 1 and min(serving) > max(in_view)


def test_what_goes_on_when_the_run_ends_is_shown_until_then(result, tmp_path):
    """The plan of a run may hold contacts beyond its end."""
    folder = without_checksums(shutil.copytree(result.folder, tmp_path / "run"))
    contacts = pq.read_table(folder / "contacts.parquet")
    served = np.flatnonzero(contacts["served"].to_numpy())
    for name in ("set_s", "service_end_s"):
        values = contacts[name].to_numpy().copy()
        values[served[-1]] = END_S + 500.0
        column = pa.array(values, from_pandas=True)
        contacts = contacts.set_column(contacts.column_names.index(name), name, column)
    pq.write_table(contacts, folder / "contacts.parquet")
    [path] = export(folder, "czml").paths
    shown = json.loads(path.read_text())
    for which in COLUMNS:
        ends = [window_s(text)[1] for packet in of(shown, which) for text in packet["availability"]]
        assert max(ends) == END_S


def as_cesium(packet, time_s):
    """Position (3,) in metres by the polynomial through the samples around a time."""
    position = packet["position"]
    assert (position["interpolationAlgorithm"], position["referenceFrame"]) == ("LAGRANGE", "FIXED")
    assert window_s(position["epoch"]) == (0.0,)
    samples = np.array(position["cartesian"]).reshape(-1, 4)
    points = position["interpolationDegree"] + 1
    right = int(np.searchsorted(samples[:, 0], time_s, side="right"))
    first = min(max(right - points // 2, 0), len(samples) - points)
    near = samples[first : first + points]
    return np.asarray(BarycentricInterpolator(near[:, 0], near[:, 1:])(time_s))


def test_positions_are_as_near_to_skyfields_as_the_file_says(result, packets):
    said = re.search(r"off by at most ([\d.]+) m", packets[0]["description"])
    assert 0 < float(said[1]) < 10
    satellites = satellites_of(scenarios.from_dict(result.manifest["scenario"]))
    times_s = [0.0, END_S, *np.random.default_rng(1).uniform(0, END_S, 30)]
    for satellite, packet in zip(satellites, of(packets, "satellite"), strict=True):
        assert packet["name"] == satellite.name
        assert window_s(packet["availability"]) == (0.0, END_S)
        since_noon_s = np.array(times_s) + (START - NOON).total_seconds()
        for time_s, true_km in zip(times_s, skyfield_km(satellite, since_noon_s), strict=True):
            off_m = np.linalg.norm(as_cesium(packet, time_s) - 1000 * true_km)
            # Said to a tenth of a metre, and so are the samples.
            assert off_m <= float(said[1]) + 0.3


def test_samples_are_denser_on_eccentric_orbits_and_end_where_sgp4_fails():
    start = Start.of(START)
    angle = {"inclination_deg": 63.4}
    satellites = [
        keplerian_satellite("even", START, semi_major_axis_km=26600, **angle),
        keplerian_satellite("odd", START, semi_major_axis_km=26600, eccentricity=0.74, **angle),
    ]
    even, odd = ephemerides(satellites, start, 86400.0)
    low = keplerian_satellite("low", START, semi_major_axis_km=6578, inclination_deg=53, bstar=0.05)
    [track] = ephemerides([low], start, 10 * 86400.0)
    assert even and odd and track
    assert len(odd.time_s) > 1.5 * len(even.time_s)
    assert max(even.error_m, odd.error_m, track.error_m) <= 10
    assert track.first_s == pytest.approx(0, abs=1e-6)
    assert 0.1 * 86400 < track.last_s < 86400
    assert np.isfinite(track.position_m).all()
