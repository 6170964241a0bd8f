"""Another future of a run: replayed until some time, and then with keys changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import scenarios
from sim.devices.faults import FaultsUntilFork
from sim.engine.observer import Observer
from sim.engine.setup import Build, build
from sim.errors import InputError
from sim.execution.build_sequence import BuildSequence
from sim.execution.checkpoint import CHECKPOINT, VALUES
from sim.execution.claim import check_place
from sim.execution.folder import as_written
from sim.execution.fork_changes import Stored, changed, differing
from sim.execution.fork_parent import Parent
from sim.execution.result import Result
from sim.execution.run_cache import RunCache
from sim.execution.running import run_builds
from sim.execution.window_cache import WindowCache
from sim.plan.splicing import spliced
from sim.plan.windows import Find


def fork(
    folder: str | Path,
    at_s: float,
    overrides: Mapping[str, Any],
    out: str | Path | None = None,
    resume: bool = False,
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
        raise InputError(
            f"{parent.folder}: would not be the same run now: a file that it names, or the finding "
            "of its contacts, has changed; run it again before it is forked"
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
        values=parent.folder / CHECKPOINT / VALUES,
    )


def _switch(before: Build, at_s: float, stored: Stored, windows: Find) -> tuple[float, Build]:
    """Return the build of ``stored`` for a run that followed another one until ``at_s``."""
    scenario = scenarios.from_stored(stored, {})
    late = build(scenario, windows, FaultsUntilFork(before.scenario, at_s))
    if not at_s < late.plan.stop_s:
        raise InputError(f"--at {at_s:g} s: the fork would end at {late.plan.stop_s:g} s")
    if (before.sidelinks is None) != (late.sidelinks is None):
        raise InputError("link.sidelink: a fork can change sidelinks, not make or remove them")
    if (before.plan.isls is None) != (late.plan.isls is None):
        raise InputError("link.isl: a fork can change these links, not make or remove them")
    try:
        plan = spliced(before.plan, late.plan, at_s)
    except InputError as error:
        raise InputError(f"--at {at_s:g} s: {error}") from None
    return at_s, replace(late, plan=plan, learner=before.learner)
