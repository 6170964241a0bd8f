"""Whoever looks at a run while it goes on (a save, a stop) changes nothing of it.

A resumed run is compared with what was saved by the digest of its trace at an event. That must be
what it would be if nobody had looked before.
"""

from functools import cache, partial
from random import Random

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import scenarios
from tests.kit.folders import Each
from tests.kit.inner.sim import NamedBuild, RunExecution, build
from tests.kit.small import NEAR, SATELLITES, merged, orbit
from tests.kit.small_nmoe import IN_ORBIT
from tests.runs import BATTERIES, FAULTS

TIMING = {"learning.train": False}
MESH = {"route": "earliest", "within_plane": "ring", "between_planes": "neighbours"}
MESH |= {"rate_mbps": 1, "terminals": 4, "max_range_km": 8000}
RADIO = {"rate_mbps": None, "frequency_ghz": 20, "bandwidth_mhz": 1, "tx_power_dbm": 40}
RADIO |= {"gain_dbi": 32, "noise_temperature_k": 300}
GROUND = {"stop.days": 0.2, "learning.method": "fedavg", "orbit.satellites": 24, "link.isl": MESH}
STATION = {"name": "Bremen", "latitude_deg": 53.1, "longitude_deg": 8.85}
GATEWAY = {"roles.server": "stations", "ground.stations": [STATION], "link.feeder.rate_mbps": 10}
HOPS = {"learning.method": "fedasync", "learning.options": {}, "link.isl.route": "earliest"}
UNTRAINED = {"learning": {"train": False}}


SHORT = {
    "paper-slots": {"stop.cycles": 3},
    "quickstart": {"stop.days": 1},
    "plain-fedavg": {"stop.days": 1},
    "aligned-digits": {"stop.days": 1},
    "nmoe-digits": {"stop.days": 0.2},
    "fedsat": {"stop.days": 1},
    "flystack-isl": {"stop.days": 0.03},
}
SCENARIOS = {name: partial(scenarios.load, name, TIMING | stop) for name, stop in SHORT.items()}
SCENARIOS |= {
    "faults": lambda: orbit(ground={"clusters": NEAR}, faults=FAULTS, **UNTRAINED),
    "batteries": lambda: scenarios.load("flystack", BATTERIES),
    "rings": lambda: scenarios.from_dict(merged(SATELLITES, UNTRAINED)),
    "experts in orbit": lambda: scenarios.from_dict(merged(IN_ORBIT, UNTRAINED)),
    "mesh": lambda: scenarios.load("iridium-isl", TIMING | HOPS | {"stop.days": 0.03}),
    "mesh with batteries": lambda: scenarios.from_dict(
        merged(SATELLITES, {"learning": {"train": False, "method": "fedasync"}})
        | {"link": SATELLITES["link"] | {"isl": MESH | RADIO}, "stop": {"days": 0.06}}
    ),
    "mesh to the ground": lambda: scenarios.load(
        "walker", TIMING | GROUND | {"roles.server": "satellite:P01-S01"}
    ),
    "mesh to gateways": lambda: scenarios.load("walker", TIMING | GROUND | GATEWAY),
}
"""A method of each kind, and what tells of things in ways of its own."""


class Looked:
    """A run that is looked at behind events of some ``numbers``.

    ``digests`` are those of its trace at its end, and where every run is looked at: behind events
    whose numbers are powers of two.
    """

    def __init__(self, built, numbers=()):
        self.digests = []
        self._numbers = frozenset(numbers)
        run = self._run = RunExecution(NamedBuild(built), None, 10.0, observers=[Each(self.look)])
        self.manifest = run.execute().manifest
        self.digests.append(run.simulation.digest())

    def look(self, number):
        simulation = self._run.simulation
        if number in self._numbers:
            simulation.digest()
        if number - 1 in self._numbers:  # as a stop does
            simulation.tables()
            simulation.energy()
        if number.bit_count() == 1:
            self.digests.append(simulation.digest())


@cache
def alone(name):
    built = build(SCENARIOS[name]())
    return built, Looked(built)


@pytest.mark.wide
@pytest.mark.parametrize("name", SCENARIOS)
@given(st.integers(0, 2**32))
@settings(max_examples=settings().max_examples // 15, phases=[Phase.generate])  # each is a run
def test_the_digest_at_an_event_does_not_depend_on_earlier_looks(name, seed):
    built, run = alone(name)
    numbers = range(1, run.manifest["events"] + 1)
    looked = Looked(built, Random(seed).sample(numbers, min(len(numbers), 40)))
    assert looked.digests == run.digests
    for key in looked.manifest.keys() - {"wall_s", "peak_memory_bytes"}:
        assert looked.manifest[key] == run.manifest[key], key
