"""Damaged files of every kind, through the command line in one process: each ends well.

    python tests/soak/fuzz.py --count 20000 --seed 1

An input is read and accepted, or refused with status 2 and one line on stderr; never a traceback,
more than a second of CPU or a gigabyte of memory. The table says how many there were of each kind.
What ends otherwise is kept in a folder, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import resource
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

if not __package__:  # called by its path
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from tests.soak.fuzz_kinds import Kind, plain_kinds
from tests.soak.fuzz_mutations import damaged

MOST_S = 1.0
MOST_BYTES = 1_000_000_000
TOTAL = 20_000
ROW = "{:<16}{:>8}{:>10}{:>9}{:>7}{:>11}{:>9}"


@dataclass
class Tally:
    """What came of the inputs of one kind."""

    ends: Counter[str] = field(default_factory=Counter)
    slowest_s: float = 0.0
    wrong: list[tuple[str, bytes]] = field(default_factory=list)


@contextlib.contextmanager
def bounded_memory() -> Iterator[None]:
    """Let this process have a gigabyte more than it has now."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    most = pages * resource.getpagesize() + MOST_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def outcome(kind: Kind, path: Path) -> str:
    """Read one file; return ``accepted``, ``refused`` or what is wrong with how it ended."""
    out, err = io.StringIO(), io.StringIO()
    began = time.process_time()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = kind.read(path)
    except BaseException:
        return f"raised: {traceback.format_exc(limit=-3)}"
    took_s = time.process_time() - began
    said = err.getvalue()
    if took_s > MOST_S:
        return f"slow: {took_s:.2f} s, status {status}"
    if status == 0:
        return "accepted"
    if (status == 1 and not kind.may_fail) or status not in (1, 2):
        return f"status {status}: {said}"
    last = said.split("leomix: ", 1)[-1]
    others = [line for line in said.splitlines() if not line.startswith("warning: ")]
    if len(others) != 1 or not last.strip() or not others[0].isprintable():
        return f"stderr: {said}"
    return "refused"


def fuzz(
    name: str, kind: Kind, count: int, seed: int, folder: Path, bounded: bool = False
) -> Tally:
    """Try whole files first, which must be accepted, then ``count`` damaged ones."""
    tally = Tally()
    path = folder / kind.name
    for place, content in {**kind.beside, kind.name: b""}.items():
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_bytes(content)
    for whole in kind.whole:
        path.write_bytes(whole)
        outcome(kind, path)  # the first one imports what it needs
        if (found := outcome(kind, path)) != "accepted":
            tally.wrong.append((f"a whole file is {found}", whole))
            tally.ends["wrong"] += 1
    draw = Random(f"{name} {seed}")
    with bounded_memory() if bounded else contextlib.nullcontext():
        for number in range(count):
            if kind.at is None:
                data = damaged(draw.choice(kind.whole), draw, kind.special)
            else:
                data = kind.at(number, count)
            path.write_bytes(data)
            began = time.process_time()
            found = outcome(kind, path)
            tally.slowest_s = max(tally.slowest_s, time.process_time() - began)
            if found.startswith("slow"):  # others may have had the machine
                found = min(outcome(kind, path) for _ in range(2))
            if found not in ("accepted", "refused"):
                tally.wrong.append((found, data))
                found = "wrong"
            tally.ends[found] += 1
    return tally


def main() -> int:
    """Fuzz all kinds, print the table, and keep what went wrong."""
    raw = argparse.RawTextHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--count", type=int, default=TOTAL)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kind", default="")
    asked = parser.parse_args()
    os.environ["PYTHONFAULTHANDLER"] = "1"
    os.environ.setdefault("LEOMIX_CACHE", tempfile.mkdtemp(prefix="leomix-fuzz-cache-"))
    kinds = {name: kind for name, kind in all_kinds().items() if asked.kind in name}
    shares = sum(kind.share for kind in kinds.values())
    columns = ("kind", "inputs", "accepted", "refused", "wrong", "slowest s", "peak MB")
    print(ROW.format(*columns), flush=True)
    wrong: list[tuple[str, str, bytes]] = []
    inputs = 0
    for name, kind in kinds.items():
        with tempfile.TemporaryDirectory(prefix="leomix-fuzz-") as folder:
            count = max(1, round(asked.count * kind.share / shares))
            if kind.at is not None and asked.count >= TOTAL:
                count = kind.share  # cut at every byte
            tally = fuzz(name, kind, count, asked.seed, Path(folder), True)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        ends, inputs = tally.ends, inputs + count
        numbers = (*map(ends.__getitem__, columns[2:5]), f"{tally.slowest_s:.2f}", f"{peak:.0f}")
        print(ROW.format(name, count, *numbers), flush=True)
        wrong += [(name, said, data) for said, data in tally.wrong]
    print(f"{inputs} inputs, {len(wrong)} wrong")
    if wrong:
        _keep(wrong)
    return 1 if wrong else 0


def _keep(wrong: list[tuple[str, str, bytes]]) -> None:
    place = Path(tempfile.mkdtemp(prefix="leomix-fuzz-wrong-"))
    for number, (name, said, data) in enumerate(wrong):
        (place / f"{number}.input").write_bytes(data)
        (place / f"{number}.txt").write_bytes(f"{name}\n{said}\n".encode(errors="replace"))
    print(f"what went wrong is in {place}")


def all_kinds() -> dict[str, Kind]:
    """All kinds of files, the ones that need torch last."""
    from tests.soak.fuzz_folders import folder_kinds
    from tests.soak.fuzz_tensors import tensor_kinds

    with contextlib.redirect_stdout(io.StringIO()):  # runs are made for them
        return {**plain_kinds(), **folder_kinds(), **tensor_kinds()}


if __name__ == "__main__":
    sys.exit(main())
