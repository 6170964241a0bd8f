"""Outages on a date: what they leave of contacts and links, what a run does, what is refused."""

from itertools import product

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import scenarios
import sim
from sim import InputError
from tests.kit.inner.sim import Intervals, build, doubts_of, fault_counts, make_plan, union
from tests.kit.small import slots

START = "2026-08-22T00:00:00Z"
HOURS = 8
NAMES = {
    "satellite": ["P01-S01", "P02-S02", "P03-S03"],
    "station": ["Svalbard", "Inuvik"],
    "cluster": ["Munich", "Bern"],
}
STATIONS = [
    {"name": "Svalbard", "latitude_deg": 78.23, "longitude_deg": 15.39},
    {"name": "Inuvik", "latitude_deg": 68.32, "longitude_deg": -133.55},
]
CLUSTERS = [
    {"name": "Munich", "latitude_deg": 48.1, "longitude_deg": 11.6},
    {"name": "Bern", "latitude_deg": 46.9, "longitude_deg": 7.4},
]
ISL = {"within_plane": "ring", "between_planes": "neighbours", "rate_mbps": 50}
FIXED = {"rate": "fixed", "fixed_rate_mbps": 20}


def walker(who, planned=(), **faults):
    """Satellites that are clients of stations, serve clusters, or bring what they send there."""
    roles = {
        "to stations": {"server": "stations", "clients": "satellites"},
        "over clusters": {"server": "satellites", "clients": "devices"},
        "over a mesh": {"server": "stations", "clients": "devices"},
        "of one satellite": {"server": "satellite:P02-S01", "clients": "satellites"},
    }[who]
    alone = who == "of one satellite"  # in sight of all others, each in a plane of its own
    ground = {}
    if roles["server"] == "stations":
        ground = {"antennas": "unlimited", "stations": STATIONS}
    if roles["clients"] == "devices":
        ground["clusters"] = CLUSTERS
    link = {"uplink": FIXED, "downlink": FIXED}
    if who == "over a mesh":
        link |= {"isl": ISL | {"route": "earliest"}, "feeder": {"rate_mbps": 50}}
    elif alone:
        link = {"isl": {**ISL, "within_plane": "none", "between_planes": "none"}}
    elif who == "to stations":
        link["isl"] = ISL
    return scenarios.from_dict(
        {
            "start": START,
            "stop": {"days": HOURS / 24},
            "roles": roles,
            "orbit": {
                "source": "walker", "altitude_km": 1200, "inclination_deg": 88,
                "satellites": 6 if alone else 18, "planes": 6 if alone else 3, "phasing": 1,
                "propagation": "secular_j2",
                **({"serving": "any"} if who == "over clusters" else {}),
            },
            "ground": ground,
            "link": link,
            "compute": {"seconds_per_round": 900},
            "learning": {
                "train": False, "model": {"kind": "vector-mlp"},
                "method": "fedisl" if who == "to stations" else "fedavg",
            },
            "faults": {"planned": [*planned], **faults},
        }
    )  # fmt: skip


def links_of(plan):
    """Ends by name, begin and end of each window of contacts, links and feeders."""
    contacts = plan.contacts
    for k, ends in enumerate(contacts.ends(np.arange(len(contacts)))):
        yield "contact", ends, contacts.rise_s[k], contacts.set_s[k]
    isls = plan.isls
    for k in range(0 if isls is None else len(isls)):
        yield "isl", (isls.names[isls.a[k]], isls.names[isls.b[k]]), isls.start_s[k], isls.end_s[k]
    feeder = plan.feeder
    for k in range(0 if feeder is None else len(feeder)):
        yield "feeder", feeder.ends(k), feeder.start_s[k], feeder.end_s[k]


GRID_S = np.arange(0.0, HOURS * 3600.0, 20.0) + 7.0


def open_at(plan):
    """Whether each link, by kind and ends, is open at the instants of a grid."""
    found = {}
    for kind, ends, begin_s, end_s in links_of(plan):
        now = found.setdefault((kind, frozenset(ends)), np.zeros(len(GRID_S), bool))
        now |= (begin_s <= GRID_S) & (end_s > GRID_S)
    return found


def out_at(planned, ends):
    """Whether an outage is of one of these ends, or of the link between them, on the grid."""
    out = np.zeros(len(GRID_S), bool)
    for one in planned:
        who = {one.get("satellite"), one.get("station"), one.get("cluster")} & ends
        if who or set(one.get("link", ())) == ends:
            end_s = 3600.0 * one.get("to_hours", np.inf)
            out |= (3600.0 * one["from_hours"] <= GRID_S) & (end_s > GRID_S)
    return out


KINDS = {
    "to stations": ("satellite", "station"),
    "over clusters": ("satellite", "cluster"),
    "over a mesh": ("satellite", "cluster", "station"),
    "of one satellite": ("satellite",),
}


@pytest.fixture(scope="module")
def whole():
    return {who: open_at(make_plan(walker(who))) for who in KINDS}


@st.composite
def outages(draw, who):
    kinds = KINDS[who]
    grounded = [name for kind in kinds[1:] for name in NAMES[kind]]
    pairs = list(product(NAMES["satellite"][:2], grounded)) or [("P01-S01", "P02-S01")]
    if who in ("to stations", "over a mesh"):
        pairs += [("P01-S01", "P01-S02"), ("P01-S01", "P02-S01")]
    listed = []
    for _ in range(draw(st.integers(1, 5))):
        kind = draw(st.sampled_from([*kinds, "link"]))
        names = pairs if kind == "link" else NAMES[kind]
        if len(kinds) == 1:  # a client, or the server
            names = pairs if kind == "link" else ["P01-S01", "P02-S01"]
        begin = draw(st.integers(0, 60 * HOURS - 2)) / 60
        lasts = draw(st.integers(1, 240)) / 60
        listed.append({kind: draw(st.sampled_from(names)), "from_hours": begin})
        if draw(st.integers(0, 5)):
            listed[-1]["to_hours"] = begin + lasts
    return listed


@pytest.mark.parametrize("who", KINDS)
def test_a_plan_with_outages_is_the_plan_without_and_these_intervals_less(who, whole):
    """Of contacts, links between satellites and feeders; instants on a grid tell it."""

    @settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
    @given(outages(who))
    def holds(planned):
        try:
            left = open_at(make_plan(walker(who, planned)))
        except InputError as error:  # nothing is left of a cluster
            assert "out" in str(error) or "never" in str(error)
            return
        for (kind, ends), before in whole[who].items():
            out = out_at(planned, ends)
            now = left.get((kind, ends), np.zeros_like(before))
            if kind == "feeder":  # a satellite may have turned to what another station gives free
                assert not (now & out).any()
            else:
                assert np.array_equal(now, before & ~out), (kind, ends)
        assert left.keys() <= whole[who].keys() or who == "over a mesh"

    holds()


@given(st.lists(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 9)), max_size=4), min_size=1))
def test_the_union_of_spells_holds_where_any_of_them_does(several):
    def spells(drawn):
        edges, last = [], -1
        for begin, lasts in sorted(drawn):
            if begin > last:
                last = begin + lasts
                edges.append((begin, last))
        return Intervals(*np.array(edges, float).reshape(-1, 2).T)

    each = [spells(drawn) for drawn in several]
    both = union(each)
    grid = np.arange(0.0, 70.0, 0.5)

    def inside(one):
        return ((one.begin_s <= grid[:, None]) & (grid[:, None] < one.end_s)).any(axis=1)

    assert np.array_equal(inside(both), np.any([inside(one) for one in each], axis=0))
    assert (both.begin_s[1:] > both.end_s[:-1]).all()  # what touches is one


@pytest.mark.wide
def test_nothing_is_sent_while_a_station_is_out_and_the_run_tells_of_it():
    planned = [
        {"station": "Svalbard", "from_utc": "2026-08-22T02:00:00Z",
         "to_utc": "2026-08-22T05:00:00Z"},
        {"link": ["P01-S01", "Inuvik"], "from_hours": 0},
    ]  # fmt: skip
    run = sim.run(walker("to stations", planned))
    over = run.transfers.merge(run.contacts, on="contact_id")
    within = (over.start_s < 5 * 3600) & (over.end_s > 2 * 3600)
    at_svalbard = over.station == "Svalbard"
    assert at_svalbard.any() and within.any() and not (at_svalbard & within).any()
    assert not ((over.station == "Inuvik") & (over.satellite == "P01-S01")).any()
    told = run.events[run.events.cause == "planned outage"]
    assert [*zip(told.time_s, told.detail, strict=True)] == [
        (0.0, "injected: link Inuvik - P01-S01 out as planned until 28800.000 s"),
        (7200.0, "injected: station Svalbard out as planned until 18000.000 s"),
    ]
    assert fault_counts(run.tables["events"]) == {"planned outages": 2}


def hops_of(run):
    """Pairs of satellites between which messages went, in order of time."""
    rows = run.transfers[run.transfers.direction == "isl"]
    ends = zip(rows.cluster, rows.peer.str.removesuffix("/0"), strict=True)
    return [tuple(sorted(pair)) for pair in ends]


def test_messages_of_a_mesh_go_round_a_dead_link():
    """Without the link that the first one takes messages take others, and rounds go on."""
    run = sim.run(walker("over a mesh"))
    dead = hops_of(run)[0]
    around = sim.run(walker("over a mesh", [{"link": list(dead), "from_hours": 0}]))
    assert dead not in hops_of(around) and hops_of(around)
    assert len(around.tables["updates"]) > len(run.tables["updates"]) / 2 > 0


def test_what_is_beyond_the_end_or_of_no_link_is_doubted():
    planned = [
        {"station": "Inuvik", "from_hours": 100},
        {"link": ["P01-S01", "P01-S04"], "from_hours": 1},  # not beside each other in the ring
    ]
    doubts = doubts_of(build(walker("to stations", planned)))
    said = [str(one) for one in doubts if one.path[:2] == ("faults", "planned")]
    assert ["begins after the run" in said[0], "changes nothing" in said[1]] == [True] * len(said)


def test_a_timetable_of_slots_has_outages_by_name():
    """Of the second of three slots of 600 s half is left, a session as before."""
    planned = [{"cluster": "B", "from_hours": 0.25, "to_hours": 0.5}]
    plan = make_plan(slots(faults={"planned": planned}))
    [first, *_] = [k for k in range(len(plan.contacts)) if plan.contacts.client[k] == 1]
    assert (plan.contacts.rise_s[first], plan.contacts.set_s[first]) == (600.0, 900.0)
    assert plan.cycles == 3
