"""Plans that runs of one process share: points of a sweep that differ in learning only."""

from __future__ import annotations

from collections.abc import Sequence

from learning.rng import Draws, draws_so_far, note_drawn
from sim.plan.plan import Plan, make_plan
from sim.plan.windows import Find, find_windows
from sim.world.world import World

APART = frozenset({"description", "learning", "compute"})
"""Sections that no plan depends on."""


class Plans:
    """Makes plans, and keeps the last one for the next run whose world has the same.

    A plan is a value: a run changes nothing of it, and what it makes late (curves of links, say)
    is the same for all. ``was_kept`` says that the last plan asked for was not made anew.
    """

    def __init__(self) -> None:
        self._key: tuple[str, str, tuple[str, ...]] | None = None
        self.of_last: Plan | None = None
        self.was_kept = False
        self._draws = Draws()  # of the run that made the plan, until its end

    def of(
        self,
        world: World,
        find: Find = find_windows,
        needs_isl: Sequence[str] = (),
    ) -> Plan:
        """Return the plan as :func:`sim.plan.plan.make_plan` does."""
        self.was_kept = False
        alike = world.scenario.model_dump_json(exclude=set(APART))
        key = alike, str(world.scenario.source_path), tuple(needs_isl)
        if self.of_last is not None and key == self._key:
            if self._draws.any:
                note_drawn()
            self.was_kept = True
        else:
            self.of_last = None  # frees its memory before another one takes some
            self._draws = draws_so_far() or Draws()
            self._key, self.of_last = key, make_plan(world, find, needs_isl)
        return self.of_last
