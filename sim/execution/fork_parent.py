"""The run that is forked: its scenarios over time, and what was measured in it."""

from __future__ import annotations

import math
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import scenarios
from sim.engine.journal import Journal
from sim.errors import InputError, as_input
from sim.execution import folder as run_folder
from sim.execution.checkpoint import CHECKPOINT, JOURNAL, read_journal
from sim.execution.fork_changes import Stored

MOST_FORKS = 32
"""Forks of forks up to which a run can be forked again."""


@dataclass(frozen=True)
class Parent:
    """A run in a folder that is to be forked; InputError if there is none."""

    folder: Path

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """The manifest of the run."""
        return run_folder.read_manifest(self.folder)

    @cached_property
    def stored(self) -> Stored:
        """The scenario that the run ended with; InputError for one that may not be run."""
        stored: Stored = self.manifest["scenario"]
        with as_input(f"{self.folder / run_folder.MANIFEST}: "):
            scenarios.from_stored(stored, {})
        return stored

    def stages(self) -> list[tuple[float, Stored]]:
        """Return the scenarios of the run, each with the time from which it held."""
        found: list[tuple[float, Stored]] = []
        stored = self.stored
        fork = self.manifest.get("fork")
        while fork is not None:
            if len(found) == MOST_FORKS:
                raise InputError(f"{self.folder}: is a fork of a fork more than {MOST_FORKS} times")
            if not isinstance(fork["at_s"], int | float):
                raise TypeError(f"fork.at_s is {fork['at_s']!r}")
            found.append((float(fork["at_s"]), stored))
            stored = deepcopy(stored)
            for key, value in fork["was"].items():
                scenarios.set_key(stored, key, deepcopy(value))
            fork = fork["of"]
        return [(0.0, stored), *reversed(found)]

    def check_time(self, at_s: float) -> None:
        """Raise InputError for a time that the run does not reach."""
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
        """Return what was measured before ``at_s``; nothing where it was not kept."""
        for path in (self.folder / JOURNAL, self.folder / CHECKPOINT / JOURNAL):
            if path.exists():
                return read_journal(path)[0].until(at_s)
        return Journal()
