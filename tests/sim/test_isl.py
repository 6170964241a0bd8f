"""Links between satellites: which there are in a plan, with rate, delay and terminals."""

import numpy as np
import pytest

import scenarios
from channel import SPEED_OF_LIGHT_M_S
from sim import InputError
from sim.plan import make_plan

SCENARIO = """
start: 2024-04-14T16:00:00Z
stop: {days: 0.2}
roles: {server: stations, clients: satellites}
orbit:
  {source: walker, pattern: star, satellites: 40, planes: 4, phasing: 1, altitude_km: 500,
   inclination_deg: 90, propagation: secular_j2, min_elevation_deg: 0}
ground: {antennas: unlimited, stations: [{name: Pole, latitude_deg: 90, longitude_deg: 0}]}
link:
  downlink: {rate: fixed, fixed_rate_mbps: 10}
  isl: {within_plane: ring, between_planes: all, grazing_km: 0, rate_mbps: 100}
compute: {seconds_per_round: 300}
learning: {train: false, method: fedavg-sat, model: {kind: vector-mlp}}
"""


def links(tmp_path, **isl):
    path = tmp_path / "star.yaml"
    path.write_text(SCENARIO)
    keys = {f"link.isl.{key}": value for key, value in isl.items()}
    return make_plan(scenarios.load(path, keys)).isls


def test_rings_hold_all_the_time_and_planes_meet(tmp_path):
    plan = links(tmp_path)
    assert plan.names[9:11] == ("P01-S10", "P02-S01")
    ring = np.flatnonzero(plan.within)
    pairs = sorted(zip(plan.a[ring].tolist(), plan.b[ring].tolist(), strict=True))
    assert pairs[:10] == [(0, 1), (0, 9), *((k, k + 1) for k in range(1, 9))]
    assert len(pairs) == 40
    assert (plan.end_s - plan.start_s)[ring] == pytest.approx(0.2 * 86_400)
    across = plan.where(~plan.within)
    assert (across.a // 10 != across.b // 10).all()
    assert len(set(zip(across.a.tolist(), across.b.tolist(), strict=True))) == 260
    np.testing.assert_allclose(plan.delay_s, plan.max_range_km * 1e3 / SPEED_OF_LIGHT_M_S)
    next_to = links(tmp_path, within_plane="none", between_planes="neighbours")
    apart = np.abs(next_to.a // 10 - next_to.b // 10)
    assert {*apart.tolist()} == {1, 3}  # the last plane is next to the first one


@pytest.mark.parametrize(("terminals", "ring"), [(1, "none"), (3, "ring"), (5, "ring")])
def test_no_satellite_has_more_links_than_terminals_and_none_idles(tmp_path, terminals, ring):
    free = links(tmp_path, within_plane=ring)
    plan = links(tmp_path, within_plane=ring, terminals=terminals)
    for time_s in np.linspace(60.0, 17_000.0, 60):
        now, seen = (p.where((p.start_s <= time_s) & (time_s < p.end_s)) for p in (plan, free))
        used = np.bincount(np.append(now.a, now.b), minlength=40)
        assert used.max() <= terminals
        linked = set(zip(now.a.tolist(), now.b.tolist(), strict=True))
        for a, b in zip(seen.a.tolist(), seen.b.tolist(), strict=True):
            assert (a, b) in linked or terminals in (used[a], used[b])
        for a in (0, 17):
            reached = now.b[now.a == a].tolist() + now.a[now.b == a].tolist()
            assert np.flatnonzero(plan.reach(plan.names[a], time_s)).tolist() == sorted(
                {a, *reached}
            )


def test_links_are_acquired_before_they_carry(tmp_path):
    plan, slow = links(tmp_path), links(tmp_path, acquisition_s=45.0)
    at_first = slow.start_s == 0.0
    assert at_first.sum() == (plan.start_s == 0.0).sum()  # those were there before
    longer = plan.where((plan.start_s > 0.0) & (plan.end_s - plan.start_s > 45.0))
    np.testing.assert_allclose(slow.start_s[~at_first], longer.start_s + 45.0)


def test_a_budget_gives_the_rate_of_the_longest_distance(tmp_path):
    # The link of arXiv 2111.12769: 10 W, gains of 32.13 dBi, 20 GHz, 500 MHz, 354 K.
    plan = links(
        tmp_path, rate_mbps=None, frequency_ghz=20, bandwidth_mhz=500, tx_power_dbm=40,
        gain_dbi=32.13, noise_temperature_k=354,
    )  # fmt: skip
    gain, wave_m = 10**3.213, SPEED_OF_LIGHT_M_S / 20e9
    loss = (4 * np.pi * plan.max_range_km * 1e3 / wave_m) ** 2
    snr = 10 * gain**2 / loss / (1.380649e-23 * 354 * 500e6)
    np.testing.assert_allclose(plan.rate_bps, 500e6 * np.log2(1 + snr), rtol=1e-9)
    laser = links(tmp_path, rate_mbps=None, preset="starlink", within_plane="none")
    assert {*laser.rate_bps.tolist()} == {1e11}
    assert laser.max_range_km.max() < 5400


@pytest.mark.parametrize(
    ("words", "isl"),
    [
        ("within_plane: 'P01-S01' and 'P01-S02' are neighbours in a ring", {"grazing_km": 200}),
        ("grazing_km 600 is above the orbit of 'P01-S01'", {"grazing_km": 600}),
        ("terminals: got 1; a ring uses 2", {"terminals": 1}),
        ("within_plane: got 'none'", {"within_plane": "none", "between_planes": "none"}),
        ("gain_dbi: is missing", {"rate_mbps": None, "frequency_ghz": 20, "bandwidth_mhz": 5,
                                  "tx_power_dbm": 4, "noise_temperature_k": 300}),
        ("gain_dbi: is not used", {"gain_dbi": 20}),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_before_the_run(tmp_path, words, isl):
    with pytest.raises((InputError, scenarios.ScenarioError), match=words) as caught:
        links(tmp_path, **isl)
    assert "\n" not in str(caught.value)
