"""What can be exported: a run folder, or a sweep with its table."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim.errors import InputError
from sim.folder import MANIFEST, read_manifest, read_tables
from sim.journal import CHECKPOINT

if TYPE_CHECKING:
    import pyarrow as pa

    from scenarios import Scenario

SWEEP = "sweep.parquet"


@dataclass(frozen=True)
class Run:
    """A run folder: its manifest, and its tables when they are asked for."""

    folder: Path
    manifest: dict[str, Any]

    @cached_property
    def tables(self) -> dict[str, pa.Table]:
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
        return "{name} {method} seed {seed}".format_map({"name": "run", **self.manifest})

    @property
    def notes(self) -> list[str]:
        """What a run that is not complete lacks."""
        status, hours = self.manifest["status"], self.manifest.get("simulated_s", 0.0) / 3600
        if status == "complete":
            return []
        return [f"{self.folder}: the run is {status}: this is what it had done by {hours:.2f} h"]


@dataclass(frozen=True)
class Sweep:
    """A sweep folder."""

    folder: Path

    @cached_property
    def tables(self) -> dict[str, pa.Table]:
        """The table of the sweep, one row a point."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        path = self.folder / SWEEP
        try:
            return {path.stem: pq.read_table(path)}
        except (OSError, pa.ArrowInvalid) as error:
            raise InputError(f"{path}: cannot be read ({str(error).splitlines()[0]})") from None

    @property
    def notes(self) -> list[str]:
        """What a sweep that is not complete lacks."""
        status = next(iter(self.tables.values())).column("status").to_pylist()
        left = sum(value != "complete" for value in status)
        return [f"{self.folder}: {left} of {len(status)} points are not complete"] if left else []


def read_source(folder: Path) -> Run | Sweep:
    """Return what ``folder`` holds; raise InputError if that is neither a run nor a sweep."""
    if (folder / SWEEP).is_file():
        return Sweep(folder)
    if (folder / CHECKPOINT).exists() and not (folder / MANIFEST).exists():
        raise InputError(
            f"{folder}: the run in it has not ended; let it end, or go on with it: "
            f"leomix run SCENARIO --resume -o {folder}"
        )
    return Run(folder, read_manifest(folder))
