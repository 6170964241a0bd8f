"""`leomix report --figures`: pictures and tables as files, with the numbers of `compare`."""

import json
import re
from xml.etree import ElementTree

import pandas as pd
import pytest
import yaml

from sim.page import report
from sim.sweep import sweep
from tests.kit.small import SLOTS, merged

ODD = "=50 % & more_steps #1 {x} $y$ ~^\\"
VARIANTS = {
    "emsfl": {},
    ODD: {"learning.steps_per_round": 3},
    "synchronous": {"learning.method": "synchronous"},
}


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """Three variants, three seeds: some milliseconds of training each."""
    place = tmp_path_factory.mktemp("swept")
    powered = {"description": "small", "compute": {"power_w": 5}, "learning": {"step_size": 0.3}}
    (place / "small.yaml").write_text(yaml.safe_dump(merged(SLOTS, powered)))
    file = place / "small.yaml"
    return sweep(file, {}, place / "sweep", variants=VARIANTS, replications=3, cache=False).folder


@pytest.mark.wide
def test_figures_open_and_tables_have_the_numbers_of_compare(leomix, swept, tmp_path):
    place = tmp_path / "figures"
    out = ("-o", tmp_path / "page.html")
    assert leomix("report", swept, *out, "--figures", place).status == 0
    curves = [f"accuracy-over-{over}" for over in ("time", "cycle", "bytes", "energy")]
    names = {path.stem for path in place.glob("*.csv")} - {"rows"}
    assert {*curves, "loss-over-bytes", "where-the-time-went"} <= names
    for name in names:
        assert ElementTree.parse(place / f"{name}.svg").getroot().tag.endswith("}svg")
        file = (place / f"{name}.pdf").read_bytes()
        begin = int(re.search(rb"startxref\s+(\d+)\s+%%EOF\s*$", file)[1])
        assert file.startswith(b"%PDF-") and file[begin:].startswith(b"xref")
    guarded = [f"'{label}" if label == ODD else label for label in VARIANTS]
    for name in curves:
        data = pd.read_csv(place / f"{name}.csv")
        means = data[data.mean_of.notna()]
        assert set(means.line) == set(guarded)
        assert (means.least.fillna(0.0) <= means.accuracy).all()
    compared = json.loads(leomix("compare", swept, "--json").out)
    table = pd.read_csv(place / "rows.csv", float_precision="round_trip")
    table = table.set_index(["figure", "group"])
    assert len(table) == len(compared["rows"])
    for wanted in compared["rows"]:
        group = f"'{ODD}" if wanted["group"] == ODD else wanted["group"]
        row = table.loc[(wanted["figure"], group)]
        for key, value in wanted.items():
            if isinstance(value, int | float):
                assert row[key] == value
            assert value is not None or pd.isna(row[key])


@pytest.mark.wide
def test_over_numbers_each_figure_is_a_curve_in_files_that_repeat(leomix, tmp_path):
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(merged(SLOTS, {"description": "small"})))
    varied = ("-p", "compute.seconds_per_round=100:300:100")
    timing = ("--set", "learning.train=false", "--set", "learning.method=synchronous", "--quiet")
    leomix("sweep", tmp_path / "small.yaml", *varied, *timing, "-o", tmp_path / "s")
    first, again = tmp_path / "first", tmp_path / "again"
    for place in (first, again):
        report([tmp_path / "s"], tmp_path / "page.html", figures=place)
    rows = pd.read_parquet(tmp_path / "s/sweep.parquet")
    drawn = pd.read_csv(first / "cycles-over-seconds-per-round.csv")
    assert drawn["compute.seconds_per_round"].tolist() == [100, 200, 300]
    assert drawn["mean"].tolist() == rows.cycles.tolist()
    for file in first.iterdir():
        assert file.read_bytes() == (again / file.name).read_bytes()
