"""When an upload is through, against the rate integrated along exact SGP4, to a millisecond."""

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pytest
from scipy.optimize import brentq

import channel
import orbit
from channel import CLEAR_PATH, Path, draw_paths
from learning import stream
from scenarios import Scenario
from sim.plan.contacts import PlannedContact
from tests.kit.handmade import LIGHT_M_S, download, talk, upload
from tests.kit.small import orbit as orbit_scenario
from tests.kit.worlds import device_sites, ground_radios, make_plan, satellites_of

ASKED_S = 1e-3
OVERHEAD_S = 40_000.0
"""The satellite of ``orbit_scenario`` is straight above the cluster at this time."""
PANEL_S = 0.1
LEVELS = 45
MODCOD = {"rate": "modcod", "g_over_t_db_k": 9.0}
CROWD = {"total_bandwidth_mhz": 0.36}
KA = {"frequency_ghz": 28.0, "tx_gain_dbi": 30.0, "g_over_t_db_k": 12.0}
LINKS = {
    "ergodic": {},
    "ergodic rayleigh": {"uplink": {"fading": "rayleigh"}},
    "outage": {"uplink": {"rate": "outage", "outage_probability": 0.01}},
    "fixed": {"uplink": {"rate": "fixed", "fixed_rate_mbps": 0.4}},
    "modcod": {"uplink": {"rate": "modcod"}},
    "half of the time": {"uplink": {"duty": 0.5}, "downlink": {"duty": 0.5}},
    "a lock in the middle": {"uplink": {"required_snr_db": -1.0}},
    "the paper's air": {"uplink": {"atmosphere": "inverse_elevation"}},
    "urban": {"environment": "urban"},
    "dense_urban modcod": {"environment": "dense_urban", "uplink": MODCOD | {"g_over_t_db_k": 15}},
    "suburban lock": {"environment": "suburban", "uplink": {"required_snr_db": -2.0}},
    "suburban Ka": {"environment": "suburban", "uplink": KA, "downlink": "neglected"},
    "urban, down to the horizon": {"environment": "urban", "mask_deg": 0.0},
    "a wide cluster": {"radius_km": 400.0},
    "fixed_subchannel": {"uplink": CROWD},
    "equal_share": {"uplink": CROWD | {"sharing": "equal_share"}},
    "equal_share modcod": {"uplink": CROWD | {"sharing": "equal_share", "rate": "modcod"}},
}
CROWDED = ("fixed_subchannel", "equal_share", "equal_share modcod")


@cache
def scenario_of(name, radius_km=40.0):
    place = {"latitude_deg": -40.693186649, "longitude_deg": -130.256454933}
    link = {"radius_km": radius_km, "mask_deg": 10.0} | LINKS[name]
    mask = {"min_elevation_deg": link.pop("mask_deg")}
    clusters = [{"name": "Over", **place, "devices": 3, "radius_km": link.pop("radius_km")}]
    return orbit_scenario(stop={"days": 1.2}, ground={"clusters": clusters}, orbit=mask, link=link)


class Passes:
    """The plan of a link, the number of its pass overhead, and talks that begin there."""

    def __init__(self, name, radius_km=40.0):
        self.scenario = scenario_of(name, radius_km)
        self.plan = make_plan(self.scenario)
        contacts = self.plan.contacts
        [self.number] = [c.contact_id for c in contacts if c.rise_s < OVERHEAD_S < c.set_s]
        self.here, self.there = list(contacts)[self.number : self.number + 2]
        assert contacts.windows.max_elevation_deg[self.number] > 89.9

    def truth(self, device, later=False, **more):
        return Truth(self.scenario, self.there if later else self.here, device, **more)

    def talk(self, steps, times=1):
        return talk(self.plan.contacts, [[]] * self.number + [steps] * times, plan=self.plan)

    def ends_s(self, bits, times=1):
        told = self.talk(upload(np.asarray(bits) / 8), times)
        return [reply[0].end_s for reply in told.replies[self.number :]]


passes_of = cache(Passes)


@dataclass
class Truth:
    """Bits that one device can have sent by any time of a contact, by Gauss' rule on panels.

    Panels of ``panel_s``, cut where the rate jumps, along SGP4 at every point of its own.
    ``band_share`` is that of the device's own bandwidth, with all of its power.
    """

    scenario: Scenario
    contact: PlannedContact
    device: int
    band_share: float = 1.0
    panel_s: float = PANEL_S

    def __post_init__(self):
        [self._satellite] = satellites_of(self.scenario)
        self._site = device_sites(self.scenario, 0)[self.device]
        self._mask_deg = self.scenario.orbit.min_elevation_deg
        link = ground_radios(self.scenario)[0][0].link
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
        self.capacity_bits = float(self._bits[-1])

    def _drawn(self):
        """What chance gave this device: the stream of the cluster, the satellite and the pass."""
        if self.link.environment is None:
            return CLEAR_PATH
        here = self.contact
        cluster = self.contact.cluster
        name = ("path", cluster.name, here.satellite, here.contact_id)
        drawn = draw_paths(cluster.devices, stream(self.scenario.seed, *name))
        fields = drawn.los_quantile, drawn.shadowing_deviate, drawn.k_deviate
        return Path(*(float(np.asarray(field)[self.device, 0]) for field in fields))

    def look(self, time_s):
        looks = orbit.look_angles(self._satellite, [self._site], self.scenario.start, time_s)
        return looks.elevation_deg[:, 0], looks.slant_range_km[:, 0] * 1e3

    def delay_s(self, time_s):
        return float(self.look(np.array([time_s]))[1][0]) / LIGHT_M_S

    def rate_bps(self, time_s):
        elevation, distance_m = self.look(np.atleast_1d(time_s))
        elevation = np.maximum(elevation, self._mask_deg)
        return channel.rate_bps(self.link, elevation, distance_m, self._path)

    def _edges(self):
        def above(time_s):
            return float(self.look(np.array([time_s]))[0][0]) - self._mask_deg

        middle_s = (self.contact.rise_s + self.contact.set_s) / 2
        rise_s = brentq(above, self.contact.rise_s - 90, middle_s, xtol=1e-9)
        set_s = brentq(above, middle_s, self.contact.set_s + 90, xtol=1e-9)
        return max(rise_s, self.contact.rise_s), min(set_s, self.contact.set_s)

    def _panels(self):
        """Even panels, and the jumps: what changes by 4 % or, with modcod, at all."""
        even = np.linspace(
            self.aos_s, self.los_s, int((self.los_s - self.aos_s) / self.panel_s) + 2
        )
        rate = self.rate_bps(even)
        largest = np.maximum(np.maximum(rate[1:], rate[:-1]), 1.0)
        least = 1e-9 if self.link.rate in ("modcod", "fixed") else 0.04
        cells = np.flatnonzero(np.abs(np.diff(rate)) / largest > least)
        low = even[cells]
        high = even[cells + 1]
        left = rate[cells]
        right = rate[cells + 1]
        for _ in range(LEVELS if cells.size else 0):
            middle = (low + high) / 2
            here = self.rate_bps(middle)
            near = np.abs(here - left) < np.abs(here - right)
            low = np.where(near, middle, low)
            high = np.where(near, high, middle)
        return np.unique(np.concatenate([even, low, high]))

    def sent_s(self, bits):
        """When so many bits are sent; linear inside a panel, right to 0.03 ms."""
        return float(np.interp(bits, self._bits, self._edges_s))

    def through_s(self, bits):
        """When the last of so many bits has arrived."""
        return self.sent_s(bits) + self.delay_s(self.sent_s(bits))

    def by_s(self, time_s):
        return float(np.interp(time_s, self._edges_s, self._bits))


@pytest.mark.parametrize("name", [name for name in LINKS if name not in CROWDED])
@pytest.mark.quick(6)
def test_what_fits_is_through_within_a_millisecond(name):
    passes = passes_of(name)
    truths = [passes.truth(device) for device in range(3)]
    for fraction in (0.003, 0.05, 0.37, 0.81, 0.9995):
        bits = fraction * np.array([truth.capacity_bits for truth in truths])
        [end_s] = passes.ends_s(bits)
        wanted_s = [truth.through_s(size) for truth, size in zip(truths, bits, strict=True)]
        assert end_s == pytest.approx(wanted_s, abs=ASKED_S)


@pytest.mark.parametrize("name", ["the paper's air", "suburban lock", "dense_urban modcod"])
def test_jumps_and_kinks_leave_capacities_exact(name):
    passes = passes_of(name)
    wanted = [passes.truth(device, panel_s=0.02).capacity_bits for device in range(3)]
    found = passes.here.links.to_server.curve.capacity_bits
    assert found == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize("name", ["ergodic", "outage", "fixed", "modcod", "half of the time"])
def test_what_just_fits_just_fits_and_what_just_does_not_is_resumed(name):
    """Bits of two milliseconds less, or more, than the whole pass."""
    passes = passes_of(name)
    for device in range(3):
        truth = passes.truth(device)
        later = passes.truth(device, later=True)
        spare = 2 * ASKED_S * float(truth.rate_bps(truth.los_s)[0])
        [ends_s] = passes.ends_s(np.full(3, truth.capacity_bits - spare))
        assert 0 < truth.los_s - (ends_s[device] - truth.delay_s(truth.los_s)) < 3 * ASKED_S
        first, second = passes.ends_s(np.full(3, truth.capacity_bits + spare), 2)
        assert np.isinf(first[device])
        # Two milliseconds of the weak rate at the mask, in the beginning of the next pass.
        assert abs(second[device] - later.through_s(spare)) < 2 * ASKED_S


@pytest.mark.parametrize("name", CROWDED)
def test_three_devices_in_one_place_share_a_sub_channel(name):
    """One after the other, or each a third of the band at thrice the density.

    Also more power or bandwidth is never later then.
    """
    passes = passes_of(name, 0.0)
    alone = passes.truth(0, band_share=1 / 3 if "equal" in name else 1.0)
    times = np.arange(1.0, 4.0) if name == "fixed_subchannel" else np.ones(3)
    for fraction in (0.05, 0.3, 0.6, 0.95):
        bits = fraction * alone.capacity_bits / times[-1]
        told = passes.talk(upload(bits / 8))
        wanted_s = [alone.through_s(bits * many) for many in times]
        assert told.replies[-1][0].end_s == pytest.approx(wanted_s, abs=ASKED_S)
        assert bool(told.events("wait")) == (name == "fixed_subchannel")


def test_a_broadcast_over_a_pass_to_three_places():
    passes = passes_of("ergodic")
    link = ground_radios(passes.scenario)[0][1].link
    truths = [passes.truth(device) for device in range(3)]
    start_s = max(t.aos_s for t in truths)
    end_s = min(t.los_s for t in truths)
    time_s = np.linspace(start_s, end_s, 50_001)
    looks = [truth.look(time_s) for truth in truths]
    # AOS is on the mask; rounding must not put it below.
    above = [(np.maximum(elevation, 10.0), distance_m) for elevation, distance_m in looks]
    rate = np.min([channel.rate_bps(link, *look) for look in above], axis=0)
    cells = (rate[1:] + rate[:-1]) / 2 * np.diff(time_s)
    carried = np.concatenate([[0.0], np.cumsum(cells)])
    for bits in np.array([0.05, 0.4, 0.6, 0.95]) * carried[-1]:
        told = passes.talk(download(bits / 8))
        sent_s = float(np.interp(bits, carried, time_s))
        wanted_s = [sent_s + truth.delay_s(sent_s) for truth in truths]
        assert told.replies[-1][0].end_s == pytest.approx(wanted_s, abs=ASKED_S)
