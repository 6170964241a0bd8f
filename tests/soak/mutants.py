"""Mutation testing: of sampled small changes of the core, how many does a test notice?

    python tests/soak/mutants.py --count 200 --seed 8       # the long form: an hour
    python tests/soak/mutants.py --again 20                 # kept mutants against the test named
    python tests/soak/mutants.py --report                   # the table of docs/testing.md

Each mutant is written into a copy of the last commit (or of --commit) and judged there by the
tests that run its line, quickest first, until one fails. The sample depends on the seed and on
the source of each room.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from judging import Judge
from mutators import Mutant, mutants_of

ROOT = Path(__file__).resolve().parents[2]
KEPT = Path(__file__).with_name("mutants.json")
TRANSFERS = (
    "transfers schedule sharing fluid legs ledger session_parts session_beam beam planned_session"
)
ROOMS = {
    "orbit": ("orbit/*.py",),
    "channel": ("channel/*.py",),
    "transfers": tuple(f"sim/{name}.py" for name in TRANSFERS.split()),
}
OF_TRANSFERS = (
    "beam_sharing constellations cut_transfers devices_and_links energy excluded_devices faults_* "
    "fedbuff forecast given_up kinds_of_devices large_tables link_chance links_in_step "
    "payload_manifests physics_of_a_run session_links sessions sharing trace_and_invariants "
    "transfer_small_print upload_exactness"
)
TESTS = {
    "orbit": ("tests/orbit/test_*.py",),
    "channel": ("tests/channel/test_*.py",),
    "transfers": tuple(f"tests/sim/test_{name}.py" for name in OF_TRANSFERS.split()),
}
"""What may notice a mutant of a room."""
WRITTEN = "test written"
"""Judgement of a survivor that a new test notices."""
BUDGET_S = 40.0
"""How long the tests of a mutant may take if none notices it, as measured without it."""


def main() -> int:
    """Judge a sample, or say what is kept of the last one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=8)
    parser.add_argument("--rooms", nargs="+", choices=list(ROOMS), default=list(ROOMS))
    parser.add_argument("--covering", type=Path, default=ROOT / "build" / "soak")
    parser.add_argument("--commit", default="HEAD")
    parser.add_argument("--again", type=int, default=0)
    parser.add_argument("--report", action="store_true")
    asked = parser.parse_args()
    if asked.report:
        return report(json.loads(KEPT.read_text()))
    with tempfile.TemporaryDirectory(prefix="leomix-mutants-") as work:
        copy = Path(work, "leomix")
        git("clone", "-q", str(ROOT), str(copy))
        git("-C", str(copy), "checkout", "-q", asked.commit)
        asked.commit = git("-C", str(copy), "rev-parse", "HEAD")[:12]
        judge = Judge(copy, Path(work))
        if asked.again:
            return again(judge, copy, asked.again, asked.seed)
        for room in asked.rooms:
            share = len(range(list(ROOMS).index(room), asked.count, len(ROOMS)))
            keep(room, judge_room(judge, copy, room, share, asked))
    return report(json.loads(KEPT.read_text()))


def git(*arguments: str) -> str:
    """Run git and return what it prints."""
    return subprocess.check_output(["git", *arguments], text=True).strip()


def sample(copy: Path, room: str, count: int, seed: int) -> list[tuple[str, Mutant]]:
    """Draw mutants of a room from all there are."""
    paths = sorted(path for pattern in ROOMS[room] for path in copy.glob(pattern))
    every = [
        (str(path.relative_to(copy)), mutant)
        for path in paths
        for mutant in mutants_of(path.read_text())
    ]
    return random.Random(f"{seed} {room}").sample(every, count)


def judge_room(
    judge: Judge, copy: Path, room: str, count: int, asked: argparse.Namespace
) -> list[dict[str, object]]:
    """Judge a sample of a room; one line for each mutant."""
    covering = covered(copy, room, asked.covering, asked.commit)
    so_far = asked.covering / f"judged-{room}-{asked.commit}-{asked.seed}.jsonl"
    before = so_far.read_text().splitlines() if so_far.exists() else []
    judged = [json.loads(line) for line in before]
    for file, mutant in sample(copy, room, count, asked.seed)[len(judged) :]:
        tests = chosen(covering, file, mutant)
        began = time.monotonic()
        killer = judge.killer(file, mutant, tests, sum(covering["tests"][t] for t in tests))
        took_s = time.monotonic() - began
        change = {key: getattr(mutant, key) for key in ("line", "column", "before", "after")}
        judged.append({"file": file, **change, "tests": len(tests), "killed_by": killer})
        with so_far.open("a") as kept:  # a campaign that is cut short goes on from here
            kept.write(json.dumps(judged[-1]) + "\n")
        shown = f"{file}:{mutant.line} {mutant.before!r} -> {mutant.after!r}"
        print(f"{killer or 'SURVIVED'}\t{took_s:.1f} s\t{shown}", flush=True)
    return judged


def chosen(covering: dict, file: str, mutant: Mutant) -> list[str]:
    """The tests that run a mutant's line, quickest first; those of its module if none is named."""
    lines = covering["lines"].get(file, {})
    numbers = lines.get(str(mutant.line)) or sorted({n for some in lines.values() for n in some})
    names = list(covering["tests"])
    tests, spent_s = [], 0.0
    for test in sorted((names[n] for n in numbers), key=covering["tests"].__getitem__):
        spent_s += covering["tests"][test]
        if spent_s > BUDGET_S:
            break
        tests.append(test)
    return tests


def covered(copy: Path, room: str, folder: Path, commit: str) -> dict:
    """Which tests run which lines: measured once for a commit and room."""
    file = folder / f"covering-{room}-{commit}.json"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        paths = [str(copy), str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
        said = {"CI": "1", "PYTHONPATH": os.pathsep.join(paths), "LEOMIX_COVERING": str(file)}
        environment = {**os.environ, **said}
        tests = sorted(str(path) for pattern in TESTS[room] for path in copy.glob(pattern))
        command = [sys.executable, "-m", "pytest", "-p", "covering", "-m", "not slow", *tests]
        subprocess.run(command, cwd=copy, env=environment, check=False)
    return json.loads(file.read_text())


def keep(room: str, judged: list[dict[str, object]]) -> None:
    """Write a room's outcome to the kept file; judgements of survivors are kept with them."""
    kept = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    said = {_name(one): one["judgement"] for one in kept.get(room, []) if "judgement" in one}
    for one in judged:
        if not one["killed_by"] and _name(one) in said and said[_name(one)] != WRITTEN:
            one["judgement"] = said[_name(one)]
    KEPT.write_text(json.dumps({**kept, room: judged}, indent=1) + "\n")


def _name(one: dict[str, object]) -> tuple[object, ...]:
    return one["file"], one["before"], one["after"]


def again(judge: Judge, copy: Path, count: int, seed: int) -> int:
    """Try kept mutants again, each with the test that noticed it; 1 if one does not any more."""
    kept = json.loads(KEPT.read_text())
    noticed = [one for room in kept.values() for one in room if one["killed_by"]]
    random.Random(seed).shuffle(noticed)
    outcomes: Counter[str] = Counter()
    for one in noticed:
        if outcomes["killed"] + outcomes["missed"] == count:
            break
        mutants = mutants_of((copy / one["file"]).read_text())
        same = [
            m
            for m in mutants
            if (m.line, m.before, m.after) == (one["line"], one["before"], one["after"])
        ]
        if not same or not (copy / one["killed_by"].split("::")[0]).exists():
            outcomes["gone"] += 1
            continue
        killer = judge.killer(one["file"], same[0], [one["killed_by"]], BUDGET_S)
        outcomes["killed" if killer else "missed"] += 1
        if not killer:
            print(f"{one['killed_by']} no longer notices {one['file']}:{one['line']}")
    print(
        f"mutants: {outcomes['killed']} of {outcomes['killed'] + outcomes['missed']} killed again"
    )
    return int(outcomes["missed"] > 0)


def _is(mutant: Mutant, one: dict) -> bool:
    return (mutant.line, mutant.before, mutant.after) == (one["line"], one["before"], one["after"])


def report(kept: dict[str, list[dict]]) -> int:
    """Print how many were killed, and who survived at first with what was judged of it."""
    print("| room | mutants | killed | share | killed by tests written since |")
    print("|---|---:|---:|---:|---:|")
    rooms = {**kept, "all": [one for room in kept.values() for one in room]}
    for room, judged in rooms.items():
        since = sum(bool(one["killed_by"]) for one in judged if "judgement" in one)
        killed = sum(bool(one["killed_by"]) for one in judged) - since
        print(f"| {room} | {len(judged)} | {killed} | {killed / len(judged):.0%} | {since} |")
    print("\n| survivor | change | judgement |\n|---|---|---|")
    for one in rooms["all"]:
        if "judgement" in one or not one["killed_by"]:
            change = f"`{_short(one['before'])}` -> `{_short(one['after'])}`"
            place = f"`{one['file']}:{one['line']}`"
            print(f"| {place} | {change} | {one.get('judgement', 'not judged yet')} |")
    return int(killed < 0.8 * len(rooms["all"]))


def _short(text: str) -> str:
    words = " ".join(text.split()).replace("|", "\\|")
    return words if len(words) < 60 else f"{words[:57]}..."


if __name__ == "__main__":
    sys.exit(main())
