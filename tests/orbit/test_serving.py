"""Who is served when beams are scarce: the rule again second by second, and its cases."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import orbit
from sim.plan.service import session_numbers
from tests.kit.skies import refused, windows_of


def _elevation_deg(window, time_s):
    """Any function of window and time will do to choose by."""
    return (window * 37 + int(time_s) * 11) % 13


@st.composite
def plans(draw):
    """Windows at whole seconds, many at equal times; a pair's own windows never overlap."""
    rows = []
    for satellite in range(draw(st.integers(1, 3))):
        for site in range(draw(st.integers(1, 5))):
            edges = sorted(draw(st.sets(st.integers(0, 25), max_size=6)))
            rows += [(satellite, site, a, b) for a, b in zip(edges[::2], edges[1::2], strict=False)]
    return windows_of(rows)


def _second_by_second(windows, beams, hand_over, priority, min_contact_s, acquisition_s):
    """The rule again, by stepping through whole seconds: start and end of service, waiting.

    A beam is busy from when it is pointed, and a service starts after the acquisition.
    """
    rows = list(zip(windows.satellite, windows.site, windows.rise_s, windows.set_s, strict=True))
    begun, start, end, waited = np.full((4, len(rows)), np.nan)
    setup = [acquisition_s[row[0]] for row in rows]
    waited[:] = 0.0
    alone = {w for w, row in enumerate(rows) if beams[row[0]] is None}
    for w in alone:
        if rows[w][3] - rows[w][2] >= max(min_contact_s + setup[w], setup[w] + 1):
            begun[w], end[w] = rows[w][2:]
            start[w] = begun[w] + setup[w]

    def last(site, but=None):
        """When the last service of a site ended."""
        ends = [
            end[w] for w, row in enumerate(rows) if row[1] == site and w != but and w not in alone
        ]
        return max([time_s for time_s in ends if not np.isnan(time_s)], default=-1)

    def best_choice(now, usable, on):
        best = {}
        for w in usable:
            if sum(rows[o][0] == rows[w][0] for o in on) < beams[rows[w][0]]:
                longest = hand_over == "longest_remaining"
                likes = -rows[w][3] if longest else -_elevation_deg(w, now)
                rank = (likes, rows[w][0], w)
                best[rows[w][1]] = min(best.get(rows[w][1], rank), rank)
        urgent = {
            "least_recently_served": lambda site, w: last(site),
            "highest_elevation": lambda site, w: -_elevation_deg(w, now),
            "longest_waiting": lambda site, w: last(site),
        }[priority]
        return min(
            ((urgent(site, rank[-1]), site, rank[-1]) for site, rank in best.items()),
            default=(None,),
        )[-1]  # fmt: skip

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
            every = [w for w in range(len(rows)) if begun[w] <= now < end[w]]
            on = [w for w in every if w not in alone]
            usable = [
                w for w, (_, site, rise_s, set_s) in enumerate(rows)
                if np.isnan(start[w]) and rise_s <= now < set_s - setup[w]
                and set_s - now >= min_contact_s + setup[w]
                and site not in {rows[o][1] for o in on} and w not in alone
            ]  # fmt: skip
            chosen = best_choice(now, usable, on)
            loser = taken_over(now, usable, on) if priority == "least_recently_served" else None
            if chosen is not None:
                begun[chosen], end[chosen] = now, rows[chosen][3]
                start[chosen] = now + setup[chosen]
            elif loser is not None:
                end[loser] = now
            else:
                break
        for w in usable:
            waited[w] += (
                np.isnan(start[w]) and rows[w][3] - now > min_contact_s + setup[w]
                and rows[w][1] not in {rows[o][1] for o in every}
            )  # fmt: skip
    return start, end, waited


# Six rules, beams, lengths and acquisitions: fifteen plans would leave most of them untried.
@settings(max_examples=60)
@given(
    plans(), st.lists(st.integers(1, 3) | st.none(), min_size=3, max_size=3),
    st.sampled_from(["longest_remaining", "highest_elevation"]),
    st.sampled_from(["least_recently_served", "highest_elevation", "longest_waiting"]),
    st.integers(0, 4), st.lists(st.integers(0, 3), min_size=3, max_size=3),
)  # fmt: skip
def test_service_follows_the_rule_second_by_second(
    windows, beams, hand_over, priority, least_s, acquisition_s
):
    rules = {"hand_over": hand_over, "priority": priority, "min_contact_s": least_s}
    rules["acquisition_s"] = acquisition_s
    service = orbit.serve(windows, beams, **rules, elevation_deg=_elevation_deg)
    start_s, end_s, waited_s = _second_by_second(windows, beams, **rules)
    np.testing.assert_array_equal(service.start_s, start_s)
    np.testing.assert_array_equal(service.end_s, end_s)
    np.testing.assert_array_equal(service.served, ~np.isnan(start_s))
    np.testing.assert_allclose(service.waited_s, waited_s, atol=1e-9)
    waits = service.waited_s > 0
    assert (np.isnan(service.wait_from_s) == ~waits).all()
    assert (service.wait_from_s[waits] >= windows.rise_s[waits]).all()
    if priority != "least_recently_served":  # a pass in progress is never taken over
        assert (service.end_s == windows.set_s)[service.served].all()


def test_a_site_that_loses_its_satellite_goes_on_with_the_next():
    windows = windows_of([(0, 0, 0, 10), (1, 0, 4, 30), (2, 0, 6, 20), (1, 0, 40, 44)])
    service = orbit.serve(windows)
    np.testing.assert_array_equal(service.start_s, [0, 10, np.nan, 40])
    assert (service.waited_s == 0).all()
    for joins, numbers in ((True, [0, 0, -1, 1]), (False, [0, 1, -1, 2])):
        assert session_numbers(windows, service, joins=joins).tolist() == numbers


@pytest.mark.parametrize("beams", [1, None])
def test_what_is_open_at_the_start_is_acquired(beams):
    windows = windows_of([(0, 0, 0, 100), (0, 1, 50, 200)])
    opened = replace(windows, clipped_start=windows.rise_s == 0.0)
    assert orbit.serve(windows, beams, acquisition_s=3.0).start_s[0] == 3.0
    assert orbit.serve(opened, beams, acquisition_s=3.0).start_s[0] == 0.0


def test_rules_that_cannot_be_are_refused():
    window = windows_of([(0, 0, 0, 1)])
    for words, rules in (
        ("beams 0 is too few", {"beams": 0}),
        ("beams 0 is too few", {"beams": [0]}),
        ("beams of 0 satellites are too few; give those of 1", {"beams": []}),
        ("min_contact_s -1.0 is not a time", {"min_contact_s": -1.0}),
        ("acquisition_s -1.0 is not a time", {"acquisition_s": -1.0}),
        ("priority 'loudest' is unknown", {"priority": "loudest"}),
        ("needs elevations", {"hand_over": "highest_elevation"}),
    ):
        refused(words, orbit.serve, window, **rules)
