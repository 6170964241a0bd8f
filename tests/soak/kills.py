"""Runs and sweeps ended at random moments; resumed, each is what it would have been.

    python tests/soak/kills.py --count 100 --seed 8         # the long form: a quarter of an hour

Moments are counted in seconds of computing, so that a busy machine does not move them. A life is
ended once or twice and then goes on to its end. It must have the same trace, the same rows and the
same files as one that nobody disturbed. The forms:

- ``kill``: kill -9 at any moment, half of them while the end is written;
- ``tensors``: kill -9 once there is a checkpoint that holds tensors: of clusters, of satellites
  with batteries and windows of links out of a file, and of a small model sized as a large one;
- ``satellites``: five times kill -9 in a life of FLySTacK, of messages over a mesh, and of experts
  in orbit, where contacts open before others and close behind them;
- ``weights``: kill -9 behind a checkpoint of a run that starts from checkpoints of Llama's form:
  those of ``--weights``, of one shape, or small random ones;
- ``sweeps``: kill -9 at any moment of a sweep that trains, on two processes, and of a sweep that
  is then resumed with more points than it was begun with;
- ``agents``: kill -9 at any moment of an episode of Gymnasium, which begins anew; up to there it
  has observed what it observes again;
- ``reported``: kill -9 of a run beside which ``report`` writes its page: a page, or one line;
- ``fly``: kill -9 at any moment of runs of functions of the user's and, where flwr is installed, of
  a Flower app, without the cache; two undisturbed runs of each have one result;
- ``signals``: any signal that may end a process;
- ``again``: nobody disturbs ten times as many runs, two at once beside a busy process with the
  default cache folder, which is cleared now and then; none dies, and all have one trace.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from importlib.util import find_spec
from math import inf
from pathlib import Path
from typing import NamedTuple

import psutil
import pyarrow.parquet as pq
import yaml
from safetensors.torch import load_file

if not __package__:  # called by its path
    sys.path[0] = str(Path(__file__).resolve().parents[2])

import scenarios
from sim.sweep.rows import MACHINE_COLUMNS
from tests.kit.small import ORBIT, SATELLITES, SLOTS, isl_windows, merged
from tests.soak.agent import OBSERVED

AGENT = Path(__file__).with_name("agent.py")
EAGER = Path(__file__).with_name("eager.py")
DIGITS = Path(__file__).resolve().parents[2] / "docs" / "apps" / "digits"
TICK_S = 0.01
"""How finely the system counts what a process computes."""
MOST_S = 600.0
"""How long anything may take."""
TIMING = merged(ORBIT, {"learning": {"train": False}, "stop": {"days": 6}})
TRAINED = merged(SLOTS, {"stop": {"cycles": 20}})
UNTRAINED = {key: value for key, value in SLOTS.items() if key != "learning"}
LARGE = {"kind": "mixtral", "hidden": 512, "expert_hidden": 1024, "layers": 8}
SWEEP = ("sweep", "-p", "stop.days=1:4:1", "-j", "2")
FLOWN = ("run", "--no-cache")
"""The replies of what is flown would come from the cache, and not from the folder of the run."""
STOPS = ["STOP", "TSTP", "TTIN", "TTOU", "CONT", "CHLD", "URG", "WINCH"]
ENDING = [one for one in signal.Signals if one.name.removeprefix("SIG") not in STOPS]
"""Signals that end a process that does nothing about them."""


def shipped(name, changes):
    """A scenario of leomix with some keys changed."""
    path = scenarios.shipped_path(name)
    said = yaml.safe_load(path.read_text())
    if "method" in changes.get("learning", {}):
        del said["learning"]["options"]
    said = merged(said, changes)
    if elements := said["orbit"].get("path"):
        said["orbit"]["path"] = str(path.with_name(elements))
    return said


class Work(NamedTuple):
    """What is done with a scenario, and how it goes on at last if not the same way."""

    scenario: dict
    verb: tuple = ("run",)
    grown: tuple = ()
    saves: bool = False
    """Whether kills begin with a checkpoint that holds tensors."""


WORKS = {
    "timing-only run": Work(TIMING),
    "trained run": Work(TRAINED),
    "sweep": Work(TIMING, SWEEP),
    "trained run with tensors saved": Work(TRAINED, saves=True),
    "satellites with tensors saved": Work(
        merged(SATELLITES, {"link": {"isl": {"windows": "windows.csv"}}}), saves=True
    ),
    "stand-in with tensors saved": Work(
        merged(SLOTS, {"stop": {"cycles": 12}, "learning": {"sized_as": LARGE}}), saves=True
    ),
    "flystack": Work(
        shipped("flystack", {"stop": {"rounds": 20}, "learning": {"train": True}}), saves=True
    ),
    "iridium-isl over a mesh": Work(
        shipped(
            "iridium-isl",
            {
                "link": {"isl": {"route": "earliest"}},
                "learning": {"method": "fedavg", "steps_per_round": 1},
            },
        ),
        saves=True,
    ),
    "nmoe-orbit": Work(shipped("nmoe-orbit", {}), saves=True),
    "sweep that validates": Work(
        merged(SLOTS, {"learning": {"data": {"validation": 0.2}}}),
        ("sweep", "-p", "learning.step_size=0.001,0.01,0.05,0.5", "-j", "2"),
    ),
    "extended sweep": Work(TIMING, SWEEP, ("sweep", "-p", "stop.days=1:6:1", "-j", "2")),
    "episode": Work(merged(ORBIT, {"learning": {"method": "select"}}), ("agent",)),
    "reported run": Work(TRAINED),
    "functions": Work(
        {
            **UNTRAINED,
            "stop": {"cycles": 40},
            "learning": {
                "method": "sim.fly.functions:Functions", "options": {"code": "flown:train"},
            },
        },
        FLOWN,
    ),
    "Flower app": Work(
        {
            **UNTRAINED,
            "stop": {"cycles": 200},
            "learning": {
                "method": "sim.fly.flower.method:Flower",
                "options": {
                    "app": str(DIGITS), "server": "digits_app.server_app:app",
                    "client": "digits_app.client_app:app", "timeout": "none",
                },
            },
        },
        FLOWN,
    ),
}  # fmt: skip


class Kind(NamedTuple):
    """A command, and what it leaves when nobody disturbs it."""

    name: str
    command: tuple
    files: frozenset
    result: tuple
    phases: tuple
    """When the moments of kills begin, and how much is computed by then."""
    ends_s: float
    grown: tuple
    """The command that goes on to the end: in most cases the same."""


def main():
    """Kill and resume; print a line for each kind."""
    raw = argparse.RawTextHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=8)
    parser.add_argument("--form", choices=FORMS, nargs="+", default=list(FORMS))
    parser.add_argument("--weights", type=Path, nargs="+", default=[], metavar="FOLDER")
    asked = parser.parse_args()
    forms = FORMS | {"weights": partial(weighted, folders=asked.weights)}
    for form in asked.form:
        with tempfile.TemporaryDirectory(prefix="leomix-kills-") as work:
            for line in forms[form](Path(work), asked.count, asked.seed):
                print(f"kills: {line}", flush=True)
    return 0


def campaign(work, count, seed, names, a_life=(1, 1, 2), signals=(signal.SIGKILL,)):
    """End ``count`` times, one of ``a_life`` each life; AssertionError for one that differs."""
    chance = random.Random(seed)
    kinds = [undisturbed(work, name) for name in names]
    kills = Counter()
    life = 0
    while (left := count - kills.total()) > 0:
        kind = kinds[life % len(kinds)]
        place = work / f"life{life}"
        most = min(left, chance.choice(a_life))
        kills[kind.name] += live(kind, place, chance, most, signals)
        shutil.rmtree(place)
        life += 1
    return kills


def undisturbed(work, name):
    """Do something once from beginning to end."""
    scenario, verb, grown, saves = WORKS[name]
    path = work / f"{name}.yaml"
    place = work / name / "out"
    path.write_text(yaml.safe_dump(scenario))
    (work / "windows.csv").write_text(isl_windows())
    command, grown = ((words[0], str(path), *words[1:]) for words in (verb, grown or verb))
    process = start(command, place)
    phases = [holds_tensors] if saves else [Path.exists, nears_its_end]
    begin_s = [(phase, computed_until(process, partial(phase, place))) for phase in phases]
    ends_s = computed_until(process, lambda: False)
    assert process.wait() == 0, said(place)
    if grown != command:
        place = work / f"{name} at once" / "out"
        assert start(grown, place).wait(timeout=MOST_S) == 0, said(place)
    return Kind(name, command, files(place), result(place), tuple(begin_s), ends_s, grown)


def live(kind, work, chance, kills, signals):
    """End one life so many times, resume it and compare; return how many met it alive."""
    place = work / "out"
    ends = [ended(kind, place, chance, chance.choice(signals)) for _ in range(kills)]
    end = start(kind.grown, place)
    status = end.wait(timeout=MOST_S)
    after = f"{kind.name} after {ends} in {place}"
    assert status == 0, f"{after}: exit {status} when resumed: {said(place)}"
    assert result(place) == kind.result, f"{after}: another result"
    differ = files(place) ^ kind.files
    assert not differ, f"{after}: files that only one of the two has: {sorted(differ)}"
    return sum(status != 0 for _, status in ends)


def ended(kind, place, chance, number):
    """Start or go on, and send a signal; return its name and how the process ended."""
    process = start(kind.command, place)
    phase, begins_s = chance.choice(kind.phases)
    computed_s = computed_until(process, partial(phase, place))
    until_s = computed_s + chance.uniform(0.0, kind.ends_s - begins_s)
    page = place.parent / "report.html"
    reporting = report_on(place, page) if kind.name == "reported run" else None
    computed_until(process, lambda: False, until_s)
    time.sleep(chance.uniform(0.0, TICK_S))
    process.send_signal(number)
    status = process.wait(timeout=MOST_S)
    if reporting is not None:
        check_shown(reporting, page)
    if (observed := place / OBSERVED).exists():
        whole = observed.read_text().rpartition("\n")[0]
        assert kind.result[0].startswith(whole), f"{kind.name}: another episode up to {number.name}"
    return number.name, status


def report_on(place, page):
    """Begin to write the page of a run."""
    page.unlink(missing_ok=True)
    line = [sys.executable, "-m", "sim", "report", str(place), "-o", str(page)]
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def check_shown(process, page):
    """Raise AssertionError unless there is a whole page, or one line that says why not."""
    out, err = process.communicate(timeout=MOST_S)
    told = f"{process.args} ended with {process.returncode}: {out}{err}"
    assert process.returncode in (0, 2), told
    assert "Traceback" not in err and len(err.splitlines()) <= 1, told
    if page.exists():
        assert page.read_text().rstrip().endswith("</html>"), told
    else:
        assert err, told


def start(command, place):
    """Start or go on with a command that writes to ``place``, with a cache of its own beside it."""
    place.parent.mkdir(parents=True, exist_ok=True)
    resume = ("--resume",) if place.exists() and any(place.iterdir()) else ()
    script = AGENT if command[0] == "agent" else EAGER
    line = [sys.executable, str(script), *command, "-o", str(place), "--quiet", *resume]
    own = {
        "LEOMIX_CACHE": str(place.parent / "cache"),
        "LEOMIX_ALLOW_CODE": "1",
        "PYTHONFAULTHANDLER": "1",
    }
    with (place.parent / "said.txt").open("wb") as out:
        return subprocess.Popen(line, stdout=out, stderr=out, env={**os.environ, **own})


def said(place):
    """What the last command for ``place`` printed."""
    return (place.parent / "said.txt").read_text(errors="replace")[-2000:]


def computed_until(process, happened, most_s=inf):
    """Wait until something has happened, or so much is computed, or the process has ended.

    Return how many seconds it and its workers have computed by then.
    """
    computed_s = 0.0
    has_workers = "sweep" in process.args
    until = time.monotonic() + MOST_S
    while process.poll() is None and computed_s < most_s and not happened():
        assert time.monotonic() < until, "a process that hangs"
        time.sleep(TICK_S)
        with suppress(psutil.NoSuchProcess):
            parent = psutil.Process(process.pid)
            family = [parent, *(parent.children() if has_workers else ())]
            computed_s = max(computed_s, sum(sum(one.cpu_times()) for one in family))
    return computed_s


def holds_tensors(place):
    """Whether a checkpoint holds tensors."""
    return any(place.glob("checkpoint/values/*.safetensors"))


def nears_its_end(place):
    """Whether a run has begun to write its tables, or a sweep has most of its points."""
    most = 3 if (place / "sweep.json").exists() else 6
    points = [*place.glob("points/*/manifest.json")]
    return len(points) >= most or any(place.glob("*.parquet"))


def result(place):
    """What must not differ; all must be readable.

    That is what an agent has observed, a sweep's rows, or a run's trace and weights.
    """
    for path in place.rglob("*.parquet"):
        pq.ParquetFile(path).read()
    for path in place.rglob("*.safetensors"):
        load_file(path)
    if (place / OBSERVED).exists():
        return ((place / OBSERVED).read_text(),)
    if (place / "sweep.json").exists():
        rows = pq.ParquetFile(place / "sweep.parquet").read()
        return tuple(map(str, rows.drop_columns(list(MACHINE_COLUMNS)).to_pylist()))
    manifest = json.loads((place / "manifest.json").read_text())
    weights = place / "model" / "model.safetensors"
    bits = weights.read_bytes() if weights.exists() else b""
    return manifest["status"], manifest["trace_sha256"], manifest["timing_sha256"], bits


def files(place):
    """Names of all files below a folder, but claims and what is kept to be extended from.

    Each owner of a point has a claim; what is kept has the tensors that were computed by then.
    """
    names = (str(path.relative_to(place)) for path in place.rglob("*") if path.is_file())
    return frozenset(name for name in names if not name.startswith(("claims/", "extension/")))


# The forms of the campaign, each of which says what came out.


def ends(*names, share=1.0, how="killed", went_on="resumed", **more):
    """A form that ends a share of the count."""

    def form(work, count, seed):
        kills = campaign(work, int(count * share), seed, names, **more)
        for name, number in kills.items():
            yield f"{name}: {number} {how}, {number} {went_on} to the identical result"

    return form


def weighted(work, count, seed, folders=()):
    """Kill -9 behind a checkpoint with tensors of a model whose rest lies in other files."""
    WORKS["run of checkpoints"] = Work(of_checkpoints(work, folders), saves=True)
    return ends("run of checkpoints", share=0.1)(work, count, seed)


def of_checkpoints(work, folders):
    """Return a scenario of dense models that are its experts, and write its questions."""
    if not folders:
        from tests.kit import tiny_checkpoints  # a second of imports

        tiny_checkpoints.llamas(work, 2, vocab_size=300)
        folders = [work / "0", work / "1"]
    asked = [
        {"question": f"what of {n % 5}?", "options": ["yes", "no", f"maybe {n}"], "answer": n % 3}
        | {"domain": "AB"[n % 2], "split": "train" if n < 24 else "test"}
        for n in range(36)
    ]
    (work / "asked.jsonl").write_text("\n".join(map(json.dumps, asked)))
    checkpoints = [str(folder.resolve()) for folder in folders]
    learning = {
        "pretraining": {"gate_steps": 1, "expert_steps": 0, "backbone_steps": 0},
        "data": {"kind": "jsonl", "path": str(work / "asked.jsonl"), "tokens": 12}
        | {"trial_samples": 4},
    }
    said = merged(SLOTS, {"stop": {"cycles": 6}, "learning": learning})
    said["learning"]["model"] = {"kind": "merged-llama", "checkpoints": checkpoints}
    return said


def flown(work, count, seed):
    """Kill -9 at any moment while code of the user's trains; run it twice undisturbed before."""
    for name in ("functions", "Flower app") if find_spec("flwr") else ("functions",):
        results = []
        for again in ("one", "two"):
            (work / again).mkdir(exist_ok=True)
            results.append(undisturbed(work / again, name).result)
        assert results[0] == results[1], f"{name}: two undisturbed runs differ"
        yield f"{name}: two undisturbed runs have one result"
        yield from ends(name, share=0.1)(work, count, seed)
    if not find_spec("flwr"):
        yield "Flower app: needs the extra leomix[flower]"


AGAIN = ("run", "paper-slots", "--set", "stop.cycles=1", "--quiet")
BUSY = "while True: pass"
CLEARED = 50
"""How many runs share what is cached."""


def again(work, count, seed):
    """Run undisturbed ten times as often, under load."""
    own = {"XDG_CACHE_HOME": str(work), "PYTHONFAULTHANDLER": "1", "LEOMIX_CACHE": ""}
    environment = {**os.environ, **own}

    def run_one(number):
        place = work / f"run{number}"
        if number % CLEARED == 0:
            shutil.rmtree(work / "leomix", ignore_errors=True)
        line = [sys.executable, "-m", "sim", *AGAIN, "-o", str(place)]
        done = subprocess.run(line, env=environment, capture_output=True, text=True, check=False)
        odd = [one for one in done.stderr.splitlines() if not one.startswith("warning: ")]
        assert (done.returncode, odd) == (0, []), f"run {number}: {done}"
        found = json.loads((place / "manifest.json").read_text())["trace_sha256"]
        shutil.rmtree(place)
        return found

    with (
        subprocess.Popen([sys.executable, "-c", BUSY]) as busy,
        ThreadPoolExecutor(2) as pool,
    ):
        try:
            traces = Counter(pool.map(run_one, range(10 * count)))
        finally:
            busy.kill()
    assert len(traces) == 1, traces
    yield f"paper-slots: {traces.total()} runs under load, none died, one trace"


FORMS = {
    "kill": ends("timing-only run", "trained run", "sweep"),
    "tensors": ends(*(name for name in WORKS if "with tensors" in name), share=0.5),
    "satellites": ends(
        "flystack", "iridium-isl over a mesh", "nmoe-orbit", share=0.5, a_life=(5,)
    ),
    "weights": weighted,
    "sweeps": ends("sweep that validates", "extended sweep", share=0.2),
    "agents": ends("episode", share=0.1, went_on="begun anew"),
    "reported": ends("reported run", share=0.2, how="killed under a page"),
    "fly": flown,
    "signals": ends(
        "timing-only run", "trained run", "sweep", share=0.5, how="ended by a signal",
        signals=ENDING,
    ),
    "again": again,
}  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
