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

from __future__ import annotations

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
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from math import inf
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import yaml
from safetensors.torch import load_file

if not __package__:  # called by its path
    sys.path[0] = str(Path(__file__).resolve().parents[2])

import scenarios
from tests.kit.small import ORBIT, SLOTS, merged
from tests.kit.small_satellites import SATELLITES, isl_windows
from tests.kit.sweeps import MACHINE_COLUMNS
from tests.soak.agent import OBSERVED

AGENT = Path(__file__).with_name("agent.py")
EAGER = Path(__file__).with_name("eager.py")
TIMING = merged(ORBIT, {"learning": {"train": False}, "stop": {"days": 6}})
TRAINED = merged(SLOTS, {"stop": {"cycles": 20}})
TICK_S = 0.01
"""How finely the system counts what a process computes."""
MOST_S = 600.0
"""How long anything may take."""
POINTS = ("-p", "stop.days=1:4:1", "-j", "2")
KINDS = ("timing-only run", "trained run", "sweep")
BEHIND_TENSORS = "trained run with tensors saved"
ON_BOARD = "satellites with tensors saved"
STAND_IN = "stand-in with tensors saved"
WITH_TENSORS = (BEHIND_TENSORS, ON_BOARD, STAND_IN)
FLYSTACK = "flystack"
MESH = "iridium-isl over a mesh"
EXPERTS = "nmoe-orbit"
IN_ORBIT = (FLYSTACK, MESH, EXPERTS)
WEIGHTS = "run of checkpoints"
VALIDATED = "sweep that validates"
EXTENDED = "extended sweep"
PLAYED = "episode"
REPORTED = "reported run"
FUNCTIONS = "functions"
APP = "Flower app"
FLOWN = (FUNCTIONS, APP) if find_spec("flwr") else (FUNCTIONS,)
DIGITS = Path(__file__).resolve().parents[2] / "docs" / "apps" / "digits"
UNTRAINED = {key: value for key, value in SLOTS.items() if key != "learning"}
LARGE = {"kind": "mixtral", "hidden": 512, "expert_hidden": 1024, "layers": 8}


def shipped(name: str, changes: dict[str, Any]) -> dict[str, Any]:
    """A scenario of leomix with some keys changed."""
    path = scenarios.shipped_path(name)
    said = yaml.safe_load(path.read_text())
    if "method" in changes.get("learning", {}):
        del said["learning"]["options"]
    said = merged(said, changes)
    if elements := said["orbit"].get("path"):
        said["orbit"]["path"] = str(path.with_name(elements))
    return said


SCENARIOS: dict[str, dict[str, Any]] = {
    "timing-only run": TIMING,
    "trained run": TRAINED,
    "sweep": TIMING,
    BEHIND_TENSORS: TRAINED,
    ON_BOARD: merged(SATELLITES, {"link": {"isl": {"windows": "windows.csv"}}}),
    STAND_IN: merged(SLOTS, {"stop": {"cycles": 12}, "learning": {"sized_as": LARGE}}),
    FLYSTACK: shipped("flystack", {"stop": {"rounds": 20}, "learning": {"train": True}}),
    MESH: shipped(
        "iridium-isl",
        {
            "link": {"isl": {"route": "earliest"}},
            "learning": {"method": "fedavg", "steps_per_round": 1},
        },
    ),
    EXPERTS: shipped("nmoe-orbit", {}),
    VALIDATED: merged(SLOTS, {"learning": {"data": {"validation": 0.2}}}),
    EXTENDED: TIMING,
    PLAYED: merged(ORBIT, {"learning": {"method": "select"}}),
    REPORTED: TRAINED,
    FUNCTIONS: {
        **UNTRAINED,
        "stop": {"cycles": 40},
        "learning": {"method": "sim.fly.functions:Functions", "options": {"code": "flown:train"}},
    },
    APP: {
        **UNTRAINED,
        "stop": {"cycles": 200},
        "learning": {
            "method": "sim.fly.flower.method:Flower",
            "options": {
                "app": str(DIGITS),
                "server": "digits_app.server_app:app",
                "client": "digits_app.client_app:app",
                "timeout": "none",
            },
        },
    },
}
VERBS: dict[str, tuple[str, ...]] = {
    "sweep": ("sweep", *POINTS),
    EXTENDED: ("sweep", *POINTS),
    VALIDATED: ("sweep", "-p", "learning.step_size=0.001,0.01,0.05,0.5", "-j", "2"),
    PLAYED: ("agent",),
    **dict.fromkeys(FLOWN, ("run", "--no-cache")),
}  # fmt: skip
"""What is done with a scenario unless it is run, and how.

The replies of what is flown would come from the cache, and not from the folder of the run.
"""
GROWN: dict[str, tuple[str, ...]] = {EXTENDED: ("sweep", "-p", "stop.days=1:6:1", "-j", "2")}
"""What goes on with it at last, if not the same."""
STOPS = ["STOP", "TSTP", "TTIN", "TTOU", "CONT", "CHLD", "URG", "WINCH"]
ENDING = [one for one in signal.Signals if one.name.removeprefix("SIG") not in STOPS]
"""Signals that end a process that does nothing about them."""
BUSY = "while True: pass"
AGAIN = ("run", "paper-slots", "--set", "stop.cycles=1", "--quiet")
CLEARED = 50
"""How many runs share what is cached."""


Phase = Callable[[Path], bool]


@dataclass(frozen=True)
class Kind:
    """A command, and what it leaves when nobody disturbs it."""

    name: str
    command: tuple[str, ...]
    files: frozenset[str]
    result: tuple[Any, ...]
    phases: tuple[tuple[Phase, float], ...]
    """When the moments of kills begin, and how much is computed by then."""
    ends_s: float
    grown: tuple[str, ...]
    """The command that goes on to the end: in most cases the same."""


def main() -> int:
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


def campaign(
    work: Path,
    count: int,
    seed: int,
    names: Sequence[str] = KINDS,
    a_life: Sequence[int] = (1, 1, 2),
    signals: Sequence[signal.Signals] = (signal.SIGKILL,),
    known: Mapping[str, dict[str, Any]] = SCENARIOS,
) -> Counter[str]:
    """End ``count`` times, one of ``a_life`` each life; AssertionError for one that differs."""
    chance = random.Random(seed)
    kinds = [undisturbed(work, name, known[name]) for name in names]
    kills: Counter[str] = Counter()
    life = 0
    while (left := count - kills.total()) > 0:
        kind = kinds[life % len(kinds)]
        place = work / f"life{life}"
        most = min(left, chance.choice(a_life))
        kills[kind.name] += live(kind, place, chance, most, signals)
        shutil.rmtree(place)
        life += 1
    return kills


def undisturbed(work: Path, name: str, scenario: dict[str, Any]) -> Kind:
    """Do something once from beginning to end."""
    path = work / f"{name}.yaml"
    place = work / name / "out"
    path.write_text(yaml.safe_dump(scenario))
    (work / "windows.csv").write_text(isl_windows())

    def line(words: Sequence[str]) -> tuple[str, ...]:
        return words[0], str(path), *words[1:]

    command = line(VERBS.get(name, ("run",)))
    grown = line(GROWN[name]) if name in GROWN else command
    process = start(command, place)
    saves = (*WITH_TENSORS, *IN_ORBIT, WEIGHTS)
    phases: list[Phase] = [holds_tensors] if name in saves else [Path.exists, nears_its_end]
    begin_s = [(phase, computed_until(process, partial(phase, place))) for phase in phases]
    ends_s = computed_until(process, lambda: False)
    assert process.wait() == 0, said(place)
    if grown != command:
        place = work / f"{name} at once" / "out"
        assert start(grown, place).wait(timeout=MOST_S) == 0, said(place)
    return Kind(name, command, files(place), result(place), tuple(begin_s), ends_s, grown)


def live(
    kind: Kind, work: Path, chance: random.Random, kills: int, signals: Sequence[signal.Signals]
) -> int:
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


def ended(
    kind: Kind, place: Path, chance: random.Random, number: signal.Signals
) -> tuple[str, int]:
    """Start or go on, and send a signal; return its name and how the process ended."""
    process = start(kind.command, place)
    phase, begins_s = chance.choice(kind.phases)
    computed_s = computed_until(process, partial(phase, place))
    until_s = computed_s + chance.uniform(0.0, kind.ends_s - begins_s)
    page = place.parent / "report.html"
    reporting = report_on(place, page) if kind.name == REPORTED else None
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


def report_on(place: Path, page: Path) -> subprocess.Popen[str]:
    """Begin to write the page of a run."""
    page.unlink(missing_ok=True)
    line = [sys.executable, "-m", "sim", "report", str(place), "-o", str(page)]
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def check_shown(process: subprocess.Popen[str], page: Path) -> None:
    """Raise AssertionError unless there is a whole page, or one line that says why not."""
    out, err = process.communicate(timeout=MOST_S)
    told = f"{process.args} ended with {process.returncode}: {out}{err}"
    assert process.returncode in (0, 2), told
    assert "Traceback" not in err and len(err.splitlines()) <= 1, told
    if page.exists():
        assert page.read_text().rstrip().endswith("</html>"), told
    else:
        assert err, told


def start(command: tuple[str, ...], place: Path) -> subprocess.Popen[bytes]:
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


def said(place: Path) -> str:
    """What the last command for ``place`` printed."""
    return (place.parent / "said.txt").read_text(errors="replace")[-2000:]


def computed_until(
    process: subprocess.Popen[bytes], happened: Callable[[], bool], most_s: float = inf
) -> float:
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


def holds_tensors(place: Path) -> bool:
    """Whether a checkpoint holds tensors."""
    return any(place.glob("checkpoint/values/*.safetensors"))


def nears_its_end(place: Path) -> bool:
    """Whether a run has begun to write its tables, or a sweep or tuning has most of its points."""
    most = 3 if (place / "sweep.json").exists() else 6
    points = [one for folder in (place, *place.glob("rung-*")) for one in _ended_points(folder)]
    return len(points) >= most or any(place.glob("*.parquet"))


def _ended_points(sweep: Path) -> Iterator[Path]:
    return sweep.glob("points/*/manifest.json")


def result(place: Path) -> tuple[Any, ...]:
    """What must not differ; all must be readable.

    That is what an agent has observed, what a tuning has chosen by which rows, a sweep's rows, or a
    run's trace and weights.
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


def files(place: Path) -> frozenset[str]:
    """Names of all files below a folder, but claims and what is kept to be extended from.

    Each owner of a point has a claim; what is kept has the tensors that were computed by then.
    """
    names = (str(path.relative_to(place)) for path in place.rglob("*") if path.is_file())
    return frozenset(name for name in names if not name.startswith(("claims/", "extension/")))


# The forms of the campaign, each of which says what came out.


def killed(work: Path, count: int, seed: int) -> Iterator[str]:
    """Kill -9 at any moment."""
    return told(campaign(work, count, seed), "killed")


def behind_tensors(work: Path, count: int, seed: int) -> Iterator[str]:
    """Kill -9 behind a checkpoint that holds tensors."""
    return told(campaign(work, count // 2, seed, WITH_TENSORS), "killed")


def in_orbit(work: Path, count: int, seed: int) -> Iterator[str]:
    """Kill -9 five times in a life, behind checkpoints that hold tensors."""
    return told(campaign(work, count // 2, seed, IN_ORBIT, (5,)), "killed")


def weighted(work: Path, count: int, seed: int, folders: Sequence[Path] = ()) -> Iterator[str]:
    """Kill -9 behind a checkpoint with tensors of a model whose rest lies in other files."""
    known = {WEIGHTS: of_checkpoints(work, folders)}
    return told(campaign(work, count // 10, seed, (WEIGHTS,), known=known), "killed")


def of_checkpoints(work: Path, folders: Sequence[Path]) -> dict[str, Any]:
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


def sweeping(work: Path, count: int, seed: int) -> Iterator[str]:
    """Kill -9 a sweep that trains, and a sweep that has more points when it goes on."""
    return told(campaign(work, count // 5, seed, (VALIDATED, EXTENDED)), "killed")


def played(work: Path, count: int, seed: int) -> Iterator[str]:
    """Kill -9 an agent and its environment, which begin anew."""
    return told(campaign(work, count // 10, seed, (PLAYED,)), "killed", "begun anew")


def reported(work: Path, count: int, seed: int) -> Iterator[str]:
    """Kill -9 a run while its page is written."""
    return told(campaign(work, count // 5, seed, (REPORTED,)), "killed under a page")


def flown(work: Path, count: int, seed: int) -> Iterator[str]:
    """Kill -9 at any moment while code of the user's trains; run it twice undisturbed before."""
    for name in FLOWN:
        results = []
        for again in ("one", "two"):
            (work / again).mkdir(exist_ok=True)
            results.append(undisturbed(work / again, name, SCENARIOS[name]).result)
        assert results[0] == results[1], f"{name}: two undisturbed runs differ"
        yield f"{name}: two undisturbed runs have one result"
        yield from told(campaign(work, count // 10, seed, (name,)), "killed")
    if APP not in FLOWN:
        yield f"{APP}: needs the extra leomix[flower]"


def signalled(work: Path, count: int, seed: int) -> Iterator[str]:
    """Send any signal."""
    return told(campaign(work, count // 2, seed, signals=ENDING), "ended by a signal")


def told(kills: Counter[str], how: str, went_on: str = "resumed") -> Iterator[str]:
    """Say how many lives of each kind were ended."""
    for name, number in kills.items():
        yield f"{name}: {number} {how}, {number} {went_on} to the identical result"


def again(work: Path, count: int, seed: int) -> Iterator[str]:
    """Run undisturbed ten times as often, under load."""
    own = {"XDG_CACHE_HOME": str(work), "PYTHONFAULTHANDLER": "1", "LEOMIX_CACHE": ""}
    environment = {**os.environ, **own}

    def run_one(number: int) -> str:
        place = work / f"run{number}"
        if number % CLEARED == 0:
            shutil.rmtree(work / "leomix", ignore_errors=True)
        line = [sys.executable, "-m", "sim", *AGAIN, "-o", str(place)]
        done = subprocess.run(line, env=environment, capture_output=True, text=True, check=False)
        odd = [one for one in done.stderr.splitlines() if not one.startswith("warning: ")]
        assert (done.returncode, odd) == (0, []), f"run {number}: {done}"
        found: str = json.loads((place / "manifest.json").read_text())["trace_sha256"]
        shutil.rmtree(place)
        return found

    with subprocess.Popen([sys.executable, "-c", BUSY]) as busy, ThreadPoolExecutor(2) as pool:
        try:
            traces = Counter(pool.map(run_one, range(10 * count)))
        finally:
            busy.kill()
    assert len(traces) == 1, traces
    yield f"paper-slots: {traces.total()} runs under load, none died, one trace"


Form = Callable[[Path, int, int], Iterator[str]]
FORMS: dict[str, Form] = {
    "kill": killed,
    "tensors": behind_tensors,
    "satellites": in_orbit,
    "weights": weighted,
    "sweeps": sweeping,
    "agents": played,
    "reported": reported,
    "fly": flown,
    "signals": signalled,
    "again": again,
}


if __name__ == "__main__":
    sys.exit(main())
