"""CZML: strict structure, links against the contacts, positions against Skyfield."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from scipy.interpolate import BarycentricInterpolator
from skyfield.api import EarthSatellite, load, wgs84
from skyfield.framelib import itrs

import scenarios
import sim
from orbit import circular_satellite, keplerian_satellite
from tests.kit.network import satellites_of
from tests.kit.orbit import Start
from tests.kit.results import ephemerides, ephemeris, export, longest_s
from tests.kit.small import orbit

START = datetime(2026, 8, 22, tzinfo=UTC)
TIMESCALE = load.timescale(builtin=True)
CONSTELLATION = {
    **{"source": "walker", "satellites": 6, "planes": 3, "phasing": 1},
    **{"altitude_km": 600, "inclination_deg": 60, "serving": "any"},
}
PLACED = {"id", "name", "description", "position", "point", "label"}
KEYS = {
    "document": {"id", "name", "version", "description", "clock"},
    "satellite": PLACED | {"availability", "path"},
    "site": PLACED,
    "contact": {"id", "name", "availability", "polyline"},
    "service": {"id", "name", "availability", "polyline"},
}


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> sim.Result:
    scenario = orbit(orbit=CONSTELLATION, learning={"train": False}, stop={"days": 0.5})
    return sim.run(scenario, out=tmp_path_factory.mktemp("run") / "r")


@pytest.fixture(scope="module")
def packets(result: sim.Result) -> list[dict[str, Any]]:
    assert result.folder is not None
    [path] = export(result.folder, "czml").paths
    found = json.loads(path.read_text(), parse_constant=pytest.fail)
    assert isinstance(found, list)
    return found


def kind(packet: dict[str, Any]) -> str:
    return str(packet["id"]).split("/")[0]


def of(packets: list[dict[str, Any]], *kinds: str) -> list[dict[str, Any]]:
    return [packet for packet in packets if kind(packet) in kinds]


def window_s(text: str) -> tuple[float, float]:
    """An interval of CZML, ISO 8601 with both ends, in seconds since the start."""
    ends = [datetime.fromisoformat(end) for end in text.split("/")]
    first, last = ((end - START).total_seconds() for end in ends)
    assert first <= last
    return first, last


def test_packets_have_what_their_kind_has_and_ids_are_unique(packets: list[dict[str, Any]]) -> None:
    assert packets[0]["id"] == "document"
    assert packets[0]["version"] == "1.0"
    assert [set(packet) for packet in packets] == [KEYS[kind(packet)] for packet in packets]
    assert len({packet["id"] for packet in packets}) == len(packets)
    assert len(of(packets, "document")) == 1
    assert len(of(packets, "satellite")) == 6
    clock = packets[0]["clock"]
    assert window_s(clock["interval"]) == (0.0, 0.5 * 86400)
    assert clock["currentTime"] == clock["interval"].split("/")[0]
    assert (clock["range"], clock["step"]) == ("LOOP_STOP", "SYSTEM_CLOCK_MULTIPLIER")


def colours(value: Any) -> list[list[int]]:
    if isinstance(value, dict):
        return [*([value["rgba"]] if "rgba" in value else []), *colours(list(value.values()))]
    return [c for inner in value for c in colours(inner)] if isinstance(value, list) else []


def test_colours_are_four_bytes_and_those_of_sites_differ(packets: list[dict[str, Any]]) -> None:
    for colour in colours(packets):
        assert len(colour) == 4
        assert all(isinstance(part, int) and 0 <= part <= 255 for part in colour)
    one, other = [packet["point"]["color"]["rgba"] for packet in of(packets, "site")]
    assert one != other


def test_references_lead_to_positions(packets: list[dict[str, Any]]) -> None:
    placed = {packet["id"] for packet in packets if "position" in packet}
    names = {packet["id"]: packet["name"] for packet in packets}
    for link in of(packets, "contact", "service"):
        ends = link["polyline"]["positions"]["references"]
        owners, properties = zip(*(end.split("#") for end in ends), strict=True)
        assert properties == ("position", "position")
        assert set(owners) <= placed
        assert link["name"] == f"{kind(link)}: {names[owners[0]]} - {names[owners[1]]}"
        windows = sorted(window_s(text) for text in link["availability"])
        assert all(before[1] <= after[0] for before, after in pairwise(windows))


@pytest.mark.parametrize(
    ("which", "begin", "end"),
    [("contact", "rise_s", "set_s"), ("service", "service_start_s", "service_end_s")],
)
def test_links_are_there_when_contacts_are(
    result: sim.Result, packets: list[dict[str, Any]], which: str, begin: str, end: str
) -> None:
    shown = {
        (packet["name"], *window_s(text))
        for packet in of(packets, which)
        for text in packet["availability"]
    }
    contacts = result.contacts[result.contacts[begin].notna()]
    columns = [contacts[name] for name in ("satellite", "cluster", begin, end)]
    expected = {
        (f"{which}: {satellite} - {cluster}", round(first_s, 6), round(last_s, 6))
        for satellite, cluster, first_s, last_s in zip(*columns, strict=True)
    }
    assert len(expected) > 5
    assert shown == expected


def as_cesium(packet: dict[str, Any], time_s: float) -> np.ndarray:
    """Position (3,) in metres by the polynomial through the samples around a time."""
    position = packet["position"]
    assert position["interpolationAlgorithm"] == "LAGRANGE"
    assert position["referenceFrame"] == "FIXED"
    assert window_s(f"{position['epoch']}/{position['epoch']}") == (0.0, 0.0)
    samples = np.array(position["cartesian"]).reshape(-1, 4)
    assert (np.diff(samples[:, 0]) > 0).all()
    points = position["interpolationDegree"] + 1
    right = int(np.searchsorted(samples[:, 0], time_s, side="right"))
    first = min(max(right - points // 2, 0), len(samples) - points)
    near = samples[first : first + points]
    return np.asarray(BarycentricInterpolator(near[:, 0], near[:, 1:])(time_s))


def skyfield_m(satellite: Any, time_s: float) -> np.ndarray:
    own = EarthSatellite.from_satrec(satellite.model, TIMESCALE)
    at = TIMESCALE.from_datetime(START + timedelta(seconds=time_s))
    return np.asarray(own.at(at).frame_xyz(itrs).m)


def test_positions_are_as_near_to_skyfields_as_the_file_says(
    result: sim.Result, packets: list[dict[str, Any]]
) -> None:
    said = re.search(r"off by at most ([\d.]+) m", packets[0]["description"])
    assert said is not None
    error_m = float(said[1])
    assert 0 < error_m < 10
    packet_of = {packet["name"]: packet for packet in of(packets, "satellite")}
    times_s = np.random.default_rng(1).uniform(0, 0.5 * 86400, 30)
    satellites = satellites_of(scenarios.from_dict(result.manifest["scenario"]))
    assert {satellite.name for satellite in satellites} == set(packet_of)
    for satellite in satellites:
        packet = packet_of[satellite.name]
        assert window_s(packet["availability"]) == (0.0, 0.5 * 86400)
        for time_s in [0.0, 0.5 * 86400, *times_s]:
            off_m = np.linalg.norm(as_cesium(packet, time_s) - skyfield_m(satellite, time_s))
            # Said to a tenth of a metre, and so are the samples.
            assert off_m <= error_m + 0.3


def test_a_link_ends_at_sites_that_see_the_satellite(packets: list[dict[str, Any]]) -> None:
    sites = {packet["id"]: packet for packet in of(packets, "site")}
    satellites = {packet["id"]: packet for packet in of(packets, "satellite")}
    for link in of(packets, "service"):
        ends = link["polyline"]["positions"]["references"]
        moving, fixed = satellites[ends[0].split("#")[0]], sites[ends[1].split("#")[0]]
        longitude_deg, latitude_deg, altitude_m = fixed["position"]["cartographicDegrees"]
        place = wgs84.latlon(latitude_deg, longitude_deg, altitude_m)
        up = place.itrs_xyz.m / np.linalg.norm(place.itrs_xyz.m)
        first_s, last_s = window_s(link["availability"][0])
        line = as_cesium(moving, (first_s + last_s) / 2) - place.itrs_xyz.m
        elevation_deg = np.degrees(np.arcsin(line @ up / np.linalg.norm(line)))
        assert elevation_deg > 9.5  # the mask is 10 from the ellipsoid's normal, not the radius


def test_an_eccentric_orbit_is_sampled_more_densely_and_where_sgp4_fails_nothing_is_shown() -> None:
    start, angle = Start.of(START), {"inclination_deg": 63.4}
    satellites = [
        keplerian_satellite("even", START, semi_major_axis_km=26600, **angle),
        keplerian_satellite("odd", START, semi_major_axis_km=26600, eccentricity=0.74, **angle),
    ]
    even, odd = ephemerides(satellites, start, 86400.0)
    low = keplerian_satellite("low", START, semi_major_axis_km=6578, inclination_deg=53, bstar=0.05)
    [track] = ephemerides([low], start, 10 * 86400.0)
    assert even is not None
    assert odd is not None
    assert len(odd.time_s) > 1.5 * len(even.time_s)
    assert max(even.error_m, odd.error_m) <= 10
    assert track is not None
    assert track.first_s == pytest.approx(0, abs=1e-6)
    assert 0.1 * 86400 < track.last_s < 86400
    assert np.isfinite(track.position_m).all()
    assert track.error_m < 10


def test_many_satellites_are_shown_for_as_long_as_the_samples_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert longest_s(1) > 365 * 86400
    monkeypatch.setattr(ephemeris, "MOST_SAMPLES", 4000)
    satellite = circular_satellite("s", 600, 97.8, 0, 0, START)
    tracks = ephemeris.ephemerides([satellite] * 10, Start.of(START), longest_s(10))
    assert longest_s(10) > 86400
    assert 3900 < sum(len(track.time_s) for track in tracks if track) <= 4000
    assert all(track is not None and track.error_m < 10 for track in tracks)
