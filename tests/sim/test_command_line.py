"""The command line: what it prints, writes, imports and refuses."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from learning import Learner, LearningConfig, find_method, method_names
from learning.data import DATASETS
from learning.models import MODELS
from tests.kit.results import missing_data
from tests.kit.scenarios import DATA_KINDS, METHODS, MODEL_KINDS
from tests.kit.training import evaluate
from tests.runs import Runs

FEW = "learning.pretraining={backbone_steps: 3, expert_steps: 3, gate_steps: 3}"
SMALL = ["--set", "stop.cycles=3", "--set", "learning.batch_size=4", "--set", FEW, "--quiet"]


# -- runs


@pytest.fixture
def run(leomix, runs: Runs) -> Path:
    """A trained run that the command line made."""

    def make(folder: Path) -> None:
        done = leomix("run", "paper-slots", "-o", folder, *SMALL, "--seed", 5)
        assert (done.status, "accuracy" in done.out) == (0, True)

    return runs.made("by-command", make)


def test_a_run_leaves_its_folder_and_the_model_of_its_last_evaluation(run: Path) -> None:
    from safetensors.torch import load_file

    files = {str(path.relative_to(run)) for path in run.rglob("*.*")}
    tables = {f"{n}.parquet" for n in ("contacts", "transfers", "events", "metrics", "assignments")}
    model = {f"model/{n}" for n in ("model.safetensors", "model.json", "payloads.json")}
    assert files == {*tables, *model, "journal.json", "manifest.json", "run.log"}
    manifest = json.loads((run / "manifest.json").read_text())
    assert manifest["status"] == "complete"
    assert len(manifest["trace_sha256"]) == len(manifest["timing_sha256"]) == 64
    config = LearningConfig(5, tuple("ABCD"), (5, 5, 5, 5), batch_size=4)
    rows = pq.read_table(run / "metrics.parquet").to_pylist()
    last = {r["cluster"]: r["accuracy"] for r in rows if r["cycle"] == 3}
    for row in evaluate(Learner(config).task, load_file(run / "model" / "model.safetensors")):
        assert row["accuracy"] == pytest.approx(last[row["cluster"]], abs=1e-12)


def test_json_is_all_that_is_on_stdout_and_folders_are_numbered(
    leomix, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    line = ["run", "paper-slots", *SMALL, "--set", "learning.train=false", "--json"]
    first, again = (json.loads(leomix(*line).out) for _ in range(2))
    assert first["folder"] == str(Path("runs") / "paper-slots-emsfl-enhanced-1")
    assert first["cycles"] == 3
    assert again["folder"] == first["folder"] + ".2"
    assert again["trace_sha256"] == first["trace_sha256"]


def test_compare_groups_seeds_and_takes_a_run_once(leomix, tmp_path: Path, runs: Runs) -> None:
    folders = []
    for method in ("synchronous", "emsfl"):
        for seed in (1, 2, 2, 3):
            folders.append(tmp_path / f"{method}{len(folders)}")
            setting = ("--seed", seed, "--set", f"learning.method={method}")
            shorter = ("--set", "learning.model={experts: 2, hidden: 8}")
            leomix("run", "paper-slots", "-o", folders[-1], *SMALL, *setting, *shorter)
    manifest = json.loads((folders[-1] / "manifest.json").read_text())
    (folders[-1] / "manifest.json").write_text(json.dumps({**manifest, "status": "interrupted"}))
    comparison = json.loads(leomix("compare", *folders, folders[0], "--json").out)
    assert [(g["label"], g["seeds"], g["runs"]) for g in comparison["groups"]] == [
        ("synchronous", [1, 2, 3], 3),
        ("emsfl", [1, 2], 2),
        ("emsfl (interrupted)", [3], 1),
    ]
    finals = sorted(
        json.loads(leomix("show", f, "--json").out)["accuracy_final"]
        for f in (folders[0], folders[1], folders[3])
    )
    spread = comparison["groups"][0]["accuracy_final"]
    assert [spread["min"], spread["median"], spread["max"]] == finals
    text = leomix("compare", *folders).out
    assert "synchronous" in text
    assert "times fewer" not in leomix("compare", folders[1], folders[2]).out


def test_link_shows_the_budget_and_one_pass(leomix, tmp_path: Path) -> None:
    given = ("--set", "link.uplink.tx_gain_dbi=3", "--set", "link.uplink.tx_power_dbm=23")
    budget = leomix("link", "quickstart", *given)
    assert "overridden: link.uplink.tx_power_dbm, link.uplink.tx_gain_dbi" in budget.out
    out = tmp_path / "pass.parquet"
    assert leomix("link", "quickstart", "--contact", 3, "-o", out).status == 0
    table = pq.read_table(out).to_pandas()
    assert table.delivered_mbit.is_monotonic_increasing
    assert (table.downlink_snr_db > table.snr_db).all()
    assert table.elevation_deg.iloc[[0, -1]].to_numpy() == pytest.approx([10, 10], abs=1e-3)
    assert table.doppler_khz.iloc[0] > 0 > table.doppler_khz.iloc[-1]
    assert leomix("link", "quickstart", "--contact", 9999).status == 2


ONE_EXPERT = textwrap.dedent(
    """
    import learning
    from learning.cluster_side import ClusterSide
    from learning.requests import Chain, NextContact, Note, Train, Upload

    class OneExpert(learning.Method):
        def __init__(self, world, options=None):
            super().__init__(world, options)
            self.server = self.learner.start()

        def cluster(self, me):
            side = ClusterSide(self.learner, me)
            cost = self.learner.round_cost([0], [0, 1, 2, 3], gate=False)
            while (yield NextContact()):
                model = side.download("model", self.server, self.version, [0, 1, 2, 3])
                down, work = yield Chain((model, Train(cost)))
                side.receive(down)
                side.train(work, [0])
                side.offer([0])
                done = side.deliver((yield Upload(side.payload("expert"), side.pending)))
                self.server = side.merge(self.server, done)
                self.version += 1
                yield Note("aggregate", self.version, "expert")

        def model(self):
            return self.server
    """
)


def test_a_custom_method_of_twenty_lines_runs(
    leomix, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Local training of one expert, one upload per contact."""
    (tmp_path / "one_expert.py").write_text(ONE_EXPERT)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    method = ("--set", "learning.method=one_expert:OneExpert")
    done = leomix("run", "paper-slots", *method, "-o", "r", *SMALL)
    assert done.status == 0, done.err
    events = pq.read_table("r/events.parquet").to_pandas()
    assert (events.kind == "aggregate").sum() == 12
    metrics = pq.read_table("r/metrics.parquet").to_pandas()
    assert metrics[metrics.scope == "global"].accuracy.nunique() > 1


# -- what is said before a run


def test_list_validate_doctor_schema(leomix) -> None:
    lines = dict(x.split(": ", 1) for x in leomix("list").out.splitlines() if ": " in x)
    assert lines["models"] == f"{', '.join(MODEL_KINDS)}, or MODULE:CLASS"
    assert lines["data"] == f"{', '.join(DATA_KINDS)}, or MODULE:FUNCTION"
    assert shipped(lines["methods"].split(", ")) == METHODS
    plan = leomix("validate", "quickstart").out
    assert "Nairobi" in plan
    assert "complete cycles" in plan
    report = leomix("doctor")
    assert report.status == 0
    assert "import names are leomix's own" in report.out
    assert json.loads(leomix("schema").out)["properties"]["orbit"]


def shipped(names: list[str]) -> list[str]:
    """Those of leomix: other tests register methods of their own."""
    return [name for name in names if find_method(name).__module__.startswith("learning.")]


def test_the_schema_offers_exactly_what_is_shipped() -> None:
    """Packages import nothing of each other, so that the names are written in both."""
    assert shipped(method_names()) == METHODS
    assert sorted(MODELS.shipped) == MODEL_KINDS
    assert sorted(DATASETS.shipped) == DATA_KINDS


def test_small_scenarios_that_are_shipped_lack_no_data() -> None:
    import scenarios
    from tests.kit.network import learner_of

    for name in scenarios.shipped():
        if not any(word in name for word in ("gpu", "cifar")):
            lacking = missing_data(learner_of(scenarios.load(name)))
            assert bool(lacking) == (name in ("paper-exp1", "paper-exp2")), name


def test_old_elements_are_reported_before_a_run(leomix) -> None:
    old = ["--set", "start=2027-08-01T00:00:00Z"]
    assert "IRIDIUM 106 the most with 357.4 days" in leomix("validate", "quickstart", *old).err
    assert "warning" in leomix("contacts", "quickstart", "--summary", *old).err
    assert leomix("validate", "quickstart").err == ""


NEVER = """
seed: 1
stop: {days: 2}
start: 2026-08-22T00:00:00Z
orbit: {source: circular, altitude_km: 500, inclination_deg: 5}
ground: {clusters: [{name: Pole, latitude_deg: 80, longitude_deg: 0}]}
"""


def test_a_cluster_out_of_sight_is_reported_before_the_run(leomix, tmp_path: Path) -> None:
    (tmp_path / "never.yaml").write_text(NEVER)
    for command in (["validate"], ["run", "-o", str(tmp_path / "out")]):
        done = leomix(command[0], tmp_path / "never.yaml", *command[1:])
        assert done.status == 2
        assert "'Pole'" in done.err
        assert "longest gap 48.0 h" in done.err
    assert not (tmp_path / "out").exists()


TIMING = "learning.train=false"
ELEMENTS = ["contacts", "--tle", "x.tle", "--days", "1", "--min-elevation", "10"]
SETS = {
    "orbit.min_elevation_deg=abc": "number",
    "orbit.altitude_km=700": "circular",
    "learning.method=emsfk": "'emsfl'",
    "learning.options.x=1": "threshold",
    "learning.options.threshold=7": "0 to 1",
    "learning.model.kind=gpt": "vector-moe",
    "learning.model.kind=mixtral-8x7b": TIMING,
    "learning.data.kind=mnist": "digits",
    "ground.clusters.0.devices=9000": "devices",
    "learning.data.trial_samples=100000": "trial_samples",
    "learning.data.path=x.npz": "learning.data.path",
    "link.uplink.total_bandwidth_mhz=0.1": "total_bandwidth_mhz",
    "link.uplink.eirp_dbw=290": "link.uplink",
    "seed": "KEY=VALUE",
}
WRONG = {
    "a missing file": (["run", "/nonexistent.yaml"], "nonexistent"),
    "no command": (["rnu", "quickstart"], "rnu"),
    "no scenario for contacts": (["contacts"], "--tle"),
    "half a site": ([*ELEMENTS, "--start", "2026-08-22T00:00:00Z", "--site", "10"], "LAT,LON"),
    "a local time": ([*ELEMENTS, "--start", "2026-08-22", "--site", "1,1"], "2026-08-22T00:00:00Z"),
    "resume without a folder": (["run", "quickstart", "--resume"], "-o"),
    "flags that go with --tle": (["contacts", "quickstart", "--days", "3"], "go with --tle"),
    "an accuracy that is never measured": (
        ["run", "paper-slots", "--set", TIMING, "--set", "stop.accuracy=0.5"],
        "stop.accuracy",
    ),
    "no such data, timing only": (
        ["validate", "quickstart", "--set", "learning.data.kind=foo", "--set", TIMING],
        "learning.data.kind",
    ),
    "no run folder": (["show", "/tmp"], "manifest.json"),
    **{pair: (["run", "quickstart", "--set", pair], word) for pair, word in SETS.items()},
}


@pytest.mark.parametrize("what", WRONG)
def test_wrong_input_is_one_line_and_exit_2(leomix, what: str) -> None:
    arguments, word = WRONG[what]
    done = leomix(*arguments)
    assert done.status == 2, done
    assert done.err.count("\n") == 1, done.err
    assert word in done.err
    assert "Traceback" not in done.err


# -- what commands import

HEAVY = (
    *("torch", "transformers", "peft", "safetensors.torch"),
    *("pandas", "matplotlib", "sklearn", "distributed"),
)
"""Packages that take long to import and that no everyday command needs."""
PHYSICS = ("numpy", "scipy", "skyfield", "sgp4", "simpy", "pyarrow")
"""What those commands need not import either that compute nothing."""
PLAIN = ("pydantic_core", "yaml", "rich")
OWN = """
stop: {days: 1}
orbit: {source: circular, altitude_km: 600, inclination_deg: 97.8}
start: 2026-08-22T00:00:00Z
ground: {clusters: [{name: Munich, latitude_deg: 48.14, longitude_deg: 11.58}]}
learning:
  model: {kind: mixtral, experts: 2, hidden: 16, heads: 2, kv_heads: 2}
  data: {kind: jsonl, path: my.jsonl, tokens: 8}
"""
SPAN = ["--site", "1,2", "--start", "2026-08-22T00:00:00Z", "--days", "1", "--min-elevation", "9"]
BUDGETS = {
    "--help": (["--help"], (*HEAVY, *PHYSICS, *PLAIN)),
    "--version": (["--version"], (*HEAVY, *PHYSICS, *PLAIN)),
    "help of a command": (["run", "--help"], (*HEAVY, *PHYSICS)),
    "schema": (["schema"], (*HEAVY, *PHYSICS, "rich")),
    "list": (["list"], (*HEAVY, "skyfield", "sgp4", "simpy", "rich")),
    "new": (["new", "mine"], (*HEAVY, "scipy", "skyfield", "sgp4", "rich")),
    "validate": (["validate", "quickstart"], (*HEAVY, "rich")),
    "validate, a file of data": (["validate", "mine.yaml"], (*HEAVY, "rich")),
    "contacts": (["contacts", "quickstart", "--summary"], (*HEAVY, "rich")),
    "contacts of elements": (["contacts", "--tle", "x.tle", *SPAN, "-o", "c.parquet"], HEAVY),
    "link": (["link", "quickstart"], (*HEAVY, "rich")),
    "a timing-only run": (
        ["run", "paper-slots", "--set", TIMING, "--set", "stop.cycles=2"],
        {*HEAVY, "rich"} - {"pandas"},  # pyarrow takes it along for times
    ),
}


@pytest.mark.process
@pytest.mark.parametrize("what", BUDGETS)
def test_a_command_imports_nothing_heavy(what: str, tmp_path: Path) -> None:
    import scenarios

    line, forbidden = BUDGETS[what]
    if "mine.yaml" in line:
        (tmp_path / "mine.yaml").write_text(OWN)
        rows = [json.dumps({"text": f"a b {n % 2}", "label": n % 2}) for n in range(300)]
        (tmp_path / "my.jsonl").write_text("\n".join(rows))
    elements = scenarios.shipped_path("quickstart").with_name("iridium-106.tle")
    (tmp_path / "x.tle").write_text(elements.read_text())
    code = (
        f"import sys; from sim.cli import status; code = status({line!r}); "
        "print(code, *sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    status, *imported = done.stderr.splitlines()[-1].split()
    assert status == "0", done.stderr
    assert set(imported) & set(forbidden) == set()
