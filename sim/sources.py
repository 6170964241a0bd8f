"""Where contacts come from: a view for every ``orbit.source``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim import orbit_view, slot_view, window_view
from sim.faults import Before
from sim.finding import Find, find
from sim.limits import WINDOW_BYTES, check_plan
from sim.view import View

if TYPE_CHECKING:
    from scenarios import Scenario

_WITHOUT_ORBIT = {"contacts": window_view.view_of, "slots": slot_view.view_of}


def view_of(scenario: Scenario, find: Find = find, before: Before | None = None) -> View:
    """Return who sees and who serves whom in any scenario; ``find`` looks for the windows.

    ``before`` says what faults held until a fork.
    """
    check_plan(scenario, WINDOW_BYTES)
    source = scenario.orbit.source
    if source in _WITHOUT_ORBIT:
        return _WITHOUT_ORBIT[source](scenario, before)
    return orbit_view.view_of(scenario, find, before)
