"""Damaged files of every kind, through the command line: each ends well.

    python tests/soak/fuzz.py --count 20000 --seed 1

Each input is read by a command in a child process. It is accepted, or refused with status 2 and one
line on stderr; never a traceback, a hang, seconds of CPU, memory of more than ten times the file, a
control character for the terminal, or a change of what lies outside of the folder. The forms are in
fuzz_forms.py. The table says how many there were of each kind. What ends otherwise is kept in a
folder, and the exit status is 1.
"""

import argparse
import contextlib
import gc
import importlib
import io
import os
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random

if not __package__:  # called by its path
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from tests.soak.fuzz_forms import FORMS, Input
from tests.soak.fuzz_kinds import folder_kinds, in_folder, plain_kinds, tensor_kinds

MOST_S, BYTES_A_S = 4.0, 50e6
"""CPU for any input, two seconds beyond that of a report, and how fast large ones are read."""
MOST_BYTES, TIMES = 150_000_000, 10
"""Memory for any input, and how many times its file beyond it."""
HANGS_S, ADDRESSES = 20.0, 1_500_000_000
"""Wall time and addresses after which a command is ended."""
TOTAL = 20_000
MINE = {"file": b"mine\n"}
ROW = "{:<44}{:>8}{:>10}{:>9}{:>7}{:>11}"


@dataclass
class Tally:
    """What came of the inputs of one kind."""

    ends: Counter = field(default_factory=Counter)
    slowest_s: float = 0.0
    wrong: list = field(default_factory=list)


def outcome(kind, read, size=0):
    """Return ``accepted``, ``refused`` or what is wrong with how a command ended."""
    out = io.StringIO()
    err = io.StringIO()
    began = time.process_time()
    before = _peak_bytes()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = read()
    except BaseException:
        return f"raised: {traceback.format_exc(limit=-3)}"
    took_s = time.process_time() - began
    took_bytes = _peak_bytes() - before
    said = err.getvalue()
    if obeyed := {c for c in out.getvalue() + said if not c.isprintable()} - set("\n\t"):
        return f"a terminal would obey {sorted(obeyed)}: {out.getvalue()} {said}"
    if took_s > MOST_S + size / BYTES_A_S:
        return f"slow: {took_s:.2f} s, status {status}: {said}"
    if took_bytes > MOST_BYTES + TIMES * size:
        return f"large: {took_bytes / 1e6:.0f} MB for {size / 1e6:.1f}, status {status}: {said}"
    if status == 0:
        return "accepted"
    if (status in (1, 3) and not kind.may_fail) or status not in (1, 2, 3):
        return f"status {status}: {said}"
    last = said.split("leomix: ", 1)[-1]
    others = [line for line in said.splitlines() if not line.startswith("warning: ")]
    if status < 3 and (len(others) != 1 or not last.strip() or not others[0].isprintable()):
        return f"stderr: {said}"
    return "refused"


def _peak_bytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def apart(act, size=0):
    """Return what ``act`` says in a process of its own, or how that ended."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        said = "raised: nothing was said"
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
            most = pages * resource.getpagesize() + ADDRESSES + TIMES * size
            resource.setrlimit(resource.RLIMIT_AS, (most, most))
            said = act()
        finally:
            os.write(writing, said.encode(errors="replace")[:60_000])
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as answer:
        hangs = not select.select([answer], [], [], HANGS_S)[0]
        if hangs:
            os.kill(child, signal.SIGKILL)
        found = answer.read().decode()
    status = os.waitpid(child, 0)[1]
    return "hangs" if hangs else found or f"died: {os.waitstatus_to_exitcode(status)}"


def here(act, size=0):
    """Return what ``act`` says."""
    return act()


def tried(kind, read, given, folder, where):
    """Return how a command ends for an input in the place of the file."""
    outside = folder / "outside"
    shutil.rmtree(outside, ignore_errors=True)
    outside.mkdir()
    for name, data in MINE.items():
        (outside / name).write_bytes(data)
    os.mkfifo(outside / "pipe")
    path = kind.lay(folder / "inside")
    given.put(path, outside)
    with in_folder(folder / "inside"):
        found = where(partial(outcome, kind, read, given.size), given.size)
    left = {one.name: one.read_bytes() for one in outside.iterdir() if one.is_file()}
    return (
        found
        if left == MINE or kind.is_own
        else f"wrote outside: {sorted(left)}, after it was {found}"
    )


def fuzz(
    name,
    kind,
    count,
    seed,
    folder,
    forms=("drawn", "values"),
    where=here,
):
    """Try whole files first, which must be accepted, then ``count`` inputs of each form."""
    tally = Tally()
    for whole in kind.whole:
        for read in kind.reads:
            given = Input.of("a whole file", whole)
            tried(kind, read, given, folder, where)  # the first one imports what it needs
            if (found := tried(kind, read, given, folder, where)) != "accepted":
                tally.wrong.append((f"{read}: a whole file is {found}", whole))
                tally.ends["wrong"] += 1
    for form in forms:
        draw = Random(f"{name} {form} {seed}")
        for given, read in FORMS[form](kind, count, draw):
            began = time.monotonic()
            found = tried(kind, read, given, folder, where)
            tally.slowest_s = max(tally.slowest_s, time.monotonic() - began)
            if found.startswith("slow"):  # others may have had the machine
                found = min(tried(kind, read, given, folder, where) for _ in range(2))
            if found not in ("accepted", "refused"):
                tally.wrong.append((f"{form}: {given.said}: {read}\n{found}", given.data))
                found = "wrong"
            tally.ends[found] += 1
    return tally


def main():
    """Fuzz all kinds, print the table, and keep what went wrong."""
    raw = argparse.RawTextHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--count", type=int, default=TOTAL)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kind", default="")
    parser.add_argument("--form", choices=FORMS, nargs="+", default=list(FORMS))
    asked = parser.parse_args()
    os.environ["PYTHONFAULTHANDLER"] = os.environ["OMP_NUM_THREADS"] = "1"  # children are forks
    os.environ.setdefault("LEOMIX_CACHE", tempfile.mkdtemp(prefix="leomix-fuzz-cache-"))
    kinds = {name: kind for name, kind in all_kinds().items() if asked.kind in name}
    shares = sum(kind.share for kind in kinds.values())
    columns = ("kind", "inputs", "accepted", "refused", "wrong", "slowest s")
    inputs = wrong = 0
    kept = Path(tempfile.mkdtemp(prefix="leomix-fuzz-wrong-"))
    with tempfile.TemporaryDirectory(prefix="leomix-fuzz-") as place:
        load_what_is_needed(kinds, Path(place))
        gc.freeze()  # children touch less memory
        print(ROW.format(*columns), flush=True)
        for name, kind in kinds.items():
            count = max(1, round(asked.count * kind.share / shares))
            tally = fuzz(name, kind, count, asked.seed, Path(place), asked.form, apart)
            inputs += tally.ends.total()
            ends = map(tally.ends.__getitem__, columns[2:5])
            print(ROW.format(name, tally.ends.total(), *ends, f"{tally.slowest_s:.2f}"), flush=True)
            for said, data in tally.wrong:
                wrong += 1
                (kept / f"{wrong}.input").write_bytes(data)
                (kept / f"{wrong}.txt").write_bytes(f"{name}\n{said}\n".encode(errors="replace"))
    print(f"{inputs} inputs, {wrong} wrong", f"in {kept}" if wrong else "")
    return 1 if wrong else 0


def load_what_is_needed(kinds, folder):
    """Import here what the commands import for whole files, and nothing else that they do."""

    def modules(kind, read):
        outcome(kind, read)
        return " ".join(sys.modules)

    every = {read: kind for kind in kinds.values() if kind.whole for read in kind.reads}
    for read, kind in every.items():
        kind.lay(folder / "inside").write_bytes(kind.whole[0])
        with in_folder(folder / "inside"):
            names = apart(partial(modules, kind, read)).split()
        for name in names:
            with contextlib.suppress(Exception):
                importlib.import_module(name)


def all_kinds():
    """All kinds of files, the ones that need torch last."""
    with contextlib.redirect_stdout(io.StringIO()):  # runs are made for them
        return {**plain_kinds(), **folder_kinds(), **tensor_kinds()}


if __name__ == "__main__":
    sys.exit(main())
