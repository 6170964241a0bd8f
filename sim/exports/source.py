"""What can be exported: a run folder, or the table of a sweep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim.checkpoint import CHECKPOINT
from sim.errors import InputError
from sim.folder import MANIFEST, read_manifest, read_tables
from sim.sweeps.engine import COMPLETE
from sim.sweeps.folder import ROWS, SWEEP, read_sweep

if TYPE_CHECKING:
    import pyarrow as pa

    from scenarios import Scenario


@dataclass(frozen=True)
class Run:
    """A run folder: its manifest, and its tables when they are asked for."""

    folder: Path
    manifest: dict[str, Any]

    @cached_property
    def tables(self) -> Mapping[str, pa.Table]:
        """All tables of the run."""
        return read_tables(self.folder)

    @cached_property
    def scenario(self) -> Scenario:
        """The scenario that was run, with its elements."""
        import scenarios

        return scenarios.from_dict(self.manifest["scenario"])

    @property
    def title(self) -> str:
        """Scenario, method and seed."""
        return "{name} {method} seed {seed}".format_map(self.manifest)

    @property
    def notes(self) -> list[str]:
        """What there is of a run that is not complete."""
        status, hours = self.manifest["status"], self.manifest["simulated_s"] / 3600
        if status == COMPLETE:
            return []
        return [f"{self.folder}: the run is {status}: this is what it had done by {hours:.2f} h"]


@dataclass(frozen=True)
class SweepRows:
    """The rows of a sweep."""

    folder: Path
    tables: Mapping[str, pa.Table]

    @property
    def notes(self) -> list[str]:
        """How much of a sweep that is not complete is missing."""
        [rows] = self.tables.values()
        left = sum(status != COMPLETE for status in rows.column("status").to_pylist())
        return [f"{self.folder}: {left} of {len(rows)} points are not complete"] if left else []


Source = Run | SweepRows


def read_source(folder: Path) -> Source:
    """Return what ``folder`` holds; raise InputError if that is neither a run nor a sweep."""
    if (folder / SWEEP).is_file():
        return SweepRows(folder, {Path(ROWS).stem: read_sweep(folder).rows})
    if (folder / CHECKPOINT).exists() and not (folder / MANIFEST).exists():
        raise InputError(
            f"{folder}: the run in it has not ended; let it end, or go on with it: "
            f"leomix run SCENARIO --resume -o {folder}"
        )
    return Run(folder, read_manifest(folder))
