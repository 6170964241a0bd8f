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
import sim
from learning import Learner, LearningConfig
from learning.training import evaluation

FEW = "learning.pretraining={backbone_steps: 3, expert_steps: 3, gate_steps: 3}"
SMALL = ["--set", "stop.cycles=3", "--set", "learning.batch_size=4", "--set", FEW, "--quiet"]


# -- runs


@pytest.mark.parametrize(
    "line",
    [
        ["run", "quickstart", "-o", ""],
        ["run", "quickstart", "--output="],
        ["sweep", "quickstart", "-p", "seed=1,2", "-o", ""],
        ["contacts", "quickstart", "-o", ""],
        ["show", ""],
        ["report", "none", "--figures", ""],
    ],
)
def test_an_empty_path_is_refused_and_is_not_the_current_folder(
    line, leomix, tmp_path, monkeypatch
):
    """As of a shell variable that is not set."""
    monkeypatch.chdir(tmp_path)
    done = leomix(*line)
    assert (done.status, done.err.count("\n"), "is empty" in done.err) == (2, 1, True)
    with pytest.raises(sim.InputError, match="is empty"):
        sim.run("quickstart", "")
    assert not list(tmp_path.iterdir())


def test_a_run_leaves_its_folder_and_the_model_of_its_last_evaluation(leomix, tmp_path):
    run = tmp_path / "run"
    done = leomix("run", "paper-slots", "-o", run, *SMALL, "--seed", 5)
    assert (done.status, "accuracy" in done.out) == (0, True)
    files = {str(path.relative_to(run)) for path in run.rglob("*.*")}
    names = ("contacts", "transfers", "events", "metrics", "assignments", "updates", "clients")
    model = {f"model/{n}" for n in ("model.safetensors", "model.json", "payloads.json")}
    kept = {name for name in files if name.startswith("extension/")}
    tables = {f"{name}.parquet" for name in names}
    assert files - kept == {*tables, *model, "manifest.json", "run.log"}
    manifest = json.loads((run / "manifest.json").read_text())
    assert manifest["kept_bytes"] == sum((run / name).stat().st_size for name in kept) > 0
    config = LearningConfig(5, tuple("ABCD"), (5, 5, 5, 5), batch_size=4)
    rows = pq.read_table(run / "metrics.parquet").to_pylist()
    last = {r["cluster"]: r["accuracy"] for r in rows if r["cycle"] == 3}
    weights = load_file(run / "model" / "model.safetensors")
    for row in evaluation.evaluate(Learner(config).task, weights):
        assert row["accuracy"] == pytest.approx(last[row["cluster"]], abs=1e-12)


def test_json_is_all_that_is_on_stdout_and_folders_are_numbered(leomix, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    line = ["run", "paper-slots", *SMALL, "--set", "learning.train=false", "--json"]
    first, again = (json.loads(leomix(*line).out) for _ in range(2))
    assert first["folder"] == str(Path("runs") / "paper-slots-emsfl-enhanced-1")
    assert again["folder"] == first["folder"] + ".2"
    assert again["trace_sha256"] == first["trace_sha256"]


def test_link_writes_one_pass_to_a_file(leomix, tmp_path):
    out = tmp_path / "pass.parquet"
    assert leomix("link", "quickstart", "--contact", 3, "-o", out).status == 0
    table = pq.read_table(out).to_pandas()
    assert table.delivered_mbit.is_monotonic_increasing
    assert (table.downlink_snr_db > table.snr_db).all()
    assert table.elevation_deg.iloc[[0, -1]].to_numpy() == pytest.approx([10, 10], abs=1e-3)
    assert table.doppler_khz.iloc[0] > 0 > table.doppler_khz.iloc[-1]


# -- what is said before a run


def test_a_shipped_scenario_takes_the_users_element_file_from_the_current_folder(
    leomix, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    lacking = leomix("validate", "doves")
    assert (lacking.status, lacking.err.count("\n")) == (2, 1)
    assert "no file planet.json; put yours into the current folder" in lacking.err
    # A shipped file is called by its name: nobody puts data into the installation.
    lacking = leomix("run", "plain-text")
    assert lacking.err.count("\n") == 1 and "yours into the current folder, " in lacking.err
    assert str(scenarios.shipped_path("doves").parent) not in lacking.err
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


def imported_by(line, folder, paths=()):
    """The modules that a command imports in a process of its own; it must end well."""
    code = (
        f"import sys; from sim.cli.app import status; code = status({line!r}); "
        "print(code, *sys.modules, file=sys.stderr)"
    )
    paths = os.pathsep.join([*map(str, paths), *filter(None, [os.environ.get("PYTHONPATH")])])
    how = {"cwd": folder, "env": {**os.environ, "PYTHONPATH": paths}, "check": True}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, **how)
    status, *imported = done.stderr.splitlines()[-1].split()
    assert status == "0", done.stderr
    return set(imported)


@pytest.mark.process
@pytest.mark.parametrize("what", BUDGETS)
def test_a_command_imports_nothing_heavy(what, tmp_path):
    line, forbidden = BUDGETS[what]
    elements = scenarios.shipped_path("quickstart").with_name("iridium-106.tle")
    (tmp_path / "x.tle").write_text(elements.read_text())
    if "torch" in forbidden:  # it breaks in workers, too
        (tmp_path / "torch.py").write_text("raise SystemExit('torch was imported')")
    assert imported_by(line, tmp_path, [tmp_path]) & set(forbidden) == set()


@pytest.mark.process
@pytest.mark.parametrize("command", ["compare", "report"])
def test_runs_are_compared_without_what_trained_them(command, runs, tmp_path):
    folders = [str(runs[name]) for name in ("slots", "slots-synchronous")]
    drawn = {"matplotlib"} if command == "report" else set()
    assert imported_by([command, *folders], tmp_path) & set(HEAVY) == {"pandas"} | drawn


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
