"""`leomix report`: what the page says is what the folders hold, and it opens without a network."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

import scenarios
from sim.reports import report
from tests.kit.network import portable
from tests.kit.records import read_manifest, read_tables
from tests.kit.results import compare, critical_path, spans
from tests.kit.small import SLOTS, merged
from tests.runs import Runs

SWEPT = merged(SLOTS, {"learning": {"train": False}})
VOID = {"meta", "link", "img", "br", "input", "hr"}
ODD = "</script><b>A&B</b>"
ROUNDING_S = 1e-6
"""Of sums of times that are whole numbers in the page."""
RUN_SECTIONS = [
    *("summary", "accuracy", "timeline", "map", "contact", "assignment", "time", "scenario"),
]


class Seen(HTMLParser):
    """What a browser makes of a page: a tree, and what is read off it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._builder = ElementTree.TreeBuilder()
        self.feed(text)
        self.close()
        self.tree = self._builder.close()
        assert self._last is self.tree, "something is still open"
        self.tags = [(element.tag, element.attrib) for element in self.tree.iter()]
        self.ids = [given["id"] for _, given in self.tags if "id" in given]
        self.sections = {s.get("id", ""): "".join(read(s)) for s in self.tree.iter("section")}
        self.tables = {
            table.get("aria-labelledby", ""): [
                ["".join(cell.itertext()) for cell in row] for row in table.iter("tr")
            ]
            for table in self.tree.iter("table")
        }

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._builder.start(tag, {key: value or "" for key, value in attrs})
        if tag in VOID:
            self._builder.end(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            self._last = self._builder.end(tag)
            assert self._last.tag == tag

    def handle_data(self, data: str) -> None:
        self._builder.data(data)

    def held(self, tag: str) -> list[str]:
        """The text of all elements of a kind."""
        return [element.text or "" for element in self.tree.iter(tag)]

    @property
    def bars(self) -> dict[str, Any]:
        """The data of the timeline."""
        data: dict[str, Any] = json.loads(self.held("script")[0])
        return data


def read(element: ElementTree.Element) -> Iterator[str]:
    """The text that a reader sees in an element."""
    if element.tag not in ("script", "style"):
        yield element.text or ""
        for inner in element:
            yield from read(inner)
            yield inner.tail or ""


def seen(path: Path) -> Seen:
    return Seen(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def pages(runs: Runs, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Seen]:
    place = tmp_path_factory.mktemp("pages")
    wanted = {"slots": "slots", "orbit": "orbit-timing", "nmoe": "nmoe", "aligned": "aligned"}
    made = {name: report([runs[run]], place / f"{name}.html") for name, run in wanted.items()}
    return {name: seen(path) for name, path in made.items()}


@pytest.mark.parametrize("name", ["slots", "orbit"])
def test_a_page_has_every_section_fetches_nothing_and_runs_what_is_hashed(
    pages: dict[str, Seen], name: str
) -> None:
    page = pages[name]
    assert list(page.sections) == RUN_SECTIONS
    assert len(set(page.ids)) == len(page.ids)
    local = [given.get("href", "") for _, given in page.tags]
    wanted = {target[1:] for target in local if target.startswith("#")}
    wanted |= set(re.findall(r"url\(#([^)]+)\)", " ".join(str(given) for _, given in page.tags)))
    assert wanted <= set(page.ids)
    assert f"#{RUN_SECTIONS[0]}" in local
    for tag, given in page.tags:
        assert "style" not in given, tag
        assert not [key for key in given if key.startswith("on")], tag
        for key in ("src", "href", "xlink:href", "action"):
            assert (given.get(key) or "#").startswith(("#", "data:")), (tag, given)
        assert not re.search(r"url\((?!#)", " ".join(str(v) for v in given.values()))
    [style] = page.held("style")
    assert "@import" not in style
    assert "url(" not in style
    [policy] = [
        str(given["content"])
        for tag, given in page.tags
        if tag == "meta" and given.get("http-equiv") == "Content-Security-Policy"
    ]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["style-src"] == f"'{sha256(style)}'"
    code = [
        text
        for text, given in zip(page.held("script"), of_tag(page, "script"), strict=True)
        if given.get("type") != "application/json"
    ]
    assert [rules["script-src"]] == [f"'{sha256(text)}'" for text in code]


def of_tag(page: Seen, name: str) -> list[dict[str, str]]:
    return [given for tag, given in page.tags if tag == name]


def sha256(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def test_names_stay_text(runs: Runs, tmp_path: Path) -> None:
    """Scenarios refuse such names of clusters; satellites may have them, and tables from others."""
    folder = changed(runs["slots"], tmp_path / "<i>r", name=ODD, warnings=[ODD])
    for path in folder.glob("*.parquet"):
        table = pq.read_table(path)
        rows = table.to_pylist()
        for row in rows:
            row |= {k: ODD for k in ("cluster", "satellite") if row.get(k) in ("A", "slots")}
        pq.write_table(pa.Table.from_pylist(rows, table.schema), path)
    page = seen(report([folder]))
    assert not of_tag(page, "b")
    assert not of_tag(page, "i")
    assert ODD in [lane["name"] for lane in page.bars["lanes"]]
    assert ODD in page.bars["says"]
    assert [row[0] for row in page.tables["time-3"]] == ["", ODD, "B", "critical path"]
    assert ODD in page.sections["summary"]
    assert ODD not in (folder / "report.html").read_text()


def test_the_summary_is_that_of_show(leomix, runs: Runs, pages: dict[str, Seen]) -> None:
    shown = json.loads(leomix("show", runs["slots"], "--json").out)
    text = pages["slots"].sections["summary"]
    assert f"{shown['accuracy_start']:.3f} to {shown['accuracy_final']:.3f} accuracy" in text
    assert f"{shown['contacts_served']} of {shown['contacts']} contacts served" in text
    assert f"{shown['cycles']} complete cycles" in text
    lines = leomix("show", runs["slots"]).out.splitlines()
    facts = re.sub(r"\s+", " ", text)
    for line in lines:
        assert " ".join(line[15:].split()) in facts


def test_what_held_a_run_back_is_the_largest_part_of_its_critical_path(
    runs: Runs, pages: dict[str, Seen]
) -> None:
    manifest, tables = read_manifest(runs["orbit-timing"]), read_tables(runs["orbit-timing"])
    spent = asdict(critical_path(tables, manifest["simulated_s"]).spent)
    said = {
        "waiting_s": "it waited for contacts",
        "training_s": "it trained",
        "queueing_s": "it queued for a beam, a channel or synchronisation",
        "transmitting_s": "it transmitted",
    }
    most = max(spent, key=lambda part: spent[part])
    text = f"{said[most]} for {spent[most] / sum(spent.values()):.1%} of the time"
    assert text in pages["orbit"].sections["summary"]
    # Devices of that run train as long as there is no contact: quicker ones would not help.
    assert most == "training_s"
    assert "nothing limits the rounds between contacts" in pages["orbit"].sections["summary"]
    # Parts that do not suit a run say why they are empty.
    slots_, orbit_ = pages["slots"].sections, pages["orbit"].sections
    assert "orbit.source 'slots'" in slots_["map"]
    assert "orbit.source is 'slots'" in slots_["contact"]
    assert "simulated the timing only" in orbit_["accuracy"]
    assert "Only the timing was simulated" in orbit_["summary"]


def test_the_scenario_on_the_page_is_that_of_the_run_and_bytes_repeat(
    runs: Runs, pages: dict[str, Seen], tmp_path: Path
) -> None:
    for out in ("one.html", "two.html"):
        report([runs["orbit-timing"]], tmp_path / out)
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()
    assert (tmp_path / "one.html").stat().st_size < 2e6
    [said] = pages["orbit"].held("pre")
    manifest = read_manifest(runs["orbit-timing"])
    assert portable(scenarios.from_dict(yaml.safe_load(said))) == manifest["scenario"]
    for key in ("identity", "trace_sha256", "timing_sha256"):
        assert manifest[key] in pages["orbit"].sections["scenario"]


def bars_of(page: Seen, kind: str) -> pd.DataFrame:
    """Bars as the page's script reads them: cluster, begin and end in seconds, count."""
    data, rows, cluster = page.bars, [], ""
    for lane in data["lanes"]:
        cluster = cluster if lane["level"] else lane["name"]
        bars = lane["bars"].get(kind, {"begin": [], "length": [], "says": []})
        begin_s = pd.Series(bars["begin"], dtype=float).cumsum() * data["unit_s"]
        length_s = pd.Series(bars["length"], dtype=float) * data["unit_s"]
        count = bars.get("count", [1] * len(begin_s))
        said = [data["says"][number] for number in bars["says"]]
        parts = {"cluster": cluster, "begin_s": begin_s, "end_s": begin_s + length_s}
        rows.append(pd.DataFrame({**parts, "count": count, "says": said}))
    return pd.concat(rows, ignore_index=True)


def test_bars_are_the_rows_of_the_tables(runs: Runs, pages: dict[str, Seen]) -> None:
    tables = {name: table.to_pandas() for name, table in read_tables(runs["orbit-timing"]).items()}
    end_s = read_manifest(runs["orbit-timing"])["simulated_s"]
    contacts = tables["contacts"].query("rise_s < @end_s")
    served = contacts[contacts["served"]]
    for kind, rows, begin, end in (
        ("view", contacts, "rise_s", "set_s"),
        ("served", served, "service_start_s", "service_end_s"),
        ("uplink", tables["transfers"].query("direction == 'uplink'"), "start_s", "end_s"),
        ("downlink", tables["transfers"].query("direction == 'downlink'"), "start_s", "end_s"),
    ):
        bars = bars_of(pages["orbit"], kind)
        assert len(rows) > 10
        for cluster, mine in rows.groupby("cluster"):
            shown = bars[bars["cluster"] == cluster]
            pd.testing.assert_series_equal(
                shown["begin_s"].sort_values(ignore_index=True),
                mine[begin].sort_values(ignore_index=True),
                check_names=False,
                rtol=0,
                atol=spans.UNIT_S,
            )
            longest_s = (shown["end_s"] - shown["begin_s"]).sum()
            lasted_s = (mine[end].clip(upper=end_s) - mine[begin]).sum()
            assert abs(longest_s - lasted_s) <= spans.UNIT_S * len(mine)
    # Training: all ends less all starts, no matter which end belongs to which start.
    bars, events = bars_of(pages["orbit"], "training"), tables["events"]
    starts, ends = (events[events["kind"] == kind] for kind in ("train_start", "train_end"))
    assert len(bars) == len(starts) > 10
    trained_s = (bars["end_s"] - bars["begin_s"]).sum()
    lasted_s = ends["time_s"].sum() - starts["time_s"].sum()
    assert trained_s == pytest.approx(lasted_s, abs=spans.UNIT_S * len(bars))


def test_too_many_bars_are_joined_none_is_lost_and_many_devices_share_a_lane(
    runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pages: dict[str, Seen]
) -> None:
    whole = pages["orbit"]
    monkeypatch.setattr(spans, "MOST_BARS", 100)
    few = seen(report([runs["orbit-timing"]], tmp_path / "few.html"))
    apart = re.search(r"[Bb]ars less than (\S+) s apart are joined", few.sections["timeline"])
    assert apart is not None
    total = 0
    for kind in whole.bars["kinds"]:
        before, after = bars_of(whole, kind), bars_of(few, kind)
        total += len(after)
        assert after["count"].sum() == len(before)
        assert before["begin_s"].min() == after["begin_s"].min()
        assert before["end_s"].max() == after["end_s"].max()
        inside = [
            (
                (mine["begin_s"] <= bar.begin_s + ROUNDING_S)
                & (bar.end_s <= mine["end_s"] + ROUNDING_S)
            ).any()
            for bar in before.itertuples()
            for mine in [after[after["cluster"] == bar.cluster]]
        ]
        assert all(inside)
    assert total <= 100
    monkeypatch.setattr(spans, "MOST_DEVICE_LANES", 3)
    page = seen(report([runs["orbit-timing"]], tmp_path / "lanes.html"))
    names = [lane["name"] for lane in page.bars["lanes"]]
    assert names == ["North", "all devices", "South", "all devices"]
    assert "share a lane" in page.sections["timeline"]


def test_networked_experts_and_alignment_have_their_own_sections(
    leomix, runs: Runs, pages: dict[str, Seen]
) -> None:
    page = pages["nmoe"]
    assert [*page.sections][-3:] == ["gating", "inference", "scenario"]
    answers = pq.read_table(runs["nmoe"] / "inferences.parquet").to_pandas()
    rows = {row[0]: row[1:] for row in page.tables["inference-1"]}
    assert rows[""] == ["all", "A", "B"]
    counts = answers.groupby("cluster")["samples"].sum()
    assert rows["samples"] == [str(n) for n in (counts.sum(), counts["A"], counts["B"])]
    assert len(of_tag(page, "svg")) >= 4
    shown = json.loads(leomix("show", runs["aligned"], "--json").out)["alignment"]
    assert f"mean {shown['fitness_mean']:.3f}" in pages["aligned"].sections["alignment"]


def test_several_runs_are_compared_as_compare_does(leomix, runs: Runs, tmp_path: Path) -> None:
    folders = [runs[name] for name in ("slots-synchronous", "slots", "slots-enhanced")]
    outcome = leomix("report", *folders, "-o", tmp_path / "c.html")
    assert (outcome.status, outcome.out) == (0, f"{tmp_path / 'c.html'}\n")
    page = seen(tmp_path / "c.html")
    assert [*page.sections] == ["summary", "groups", "ratios", "accuracy", "time", "runs"]
    comparison = compare(folders)
    [heads, *rows] = page.tables["groups-1"]
    final = heads.index("final accuracy")
    for group, row in zip(comparison["groups"], rows, strict=True):
        assert row[0] == group["label"]
        assert row[1] == str(group["runs"])
        assert row[final].startswith(f"{group['accuracy_final']['median']:.3f}")
    assert len(page.tables["runs-1"]) == 1 + len(folders)
    assert not of_tag(page, "b")


@pytest.fixture
def sweep(leomix, runs: Runs) -> Path:
    """Of twelve points: six of keys, two seeds each."""

    def make(folder: Path) -> None:
        folder.mkdir()
        (folder / "s.yaml").write_text(yaml.safe_dump(SWEPT))
        line = ["-p", "orbit.slots.idle=0:2:1", "-p", "learning.method=synchronous,emsfl"]
        more = ["--replications", "2", "-o", folder / "sweep", "--quiet"]
        assert leomix("sweep", folder / "s.yaml", *line, *more).status == 0

    return runs.made("sweep-of-twelve", make) / "sweep"


def test_a_sweep_has_heat_maps_lines_all_points_and_the_words_of_its_rows(
    leomix, sweep: Path, tmp_path: Path
) -> None:
    assert leomix("report", sweep, "-o", tmp_path / "report.html").status == 0
    page = seen(tmp_path / "report.html")
    rows = pq.read_table(sweep / "sweep.parquet").to_pandas()
    assert "12 of 12 points are complete" in page.sections["summary"]
    [heads, *cells] = page.tables["points-1"]
    assert heads[:3] == ["point", "orbit.slots.idle", "learning.method"]
    shown = pd.DataFrame(cells, columns=heads)
    assert shown["cycles"].astype(int).tolist() == rows["cycles"].tolist()
    assert shown["learning.method"].tolist() == rows["learning.method"].tolist()
    assert {"heat", "lines", "groups", "time", "points", "scenario"} <= set(page.sections)
    assert "failed" not in page.sections
    assert "contacts served over orbit.slots.idle" in page.sections["heat"].lower()
    assert "bytes sent up over orbit.slots.idle" in page.sections["heat"].lower()
    words = page.sections["summary"]
    assert "over orbit.slots.idle (3 values) and learning.method (2 values)" in words
    for column, said in (("cycles", "complete cycles"), ("contacts_served", "contacts served")):
        found = rows[column]
        best = rows.loc[found.idxmax()]
        where = f"orbit.slots.idle={best['orbit.slots.idle']}, learning.method"
        if found.min() < found.max():
            assert f"The most {said}: {found.max()}, at {where}={best['learning.method']}" in words
            assert f"the points range from {found.min()} to {found.max()}" in words
        else:
            assert f"The most {said}: {found.max()}, at every point." in words
    assert "0, 1, 2" in page.sections["scenario"]
    assert "synchronous, emsfl" in page.sections["scenario"]
    assert "{" not in page.sections["scenario"]


def test_points_that_failed_are_listed_and_a_sweep_beside_a_run_is_its_points(
    sweep: Path, runs: Runs, tmp_path: Path
) -> None:
    page = seen(report([sweep, runs["slots"]], tmp_path / "c.html"))
    assert len(page.tables["runs-1"]) == 1 + 12 + 1
    shutil.copytree(sweep, tmp_path / "sweep")
    rows = pq.read_table(sweep / "sweep.parquet")
    values = rows.to_pylist()
    values[0] |= {"status": "failed", "error": "its <disk> is full"}
    pq.write_table(pa.Table.from_pylist(values, rows.schema), tmp_path / "sweep/sweep.parquet")
    page = seen(report([tmp_path / "sweep"]))
    assert page.tables["failed-1"][1][-2:] == ["failed", "its <disk> is full"]
    assert "1 of 12 points are not complete." in (tmp_path / "sweep/report.html").read_text()


def changed(run: Path, folder: Path, **said: Any) -> Path:
    shutil.copytree(run, folder, ignore=shutil.ignore_patterns("report.html"))
    manifest = read_manifest(run) | said
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def test_a_run_that_failed_before_anything_happened_says_so(runs: Runs, tmp_path: Path) -> None:
    wrong = {"status": "failed", "error": "no <more>", "simulated_s": 0.0}
    folder = changed(runs["slots"], tmp_path / "r", **wrong)
    for name in ("transfers", "events", "metrics", "assignments"):
        empty = pq.read_table(folder / f"{name}.parquet").slice(0, 0)
        pq.write_table(empty, folder / f"{name}.parquet")
    page = seen(report([folder]))
    text = (folder / "report.html").read_text()
    assert "This run is failed: no &lt;more&gt;" in text
    assert list(page.sections) == RUN_SECTIONS
    assert "Nothing happened in this run" in page.sections["timeline"]
    assert "No cycle was completed" in page.sections["summary"]
    assert "ended before its first evaluation" in page.sections["accuracy"]


def test_only_reports_are_written_over_and_only_runs_are_reported(
    leomix, runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert leomix("report", runs["slots"], runs["orbit-timing"]).out == "report.html\n"
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    out = tmp_path / "page.html"
    assert leomix("report", runs["orbit-timing"], "-o", out).status == 0
    assert leomix("report", runs["slots"], "-o", out).status == 0
    assert seen(out).sections.keys() == set(RUN_SECTIONS)
    mine, killed, own = tmp_path / "mine.html", tmp_path / "killed", runs["slots"]
    mine.write_text("<p>my notes</p>")
    (tmp_path / "folder.html").mkdir()
    (killed / "checkpoint").mkdir(parents=True)
    broken = changed(own, tmp_path / "broken")
    (broken / "events.parquet").write_bytes(b"PAR1")
    for words, text in (
        ((own, "-o", mine), "is there already and no report of leomix; name another file"),
        ((own, "-o", tmp_path / "folder.html"), "is a folder; name a file"),
        ((own, "-o", tmp_path / "r.txt"), "the file's name must end in .html"),
        ((own, "-o", tmp_path / "no" / "r.html"), "make it first"),
        ((own, "-o", tmp_path / f"{'r' * 250}.html"), "cannot be written (File name too long)"),
        ((tmp_path / "nowhere",), "no run folder (it has no manifest.json)"),
        ((killed,), f"finish it: leomix run SCENARIO --resume -o {killed}"),
        ((broken,), "events.parquet: cannot be read"),
    ):
        outcome = leomix("report", *words)
        assert (outcome.status, outcome.err.count("\n")) == (2, 1)
        assert text in outcome.err
    assert not list(tmp_path.glob("*/report.html"))
    assert mine.read_text() == "<p>my notes</p>"
