"""What a report knows of a run: its folder, tables, manifest and summary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from sim.checkpoint import CHECKPOINT
from sim.critical_path import CriticalPath, critical_path
from sim.errors import InputError
from sim.folder import MANIFEST, read_manifest, read_tables
from sim.schema import COLUMNS
from sim.summary import summarise

if TYPE_CHECKING:
    from sim.pictures import Pictures


TIMES = ("start_utc", "simulated_s")
"""What a report needs of a manifest beside what every reader does."""


@dataclass(frozen=True)
class RunData:
    """One run as it lies in its folder."""

    folder: Path
    manifest: dict[str, Any]
    tables: Mapping[str, pa.Table]

    @cached_property
    def summary(self) -> dict[str, Any]:
        """The figures of ``leomix show``."""
        return summarise(self.tables, self.manifest)

    @cached_property
    def pictures(self) -> Pictures:
        """The run's pictures."""
        from sim.pictures import Pictures

        return Pictures(self.tables, self.manifest)

    @cached_property
    def path(self) -> CriticalPath:
        """Where the run's time went."""
        return critical_path(self.tables, self.manifest["simulated_s"])

    @property
    def trains(self) -> bool:
        """Whether the run is about learning, and not about timing only."""
        return bool(self.manifest["scenario"]["learning"].get("train", True))

    @property
    def notices(self) -> list[str]:
        """What a reader has to know first: that the run did not end as it should."""
        status = self.manifest["status"]
        if status == "complete":
            return []
        error = self.manifest.get("error")
        said = f": {error}" if error else ""
        hours = self.manifest["simulated_s"] / 3600
        more = (
            f"; leomix run SCENARIO --resume -o {self.folder} goes on with it"
            if status == "interrupted"
            else ""
        )
        return [
            f"This run is {status}{said}. What follows is what it had by {hours:.2f} h of "
            f"simulation{more}."
        ]


def read(folder: Path) -> RunData:
    """Read a run folder; raise InputError for one that is none, or has no tables yet."""
    if not (folder / MANIFEST).exists() and (folder / CHECKPOINT).exists():
        raise InputError(
            f"{folder}: the run in it was killed or still goes on, and has no tables yet; "
            f"finish it: leomix run SCENARIO --resume -o {folder}"
        )
    manifest = read_manifest(folder)
    missing = [key for key in TIMES if key not in manifest]
    if missing:
        raise InputError(f"{folder / MANIFEST}: no manifest of a run (it has no {missing[0]!r})")
    tables = read_tables(folder)
    for name in COLUMNS.keys() - tables.keys():
        tables[name] = pa.schema(list(COLUMNS[name].items())).empty_table()
    return RunData(folder, manifest, tables)
