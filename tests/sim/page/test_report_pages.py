"""`leomix report`: what the page says is what the folders hold, and it opens without a network."""

import base64
import hashlib
import json
import re
import shutil
from html.parser import HTMLParser
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import yaml

import scenarios
import sim
from sim.draw import Pictures
from sim.page import report
from statements import RANKS, Code, Statement, as_json
from tests.kit.folders import without_checksums
from tests.kit.network import portable
from tests.kit.records import read_manifest, read_tables
from tests.kit.results import compare, critical_path
from tests.kit.small import SLOTS, merged

FORMS = ("pdf", "svg", "csv")
VOID = {"meta", "link", "img", "br", "input", "hr"}
ODD = "</script><b>A&B</b>"
SECTIONS = {
    "slots": "curves summary replay figures timeline time updates clients assignment scenario",
    "orbit": "curves summary replay figures timeline time updates contact assignment scenario",
}
"""Of runs; a section that would be empty is left out."""


class Seen(HTMLParser):
    """What a browser makes of a page: a tree, and what is read off it."""

    def __init__(self, path):
        super().__init__()
        self._builder = ElementTree.TreeBuilder()
        self.text = path.read_text(encoding="utf-8")
        self.feed(self.text)
        self.close()
        self.tree = self._builder.close()
        self.sections = {s.get("id", ""): "".join(s.itertext()) for s in self.tree.iter("section")}
        self.tables = {
            table.get("aria-labelledby", ""): [
                ["".join(cell.itertext()) for cell in row] for row in table.iter("tr")
            ]
            for table in self.tree.iter("table")
        }

    def handle_starttag(self, tag, attrs):
        self._builder.start(tag, {key: value or "" for key, value in attrs})
        if tag in VOID:
            self._builder.end(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            closed = self._builder.end(tag)
            assert closed.tag == tag

    def handle_data(self, data):
        self._builder.data(data)

    def held(self, tag):
        """The text of all elements of a kind."""
        return [element.text or "" for element in self.tree.iter(tag)]

    def data(self, key):
        """The data of a script that has something by a key."""
        scripts = (s for s in self.tree.iter("script") if s.get("type") == "application/json")
        return next(data for data in (json.loads(s.text) for s in scripts) if key in data)


@pytest.fixture(scope="module")
def pages(runs, tmp_path_factory):
    place = tmp_path_factory.mktemp("pages")
    wanted = {"slots": "slots", "orbit": "orbit-timing", "nmoe": "nmoe", "aligned": "aligned"}
    return {name: Seen(report([runs[run]], place / f"{name}.html")) for name, run in wanted.items()}


def sha256(text):
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


@pytest.mark.parametrize("name", ["slots", "orbit"])
def test_a_page_has_every_section_fetches_nothing_and_runs_what_is_hashed(pages, name):
    page = pages[name]
    assert " ".join(page.sections) == SECTIONS[name]
    given = [(key, value) for element in page.tree.iter() for key, value in element.items()]
    for key, value in given:
        assert key != "style" and not key.startswith("on")
        if key in ("src", "href", "xlink:href", "action"):
            assert value.startswith(("#", "data:"))
        assert not re.search(r"url\((?!#)", value)
    ids = [value for key, value in given if key == "id"]
    assert len(set(ids)) == len(ids)
    targets = {value[1:] for key, value in given if key.endswith("href") and value[0] == "#"}
    targets |= set(re.findall(r"url\(#([^)]+)\)", " ".join(value for _, value in given)))
    assert targets <= set(ids)
    assert all(f"{name}-title" in ids for name in page.sections)
    [style] = page.held("style")
    assert not re.search(r"@import|url\(", style)
    metas = {meta.get("http-equiv"): meta.get("content", "") for meta in page.tree.iter("meta")}
    rules = dict(rule.split(" ", 1) for rule in metas["Content-Security-Policy"].split("; "))
    codes = [s.text for s in page.tree.iter("script") if s.get("type") != "application/json"]
    hashed = " ".join(map(sha256, codes))
    wanted = {"default-src": "'none'", "style-src": sha256(style), "script-src": hashed}
    assert wanted.items() <= rules.items()


def test_what_is_said_of_a_run_stands_in_the_order_of_its_ranks(runs, tmp_path, leomix):
    said = [
        Statement.note(Code.OTHER_VERSIONS, "", "versions differ"),
        Statement.doubt(Code.OLD_ELEMENTS, "", "elements are old"),
        Statement.doubt(Code.LOST_REPLIES, "", "replies were lost"),
        Statement.doubt(Code.NEVER_REACHED, "", "nothing came of it"),
    ]
    for number, turned in enumerate((said, said[::-1], said[2:] + said[:2])):
        told = {"said": [*map(as_json, turned)], "warnings": [*map(str, turned)]}
        folder = changed(runs["slots"], tmp_path / str(number), **told)
        *doubts, note = leomix("show", folder, "--all").err.splitlines()
        assert [*doubts, note] == [f"warning: {one}" for one in said[::-1]]
        assert leomix("compare", folder).err.splitlines() == [
            f"warning: {folder}: {one}" for one in said[::-1]
        ]
        summary = Seen(report([folder])).sections["summary"]
        places = [summary.lower().index(str(one)) for one in said[::-1]]
        assert places == sorted(places)


def test_each_code_has_a_rank():
    assert set(RANKS) == set(Code)


def test_names_stay_text(runs, tmp_path):
    """Scenarios refuse such names of clusters; satellites may have them, and tables from others."""
    folder = changed(
        runs["slots"],
        tmp_path / "<i>r",
        name=ODD,
        said=[as_json(Statement.doubt(Code.OTHER, "", ODD))],
    )
    for path in folder.glob("*.parquet"):
        table = pq.read_table(path)
        rows = table.to_pylist()
        for row in rows:
            row |= {k: ODD for k in ("cluster", "satellite") if row.get(k) in ("A", "slots")}
        pq.write_table(pa.Table.from_pylist(rows, table.schema), path)
    page = Seen(report([folder]))
    assert not page.held("b") and not page.held("i")
    assert [row[0] for row in page.tables["time-3"]] == ["cluster", ODD, "B", "critical path"]
    assert ODD in page.sections["summary"]
    assert ODD not in page.text


def test_the_summary_is_that_of_show_and_of_the_critical_path(leomix, runs, pages):
    facts = re.sub(r"\s+", " ", pages["slots"].sections["figures"])
    headline, *lines, _ = leomix("show", runs["slots"], "--all").out.splitlines()
    assert headline in [f"{title}." for title in pages["slots"].held("title")]
    place = next(n for n, line in enumerate(lines) if line.startswith("method"))
    said, figures = " ".join(lines[:place]), lines[place:]
    assert "of the critical path went into" in said
    assert said in [" ".join(text.split()) for text in pages["slots"].held("p")]
    for line in figures:
        assert " ".join(line[15:].split()) in facts
    manifest = read_manifest(runs["orbit-timing"])
    tables = read_tables(runs["orbit-timing"])
    shares = critical_path(tables, manifest).shares
    # Devices of that run train as long as there is no contact: it is training that takes longest.
    said = f"{100 * shares['training']:.1f} % of the critical path went into training"
    assert any(said in text for text in pages["orbit"].held("p"))


def test_the_scenario_on_the_page_is_that_of_the_run_and_pages_repeat(runs, pages, tmp_path):
    page = pages["orbit"]
    manifest = read_manifest(runs["orbit-timing"])
    assert Seen(report([runs["orbit-timing"]], tmp_path / "again.html")).text == page.text
    [said] = page.held("pre")
    assert portable(scenarios.from_dict(yaml.safe_load(said))) == manifest["scenario"]
    for key in ("identity", "trace_sha256", "timing_sha256"):
        assert manifest[key] in page.sections["scenario"]


MANY = 2_000


def stretched(run, place):
    """A run folder whose tables name many clusters, as a small file can."""
    without_checksums(shutil.copytree(run, place))
    for path in place.glob("*.parquet"):
        table = pq.read_table(path)
        if "cluster" not in table.column_names or not len(table):
            continue
        number = table.column_names.index("cluster")
        if path.stem == "assignments":  # the last split is shown
            table = table.filter(pc.equal(table["time_s"], pc.max(table["time_s"])))
        rows = table.take(pa.array(np.arange(MANY) % len(table)))
        names = pa.array([f"C{n:05}" for n in range(MANY)], table.schema.field(number).type)
        pq.write_table(rows.set_column(number, table.schema.field(number), names), path)
    return place


def test_of_many_clusters_the_page_is_small_and_says_what_is_summed_up(runs, tmp_path):
    folder = stretched(runs["slots"], tmp_path / "run")
    axes = sim.load(folder).plot.timeline()
    assert len(axes.patches) <= 4 * 120
    assert axes.get_ylabel() == "2000 clusters, up to 17 in a lane"
    page = Seen(report([folder], tmp_path / "page.html"))
    rows = page.tables["time-3"]
    assert len(rows) <= 510 and "1500 other clusters together" in rows[501][0]
    assert len(list(page.tree.iter())) < 25_000


def test_a_map_of_many_places_has_dots_and_no_circles():
    places = [(n % 140 - 70.0, n / 14 % 360 - 180.0) for n in range(4_900)]
    said = scenarios.load("quickstart").model_dump(mode="json")
    said["ground"]["clusters"] = [
        {"name": f"C{n}", "latitude_deg": y, "longitude_deg": x} for n, (y, x) in enumerate(places)
    ]
    said["orbit"] = {"source": "walker", "pattern": "delta", "satellites": 1000, "planes": 20}
    said["orbit"] |= {
        "phasing": 1,
        "altitude_km": 600,
        "inclination_deg": 53,
        "min_elevation_deg": 10,
    }
    manifest = {"scenario": said, "start_utc": "2026-08-22T00:00:00+00:00", "simulated_s": 600.0}
    axes = Pictures(SimpleNamespace(tables={}, manifest=manifest)).map()
    assert len(axes.get_children()) < 100
    assert [len(line.get_xdata()) for line in axes.lines] == [1_000, 4_900]
    assert axes.get_title() == "4900 places, without their circles"


def test_figures_of_networked_experts_and_alignment_stand_among_all_figures(leomix, runs, pages):
    page = pages["nmoe"]
    assert [*page.sections][-2:] == ["gating", "scenario"]
    answers = pq.read_table(runs["nmoe"] / "inferences.parquet").to_pandas()
    assert f"{answers.samples.sum()} samples: " in page.sections["figures"]
    shown = json.loads(leomix("show", runs["aligned"], "--json").out)["alignment"]
    assert f"mean {shown['fitness_mean']:.3f}" in pages["aligned"].sections["figures"]


def test_several_runs_are_compared_as_compare_does(runs, tmp_path):
    folders = [runs[name] for name in ("slots-synchronous", "slots", "slots-enhanced")]
    page = Seen(report(folders, tmp_path / "c.html"))
    assert [*page.sections] == ["curves", "summary", "replay", "rows", "time", "runs"]
    [heads, *rows] = page.tables["rows-1"]
    assert heads[:3] == ["final accuracy", "seeds", "mean"]
    found = compare(folders).by("accuracy_final")
    for own, row in zip(found.itertuples(), rows, strict=True):
        assert row[:2] == [own.group, str(own.seeds)]
        assert row[2].startswith(f"{own.mean:.3f}") and row[-1] == own.verdict
    assert len(page.tables["runs-1"]) == 1 + len(folders)


@pytest.fixture
def sweep(leomix, runs):
    """Of twelve points: six of keys, two seeds each."""

    def make(folder):
        folder.mkdir()
        scenario = folder / "s.yaml"
        varied = "orbit.slots.idle=0:2:1"
        scenario.write_text(yaml.safe_dump(merged(SLOTS, {"learning": {"train": False}})))
        line = [scenario, "-p", varied, "-p", "learning.method=synchronous,emsfl", "--quiet"]
        assert leomix("sweep", *line, "--replications", 2, "-o", folder / "sweep").status == 0

    return runs.made("sweep-of-twelve", make) / "sweep"


def test_a_sweep_has_its_sections_and_the_words_of_its_rows(sweep, tmp_path):
    page = Seen(report([sweep], tmp_path / "report.html"))
    wanted = {"numbers", "values", "rows", "time", "scenario"}
    assert wanted <= set(page.sections)
    assert "failed" not in page.sections
    rows = pq.read_table(sweep / "sweep.parquet").to_pandas()
    assert rows.cycles.nunique() == 1
    assert page.held("h1")[0].startswith("Least uplink: ")
    assert "idle, 0 to 2, 3 values" in page.held("p")[0]
    assert "synchronous, emsfl" in page.sections["scenario"]


def test_over_a_number_the_page_begins_with_the_curve_of_what_the_sweep_is_judged_by(
    sweep, tmp_path
):
    """With a line a name, in the page's colours and without a style that its policy forbids."""
    shutil.copytree(sweep, tmp_path / "sweep")
    rows = pq.read_table(sweep / "sweep.parquet")
    values = rows.to_pylist()
    for number, row in enumerate(values):  # slots of idling, two methods, two seeds
        row |= {"cycles": 5 + number // 4 + 10 * (number % 2), "contacts_served": number // 2 % 2}
    pq.write_table(pa.Table.from_pylist(values, rows.schema), tmp_path / "sweep/sweep.parquet")
    page = Seen(report([tmp_path / "sweep"]))
    assert page.held("h1") == ["Most cycles: 12 at idle 2 with synchronous and emsfl"]
    heads, *cells = page.tables["values-title"]
    assert heads[:4] == ["method", "idle", "cycles", "contacts served"]
    assert [row[:3] for row in cells] == [
        [method, str(idle), str(10 + idle)]
        for idle in (2, 1, 0)
        for method in ("synchronous", "emsfl")
    ]
    main = page.tree.find(".//section[@id='numbers']")
    texts = ["".join(text.itertext()) for text in main.iter("text")]
    assert {"Cycles", "synchronous", "emsfl", "idle"} <= set(texts)
    drawn = [element.attrib for svg in main.iter("svg") for element in svg.iter()]
    assert not [one for one in drawn if "style" in one]
    assert {"var(--hue-0)", "var(--hue-1)"} <= {one.get("stroke") for one in drawn}
    ids = [one["id"] for one in drawn if "id" in one]
    assert len(ids) == len(set(ids))


@pytest.mark.wide
def test_figures_are_files_beside_the_data_behind_them(leomix, runs, sweep, tmp_path):
    own = runs["slots"]
    place = tmp_path / "figures"
    pages = {"run": [own], "comparison": [own, runs["nmoe"]], "sweep": [sweep]}
    for name, folders in pages.items():
        words = ("-o", tmp_path / f"{name}.html", "--figures", place / name)
        assert leomix("report", *folders, *words).status == 0
        files = {end: {path.stem for path in place.glob(f"{name}/*.{end}")} for end in FORMS}
        assert files["pdf"] == files["svg"] == files["csv"] - {"rows"}
        # Those that the page shows, and those of curves, which it shows in its chart.
        assert len(files["pdf"]) >= Seen(tmp_path / f"{name}.html").text.count("<figure ")
    shown = pd.read_csv(place / "run/accuracy-over-time.csv")
    rows = runs.result("slots").metrics.query("scope == 'global'")
    np.testing.assert_allclose(shown["simulated_minutes"] * 60, rows["time_s"])
    np.testing.assert_allclose(shown["accuracy"], rows["accuracy"])
    spent = pd.read_csv(place / "run/where-the-time-went.csv").groupby("line").percent.sum()
    np.testing.assert_allclose(spent, 100.0)
    (tmp_path / "file").write_text("")
    for more in (("--figures", tmp_path / "file"), ("--format", "pdf"), ("--paper=new",)):
        outcome = leomix("report", own, "-o", tmp_path / "run.html", *more)
        assert (outcome.status, outcome.err.count("\n")) == (2, 1)
        assert more[0].partition("=")[0] in outcome.err


def test_points_that_failed_are_listed_and_a_sweep_beside_a_run_is_its_points(
    leomix, sweep, runs, tmp_path
):
    page = Seen(report([sweep, runs["slots"]], tmp_path / "c.html"))
    assert len(page.tables["runs-1"]) == 1 + 12 + 1
    shutil.copytree(sweep, tmp_path / "sweep")
    rows = pq.read_table(sweep / "sweep.parquet")
    values = rows.to_pylist()
    values[0] |= {"status": "failed", "error": "its <disk> is full"}
    pq.write_table(pa.Table.from_pylist(values, rows.schema), tmp_path / "sweep/sweep.parquet")
    page = Seen(report([tmp_path / "sweep"]))
    assert "failed: its <disk> is full" in page.sections["failed"]
    assert "11 of 12 points are complete." in page.text
    into = ("-o", tmp_path / "c.html", "--figures", tmp_path / "figures")
    told = leomix("report", tmp_path / "sweep", runs["slots"], *into)
    assert told.err.count(f"warning: {tmp_path / 'sweep'}: 11 of 12 points are complete") == 1


@pytest.mark.wide
@pytest.mark.parametrize("steps", ["0.1", "0.1,0.2"])
def test_a_sweep_of_one_complete_point_that_trained_has_a_page(leomix, tmp_path, steps):
    """One point, or two of which one failed: nothing stands side by side."""
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(SLOTS))
    out = tmp_path / "swept"
    line = (tmp_path / "s.yaml", "-p", f"learning.step_size={steps}", "--quiet", "-o", out)
    assert leomix("sweep", *line, "--set", "stop.cycles=2").status == 0
    rows = pq.read_table(out / "sweep.parquet")
    values = rows.to_pylist()
    for row in values[1:]:
        row |= {"status": "failed", "error": "its disk is full"}
    pq.write_table(pa.Table.from_pylist(values, rows.schema), out / "sweep.parquet")
    page = Seen(report([out]))
    assert ("failed" in page.sections) == (len(values) > 1)
    assert "curves" not in page.sections


def changed(run, folder, **said):
    shutil.copytree(run, folder, ignore=shutil.ignore_patterns("report.html"))
    (folder / "manifest.json").write_text(json.dumps(read_manifest(run) | said))
    return without_checksums(folder)


def test_a_run_that_failed_before_anything_happened_says_so(runs, tmp_path):
    checks = [{"code": "failed", "sentence": "Failed after 0.00 days: no <more>", "key": None}]
    wrong = {"status": "failed", "simulated_s": 0.0, "checks": checks}
    folder = changed(runs["slots"], tmp_path / "r", **wrong)
    for name in ("transfers", "events", "metrics", "assignments", "updates"):
        empty = pq.read_table(folder / f"{name}.parquet").slice(0, 0)
        pq.write_table(empty, folder / f"{name}.parquet")
    page = Seen(report([folder]))
    assert "Failed after 0.00 days: no &lt;more&gt;" in page.text
    assert {*page.sections} == {"summary", "figures", "time", "clients", "scenario"}


def test_only_reports_are_written_over_and_only_runs_are_reported(
    leomix, runs, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    own = runs["slots"]
    mine = tmp_path / "mine.html"
    killed = tmp_path / "killed"
    assert leomix("report", own, runs["orbit-timing"]).out == "report.html\n"
    assert leomix("report", own, "-o", "report.html").status == 0
    mine.write_text("<p>my notes</p>")
    (tmp_path / "folder.html").mkdir()
    (killed / "checkpoint").mkdir(parents=True)
    broken = changed(own, tmp_path / "broken")
    (broken / "events.parquet").write_bytes(b"PAR1")
    for words, text in (
        ((own, "-o", mine), "is there already"),
        ((own, "-o", tmp_path / "folder.html"), "is a folder"),
        ((own, "-o", tmp_path / "r.txt"), "must end in .html"),
        ((own, "-o", tmp_path / "no" / "r.html"), "make it first"),
        ((own, "-o", tmp_path / f"{'r' * 250}.html"), "File name too long"),
        ((killed,), f"finish it: leomix run SCENARIO --resume -o {killed}"),
        ((broken,), "events.parquet: cannot be read"),
    ):
        outcome = leomix("report", *words)
        assert (outcome.status, outcome.err.count("\n")) == (2, 1)
        assert text in outcome.err
    assert not list(tmp_path.glob("*/report.html"))
    assert mine.read_text() == "<p>my notes</p>"


def test_validation_has_curves_of_its_own(tmp_path):
    learning = {"data": {"validation": 0.2}}
    said = merged(SLOTS, {"learning": learning, "stop": {"cycles": 2}})
    sim.run(scenarios.from_dict(said), tmp_path / "run")
    chart = Seen(report([tmp_path / "run"])).data("measures")
    rows = pd.read_parquet(tmp_path / "run" / "metrics.parquet").query("scope == 'global'")
    for measure in ("accuracy", "validation_accuracy", "validation_loss"):
        view = next(one for one in chart["views"] if one["measure"] == measure)
        np.testing.assert_allclose(view["curves"][0]["mean"], rows[measure], rtol=1e-5)


def test_folded_pictures_show_the_rows_of_the_tables(runs, pages):
    """Samples as numbers in fields; no picture twice."""
    page = pages["slots"]
    [clients] = (s for s in page.tree.iter("section") if s.get("id") == "clients")
    written = [
        text.text for text in clients.iter("text") if (text.get("fill") or "")[:8] == "var(--on"
    ]
    table = pq.read_table(runs["slots"] / "clients.parquet").to_pandas()
    assert sorted(map(int, written)) == sorted(table["samples"][table["samples"] > 0])
    for one in pages.values():
        shapes = [
            tuple(path.get("d") for path in drawing.iter("path"))
            for drawing in one.tree.iter("svg")
            if drawing.get("role") == "img"
        ]
        assert len(set(shapes)) == len(shapes) > 1


@pytest.mark.wide
@pytest.mark.parametrize("name", ["flystack", "flystack-isl", "iridium-isl"])
def test_the_page_of_a_shipped_constellation_is_small(tmp_path, name):
    """A week of a hundred satellites as it is shipped, without training as all of these."""
    sim.run(scenarios.load(name, {"learning.train": False}), tmp_path / "run")
    page = Seen(report([tmp_path / "run"]))
    assert len(page.text) < 400_000
