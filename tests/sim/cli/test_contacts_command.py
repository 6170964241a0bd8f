"""The command ``leomix contacts``: what it prints, writes and refuses."""

import json
import re
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from sgp4.exporter import export_omm, export_tle
from sgp4.io import compute_checksum

import orbit
import scenarios
from tests.kit.network import contact_listing

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


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_files_hold_what_the_python_function_finds(leomix, elements, truth, tmp_path, ending):
    out = tmp_path / f"contacts.{ending}"
    done = leomix("contacts", "--tle", elements, *PLACES, *SPAN, "-o", out)
    assert (done.status, f"wrote {len(truth)} contacts to {out}" in done.err) == (0, True)
    found = pd.read_csv(out) if ending == "csv" else pd.read_parquet(out)
    assert list(found.columns) == list(truth.columns)
    assert len(found) == len(truth) > 8
    for name in truth.columns:
        if name.endswith("_utc"):
            off = (pd.to_datetime(found[name]) - truth[name]).abs().max()
            assert off <= pd.Timedelta("501ns")
        elif truth[name].dtype == np.float64:
            np.testing.assert_allclose(found[name], truth[name], rtol=1e-12, atol=1e-12)
        else:
            assert (found[name].to_numpy() == truth[name].to_numpy()).all()
    assert [p.name for p in tmp_path.iterdir()] == [out.name]
    if ending == "csv":
        again = orbit.read_windows(out, START)
        assert [again.sites[i] for i in again.windows.site] == list(truth.site)
        lasts_s = again.windows.set_s - again.windows.rise_s
        assert lasts_s == pytest.approx(truth.duration_s, abs=2e-6)


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
    text = "\tName\tband\tlat\tlon\n0\tHere\tS\t60\t20\n"
    (tmp_path / "sites.csv").write_text(text)
    again = leomix("contacts", "--tle", elements, *SPAN, "--summary", *more[:2])
    assert again.out.splitlines()[1].split()[1:] == rows["Here"]
    assert again.err.count("sites.csv:1: columns that say nothing of a place are left out") == 1


def test_batches_make_the_same_file(monkeypatch, elements, tmp_path, leomix):
    for name, rows in (("one", contact_listing.BATCH_ROWS), ("many", 3)):
        monkeypatch.setattr(contact_listing, "BATCH_ROWS", rows)
        for ending in ("csv", "parquet"):
            out = tmp_path / f"{name}.{ending}"
            leomix("contacts", "--tle", elements, *PLACES, *SPAN, "-o", out)
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "many.csv").read_bytes()
    assert pq.read_table(tmp_path / "one.parquet") == pq.read_table(tmp_path / "many.parquet")
    assert pq.ParquetFile(tmp_path / "many.parquet").num_row_groups > 3


def test_the_summary_tells_passes_gaps_and_cycles(leomix, elements, truth):
    done = leomix("contacts", "--tle", elements, *PLACES, *SPAN, "--summary")
    lines = done.out.splitlines()
    for line, site in zip(lines[1:3], SITES, strict=True):
        mine = truth[truth.site == site.name]
        edges = [START, *mine.set_utc], [*mine.rise_utc, START + timedelta(days=2)]
        gap_s = max((b - a).total_seconds() for a, b in zip(*edges, strict=True))
        expected = [
            len(mine), len(mine) / 2, mine.duration_s.mean(), mine.duration_s.max(),
            gap_s / 3600, mine.duration_s.sum() / 172800 * 100,
        ]  # fmt: skip
        printed = [float(word) for word in line.removeprefix(site.name).split()]
        assert printed == pytest.approx(expected, abs=0.51, rel=0)
        assert printed[4:] == pytest.approx(expected[4:], abs=0.0051)
    counts = truth.site.value_counts()
    motion = float(elements.read_text().splitlines()[-1][52:63])
    words = r"cycles a day: (\S+) \((.*) is served .*\); .* would be (\S+), ratio (\S+)"
    a_day, least, ideal, ratio = re.fullmatch(words, lines[3]).groups()
    assert (float(a_day), least) == (pytest.approx(counts.min() / 2, abs=0.005), counts.idxmin())
    # The last field of line 2: revolutions a day.
    assert float(ideal) == pytest.approx(motion, abs=0.005)
    assert float(ratio) == pytest.approx(counts.min() / 2 / motion, abs=0.0005)


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


def bare(name, overrides, file):
    """A scenario of the windows of a file between the same satellites and places."""
    given = scenarios.load(name, overrides)
    ground = {"clusters": [{"name": cluster.name} for cluster in given.ground.clusters]}
    if given.roles.clients != "devices":
        ground = {"stations": [{"name": station.name} for station in given.ground.stations]}
    serving = {} if given.roles.clients != "devices" else {"serving": "any"}
    return {
        "start": f"{given.start:%Y-%m-%dT%H:%M:%SZ}" if given.start else None,
        "stop": {} if given.stop.days is None else {"days": given.stop.days},
        "roles": given.roles.model_dump(include={"server", "clients"}),
        "orbit": {"source": "contacts", "path": str(file), **serving},
        "ground": ground,
        "link": {"preset": "paper", "downlink": {"rate": "fixed", "fixed_rate_mbps": 10}},
        "compute": {"seconds_per_round": 60},
        "learning": {"method": "fedavg", "train": False, "model": {"kind": "vector-mlp"}},
    }


SHORT = {name: {"stop.days": 0.3} for name in ("quickstart", "circular", "walker", "fedsat")}
SHORT["three-stations"] = {"stop.days": 0.1}
SHORT["paper-slots"] = {"stop.cycles": 2}
SHORT["doves"] = {
    "stop.days": 0.05,
    "orbit.path": scenarios.shipped_path("doves").with_name("iridium-next.tle"),
}
"""Every source, over clusters and over stations."""


@pytest.mark.parametrize("name", SHORT)
def test_the_list_of_a_shipped_scenario_is_read_back(leomix, tmp_path, name):
    first = tmp_path / "first.csv"
    again = tmp_path / "again.csv"
    sets = [word for key, value in SHORT[name].items() for word in ("--set", f"{key}={value}")]
    assert leomix("contacts", name, *sets, "-o", first).status == 0
    scenario = bare(name, {key: str(value) for key, value in SHORT[name].items()}, first)
    (tmp_path / "again.yaml").write_text(json.dumps(scenario))
    done = leomix("contacts", tmp_path / "again.yaml", "-o", again)
    assert (done.status, "warning" in done.err) == (0, False), done.err
    listed, read = pd.read_csv(first), pd.read_csv(again)
    (places,) = ({place["name"] for place in given} for given in scenario["ground"].values())
    assert len(listed) and set(listed.site) <= places and not set(listed.satellite) & places
    same = listed.columns.drop(["norad_id"])
    pd.testing.assert_frame_equal(listed[same], read[same], rtol=0, atol=2e-6)


def test_equal_names_lines_without_checksum_and_several_sets_from_a_file(leomix, tmp_path):
    file = tmp_path / "fleet.tle"
    one, two = (
        orbit.keplerian_satellite(
            "DEB",
            START + timedelta(days=k),
            semi_major_axis_km=7000,
            inclination_deg=98,
            mean_anomaly_deg=90.0 * k,
        )
        for k in (0, 1)
    )
    bare = "".join(
        line[:68] + "\n" if line[:2] in ("1 ", "2 ") else f"{line}\n"
        for line in (tle(one, 71) + tle(two, 72)).splitlines()
    )
    file.write_text(bare)
    line = ["contacts", "--tle", file, *SPAN, "--site", "60,20"]
    assert 'or set checksum to "ignore"' in leomix(*line).err
    done = leomix(*line, "--checksum", "ignore", "-o", tmp_path / "o.csv")
    found = pd.read_csv(tmp_path / "o.csv")
    assert (done.status, done.err.count("warning")) == (0, 0)
    named = found[["satellite", "norad_id"]].drop_duplicates().sort_values("norad_id")
    assert named.to_numpy().tolist() == [["DEB (71)", 71], ["DEB (72)", 72]]
    # Of two sets of one satellite the latest before the start.
    listed = []
    for text in (tle(one, 71) + tle(two, 71), tle(one, 71)):
        file.write_text(text)
        listed.append(leomix(*line))
    assert listed[0].err == "" and listed[0].out == listed[1].out


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_windows_between_satellites_are_those_of_the_python_function(leomix, tmp_path, ending):
    out = tmp_path / f"isl.{ending}"
    set_ = ("--set", "stop.days=0.1")
    result = leomix("contacts", "walker", *set_, "--isl", "-o", str(out))
    assert (result.status, result.out) == (0, "")
    orbit_ = scenarios.load("walker", {"stop.days": 0.1}).orbit
    shell = orbit.walker_delta(
        orbit_.altitude_km, orbit_.inclination_deg, orbit_.satellites, orbit_.planes,
        orbit_.phasing, START,
    )  # fmt: skip
    true = orbit.isl_windows(shell, START, START + timedelta(days=0.1))
    read = pd.read_parquet(out) if ending == "parquet" else pd.read_csv(out)
    assert list(read.columns) == list(true.columns)
    assert read[["a", "b"]].equals(true[["a", "b"]].astype(read.a.dtype))
    np.testing.assert_allclose(read.duration_s, true.duration_s)
    off = pd.to_datetime(read.start_utc) - true.start_utc
    assert off.abs().max() < timedelta(microseconds=1)
    again = orbit.read_isl_windows(out, START) if ending == "csv" else None
    if again is not None:
        np.testing.assert_allclose(
            again.windows.end_s - again.windows.start_s, true.duration_s, atol=2e-6
        )
    shown = leomix("contacts", "walker", *set_, "--isl").out.splitlines()
    assert len(shown) == len(true) + 1
    assert shown[1].split()[:2] == [true.a[0], true.b[0]]
