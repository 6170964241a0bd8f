"""Batteries of satellites: against small steps of time, and in a run."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import scenarios
import sim
from sim.devices.battery import Battery, Power
from tests.sim.engine.test_roles import RELAYED

STEP_S = 0.2


def stepped(power, edges_s, from_s, to_s):
    """Seconds computed and charges after each step: idle, then computing, in small steps."""
    levels_j = [power.start_j]
    computed_s = 0.0
    steps_s = np.arange(STEP_S / 2, to_s, STEP_S)
    darkness = np.searchsorted(edges_s, steps_s, "right") % 2
    for at_s, dark in zip(steps_s.tolist(), darkness.tolist(), strict=True):
        gain_j = ((0.0 if dark else power.charge_w) - power.idle_w) * STEP_S
        level_j = levels_j[-1]
        left_j = level_j + gain_j - power.compute_w * STEP_S
        if at_s > from_s and left_j >= power.reserve_j:
            level_j = left_j
            computed_s = computed_s + STEP_S
        else:
            level_j += gain_j
        levels_j.append(min(max(level_j, 0.0), power.capacity_j))
    return computed_s, np.array(levels_j)


WATTS = st.floats(0.5, 20.0)


@settings(max_examples=20, deadline=None)
@given(WATTS, WATTS, WATTS, st.floats(0, 0.9), st.floats(0, 1), st.floats(0, 100))
def test_a_battery_is_that_of_small_steps(charge_w, idle_w, compute_w, reserve, start, from_s):
    capacity_j = 1500.0
    edges_s = np.array([60.0, 130.0, 220.0, 300.0])
    power = Power(capacity_j, start * capacity_j, reserve * capacity_j, charge_w, idle_w, compute_w)
    battery = Battery(power, edges_s)
    computed_s, levels_j = stepped(power, edges_s, from_s, 360.0)
    # At the reserve a step may come a step early or late, at each of five edges.
    slack_s = 6 * STEP_S * (1 + (charge_w + idle_w) / compute_w)
    assert battery.computing_s(from_s, 360.0) == pytest.approx(computed_s, abs=slack_s)
    done_s = battery.after_s(from_s, computed_s / 2)
    assert battery.computing_s(from_s, done_s) == pytest.approx(computed_s / 2, abs=1e-6)
    battery.compute(from_s, 360.0)
    slack = slack_s * 40 / 1500
    charges = levels_j / capacity_j
    assert battery.charges_at(360.0) == pytest.approx((charges.min(), charges[-1]), abs=slack)
    for until_s in (360.0, 200.0, 100.0):
        held = battery.charge_by(until_s)
        assert held.time_s[-1] == until_s and (np.diff(held.time_s) >= 0).all()
        time_s = np.arange(0.0, until_s, STEP_S)
        np.testing.assert_allclose(np.interp(time_s, *held), charges[: len(time_s)], atol=slack)


SMALL = {
    "orbit.use.planes": 2,
    "orbit.use.satellites_per_plane": 5,
    "ground.stations_used": 3,
    "stop.days": 1,
    "compute.power_w": 15,
}
BATTERY = {"capacity_wh": 6, "charge_w": 10, "idle_w": 4}


def test_a_satellite_without_charge_trains_later():
    free = sim.run(scenarios.load("flystack", SMALL))
    poor = sim.run(scenarios.load("flystack", SMALL | {"compute.battery": BATTERY}))
    rounds = [len(run.events[run.events.kind == "aggregate"]) for run in (free, poor)]
    assert rounds[0] > rounds[1] > 0
    charges = poor.manifest["charges"]
    assert len(charges) == 10 and min(row["lowest"] for row in charges) < 0.2
    held = poor.tables["charges"].to_pandas().groupby("cluster").charge
    assert held.min().tolist() == [row["lowest"] for row in charges]
    # 2,000 J an hour come in at most, and idling takes its part of them.
    most_j = 10 * (0.8 * 6 * 3600 + (10 - 4) * 86400)
    assert poor.manifest["computed_device_s"] * 15 <= most_j


def test_satellites_that_another_one_serves_have_batteries_too() -> None:
    power = {"power_w": 15, "battery": {"capacity_wh": 20, "charge_w": 20, "idle_w": 4}}
    run = sim.run(scenarios.from_dict(RELAYED | {"compute": power}))
    charges = run.manifest["charges"]
    assert len(charges) == 8 and all(0.2 < row["lowest"] < 1 for row in charges)
