"""When an upload is through, against the rate integrated along exact SGP4, to a millisecond."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import brentq

import channel
import orbit
from channel import CLEAR_PATH, Path, Signal, draw_paths, signal_rate_bps
from learning import stream
from scenarios import Scenario
from tests.kit.learning import Download, Payload, Train, Upload
from tests.kit.network import (
    Plan,
    PlannedContact,
    cluster_radios,
    device_sites,
    make_plan,
    one_pass,
    satellites_of,
)
from tests.kit.small import orbit as orbit_scenario
from tests.kit.talk import COST, talk

ASKED_S = 1e-3
MASK_DEG = 10.0
LIGHT_M_S = 299_792_458.0
OVERHEAD_S = 40_000.0
"""The satellite of ``orbit_scenario`` is straight above the cluster at this time."""
PANEL_S = 0.1
LEVELS = 45

RATES: dict[str, dict[str, Any]] = {
    "ergodic": {},
    "ergodic rayleigh": {"uplink": {"fading": "rayleigh"}},
    "shannon": {"uplink": {"rate": "shannon"}},
    "outage": {"uplink": {"rate": "outage", "outage_probability": 0.01}},
    "fixed": {"uplink": {"rate": "fixed", "fixed_rate_mbps": 0.4}},
    "modcod": {"uplink": {"rate": "modcod"}},
    "modcod of a strong link": {"uplink": {"rate": "modcod", "g_over_t_db_k": 9.0}},
    "half of the time": {"uplink": {"duty": 0.5}, "downlink": {"duty": 0.5}},
    "a lock in the middle": {"uplink": {"required_snr_db": -1.0}},
    "a fixed rate that locks": {
        "uplink": {"rate": "fixed", "fixed_rate_mbps": 0.4, "required_snr_db": 0.0}
    },
    "air that weighs": {"uplink": {"zenith_attenuation_db": 0.5}},
    "the paper's air": {"uplink": {"atmosphere": "inverse_elevation"}},
    "no lock at the mask": {
        "uplink": {"atmosphere": "inverse_elevation", "zenith_attenuation_db": 1.0}
    },
}
SURROUNDED: dict[str, dict[str, Any]] = {
    "rural": {"environment": "rural"},
    "suburban": {"environment": "suburban"},
    "urban": {"environment": "urban"},
    "dense_urban": {"environment": "dense_urban"},
    "dense_urban modcod": {
        "environment": "dense_urban",
        "uplink": {"rate": "modcod", "g_over_t_db_k": 15.0},
    },
    "suburban lock": {"environment": "suburban", "uplink": {"required_snr_db": -2.0}},
    "urban modcod": {"environment": "urban", "uplink": {"rate": "modcod", "g_over_t_db_k": 9.0}},
    "suburban Ka": {
        "environment": "suburban",
        "uplink": {"frequency_ghz": 28.0, "tx_gain_dbi": 30.0, "g_over_t_db_k": 12.0},
        "downlink": "neglected",
    },
}


@cache
def scenario_of(name: str, radius_km: float = 40.0) -> Scenario:
    place = {"latitude_deg": -40.693186649, "longitude_deg": -130.256454933}
    clusters = [{"name": "Over", **place, "devices": 3, "radius_km": radius_km}]
    link = (RATES | SURROUNDED)[name]
    return orbit_scenario(stop={"days": 1.2}, ground={"clusters": clusters}, link=link)


@cache
def plan_of(name: str) -> Plan:
    return make_plan(scenario_of(name))


def overhead(plan: Plan) -> int:
    [number] = [c.contact_id for c in plan.contacts if c.rise_s < OVERHEAD_S < c.set_s]
    assert plan.contacts[number].max_elevation_deg > 89.9
    return number


@dataclass
class Truth:
    """Bits that one device can have sent by any time of a contact, by Gauss' rule on panels.

    Panels of 0.1 s, cut where the rate jumps, along SGP4 at every point of its own. ``band_share``
    is that of the device's own bandwidth, with all of its power.
    """

    scenario: Scenario
    contact: PlannedContact
    device: int
    band_share: float = 1.0

    def __post_init__(self) -> None:
        [self._satellite] = satellites_of(self.scenario)
        self._site = device_sites(self.scenario, 0)[self.device]
        link = cluster_radios(self.scenario)[0][0].link
        self.link = replace(link, bandwidth_hz=link.bandwidth_hz * self.band_share)
        self._path = self._drawn()
        self.aos_s, self.los_s = self._edges()
        self._edges_s = self._panels()
        nodes, weights = np.polynomial.legendre.leggauss(3)
        half = np.diff(self._edges_s)[:, None] / 2
        when = self._edges_s[:-1, None] + half * (1 + nodes)
        rate = self.rate_bps(when.ravel()).reshape(when.shape)
        cells = (rate * weights * half).sum(axis=1)
        self._bits = np.concatenate([[0.0], np.cumsum(cells)])

    def _drawn(self) -> Path:
        """What chance gave this device: the stream of the cluster, the satellite and the pass."""
        if self.link.environment is None:
            return CLEAR_PATH
        plan_contact, cluster = self.contact, self.contact.cluster
        name = ("path", cluster.name, plan_contact.satellite, plan_contact.contact_id)
        drawn = draw_paths(cluster.devices, stream(self.scenario.seed, *name))
        fields = drawn.los_quantile, drawn.shadowing_deviate, drawn.k_deviate
        return Path(*(float(np.asarray(field)[self.device, 0]) for field in fields))

    def look(self, time_s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        looks = orbit.look_angles(self._satellite, [self._site], self.scenario.start, time_s)
        return looks.elevation_deg[:, 0], looks.slant_range_km[:, 0] * 1e3

    def delay_s(self, time_s: float) -> float:
        return float(self.look(np.array([time_s]))[1][0]) / LIGHT_M_S

    def rate_bps(self, time_s: np.ndarray) -> np.ndarray:
        elevation, distance_m = self.look(time_s)
        return channel.rate_bps(self.link, np.maximum(elevation, MASK_DEG), distance_m, self._path)

    def _edges(self) -> tuple[float, float]:
        def above(time_s: float) -> float:
            return float(self.look(np.array([time_s]))[0][0]) - MASK_DEG

        middle_s = (self.contact.rise_s + self.contact.set_s) / 2
        rise_s = brentq(above, self.contact.rise_s - 90, middle_s, xtol=1e-9)
        set_s = brentq(above, middle_s, self.contact.set_s + 90, xtol=1e-9)
        return max(rise_s, self.contact.rise_s), min(set_s, self.contact.set_s)

    def _panels(self) -> np.ndarray:
        """Even panels, and the jumps: what changes by 4 % or, with modcod, at all."""
        even = np.linspace(self.aos_s, self.los_s, int((self.los_s - self.aos_s) / PANEL_S) + 2)
        rate = self.rate_bps(even)
        largest = np.maximum(np.maximum(rate[1:], rate[:-1]), 1.0)
        least = 1e-9 if self.link.rate in ("modcod", "fixed") else 0.04
        cells = np.flatnonzero(np.abs(np.diff(rate)) / largest > least)
        low, high, left = even[cells], even[cells + 1], rate[cells]
        right = rate[cells + 1]
        for _ in range(LEVELS if cells.size else 0):
            middle = (low + high) / 2
            here = self.rate_bps(middle)
            near = np.abs(here - left) < np.abs(here - right)
            low, high = np.where(near, middle, low), np.where(near, high, middle)
        return np.unique(np.concatenate([even, low, high]))

    @property
    def capacity_bits(self) -> float:
        return float(self._bits[-1])

    def through_s(self, bits: float) -> float:
        """When so many bits are sent; linear inside a panel, right to 0.03 ms."""
        return float(np.interp(bits, self._bits, self._edges_s))

    def by_s(self, time_s: float) -> float:
        return float(np.interp(time_s, self._edges_s, self._bits))


def ends_s(name: str, sizes: np.ndarray, first: int, passes: int = 1) -> list[np.ndarray]:
    """Ends of an upload of three devices in a pass and the ones behind it, through the chain."""
    plan = plan_of(name)
    steps = [Upload(Payload("a", sizes))]
    told = talk(plan.contacts, [[]] * first + [steps] * passes, plan=plan)
    return [reply[0].end_s for reply in told.replies[first:]]


def check_fractions(name: str) -> None:
    plan = plan_of(name)
    number = overhead(plan)
    truths = [Truth(scenario_of(name), plan.contacts[number], k) for k in range(3)]
    for fraction in (0.003, 0.05, 0.2, 0.37, 0.5, 0.81, 0.9995):
        bits = fraction * np.array([truth.capacity_bits for truth in truths])
        [end_s] = ends_s(name, bits / 8, number)
        for truth, size, found_s in zip(truths, bits, end_s, strict=True):
            sent_s = truth.through_s(size)
            assert abs(found_s - sent_s - truth.delay_s(sent_s)) < ASKED_S


@pytest.mark.parametrize("name", list(RATES))
def test_what_fits_is_through_within_a_millisecond(name: str) -> None:
    check_fractions(name)


@pytest.mark.parametrize("name", list(SURROUNDED))
def test_so_it_is_on_a_drawn_path(name: str) -> None:
    check_fractions(name)


def just_enough_db_k(plain: Truth) -> float:
    """G/T with which the SNR is above a ModCod's threshold for a second either side of its peak."""
    time_s = OVERHEAD_S + np.arange(-20.0, 20.0, 0.01)
    snr_db = channel.snr_db(plain.link, *plain.look(time_s))
    near_db = snr_db[snr_db.argmax() + 100]
    finer_db = snr_db.max() + np.arange(0.0, 2.0, 1e-5)
    rate = signal_rate_bps(plain.link, Signal(finer_db, np.zeros_like(finer_db)))
    threshold_db = finer_db[1:][np.diff(rate) > 0][0]
    return float(plain.link.g_over_t_db_k + threshold_db - near_db)


def test_a_coding_that_holds_for_two_seconds_overhead_is_used() -> None:
    device, name = 1, "brief"
    number = overhead(plan_of("modcod"))
    plain = Truth(scenario_of("modcod"), plan_of("modcod").contacts[number], device)
    RATES[name] = {"uplink": {"rate": "modcod", "g_over_t_db_k": just_enough_db_k(plain)}}
    exact = Truth(scenario_of(name), plan_of(name).contacts[number], device)
    bits = 0.9 * exact.capacity_bits
    end_s = ends_s(name, np.full(3, bits / 8), number)[0][device]
    sent_s = exact.through_s(bits)
    assert abs(end_s - sent_s - exact.delay_s(sent_s)) < ASKED_S


@pytest.mark.parametrize("name", ["ergodic", "outage", "fixed", "modcod", "half of the time"])
def test_what_just_fits_just_fits_and_what_just_does_not_is_resumed(name: str) -> None:
    """Bits of two milliseconds less, or more, than the whole pass."""
    plan = plan_of(name)
    number = overhead(plan)
    here, there = plan.contacts[number], plan.contacts[number + 1]
    for device in range(3):
        truth, later = (Truth(scenario_of(name), c, device) for c in (here, there))
        last_bps = float(truth.rate_bps(np.array([truth.los_s]))[0])
        spare = 2 * ASKED_S * last_bps
        fits = np.full(3, (truth.capacity_bits - spare) / 8)
        end_s = float(ends_s(name, fits, number)[0][device])
        assert 0 < truth.los_s - (end_s - truth.delay_s(truth.los_s)) < 3 * ASKED_S
        more = np.full(3, (truth.capacity_bits + spare) / 8)
        first, second = (ends[device] for ends in ends_s(name, more, number, 2))
        assert np.isinf(first)
        # Two milliseconds of the weak rate at the mask, in the beginning of the next pass.
        sent_s = later.through_s(spare)
        assert abs(float(second) - sent_s - later.delay_s(sent_s)) < 2 * ASKED_S


@pytest.mark.parametrize("name", ["ergodic", "shannon", "modcod", "a lock in the middle"])
def test_what_does_not_fit_ends_in_the_next_pass(name: str) -> None:
    plan = plan_of(name)
    number = overhead(plan)
    contacts = plan.contacts[number : number + 2]
    truths = [[Truth(scenario_of(name), c, k) for c in contacts] for k in range(3)]
    bits = np.array([one.capacity_bits + 0.4 * two.capacity_bits for one, two in truths])
    first, second = ends_s(name, bits / 8, number, 2)
    assert np.isinf(first).all()
    for (_, two), found_s in zip(truths, second, strict=True):
        sent_s = two.through_s(0.4 * two.capacity_bits)
        assert abs(found_s - sent_s - two.delay_s(sent_s)) < ASKED_S


@pytest.mark.parametrize("name", ["ergodic", "modcod"])
def test_what_a_cut_transfer_has_sent_is_the_integral_to_the_set(name: str) -> None:
    """To the bits of a millisecond, device by device."""
    plan = plan_of(name)
    number = overhead(plan)
    told = talk(plan.contacts, [[]] * number + [[Upload(Payload("a", 1e12))]], plan=plan)
    rows = told.tables["transfers"].to_pylist()
    assert len(rows) == 3
    for row in rows:
        truth = Truth(scenario_of(name), plan.contacts[number], row["device"])
        top_bps = float(truth.rate_bps(np.array([OVERHEAD_S]))[0])
        assert abs(row["delivered_bytes"] * 8 - truth.capacity_bits) < ASKED_S * top_bps
        assert row["start_s"] == pytest.approx(truth.aos_s, abs=2e-4)
        assert row["end_s"] == pytest.approx(truth.los_s, abs=2e-4)


CROWDED: dict[str, dict[str, Any]] = {
    "rounds": {"uplink": {"sharing": "rounds", "total_bandwidth_mhz": 0.36}},
    "equal_share": {"uplink": {"sharing": "equal_share", "total_bandwidth_mhz": 0.36}},
    "equal_share modcod": {
        "uplink": {"rate": "modcod", "sharing": "equal_share", "total_bandwidth_mhz": 0.36}
    },
}


@pytest.mark.parametrize("name", list(CROWDED))
def test_three_devices_in_one_place_share_a_sub_channel(name: str) -> None:
    """Each has a third of the time, or a third of the band with three times the density."""
    RATES[name] = CROWDED[name]
    scenario = scenario_of(name, 0.0)
    plan = make_plan(scenario)
    number = overhead(plan)
    alone = Truth(scenario, plan.contacts[number], 0, 1.0 if name == "rounds" else 1 / 3)
    share = 3.0 if name == "rounds" else 1.0
    for fraction in (0.05, 0.3, 0.6, 0.95):
        bits = fraction * alone.capacity_bits / share
        told = talk(plan.contacts, [[]] * number + [[Upload(Payload("a", bits / 8))]], plan=plan)
        sent_s = alone.through_s(bits * share)
        late_s = told.replies[-1][0].end_s - sent_s - alone.delay_s(sent_s)
        assert np.abs(late_s).max() < ASKED_S


def test_a_broadcast_over_a_pass_to_three_places() -> None:
    """The least of three exact rates, from the last AOS to the first LOS."""
    scenario, plan = scenario_of("ergodic"), plan_of("ergodic")
    number = overhead(plan)
    contact, link = plan.contacts[number], cluster_radios(scenario)[0][1]
    assert link is not None
    truths = [Truth(scenario, contact, device) for device in range(3)]
    start_s, end_s = max(t.aos_s for t in truths), min(t.los_s for t in truths)
    time_s = np.linspace(start_s, end_s, 50_001)
    looks = [truth.look(time_s) for truth in truths]
    # AOS is on the mask; rounding must not put it below.
    above = [(np.maximum(elevation, MASK_DEG), distance_m) for elevation, distance_m in looks]
    rate = np.min([channel.rate_bps(link.link, *look) for look in above], axis=0)
    cells = (rate[1:] + rate[:-1]) / 2 * np.diff(time_s)
    carried = np.concatenate([[0.0], np.cumsum(cells)])
    for fraction in (0.05, 0.4, 0.6, 0.95):
        bits = fraction * carried[-1]
        step = Download(Payload("m", bits / 8))
        told = talk(plan.contacts, [[]] * number + [[step]], plan=plan)
        sent_s = float(np.interp(bits, carried, time_s))
        for truth, found_s in zip(truths, told.replies[-1][0].end_s, strict=True):
            assert abs(found_s - sent_s - truth.delay_s(sent_s)) < ASKED_S


@pytest.mark.parametrize("name", ["ergodic", "modcod", "no lock at the mask"])
def test_the_command_shows_the_bits_of_a_run(name: str) -> None:
    """For a device in the centre, at every time that is shown."""
    plan = make_plan(scenario_of(name, 0.0))
    number = overhead(plan)
    contact, tables = plan.contacts[number], one_pass(scenario_of(name, 0.0), number)
    for side in ("uplink", "downlink"):
        time_s = np.array(tables[side]["time_s"]) + contact.rise_s
        run_mbit = getattr(contact, side).curve.device(0).delivered_bits(time_s) / 1e6
        assert tables[side]["delivered_mbit"] == pytest.approx(run_mbit, rel=1e-6)


def test_an_upload_that_begins_in_the_middle_of_a_pass() -> None:
    """Behind a training of 20 rounds of 10 s; the link of before does not count."""
    plan = plan_of("ergodic")
    number = overhead(plan)
    truth = Truth(scenario_of("ergodic"), plan.contacts[number], 0)
    sizes = np.full(3, 0.3 * truth.capacity_bits / 8)
    steps = [Train(COST, rounds=20), Upload(Payload("a", sizes))]
    told = talk(plan.contacts, [[]] * number + [steps], plan=plan)
    ready_s = plan.contacts[number].start_s + 200.0
    sent_s = truth.through_s(truth.by_s(ready_s) + 0.3 * truth.capacity_bits)
    assert abs(told.replies[-1][1].end_s[0] - sent_s - truth.delay_s(sent_s)) < ASKED_S


def test_the_truth_of_this_file_is_what_adaptive_quadrature_gives() -> None:
    """Two integrations that share only the rate and the geometry."""
    plan = plan_of("ergodic")
    truth = Truth(scenario_of("ergodic"), plan.contacts[overhead(plan)], 1)

    def rate_bps(time_s: float) -> float:
        return float(truth.rate_bps(np.array([time_s]))[0])

    for fraction in (0.1, 0.6, 0.999):
        bits = fraction * truth.capacity_bits
        found, _ = quad(rate_bps, truth.aos_s, truth.through_s(bits), epsrel=1e-10, limit=200)
        assert abs(found - bits) < 0.05 * ASKED_S * rate_bps(truth.through_s(bits))


def test_the_delay_is_the_distance_at_the_last_bit_over_the_speed_of_light() -> None:
    """At a fixed rate the last bit is sent at a time that needs no integral."""
    name = "fixed"
    plan = plan_of(name)
    number = overhead(plan)
    sizes = np.array([0.1, 0.5, 0.9]) * plan.contacts[number].links.capacity_bytes
    [end_s] = ends_s(name, sizes, number)
    for device, found_s in enumerate(end_s):
        truth = Truth(scenario_of(name), plan.contacts[number], device)
        sent_s = truth.aos_s + sizes[device] * 8 / 0.4e6
        assert found_s - sent_s == pytest.approx(truth.delay_s(sent_s), abs=2e-6)
        assert 0.002 < truth.delay_s(sent_s) < 0.007
