"""A scenario made ready: its plan with what is doubted of it, and its build."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from learning.methods.making import own_part
from learning.rng import Draws, draws_so_far, note_drawn
from scenarios import Scenario
from scenarios.learning import Learning
from sim.advice.doubts import study_doubts
from sim.advice.link_doubts import link_doubts
from sim.advice.unserved import check_any_served, check_asked, check_reached, check_served
from sim.devices.battery import supplies_of
from sim.devices.compute import compute_of, transmitter_of
from sim.engine.setup import Build, method_of
from sim.errors import InputError, as_input, located
from sim.links.sidelinks import sidelinks_of
from sim.mesh.sessions import with_sessions
from sim.plan.passes import Find, find_windows
from sim.plan.plan import Plan, make_plan
from sim.plan.service import CONTACT_BYTES, check_plan
from sim.world.world import World
from statements import Code, Give

PlanOf = Callable[[World, Find, Sequence[str]], Plan]


def network_plan(world: World, find: Find = find_windows) -> Plan:
    """Return the plan of a network, in which somebody has to be served; InputError for wrong input.

    A network that sees nothing has a plan without contacts.
    """
    with located(world):
        check_plan(world, CONTACT_BYTES)
        plan = with_sessions(make_plan(world, find))
        check_any_served(world, plan)
        check_reached(world, plan)
        doubts = (*plan.doubts, *study_doubts(world), *link_doubts(world, plan))
        return replace(plan, doubts=doubts)


def run_plan(world: World, find: Find = find_windows, needs_isl: Sequence[str] = ()) -> Plan:
    """Return the plan of a run; raise InputError for a client that nobody sees, or could serve.

    ``needs_isl`` are the links between satellites that the method needs.
    """
    plan = with_sessions(make_plan(world, find))
    unserved = [*check_served(world, plan, needs_isl)]
    check_reached(world, plan)
    return replace(plan, doubts=(*plan.doubts, *unserved, *link_doubts(world, plan)))


def learning_in(scenario: Scenario) -> Learning:
    """Return the section on learning; raise InputError for a network study, which has none."""
    if scenario.learning is None:
        text = "is missing, and this is of runs that learn"
        raise InputError.of(Code.MISSING, "learning", text, Give("learning", like={}))
    return scenario.learning


def build(scenario: Scenario, find: Find = find_windows, plan_of: PlanOf = run_plan) -> Build:
    """Check that orbit, channel and learning accept the scenario; return what a run needs.

    ``find`` looks for the contact windows, ``plan_of`` makes the plan, or has it. Raises
    InputError, or the ValueError of one of the three, with one line for everything that is wrong.
    """
    learning_in(scenario)
    world = World(scenario)
    with located(world):
        return _built(world, find, plan_of)


def _built(world: World, find: Find, plan_of: PlanOf) -> Build:
    method, options, learner = method_of(world)
    check_plan(world, CONTACT_BYTES)
    plan = plan_of(world, find, method.needs.isl)
    name = world.learning.method
    with (
        as_input(),
        own_part(
            method, name, "has a check_clients that fails", method.check_clients, refuses=True
        ),
        as_input(below="learning.options"),
    ):
        method.check_clients(plan.clusters, options)
    check_asked(world, plan, options)
    return Build(
        world,
        plan,
        compute_of(world),
        transmitter_of(world),
        learner,
        method,
        options,
        sidelinks_of(world),
        supplies_of(world, plan.start, plan.stop_s),
    )


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
        """Return the plan as :func:`run_plan` does."""
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
            self._key, self.of_last = key, run_plan(world, find, needs_isl)
        return self.of_last
