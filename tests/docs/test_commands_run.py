"""Every command and code block of README and docs is run, and the scripts of `papers` cut short.

CI runs those of README and of the tutorials, over less simulated time than they say; at night all
pages are run as they are, with the demo, the annex and the scripts.
"""

import json
import re
import subprocess
from importlib import import_module

import pytest

from tests.docs.pages import DOCS, PAGES, PAPERS, ROOT, TUTORIALS, steps
from tests.docs.run_page import run_page
from tests.kit import tiny_checkpoints as tiny

pytestmark = pytest.mark.slow(reason="some hundred commands, most of them whole runs: make docs")


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
    """Import a script of `papers`, which then runs here."""
    monkeypatch.syspath_prepend(str(PAPERS))
    monkeypatch.chdir(tmp_path)
    return import_module


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


def test_the_script_of_real_models_runs(script, tmp_path, monkeypatch, capsys):
    """Its weights and questions are not here: tiny Llamas and questions of numbers stand in."""
    experiment = script("experiment_1")
    stand_ins(experiment.DOMAINS.values(), tmp_path)
    few = ("EMS-FL, enhanced", "one model a cluster, three rounds")
    monkeypatch.setattr(experiment, "METHODS", {name: experiment.METHODS[name] for name in few})
    monkeypatch.setattr(experiment, "STEP_SIZES", (0.002,))
    monkeypatch.setattr(experiment, "SHORTER", {})
    for name, value in (("TUNING_SEEDS", 1), ("CYCLES", 1), ("SEEDS", 2), ("FEWER", 2)):
        monkeypatch.setattr(experiment, name, value)
    experiment.main(str(tmp_path), str(tmp_path))
    shown = capsys.readouterr().out
    assert re.search(
        r"^variant cmexam alone +\d\.\d{3} +\d\.\d{3} +\d\.\d{3} +\d\.\d{3}$", shown, re.M
    )
    assert re.search(r"^EMS-FL, enhanced .+ 18 +0\.000$", shown, re.M)
    assert re.search(r"^one model a cluster, three rounds .+ 18 +0\.000$", shown, re.M)
    assert re.search(r"^one model a cluster, three rounds +[-+]\d\.\d{3}$", shown, re.M)
    assert (tmp_path / "runs/papers/experiment-1-by-cycle.svg").exists()


def test_the_script_of_real_payloads_in_orbit_runs(script, tmp_path, capsys):
    """As of :func:`test_the_script_of_real_models_runs`: tiny factors get through every pass."""
    orbit = script("real_orbit")
    stand_ins(orbit.DOMAINS.values(), tmp_path)
    orbit.main(str(tmp_path), "2")
    shown = capsys.readouterr().out
    row = r" +\d+\.\d\d +\d+\.\d\d +23 of 23 +\d+ +\d+\.\d +\d+\.\d$"
    for name in orbit.METHODS:
        assert len(re.findall(f"^{name}{row}", shown, re.M)) == len(orbit.PAYLOADS)
