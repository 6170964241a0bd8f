"""Windows as they may be, windows of slots, and how well windows cover sites."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import orbit
from tests.kit.skies import DAY_S, refused, windows_of


def test_windows_slots_and_coverage_that_cannot_be_are_refused():
    windows = windows_of([(0, 0, 0, 1), (0, 1, 2, 3)])
    one = windows_of([(0, 3, 0, 10)])
    for words, change in (
        ("window 0 rises at 0.0 s, sets at 0.0 s", {"set_s": np.array([0.0, 3.0])}),
        ("times must be finite", {"rise_s": np.array([0.0, np.nan])}),
        ("site has shape", {"site": np.array([0])}),
        ("not sorted", {"rise_s": np.array([0.5, 0.0])}),
        ("not sorted by rise_s, sat", {"rise_s": np.zeros(2), "site": np.array([1, 0])}),
    ):
        refused(words, replace, windows, **change)
    refused("slot_s 0.0", orbit.slot_windows, 1, 0.0, 0, 1)
    refused("idle -1", orbit.slot_windows, 1, 60.0, -1, 1)
    refused("windows reach site 3 .* beyond 3 sites", orbit.coverage, one, 3, 30.0)
    refused("from 0.0 s to 10.0 s, beyond 4 sites and span_s 5.0", orbit.coverage, one, 4, 5.0)
    refused("span_s 0.0 is not a positive", orbit.coverage, one, 4, 0.0)


@given(st.integers(1, 8), st.floats(1e-3, 1e4), st.integers(0, 3), st.integers(1, 40))
def test_slots_come_in_turn_at_exact_multiples_and_cover_alike(sites, slot_s, idle, cycles):
    windows = orbit.slot_windows(sites, slot_s, idle, cycles)
    cycle, site = np.divmod(np.arange(sites * cycles), sites)
    slot = cycle * (sites + idle) + site
    span_s = (sites + idle) * cycles * slot_s
    np.testing.assert_array_equal(windows.site, site)
    np.testing.assert_array_equal(windows.rise_s, slot * slot_s)
    np.testing.assert_array_equal(windows.set_s, (slot + 1) * slot_s)
    assert ((windows.rise_s < windows.culminate_s) & (windows.culminate_s < windows.set_s)).all()
    assert (windows.max_elevation_deg == 90).all() and np.isnan(windows.min_slant_range_km).all()
    found = orbit.coverage(windows, sites, span_s)
    assert (found.passes == cycles).all()
    np.testing.assert_allclose(found.mean_duration_s, slot_s, rtol=1e-9)
    np.testing.assert_allclose(found.in_view_fraction, 1 / (sites + idle), atol=1e-9)


@given(st.data(), st.integers(0, 40))
def test_coverage_is_the_one_counted_second_by_second(data, later):
    rows = []
    for satellite, site in np.ndindex(3, 5):
        edges = sorted(data.draw(st.sets(st.integers(0, 30), max_size=6)))
        rows += [(satellite, site, a, b) for a, b in zip(edges[::2], edges[1::2], strict=False)]
    span_s = 30 + later
    found = orbit.coverage(windows_of(rows), 6, span_s)
    for site in range(6):
        mine = [(rise, set_) for _, where, rise, set_ in rows if where == site]
        seen = [any(a <= second < b for a, b in mine) for second in range(span_s)]
        gaps = "".join("." if now else "x" for now in seen).split(".")
        lasts = [b - a for a, b in mine] or [np.nan]
        counted = {
            "passes": len(mine), "passes_per_day": len(mine) * DAY_S / span_s,
            "in_view_fraction": sum(seen) / span_s, "longest_gap_s": max(map(len, gaps)),
            "mean_duration_s": np.mean(lasts), "longest_duration_s": max(lasts),
        }  # fmt: skip
        for name, value in counted.items():
            assert getattr(found, name)[site] == pytest.approx(value, nan_ok=True), name
