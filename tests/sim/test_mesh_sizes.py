"""How large messages over a mesh may be, and what all passes carry: known before the run."""

import re

import numpy as np
import pytest
from scipy.integrate import quad

from channel import SPEED_OF_LIGHT_M_S
from sim import InputError
from tests.kit.mesh import NAMES, WINDOWS, windows_text, written
from tests.kit.network import (
    SAMPLED,
    Way,
    build,
    bytes_per_hour,
    doubts_of,
    make_plan,
    too_large,
)

PHYSICAL = """
start: 2024-04-14T16:00:00Z
stop: {days: 0.1}
roles: {server: stations, clients: satellites}
orbit:
  {source: walker, pattern: star, satellites: 24, planes: 4, phasing: 1, altitude_km: 1200,
   inclination_deg: 86, propagation: secular_j2, min_elevation_deg: 0}
ground: {antennas: unlimited, stations: [{name: Tromso, latitude_deg: 69.65, longitude_deg: 18.95}]}
link:
  preset: physical
  isl: {within_plane: ring, between_planes: grid, rate_mbps: 1000, route: earliest}
compute: {seconds_per_round: 120}
learning: {train: false, method: fedavg, model: {kind: vector-mlp}}
"""
SIX = {"orbit.satellites": 6, "orbit.planes": 6, "orbit.altitude_km": 700, "stop.days": 0.25,
       "link.isl.within_plane": "none", "link.isl.between_planes": "all"}  # fmt: skip


@pytest.fixture
def scenario(tmp_path):
    def load(keys=None):
        return written(tmp_path, PHYSICAL, keys)

    return load


def test_the_largest_message_is_what_the_best_pass_carries(scenario):
    """By quadrature of the rates of all passes; SCAFFOLD sends twice the model at once."""
    contacts = make_plan(scenario()).contacts
    curves = [one.links.devices.to_client.curve for one in contacts if one.served]
    each = [np.trapezoid(curve.rate_bps[0], curve.time_s[0]) / 8 for curve in curves]
    largest, *_, least = sorted(each, reverse=True)
    assert largest > 2 * least > 0
    units, _ = divmod(largest - 40, 300)  # of 75 weights each, and the biases of ten digits
    hidden = "learning.model.hidden"
    scaffold = {"learning.method": "scaffold", hidden: int(0.6 * units)}
    assert build(scenario({hidden: int(units)})).plan.mesh
    for keys, said in [({hidden: int(units) + 1}, "a model"), (scaffold, ".*.2 times the model.")]:
        carried = rf"{said}.* never gets to the clients .*, {largest / 1e6:.2f} MB is the most"
        with pytest.raises(InputError, match=carried):
            build(scenario(keys))


def test_a_message_may_have_what_a_link_under_a_budget_carries(scenario):
    """Of a satellite whose only way is one minute of a link, by quadrature of Shannon's rate."""
    plan = make_plan(scenario(SIX))
    own_s = [plan.passes(cluster).start_s(0) for cluster in plan.clusters]
    linked, lost = np.argsort(own_s)[-2:].tolist()
    minute = int(own_s[linked] // 60) - 2
    rows = [(*sorted((linked, lost)), minute, minute + 1)]
    budget = {"rate_mbps": None, "frequency_ghz": 26, "bandwidth_mhz": 0.05, "tx_power_dbm": 40,
              "gain_dbi": 25, "noise_temperature_k": 500}  # fmt: skip
    keys = SIX | {f"link.isl.{key}": value for key, value in budget.items()}
    days = (own_s[lost] - 1.0) / 86_400.0
    plan = make_plan(scenario(keys | {WINDOWS: windows_text(rows), "stop.days": days}))

    def rate_bps(time_s):
        range_m = 1e3 * plan.isls.range_km(linked, lost, time_s)
        loss = (4 * np.pi * range_m / (SPEED_OF_LIGHT_M_S / 26e9)) ** 2
        return 0.05e6 * np.log2(1 + 10 * 10**5.0 / loss / (1.380649e-23 * 500 * 0.05e6))

    most_bytes = quad(rate_bps, 60.0 * minute, 60.0 * minute + 60.0)[0] / 8
    client, found_bytes = too_large(plan, Way.TO_SERVER, 1e9)
    assert (client, found_bytes) == (NAMES[lost], pytest.approx(most_bytes, rel=1e-6))
    assert too_large(plan, Way.TO_SERVER, found_bytes) is None


def test_bytes_per_hour_of_many_passes_are_about_those_of_all(scenario):
    plan = make_plan(scenario({"stop.days": 3}))
    contacts = [one for one in plan.contacts if one.served]
    assert len(contacts) > 2 * SAMPLED
    hour = bytes_per_hour(plan)
    for way, name in ((Way.TO_SERVER, "to_server"), (Way.TO_CLIENT, "to_client")):
        curves = [getattr(one.links.devices, name).curve for one in contacts]
        total = sum(float(curve.capacity_bits[0]) for curve in curves) / 8
        assert hour[way] == pytest.approx(total / 72, rel=0.02)


def test_links_that_carry_no_model_are_doubted(scenario):
    narrow = build(scenario({"link.isl.rate_mbps": 1e-6}))
    [line] = [str(doubt) for doubt in doubts_of(narrow) if doubt.path == ("link", "isl")]
    assert re.match(
        r"link.isl: no link .* a model of 19.24 kB in one piece.* by passes alone", line
    )
    enough = build(scenario({"link.isl.rate_mbps": 1e-3}))
    assert not [doubt for doubt in doubts_of(enough) if doubt.path == ("link", "isl")]
