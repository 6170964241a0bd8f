"""Periodic re-splitting (Algorithm 1): experts change hands, and two clusters never train one.

Whom an expert belongs to, and what became of each local round, is kept by tests/kit/spy.py.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import learning
import sim
from learning.methods.base import NOBODY, ExpertRegistry
from learning.methods.emsfl import Splitting
from tests.kit.scripted import RESTLESS
from tests.kit.small import fixed, orbit, slots
from tests.kit.spy import Spy, changes_of_hands, check_conserved, new_owners_that_trained, owners


def learned(method, experts=5, every=1, **more):
    options = {"threshold": 0.1, "resplit_cycles": every}
    model = {"experts": experts, "hidden": 16, "expert_hidden": 16}
    return {"method": method, "train": False, "options": options, "model": model, **more}


def watched(scenario):
    """Run a scenario and check what holds of all; return how often an expert changed hands."""
    with Spy().watching() as spy:
        result = sim.run(scenario)
    check_conserved(spy)
    new_owners_that_trained(spy, result)
    owners(result)
    return spy, result, changes_of_hands(spy, result)


def carried(result, direction):
    rows = result.transfers
    return int(((rows.direction == direction) & (rows.outcome == "carried")).sum())


@pytest.mark.parametrize("method", RESTLESS)
def test_experts_do_change_hands(method):
    """In slots every cluster meets the server once a cycle: a hand-over takes two of them."""
    _, result, changes = watched(slots(stop={"cycles": 12}, learning=learned(method)))
    assert changes > 5
    # At the start, at the first contact after each complete cycle, and at the end.
    times = result.assignments.time_s.unique()
    assert times == pytest.approx([1800.0 * n for n in range(12)] + [12 * 1800.0 - 600])
    # Whom experts were drawn for in the last cycle holds them one or two contacts later.
    last = result.assignments[result.assignments.time_s == times[-1]]
    held = last[last.assigned].set_index("expert").cluster.to_dict()
    assert held == {expert: name for expert, name in owners(result).items() if name is not None}


def test_a_device_that_never_answers_does_not_hold_a_hand_over_up():
    """Device 1 of North sees nothing but the zenith, and never a satellite."""
    here = {"latitude_deg": 60, "longitude_deg": 20}
    places = [{**here, "name": "a"}, {**here, "name": "b", "min_elevation_deg": 89.9}]
    south = {"name": "South", "latitude_deg": -35, "longitude_deg": 150, "devices": 2}
    ground = {"clusters": [{"name": "North", **here, "places": places}, south]}
    said = learned("restless", experts=3)
    spy, result, changes = watched(orbit(stop={"days": 6}, ground=ground, learning=said))
    assert changes > 5
    lost = result.events[result.events.detail.str.startswith("hand-over without", na=False)]
    assert set(lost.cluster) == {"North"}
    first, other = spy.counts["North"]["lost"]
    assert first.sum() == 0 < other.sum() == spy.lost()


def test_a_hand_over_leaves_no_upload_of_who_is_away_behind():
    """That of an expert which is no longer the cluster's would stand in the way of the next one."""
    here = [{"name": n, "latitude_deg": 0, "longitude_deg": 0, "devices": 1} for n in "ABCD"]
    one = {"source": "walker", "altitude_km": 400, "inclination_deg": 0, "satellites": 1}
    said = {"ground": {"clusters": here}, "orbit": {**one, "planes": 1, "min_elevation_deg": 0}}
    said["faults"] = {"churn": {"mean_present_hours": 1.0, "mean_away_hours": 1.0}}
    lost = 0
    for seed in range(4):
        learns = learned("restless-enhanced", experts=3)
        _, result, _ = watched(orbit(stop={"days": 1}, seed=seed, learning=learns, **said))
        lost += result.events.detail.str.startswith("hand-over without", na=False).sum()
    assert lost


@pytest.mark.parametrize(
    ("said", "link", "days", "fewest"),
    [
        # Each upload takes about three passes: it is finished before its expert goes.
        (learned("restless", every=3, experts=3), fixed(uplink=5e-6), 12, 2),
        # With the backbone trained, each contact downloads E_c: what is owed is part of it.
        (learned("restless-enhanced", trains_backbone=True), fixed(uplink=2e-5), 6, 4),
    ],
)
def test_a_large_snapshot_is_finished_before_its_expert_goes(said, link, days, fewest):
    spy, result, changes = watched(orbit(stop={"days": days}, link=link, learning=said))
    assert changes >= fewest
    assert carried(result, "uplink") > 10
    assert spy.lost() == 0


@pytest.mark.parametrize(("method", "down"), [(RESTLESS[0], 3e-5), (RESTLESS[1], 1e-5)])
def test_a_new_owner_rests_until_its_download_is_through(method, down):
    """Downloads of several passes: the devices hold the model before, and must not train it."""
    said = learned(method, every=2, experts=3)
    scenario = orbit(stop={"days": 8}, link=fixed(downlink=down), learning=said)
    spy, result, _ = watched(scenario)
    assert new_owners_that_trained(spy, result) > 5
    assert carried(result, "downlink") > 5


TURN = st.tuples(st.booleans(), st.integers(0, 3), st.integers(0, 1000))


@given(st.lists(TURN, min_size=5, max_size=40))
def test_an_expert_is_owned_by_one_or_nobody_and_lost_to_nobody(turns):
    """Any order of splittings and contacts ends with every expert where it was last drawn to."""
    registry = ExpertRegistry(6)
    splitting = Splitting(registry)
    splitting.redraw(0, np.arange(6) % 4)
    registry.hand_out(splitting.drawn == np.arange(4)[:, None])
    for again, cluster, seed in turns:
        before = registry.owner.copy()
        if again:
            splitting.redraw(splitting.number + 1, learning.stream(seed, "x").integers(0, 4, 6))
            continue
        splitting.change_hands(cluster)
        for expert in np.flatnonzero(before != registry.owner):
            assert {int(before[expert]), int(registry.owner[expert])} == {NOBODY, cluster}
    for cluster in (0, 1, 2, 3) * 2:
        splitting.change_hands(cluster)
    assert registry.owner.tolist() == splitting.drawn.tolist()
