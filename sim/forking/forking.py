"""Go on with a run from some time on as if its scenario had changed then."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import scenarios
from sim.as_written import as_written
from sim.build import Build, build
from sim.cache import RunCache, cache_folder
from sim.course import Course
from sim.errors import InputError
from sim.faults import Before
from sim.finding import Find, find
from sim.forking.changes import Said, changed, differing
from sim.forking.parent import Parent
from sim.forking.remembering import remembering
from sim.forking.splicing import spliced
from sim.keeping import check_place
from sim.result import Result
from sim.running import EachEvent, EachTime, Listener, carry_out


def fork(
    folder: str | Path,
    at_s: float,
    overrides: Mapping[str, Any],
    out: str | Path | None = None,
    resume: bool = False,
    *,
    listen: Listener | None = None,
    each_event: EachEvent | None = None,
    each_time: EachTime | None = None,
    checkpoint_every_s: float = 10.0,
    cache: bool = False,
) -> Result:
    """Simulate the run in ``folder`` until ``at_s``, and from there with ``overrides``.

    The run is replayed from its start, and what it has measured and trained by then is used again
    where it was kept. Whatever happens at ``at_s`` or later goes by the changed scenario; what is
    under way then (a session, a transfer, a disconnected phase) ends as it was begun. The other
    arguments are those of :func:`sim.run`, and so is what is raised; InputError besides for a
    folder without a run, a time that the run does not come by, and a key that cannot change.
    """
    place = None if out is None else Path(out)
    with as_written([Path(folder)]):
        parent = Parent.read(Path(folder))
        parent.check_time(at_s)
        said = changed(parent.said, overrides)
    if place is not None:
        check_place(place, resume)
    shared = RunCache(cache_folder()) if cache else None
    windows = remembering(find if shared is None else shared.windows.find)
    course = _course(parent, at_s, said, overrides, windows)
    return carry_out(course, place, checkpoint_every_s, shared, listen, each_event, each_time)


def _course(
    parent: Parent, at_s: float, said: Said, overrides: Mapping[str, Any], windows: Find
) -> Course:
    """Return what the fork goes by; raise InputError if the parent is not what it was any more."""
    first, *turns = _builds(parent.stages(), windows)
    name = str(parent.manifest.get("name", "scenario"))
    before = Course(first[1], tuple(turns), name, parent.fork)
    if before.identity != parent.manifest["identity"]:
        raise InputError(
            f"{parent.folder}: would not be the same run now: a file that it names, or the finding "
            "of its contacts, has changed; run it again before it is forked"
        )
    turn = _turn(before.last, at_s, said, windows)
    about = {
        "at_s": at_s,
        "set": dict(overrides),
        "parent": {
            "folder": str(parent.folder),
            "identity": parent.manifest["identity"],
            "trace_sha256": parent.manifest["trace_sha256"],
        },
        "was": differing(parent.said, said),
        "of": parent.fork,
    }
    journal = parent.journal(at_s)
    return Course(first[1], (*turns, turn), name, about, journal, parent.values)


def _builds(stages: list[tuple[float, Said]], windows: Find) -> list[tuple[float, Build]]:
    """Return the builds of a run, each with the contacts that the run comes by until its end."""
    (_, said), *later = stages
    builds = [(0.0, build(scenarios.from_stored(said, {}), windows))]
    for at_s, said in later:
        builds.append(_turn(builds[-1][1], at_s, said, windows))
    return builds


def _turn(before: Build, at_s: float, said: Said, windows: Find) -> tuple[float, Build]:
    """Return the build of ``said`` for a run that went by another one until ``at_s``."""
    scenario = scenarios.from_stored(said, {})
    late = build(scenario, windows, Before(before.scenario, at_s))
    if not at_s < late.plan.stop_s:
        raise InputError(f"--at {at_s:g} s: the fork would end at {late.plan.stop_s:g} s")
    if (before.sidelinks is None) != (late.sidelinks is None):
        raise InputError("link.sidelink: a fork can change sidelinks, not make or remove them")
    try:
        plan = spliced(before.plan, late.plan, at_s)
    except InputError as error:
        raise InputError(f"--at {at_s:g} s: {error}") from None
    return at_s, replace(late, plan=plan, learner=before.learner)
