"""Where contacts come from: a view for every ``orbit.source``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim import orbit_view, slot_view, window_view
from sim.view import View

if TYPE_CHECKING:
    from scenarios import Scenario

_VIEWS = {
    "tle": orbit_view.view_of,
    "omm": orbit_view.view_of,
    "circular": orbit_view.view_of,
    "keplerian": orbit_view.view_of,
    "walker": orbit_view.view_of,
    "contacts": window_view.view_of,
    "slots": slot_view.view_of,
}


def view_of(scenario: Scenario) -> View:
    """Return who sees and who serves whom in any scenario."""
    return _VIEWS[scenario.orbit.source](scenario)
