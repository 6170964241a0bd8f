"""What run folders hold, and inner limits so small that a small run reaches them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import sim
from learning import hardware, provenance
from sim.execution import cache as shared_cache
from sim.execution import folder, run_cache, trial
from sim.execution.checkpoint import EXTENSION
from sim.network import legs
from sim.trace import blocks, parquet, recorder, tables

LIMITS: dict[str, tuple[Any, str]] = {
    "rows_in_memory": (recorder, "LIMIT"),
    "legs_of_a_block": (legs, "LEGS"),
    "rows_of_a_group": (parquet, "GROUP"),
    "rows_read_at_once": (blocks, "BATCH"),
    "bytes_of_a_row": (tables, "ROW_BYTES"),
    "rows_of_a_large_table": (folder, "LARGE"),
    "cache_bytes": (shared_cache, "BOUND_BYTES"),
    "worth_keeping_s": (run_cache, "WORTH_KEEPING_S"),
    "events_of_a_trial": (trial, "MOST_EVENTS"),
    "version": (run_cache, "version"),
    "source_at_the_start": (provenance, "SOURCE"),
    "meminfo": (hardware, "MEMINFO"),
    "cgroup": (hardware, "CGROUP"),
    "cgroups": (hardware, "CGROUPS"),
}


@contextmanager
def limited(**limits: Any) -> Iterator[None]:
    """Set some of ``LIMITS`` meanwhile."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in limits.items():
            patch.setattr(*LIMITS[name], value)
        yield


def held(place: Path) -> dict[str, bytes]:
    """Bytes of the tables, the model and the journal of a run; of other files the name.

    Without what it keeps to be extended from: that has the tensors that were computed by then.
    """
    exact = (".parquet", ".safetensors", ".json")
    found = [path for path in place.rglob("*") if path.is_file() and EXTENSION not in path.parts]
    return {
        str(path.relative_to(place)): path.read_bytes()
        if path.suffix in exact and path.name != "manifest.json"
        else b""
        for path in found
    }


def without_checksums(place: Path) -> Path:
    """Let the tables of a run, or of a sweep's points, be changed: no manifest has checksums."""
    for path in place.rglob("manifest.json"):
        manifest = json.loads(path.read_text())
        manifest.pop("checksums", None)
        path.write_text(json.dumps(manifest, indent=2))
    return place


class Each(sim.Observer):
    """Calls ``act`` after each event with its number, or with its time."""

    def __init__(self, act: Callable[[Any], None], of_time: bool = False) -> None:
        self.act, self.of_time = act, of_time

    def event(self, number: int, time_s: float) -> None:
        self.act(time_s if self.of_time else number)


def stop_at(event: int) -> list[sim.Observer]:
    """Stop a run after its event of that number."""

    def stop(number: int) -> None:
        if number == event:
            raise sim.Interrupted("asked for")

    return [Each(stop)]


def cut(
    scenario: Any, place: Path, event: int, observers: Sequence[sim.Observer] = (), **how: Any
) -> Path:
    """Run a scenario up to its event of that number."""
    with pytest.raises(sim.Interrupted, match="--resume"):
        sim.run(scenario, place, observers=[*observers, *stop_at(event)], **how)
    return place
