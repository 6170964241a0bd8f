"""The command line: what it prints, writes, imports and refuses."""

import json
import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from safetensors.torch import load_file

import scenarios
from learning import Learner, LearningConfig, find_method, method_names
from learning.data import DATASETS
from learning.models import MODELS
from tests.kit.learning import METHODS
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
    assert "in extension/, for --resume with a later stop" in leomix("show", run).out
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


def test_compare_groups_seeds_and_takes_a_run_once(leomix, tmp_path):
    folders = []
    shorter = ("--set", "learning.model={experts: 2, hidden: 8}")
    for method in ("synchronous", "emsfl"):
        for seed in (1, 2, 2, 3):
            folders.append(tmp_path / f"{method}{len(folders)}")
            setting = ("--seed", seed, "--set", f"learning.method={method}")
            leomix("run", "paper-slots", "-o", folders[-1], *SMALL, *setting, *shorter)
    manifest = json.loads((folders[-1] / "manifest.json").read_text())
    (folders[-1] / "manifest.json").write_text(json.dumps({**manifest, "status": "interrupted"}))
    compared = json.loads(leomix("compare", *folders, folders[0], "--json").out)
    groups = compared["groups"]
    assert [(g["label"], g["seeds"]) for g in groups] == [
        ("synchronous", [1, 2, 3]),
        ("emsfl", [1, 2]),
        ("emsfl (interrupted)", [3]),
    ]
    warned = [one["text"] for one in compared["said"] if one["group"] == "emsfl (interrupted)"]
    assert warned == manifest["warnings"] != []
    stopped = [one for one in compared["caveats"] if one["code"] == "stopped_early"]
    assert [(one["group"], one["values"]["status"]) for one in stopped] == [
        ("emsfl (interrupted)", "interrupted")
    ]
    assert stopped[0]["text"].endswith("goes on with --resume")
    half = [row for row in compared["rows"] if row["group"] == "emsfl (interrupted)"]
    assert {(row["verdict"], row["mean"], row["p"]) for row in half} == {
        ("not reached", None, None)
    }
    shown = [json.loads(leomix("show", folders[n], "--json").out) for n in (0, 1, 3)]
    for one in shown:
        final = next(row for row in one["rows"] if row["figure"] == "accuracy_final")
        assert (final["mean"], final["seeds"], final["verdict"]) == (one["accuracy_final"], 1, None)
        assert f"{one['accuracy_final']:.3f}" in one["headline"]
    rows = {r["group"]: r for r in compared["rows"] if r["figure"] == "accuracy_final"}
    mean = np.mean([one["accuracy_final"] for one in shown])
    assert rows["synchronous"]["mean"] == pytest.approx(mean)
    text = leomix("compare", *folders, "--all").out
    assert " ".join(text.split()).startswith(compared["headline"])
    assert f"{mean:.3f} " in text and "final loss" in text and "interrupted" in text


def test_who_opens_the_folder_later_is_warned_as_who_ran_it(leomix, tmp_path, monkeypatch):
    monkeypatch.setenv("LEOMIX_CACHE", "off")
    monkeypatch.chdir(tmp_path)
    spoilt = ("--set", "learning.step_size=1e9", "--set", FEW, "--set", "stop.cycles=2")
    ran = leomix("run", "paper-slots", *spoilt, "--quiet", "-o", "spoilt")
    assert "updates refused by the server, not finite: lower learning.step_size" in ran.err
    assert leomix("show", "spoilt").err == ran.err
    assert leomix("compare", "spoilt").err == ran.err.replace("warning: ", "warning: spoilt: ")
    assert leomix("doctor").out.endswith("cache: off, by LEOMIX_CACHE=off\n")
    assert [path.name for path in tmp_path.iterdir()] == ["spoilt"]


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


def shipped(names):
    """Those of leomix: other tests register methods of their own."""
    return [name for name in names if find_method(name).__module__.startswith("learning.")]


def test_list_validate_doctor_schema(leomix):
    lines = dict(x.split(": ", 1) for x in leomix("list").out.splitlines() if ": " in x)
    models = sorted(MODELS.shipped)
    data = sorted(DATASETS.shipped)
    methods = sorted(METHODS.shipped)
    assert lines["models"] == f"{', '.join(models)}, or MODULE:CLASS"
    assert lines["data"] == f"{', '.join(data)}, or MODULE:FUNCTION"
    assert shipped(lines["methods"].removesuffix(", or MODULE:CLASS").split(", ")) == methods
    assert shipped(method_names()) == methods
    processors = re.findall(r"([\w-]+) \([\d.]+ TFLOP/s\)", lines["processors (compute.processor)"])
    plan = leomix("validate", "quickstart")
    report = leomix("doctor")
    assert ("Nairobi" in plan.out, plan.err) == (True, "")
    assert (report.status, "import names are leomix's own" in report.out) == (0, True)
    of = json.loads(leomix("list", "--schema").out)["$defs"]
    keys = (("Model", "kind"), ("Data", "kind"), ("Learning", "method"))
    assert [of[title]["properties"][key]["examples"] for title, key in keys] == [
        models, data, methods
    ]  # fmt: skip
    assert processors == of["Compute"]["properties"]["processor"]["anyOf"][0]["enum"]
    assert leomix("--version").out.split() == ["leomix", version("leomix")]


def test_a_user_is_told_what_will_not_do_and_what_columns_mean(leomix, tmp_path, monkeypatch):
    # 100 bit/s for 600 s: 7.5 kB a pass.
    slow = leomix("validate", "paper-slots", "--set", "link.uplink.fixed_rate_mbps=0.0001").out
    assert "carries 7.50 kB to the server (uplink) for the device with the weakest link" in slow
    assert "one expert (4.10 kB): one pass, all experts and" in slow
    assert "(17.41 kB): 3 passes; raise link.uplink.fixed_rate_mbps (0.0001), lower l" in slow
    for command in (["link", "quickstart"], ["contacts", "quickstart"]):
        heads = next(line for line in leomix(*command).out.splitlines() if "elevation" in line)
        assert set(heads.split()) <= set(re.findall(r"[^\s,;]+", leomix(command[0], "--help").out))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "channel.py").touch()
    found = leomix("doctor")
    assert (found.status, f"{tmp_path}/channel.py: has the name" in found.out) == (1, True)
    never = leomix("sweep", "quickstart", "-p", "orbit.min_elevation_deg=89.9", "--dry-run")
    assert (never.status, "\nno contact  point 0: ground.clusters: 'M" in never.out) == (2, True)


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
    shipped = scenarios.element_file(scenarios.load("quickstart"))
    (tmp_path / "mine.tle").write_text(shipped.read_text())
    found = leomix("validate", "doves", "--set", "orbit.path=mine.tle")
    assert (found.status, found.err, "\nIRIDIUM 106 " in found.out) == (0, "", True)


NEVER = """
seed: 1
stop: {days: 2}
start: 2026-08-22T00:00:00Z
orbit: {source: circular, altitude_km: 500, inclination_deg: 5}
ground: {clusters: [{name: Pole, latitude_deg: 80, longitude_deg: 0}]}
"""


def test_clusters_out_of_sight_and_old_elements_are_reported_before_a_run(leomix, tmp_path):
    (tmp_path / "never.yaml").write_text(f"{NEVER}learning: {{}}\n")
    for command in (["validate"], ["run", "-o", str(tmp_path / "out")]):
        done = leomix(command[0], tmp_path / "never.yaml", *command[1:])
        assert (done.status, "'Pole'" in done.err, "48.0 h" in done.err) == (2, True, True)
    assert not (tmp_path / "out").exists()
    old = leomix("validate", "quickstart", "--set", "start=2027-08-01T00:00:00Z")
    assert "IRIDIUM 106 the most with 357.4 days" in old.err


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


def test_a_run_that_trains_nothing_has_not_missed_a_target(leomix, tmp_path):
    learns, times = tmp_path / "learns", tmp_path / "times"
    line = ["run", "paper-slots", "--set", "stop.cycles=1", "--set", "learning.targets=[0.1]"]
    assert leomix(*line, "-o", learns).status == 0
    assert leomix(*line, "--set", "learning.train=false", "-o", times).status == 0
    for more in ((), ("--all",)):
        lines = leomix("compare", learns, times, *more).out.splitlines()
        assert "not trained" in " ".join(lines) and "never" not in " ".join(lines)
