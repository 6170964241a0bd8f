"""Protocols over a ring of devices with sidelinks, in closed form: who has what, and when."""

from collections import Counter

import pytest

from learning.requests import All, NextContact, Node, Payload, Wait, ring
from tests.kit.scripted import SCRIPTED, only, play
from tests.kit.small import slots

MEGABYTE = Payload("model", 125_000.0)
LINK_S = 1.0 + 1500 / 299_792_458.0
"""A megabit at 1 Mbit/s, over 1.5 km."""


def around(size, protocol, **changes):
    """What a protocol over a ring of so many devices returns, and its messages."""
    found = []
    nodes = [Node("B", k) for k in range(size)]

    def script(me):
        found.append((yield from protocol(nodes)))

    link = {"sidelink": {"rate_mbps": 1, "distance_km": 1.5}}
    clusters = [{"name": "A", "devices": 1}, {"name": "B", "devices": size}]
    ground = {"ground": {"clusters": clusters}}
    run = play(slots(learning=SCRIPTED, link=link, **ground, **changes), only("B", script))
    return found[0], run.transfers


def at_once(place):
    """Nothing is waited for."""
    yield from ()


@pytest.mark.parametrize("size", [2, 5, 8])
def test_broadcast_takes_as_many_links_as_lie_between(size):
    came, moved = around(size, lambda nodes: ring.broadcast(nodes, 1, MEGABYTE, at_once))
    nodes = range(size)
    apart = {k: min(abs(k - 1), size - abs(k - 1)) for k in nodes if k != 1}
    assert came == {k: pytest.approx(links * LINK_S) for k, links in apart.items()}
    assert [ring.distance(nodes, 1, k) for k in sorted(apart)] == [apart[k] for k in sorted(apart)]
    assert len(moved) == size - 1  # each gets it once
    assert moved.end_s.max() == pytest.approx(size // 2 * LINK_S)


@pytest.mark.parametrize("ready_s", [[0, 0, 0, 0, 0], [0, 9, 3, 1, 2], [7, 0, 2, 6, 20]])
def test_reduce_waits_for_those_on_its_way(ready_s):
    """Whoever passes it on adds what it has: one payload on each of S - 1 links, to place 0."""

    def ready(place):
        yield Wait(float(ready_s[place]))

    places, moved = around(5, lambda nodes: ring.reduce(nodes, 0, MEGABYTE, ready))
    forth_s = max(max(ready_s[3] + LINK_S, ready_s[4]) + LINK_S, ready_s[0])
    back_s = max(max(ready_s[2] + LINK_S, ready_s[1]) + LINK_S, ready_s[0])
    assert places == {0, 1, 2, 3, 4}
    ends_s = moved[moved.peer == "B/0"].end_s
    assert max(ends_s.max(), ready_s[0]) == pytest.approx(max(forth_s, back_s))
    assert sorted(zip(moved.device, moved.peer, strict=True)) == [
        *((1, "B/0"), (2, "B/1"), (3, "B/4"), (4, "B/0"))
    ]


@pytest.mark.parametrize("protocol", [ring.reduce, ring.allreduce])
def test_whoever_gathers_has_something_to_add_though_nobody_reaches_it(protocol):
    """All devices are away, and every message is dropped: the sink is waited for all the same."""
    ready = []

    def is_ready(place):
        yield Wait(5.0 + place)
        ready.append(place)

    def gather(nodes):
        sink = {"sink": 0} if protocol is ring.reduce else {}
        yield from protocol(nodes, payload=MEGABYTE, at=is_ready, **sink)
        return sorted(set(ready))

    away = {"churn": {"mean_away_hours": 87_600, "mean_present_hours": 0.1}}
    places, moved = around(5, gather, faults=away)
    assert moved.empty
    assert 0 in places


@pytest.mark.parametrize("size", [2, 3, 8, 9])
def test_allreduce_takes_half_the_ring(size):
    has, moved = around(size, lambda nodes: ring.allreduce(nodes, MEGABYTE, at_once))
    assert has == {place: set(range(size)) for place in range(size)}
    assert moved.end_s.max() == pytest.approx(size // 2 * LINK_S)
    links = Counter(zip(moved.device, moved.peer, strict=True))
    assert max(links.values()) <= -(-size // 2)
    assert sum(links.values()) == size * (size - 1)


def test_tasks_of_other_clusters():
    """A task has the contacts of the cluster that it is run at."""

    def contact():
        return (yield NextContact())

    def protocol(nodes):
        return (yield All((contact(), contact(), contact()), at=("B", "A", "B")))

    mine, other, again = around(2, protocol)[0]
    assert mine == again and mine.start_s != other.start_s
