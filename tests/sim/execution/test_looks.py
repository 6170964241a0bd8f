"""Whoever looks at a run while it goes on (a save, a stop) changes nothing of it.

A resumed run is compared with what was saved by the digest of its trace at an event. That must be
what it would be if nobody had looked before.
"""

from dataclasses import fields, replace
from functools import cache, partial
from itertools import pairwise
from random import Random

import numpy as np
import pyarrow.compute as pc
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import scenarios
from tests.kit.folders import Each
from tests.kit.learning import Payload, Upload
from tests.kit.network import (
    Books,
    Clock,
    Contacts,
    Edges,
    HopKinds,
    HopsUnderWay,
    LegLog,
    MeshMessage,
    NamedBuild,
    Route,
    Run,
    Shared,
    Simulation,
    build,
    make_plan,
)
from tests.kit.records import Facts, Journal, Trace
from tests.kit.small import NEAR, merged, orbit
from tests.kit.small_nmoe import IN_ORBIT
from tests.kit.small_satellites import SATELLITES
from tests.runs import BATTERIES, FAULTS

TIMING = {"learning.train": False}
DAYS = {"flystack": 0.1, "iridium-isl": 0.02, "fedisl": 0.5, "nmoe-orbit": 0.002, "doves": 0.05}
DAYS |= {"flystack-isl": 0.03, "nmoe-digits": 0.2, "walker": 0.3}
ELEMENTS = scenarios.shipped_path("iridium-isl").with_name("iridium-next.tle")
DIGITS = {"learning.data": {"kind": "digits"}, "learning.model": {"kind": "vector-moe"}}
IMAGES = {"learning.data": {"kind": "digit-images"}}
NOT_THE_USERS = {
    "doves": {"orbit.path": str(ELEMENTS)},
    "nmoe-cifar10": IMAGES,
    "paper-exp1-gpu": DIGITS | {"learning.precision": "float32"},
    "paper-exp1-real": DIGITS | {"learning.precision": "float32"},
    "paper-exp1-real-orbit": DIGITS | {"learning.precision": "float32"},
    "paper-exp2-cifar": IMAGES,
    "paper-exp2-real": DIGITS,
}
"""What stands in for files that the user has."""
MESH = {"route": "earliest", "within_plane": "ring", "between_planes": "neighbours"}
MESH |= {"rate_mbps": 1, "terminals": 4, "max_range_km": 8000}
RADIO = {"rate_mbps": None, "frequency_ghz": 20, "bandwidth_mhz": 1, "tx_power_dbm": 40}
RADIO |= {"gain_dbi": 32, "noise_temperature_k": 300}
GROUND = {"stop.days": 0.2, "learning.method": "fedavg", "orbit.satellites": 24, "link.isl": MESH}
STATION = {"name": "Bremen", "latitude_deg": 53.1, "longitude_deg": 8.85}
GATEWAY = {"roles.server": "stations", "ground.stations": [STATION], "link.feeder.rate_mbps": 10}
HOPS = {"learning.method": "fedasync", "learning.options": {}, "link.isl.route": "earliest"}
UNTRAINED = {"learning": {"train": False}}


def shipped(name):
    """A scenario of leomix, short."""
    keys = TIMING | NOT_THE_USERS.get(name, {})
    is_slots = scenarios.load(name, keys).orbit.source == "slots"
    span = {"stop.cycles": 3} if is_slots else {"stop.days": DAYS.get(name, 1.0)}
    return scenarios.load(name, keys | span)


SCENARIOS = {
    name: partial(shipped, name)
    for name in scenarios.shipped()
    if scenarios.load(name).learning is not None
}
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
"""All that leomix has, and what tells of things in ways of its own."""


class Looked:
    """A run that is looked at behind events of some ``numbers``.

    ``digests`` are those of its trace at its end, and where every run is looked at: behind events
    whose numbers are powers of two.
    """

    def __init__(self, built, numbers=()):
        self.digests = []
        self._numbers = frozenset(numbers)
        run = self._run = Run(NamedBuild(built), None, 10.0, observers=[Each(self.look)])
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


# What is told of many at once, whenever somebody looks: the order that it comes in.

TIMES = st.sampled_from([0.0, 1.0, 2.0, 2.25, 6.0])
LOOKS = st.lists(TIMES, max_size=5)
END_S = 6.0
plan_of = cache(lambda name: make_plan(SCENARIOS[name]()))


def told(tell):
    """The digest of what ``tell`` does with a stream of facts, once and for all."""
    trace = Trace()
    tell(Facts(trace))
    return trace.digest()


@given(st.lists(st.tuples(TIMES, TIMES, st.booleans()), min_size=1, max_size=12), LOOKS)
def test_contacts_are_told_in_one_order(spans, looks):
    first, second, served = map(np.array, zip(*spans, strict=True))
    planned = plan_of("flystack").contacts
    columns = {key: value[: len(spans)] for key, value in arrays_of(planned).items()}
    columns |= {"start_s": np.minimum(first, second), "end_s": np.maximum(first, second)}
    contacts = replace(planned, **columns | {"served": served})

    def tell(facts, looks):
        edges = Edges(facts, contacts)
        for time_s in [*sorted(looks), END_S]:
            edges.tell(time_s)

    assert told(partial(tell, looks=looks)) == told(partial(tell, looks=[]))


def arrays_of(columns):
    values = {field.name: getattr(columns, field.name) for field in fields(columns)}
    return {key: value for key, value in values.items() if isinstance(value, np.ndarray)}


MESSAGES = st.lists(
    st.tuples(TIMES, st.lists(st.sampled_from([0.0, 0.25, 1.0, 2.0]), min_size=1, max_size=3)),
    min_size=1,
    max_size=6,
)
"""When each sets off, and how long each of its hops takes."""


@given(MESSAGES, LOOKS)
def test_hops_are_told_in_one_order(messages, looks):
    plan = plan_of("mesh")
    messages = sorted(messages)
    sent = [(from_s, number) for number, (from_s, _) in enumerate(messages)]

    def tell(facts, looks):
        legs = LegLog(facts, plan.topology)
        shared = Shared(Clock(), plan.topology, facts, legs, Books())
        kinds = HopKinds(plan, plan.isls)
        contacts = Contacts(*(np.array([value]) for value in (0, 0, 1, 0.0, 1e9, 1.0, 0.0)))
        log = HopsUnderWay(shared, contacts, kinds, lambda hops: None)
        for time_s, number in sorted([*sent, *((look_s, -1) for look_s in looks)]):
            if number >= 0:
                message = MeshMessage(number, plan.isls.names[0], None, Payload("model", 8.0))
                ends_s = time_s + np.cumsum([0.0, *messages[number][1]])
                hops = [(0.0, begin_s, end_s, end_s) for begin_s, end_s in pairwise(ends_s)]
                log.add(message, Route.of(np.ravel(hops)))
            if time_s in looks:  # before messages that set off at that time, and behind each
                log.look(time_s)
                legs.flush()
        log.look(last_s)
        legs.flush()

    last_s = max([sent[-1][0], *looks])
    assert told(partial(tell, looks=looks)) == told(partial(tell, looks=[]))


def test_whoever_looks_drains_no_battery():
    """Sending is taken from a battery when it is its turn, not when somebody looks before that."""
    built = build(SCENARIOS["mesh with batteries"]())

    def sent(look_s=0.0, look=None):
        """The hops of a message from each satellite, and all charges as somebody looks."""
        simulation = Simulation(built, Journal(), Trace())
        clock, clients = simulation.clock, simulation.clients
        each = clients.by_name.values()
        charges = []

        def looked():
            if look is not None:
                look(simulation)
            charges.extend(client.charge() for client in each)

        clock.call_at("look", look_s, looked)  # before all else at that time
        for client in each:
            clock.start("send", client.chain([Upload(Payload("model", 1e5))]))
        clock.run(built.plan.stop_s, lambda number: None)
        return simulation.tables()["transfers"], charges

    hops, _ = sent()
    ends_s = hops.filter(pc.equal(hops["direction"], "isl"))["end_s"]
    when_s = ends_s[len(ends_s) // 2].as_py()
    _, charges = sent(when_s)
    for look in (lambda run: run._log.flush(), lambda run: run.clients.energy(when_s)):
        assert sent(when_s, look)[1] == charges
