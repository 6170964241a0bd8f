"""A replay that differs from the saved run: what that was saved with, and what differs from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from learning.learner import Learner
from sim.execution.manifest import determinism_of
from sim.execution.versions import changes, versions


def saved_with(learner: Learner) -> dict[str, str]:
    """Return, by name, the versions and all else that may change a bit of the trace."""
    decides = determinism_of(learner)
    instructions = {f"instructions {name}": "used" for name in decides.pop("instructions")}
    settings = decides.pop("settings")
    known = {name: value for name, value in decides.items() if value is not None}
    return {**versions(), **known, **instructions, **settings}


def replay_differs(
    event: int,
    before: Mapping[str, str],
    now: Mapping[str, str],
    place: Path | None,
    code: Sequence[str],
) -> str:
    """Say that a replay differs at an event from the run that was saved: why, and what to do.

    The run was saved with what was there ``before``. Its scenario and its own ``code`` are the same
    ``now``: a run of others is refused before it begins.
    """
    changed = changes(before, now)
    same = "versions, processor and scenario are those that it was saved with"
    anew = "run it anew in another folder, where what the cache holds is not trained again"
    if not before:
        why = f"it was saved by another version of leomix; {anew}"
    elif changed:
        why = f"{', '.join(changed)} since it was saved; put that back to go on, or {anew}"
    elif code:
        why = (
            f"{same}, so code of your own ({', '.join(code)}) does not do the same each time, or "
            f"leomix has a defect; {anew}"
        )
    else:
        kept = "nothing that was saved is lost"
        if place is not None:
            kept += f": keep {place}, and report it with its scenario"
        why = f"{same}, so this is a defect of leomix; {kept}; {anew}"
    return f"the replay differs from the saved run at event {event}: {why}"
