"""Runs and sweeps that are watched: the page while they go on, the last one, how they end."""

import html
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import yaml

import sim
from sim.report import report
from sim.sweep import read_sweep, sweep
from tests.kit.folders import held, limited
from tests.kit.processes import wait_until
from tests.kit.records import read_manifest
from tests.kit.small import SLOTS, orbit, slots
from tests.kit.watching import Live, SoFar, asking, hurried, once_each, run_beat, shown
from tests.runs import SCENARIOS

ROOT = Path(__file__).resolve().parents[2]


def started(*line):
    """``leomix`` in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "sim", *map(str, line)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def killed(place, runs, name="orbit"):
    """A folder as a process leaves it that was killed while somebody watched the run."""
    (place / ".live").mkdir(parents=True)
    shutil.copytree(runs[name], place / ".live" / "7")
    (place / ".live" / "7" / "report.html").unlink(missing_ok=True)
    said = {"began_utc": "2026-08-22T00:00:00+00:00", "time_s": 60.0, "span_s": 600.0}
    said |= {"cycle": 1, "cycles": None, "beat": 5}
    (place / ".live" / "beat.json").write_text(json.dumps(said))
    return place


# -- what a run writes for who watches


@pytest.mark.parametrize(("name", "every"), [("slots", 4), ("faults", 8), ("nmoe", 40)])
@pytest.mark.quick(1)
def test_a_run_that_is_asked_for_its_tables_writes_what_it_would_have_written(
    name, every, runs, tmp_path
):
    """Also where tables leave memory."""
    place = tmp_path / "run"
    observer, seen = asking(place, every)
    with hurried(), limited(rows_in_memory=300):
        sim.run(SCENARIOS[name](), place, observers=[observer])
    assert len(seen) > 5
    assert held(place) == held(runs[name])
    # Other tests of this process may have changed its threads since the other run.
    own = {"wall_s", "cache", "determinism"}
    said, before = ({**read_manifest(one)} for one in (place, runs[name]))
    assert {k: v for k, v in said.items() if k not in own} == {
        k: v for k, v in before.items() if k not in own
    }


def test_the_tables_of_a_run_that_goes_on_hold_rows_of_the_whole_run(tmp_path):
    """What is under way has no rows yet; of evaluations none is missing."""
    place = tmp_path / "run"
    parts = []

    def look():
        newest = shown(place)
        if newest is not None and newest.name not in {part.folder.name for part in parts}:
            part = sim.load(newest)
            assert len(part.metrics)
            assert rows_of(part)  # read before it is replaced
            parts.append(part)
        return False

    asks, _ = asking(place, 8)
    looks, _ = once_each(look, pause_s=0.0)
    with hurried():
        whole = sim.run(orbit(), place, observers=[asks, looks])
    assert len(parts) > 5
    wanted = rows_of(whole)
    for part in parts:
        assert part.manifest["status"] == "running"
        for table, rows in rows_of(part).items():
            assert rows <= wanted[table], table
        evaluated = whole.metrics[: len(part.metrics)]
        assert part.metrics.equals(evaluated)
        after = whole.metrics["time_s"][len(part.metrics) :]
        assert (after >= part.manifest["simulated_s"]).all()


def rows_of(run):
    """How often each row is there, but for its number, which counts the rows before it."""
    frames = {"events": run.events, "transfers": run.transfers.drop(columns="transfer_id")}
    return {
        name: Counter(map(tuple, frame.astype(str).itertuples(index=False)))
        for name, frame in frames.items()
    }


def test_the_sign_of_life_goes_with_the_run_and_a_killed_one_is_in_nobodys_way(tmp_path):
    place = tmp_path / "run"
    beats = []
    observer, _ = once_each(lambda: beats.append(run_beat(place)), pause_s=0.02)
    (place / ".live" / "3").mkdir(parents=True)
    with hurried():
        sim.run(orbit(learning={"train": False}), place, observers=[observer])
    assert not (place / ".live").exists()
    times = [beat["time_s"] for beat in beats if "time_s" in beat]
    assert times == sorted(times)
    assert times[-1] > 0.0
    assert beats[-1]["span_s"] == 1.5 * 86400
    assert beats[-1]["beat"] > beats[0]["beat"]


# -- folders in which nothing goes on


def test_a_complete_run_or_sweep_has_its_report_at_once(leomix, runs, tmp_path):
    place = runs.copy("orbit", tmp_path)
    report([place], tmp_path / "wanted.html")
    done = leomix("watch", place)
    assert (done.status, done.out) == (0, f"{place}/report.html\n")
    assert done.err == "the run is complete\n"
    assert (place / "report.html").read_bytes() == (tmp_path / "wanted.html").read_bytes()
    assert leomix("watch", place, "-o", tmp_path / "other.html").status == 0
    assert (tmp_path / "other.html").read_bytes() == (tmp_path / "wanted.html").read_bytes()


def test_what_cannot_be_watched_is_one_line(leomix, runs, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "mine.html").write_text("my own page")
    for line, said in (
        ([tmp_path / "none"], "none: no run folder"),
        ([tmp_path / "empty"], "empty: no run folder"),
        ([runs["orbit"], "--every", "0.1"], "--every 0.1: must be 1 s or more"),
        ([runs["orbit"], "--every", "nan"], "--every nan: must be 1 s or more"),
        ([runs["orbit"], "-o", tmp_path / "mine.html"], "no report of leomix"),
        ([runs["orbit"], "-o", tmp_path / "no" / "a.html"], "there is no folder"),
    ):
        refused = leomix("watch", *line)
        assert (refused.status, refused.out) == (2, "")
        assert said in refused.err
        assert refused.err.count("\n") == 1


def test_an_interrupted_run_says_how_to_go_on_and_a_failed_one_why(leomix, runs, tmp_path):
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(SLOTS))
    place = tmp_path / "run"
    line = ["run", tmp_path / "s.yaml", "--quiet", "-o", place, "--max-wall", "0.001s"]
    assert leomix(*line).status == 130
    stopped = leomix("watch", place)
    assert stopped.status == 3
    assert f"leomix run SCENARIO --resume -o {place} goes on with it" in stopped.err
    assert "This run is interrupted." in (place / "report.html").read_text()
    failed = runs.copy("slots", tmp_path / "failed")
    manifest = read_manifest(failed) | {"status": "failed", "error": "bytes are lost"}
    (failed / "manifest.json").write_text(json.dumps(manifest))
    said = leomix("watch", failed)
    assert (said.status, said.err) == (1, "the run failed: bytes are lost\n")


def test_a_killed_run_is_said_and_shows_what_it_had(leomix, runs, tmp_path):
    place = killed(tmp_path / "run", runs)
    with hurried(silent_s=0.05):
        said = leomix("watch", place)
    assert said.status == 3
    assert "the run has given no sign of life" in said.err
    assert f"leomix run SCENARIO --resume -o {place} goes on with it" in said.err
    page = (place / "report.html").read_text()
    assert "The run has given no sign of life" in page
    assert "http-equiv=&#34;refresh" not in page
    assert 'http-equiv="refresh' not in page
    (tmp_path / "early" / ".live").mkdir(parents=True)
    shutil.copy(place / ".live" / "beat.json", tmp_path / "early" / ".live")
    with hurried(silent_s=0.05):
        early = leomix("watch", tmp_path / "early")
    assert (early.status, early.out) == (3, "")


# -- sweeps that fill up


@pytest.fixture
def swept(tmp_path):
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(SLOTS))
    keys = {"learning.method": "synchronous,emsfl", "learning.step_size": "0.05,0.1"}
    return sweep(tmp_path / "s.yaml", keys, tmp_path / "swept")


def test_points_that_have_ended_since_the_rows_were_written_count(swept, tmp_path):
    place = swept.folder
    whole = SoFar(place)
    whole.look()
    assert whole.sweep.rows.equals(swept.rows)
    (place / "sweep.parquet").unlink()
    aside = {name: place / "points" / name for name in sorted(os.listdir(place / "points"))}
    for path in aside.values():
        path.rename(tmp_path / path.name)
    part = SoFar(place)
    for number, (name, path) in enumerate(aside.items()):
        part.look()
        status = part.sweep.rows["status"].to_pylist()
        assert (part.complete, part.failed) == (number, 0)
        assert status.count("complete") == number
        assert status.count("missing") == len(aside) - number
        (tmp_path / name).rename(path)
    part.look()
    assert part.sweep.rows.equals(swept.rows)


def test_a_sweep_that_is_not_complete_ends_with_how_to_go_on(leomix, swept):
    place = swept.folder
    assert leomix("watch", place).status == 0
    first = next(iter(swept.folders))
    shutil.rmtree(first)
    (place / "sweep.parquet").unlink()
    (place / ".shard-1-of-1.beat.json").write_text('{"began_utc": "2026-08-22T00:00:00+00:00"}')
    with hurried(silent_s=0.05):
        said = leomix("watch", place)
    assert said.status == 3
    assert "3 of 4 points done" in said.err
    assert f"--resume -o {place} goes on with it" in said.err
    page = (place / "report.html").read_text()
    assert "3 of 4 points done" in page


# -- in notebooks


def page_in(frame):
    assert frame.startswith("<iframe title=")
    assert 'sandbox="allow-scripts"' in frame
    return html.unescape(re.search(r'srcdoc="([^"]*)"', frame)[1])


def test_comparisons_and_sweeps_show_the_page_of_the_report_in_a_frame(swept, runs, tmp_path):
    pair = [runs["slots"].resolve(), runs["slots-synchronous"].resolve()]
    found = sim.compare(pair)
    wanted = report(pair, tmp_path / "compared.html").read_text()
    assert page_in(found._repr_html_()) == wanted
    assert "folders" not in repr(found)
    assert json.dumps(dict(found))
    wanted = report([swept.folder], tmp_path / "swept.html").read_text()
    assert page_in(read_sweep(swept.folder)._repr_html_()) == wanted
    alone = sim.load(pair[0]).compared
    assert page_in(alone._repr_html_()).startswith("<!DOCTYPE html>")
    in_memory = sim.run(slots(learning={"train": False}))
    assert in_memory.compared._repr_html_() is None
    shutil.rmtree(swept.folder)
    assert sim.compare(pair, 0.05)._repr_html_() is not None


def test_a_comparison_of_folders_that_are_gone_shows_itself_as_text(runs, tmp_path):
    found = sim.compare([runs.copy("slots", tmp_path)])
    shutil.rmtree(found.folders[0])
    assert found._repr_html_() is None


# -- stills


def test_a_still_is_a_file_of_the_form_that_its_name_says(leomix, runs, tmp_path):
    heads = {"svg": b"<?xml", "pdf": b"%PDF", "png": b"\x89PNG"}
    run = runs["orbit-timing"]
    for form, head in heads.items():
        path = tmp_path / f"still.{form}"
        line = ("report", run, "-o", tmp_path / "r.html", "--map-minute", 30, "--still", path)
        assert leomix(*line).status == 0
        first = path.read_bytes()
        assert first.startswith(head)
    report([run], tmp_path / "r.html", 30.0, still=path)
    assert path.read_bytes() == first
    for line, said in (
        ([run, "--still", tmp_path / "a.gif"], "a.gif: must be a file .svg or"),
        ([run, "--still", tmp_path / "no" / "a.svg"], "in a folder that is there"),
        ([runs["slots"], "--still", tmp_path / "a.svg"], "has no map"),
        ([run, runs["slots"], "--still", tmp_path / "a.svg"], "--still: only"),
        ([run, "--still", tmp_path / "a.svg", "--map-minute", "1e9"], "the minutes 0 to"),
    ):
        refused = leomix("report", *line, "-o", tmp_path / "none.html")
        assert refused.status == 2
        assert said in refused.err
        assert not (tmp_path / "none.html").exists()
    with pytest.raises(sim.InputError, match="minute: got 'x'; give a number, from 0 to 2160"):
        runs.result("orbit").replay().still("x")


# -- real processes


@pytest.mark.process
def test_the_page_changes_while_a_run_goes_on_and_the_last_one_is_the_report(tmp_path):
    place = tmp_path / "run"
    page = place / "report.html"
    pages = []

    def is_new():
        if page.exists() and (text := page.read_text()) not in pages:
            pages.append(text)
            return True
        return False

    watching = []

    def watches():
        watching.append(started("watch", place, "--every", 1))
        wait_until((place / ".live" / "asked").exists, "somebody asks")
        return True

    observer, came = once_each(watches, is_new, is_new, pause_s=0.25)
    with hurried():
        sim.run(orbit(stop={"days": 12}, learning={"train": False}), place, observers=[observer])
    out, err = watching[0].communicate(timeout=60)
    assert (watching[0].returncode, out) == (0, f"{page}\n"), err
    assert err.endswith("the run is complete\n")
    assert len(came) == 3
    for text in pages:
        said = re.search(r"This run has gone on since .* UTC: (\S+) of 12 days", text)
        assert 0.0 <= float(said[1]) <= 12.0
        assert "What follows is what it had by" in text
        assert '<noscript><meta http-equiv="refresh"' in text
    last = page.read_bytes()
    assert b'http-equiv="refresh"' not in last
    assert b"has gone on since" not in last
    assert report([place], tmp_path / "again.html").read_bytes() == last
    assert not (place / ".live").exists()


@pytest.mark.process
def test_a_sweep_fills_up_and_its_last_page_is_the_report(tmp_path):
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(SLOTS))
    place = tmp_path / "swept"
    line = ["sweep", tmp_path / "s.yaml", "-p", "learning.method=emsfl,fedavg,synchronous"]
    line += ["-p", "learning.rounds.per_gap_max=1,2", "--set", "stop.cycles=100"]
    sweeping = started(*line, "--quiet", "--no-cache", "-o", place)
    wait_until(lambda: list(place.glob(".shard-*.beat.json")), "the sweep begins")
    watching = started("watch", place, "--every", 1)
    seen = set()

    def has_ended():
        if (place / "report.html").exists():
            seen.update(
                re.findall(
                    r"This sweep has gone on since .* UTC: (\d) of 6 points done",
                    (place / "report.html").read_text(),
                )
            )
        return watching.poll() is not None

    wait_until(has_ended, "the sweep is complete", 240.0)
    out, err = watching.communicate()
    assert (watching.returncode, out) == (0, f"{place}/report.html\n"), err
    assert seen
    assert sweeping.wait(60) == 0
    last = (place / "report.html").read_bytes()
    assert report([place], tmp_path / "again.html").read_bytes() == last
    assert not list(place.glob(".shard-*.beat.json"))


@pytest.mark.process
def test_ctrl_c_ends_it_at_once(runs, tmp_path):
    place = tmp_path / "run"
    place.mkdir()
    with hurried(), Live(place):
        watching = started("watch", place)
        wait_until((place / ".live" / "asked").exists, "somebody asks")
        watching.send_signal(signal.SIGINT)
        out, err = watching.communicate(timeout=20)
    assert (watching.returncode, out) == (130, "")
    assert err == "leomix: interrupted: no page was written\n"
