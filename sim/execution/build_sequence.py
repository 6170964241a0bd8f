"""What a run is made of: the build that it begins with, and those that it switches to."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from sim.engine.journal import Journal
from sim.engine.setup import Build
from sim.execution.identity import decisive, portable
from sim.trace.digest import json_digest

Fork = dict[str, Any]
"""What the manifest of a fork stores of its parent, as JSON."""


@dataclass(frozen=True)
class BuildSequence:
    """The build that a run begins with, and ``switches``: when it switches to which other one.

    ``name`` is the run's name. ``fork`` is what the manifest stores of a parent. What is known of
    the time before the fork are measurements (``journal``) and tensors by key (in ``values``).
    """

    first: Build
    switches: tuple[tuple[float, Build], ...] = ()
    name: str = "scenario"
    fork: Fork | None = None
    journal: Journal = field(default_factory=Journal)
    values: Path | None = None

    @property
    def last(self) -> Build:
        """The build that the run ends with, and whose plan holds all contacts of the run."""
        return self.switches[-1][1] if self.switches else self.first

    @cached_property
    def scenario_json(self) -> dict[str, Any]:
        """The scenario that the run ends with, as JSON that needs no file beside it."""
        return portable(self.last.scenario)

    @cached_property
    def identity(self) -> str:
        """A digest of what decides the run: scenario, contacts, and for a fork what was before."""
        contacts = self.last.plan.contacts
        satellites = [contacts.satellites[place] for place in contacts.satellite.tolist()]
        spans = zip(satellites, contacts.rise_s.tolist(), contacts.set_s.tolist(), strict=True)
        plan = [(*satellite, *span_s) for satellite, *span_s in spans]
        earlier = [] if self.fork is None else [earlier_of(self.fork)]
        return json_digest([decisive(self.last.scenario, self.scenario_json), plan, *earlier])


def earlier_of(fork: Fork) -> list[Any]:
    """Return when each fork began and what it changed, from the first parent on."""
    before = [] if fork["of"] is None else earlier_of(fork["of"])
    return [*before, [fork["at_s"], fork["was"]]]
