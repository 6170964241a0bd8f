"""What run folders hold, and inner limits so small that a small run reaches them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import sim
from learning import hardware, provenance
from sim.execution import cache, folder
from sim.trace import recorder, tables

LIMITS: dict[str, tuple[Any, str]] = {
    "rows_in_memory": (recorder, "LIMIT"),
    "rows_of_a_group": (tables, "GROUP"),
    "rows_read_at_once": (recorder, "BATCH"),
    "rows_of_a_large_table": (folder, "LARGE"),
    "cache_bytes": (cache, "BOUND_BYTES"),
    "worth_keeping_s": (cache, "WORTH_KEEPING_S"),
    "version": (cache, "version"),
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
    """Bytes of the tables, the model and the journal of a run; of other files the name."""
    exact = (".parquet", ".safetensors", ".json")
    found = [path for path in place.rglob("*") if path.is_file()]
    return {
        str(path.relative_to(place)): path.read_bytes()
        if path.suffix in exact and path.name != "manifest.json"
        else b""
        for path in found
    }


def stop_at(event: int) -> Callable[[int], None]:
    """Stop a run behind its event of that number."""

    def each_event(number: int) -> None:
        if number == event:
            raise sim.Interrupted("asked for")

    return each_event


def cut(scenario: Any, place: Path, event: int, **how: Any) -> Path:
    """Run a scenario up to its event of that number."""
    with pytest.raises(sim.Interrupted, match="--resume"):
        sim.run(scenario, place, each_event=stop_at(event), **how)
    return place
