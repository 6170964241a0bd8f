"""The command line: what it prints, writes and refuses."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pyarrow.parquet as pq
import pytest

SMALL = ["--set", "stop.cycles=3", "--set", "learning.batch_size=4", "--quiet"]


def test_a_run_leaves_its_folder(leomix, tmp_path: Path) -> None:
    done = leomix("run", "paper-slots", "-o", tmp_path / "run", *SMALL)
    assert done.status == 0
    assert "accuracy" in done.out
    files = {str(p.relative_to(tmp_path / "run")) for p in (tmp_path / "run").rglob("*.*")}
    tables = {f"{n}.parquet" for n in ("contacts", "transfers", "events", "metrics", "assignments")}
    model = {f"model/{n}" for n in ("model.safetensors", "model.json", "payloads.json")}
    assert files == {*tables, *model, "journal.json", "manifest.json", "run.log"}
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["status"] == "complete"
    assert len(manifest["trace_sha256"]) == len(manifest["timing_sha256"]) == 64


def test_the_saved_model_has_the_accuracy_of_the_last_evaluation(leomix, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    from learning import Learner, LearningConfig
    from tests.kit.training import evaluate

    leomix("run", "paper-slots", "-o", tmp_path / "run", *SMALL, "--seed", 5)
    weights = load_file(tmp_path / "run" / "model" / "model.safetensors")
    config = LearningConfig(5, tuple("ABCD"), (5, 5, 5, 5), batch_size=4)
    task = Learner(config).task
    rows = pq.read_table(tmp_path / "run" / "metrics.parquet").to_pylist()
    last = {r["cluster"]: r["accuracy"] for r in rows if r["cycle"] == 3}
    for row in evaluate(task, weights):
        assert row["accuracy"] == pytest.approx(last[row["cluster"]], abs=1e-12)


def test_a_run_that_was_done_twice_counts_once(leomix, tmp_path: Path) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        leomix("run", "paper-slots", "-o", folder, *SMALL, "--set", "learning.train=false")
    [group] = json.loads(leomix("compare", *folders, "--json").out)["groups"]
    assert (group["runs"], group["seeds"]) == (1, [1])
    assert "times fewer" not in leomix("compare", *folders).out


def test_show_and_compare_group_seeds(leomix, tmp_path: Path) -> None:
    folders = []
    for method in ("synchronous", "emsfl"):
        for seed in (1, 2, 3):
            folders.append(tmp_path / f"{method}{seed}")
            setting = f"learning.method={method}"
            leomix(
                "run", "paper-slots", "-o", folders[-1], *SMALL, "--seed", seed, "--set", setting
            )
    shown = json.loads(leomix("show", folders[0], "--json").out)
    assert shown["method"] == "synchronous"
    comparison = json.loads(leomix("compare", *folders, "--json").out)
    assert [(g["label"], g["seeds"]) for g in comparison["groups"]] == [
        ("synchronous", [1, 2, 3]),
        ("emsfl", [1, 2, 3]),
    ]
    finals = sorted(
        json.loads(leomix("show", f, "--json").out)["accuracy_final"] for f in folders[:3]
    )
    spread = comparison["groups"][0]["accuracy_final"]
    assert [spread["min"], spread["median"], spread["max"]] == finals
    text = leomix("compare", *folders).out
    assert "synchronous" in text
    assert "(" in text


def test_link_shows_the_budget_and_one_pass(leomix, tmp_path: Path) -> None:
    budget = leomix(
        "link",
        "quickstart",
        "--set",
        "link.uplink.tx_gain_dbi=3",
        "--set",
        "link.uplink.tx_power_dbm=23",
    )
    assert "overridden: link.uplink.tx_power_dbm, link.uplink.tx_gain_dbi" in budget.out
    out = tmp_path / "pass.parquet"
    assert leomix("link", "quickstart", "--contact", 3, "-o", out).status == 0
    table = pq.read_table(out).to_pandas()
    assert table.delivered_mbit.is_monotonic_increasing
    assert (table.downlink_snr_db > table.snr_db).all()
    assert table.elevation_deg.iloc[[0, -1]].to_numpy() == pytest.approx([10, 10], abs=1e-3)
    assert table.doppler_khz.iloc[0] > 0 > table.doppler_khz.iloc[-1]
    assert leomix("link", "quickstart", "--contact", 9999).status == 2


def test_a_method_of_a_test_file_runs_through_the_command_line(tmp_path: Path) -> None:
    """Twenty lines make a method: local training alone, one upload a contact."""
    (tmp_path / "mine.py").write_text(
        textwrap.dedent(
            """
            import learning
            from learning.cluster_side import ClusterSide
            from learning.requests import Chain, NextContact, Note, Train, Upload

            @learning.register("one-expert")
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

            from sim.cli import main
            main()
            """
        )
    )
    line = ["run", "paper-slots", "--set", "learning.method=one-expert", "-o", str(tmp_path / "r")]
    done = subprocess.run(
        [sys.executable, str(tmp_path / "mine.py"), *line, *SMALL], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    events = pq.read_table(tmp_path / "r" / "events.parquet").to_pandas()
    assert (events.kind == "aggregate").sum() == 12
    metrics = pq.read_table(tmp_path / "r" / "metrics.parquet").to_pandas()
    assert metrics[metrics.scope == "global"].accuracy.nunique() > 1


NEVER = """
seed: 1
stop: {days: 2}
start: 2026-08-22T00:00:00Z
orbit: {source: circular, altitude_km: 500, inclination_deg: 5}
ground: {clusters: [{name: Pole, latitude_deg: 80, longitude_deg: 0}]}
"""

WRONG = {
    "a missing file": (["run", "/nonexistent.yaml"], "nonexistent"),
    "an unknown key": (["run", "quickstart", "--set", "orbit.altitud_km=5"], "altitude_km"),
    "out of range": (["run", "quickstart", "--set", "orbit.min_elevation_deg=95"], "min_elevation"),
    "no number": (["run", "quickstart", "--set", "orbit.min_elevation_deg=abc"], "number"),
    "another source's key": (["run", "quickstart", "--set", "orbit.altitude_km=700"], "circular"),
    "no such method": (["run", "quickstart", "--set", "learning.method=emsfk"], "'emsfl'"),
    "an unknown option": (["run", "quickstart", "--set", "learning.options.x=1"], "threshold"),
    "a bad option": (["run", "quickstart", "--set", "learning.options.threshold=7"], "0 to 1"),
    "no such model": (["run", "quickstart", "--set", "learning.model.kind=gpt"], "vector-moe"),
    "no such data": (["run", "quickstart", "--set", "learning.data.kind=mnist"], "digits"),
    "a model without weights": (
        ["run", "quickstart", "--set", "learning.model.kind=mixtral-8x7b"],
        "learning.train=false",
    ),
    "more devices than samples": (
        ["run", "paper-slots", "--set", "ground.clusters.0.devices=900"],
        "devices",
    ),
    "no samples left": (
        ["run", "paper-slots", "--set", "learning.data.trial_samples=100000"],
        "trial_samples",
    ),
    "a path that nothing reads": (
        ["run", "quickstart", "--set", "learning.data.path=x.npz"],
        "learning.data.path",
    ),
    "less than a sub-channel": (
        ["run", "quickstart", "--set", "link.uplink.total_bandwidth_mhz=0.1"],
        "total_bandwidth_mhz",
    ),
    "no command": (["rnu", "quickstart"], "rnu"),
    "no scenario for contacts": (["contacts"], "--tle"),
    "half a site": (
        [
            "contacts",
            "--tle",
            "x.tle",
            "--site",
            "10",
            "--start",
            "2026-08-22T00:00:00Z",
            "--days",
            "1",
            "--min-elevation",
            "10",
        ],
        "LAT,LON",
    ),
    "a local time": (
        [
            "contacts",
            "--tle",
            "x.tle",
            "--site",
            "1,1",
            "--start",
            "2026-08-22",
            "--days",
            "1",
            "--min-elevation",
            "10",
        ],
        "2026-08-22T00:00:00Z",
    ),
    "set without a value": (["run", "quickstart", "--set", "seed"], "KEY=VALUE"),
    "resume without a folder": (["run", "quickstart", "--resume"], "-o"),
    "flags that go with --tle": (["contacts", "quickstart", "--days", "3"], "go with --tle"),
    "an accuracy that is never measured": (
        ["run", "paper-slots", "--set", "learning.train=false", "--set", "stop.accuracy=0.5"],
        "stop.accuracy",
    ),
    "a link beyond physics": (
        ["run", "quickstart", "--set", "link.uplink.eirp_dbw=290"],
        "link.uplink",
    ),
    "no such data, timing only": (
        [
            "validate",
            "quickstart",
            "--set",
            "learning.data.kind=foo",
            "--set",
            "learning.train=false",
        ],
        "learning.data.kind",
    ),
    "no run folder": (["show", "/tmp"], "manifest.json"),
}


@pytest.mark.parametrize("what", WRONG)
def test_wrong_input_is_one_line_and_exit_2(leomix, what: str) -> None:
    arguments, word = WRONG[what]
    done = leomix(*arguments)
    assert done.status == 2, done
    assert done.err.count("\n") == 1, done.err
    assert word in done.err
    assert "Traceback" not in done.err


def test_a_cluster_out_of_sight_is_told_before_the_run(leomix, tmp_path: Path) -> None:
    (tmp_path / "never.yaml").write_text(NEVER)
    for command in (["validate"], ["run", "-o", str(tmp_path / "out")]):
        done = leomix(command[0], tmp_path / "never.yaml", *command[1:])
        assert done.status == 2
        assert "'Pole'" in done.err
        assert "longest gap 48.0 h" in done.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("text", ["{}", "[1]", "{", '{"status": "complete"}'])
def test_a_manifest_of_something_else_is_named(leomix, tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    for command in ("show", "compare"):
        done = leomix(command, tmp_path)
        assert done.status == 2
        assert "manifest.json" in done.err
        assert done.err.count("\n") == 1


def test_a_broken_checkpoint_is_named(leomix, tmp_path: Path) -> None:
    for text in ("{", "{}"):
        place = tmp_path / f"run{len(text)}" / "checkpoint"
        place.mkdir(parents=True)
        (place / "journal.json").write_text(text)
        done = leomix("run", "paper-slots", "-o", place.parent, "--resume", *SMALL)
        assert done.status == 2
        assert "journal.json" in done.err


def test_old_elements_are_told_of_before_a_run(leomix) -> None:
    old = ["--set", "start=2027-08-01T00:00:00Z"]
    assert "IRIDIUM 106 the most with 357.4 days" in leomix("validate", "quickstart", *old).err
    assert "warning" in leomix("contacts", "quickstart", "--summary", *old).err
    assert leomix("validate", "quickstart").err == ""


def test_compare_takes_a_run_once_and_marks_one_that_is_not_whole(leomix, tmp_path: Path) -> None:
    leomix("run", "paper-slots", "-o", tmp_path / "a", *SMALL)
    leomix("run", "paper-slots", "-o", tmp_path / "b", *SMALL, "--seed", 2)
    manifest = json.loads((tmp_path / "b" / "manifest.json").read_text())
    (tmp_path / "b" / "manifest.json").write_text(json.dumps({**manifest, "status": "interrupted"}))
    groups = json.loads(
        leomix("compare", tmp_path / "a", tmp_path / "a", tmp_path / "b", "--json").out
    )
    assert [(g["label"], g["runs"]) for g in groups["groups"]] == [
        ("emsfl-enhanced", 1),
        ("emsfl-enhanced (interrupted)", 1),
    ]


def test_a_broken_run_folder_is_named(leomix, tmp_path: Path) -> None:
    leomix("run", "paper-slots", "-o", tmp_path / "run", *SMALL)
    (tmp_path / "run" / "events.parquet").write_bytes(b"PAR1 torn")
    done = leomix("show", tmp_path / "run")
    assert done.status == 2
    assert "events.parquet" in done.err


def test_list_validate_doctor_schema(leomix) -> None:
    assert "quickstart" in leomix("list").out
    plan = leomix("validate", "quickstart").out
    assert "Nairobi" in plan
    assert "complete cycles" in plan
    report = leomix("doctor")
    assert report.status == 0
    assert "import names are leomix's own" in report.out
    assert json.loads(leomix("schema").out)["properties"]["orbit"]


@pytest.mark.parametrize(
    "line",
    [
        ["--help"],
        ["validate", "quickstart"],
        ["list"],
        ["contacts", "quickstart"],
        ["contacts", "quickstart", "--summary"],
        ["link", "quickstart"],
    ],
)
def test_light_commands_import_neither_torch_nor_pandas(line: list[str]) -> None:
    code = (
        f"import sys; from sim.cli import status; status({line!r}); "
        "print([m for m in ('torch', 'pandas', 'sklearn') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("[]")


def test_json_is_all_that_stands_on_stdout(leomix, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    first = json.loads(leomix("run", "paper-slots", *SMALL, "--json").out)
    assert first["folder"] == str(Path("runs") / "paper-slots-emsfl-enhanced-1")
    assert first["cycles"] == 3
    again = json.loads(leomix("run", "paper-slots", *SMALL, "--json").out)
    assert again["folder"].endswith(".2")
    assert again["trace_sha256"] == first["trace_sha256"]
