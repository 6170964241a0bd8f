"""The command line: what it prints, writes, imports and refuses."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from safetensors.torch import load_file

import scenarios
from learning import Learner, LearningConfig
from tests.kit.network import World, learner_of
from tests.kit.results import missing_data
from tests.kit.sweeps import REMOVED
from tests.kit.training import evaluation

FEW = "learning.pretraining={backbone_steps: 3, expert_steps: 3, gate_steps: 3}"
SMALL = ["--set", "stop.cycles=3", "--set", "learning.batch_size=4", "--set", FEW, "--quiet"]


# -- runs


def test_a_run_leaves_its_folder_and_the_model_of_its_last_evaluation(leomix, tmp_path):
    run = tmp_path / "run"
    done = leomix("run", "paper-slots", "-o", run, *SMALL, "--seed", 5)
    assert (done.status, "accuracy" in done.out) == (0, True)
    files = {str(path.relative_to(run)) for path in run.rglob("*.*")}
    names = ("contacts", "transfers", "events", "metrics", "assignments", "updates", "clients")
    tables = {f"{name}.parquet" for name in names}
    model = {f"model/{n}" for n in ("model.safetensors", "model.json", "payloads.json")}
    kept = {name for name in files if name.startswith("extension/")}
    assert files - kept == {*tables, *model, "manifest.json", "run.log"}
    manifest = json.loads((run / "manifest.json").read_text())
    assert manifest["status"] == "complete"
    assert manifest["kept_bytes"] == sum((run / name).stat().st_size for name in kept) > 0
    assert "in extension/, for --resume with a later stop" in leomix("show", run, "--all").out
    assert len(manifest["trace_sha256"]) == len(manifest["timing_sha256"]) == 64
    config = LearningConfig(5, tuple("ABCD"), (5, 5, 5, 5), batch_size=4)
    rows = pq.read_table(run / "metrics.parquet").to_pylist()
    last = {r["cluster"]: r["accuracy"] for r in rows if r["cycle"] == 3}
    for row in evaluation.evaluate(
        Learner(config).task, load_file(run / "model" / "model.safetensors")
    ):
        assert row["accuracy"] == pytest.approx(last[row["cluster"]], abs=1e-12)


def test_json_is_all_that_is_on_stdout_and_folders_are_numbered(leomix, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    line = ["run", "paper-slots", *SMALL, "--set", "learning.train=false", "--json"]
    first, again = (json.loads(leomix(*line).out) for _ in range(2))
    assert first["folder"] == str(Path("runs") / "paper-slots-emsfl-enhanced-1")
    assert again["folder"] == first["folder"] + ".2"
    assert again["trace_sha256"] == first["trace_sha256"]


def test_link_shows_the_budget_and_one_pass(leomix, tmp_path):
    budget = leomix("link", "quickstart", "--set", "link.uplink.tx_power_dbm=23")
    assert "overridden: link.uplink.tx_power_dbm" in budget.out
    out = tmp_path / "pass.parquet"
    assert leomix("link", "quickstart", "--contact", 3, "-o", out).status == 0
    table = pq.read_table(out).to_pandas()
    assert table.delivered_mbit.is_monotonic_increasing
    assert (table.downlink_snr_db > table.snr_db).all()
    assert table.elevation_deg.iloc[[0, -1]].to_numpy() == pytest.approx([10, 10], abs=1e-3)
    assert table.doppler_khz.iloc[0] > 0 > table.doppler_khz.iloc[-1]
    assert leomix("link", "quickstart", "--contact", 9999).status == 2


# -- what is said before a run


@pytest.mark.parametrize("name", REMOVED)
def test_a_command_or_option_that_is_gone_is_told_with_what_to_do_now(leomix, name):
    gone = leomix(*name.split(), "run")
    assert (gone.status, gone.out, gone.err) == (
        2, "", f"leomix: {name}: is gone; {REMOVED[name]}\n"
    )  # fmt: skip


def test_small_scenarios_that_are_shipped_lack_no_data():
    for name in scenarios.shipped():
        if not any(word in name for word in ("gpu", "cifar", "doves", "real")):
            scenario = scenarios.load(name)
            if scenario.learning is None:
                continue
            lacking = missing_data(World(scenario), learner_of(scenario))
            assert bool(lacking) == (name in ("paper-exp1", "paper-exp2", "plain-text")), name


def test_a_shipped_scenario_takes_the_users_element_file_from_the_current_folder(
    leomix, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    lacking = leomix("validate", "doves")
    assert (lacking.status, lacking.err.count("\n")) == (2, 1)
    assert "no file planet.json; put yours into the current folder" in lacking.err
    # A shipped file is called by its name: nobody puts data into the installation.
    installed = str(scenarios.shipped_path("doves").parent)
    for command, name in (("validate", "plain-text"), ("run", "plain-text"), ("run", "doves")):
        lacking = leomix(command, name)
        assert lacking.err.count("\n") == 1
        ways = ("yours into the current folder, ", "name it by --set")
        assert all(way in lacking.err for way in ways), lacking.err
        assert installed not in lacking.err
        assert name == "doves" or "your-own.md" in lacking.err
    shipped = scenarios.orbit_file(scenarios.load("quickstart"))
    (tmp_path / "mine.tle").write_text(shipped.read_text())
    found = leomix("validate", "doves", "--set", "orbit.path=mine.tle")
    assert (found.status, found.err, "\nIRIDIUM 106 " in found.out) == (0, "", True)


TIMING = "learning.train=false"
ELEMENTS = ["contacts", "--tle", "x.tle", "--days", "1", "--min-elevation", "10"]
SPAN = ["--start", "2026-08-22T00:00:00Z", "--site"]


# -- what commands import

HEAVY = (
    *("torch", "transformers", "peft", "safetensors.torch"),
    *("pandas", "matplotlib", "sklearn", "distributed"),
)
"""Packages that take long to import and that no everyday command needs."""
PHYSICS = ("numpy", "scipy", "skyfield", "sgp4", "simpy", "pyarrow")
"""What those commands need not import either that compute nothing."""
PLAIN = ("pydantic_core", "yaml", "rich")
BUDGETS = {
    "--help": (["--help"], (*HEAVY, *PHYSICS, *PLAIN)),
    "help of a command": (["run", "--help"], (*HEAVY, *PHYSICS)),
    # The options of methods are declared in their modules, which compute with numpy.
    "schema": (["list", "--schema"], (*HEAVY, *PHYSICS[1:], "rich")),
    "list": (["list"], (*HEAVY, "skyfield", "sgp4", "simpy", "rich")),
    "new": (["new", "mine"], (*HEAVY, "scipy", "rich")),
    "validate": (["validate", "quickstart"], (*HEAVY, "rich", "scipy", "pyarrow", "simpy")),
    "contacts": (["contacts", "quickstart", "--summary"], (*HEAVY, "rich")),
    "contacts of elements": ([*ELEMENTS, *SPAN, "1,2", "-o", "c.parquet"], HEAVY),
    "link": (["link", "quickstart"], (*HEAVY, "rich")),
    "a timing-only sweep": (
        ["sweep", "paper-slots", "--set", TIMING, "-p", "stop.cycles=2", "-o", "out"],
        ("torch", "matplotlib", "scipy.stats"),
    ),
    "a timing-only run": (
        ["run", "quickstart", "--set", TIMING, "--set", "stop.days=1"],
        (*HEAVY, "rich", "scipy"),
    ),
    # torch._dynamo is torch's compiler, which the classes of torch.optim import.
    "a run that trains": (
        ["run", "paper-slots", "--set", "stop.cycles=1", "--no-cache"],
        ("pandas", "matplotlib", "sklearn", "scipy.stats", "torch._dynamo", "sympy"),
    ),
}


@pytest.mark.process
@pytest.mark.parametrize("what", BUDGETS)
def test_a_command_imports_nothing_heavy(what, tmp_path):
    line, forbidden = BUDGETS[what]
    elements = scenarios.shipped_path("quickstart").with_name("iridium-106.tle")
    (tmp_path / "x.tle").write_text(elements.read_text())
    if "torch" in forbidden:  # it breaks in workers, too
        (tmp_path / "torch.py").write_text("raise SystemExit('torch was imported')")
    code = (
        f"import sys; from sim.cli.app import status; code = status({line!r}); "
        "print(code, *sys.modules, file=sys.stderr)"
    )
    paths = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    how = {"cwd": tmp_path, "env": {**os.environ, "PYTHONPATH": paths}, "check": True}
    line = [sys.executable, "-c", code]
    done = subprocess.run(line, capture_output=True, text=True, **how)
    status, *imported = done.stderr.splitlines()[-1].split()
    assert (status, set(imported) & set(forbidden)) == ("0", set()), done.stderr


@pytest.mark.process
@pytest.mark.parametrize("drawn", [["pandas"], ["matplotlib", "pandas"]], ids=["compare", "report"])
def test_runs_are_compared_without_what_trained_them(drawn, runs, tmp_path):
    folders = [str(runs[name]) for name in ("slots", "slots-synchronous")]
    line = (
        ["report", *folders, "-o", str(tmp_path / "page.html")]
        if "matplotlib" in drawn
        else ["compare", *folders]
    )
    code = (
        f"import sys; from sim.cli.app import status; code = status({line!r}); "
        "print(code, *sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    status, *imported = done.stderr.splitlines()[-1].split()
    assert (status, set(imported) & set(HEAVY)) == ("0", set(drawn)), done.stderr


@pytest.mark.process
def test_without_torch_a_run_that_trains_is_refused_in_a_line(tmp_path):
    line = ["run", "paper-slots", "--set", "stop.cycles=1", "-o", str(tmp_path / "r"), "--no-cache"]
    code = (
        "import sys; sys.modules['torch'] = None; "
        f"from sim.cli.app import status; sys.exit(status({line!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
    assert "torch" in done.stderr and "learning.train=false" in done.stderr
    assert not (tmp_path / "r").exists()
