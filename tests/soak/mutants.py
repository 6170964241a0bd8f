"""Mutation testing: of sampled small changes of the core, how many does a test notice?

    python tests/soak/mutants.py                     # kept mutants against the tests there are
    python tests/soak/mutants.py --again 20          # a few of them against the test named
    python tests/soak/mutants.py --sample 200        # draw others: a new kept file
    python tests/soak/mutants.py --report            # shares killed, and survivors

Each mutant is written into a copy of a commit and judged there by the quick and process tests that
run its line, quickest first, until one fails. A kept mutant is found by its line's text, so that
code may move; one whose line is gone is reported. A campaign that is cut short continues.
"""

import argparse
import compileall
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from importlib.util import cache_from_source
from math import inf
from pathlib import Path
from xml.etree import ElementTree

from mutators import mutants_of

ROOT = Path(__file__).resolve().parents[2]
KEPT = Path(__file__).with_name("mutants.json")
RESULTS = "analysis sweep page draw export replay"
TRANSFERS = "books chains endpoint transfer training sharing beam"
ROOMS = {
    "orbit": ("orbit/**/*.py",),
    "channel": ("channel/**/*.py",),
    "transfers": (
        *(f"sim/**/{name}.py" for name in TRANSFERS.split()),
        "sim/plan/contacts.py",
        "sim/plan/service.py",
    ),
    "results": tuple(f"sim/{package}/**/*.py" for package in RESULTS.split()),
}
TESTS = {
    "orbit": ("tests/orbit", "tests/truth"),
    "channel": ("tests/channel", "tests/truth"),
    "transfers": ("tests/sim", "tests/truth"),
    "results": (*(f"tests/sim/{package}" for package in RESULTS.split()), "tests/test_approved.py"),
}
"""What may notice a mutant of a room."""
PASSED = (0, 5)
"""How pytest ends where no test fails, or none is left."""
MEMORY_BYTES = 4 << 30
BUDGET_S = 60.0
"""How long the tests of a mutant may take if none notices it, as measured without it."""

# A kept mutant: file, line, source (the line's text), at, before, after, killed_by, judgement.


def main():
    """Judge kept or new mutants, or say what is kept."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--sample", type=int, metavar="COUNT", help="draw new mutants")
    parser.add_argument("--seed", type=int, default=8)
    parser.add_argument("--rooms", nargs="+", choices=list(ROOMS), default=list(ROOMS))
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "soak")
    parser.add_argument("--commit", default="HEAD")
    parser.add_argument("--again", type=int, default=0, metavar="COUNT")
    parser.add_argument("--report", action="store_true")
    asked = parser.parse_args()
    asked.folder = asked.folder.resolve()
    if asked.report:
        return report(_kept())
    os.environ["PYTHONFAULTHANDLER"] = "1"
    with tempfile.TemporaryDirectory(prefix="leomix-mutants-") as work:
        copy = Path(work, "leomix")
        _git("clone", "-q", str(ROOT), str(copy))
        _git("-C", str(copy), "checkout", "-q", asked.commit)
        commit = _git("-C", str(copy), "rev-parse", "HEAD")[:12]
        compileall.compile_dir(copy, quiet=2)
        if asked.again:
            return again(copy, asked.again, asked.seed)
        for room in asked.rooms:
            share = len(range(list(ROOMS).index(room), asked.sample or 0, len(ROOMS)))
            ones = sample(copy, room, share, asked.seed) if asked.sample else _kept()[room]
            asked.folder.mkdir(parents=True, exist_ok=True)
            log = asked.folder / f"judged-{room}-{commit}-{asked.sample or 'kept'}.jsonl"
            covering = covered(copy, room, asked.folder / f"covering-{room}-{commit}.json")
            judged = judge_all(copy, ones, covering, log)
            KEPT.write_text(json.dumps({**_kept(), room: judged}, indent=1) + "\n")
    return report(_kept())


def _git(*arguments):
    return subprocess.check_output(["git", *arguments], text=True).strip()


def _kept():
    return json.loads(KEPT.read_text()) if KEPT.exists() else {}


def _sources(copy, room):
    paths = sorted({path for pattern in ROOMS[room] for path in copy.glob(pattern)})
    return {str(path.relative_to(copy)): path.read_text() for path in paths}


def sample(copy, room, count, seed):
    """Draw mutants of a room from all there are."""
    every = [
        {"file": file, "line": m.line, "before": m.before, "after": m.after, "killed_by": ""}
        | dict(zip(("source", "at"), _place(source, m), strict=True))
        for file, source in _sources(copy, room).items()
        for m in mutants_of(source)
    ]
    return random.Random(f"{seed} {room}").sample(every, count)


def _place(source, mutant):
    """The text of a mutant's line without its indent, and where in it the change begins."""
    begins = source.rfind("\n", 0, mutant.start) + 1
    line = source[begins:].partition("\n")[0]
    return line.strip(), mutant.start - begins - (len(line) - len(line.lstrip()))


def found(copy, one):
    """Where a kept mutant is now: in its file if that still has the line, or in another one."""
    files = {name: text for room in ROOMS for name, text in _sources(copy, room).items()}
    for file in sorted(files, key=lambda name: name != one["file"]):
        same = [
            mutant
            for mutant in mutants_of(files[file])
            if (mutant.before, mutant.after) == (one["before"], one["after"])
            and _place(files[file], mutant) == (one["source"], one["at"])
        ]
        if same:
            return file, min(same, key=lambda mutant: abs(mutant.line - one["line"]))
    return None


def judge_all(copy, ones, covering, log):
    """Judge the mutants of a room, one line of output and of the log per mutant."""
    cost_s, lines = covering
    judged = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    for one in ones[len(judged) :]:
        place = found(copy, one)
        if place is None:
            judged.append(one)
            print(f"GONE\t{one['file']}:{one['line']} {one['source']}", flush=True)
            continue
        file, mutant = place
        tests = chosen(cost_s, lines.get(file, {}), mutant.line)
        began = time.monotonic()
        killer = killer_of(copy, file, mutant, tests, sum(cost_s[test] for test in tests))
        judged.append({**one, "file": file, "line": mutant.line, "killed_by": killer})
        if killer:
            judged[-1].pop("judgement", None)
        with log.open("a") as kept:
            kept.write(json.dumps(judged[-1]) + "\n")
        verdict = killer or ("SURVIVED" if not one["killed_by"] else "CAME BACK TO LIFE")
        shown = f"{file}:{mutant.line} {mutant.before!r} -> {mutant.after!r}"
        print(f"{verdict}\t{time.monotonic() - began:.1f} s\t{shown}", flush=True)
    return judged


def chosen(cost_s, lines, line):
    """The tests that run a line of a file, quickest first, then the others of its module.

    The latter, because what is made once a process (a table) is run by whichever test is first.
    """
    of_line = lines.get(str(line), set())
    of_module = set().union(*lines.values()) - of_line
    tests = []
    spent_s = 0.0
    for some in (of_line, of_module):
        for test in sorted(some, key=cost_s.__getitem__):
            spent_s += cost_s[test]
            if spent_s > BUDGET_S:
                return tests
            tests.append(test)
    return tests


def covered(copy, room, file):
    """How long tests take, and which of them run which lines: measured once per commit and room."""
    report = file.with_suffix(".xml")
    if not file.exists():
        settings = file.with_suffix(".cfg")
        run = f"[run]\nsource = orbit, channel, sim\ndata_file = {file.with_suffix('.data')}\n"
        settings.write_text(f"{run}[json]\nshow_contexts = true\n")
        measure = ["--cov", f"--cov-config={settings}", "--cov-context=test"]
        told = [f"--cov-report=json:{file}", f"--junitxml={report}"]
        command = [sys.executable, "-m", "pytest", "-m", "not slow", *measure, *told, *TESTS[room]]
        subprocess.run(command, cwd=copy, env=os.environ | {"PYTHONPATH": str(copy)}, check=False)
    # One that fails would seem to notice every mutant.
    cost_s = Counter({test: inf if failed else time_s for test, failed, time_s in cases(report)})
    lines = {
        name: {
            line: {context.rpartition("|")[0] for context in contexts if context}
            for line, contexts in measured["contexts"].items()
        }
        for name, measured in json.loads(file.read_text())["files"].items()
    }
    return cost_s, lines


def cases(report):
    """Of a report in JUnit's form each test, whether it failed or was skipped, and its seconds."""
    for case in ElementTree.parse(report).iter("testcase"):
        module, name = case.get("classname").replace(".", "/"), case.get("name")
        test = f"{module}.py::{name}" if module else f"{name.replace('.', '/')}.py"
        yield test, len(case) > 0, float(case.get("time"))


def killer_of(copy, file, mutant, tests, expected_s):
    """Return the test that fails with a mutant, "no test ended", or "" if none does.

    ``copy`` is a checkout that nobody else writes to; ``expected_s`` is how long the tests take
    without the mutant. The file is given back as it was.
    """
    if not tests:
        return ""
    path = copy / file
    source = path.read_text()
    limit_s = int(20.0 + 3.0 * expected_s)

    def limits():
        resource.setrlimit(resource.RLIMIT_CPU, (limit_s, limit_s + 5))
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))

    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch, "report.xml")
        command = [sys.executable, "-m", "pytest", "-x", "-p", "no:xdist", "-m", "", *tests]
        # No byte code is written: that of the unchanged file must not be taken for this one's.
        own = {"TMPDIR": scratch, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
        Path(cache_from_source(str(path))).unlink(missing_ok=True)
        path.write_text(mutant.applied(source))
        try:
            done = subprocess.run(
                [*command, f"--junitxml={report}"], cwd=copy, env=os.environ | own, check=False,
                capture_output=True, text=True, timeout=5 * limit_s, preexec_fn=limits,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return "no test ended"
        finally:
            path.write_text(source)
        failing = [test for test, failed, _ in cases(report) if failed] if report.exists() else []
    if done.returncode in PASSED or "not found" in done.stderr:  # what is gone notices nothing
        return ""
    return failing[-1] if failing else "no test ended"


def again(copy, count, seed):
    """Try kept mutants again, each with the test that noticed it; 1 if one does not any more."""
    noticed = [one for room in _kept().values() for one in room if one["killed_by"]]
    random.Random(seed).shuffle(noticed)
    outcomes = Counter()
    for one in noticed:
        place = found(copy, one)
        test = one["killed_by"]
        if place is not None and (copy / test.split("::")[0]).exists():
            killed = bool(killer_of(copy, *place, [test], BUDGET_S))
            outcomes[killed] += 1
            if not killed:
                print(f"{test} no longer notices {place[0]}:{place[1].line}")
            if outcomes.total() == count:
                break
    print(f"mutants: {outcomes[True]} of {outcomes.total()} killed again")
    return int(outcomes[False] > 0 or not outcomes)


def report(kept):
    """Print how many are killed, and who survives with what was judged of it."""
    print("| room | mutants | killed | share |\n|---|---:|---:|---:|")
    rooms = {**kept, "all": [one for room in kept.values() for one in room]}
    for room, judged in rooms.items():
        killed = sum(bool(one["killed_by"]) for one in judged)
        print(f"| {room} | {len(judged)} | {killed} | {killed / len(judged):.0%} |")
    print("\n| survivor | change | judgement |\n|---|---|---|")
    for one in rooms["all"]:
        if not one["killed_by"]:
            change = f"`{_short(one['before'])}` -> `{_short(one['after'])}`"
            place = f"`{one['file']}:{one['line']}`"
            print(f"| {place} | {change} | {one.get('judgement', 'not judged yet')} |")
    return int(killed < 0.8 * len(rooms["all"]))


def _short(text):
    words = " ".join(text.split()).replace("|", "\\|")
    return words if len(words) < 60 else f"{words[:57]}..."


if __name__ == "__main__":
    sys.exit(main())
