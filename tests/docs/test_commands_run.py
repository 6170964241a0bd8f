"""Every command and code block of README and docs is run, and the scripts of `papers` cut short.

CI runs those of README and of the tutorials, over less simulated time than they say; at night all
pages are run as they are, with the annex and the scripts.
"""

import json
import re
import subprocess
from importlib import import_module
from itertools import count
from pathlib import Path

import pytest

import scenarios
import sim
from tests.docs.pages import DOCS, PAGES, PAPERS, ROOT, TUTORIALS, steps
from tests.docs.run_page import run_page
from tests.kit import tiny_checkpoints as tiny

pytestmark = pytest.mark.slow(reason="some hundred commands, most of them whole runs: make docs")
SHORT = 2


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_blocks_run_in_the_order_of_the_page(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    run_page(page, monkeypatch.setenv)


@pytest.mark.pages
@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.name)
def test_so_do_those_of_the_tutorials_over_less_time(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    run_page(page, monkeypatch.setenv, shorter=True)


@pytest.mark.pages
def test_the_first_run_shows_what_the_demo_prints(tmp_path, monkeypatch):
    """By the command that the README names, with its runs in a folder of their own."""
    monkeypatch.chdir(tmp_path)  # the files that the page shows land here
    command = ["make", "--no-print-directory", "demo", f"RUNS={tmp_path}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    [shown, *_] = [code for language, code in steps(DOCS / "first-run.md") if language == "text"]
    wanted = answer_of(shown)
    rows = answer_of(done.stdout)
    rows = rows[rows.index(wanted[0]) :]
    assert sorted(map(kept, rows)) == sorted(map(kept, wanted))
    there, here = (dict(MEANS.findall("\n".join(lines))) for lines in (rows, wanted))
    assert {group: float(mean) for group, mean in there.items()} == pytest.approx(
        {group: float(mean) for group, mean in here.items()}, abs=0.01
    )


MEANS = re.compile(r"^([\w-]+) +(\d\.\d{3}) ", re.MULTILINE)
TIMES = re.compile(r"^([\w-]+) +(?:never|[\d.]+) +(?:never|[\d.]+)( +\d+ )")


def answer_of(text):
    """Lines of a text before next steps, which name a folder of their own."""
    return [line for line in text.partition("\n  leomix ")[0].splitlines() if line]


def kept(line):
    """A line without what depends on the processor: accuracies, and times to the highest ones."""
    found = MEANS.match(line)
    return found[1] if found else TIMES.sub(r"\1\2", line)


@pytest.fixture
def script(monkeypatch, tmp_path):
    """Import a script of `papers`; what it runs in a sweep, here and for two cycles only."""
    monkeypatch.syspath_prepend(str(PAPERS))
    monkeypatch.chdir(tmp_path)
    batch = import_module("batch")
    numbers = count()

    def short(points):
        return [
            sim.run(scenarios.load(name, {**s, "stop.cycles": SHORT}), f"run-{next(numbers)}")
            for name, s in points
        ]

    def imported(name):
        module = import_module(name)
        for known in (batch, module):
            if hasattr(known, "results"):
                monkeypatch.setattr(known, "results", short)
        return module

    return imported


def test_the_upload_of_table_1_is_rank_4_on_three_matrices_a_layer(script, monkeypatch):
    full_size = script("full_size")
    monkeypatch.setattr(full_size, "CYCLES", 3)
    found = {m: full_size.sizes(full_size.timed("paper-exp1", m)) for m in full_size.METHODS}
    hidden, inner, layers, experts, rank, sixteen_bits = 4096, 14336, 32, 3, 4, 2
    factors = 3 * rank * (hidden + inner) * layers * sixteen_bits
    gate = hidden * experts * layers * sixteen_bits
    expert = 3 * hidden * inner * layers * sixteen_bits
    assert found["synchronous"]["experts"] == experts * factors + gate
    assert (found["emsfl"]["experts"], found["emsfl"]["gate"]) == (factors, gate)
    less = found["synchronous"]["expert memory"] - found["emsfl-enhanced"]["expert memory"]
    assert less == 2 * expert


def test_an_outcome_says_when_a_run_reached_the_target(script):
    settings = {"stop.cycles": 9, "learning.step_size": 0.1, "seed": 2}
    result = sim.run(scenarios.load("paper-exp1-small", settings))
    outcome = script("batch").outcome(result)
    whole = result.metrics[result.metrics.scope == "global"]
    first = next(row for row in whole.itertuples() if row.accuracy >= 0.85)
    assert (outcome.cycles, outcome.hours) == (first.cycle, first.time_s / 3600)
    # Every device trains one round a slot of five steps: five devices, three clusters.
    assert outcome.gradient_steps == first.time_s / 600 * 5 * 3 * 5
    # A round takes half a slot at ten watts; sending costs next to nothing.
    assert outcome.energy_j == pytest.approx(outcome.gradient_steps / 5 * 300 * 10, rel=1e-5)
    assert outcome.final == whole.accuracy.iloc[-1]
    assert outcome.fall == (whole.accuracy.cummax() - whole.accuracy).max()


@pytest.mark.parametrize(
    ("name", "cut", "arguments", "said"),
    [
        ("idle", {"IDLE": (2,)}, ("paper-exp1-small", "1"), "\n2 "),
        ("theory", {"ITERATIONS": 1}, ("1",), "\nat home    64  mean "),
        ("balance", {}, ("paper-exp2-small", "1"), "\nemsfl-enhanced "),
        ("local_sets", {}, ("paper-exp2-small", "1"), "\nmost related expert "),
        ("satellites", {"ANTENNAS": (1,), "RULES": {"first C": {}}}, ("1", "1"), "\n1         1 "),
        ("lora", {}, ("paper-exp1-small", "1"), "\nwhole matrices "),
        ("classes", {}, ("paper-exp2-small", "1"), "\nend "),
        ("drop", {}, ("paper-exp1-small", "1"), "falls most in cycle 1\nsynchronous "),
        ("targets", {"METHODS": ("synchronous", "fedavg")}, ("paper-exp2-small", "1"), "\nfedavg "),
        ("cycles", {"METHODS": ("synchronous",)}, ("paper-exp2-small", "1", "0.1"), "\nbest step"),
        ("gain", {"ROUNDS": ("fill",)}, ("1",), "rounds a contact fill"),
        (
            "mesh",
            {},
            ("iridium", "stated:100", "1", "grid", "1"),
            "grid       1     0.16  ",
        ),
    ],
)
def test_a_script_runs(name, cut, arguments, said, script, monkeypatch, capsys):
    module = script(name)
    for constant, value in cut.items():
        monkeypatch.setattr(module, constant, value)
    module.main(*arguments)
    assert said in capsys.readouterr().out


def test_bytes_to_a_target_are_those_of_a_run_that_ends_there(script):
    settings = {"learning.step_size": 0.3, "stop.accuracy": 0.75}
    ended = sim.run(scenarios.load("quickstart-8b", settings))
    by_seed = script("by_seed")
    for direction in ("uplink", "downlink"):
        most = ended.summary[f"{direction}_bytes"]
        assert by_seed.sent(0.75, direction)(ended) == pytest.approx(most / 1e9)
    whole = sim.run(
        scenarios.load("quickstart-8b", {**settings, "stop.accuracy": 1.0, "stop.cycles": 9})
    )
    assert by_seed.sent(0.75, "uplink")(whole) == by_seed.sent(0.75, "uplink")(ended)
    assert whole.summary["uplink_bytes"] > ended.summary["uplink_bytes"]


def test_the_script_of_real_data_chooses_runs_and_prints(script, tmp_path, monkeypatch, capsys):
    """Its files are not here: texts of two classes stand in for them."""
    real_data = script("real_data")
    texts = [
        {"text": f"{word} {n}", "label": label, "split": "test" if n % 4 == 0 else "train"}
        for n in range(120)
        for label, word in enumerate(("good", "bad"))
    ]
    monkeypatch.chdir(tmp_path)
    Path("glue_sst2.jsonl").write_text("\n".join(map(json.dumps, texts)))
    monkeypatch.setattr(real_data, "CYCLES", SHORT)
    monkeypatch.setattr(real_data, "TUNING_SEEDS", 1)
    monkeypatch.setattr(real_data, "GROUPS", [g for g in real_data.GROUPS if "SGD" in g.title])
    monkeypatch.setattr(real_data, "SPLITS", {"IID": {"kind": "iid"}})
    real_data.main("sst2", "3", "kept")
    assert "\nplain, SGD     scaffold " in capsys.readouterr().out
    assert sim.load(next(Path("kept/sweep/points").iterdir())).summary["cycles"] == SHORT


def stand_ins(domains, place):
    """Write a tiny Llama with a tokenizer, and questions of numbers, for each domain."""
    tiny.llamas(place, 3, num_hidden_layers=7)
    for number, name in enumerate(domains):
        (place / str(number)).rename(place / name)
        tiny.write_tokenizer(place / name)
        rows = [
            {"question": f"w{n % 7} w{n % 5}", "options": ["w1 w2", "w3"], "answer": n % 2}
            | {"split": "test" if n % 4 == 0 else "train"}
            for n in range(80)
        ]
        (place / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))


def test_the_scripts_of_answers_run(script, tmp_path, capsys):
    """As of :func:`test_the_script_of_real_models_runs`."""
    choices = script("multiple_choice")
    stand_ins(choices.DOMAINS.values(), tmp_path)
    choices.main(str(tmp_path), str(tmp_path), "12", "9")
    shown = capsys.readouterr().out
    assert shown.count("guessing") == 1 and shown.count(" 0.500") >= 4
    interval = r"\d\.\d{3} \[\d\.\d\d, \d\.\d\d\](?: chance)?"
    assert len(re.findall(rf"^variant \w+ alone(?: +{interval}){{4}}$", shown, re.M)) == 3


def test_the_script_of_real_models_runs(script, tmp_path, monkeypatch, capsys):
    """Its weights and questions are not here: tiny Llamas and questions of numbers stand in."""
    experiment = script("experiment_1")
    stand_ins(experiment.DOMAINS.values(), tmp_path)
    shared = script("real_weights")
    monkeypatch.setattr(shared, "in_processes", lambda run, points: list(map(run, points)))
    few = ("EMS-FL, enhanced", "one model a cluster, three rounds")
    monkeypatch.setattr(experiment, "METHODS", {name: experiment.METHODS[name] for name in few})
    monkeypatch.setattr(experiment, "STEP_SIZES", (0.002,))
    monkeypatch.setattr(experiment, "TUNED_ON", (101,))
    experiment.main(str(tmp_path), str(tmp_path), str(tmp_path / "runs"), "2", "1")
    shown = capsys.readouterr().out
    assert re.search(
        r"^variant cmexam alone +\d\.\d{3} +\d\.\d{3} +\d\.\d{3} +\d\.\d{3}$", shown, re.M
    )
    assert re.search(r"^EMS-FL, enhanced .+ 18 +0\.000$", shown, re.M)
    assert re.search(r"^one model a cluster, three rounds .+ 18 +0\.000$", shown, re.M)
    assert re.search(r"^one model a cluster, three rounds +[-+]\d\.\d{3}$", shown, re.M)
    assert (tmp_path / "runs" / "by-cycle.svg").exists()


def test_the_script_of_real_payloads_in_orbit_runs(script, tmp_path, capsys):
    """As of :func:`test_the_script_of_real_models_runs`: tiny factors get through every pass."""
    orbit = script("real_orbit")
    stand_ins(orbit.DOMAINS.values(), tmp_path)
    orbit.main(str(tmp_path), "2")
    shown = capsys.readouterr().out
    row = r" +\d+\.\d\d +\d+\.\d\d +23 of 23 +\d+ +\d+\.\d +\d+\.\d$"
    for name in orbit.METHODS:
        assert len(re.findall(f"^{name}{row}", shown, re.M)) == len(orbit.PAYLOADS)


def test_the_script_of_an_upcycled_encoder_runs(script, tmp_path, monkeypatch, capsys):
    """Its weights and texts are not here: a tiny BERT and rows of words stand in."""
    experiment = script("experiment_2")
    words = [f"w{n % 7} w{n % 5}" for n in range(160)]
    split = [{"split": ("train", "test")[n % 4 == 0]} for n in range(160)]
    columns = {
        "glue_sst2": [{"text_a": w, "text_b": "", "label": n % 2} for n, w in enumerate(words)],
        "glue_qnli": [{"text_a": w, "text_b": "w8", "label": n % 2} for n, w in enumerate(words)],
        "mmlu": [
            {"question": w, "subject": ("anatomy", "virology", "astronomy")[n % 3]}
            for n, w in enumerate(words)
        ],
        "medmcqa": [{"question": f"w9 {w}"} for w in words],
    }
    for name, rows in columns.items():
        made = [row | own for row, own in zip(rows, split, strict=True)]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, made)))
    experiment.prepare(tmp_path, tmp_path / "tasks")
    shown = capsys.readouterr().out
    assert re.search(r"subject.jsonl: 80 rows, 2 labels$", shown, re.M)
    tiny.bert(tmp_path / "model", num_hidden_layers=3, max_position_embeddings=48)
    tiny.write_tokenizer(tmp_path / "model")
    shared = script("real_weights")
    monkeypatch.setattr(shared, "in_processes", lambda run, points: list(map(run, points)))
    monkeypatch.setattr(experiment, "STEP_SIZES", (0.001,))
    monkeypatch.setattr(experiment, "TUNED_ON", (101,))
    place = str(tmp_path / "runs")
    experiment.main(str(tmp_path / "model"), str(tmp_path / "tasks"), place, "2", "1")
    shown = capsys.readouterr().out
    assert re.search(r"^EMS-FL, enhanced .+ \d\d +0\.0\d\d$", shown, re.M)
    assert re.search(r"^then FedAvg in each cluster, one MiniLM(?: +\d\.\d{3}){5}$", shown, re.M)
    assert re.search(r"^FedAvg in each cluster, one MiniLM +[-+]\d\.\d{3}$", shown, re.M)
