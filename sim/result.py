"""What a run has produced: its tables, its summary and its pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from sim import folder as run_folder
from sim import notebook
from sim.critical_path import CriticalPath, critical_path
from sim.schema import COLUMNS
from sim.summary import summarise
from sim.tables import pieces_of

if TYPE_CHECKING:
    import pandas as pd

    from sim.pictures import Pictures


def load(folder: str | Path) -> Result:
    """Return the :class:`Result` of a run folder; raise InputError if it is none, or broken."""
    place = Path(folder)
    manifest = run_folder.read_manifest(place)
    return Result(run_folder.read_tables(place), manifest, place)


@dataclass(frozen=True, repr=False)
class Result:
    """What a run has produced; the tables as pandas DataFrames.

    ``tables`` are those of Arrow. Of a run that was written to a folder, those of more than a
    million rows stay in their files, and are read each time that they are asked for.
    """

    tables: Mapping[str, pa.Table]
    manifest: dict[str, Any]
    folder: Path | None = None
    _frames: dict[str, Any] = field(default_factory=dict, repr=False)

    def _frame(self, name: str) -> pd.DataFrame:
        if name not in self._frames:
            none = pa.schema(list(COLUMNS[name].items())).empty_table()
            self._frames[name] = self.tables.get(name, none).to_pandas()
        return self._frames[name]

    @property
    def contacts(self) -> pd.DataFrame:
        """One row a contact of the plan, served or not."""
        return self._frame("contacts")

    @property
    def transfers(self) -> pd.DataFrame:
        """One row a device, payload and contact."""
        return self._frame("transfers")

    @property
    def events(self) -> pd.DataFrame:
        """What happened, in order of time."""
        return self._frame("events")

    @property
    def metrics(self) -> pd.DataFrame:
        """Accuracy and loss of the server's model at every complete cycle."""
        return self._frame("metrics")

    @property
    def assignments(self) -> pd.DataFrame:
        """Which cluster trains which expert."""
        return self._frame("assignments")

    @property
    def inferences(self) -> pd.DataFrame:
        """Answers of networked experts, one row a group of samples; empty for other methods."""
        return self._frame("inferences")

    def pieces(self, name: str, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Yield the table ``name``, or some columns of it, in pieces that fit into memory.

        At least one, which may be empty. Raises KeyError for a table or column that the run does
        not have.
        """
        return pieces_of(self.tables, name, columns)

    @property
    def plot(self) -> Pictures:
        """Pictures of the run, as matplotlib axes."""
        from sim.pictures import Pictures

        return Pictures(self.tables, self.manifest)

    @cached_property
    def summary(self) -> dict[str, Any]:
        """The run in a few figures."""
        return summarise(self.tables, self.manifest)

    @cached_property
    def critical_path(self) -> CriticalPath:
        """Where the simulated time went, by cluster and by cycle."""
        return critical_path(self.tables, self.manifest["simulated_s"])

    def __repr__(self) -> str:
        return notebook.one_line(self.summary, self.folder)

    def _repr_html_(self) -> str:
        return notebook.html(self)
