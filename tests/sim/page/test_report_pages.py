"""`leomix report`: what the page says is what the folders hold, and it opens without a network.

Also in notebooks, and of what is not finished.
"""

import base64
import hashlib
import html
import json
import re
import shutil
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import yaml
from scipy import stats

import scenarios
import sim
from sim.page import report
from sim.sweep import read_sweep
from statements import Code, Statement, as_json
from tests.kit.folders import without_checksums
from tests.kit.handmade import tables_of
from tests.kit.inner.sim import (
    asked,
    chart_of,
    data_of,
    first_days,
    portable,
    read_manifest,
    shares_of_groups,
    under_one_sky,
)
from tests.kit.small import SLOTS, merged, slots
from tests.kit.sweep_place import by_hand

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
    wanted = {"slots": "slots", "orbit": "orbit-timing", "nmoe": "nmoe"}
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
        Statement.doubt(Code.NEVER_REACHED, "", "nothing came of it"),
    ]
    told = {"said": [*map(as_json, said)], "warnings": [*map(str, said)]}
    folder = changed(runs["slots"], tmp_path / "run", **told)
    shown = (leomix("show", folder, "--all"), leomix("compare", folder))
    summary = Seen(report([folder])).sections["summary"].lower()
    for text in (*(done.err for done in shown), summary):
        places = [text.index(str(one)) for one in said[::-1]]
        assert places == sorted(places)


def test_the_curve_of_a_page_is_that_of_the_metrics_to_six_digits(runs, pages):
    rows = runs.result("slots").metrics.query("scope == 'global'")
    data = pages["slots"].data("views")
    seconds = {"minute": 60.0, "hour": 3600.0, "day": 86400.0}[data["unit"]]
    views = {(view["measure"], view["over"], view["part"]): view for view in data["views"]}
    for what in ("accuracy", "loss"):
        [line] = views[what, "time", "all"]["curves"]
        np.testing.assert_allclose(line["mean"], rows[what], rtol=5e-6)
        np.testing.assert_allclose(line["x"], rows.time_s / seconds, rtol=5e-6)
        assert line["seeds"] == 1 and "band" not in line
        [line] = views[what, "cycle", "all"]["curves"]
        assert line["x"] == sorted(set(rows.cycle)) == [0, 1, 2, 3]


def seeds_of(result, count, accuracies):
    """Runs of the seeds from 1 on, whose final accuracies are given: a group of a comparison."""
    runs = []
    for seed, final in zip(range(1, count + 1), accuracies, strict=False):
        ends = zip((0.0, 600.0), (0.1, final), strict=True)
        rows = [
            {"time_s": t, "cycle": int(t > 0), "scope": "global", "accuracy": a} for t, a in ends
        ]
        tables = {**result.tables, "metrics": tables_of(metrics=rows)["metrics"]}
        manifest = {**result.manifest, "seed": seed, "simulated_s": 900.0}
        runs.append(sim.Result(tables, manifest))
    return runs


@pytest.mark.parametrize("count", [2, 4, 5, 6])
def test_the_band_of_a_chart_is_the_range_and_from_five_seeds_on_the_interval(runs, count):
    finals = [0.5, 0.62, 0.57, 0.7, 0.55, 0.66][:count]
    chart = chart_of({"it": seeds_of(runs.result("slots-timing"), count, finals)})
    view = next(view for view in data_of(chart)["views"] if view["measure"] == "accuracy")
    [line] = view["curves"]
    ends = min(finals), max(finals)
    if count >= 5:
        ends = stats.t.interval(0.95, count - 1, np.mean(finals), stats.sem(finals))
    assert line["band"] == ("95 %" if count >= 5 else "range")
    assert (line["low"][-1], line["high"][-1]) == pytest.approx(ends, rel=1e-5)
    assert line["mean"][-1] == pytest.approx(np.mean(finals), rel=1e-5)
    assert (len(line["each"]), line["seeds"]) == (count, count)


def test_a_target_of_a_chart_has_the_first_time_of_each_seed_that_reached_it(runs):
    """As its summary says: the first evaluation at it, also of an instant or a cycle of several."""
    result = runs.result("slots-timing")
    first, *others = seeds_of(result, 3, [0.5, 0.6, 0.62])
    again = [(600.0, 1, 0.7), (600.0, 1, 0.5), (900.0, 2, 0.5)]
    rows = [
        {"time_s": t, "cycle": n, "scope": "global", "accuracy": a}
        for t, n, a in ((0.0, 0, 0.1), *again)
    ]
    tables = {**result.tables, "metrics": tables_of(metrics=rows)["metrics"]}
    fell_again = sim.Result(tables, first.manifest)
    data = data_of(chart_of({"it": [first, *others, fell_again]}, [0.6, 0.9], 0.6))
    assert [*data["targets"]] == ["0.60"] and data["target"] == "0.60"
    reached = data["targets"]["0.60"]
    assert (reached["time"], reached["cycle"]) == ([[0, 10]] * 3, [[0, 1]] * 3)  # minutes


def test_the_shares_of_a_group_are_the_means_of_those_of_its_runs(runs):
    """One run waits a quarter of its only cycle and trains the rest, the other three quarters."""

    def run(begin_s):
        about = {"cluster": "A", "device": 0, "rounds": 1}
        ends = ((begin_s, "train_start"), (100.0, "train_end"), (100.0, "disconnect"))
        events = [about | {"time_s": time_s, "kind": kind} for time_s, kind in ends]
        metrics = [{"time_s": 100.0, "cycle": 1, "scope": "global"}]
        tables = tables_of(events=events, metrics=metrics)
        return sim.Result(tables, {"method": "", "simulated_s": 100.0})

    found = shares_of_groups({"a": [run(25.0), run(75.0)], "b": [run(0.0)]})
    shares = {
        label: {str(part): own for part, own in each.items()} for label, each in found.items()
    }
    assert shares["a"]["training"] == pytest.approx(0.5)
    assert shares["a"]["waiting for a pass"] == pytest.approx(0.5)
    assert shares["b"]["training"] == 1.0


@pytest.mark.parametrize(("contacts", "transfers", "days"), [(200, 220, None), (500, 340, 5.0)])
def test_a_timeline_shows_as_much_of_a_run_as_a_reader_can_tell_apart(
    runs, contacts, transfers, days
):
    """About 420 bars: of 840 in ten days those of five."""
    result = runs.result("slots-timing")
    seen = {"contact_id": 0, "cluster": "A", "rise_s": 1.0, "set_s": 2.0, "served": False}
    moved = {"cluster": "A", "direction": "uplink", "payload": "gate", "payload_bytes": 1.0}
    own = tables_of(contacts=[seen] * contacts, transfers=[moved] * transfers)
    tables = {**result.tables, **{name: own[name] for name in ("contacts", "transfers")}}
    long = sim.Result(tables, {**result.manifest, "simulated_s": 10 * 86400.0})
    assert first_days(long) == days


@pytest.mark.parametrize(
    ("count", "said"), [(3, "1, 2, 3"), (12, ", 11, 12"), (15, "1, 2, 3 ... 15 (15 values)")]
)
def test_a_page_names_the_values_of_a_key_and_of_many_both_ends(tmp_path, count, said):
    points = [({"stop.cycles": n}, 1, {"cycles": n}) for n in range(1, count + 1)]
    rows = dict(asked(read_sweep(by_hand(tmp_path, points))))
    text = rows["stop.cycles (varied)"]
    assert text == said if count != 12 else text.endswith(said) and text.count(",") == 11
    assert len(rows["sweep sha256"]) == 64


def test_groups_are_replayed_by_runs_of_the_seed_that_most_of_them_have(runs):
    result = runs.result("slots-timing")
    seeds = {"a": (1, 2), "b": (3, 2), "c": (2, 4), "d": (5,)}
    groups = {
        label: [sim.Result(result.tables, {**result.manifest, "seed": n}) for n in own]
        for label, own in seeds.items()
    }
    shown = under_one_sky(groups)
    assert {label: run.manifest["seed"] for label, run in shown.items()} == dict.fromkeys("abc", 2)


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
    assert [row[0] for row in page.tables["time-5"]] == ["cluster", ODD, "B"]
    assert ODD in page.sections["summary"]
    assert ODD not in page.text


def test_the_summary_is_that_of_show(leomix, runs, pages):
    facts = re.sub(r"\s+", " ", pages["slots"].sections["figures"])
    headline, *lines, _ = leomix("show", runs["slots"], "--all").out.splitlines()
    assert headline in [f"{title}." for title in pages["slots"].held("title")]
    place = next(n for n, line in enumerate(lines) if line.startswith("method"))
    said, figures = " ".join(lines[:place]), lines[place:]
    assert said in [" ".join(text.split()) for text in pages["slots"].held("p")]
    for line in figures:
        assert " ".join(line[15:].split()) in facts


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


@pytest.mark.wide
def test_of_many_clusters_the_page_is_small_and_says_what_is_summed_up(runs, tmp_path):
    folder = stretched(runs["slots"], tmp_path / "run")
    axes = sim.load(folder).plot.timeline()
    assert len(axes.patches) <= 4 * 120
    assert axes.get_ylabel() == "2000 clusters, up to 17 in a lane"
    page = Seen(report([folder], tmp_path / "page.html"))
    rows = page.tables["time-5"]
    assert len(rows) <= 510 and "1500 other clusters together" in rows[501][0]
    assert len(list(page.tree.iter())) < 25_000


def test_figures_of_networked_experts_and_alignment_stand_among_all_figures(leomix, runs, pages):
    """Those of show are on the page, too: see above."""
    page = pages["nmoe"]
    assert [*page.sections][-2:] == ["gating", "scenario"]
    answers = pq.read_table(runs["nmoe"] / "inferences.parquet").to_pandas()
    assert f"{answers.samples.sum()} samples: " in page.sections["figures"]
    fitness = runs.result("aligned").summary["alignment"]["fitness_mean"]
    assert f"mean {fitness:.3f}" in leomix("show", runs["aligned"], "--all").out


def test_several_runs_are_compared_as_compare_does(runs, tmp_path):
    folders = [runs[name] for name in ("slots-synchronous", "slots", "slots-enhanced")]
    page = Seen(report(folders, tmp_path / "c.html"))
    assert [*page.sections] == ["curves", "summary", "replay", "rows", "time", "runs"]
    [heads, *rows] = page.tables["rows-1"]
    assert heads[:3] == ["final accuracy", "seeds", "mean"]
    found = sim.compare(folders).by("accuracy_final")
    for own, row in zip(found.itertuples(), rows, strict=True):
        assert row[:2] == [own.group, str(own.seeds)]
        assert row[2].startswith(f"{own.mean:.3f}") and row[-1] == own.verdict
    assert len(page.tables["runs-1"]) == 1 + len(folders)


@pytest.fixture
def sweep(leomix, runs):
    """Of six points."""

    def make(folder):
        folder.mkdir()
        scenario = folder / "s.yaml"
        varied = "orbit.slots.idle=0:2:1"
        scenario.write_text(yaml.safe_dump(merged(SLOTS, {"learning": {"train": False}})))
        line = [scenario, "-p", varied, "-p", "learning.method=synchronous,emsfl", "--quiet"]
        assert leomix("sweep", *line, "-o", folder / "sweep").status == 0

    return runs.made("sweep-of-six", make) / "sweep"


def edited(sweep, folder, edit):
    """A copy of a sweep of which some rows say something else."""
    shutil.copytree(sweep, folder)
    rows = pq.read_table(folder / "sweep.parquet")
    values = rows.to_pylist()
    for number, row in enumerate(values):
        row |= edit(number) or {}
    pq.write_table(pa.Table.from_pylist(values, rows.schema), folder / "sweep.parquet")
    return folder


def test_over_a_number_the_page_begins_with_the_curve_of_what_the_sweep_is_judged_by(
    sweep, tmp_path
):
    """With a line a name, in the page's colours and without a style that its policy forbids."""

    def cycles(number):  # slots of idling, two methods
        return {"cycles": 10 + number // 2, "contacts_served": number % 2}

    page = Seen(report([edited(sweep, tmp_path / "sweep", cycles)]))
    assert page.held("h1") == ["Most cycles: 12 at idle 2 with synchronous and emsfl"]
    assert {"numbers", "values", "rows", "time", "scenario"} <= {*page.sections}
    assert "failed" not in page.sections
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
def test_points_that_failed_are_listed_and_a_sweep_beside_a_run_is_its_points(
    leomix, sweep, runs, tmp_path
):
    full = {"status": "failed", "error": "its <disk> is full"}
    failed = edited(sweep, tmp_path / "sweep", lambda number: full if number > 1 else None)
    page = Seen(report([failed]))
    assert page_in(read_sweep(failed)._repr_html_()) == page.text
    assert "failed: its <disk> is full" in page.sections["failed"]
    assert "2 of 6 points are complete." in page.text
    into = ("-o", tmp_path / "c.html", "--figures", tmp_path / "figures")
    told = leomix("report", failed, runs["slots"], *into)
    assert told.err.count(f"warning: {failed}: 2 of 6 points are complete") == 1
    assert len(Seen(tmp_path / "c.html").tables["runs-1"]) == 1 + 2 + 1


@pytest.mark.wide
@pytest.mark.parametrize("steps", ["0.1", "0.1,0.2"])
def test_a_sweep_of_one_complete_point_that_trained_has_a_page(leomix, tmp_path, steps):
    """One point, or two of which one failed: nothing stands side by side."""
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(SLOTS))
    line = (tmp_path / "s.yaml", "-p", f"learning.step_size={steps}", "--quiet")
    short = ("--set", "stop.cycles=2", "-o", tmp_path / "swept")
    assert leomix("sweep", *line, *short).status == 0
    full = {"status": "failed", "error": "its disk is full"}
    out = edited(tmp_path / "swept", tmp_path / "copy", lambda number: full if number else None)
    page = Seen(report([out]))
    assert ("failed" in page.sections) == ("," in steps)
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


def test_only_runs_are_reported_and_only_to_pages(leomix, runs, tmp_path):
    own = runs["slots"]
    mine = tmp_path / "mine.txt"
    killed = tmp_path / "killed"
    mine.write_text("my notes")
    (tmp_path / "folder.html").mkdir()
    (killed / "checkpoint").mkdir(parents=True)
    broken = changed(own, tmp_path / "broken")
    (broken / "events.parquet").write_bytes(b"PAR1")
    for words, text in (
        ((own, "-o", tmp_path / "folder.html"), "is a folder"),
        ((own, "-o", tmp_path / "r.txt"), "must end in .html"),
        ((own, "-o", tmp_path / "no" / "r.html"), "make it first"),
        ((own, "-o", tmp_path / "r.html", "--figures", mine), "--figures"),
        ((killed,), f"finish it: leomix run SCENARIO --resume -o {killed}"),
        ((broken,), "events.parquet: cannot be read"),
    ):
        outcome = leomix("report", *words)
        assert (outcome.status, outcome.err.count("\n")) == (2, 1)
        assert text in outcome.err
    assert not list(tmp_path.glob("*/report.html"))
    assert mine.read_text() == "my notes"


def test_no_page_of_another_program_is_written_over_and_a_report_is(leomix, runs, tmp_path):
    """Also not one that speaks of reports of leomix, or says far below who made it."""
    mark = '<meta name="generator" content="leomix report">'
    page = "<!DOCTYPE html>\n<html lang=en><head><meta charset=utf-8>{}<title>mine</title></html>"
    for number, text in enumerate(
        (
            page.format('<meta name="generator" content="another program">'),
            page.format("") + "<p>see the leomix report</p>",
            page.format(" " * 1000 + mark),
            "",
        )
    ):
        path = tmp_path / f"{number}.html"
        path.write_text(text)
        done = leomix("report", runs["slots-timing"], "-o", path)
        assert (done.status, done.err.count("\n"), path.read_text()) == (2, 1, text)
        assert "is there already" in done.err
    path.write_text(page.format(mark))
    assert leomix("report", runs["slots-timing"], "-o", path).status == 0
    assert "mine" not in path.read_text() and mark in path.read_text()[:512]


@pytest.mark.wide
@pytest.mark.parametrize("name", ["flystack", "iridium-isl"])
def test_the_page_of_a_shipped_constellation_is_small(tmp_path, name):
    """A week of a hundred satellites as it is shipped, without training as all of these."""
    sim.run(scenarios.load(name, {"learning.train": False}), tmp_path / "run")
    page = Seen(report([tmp_path / "run"]))
    assert len(page.text) < 400_000


# -- in notebooks


def page_in(frame):
    assert frame.startswith("<iframe title=")
    assert 'sandbox="allow-scripts"' in frame
    return html.unescape(re.search(r'srcdoc="([^"]*)"', frame)[1])


def test_comparisons_show_the_page_of_the_report_in_a_frame(runs, tmp_path):
    pair = [runs["slots"].resolve(), runs["slots-synchronous"].resolve()]
    found = sim.compare(pair)
    assert page_in(found._repr_html_()) == report(pair, tmp_path / "compared.html").read_text()
    assert "folders" not in repr(found) and json.dumps(dict(found))
    alone = sim.load(pair[0]).compared
    assert page_in(alone._repr_html_()).startswith("<!DOCTYPE html>")
    in_memory = sim.run(slots(learning={"train": False}))
    assert in_memory.compared._repr_html_() is None


def test_a_comparison_of_folders_that_are_gone_shows_itself_as_text(runs, tmp_path):
    found = sim.compare([runs.copy("slots", tmp_path)])
    shutil.rmtree(found.folders[0])
    assert found._repr_html_() is None


# -- of what is not finished

TIMING = {"learning": {"train": False}}


def test_the_page_of_an_interrupted_run_says_first_how_far_it_is(runs, tmp_path):
    place = runs.copy("stopped", tmp_path)
    page = report([place]).read_text()
    days = sim.load(place).manifest["simulated_s"] / 86400
    assert f"<h1>Interrupted at {days:.2f} days, cycle 1 of 3; " in page


def test_the_page_of_a_sweep_that_goes_on_is_of_its_complete_points(leomix, sweep, tmp_path):
    """Also of those whose rows are not yet written; before the first it is refused in a line."""
    place = tmp_path / "sweep"
    shutil.copytree(sweep, place)
    (place / "sweep.parquet").unlink()
    swept = read_sweep(place)
    assert swept.rows.equals(read_sweep(sweep).rows)
    assert "held_back" not in sim.load(swept.folders[0]).manifest  # no remedies are tried of points
    shutil.rmtree(swept.folders[1])
    page = report([place]).read_text()
    assert "5 of 6 points are complete." in page[: page.index("<main>")]
    shutil.rmtree(place / "points")
    refused = leomix("report", place)
    assert (refused.status, refused.err.count("\n")) == (2, 1)
    assert "none of the sweep's points has ended yet; wait for the first" in refused.err
