"""Links of several passes made together: those of each alone, in any order, and no more of them."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest

import sim.links_ahead
from channel import CLEAR_PATH, draw_paths
from tests.kit.network import (
    DeviceLinks,
    LinksAhead,
    Pass,
    Radios,
    cluster_radios,
    device_sites,
    find,
    links_of,
    view_of,
)
from tests.kit.small import orbit as orbit_scenario

LINKS: dict[str, dict[str, Any]] = {
    "preset": {},
    "environment": {"environment": "dense_urban"},
    "modcods": {"uplink": {"rate": "modcod"}, "downlink": {"rate": "modcod"}},
    "threshold": {"uplink": {"required_snr_db": 9.0}},
    "shared band": {"uplink": {"sharing": "equal_share"}, "environment": "rural"},
    "kink": {"uplink": {"atmosphere": "inverse_elevation"}, "downlink": "neglected"},
}


def passes_and_radios(link: dict[str, Any], days: float = 3.0) -> tuple[list[Pass], Radios]:
    """All passes over the northern cluster, each device with its own luck where there is any."""
    scenario = orbit_scenario(stop={"days": days}, link=link)
    view, radios = view_of(scenario, find), cluster_radios(scenario)[0]
    devices = device_sites(scenario, 0)
    rng = np.random.default_rng(1)
    by_chance = radios[0].link.environment is not None
    windows = view.windows
    return [
        Pass(
            view.satellites[windows.satellite[n]],
            view.places[0],
            devices,
            view.start,
            float(windows.rise_s[n]),
            float(windows.set_s[n]),
            float(windows.min_slant_range_km[n]) - 60.0,
            view.min_elevation_deg,
            draw_paths(len(devices), rng) if by_chance else CLEAR_PATH,
        )
        for n in np.flatnonzero(windows.site == 0)
    ], radios


def numbers(links: DeviceLinks) -> list[np.ndarray]:
    """All that is known of a contact's links."""
    beams = [beam for beam in (links.uplink, links.downlink) if beam is not None]
    curves = [array for beam in beams for array in (beam.curve.time_s, beam.curve.rate_bps)]
    signals = [
        array
        for beam in beams
        if beam.signal is not None
        for array in (beam.signal.snr_db, beam.signal.rician_k_linear)
    ]
    assert links.time_s is not None
    assert links.slant_range_m is not None
    return [*curves, *signals, links.time_s, links.slant_range_m, np.array(links.doppler_hz)]


@pytest.mark.parametrize("name", LINKS)
def test_passes_together_have_the_links_of_each_alone_to_the_last_bit(name: str) -> None:
    passes, radios = passes_and_radios(LINKS[name], 1.0)
    assert len(passes) > 4
    for one, together in zip(passes, links_of(passes, radios), strict=True):
        for ours, alone in zip(numbers(together), numbers(one.links(radios)), strict=True):
            np.testing.assert_array_equal(ours, alone)


class Count:
    """Passes by number that count how often they are made."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
        self.passes, self.radios = passes_and_radios({})
        self.made: list[int] = []
        devices = len(self.passes[0].devices)
        monkeypatch.setattr(sim.links_ahead, "DEVICES_AT_ONCE", at_once * devices)
        self.ahead = LinksAhead(self.radios, devices)

    def make(self, number: int) -> Pass:
        self.made.append(number)
        return self.passes[number]

    def add(self, wanted: set[int]) -> None:
        for number in range(len(self.passes)):
            self.ahead.add(number, partial(self.make, number), number in wanted)


def test_links_are_made_ahead_once_each_and_only_those_that_are_wanted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    count = Count(monkeypatch, 4)
    count.add({0, 2, 3, 5, 6, 7, 8})
    count.ahead.links(0)
    assert count.made == [0, 2, 3, 5]
    for number in (2, 3, 5):
        count.ahead.links(number)
    assert count.made == [0, 2, 3, 5]
    count.ahead.links(1)  # nobody was to ask for it, but it has links all the same
    assert count.made == [0, 2, 3, 5, 1]
    count.ahead.links(6)
    count.ahead.links(2)  # asked for once more, when it was let go already
    assert count.made == [0, 2, 3, 5, 1, 6, 7, 8, 2]


def test_links_do_not_hang_on_the_order_in_which_they_are_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    count = Count(monkeypatch, 3)
    count.add(set(range(len(count.passes))))
    for number in [5, 0, 9, 1, 2, 6]:
        found, alone = count.ahead.links(number), count.passes[number].links(count.radios)
        for ours, expected in zip(numbers(found), numbers(alone), strict=True):
            np.testing.assert_array_equal(ours, expected)
