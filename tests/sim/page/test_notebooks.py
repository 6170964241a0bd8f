"""The page of the report in notebooks, and maps of a minute that there are not."""

import html
import json
import re
import shutil

import pytest
import yaml

import sim
from sim.page import report
from sim.sweep import read_sweep, sweep
from tests.kit.small import SLOTS, slots


@pytest.fixture
def swept(tmp_path):
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(SLOTS))
    keys = {"learning.method": "synchronous,emsfl", "learning.step_size": "0.05,0.1"}
    return sweep(tmp_path / "s.yaml", keys, tmp_path / "swept")


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
    assert sim.compare(pair)._repr_html_() is not None


def test_a_comparison_of_folders_that_are_gone_shows_itself_as_text(runs, tmp_path):
    found = sim.compare([runs.copy("slots", tmp_path)])
    shutil.rmtree(found.folders[0])
    assert found._repr_html_() is None


def test_a_map_is_refused_without_orbits_and_for_a_minute_that_is_none(runs):
    with pytest.raises(sim.InputError, match="has no map"):
        runs.result("slots").plot.map(minute=1.0)
    with pytest.raises(sim.InputError, match="the minutes 0 to"):
        runs.result("orbit-timing").plot.map(minute=1e9)
    with pytest.raises(sim.InputError, match="minute: got 'x'; give a number, from 0 to 2160"):
        runs.result("orbit").plot.map(minute="x")
