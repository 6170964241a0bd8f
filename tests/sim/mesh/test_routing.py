"""Store-and-forward over a plan of contacts, against networkx on the time-expanded graph."""

import itertools

import networkx
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from tests.kit.inner.sim import Book, ContactGraph, ContactPlan, Contacts, Hop

TUTORIAL = """1 2 0 60, 2 3 0 60, 1 3 0 60, 3 4 0 30, 1 5 10 20, 4 5 0 10, 4 5 30 40, 4 5 50 60"""
"""The plan of nasa/HDTN's cgrTutorial.json: both ways, a light time of 1 s, 1 Mbit/s."""

HORIZON_S = 40


def test_tutorial_plan_arrives_at_3():
    """Node 1 sends to 5 at 0 s: 1, 3, 4, 5; a second later than the last bit of a long message."""
    rows = np.array([row.split() for row in TUTORIAL.split(",")], int).T
    graph = ContactGraph(ContactPlan(6, *rows, 1e6, 1.0))
    tiny = graph.route(1, 5, 0.0, 0.0)
    assert [(hop.source, hop.target, hop.arrival_s) for hop in tiny] == [
        *((1, 3, 1.0), (3, 4, 2.0), (4, 5, 3.0))
    ]
    large = graph.route(1, 5, 9e6, 0.0)  # 9 s over each link: too long for 4 to 5 until 10 s
    assert large == [Hop(4, 1, 5, 10.0, 19.0, 20.0)]
    graph.book(large)
    again = graph.route(1, 5, 9e6, 0.0)
    assert [hop.arrival_s for hop in again] == [10.0, 20.0, 40.0]
    with pytest.raises(ValueError, match="contact 4 is not free at 10 s"):
        graph.book(large)
    with pytest.raises(ValueError, match="contact 4 does not begin at node 3"):
        graph.book([Hop(4, 3, 1, 0.0, 1.0, 2.0)])


def test_message_that_no_route_carries():
    """One that is longer than a contact, that comes too late, or whose target nobody meets."""
    graph = ContactGraph(ContactPlan(4, [0, 2], [1, 3], 0.0, 10.0, 8.0, directed=True))
    assert graph.route(0, 1, 80.0, 0.0) == [Hop(0, 0, 1, 0.0, 10.0, 10.0)]
    for asked in ((0, 1, 80.1, 0), (0, 1, 8, 9.1), (0, 3, 0, 0), (1, 0, 0, 0)):
        assert graph.route(*asked) is None
    assert graph.route(1, 1, 1e9, 99.0) == []
    assert_array_equal(graph.arrivals(0, 8.0, 2.0), [2.0, 3.0, np.inf, np.inf])
    for wrong, what in (
        ((0, 4, 8.0, 0.0), "node 4 is not there; nodes are 0 to 3"),
        (("Munich", 1, 8.0, 0.0), "node 'Munich' is not there"),
        ((0, 1, -1.0, 0.0), "bits are -1"),
        ((0, 1, 8.0, np.nan), "ready_s is nan"),
    ):
        with pytest.raises(ValueError, match=what):
            graph.route(*wrong)


SLOW = pytest.mark.slow(reason="1,000 plans, each with a graph of its own")


@pytest.mark.parametrize("plans", [50, pytest.param(1000, marks=SLOW)])
@pytest.mark.parametrize("kind", ["graph", "plain", "compiled"])
def test_random_plans_against_time_expanded_graph(kind, plans):
    """Plans of whole seconds, some messages each: arrival, hops, and what is booked.

    Of some contacts the rate is another one each second, like that of a pass; what is compiled has
    constant ones. Some messages set off with the one before, and some avoid a node. Some plans are
    16 times as long, like their messages: a search looks a part of the plan ahead at first.
    """
    rng = np.random.default_rng(22)
    found = 0
    for _ in range(plans):
        nodes = int(rng.integers(3, 7))
        contacts = int(rng.integers(3, 25))
        a = rng.integers(nodes, size=contacts)
        b = (a + rng.integers(1, nodes, contacts)) % nodes
        lasts = rng.random() < 0.5
        start = rng.integers(1 if lasts else HORIZON_S - 8, size=contacts)
        end = start + (HORIZON_S - 1 if lasts else rng.integers(1, 9, contacts))
        rate = rng.integers(1, 3, contacts)
        delay = rng.integers(3, size=contacts)
        unit_s = float(rng.choice([1, 16]))
        steady = (rng.random(contacts) < 0.6) | (kind == "compiled") | lasts
        rates = np.where(steady, rate, rng.integers(3, size=(HORIZON_S + 8, contacts))).T

        def sent(contact, source, begin_s, bits, rates=rates, delay=delay, unit_s=unit_s):
            begin, bits = begin_s / unit_s, bits / unit_s
            through = np.flatnonzero(np.cumsum(rates[contact, int(begin) :]) >= bits)
            sent_s = unit_s * (begin + through[0] + 1) if len(through) else np.inf
            return sent_s, sent_s + unit_s * delay[contact]

        seen = np.where(steady, rate, np.nan)
        free = np.zeros((contacts, HORIZON_S + 2), bool)
        for row, span in zip(free, zip(start, end, strict=True), strict=True):
            row[slice(*span)] = True
        spans_s = start * unit_s, end * unit_s
        plan = ContactPlan(nodes, a, b, *spans_s, seen, delay * unit_s, directed=True, sent=sent)
        if kind == "graph":
            book = ContactGraph(plan)
        else:
            rows = Contacts(np.arange(contacts), a, b, *spans_s, seen, delay * unit_s)
            book = Book(nodes, rows, sent, compiled=kind == "compiled")
        for number in range(6):
            if number == 0 or rng.random() < 0.5:
                avoid = int(rng.integers(nodes)) if kind != "graph" and rng.random() < 0.3 else None
                target = int(rng.choice([node for node in range(nodes) if node != avoid]))
                bits = 2 * int(rng.integers(1, 4))
            if number == 0 or rng.random() < 0.5:
                ready = int(rng.integers(20))
            source = int(rng.choice([n for n in range(nodes) if n not in (avoid, target)]))
            if kind == "graph":
                route = book.route(source, target, bits * unit_s, ready * unit_s)
                hops = [hop[:1] + hop[3:] for hop in route or []]
            else:
                route = book.route(source, target, bits * unit_s, ready * unit_s, avoid)
                hops = [] if route is None else list(route.hops())
            usable = free & ((a != avoid) & (b != avoid))[:, None]
            truth = _earliest((a, b, delay, rates, usable), source, target, ready, bits)
            assert truth == (None if route is None else (hops[-1][3] / unit_s, len(hops)))
            for contact, begin_s, sent_s, _ in hops:
                span = int(contact), slice(int(begin_s / unit_s), int(sent_s / unit_s))
                assert free[span].all()
                free[span] = False
            if route is not None:
                (book.book if kind == "graph" else book.take)(route)
            found += route is not None
    assert 1.5 * plans < found < 4.7 * plans  # both happen often


def _earliest(plan, source, target, ready, bits):
    """Return the first second at the target, and the fewest hops by then; None for never."""
    edges = []
    times = {(node, ready) for node in range(7)}
    for here, there, delay, rates, free in zip(*plan, strict=True):
        for begin in np.flatnonzero(free):
            over = next((t for t in range(begin, HORIZON_S) if rates[begin:t].sum() >= bits), 0)
            if begin >= ready and over and free[begin:over].all():
                edges.append(((here, begin), (there, over + delay), 1))
                times.update(edges[-1][:2])
    waits = [(one, two, 0) for one, two in itertools.pairwise(sorted(times)) if one[0] == two[0]]
    expanded = networkx.DiGraph()
    expanded.add_weighted_edges_from(edges + waits)
    if (source, ready) not in expanded:
        return None
    reached = networkx.single_source_dijkstra_path_length(expanded, (source, ready))
    arrivals = [t for node, t in reached if node == target]
    return (min(arrivals), reached[target, min(arrivals)]) if arrivals else None


@pytest.mark.parametrize(("plan", "what"), [
    (([0, 1], [1, 0], 3.0, 2.0, 1.0, 0.0), "contact 0 ends before"),
    (([0, 1], [1, 0], 0.0, 1.0, [1.0, 0.0], 0.0), "contact 1 has a rate_bps"),
    (([0, 1], [1, 0], 0.0, 1.0, 1.0, -1.0), "contact 0 has a delay_s"),
    (([0, 1], [1, 2], 0.0, 1.0, 1.0), "contact 1 is between nodes that are not 0 to 1"),
    (([0, 0], [1], 0.0, 1.0, 1.0), "b has the shape"),
    (([0, 0], [1, 1], [0.0], 1.0, 1.0), "start_s has the shape"),
    (([0.5], [1], 0.0, 1.0, 1.0), "a has other nodes than whole numbers"),
    ((0, 1, 0.0, 1.0, 1.0), "a is no row"),
])  # fmt: skip
def test_a_plan_that_contradicts_itself_is_refused(plan, what):
    with pytest.raises(ValueError, match=what):
        ContactGraph(ContactPlan(2, *plan))
