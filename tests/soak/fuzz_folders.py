"""Folders of runs, of a sweep and of the cache: each file in them, and each that is written."""

from __future__ import annotations

import re
import tempfile
from functools import partial
from pathlib import Path
from typing import NamedTuple

import scenarios
from tests.kit.folders import cut, limited, without_checksums
from tests.soak import fuzz_mutations as damage
from tests.soak.fuzz_kinds import SMALL, Kind, in_folder, leomix

QUIET = ("--quiet", "--no-cache")

SCENARIO = SMALL.replace("cycles: 2", "cycles: 1").replace(
    "learning:", "learning:\n  pretraining: {backbone_steps: 0, expert_steps: 0, gate_steps: 0}"
)
RUN = "run small.yaml --quiet --no-cache -o run"
SWEEP = "sweep small.yaml -p seed=1,2 --set learning.train=false --quiet --no-cache -o run"
SHOW = ("show run", "show run --json", "compare run run", "report run", "report run -o page.html")
EXPORT = ("export run --to csv", "export run --to csv -o out", "export run --to perfetto")
LEFT = ("run/model", "run/.spilled", "run/.run.lock")
TRAINED = ("export run --to tensorboard", "export run --to peft -o out", f"{RUN} --resume")


class World(NamedTuple):
    """A folder by the command that makes it, what reads it, and what else is written there."""

    made_by: str
    reads: tuple[str, ...]
    written: tuple[str, ...] = ()
    may_fail: bool = False
    is_own: bool = False


WORLDS = {
    "run": World(
        RUN,
        (*SHOW, *EXPORT, *TRAINED),
        ("page.html", "out", "run/report.html", "run/export/csv", "run/.report.html.part"),
    ),
    "timing": World(f"{RUN} --set learning.train=false", (*SHOW, *EXPORT)),
    "stopped": World("", ("show run", f"{RUN} --resume"), LEFT, True),
    "sweep": World(
        SWEEP,
        ("report run", *EXPORT[:2], f"{SWEEP} --resume", f"{SWEEP} --dry-run"),
        ("run/workers.log", "run/report.html"),
        True,
    ),
    "cache": World(
        "run small.yaml -o first --quiet",
        ("run small.yaml --quiet -o run",),
        is_own=True,
    ),
}
HASH = re.compile("[0-9a-f]{24,}")
"""In the names of files of which one stands for all."""
INPUTS = ("small.yaml", "first")


def folder_kinds() -> dict[str, Kind]:
    """Kinds of files in all folders, which are made for it, and of the folders in them."""
    kinds: dict[str, Kind] = {}
    for name, world in WORLDS.items():
        with tempfile.TemporaryDirectory() as folder, in_folder(folder):
            _make(world)
            found = [path for path in sorted(Path().rglob("*")) if path.parts[0] not in INPUTS]
            files = {str(path): path.read_bytes() for path in Path().rglob("*") if path.is_file()}
        reads = tuple(partial(leomix, *line.split()) for line in world.reads)
        alike = {HASH.sub("", str(path)): str(path) for path in found}
        for place in (*alike.values(), *world.written):
            kinds[f"{name}: {place}"] = Kind(
                whole=[files[place]] if place in files else [],
                reads=reads,
                share=100,
                name=place,
                grammar=damage.GRAMMARS.get(Path(place).suffix),
                may_fail=world.may_fail,
                is_own=world.is_own,
                beside={other: data for other, data in files.items() if other != place},
            )
    return kinds


def _make(world: World) -> None:
    """Make a world in the current folder; a run is stopped after its thirteenth event."""
    Path("small.yaml").write_text(SCENARIO, encoding="utf-8")
    if not world.made_by:
        cut(scenarios.load("small.yaml"), Path("run"), 13)
        return
    with limited(worth_keeping_s=0.0):
        assert not leomix(*world.made_by.split()), world
    if Path("run", "manifest.json").exists():
        without_checksums(Path("run"))  # so that damaged tables are read
