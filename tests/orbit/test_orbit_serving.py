"""Slots, and who is served when beams are scarce."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import orbit
from tests.kit.plain_windows import windows_of


def _elevation_deg(window, time_s):
    """Any function of window and time will do to choose by."""
    return (window * 37 + int(time_s) * 11) % 13


@st.composite
def plans(draw):
    """Windows at whole seconds, many at equal times; a pair's own windows never overlap."""
    rows = []
    for satellite in range(draw(st.integers(1, 2))):
        for site in range(draw(st.integers(1, 5))):
            edges = sorted(draw(st.sets(st.integers(0, 25), max_size=6)))
            rows += [(satellite, site, a, b) for a, b in zip(edges[::2], edges[1::2], strict=False)]
    return windows_of(rows)


RULES = [
    {"hand_over": "longest_remaining", "priority": "least_recently_served"},
    {"hand_over": "highest_elevation", "priority": "least_recently_served"},
    {"hand_over": "longest_remaining", "priority": "highest_elevation"},
    {"hand_over": "highest_elevation", "priority": "highest_elevation"},
]


def _second_by_second(windows, beams, hand_over, priority, min_contact_s):
    """The rule again, by stepping through whole seconds: start and end of service, waiting."""
    rows = list(zip(windows.satellite, windows.site, windows.rise_s, windows.set_s, strict=True))
    start, end, waited = [None] * len(rows), [None] * len(rows), [0] * len(rows)

    def last(site, but=None):
        return max(
            [end[w] for w, row in enumerate(rows)
             if row[1] == site and start[w] is not None and w != but],
            default=-1,
        )  # fmt: skip

    def best_choice(now, usable, on):
        best = {}
        for w in usable:
            if sum(rows[o][0] == rows[w][0] for o in on) >= beams:
                continue
            longest = -rows[w][3] if hand_over == "longest_remaining" else 0
            highest = -_elevation_deg(w, now) if hand_over == "highest_elevation" else 0
            rank = (longest, highest, rows[w][0], w)
            best[rows[w][1]] = min(best.get(rows[w][1], rank), rank)
        first = [
            (last(site) if priority == "least_recently_served" else -_elevation_deg(rank[3], now),
             site, rank[3])
            for site, rank in best.items()
        ]  # fmt: skip
        return min(first)[2] if first else None

    def taken_over(now, usable, on):
        for site in sorted({rows[w][1] for w in usable}, key=lambda site: (last(site), site)):
            wanted = {rows[w][0] for w in usable if rows[w][1] == site}
            held = [
                (-last(rows[o][1], but=o), -rows[o][1], o) for o in on
                if rows[o][0] in wanted and last(rows[o][1], but=o) > last(site)
                and now - start[o] >= min_contact_s and now > start[o]
            ]  # fmt: skip
            if held:
                return min(held)[2]
        return None

    for now in range(27):
        while True:
            on = [w for w in range(len(rows)) if start[w] is not None and now < end[w]]
            usable = [
                w for w, (satellite, site, rise_s, set_s) in enumerate(rows)
                if start[w] is None and rise_s <= now < set_s and set_s - now >= min_contact_s
                and site not in {rows[o][1] for o in on}
            ]  # fmt: skip
            chosen = best_choice(now, usable, on)
            loser = taken_over(now, usable, on) if priority == "least_recently_served" else None
            if chosen is not None:
                start[chosen], end[chosen] = now, rows[chosen][3]
            elif loser is not None:
                end[loser] = now
            else:
                break
        for w in usable:
            waited[w] += start[w] is None and rows[w][3] - now > min_contact_s
    none = [np.nan if value is None else value for value in start]
    return np.array(none), np.array([np.nan if v is None else v for v in end]), waited


@given(plans(), st.integers(1, 3), st.sampled_from(RULES), st.integers(0, 4))
def test_service_follows_the_rule_second_by_second(windows, beams, rules, min_contact_s):
    service = orbit.serve(
        windows, beams, **rules, min_contact_s=min_contact_s, elevation_deg=_elevation_deg
    )
    start_s, end_s, waited_s = _second_by_second(
        windows, beams, **rules, min_contact_s=min_contact_s
    )
    np.testing.assert_array_equal(service.start_s, start_s)
    np.testing.assert_array_equal(service.end_s, end_s)
    np.testing.assert_allclose(service.waited_s, waited_s, atol=1e-9)
    waits = service.waited_s > 0
    assert (np.isnan(service.wait_from_s) == ~waits).all()
    assert (service.wait_from_s[waits] >= windows.rise_s[waits]).all()


@given(plans(), st.integers(1, 3), st.sampled_from(RULES))
def test_service_keeps_to_its_windows_and_its_beams(windows, beams, rules):
    service = orbit.serve(windows, beams, **rules, elevation_deg=_elevation_deg)
    served = service.served
    assert (service.start_s[served] >= windows.rise_s[served]).all()
    assert (service.end_s[served] <= windows.set_s[served]).all()
    assert (service.end_s[served] > service.start_s[served]).all()
    assert np.isnan(service.start_s[~served]).all()
    assert np.isnan(service.end_s[~served]).all()
    for now in np.arange(0, 26) + 0.5:
        on = served & (service.start_s < now) & (service.end_s > now)
        given_up = served & (service.end_s < now)
        in_view = (windows.rise_s < now) & (windows.set_s > now) & ~given_up
        assert len(set(windows.site[on])) == on.sum()  # a site has one satellite at a time
        for w in np.flatnonzero(in_view & ~np.isin(windows.site, windows.site[on])):
            # Nobody waits while the satellite that it sees has a beam free.
            assert (on & (windows.satellite == windows.satellite[w])).sum() == beams


def test_the_least_recently_served_of_the_waiting_gets_the_beam():
    windows = windows_of([
        (0, 1, 0, 10), (0, 2, 20, 30), (0, 0, 40, 50),
        (0, 0, 45, 70), (0, 3, 46, 48), (0, 2, 47, 80), (0, 1, 48, 90),
    ])  # fmt: skip
    service = orbit.serve(windows)
    assert service.served.tolist() == [True, True, True, False, False, False, True]
    assert service.start_s[6] == 50.0
    # The first site is served up to 50 s, so that its second window waits from then on only.
    assert service.waited_s.tolist() == [0, 0, 0, 20, 2, 33, 2]
    assert service.wait_from_s[3:].tolist() == [50, 46, 47, 48]


def test_a_site_that_loses_its_satellite_goes_on_with_the_next():
    windows = windows_of([(0, 0, 0, 10), (1, 0, 4, 30), (2, 0, 6, 20), (1, 0, 40, 44)])
    service = orbit.serve(windows)
    np.testing.assert_array_equal(service.start_s, [0, 10, np.nan, 40])
    assert (service.waited_s == 0).all()
    height = {1: 20.0, 2: 50.0}
    by_height = orbit.serve(
        windows, hand_over="highest_elevation", elevation_deg=lambda w, now_s: height.get(w, 0.0)
    )
    # The second satellite is seen again once the third, higher one has set.
    np.testing.assert_array_equal(by_height.start_s, [0, 20, 10, 40])
    assert orbit.session_numbers(windows, service).tolist() == [0, 0, -1, 1]
    assert orbit.session_numbers(windows, service, 10.0).tolist() == [0, 0, -1, 0]
    assert orbit.session_numbers(windows, service, None).tolist() == [0, 1, -1, 2]


def test_whoever_has_waited_longer_takes_over_a_busy_beam():
    """The second site rises in the middle of each pass of the first, and would never be served."""
    passes = [(0, 0, 100 * n, 100 * n + 60) for n in range(4)]
    inside = [(0, 1, 100 * n + 20, 100 * n + 50) for n in range(4)]
    windows = windows_of(passes + inside)
    service = orbit.serve(windows)
    told = list(zip(windows.site, service.start_s, service.end_s, strict=True))
    assert [t for t in told if not np.isnan(t[1])] == [
        (0, 0, 60), (0, 100, 120), (1, 120, 150), (0, 200, 260), (0, 300, 320), (1, 320, 350),
    ]  # fmt: skip
    patient = orbit.serve(windows, min_contact_s=25.0)
    second = np.flatnonzero((windows.site == 1) & patient.served)
    # The first keeps its beam for 25 s, and what is then left is just long enough for the second.
    assert patient.start_s[second].tolist() == [125.0, 325.0]
    assert patient.waited_s[second].tolist() == [5.0, 5.0]


def test_whoever_gives_up_a_beam_does_not_turn_to_a_satellite_that_sets_just_then():
    windows = windows_of([(0, 0, 0, 1), (0, 0, 2, 4), (1, 0, 2, 3), (0, 1, 3, 4)])
    service = orbit.serve(windows)
    np.testing.assert_array_equal(service.start_s, [0, 2, np.nan, 3])
    np.testing.assert_array_equal(service.end_s, [1, 3, np.nan, 4])


def test_what_is_too_short_is_not_used():
    windows = windows_of([(0, 0, 0, 10), (0, 1, 5, 14), (0, 2, 6, 20)])
    service = orbit.serve(windows, min_contact_s=5.0)
    np.testing.assert_array_equal(service.start_s, [0, np.nan, 10])
    # The second site waited for as long as what was left was worth it: 5 s to 9 s.
    assert service.waited_s.tolist() == [0, 4, 4]


def test_ties_go_to_the_lower_site_and_each_satellite_has_its_own_beams():
    together = windows_of([(0, 2, 0, 10), (0, 1, 0, 9), (1, 2, 0, 5)])
    service = orbit.serve(together)
    assert together.site.tolist() == [1, 2, 2]
    np.testing.assert_array_equal(service.start_s, [0.0, 9.0, 0.0])
    assert service.waited_s.tolist() == [0.0, 4.0, 0.0]


def test_slots_that_touch_are_all_served_without_waiting():
    windows = orbit.slot_windows(4, 0.1, 1, 50)
    service = orbit.serve(windows)
    assert service.served.all()
    assert (service.waited_s == 0).all()


def test_no_windows_no_service():
    service = orbit.serve(windows_of([]))
    assert len(service.served) == len(service.start_s) == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"beams": 0}, "beams 0"),
        ({"beams": -2}, "beams -2"),
        ({"beams": "1"}, "beams '1' is not a whole number"),
        ({"beams": 1.5}, "beams 1.5 is not a whole number"),
        ({"min_contact_s": None}, "min_contact_s None is not a number"),
        ({"min_contact_s": -1.0}, "min_contact_s -1.0"),
        ({"min_contact_s": float("nan")}, "min_contact_s nan"),
        ({"priority": "loudest"}, "priority 'loudest' is unknown"),
        ({"hand_over": "nearest"}, "hand_over 'nearest' is unknown"),
        ({"hand_over": "highest_elevation"}, "needs elevations"),
    ],
)
def test_rules_that_cannot_be_are_refused(change, words):
    with pytest.raises(ValueError, match=words):
        orbit.serve(windows_of([(0, 0, 0, 1)]), **change)


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


def test_windows_that_cannot_be_are_refused():
    good = windows_of([(0, 0, 0, 1), (0, 1, 2, 3)])
    columns = vars(good)
    for change, words in (
        ({"set_s": np.array([0.0, 3.0])}, "window 0 rises at 0.0 s, sets at 0.0 s"),
        ({"rise_s": np.array([0.0, np.nan])}, "times must be finite"),
        ({"site": np.array([0])}, "site has shape"),
        ({"rise_s": np.array([0.5, 0.0])}, "not sorted"),
    ):
        with pytest.raises(ValueError, match=words):
            orbit.ContactWindows(**{**columns, **change})
