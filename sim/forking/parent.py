"""The run that is forked, as its folder says it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sim import folder as run_folder
from sim.checkpoint import CHECKPOINT, JOURNAL, VALUES, journal_of, read_state
from sim.errors import InputError
from sim.forking.changes import Said, as_before
from sim.journal import Journal

MOST_TURNS = 32
"""How often a fork may be forked again."""


@dataclass(frozen=True)
class Parent:
    """A run to be forked: its folder, and its manifest."""

    folder: Path
    manifest: dict[str, Any]

    @classmethod
    def read(cls, folder: Path) -> Parent:
        """Return the run in ``folder``; raise InputError if there is none."""
        if (folder / CHECKPOINT).exists() and not (folder / run_folder.MANIFEST).exists():
            raise InputError(
                f"{folder}: the run in it was killed; go on with it by --resume before it is forked"
            )
        return cls(folder, run_folder.read_manifest(folder))

    @property
    def said(self) -> Said:
        """The scenario that the run went by at its end."""
        said: Said = self.manifest["scenario"]
        return said

    @property
    def fork(self) -> dict[str, Any] | None:
        """Of whom the run is a fork itself; None if it is none."""
        return self.manifest.get("fork")

    def stages(self) -> list[tuple[float, Said]]:
        """Return from when on the run went by which scenario."""
        found: list[tuple[float, Said]] = []
        said, fork = self.said, self.fork
        while fork is not None:
            if len(found) == MOST_TURNS:
                raise InputError(f"{self.folder}: is a fork of a fork more than {MOST_TURNS} times")
            if not isinstance(fork["at_s"], int | float):
                raise TypeError(f"fork.at_s is {fork['at_s']!r}")
            found.append((float(fork["at_s"]), said))
            said, fork = as_before(said, fork["was"]), fork["of"]
        return [(0.0, said), *reversed(found)]

    def check_time(self, at_s: float) -> None:
        """Raise InputError for a time that the run does not come by."""
        forked_s = self.stages()[-1][0]
        if not 0.0 < at_s < math.inf:
            raise InputError(f"--at {at_s:g} s: give a time behind the start of the run")
        if at_s < forked_s:
            raise InputError(
                f"--at {at_s:g} s: {self.folder} is itself a fork at {forked_s:g} s; name a later "
                "time, or fork the run that it is a fork of"
            )
        end_s = self.manifest.get("simulated_s", 0.0)
        if self.manifest["status"] == "complete" and at_s > end_s:
            raise InputError(
                f"--at {at_s:g} s: {self.folder} ends at {end_s:g} s; name an earlier time"
            )

    def journal(self, at_s: float) -> Journal:
        """Return what was measured before ``at_s``; nothing where nobody has kept it."""
        for path in (self.folder / JOURNAL, self.folder / CHECKPOINT / JOURNAL):
            if path.exists():
                return journal_of(path, read_state(path)).until(at_s)
        return Journal()

    @property
    def values(self) -> Path:
        """The folder of tensors that were kept by key, if any are there."""
        return self.folder / CHECKPOINT / VALUES
