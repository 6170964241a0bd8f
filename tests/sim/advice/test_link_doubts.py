"""What is said of a link that cannot work as it was written: doubts of a plan, and refusals."""

from functools import cache
from typing import NamedTuple

import numpy as np
import pytest

import channel
import orbit as geometry
import scenarios
import sim
from statements import Code, as_json
from tests.kit.inner.sim import flying_of, make_plan
from tests.kit.small import orbit, slots

DISH = {"rx_gain_dbi": 40.0, "noise_figure_db": 0.0, "antenna_temperature_k": 290.0}
FIXED = {"rate": "fixed", "fading": "none"}


def doubts_of(radius_km=0.0, **link):
    """Doubts of a day over one cluster that a satellite passes overhead, 619 km away, as lines."""
    place = {"latitude_deg": -40.693186649, "longitude_deg": -130.256454933}
    clusters = [{"name": "A", **place, "devices": 30, "radius_km": radius_km}]
    plan = make_plan(orbit(stop={"days": 0.6}, ground={"clusters": clusters}, link=link))
    codes = (Code.NARROW_BEAM, Code.WEAK_LINK)
    return [str(doubt) for doubt in plan.doubts if doubt.code in codes]


class Best(NamedTuple):
    """Where a satellite stands highest over a cluster."""

    elevation_deg: float
    range_km: float


def highest(plan):
    """The contact of each cluster in which a satellite stands highest."""
    windows = plan.contacts.windows
    rising = sorted(range(len(windows)), key=windows.max_elevation_deg.__getitem__)
    return {
        plan.contacts[k].cluster.name: Best(
            windows.max_elevation_deg[k], windows.min_slant_range_km[k]
        )
        for k in rising
    }


def snr_db(at):
    """By the terms of preset physical at a contact's best: 2.2 dB and 3 dB, and the air."""
    losses_db = 5.2 + 0.035 / np.sin(np.radians(at.elevation_deg))
    range_m = at.range_km * 1e3
    return float(channel.carrier_to_noise_db(-7.0, 1.1, 0.36e6, 2e9, range_m, losses_db))


OVERHEAD_DB = float(channel.carrier_to_noise_db(-7.0, 1.1, 0.36e6, 2e9, 618.6e3, 0.035 + 5.2))


@pytest.mark.parametrize("degrees", [(0.3, -0.1), (0.3, -0.3), (0.05, 0.3, 0.1)])
def test_a_cluster_wider_than_the_beam_is_a_doubt(degrees):
    """Twice the farthest device, on the Earth's circle of 6371 km, against 2 d tan(width / 2)."""
    width_km = 2 * 0.3 * np.pi / 180 * 6371.0
    middle = {"latitude_deg": -40.0, "longitude_deg": -130.0}
    places = [{**middle, "latitude_deg": -40.0 + north} for north in degrees]
    cluster = {"name": "A", **middle, "places": places}
    around = {"stop": {"days": 1}, "ground": {"clusters": [cluster]}}
    nearest_km = highest(make_plan(orbit(**around)))["A"].range_km
    exact_deg = 2 * float(np.degrees(np.arctan(width_km / 2 / nearest_km)))
    for factor, said in ((0.999, 1), (1.001, 0)):
        ratio = exact_deg * factor / float(channel.beamwidth_deg(40.0))
        dish = {**DISH, "rx_gain_dbi": 40.0 - 20.0 * float(np.log10(ratio))}
        doubts = make_plan(orbit(**around, link={"uplink": dish})).doubts
        wide = [str(doubt) for doubt in doubts if doubt.code is Code.NARROW_BEAM]
        assert len(wide) == said
        assert all(f"cluster A is {width_km:.0f} km wide" in doubt for doubt in wide)


def test_the_beam_follows_from_the_satellites_gain():
    """40 dBi is a dish of 41.1 wavelengths at 60 %: a beam of 70 / 41.1 = 1.70 degrees, 18 km."""
    lit_km = 2 * 618.6 * np.tan(np.radians(1.703 / 2))
    [doubt] = doubts_of(60.0, uplink=DISH)
    assert f"beam of 1.7 deg lights {lit_km:.0f} km" in doubt
    assert not doubts_of(4.0, uplink=DISH)
    # One without gain has no beam that could be too narrow, but the other direction's counts.
    strong = {**DISH, "rx_gain_dbi": 0.0, "tx_power_dbm": 50.0, "tx_gain_dbi": 20.0}
    for gain_dbi in (0.0, 40.0):
        down = {"tx_power_dbm": 40.0, "tx_gain_dbi": gain_dbi}
        assert len(doubts_of(400.0, uplink=strong, downlink=down)) == (gain_dbi > 0)


def test_a_fixed_rate_beyond_the_capacity_is_a_doubt():
    """Without fading the rate needs 2^(R/B) - 1; the link has its SNR where it is strongest."""
    [doubt] = doubts_of(uplink={**FIXED, "fixed_rate_mbps": 3.6})
    lacks_db = 10 * np.log10(2.0**10 - 1) - OVERHEAD_DB
    assert doubt.startswith(f"link.uplink: the fixed rate needs {lacks_db:.1f} dB more")
    enough = 0.36 * np.log2(1 + 10 ** (OVERHEAD_DB / 10))
    [partly] = doubts_of(uplink={**FIXED, "fixed_rate_mbps": 0.99 * enough})
    assert partly.startswith("link.uplink.fixed_rate_mbps: the margin is negative for ")
    # A threshold does not hide it, and a downlink is doubted by itself.
    loud = {"rate": "fixed", "fixed_rate_mbps": 5000.0}
    for link in ({"uplink": {**loud, "required_snr_db": -10.0}}, {"downlink": loud}):
        [doubt] = doubts_of(**link)
        assert doubt.startswith(f"link.{next(iter(link))}: the fixed rate needs ")


def seconds_below(plan, needed_db, least_db=-np.inf):
    """Of all contacts with North the seconds, those below an SNR, and the least margin there."""
    every_s = below_s = least = 0.0
    for contact in plan.contacts:
        satellite, [[site]] = flying_of(plan)[contact.satellite], plan.contacts.devices
        span_s = contact.rise_s, contact.set_s
        time_s = np.linspace(*span_s, 2 + int(span_s[1] - span_s[0]))
        seen = geometry.look_angles(satellite, site, plan.start, time_s)
        losses_db = 5.2 + 0.035 / np.sin(np.radians(seen.elevation_deg[:, 0]))
        range_m = seen.slant_range_km[:, 0] * 1e3
        snr_db = channel.carrier_to_noise_db(-7.0, 1.1, 0.36e6, 2e9, range_m, losses_db)
        short = (snr_db < needed_db) & (snr_db >= least_db)
        every_s += span_s[1] - span_s[0]
        below_s += short.mean() * (span_s[1] - span_s[0])
        least = min([least, *(snr_db[short] - needed_db)])
    return every_s, below_s, least


@pytest.mark.parametrize(("rate_mbps", "threshold_db"), [(0.3, None), (0.6, None), (0.3, -2.5)])
def test_a_fixed_rate_tells_for_which_share_of_the_time_its_margin_is_negative(
    rate_mbps, threshold_db
):
    """Without fading 2^(R/B) - 1 is needed, at each second of each contact."""
    needed_db = 10 * np.log10(2.0 ** (rate_mbps / 0.36) - 1)
    up = {"rate": "fixed", "fixed_rate_mbps": rate_mbps}
    up |= {"fading": "none"} if threshold_db is None else {"required_snr_db": threshold_db}
    north = [{"name": "North", "latitude_deg": 60, "longitude_deg": 20, "devices": 1}]
    keys = {"stop": {"days": 1}, "ground": {"clusters": north}}
    plan = make_plan(orbit(**keys, link={"uplink": up}))
    [said] = [doubt for doubt in plan.doubts if doubt.code is Code.WEAK_LINK]
    least_db = -np.inf if threshold_db is None else threshold_db
    every_s, below_s, least = seconds_below(plan, needed_db, least_db)
    assert 0 < said.values["share"] == pytest.approx(below_s / every_s, abs=0.02)
    assert said.values["lacking_db"] == pytest.approx(-least, abs=0.15)


@cache
def over_two_clusters(**uplink):
    """Some hours in which one of two clusters is seen much better than the other."""
    return make_plan(orbit(stop={"days": 0.5}, link={"uplink": {"rate": "shannon"} | uplink}))


def weak_lines(plan):
    return [str(doubt) for doubt in plan.doubts if doubt.code is Code.WEAK_LINK]


def test_a_link_that_is_too_weak_names_its_clusters():
    best_db = {name: snr_db(contact) for name, contact in highest(over_two_clusters()).items()}
    weak, strong = sorted(best_db, key=best_db.__getitem__)
    between_db = (best_db[strong] + best_db[weak]) / 2
    for rate in ({"rate": "fixed", "fixed_rate_mbps": 0.01}, {"rate": "shannon"}):
        [doubt] = weak_lines(over_two_clusters(required_snr_db=between_db, **rate))
        assert f"the SNR is {best_db[weak]:.1f} dB at its best" in doubt
        assert f"{between_db - best_db[weak]:.1f} dB less" in doubt
        assert doubt.endswith(f"than the receiver needs (over {weak})")
    assert not weak_lines(over_two_clusters(required_snr_db=best_db[weak] - 0.1))
    # With a path gain of its own a link is dead in the same way everywhere: one line.
    paper = {"preset": "paper", "uplink": {"rate": "shannon", "required_snr_db": 60.0}}
    [line] = weak_lines(make_plan(slots(link=paper)))
    assert line.endswith("(over A, B)")


# A satellite's EIRP is 5, 15 and 25 dBW in bands S, X and Ka, its G/T -27, -20 and -9 dB/K.
@pytest.mark.parametrize(
    ("band", "keys", "doubted"),
    [
        ("X", {"link.downlink.eirp_dbw": 12}, []),
        ("S", {"link.downlink.eirp_dbw": 12}, ["link.downlink.eirp_dbw"]),
        ("Ka", {"link.downlink.eirp_dbw": 60}, []),
        ("Ka", {"link.downlink.eirp_dbw": None}, []),
        ("Ka", {"link.downlink.eirp_dbw": None, "link.uplink.g_over_t_db_k": -27}, []),
        (
            "Ka",
            {
                **{"link.downlink.eirp_dbw": None, "link.uplink.g_over_t_db_k": -27},
                "link.station.uplink_band": "Ka",
            },
            ["link.uplink.g_over_t_db_k"],
        ),
    ],
)
def test_a_radio_that_stays_when_the_band_of_the_dish_changes_is_a_doubt(band, keys, doubted):
    keys = {"link.station.band": band, "stop.days": 0.05, **keys}

    def conflicts(**others):
        found = sim.run(scenarios.load("three-stations", {**keys, **others})).warnings
        return [doubt for doubt in found if doubt.code is Code.CONFLICT]

    radios = conflicts()
    assert [key for doubt in radios for key in as_json(doubt)["keys"]] == doubted
    for doubt, key in zip(radios, doubted, strict=True):
        assert f"band {band}" in str(doubt) and doubt.values["given"] == keys[key]
        assert conflicts(**{key: None}) == []
