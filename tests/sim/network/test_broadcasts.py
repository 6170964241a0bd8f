"""Bytes on the air: a broadcast is sent once, however many devices hear it."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import sim
from learning.requests import Download, Payload
from sim.formatting import data_size
from tests.kit import small
from tests.kit.handmade import band, contact, download, seen, talk

RATE_BPS = 8.0
AIR = band(1, "broadcast")


def on_the_air(rows):
    return sum(row["on_air_bytes"] for row in rows)


def union_s(spans):
    """Seconds that spans (start, end) cover together, stretch by stretch between their ends."""
    edges = sorted({edge for span in spans for edge in span})
    return sum(b - a for a, b in pairwise(edges) if any(s <= a and b <= e for s, e in spans))


def test_what_each_device_gets_for_itself_is_on_the_air_for_each():
    own = [Download(Payload("m", 10.0, 1), personal=True)]
    for down, steps, air in (
        (AIR, own, 40.0), (band(4), download(10.0), 40.0), (None, download(10.0), 40.0),
        (AIR, download(10.0), 10.0),
    ):  # fmt: skip
        told = talk([contact(0, 0, 100, [RATE_BPS] * 4, down=down)], [steps])
        assert on_the_air(told.moved()) == told.books["downlink"]["on_air_bytes"] == air


@given(
    st.lists(st.floats(0.0, 90.0), min_size=1, max_size=5),
    st.floats(1.0, 60.0),
    st.sampled_from([np.inf, 30.0, 150.0]),
)
def test_what_is_on_the_air_is_the_rate_times_the_time_on_the_air(from_s, size, until_s):
    """Devices that see the satellite later need it for longer; a pass may end before."""
    rates = [RATE_BPS] * len(from_s)
    made = []
    for number, start_s in enumerate((0.0, 200.0)):
        here = contact(number, start_s, start_s + 100.0, rates, down=AIR)
        ends_s = [[start_s + first_s, start_s + 100.0] for first_s in from_s]
        made.append(seen(here, ends_s, [[RATE_BPS] * 2] * len(from_s)))
    told = talk(made, [download(size)] * 2, until_s=until_s)
    rows = told.moved()
    for number in (0, 1):
        here = [row for row in rows if row["contact_id"] == number]
        lasts_s = union_s([(row["start_s"], row["end_s"]) for row in here])
        assert on_the_air(here) == pytest.approx(lasts_s * RATE_BPS / 8, rel=1e-9, abs=1e-9)


DOWN = {"delivery": "broadcast", "rate": "fixed", "fixed_rate_mbps": 2.0}


def test_a_run_says_what_was_on_the_air(leomix, tmp_path):
    """Of a satellite that broadcasts to five devices in two clusters."""
    scenario = small.slots(learning={"train": False}, link={"downlink": DOWN})
    result = sim.run(scenario, tmp_path / "run")
    down = result.transfers[result.transfers.direction == "downlink"]
    # Devices of a cluster begin and end together: one transmission for all of them.
    once = down.drop_duplicates(["cluster", "payload", "start_s"])
    lasts_s = (once.end_s - once.start_s).sum()
    assert result.summary["downlink_bytes"] == pytest.approx(once.delivered_bytes.sum())
    assert result.summary["downlink_bytes"] == pytest.approx(lasts_s * 2e6 / 8, rel=1e-6)
    assert result.summary["downlink_received_bytes"] == down.delivered_bytes.sum()
    assert down.delivered_bytes.sum() > 2 * result.summary["downlink_bytes"]
    shown = leomix("show", result.folder, "--all").out
    air, got = (data_size(rows.delivered_bytes.sum()) for rows in (once, down))
    assert f"{air}, broadcast: its receivers got {got}" in shown
