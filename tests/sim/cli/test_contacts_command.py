"""The command ``leomix contacts``: what it prints, writes and refuses."""

import json
import re
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from sgp4.exporter import export_omm, export_tle
from sgp4.io import compute_checksum

import orbit
import scenarios

START = datetime(2026, 8, 22, tzinfo=UTC)
SPAN = ["--start", "2026-08-22T00:00:00Z", "--days", "2", "--min-elevation", "12.5"]
PLACES = ["--site", "-10.5,20.25,300", "--site", "60,20"]
SITES = [orbit.Site("-10.5,20.25,300", -10.5, 20.25, 300.0), orbit.Site("60,20", 60.0, 20.0)]
# Comes down within a week: SGP4 says so with an error, and goes on with finite numbers.
DECAYING = {"semi_major_axis_km": 6600.0, "inclination_deg": 51.6, "bstar": 1e-3}


@pytest.fixture(scope="module")
def elements():
    return scenarios.shipped_path("quickstart").with_name("iridium-106.tle")


@pytest.fixture(scope="module")
def truth(elements):
    end = START + timedelta(days=2)
    satellites = orbit.read_satellites(elements)
    return orbit.find_contacts(satellites, SITES, START, end, 12.5, refine="sgp4")


def tle(satellite, number):
    """Two-line elements of a satellite made from scratch, under a catalogue number."""
    lines = [line[:2] + f"{number:05d}" + line[7:68] for line in export_tle(satellite.model)]
    return "\n".join([satellite.name, *(f"{x}{compute_checksum(x)}" for x in lines)]) + "\n"


# It came down a month before the span.
FALLEN = tle(orbit.keplerian_satellite("FALLEN", START - timedelta(days=40), **DECAYING), 77777)


def read(leomix, out, *line):
    """The table that a command writes to a file, and nothing beside it."""
    assert leomix("contacts", *line, "-o", out).status == 0
    assert [path.name for path in out.parent.iterdir()] == [out.name]
    return pd.read_csv(out) if out.suffix == ".csv" else pd.read_parquet(out)


def same(found, truth):
    """Whether a table that was written has the columns and rows of one of Python."""
    assert list(found.columns) == list(truth.columns) and len(found) == len(truth) > 8
    for name in truth.columns:
        if name.endswith("_utc"):
            off = (pd.to_datetime(found[name]) - truth[name]).abs().max()
            assert off <= pd.Timedelta("501ns")
        elif truth[name].dtype == np.float64:
            np.testing.assert_allclose(found[name], truth[name], rtol=1e-12, atol=1e-12)
        else:
            assert (found[name].to_numpy() == truth[name].to_numpy()).all()
    return True


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_files_hold_what_the_python_function_finds(leomix, elements, truth, tmp_path, ending):
    out = tmp_path / f"contacts.{ending}"
    assert same(read(leomix, out, "--tle", elements, *PLACES, *SPAN), truth)
    if ending == "csv":
        again = orbit.read_windows(out, START)
        assert [again.sites[i] for i in again.windows.site] == list(truth.site)
        lasts_s = again.windows.set_s - again.windows.rise_s
        assert lasts_s == pytest.approx(truth.duration_s, abs=2e-6)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_windows_between_satellites_are_those_of_the_python_function(leomix, tmp_path, ending):
    out = tmp_path / f"isl.{ending}"
    flies = scenarios.load("walker", {"stop.days": 0.1}).orbit
    keys = ("altitude_km", "inclination_deg", "satellites", "planes", "phasing")
    shell = orbit.walker_delta(*(getattr(flies, key) for key in keys), START)
    truth = orbit.isl_windows(shell, START, START + timedelta(days=0.1))
    assert same(read(leomix, out, "walker", "--set", "stop.days=0.1", "--isl"), truth)
    if ending == "csv":
        again = orbit.read_isl_windows(out, START).windows
        np.testing.assert_allclose(again.end_s - again.start_s, truth.duration_s, atol=2e-6)


def test_sites_and_omm_elements_come_from_files_too(leomix, elements, tmp_path):
    (tmp_path / "sites.csv").write_text(
        "name,latitude_deg,longitude_deg,altitude_m\nHere,60,20,\nThere,-10.5,20.25,300\n"
    )
    satellite = orbit.read_satellites(elements)[0]
    record = export_omm(satellite.model, satellite.name)
    (tmp_path / "elements.txt").write_text(json.dumps([record], default=str))
    more = ("--sites", tmp_path / "sites.csv", "--site", "60,20")
    for file in (elements, tmp_path / "elements.txt"):
        done = leomix("contacts", "--tle", file, *SPAN, "--summary", *more)
        rows = {row.split()[0]: row.split()[1:] for row in done.out.splitlines()[1:4]}
        assert list(rows) == ["60,20", "Here", "There"]
        assert rows["60,20"] == rows["Here"] != rows["There"]
    (tmp_path / "sites.csv").write_text("\tName\tband\tlat\tlon\n0\tHere\tS\t60\t20\n")
    again = leomix("contacts", "--tle", elements, *SPAN, "--summary", *more[:2])
    assert again.out.splitlines()[1].split()[1:] == rows["Here"]
    assert "columns that say nothing of a place are left out" in again.err


def test_the_summary_tells_passes_gaps_and_cycles(leomix, elements, truth):
    lines = leomix("contacts", "--tle", elements, *PLACES, *SPAN, "--summary").out.splitlines()
    for line, site in zip(lines[1:3], SITES, strict=True):
        mine = truth[truth.site == site.name]
        edges = [START, *mine.set_utc], [*mine.rise_utc, START + timedelta(days=2)]
        gap_s = max((b - a).total_seconds() for a, b in zip(*edges, strict=True))
        lasts_s = mine.duration_s
        expected = [len(mine), len(mine) / 2, lasts_s.mean(), lasts_s.max()]
        expected += [gap_s / 3600, lasts_s.sum() / 1728]
        printed = [float(word) for word in line.removeprefix(site.name).split()]
        assert printed[:4] == pytest.approx(expected[:4], abs=0.51, rel=0)
        assert printed[4:] == pytest.approx(expected[4:], abs=0.0051)
    least = truth.site.value_counts().min() / 2
    motion = float(elements.read_text().splitlines()[-1][52:63])  # line 2: revolutions a day
    words = r"cycles a day: (\S+) \(.* is served .*\); .* would be (\S+), ratio (\S+)"
    found = [float(number) for number in re.fullmatch(words, lines[3]).groups()]
    assert found == pytest.approx([least, motion, least / motion], abs=0.005)


def test_bad_satellites_are_counted_or_left_out(leomix, elements, tmp_path):
    good = elements.read_text()
    bad = good.replace("9999\n", "9990\n", 1).replace("106", "107")
    (tmp_path / "three.tle").write_text(good + bad + FALLEN)
    line = ["contacts", "--tle", tmp_path / "three.tle", *PLACES, *SPAN]
    refused = leomix(*line)
    assert (refused.status, refused.err.count("\n")) == (2, 1)
    assert "IRIDIUM 107" in refused.err and "1 of 3" in refused.err
    done = leomix(*line, "--skip-bad")
    first, second = [row for row in done.err.splitlines() if row.startswith("left out: ")]
    assert "IRIDIUM 107" in first and "FALLEN" in second
    alone = leomix("contacts", "--tle", elements, *line[3:])
    times = re.compile(r"T\d\d:\d\d:\d\d\.\d+Z")
    assert times.findall(done.out) == times.findall(alone.out)


@pytest.mark.parametrize(("name", "more"), [("quickstart", "clusters"), ("fedsat", "stations")])
def test_the_list_of_a_shipped_scenario_is_read_back(leomix, tmp_path, name, more):
    first, again = tmp_path / "first.csv", tmp_path / "again.csv"
    assert leomix("contacts", name, "--set", "stop.days=0.3", "-o", first).status == 0
    given = scenarios.load(name)
    scenario = {
        "start": given.start and given.start.isoformat(),
        "stop": {"days": 0.3},
        "roles": given.roles.model_dump(include={"server", "clients"}),
        "orbit": {"source": "contacts", "path": str(first)},
        "ground": {more: [{"name": place.name} for place in getattr(given.ground, more)]},
        "link": {"preset": "paper", "downlink": {"rate": "fixed", "fixed_rate_mbps": 10}},
        "compute": {"seconds_per_round": 60},
        "learning": {"method": "fedavg", "train": False, "model": {"kind": "vector-mlp"}},
    }
    (tmp_path / "again.yaml").write_text(json.dumps(scenario))
    done = leomix("contacts", tmp_path / "again.yaml", "-o", again)
    assert (done.status, "warning" in done.err) == (0, False), done.err
    listed, read = pd.read_csv(first), pd.read_csv(again)
    same = listed.columns.drop(["norad_id"])
    pd.testing.assert_frame_equal(listed[same], read[same], rtol=0, atol=2e-6)


def test_equal_names_lines_without_checksum_and_several_sets_from_a_file(leomix, tmp_path):
    file = tmp_path / "fleet.tle"
    debris = {"semi_major_axis_km": 7000, "inclination_deg": 98}
    one, two = (
        orbit.keplerian_satellite(
            "DEB", START + timedelta(days=k), mean_anomaly_deg=90.0 * k, **debris
        )
        for k in (0, 1)
    )
    lines = (tle(one, 71) + tle(two, 72)).splitlines()
    file.write_text("\n".join(line[:68] if line[1] == " " else line for line in lines))
    line = ["contacts", "--tle", file, *SPAN, "--site", "60,20"]
    assert "or give --checksum ignore" in leomix(*line).err
    assert leomix(*line, "--checksum", "ignore", "-o", tmp_path / "o.csv").status == 0
    found = pd.read_csv(tmp_path / "o.csv")
    assert {*zip(found.satellite, found.norad_id, strict=True)} == {
        ("DEB (71)", 71),
        ("DEB (72)", 72),
    }
    # Of two sets of one satellite the latest before the start.
    listed = []
    for text in (tle(one, 71) + tle(two, 71), tle(one, 71)):
        file.write_text(text)
        listed.append(leomix(*line))
    assert listed[0].err == "" and listed[0].out == listed[1].out
