"""The command ``leomix contacts``: what it prints, writes and refuses."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sgp4.exporter import export_omm, export_tle
from sgp4.io import compute_checksum

import orbit
import scenarios
from tests.kit.network import contact_listing
from tests.kit.records import columns

START = datetime(2026, 8, 22, tzinfo=UTC)
SPAN = ["--start", "2026-08-22T00:00:00Z", "--days", "2", "--min-elevation", "12.5"]
PLACES = ["--site", "-10.5,20.25,300", "--site", "60,20"]
SITES = [orbit.Site("-10.5,20.25,300", -10.5, 20.25, 300.0), orbit.Site("60,20", 60.0, 20.0)]
# Comes down within a week: SGP4 says so with an error, and goes on with finite numbers.
DECAYING = {"semi_major_axis_km": 6600.0, "inclination_deg": 51.6, "bstar": 1e-3}


@pytest.fixture(scope="module")
def elements() -> Path:
    return scenarios.shipped_path("quickstart").with_name("iridium-106.tle")


@pytest.fixture(scope="module")
def truth(elements: Path) -> pd.DataFrame:
    end = START + timedelta(days=2)
    satellites = orbit.read_satellites(elements)
    return orbit.find_contacts(satellites, SITES, START, end, 12.5, refine="sgp4")


def tle(satellite: orbit.Satellite, number: int) -> str:
    """Two-line elements of a satellite made from scratch, under a catalogue number."""
    lines = [line[:2] + f"{number:05d}" + line[7:68] for line in export_tle(satellite.model)]
    return "\n".join([satellite.name, *(f"{x}{compute_checksum(x)}" for x in lines)]) + "\n"


@pytest.fixture(scope="module")
def decayed() -> str:
    """A satellite that came down a month before the span."""
    made = orbit.keplerian_satellite("FALLEN", START - timedelta(days=40), **DECAYING)
    return tle(made, 77777)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_files_hold_what_the_python_function_finds(
    leomix, elements: Path, truth: pd.DataFrame, tmp_path: Path, ending: str
) -> None:
    out = tmp_path / f"contacts.{ending}"
    done = leomix("contacts", "--tle", elements, *PLACES, *SPAN, "-o", out)
    assert done.status == 0
    found = pd.read_csv(out) if ending == "csv" else pd.read_parquet(out)
    assert list(found.columns) == list(truth.columns)
    assert len(found) == len(truth) > 8
    assert f"wrote {len(truth)} contacts to {out}" in done.err
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


def test_a_list_a_summary_or_a_file_even_of_nothing(
    leomix, elements: Path, truth: pd.DataFrame, tmp_path: Path
) -> None:
    line = ["contacts", "--tle", elements, *PLACES, *SPAN]
    listed, summary = leomix(*line), leomix(*line, "--summary")
    assert "2026-08-22T" in listed.out
    assert leomix(*line, "-o", tmp_path / "c.parquet").out == summary.out
    assert "2026-08-22T" not in summary.out
    assert listed.err == summary.err == ""
    line[-1] = "89.9"
    assert leomix(*line).out == "no contacts\n"
    assert "cycles a day: 0.00" in leomix(*line, "-o", tmp_path / "none.parquet").out
    empty = pq.read_table(tmp_path / "none.parquet")
    assert (empty.num_rows, empty.column_names) == (0, list(truth.columns))


def test_sites_and_omm_elements_come_from_files_too(leomix, elements: Path, tmp_path: Path) -> None:
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


def test_batches_make_the_same_file(monkeypatch, elements: Path, tmp_path: Path, leomix) -> None:
    line = ["contacts", "--tle", elements, *PLACES, *SPAN, "-o"]
    for name, rows in (("one", contact_listing.BATCH_ROWS), ("many", 3)):
        monkeypatch.setattr(contact_listing, "BATCH_ROWS", rows)
        leomix(*line, tmp_path / f"{name}.csv")
        leomix(*line, tmp_path / f"{name}.parquet")
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "many.csv").read_bytes()
    assert pq.read_table(tmp_path / "one.parquet") == pq.read_table(tmp_path / "many.parquet")
    assert pq.ParquetFile(tmp_path / "many.parquet").num_row_groups > 3


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, ending: str) -> None:
    out = tmp_path / f"c.{ending}"
    columns.write({"a": [1, 2]}, out)
    before = out.read_bytes()

    def broken():
        yield pa.RecordBatch.from_pydict({"a": pa.array([1.5])})
        raise OSError(28, "No space left on device", str(out))

    with pytest.raises(OSError, match="No space"):
        columns.write_batches(broken(), out)
    assert out.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == [out.name]


def test_the_summary_tells_passes_gaps_and_cycles(leomix, elements: Path, truth) -> None:
    out = leomix("contacts", "--tle", elements, *PLACES, *SPAN, "--summary").out
    lines = out.splitlines()
    assert len(lines) == 4
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
    least = truth.site.value_counts().min() / 2
    found = re.fullmatch(
        r"cycles a day: ([\d.]+) \((.*) is served least often\); "
        r"one cycle an orbit would be ([\d.]+), ratio ([\d.]+)", lines[3],
    )  # fmt: skip
    assert found
    assert float(found[1]) == pytest.approx(least, abs=0.005)
    assert found[2] == truth.site.value_counts().idxmin()
    # The last field of line 2: revolutions a day.
    motion = float(elements.read_text().splitlines()[-1][52:63])
    assert float(found[3]) == pytest.approx(motion, abs=0.005)
    assert float(found[4]) == pytest.approx(least / motion, abs=0.0005)


def test_bad_satellites_are_counted_or_left_out(
    leomix, elements: Path, decayed: str, tmp_path: Path
) -> None:
    good = elements.read_text()
    bad = good.replace("9999\n", "9990\n", 1).replace("106", "107")
    (tmp_path / "three.tle").write_text(good + bad + decayed)
    line = ["contacts", "--tle", tmp_path / "three.tle", *PLACES, *SPAN]
    refused = leomix(*line)
    assert (refused.status, refused.err.count("\n")) == (2, 1)
    assert "IRIDIUM 107" in refused.err
    assert "1 of 3" in refused.err
    done = leomix(*line, "--skip-bad")
    assert done.status == 0
    first, second = [row for row in done.err.splitlines() if row.startswith("left out: ")]
    assert "IRIDIUM 107" in first
    assert "FALLEN" in second
    assert "FALLEN" not in done.out
    assert "IRIDIUM 106" in done.out
    alone = leomix("contacts", "--tle", elements, *line[3:])
    times = re.compile(r"T\d\d:\d\d:\d\d\.\d+Z")
    assert times.findall(done.out) == times.findall(alone.out)


def test_falling_satellites_and_old_elements_are_warned_of(
    leomix, elements: Path, tmp_path: Path
) -> None:
    falling = orbit.keplerian_satellite("FALLING", START, **DECAYING)
    (tmp_path / "falling.tle").write_text(tle(falling, 77778))
    line = [*PLACES, "--start", "2026-08-22T00:00:00Z", "--days", "10", "--min-elevation", "5"]
    done = leomix("contacts", "--tle", tmp_path / "falling.tle", *line)
    assert done.status == 0
    warnings = [row for row in done.err.splitlines() if row.startswith("warning: ")]
    assert any("FALLING" in row and "decay" in row for row in warnings), done.err
    assert "2026-08-22T" in done.out
    start = (orbit.read_satellites(elements)[0].epoch + timedelta(days=59)).isoformat()
    days = ["--days", "1", "--min-elevation", "10"]
    done = leomix("contacts", "--tle", elements, "--site", "60,20", "--start", start, *days)
    assert (done.status, done.err.count("\n")) == (0, 1)
    assert done.err.startswith("warning: ")
    assert "60.0 days" in done.err


def test_a_scenario_shows_its_cycles(leomix) -> None:
    lines = leomix("contacts", "quickstart", "--summary").out.splitlines()
    assert len(lines) == 6
    assert "one cycle an orbit would be 14." in lines[-1]
    assert float(lines[-1].split("ratio ")[1]) < 0.5
    slots = leomix("contacts", "paper-slots", "--summary").out.splitlines()
    assert slots[-1].startswith("cycles a day: ")
    assert "orbit" not in slots[-1]


SITE = ["--site", "60,20"]


def changed(option: str, value: str) -> list[str]:
    line = [*SPAN, *SITE]
    line[line.index(option) + 1] = value
    return line


GOOD = [*SPAN, *SITE]
WRONG = {
    "mask": (None, changed("--min-elevation", "90"), "--min-elevation 90"),
    "latitude": (None, changed("--site", "91,0"), "--site 91,0: latitude_deg"),
    "no site": (None, SPAN, "--site"),
    "negative days": (None, changed("--days", "-3"), "--days -3"),
    "days that are none": (None, changed("--days", "nan"), "--days nan"),
    "naive": (None, changed("--start", "2026-08-22T00:00:00"), "--start 2026-08-22T00:00:00: "),
    "end of the calendar": (None, changed("--start", "9999-12-31T00:00:00Z"), "--start 9999"),
    "ending": (None, [*GOOD, "-o", "contacts.xlsx"], ".csv or .parquet"),
    "folder": (None, [*GOOD, "-o", "nowhere/contacts.csv"], "nowhere"),
    "two of one name": (None, [*SPAN, "--site", "A=1,2", "--site", "A=3,4"], "'A' comes twice"),
    "sites file": (None, [*SPAN, "--sites", "nowhere.csv"], "nowhere.csv"),
    "checksum": (lambda good, _: good.replace("9999\n", "9990\n", 1), GOOD, "checksum"),
    "blank lines": (lambda *_: "\n \n", [*GOOD, "--skip-bad"], "no elements"),
    "decayed": (lambda _, decayed: decayed, GOOD, "FALLEN"),
    "nothing left": (lambda _, bad: bad, [*GOOD, "--skip-bad"], "no good elements are left"),
    "not text": (lambda good, _: good.replace("U", "\0", 1), GOOD, "bad.tle:"),
    "latin-1": (lambda good, _: "M\udcfcnchen\n" + good, GOOD, "UTF-8"),
}


@pytest.mark.parametrize("what", WRONG)
def test_wrong_options_and_files_are_one_line(
    leomix, elements: Path, decayed: str, what: str, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    spoiled, options, word = WRONG[what]
    if spoiled is not None:
        text = spoiled(elements.read_text(), decayed)
        elements = tmp_path / "bad.tle"
        elements.write_bytes(text.encode(errors="surrogateescape"))
    files = list(tmp_path.iterdir())
    done = leomix("contacts", "--tle", elements, *options)
    assert done.status == 2, done
    assert word in done.err
    assert done.err.count("\n") == 1
    assert done.out == ""
    assert list(tmp_path.iterdir()) == files
