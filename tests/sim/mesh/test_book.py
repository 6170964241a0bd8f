"""Whole days of a mesh in small: compiled, the search takes the same hops, to the last bit."""

from functools import cache

import pytest

import scenarios
from tests.kit.mesh import hops_of
from tests.kit.network import MeshTimetable, make_plan

KEYS = {
    "compute.seconds_per_round": 600,
    "learning.method": "fedavg",
    "learning.options": {},
    "learning.train": False,
    "learning.model.kind": "vector-mlp",
    "link.isl.route": "earliest",
    "link.isl.rate_mbps": 100,
    "link.isl.between_planes": "neighbours",
    "link.isl.terminals": 4,
}
SHELL = {
    "source": "walker",
    "pattern": "delta",
    "satellites": 264,
    "planes": 12,
    "phasing": 1,
    "altitude_km": 550,
    "inclination_deg": 53,
    "min_elevation_deg": 10,
}
STATION = {"name": "Munich", "latitude_deg": 48.15, "longitude_deg": 11.57}
GRID = {"link.isl.between_planes": "grid", "link.isl.terminals": None, "orbit": SHELL}
GRID |= {"ground.stations": [STATION]}


@cache
def plan_of(name):
    """The plan of a tenth of a day of 66 satellites, or of less of a grid of 264."""
    keys = KEYS | ({"stop.days": 0.1} if name == "66" else GRID | {"stop.days": 0.03})
    return make_plan(scenarios.load("iridium-isl", keys))


def carried(timetable, ends, messages):
    """Yield the hops that messages of federated learning book.

    All satellites get one at a time, and each sends another on ten minutes behind, by turns.
    Hops are tuples of row, begin, end and arrival.
    """
    book = timetable.book
    hub = ends
    ready = []
    now_s = 0.0
    for number in range(messages):
        bits = 8e6 if number % 5 else 1.5e9  # some that are longer than many windows
        if number % (2 * ends) < ends:
            source, target = hub, number % ends
        else:
            if number % (2 * ends) == ends:
                ready.sort()
            now_s, source = ready.pop(0)
            target = hub
        found = hops_of(book.route(source, target, bits, now_s))
        yield found
        route = timetable.booked(source, target, bits, now_s)
        assert (route is None) == (found is None)
        if source == hub:
            ready.append(((route.arrival_s[-1] if route else now_s) + 600.0, target))
        elif not ready:
            now_s = max(now_s, route.arrival_s[-1] if route else now_s)


@pytest.mark.parametrize("name", ["66", "264"])
def test_compiled_and_plain_searches_book_the_same_hops(name):
    plan = plan_of(name)
    ends = len(plan.isls.names)
    each = []
    for compiled in (False, True):
        timetable = MeshTimetable(plan, plan.isls, exact_delays=False, compiled=compiled)
        each.append([*carried(timetable, ends, messages=900)])
    assert each[0] == each[1]
