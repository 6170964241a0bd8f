"""What a run goes by from its start to its end: one build, or for a fork several in turn."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from sim.build import Build, identity, portable
from sim.journal import Journal

Fork = dict[str, Any]
"""What the manifest of a fork says of it, as JSON."""


@dataclass(frozen=True)
class Course:
    """The build that a run begins with, and ``turns``: when it goes over to which other one.

    ``name`` is what the run is called. A ``fork`` says of whom it is one, and brings along what is
    known of its beginning: a ``journal``, and a folder of ``values`` by key.
    """

    first: Build
    turns: tuple[tuple[float, Build], ...] = ()
    name: str = "scenario"
    fork: Fork | None = None
    journal: Journal = field(default_factory=Journal)
    values: Path | None = None

    @property
    def last(self) -> Build:
        """The build that the run ends with, and whose plan holds all contacts of the run."""
        return self.turns[-1][1] if self.turns else self.first

    @cached_property
    def scenario_json(self) -> dict[str, Any]:
        """The scenario that the run ends with, as JSON that needs no file beside it."""
        return portable(self.last.scenario)

    @cached_property
    def identity(self) -> str:
        """A digest of what decides the run."""
        earlier = [] if self.fork is None else [earlier_of(self.fork)]
        return identity(self.scenario_json, self.last.plan, *earlier)


def course_of(built: Build) -> Course:
    """Return the course of a run that is no fork."""
    path = built.scenario.source_path
    return Course(built, name=path.stem if path else "scenario")


def earlier_of(fork: Fork) -> list[Any]:
    """Return when a fork turned and from what, and those that it is a fork of: what decides it."""
    before = [] if fork["of"] is None else earlier_of(fork["of"])
    return [*before, [fork["at_s"], fork["was"]]]
