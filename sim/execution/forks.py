"""Another future of a run: replayed until some time, and then with keys changed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import scenarios
from learning.rng import drawing, note_drawn
from scenarios.parsing import apply_overrides
from sim.devices.chance import FaultsUntilFork
from sim.engine.journal import Journal
from sim.engine.setup import Build, build
from sim.errors import InputError, as_input, at_option
from sim.execution import folder as run_folder
from sim.execution.checkpoint import CHECKPOINT, JOURNAL, read_journal
from sim.execution.claim import check_place
from sim.execution.folder import as_written
from sim.execution.identity import BuildSequence, changed_checkpoints
from sim.execution.result import Result
from sim.execution.run_cache import RunCache
from sim.execution.running import run_builds
from sim.execution.window_cache import WindowCache
from sim.facts.observer import Observer
from sim.facts.status import COMPLETE
from sim.plan.splicing import spliced
from sim.plan.windows import Find
from statements import Code, Other, Statement


def fork(
    folder: str | Path,
    at_s: float,
    overrides: Mapping[str, Any],
    out: str | Path | None = None,
    resume: bool = False,  # noqa: FBT001, FBT002 (a documented signature)
    *,
    observers: Sequence[Observer] = (),
    checkpoint_every_s: float = 10.0,
    cache: bool = False,
) -> Result:
    """Simulate the run in ``folder`` until ``at_s``, and from there with ``overrides``.

    The run is replayed from its start; its measurements and trainings are used again where they
    were kept. Whatever happens at ``at_s`` or later follows the changed scenario; what is under way
    then (a session, a transfer, a disconnected phase) ends as it was begun. The other arguments
    and errors are those of :func:`sim.run`; InputError also for a folder without a run, a time
    that the run does not reach, and a key that cannot change.
    """
    place = None if out is None else Path(out)
    with as_written([Path(folder)]):
        parent = Parent(Path(folder))
        parent.check_time(at_s)
        stored = changed(parent.stored, overrides)
    if place is not None:
        check_place(place, resume=resume)
    shared = RunCache.shared() if cache else None
    windows = WindowCache(None) if shared is None else shared.windows
    with drawing():
        if parent.manifest.get("drawn") is not False:
            note_drawn()
        builds = _builds(parent, at_s, stored, overrides, windows.find)
        return run_builds(builds, place, checkpoint_every_s, shared, observers)


def _builds(
    parent: Parent, at_s: float, stored: Stored, overrides: Mapping[str, Any], windows: Find
) -> BuildSequence:
    """Return the builds of the fork; raise InputError if the parent has changed since it ran."""
    (_, begun), *later = parent.stages()
    first = build(scenarios.from_stored(begun, {}), windows)
    switches: list[tuple[float, Build]] = []
    for then_s, then in later:
        switches.append(_switch(switches[-1][1] if switches else first, then_s, then, windows))
    before = BuildSequence(
        first,
        tuple(switches),
        name=str(parent.manifest.get("name", "scenario")),
        fork=parent.manifest.get("fork"),
    )
    if before.identity != parent.manifest["identity"]:
        what = ", ".join(changed_checkpoints(parent.manifest, before)) or (
            "a file that it names, or the finding of its contacts,"
        )
        raise InputError.of_file(
            parent.folder,
            Code.WRONG_FILE,
            f"would not be the same run now: {what} has changed",
            Other(said="run it again before it is forked"),
        )
    switch = _switch(before.last, at_s, stored, windows)
    about = {
        "at_s": at_s,
        "set": dict(overrides),
        "parent": {
            "folder": str(parent.folder),
            "identity": parent.manifest["identity"],
            "trace_sha256": parent.manifest["trace_sha256"],
        },
        "was": differing(parent.stored, stored),
        "of": parent.manifest.get("fork"),
    }
    return BuildSequence(
        first,
        (*switches, switch),
        name=before.name,
        fork=about,
        journal=parent.journal(at_s),
        saved=parent.folder / CHECKPOINT,
    )


def _switch(before: Build, at_s: float, stored: Stored, windows: Find) -> tuple[float, Build]:
    """Return the build of ``stored`` for a run that followed another one until ``at_s``."""
    scenario = scenarios.from_stored(stored, {})
    late = build(scenario, windows, FaultsUntilFork(before.world, at_s))
    if not at_s < late.plan.stop_s:
        raise InputError.of_option(
            f"--at {at_s:g} s",
            Code.WRONG_VALUE,
            "the fork would end at {stop_s:g} s",
            stop_s=late.plan.stop_s,
        )
    if (before.sidelinks is None) != (late.sidelinks is None):
        raise InputError(
            Statement.of(
                Code.WRONG_VALUE,
                "link.sidelink",
                "a fork can change sidelinks, not make or remove them",
            )
        )
    if (before.plan.isls is None) != (late.plan.isls is None):
        raise InputError(
            Statement.of(
                Code.WRONG_VALUE,
                "link.isl",
                "a fork can change these links, not make or remove them",
            )
        )
    try:
        plan = spliced(before.plan, late.plan, at_s)
    except InputError as error:
        raise at_option(f"--at {at_s:g} s", error) from None
    return at_s, replace(late, plan=plan, learner=before.learner)


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
        with as_input(file=str(self.folder / run_folder.MANIFEST)):
            scenarios.from_stored(stored, {})
        return stored

    def stages(self) -> list[tuple[float, Stored]]:
        """Return the scenarios of the run, each with the time from which it held."""
        found: list[tuple[float, Stored]] = []
        stored = self.stored
        fork = self.manifest.get("fork")
        while fork is not None:
            if len(found) == MOST_FORKS:
                raise InputError.of_file(
                    self.folder,
                    Code.UNSUPPORTED,
                    f"is a fork of a fork more than {MOST_FORKS} times",
                )
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
            raise InputError.of_option(
                f"--at {at_s:g} s", Code.WRONG_VALUE, "give a time behind the start of the run"
            )
        if at_s < forked_s:
            raise InputError.of_option(
                f"--at {at_s:g} s",
                Code.WRONG_VALUE,
                "{folder} is itself a fork at {forked_s:g} s",
                Other(said="name a later time, or fork the run that it is a fork of"),
                folder=self.folder,
                forked_s=forked_s,
            )
        end_s = self.manifest.get("simulated_s", 0.0)
        if self.manifest["status"] == COMPLETE and at_s > end_s:
            raise InputError.of_option(
                f"--at {at_s:g} s",
                Code.WRONG_VALUE,
                "{folder} ends at {end_s:g} s",
                Other(said="name an earlier time"),
                folder=self.folder,
                end_s=end_s,
            )

    def journal(self, at_s: float) -> Journal:
        """Return what was measured before ``at_s``; nothing where it was not kept."""
        for path in (self.folder / JOURNAL, self.folder / CHECKPOINT / JOURNAL):
            if path.exists():
                return read_journal(path)[0].until(at_s)
        return Journal()


CHANGEABLE = (
    "link",
    "compute",
    "faults",
    "stop",
    "learning.step_size",
    "learning.gate_step_size_ratio",
    "learning.rounds",
    "learning.aggregation",
    "learning.evaluate_every_hours",
    "learning.gate_tuning_cycles",
)
"""Keys (and all below them) that are read when something is asked for, and not before."""


def can_change(key: str) -> bool:
    """Whether a fork can change a key."""
    return any(key == name or key.startswith(f"{name}.") for name in CHANGEABLE)


Stored = dict[str, Any]
"""A scenario as the manifest has it: JSON that needs no file beside it."""


def changed(stored: Stored, overrides: Mapping[str, Any]) -> Stored:
    """Return a scenario with values by dotted key; InputError for a key or value that cannot be."""
    for key in overrides:
        if not can_change(key):
            raise InputError.of_option(
                f"--set {key}",
                Code.UNSUPPORTED,
                f"cannot change within a run; a fork can change {', '.join(CHANGEABLE)}",
            )
    result = deepcopy(stored)
    apply_overrides(result, overrides)
    with as_input(option="--set"):
        return scenarios.from_stored(result, {}).model_dump(mode="json")


def differing(before: Stored, after: Stored) -> dict[str, Any]:
    """Return the values of ``before`` that ``after`` changes, by dotted key."""
    found: dict[str, Any] = {}
    for section in CHANGEABLE:  # of whole sections the keys one level below
        value = _at(before, section)
        keys = [f"{section}.{name}" for name in value] if isinstance(value, dict) else []
        for key in keys or [section]:
            if (old := _at(before, key)) != _at(after, key):
                found[key] = old
    return found


def _at(stored: Stored, key: str) -> Any:
    value: Any = stored
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value
