"""Slots, and who is served when beams are scarce."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import orbit


def _windows(rows):
    """ContactWindows of (satellite, site, rise, set) rows."""
    rows = sorted(rows, key=lambda row: (row[2], row[0], row[1]))
    satellite, site, rise_s, set_s = np.array(rows, dtype=float).reshape(-1, 4).T
    nowhere, never = np.full(len(rise_s), np.nan), np.zeros(len(rise_s), dtype=bool)
    return orbit.ContactWindows(
        satellite.astype(int), site.astype(int), rise_s, (rise_s + set_s) / 2, set_s,
        np.full(len(rise_s), 90.0), nowhere, nowhere, nowhere, never, never,
    )  # fmt: skip


@st.composite
def plans(draw):
    """Windows at whole seconds, many at equal times; a pair's own windows never overlap."""
    rows = []
    for satellite in range(draw(st.integers(1, 2))):
        for site in range(draw(st.integers(1, 5))):
            edges = sorted(draw(st.sets(st.integers(0, 25), max_size=6)))
            rows += [(satellite, site, a, b) for a, b in zip(edges[::2], edges[1::2], strict=False)]
    return _windows(rows)


def _second_by_second(windows, beams):
    """The rule again, by stepping through whole seconds: start of service of each window."""
    start = [None] * len(windows)
    last_end: dict[int, float] = {}
    rows = list(zip(windows.satellite, windows.site, windows.rise_s, windows.set_s, strict=True))
    for now in range(27):
        for fresh in (False, True):
            for satellite in sorted({row[0] for row in rows}):
                busy = sum(
                    start[w] is not None and start[w] <= now < row[3]
                    for w, row in enumerate(rows)
                    if row[0] == satellite
                )
                queue = [
                    w
                    for w, row in enumerate(rows)
                    if row[0] == satellite and start[w] is None and now < row[3]
                    and (row[2] == now if fresh else row[2] < now)
                ]  # fmt: skip
                queue.sort(key=lambda w: (last_end.get(rows[w][1], -1.0), rows[w][1]))
                for w in queue[: beams - busy]:
                    start[w] = now
                    last_end[rows[w][1]] = max(last_end.get(rows[w][1], -1.0), rows[w][3])
    return np.array([np.nan if value is None else value for value in start])


@given(plans(), st.integers(1, 3))
def test_service_follows_the_rule_second_by_second(windows, beams):
    service = orbit.serve(windows, beams)
    np.testing.assert_array_equal(service.start_s, _second_by_second(windows, beams))


@given(plans(), st.integers(1, 3))
def test_service_keeps_to_its_windows_and_its_beams(windows, beams):
    service = orbit.serve(windows, beams)
    served = service.served
    assert (service.start_s[served] >= windows.rise_s[served]).all()
    assert (service.end_s[served] == windows.set_s[served]).all()
    assert (service.end_s[served] > service.start_s[served]).all()
    assert np.isnan(service.start_s[~served]).all()
    assert np.isnan(service.end_s[~served]).all()
    waited = np.where(served, service.start_s, windows.set_s) - windows.rise_s
    np.testing.assert_array_equal(service.waited_s, waited)
    for now in np.arange(0, 26) + 0.5:
        on = served & (service.start_s < now) & (service.end_s > now)
        for satellite in np.unique(windows.satellite):
            mine = windows.satellite == satellite
            in_view = (mine & (windows.rise_s < now) & (windows.set_s > now)).sum()
            # Never more than the beams, and no beam idle while a cluster is in view.
            assert (on & mine).sum() == min(beams, in_view)


def test_the_least_recently_served_of_the_waiting_gets_the_beam():
    windows = _windows([
        (0, 1, 0, 10), (0, 2, 20, 30), (0, 0, 40, 50),
        (0, 0, 45, 70), (0, 3, 46, 48), (0, 2, 47, 80), (0, 1, 48, 90),
    ])  # fmt: skip
    service = orbit.serve(windows)
    assert service.served.tolist() == [True, True, True, False, False, False, True]
    assert service.start_s[6] == 50.0
    assert service.waited_s.tolist() == [0, 0, 0, 25, 2, 33, 2]


def test_ties_go_to_the_lower_site_and_each_satellite_has_its_own_beams():
    together = _windows([(0, 2, 0, 10), (0, 1, 0, 9), (1, 2, 0, 5)])
    service = orbit.serve(together)
    assert together.site.tolist() == [1, 2, 2]
    assert service.served.tolist() == [True, True, True]
    assert service.start_s.tolist() == [0.0, 9.0, 0.0]


def test_slots_that_touch_are_all_served_without_waiting():
    windows = orbit.slot_windows(4, 0.1, 1, 50)
    service = orbit.serve(windows)
    assert service.served.all()
    assert (service.waited_s == 0).all()


def test_no_windows_no_service():
    service = orbit.serve(_windows([]))
    assert len(service.served) == len(service.start_s) == 0


@pytest.mark.parametrize("beams", [0, -2])
def test_a_satellite_without_beams_is_refused(beams):
    with pytest.raises(ValueError, match=f"beams {beams}"):
        orbit.serve(_windows([(0, 0, 0, 1)]), beams)


@given(st.integers(1, 8), st.floats(1e-3, 1e4), st.integers(0, 3), st.integers(1, 40))
def test_slots_come_in_turn_at_exact_multiples(sites, slot_s, idle, cycles):
    windows = orbit.slot_windows(sites, slot_s, idle, cycles)
    assert len(windows) == sites * cycles
    assert windows.site.tolist() == list(range(sites)) * cycles
    for w in (0, len(windows) // 2, len(windows) - 1):
        slot = (w // sites) * (sites + idle) + w % sites
        assert windows.rise_s[w] == slot * slot_s
        assert windows.set_s[w] == (slot + 1) * slot_s
        assert windows.rise_s[w] < windows.culminate_s[w] < windows.set_s[w]
    assert (windows.max_elevation_deg == 90).all()
    assert np.isnan(windows.min_slant_range_km).all()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((0, 60.0, 0, 1), "sites 0"),
        ((1, 0.0, 0, 1), "slot_s 0.0"),
        ((1, float("nan"), 0, 1), "slot_s nan"),
        ((1, 60.0, -1, 1), "idle -1"),
        ((1, 60.0, 0, 0), "cycles 0"),
    ],
)
def test_impossible_slots_are_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        orbit.slot_windows(*arguments)


@given(plans())
def test_the_longest_gap_is_the_longest_run_of_seconds_without_contact(windows):
    gaps = orbit.longest_gap_s(windows, 6, 30.0)
    for site in range(6):
        longest = run = 0
        for now in np.arange(30) + 0.5:
            mine = windows.site == site
            seen = (mine & (windows.rise_s < now) & (windows.set_s > now)).any()
            run = 0 if seen else run + 1
            longest = max(longest, run)
        assert gaps[site] == longest


def test_gaps_are_not_counted_for_other_sites_or_spans():
    windows = _windows([(0, 3, 0, 10)])
    with pytest.raises(ValueError, match="beyond 3 sites"):
        orbit.longest_gap_s(windows, 3, 30.0)
    with pytest.raises(ValueError, match="span_s 5"):
        orbit.longest_gap_s(windows, 4, 5.0)


def test_windows_that_cannot_be_are_refused():
    good = _windows([(0, 0, 0, 1), (0, 1, 2, 3)])
    columns = vars(good)
    for change, words in (
        ({"set_s": np.array([0.0, 3.0])}, "window 0 rises at 0.0 s, sets at 0.0 s"),
        ({"rise_s": np.array([0.0, np.nan])}, "times must be finite"),
        ({"site": np.array([0])}, "site has shape"),
        ({"rise_s": np.array([0.5, 0.0])}, "not sorted"),
    ):
        with pytest.raises(ValueError, match=words):
            orbit.ContactWindows(**{**columns, **change})
