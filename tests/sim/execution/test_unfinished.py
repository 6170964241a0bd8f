"""`leomix report` of a run or a sweep that is not finished: what there is, and how far it is."""

import shutil

import yaml

import sim
from sim.page import report
from sim.sweep import read_sweep, sweep
from tests.kit.folders import Each, cut
from tests.kit.small import SLOTS, slots

TIMING = {"learning": {"train": False}}


def test_the_page_of_an_interrupted_run_says_first_how_far_it_is(tmp_path):
    place = cut(slots(stop={"cycles": 3}, **TIMING), tmp_path / "run", 20)
    page = report([place]).read_text()
    days = sim.load(place).manifest["simulated_s"] / 86400
    assert f"<h1>Interrupted at {days:.2f} days, cycle 1 of 3; " in page


def test_a_run_that_goes_on_is_refused_in_a_line_until_it_has_tables(leomix, tmp_path):
    place = tmp_path / "run"
    said = []

    def look(number):
        if number == 5:
            said.append(leomix("report", place))

    sim.run(slots(**TIMING), place, observers=[Each(look)])
    assert (said[0].status, said[0].out, said[0].err.count("\n")) == (2, "", 1)
    assert "run: the run in it has not ended, and has no tables yet; wait for it" in said[0].err
    assert f"if it was killed, finish it: leomix run SCENARIO --resume -o {place}" in said[0].err
    assert leomix("report", place).status == 0


def test_the_page_of_a_sweep_that_goes_on_is_of_its_complete_points(leomix, tmp_path):
    """Also of those whose rows are not yet written; before the first it is refused in a line."""
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(SLOTS))
    keys = {"learning.method": "synchronous,emsfl", "seed": "1,2"}
    done = sweep(tmp_path / "s.yaml", keys, tmp_path / "swept", overrides={"learning.train": False})
    place = done.folder
    (place / "sweep.parquet").unlink()
    assert read_sweep(place).rows.equals(done.rows)
    shutil.rmtree(done.folders[1])
    page = report([place]).read_text()
    assert "3 of 4 points are complete." in page[: page.index("<main>")]
    shutil.rmtree(place / "points")
    refused = leomix("report", place)
    assert (refused.status, refused.err.count("\n")) == (2, 1)
    assert "none of the sweep's points has ended yet; wait for the first" in refused.err
