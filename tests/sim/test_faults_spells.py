"""Spells by chance: their statistics, who is there when, and what they leave of windows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import orbit as orbits
from sim.faults import Before, faults_of, outages_of
from tests.kit.learning import Cluster, stream
from tests.kit.network import (
    NO_SPELLS,
    InputError,
    Presence,
    Spells,
    cut,
    drawn_spells,
    make_plan,
    view_of,
)
from tests.kit.small import orbit, slots

DAY_S = 86_400.0


def spells(*edges: float) -> Spells:
    return Spells(np.array(edges[::2]), np.array(edges[1::2]))


# -- the draws


def test_spells_alternate_with_the_means_that_were_asked_for_and_as_often_at_the_start() -> None:
    """Mean, spread and memory of both kinds of times are those of exponentials."""
    drawn = drawn_spells(stream(1, "test"), 600.0, 200.0, 8e6)
    apart_s, lasting_s = drawn.begin_s[1:] - drawn.end_s[:-1], drawn.end_s - drawn.begin_s
    assert len(apart_s) == pytest.approx(10_000, rel=0.05)
    for times, mean_s in ((apart_s, 600.0), (lasting_s[:-1], 200.0)):
        assert times.min() > 0.0
        # Five standard errors of mean and standard deviation of an exponential.
        assert times.mean() == pytest.approx(mean_s, rel=5 / np.sqrt(len(times)))
        assert times.std() == pytest.approx(mean_s, rel=5 * np.sqrt(2 / len(times)))
        assert abs(np.corrcoef(times[:-1], times[1:])[0, 1]) < 5 / np.sqrt(len(times))
    inside = [len(drawn_spells(stream(k, "s"), 600.0, 200.0, 1e-3).begin_s) for k in range(2000)]
    assert np.mean(inside) == pytest.approx(0.25, abs=5 * np.sqrt(0.25 * 0.75 / 2000))


@given(st.integers(0, 50), st.floats(1.0, 1e5), st.floats(1.0, 1e5))
def test_a_longer_run_begins_with_the_same_spells(seed: int, apart_s: float, mean_s: float) -> None:
    short = drawn_spells(stream(seed, "x"), apart_s, mean_s, 1e5)
    long = drawn_spells(stream(seed, "x"), apart_s, mean_s, 3e6).between(0.0, 1e5)
    assert np.array_equal(short.begin_s, long.begin_s)
    assert np.array_equal(short.end_s, long.end_s)
    assert (short.begin_s[1:] > short.end_s[:-1]).all()
    assert (short.end_s > short.begin_s).all()


def test_another_satellite_or_cluster_shifts_nobody_elses_faults() -> None:
    churn, slow = {"mean_present_hours": 3}, {"share": 0.5}
    scenario = slots(faults={"outages": {"per_day": 3}, "churn": churn, "stragglers": slow})
    few = faults_of(scenario, [Cluster("A", 0, 4)], ["S2"], DAY_S)
    many = faults_of(scenario, [Cluster("0", 0, 9), Cluster("A", 1, 5)], ["S1", "S2"], DAY_S)
    assert few is not None
    assert many is not None
    assert np.array_equal(few.outages["S2"].begin_s, many.outages["S2"].begin_s)
    assert np.array_equal(few.slowdown["A"], many.slowdown["A"][:4])
    for mine, same in zip(few.churn["A"].away, many.churn["A"].away, strict=False):
        assert np.array_equal(mine.begin_s, same.begin_s)


def test_without_faults_there_is_nothing_to_ask() -> None:
    assert faults_of(slots(), [Cluster("A", 0, 2)], ["slots"], DAY_S) is None


@given(st.floats(0.0, 1.0))
def test_a_fork_keeps_what_was_before_and_takes_what_comes_after(share: float) -> None:
    old, new = slots(faults={"outages": {"per_day": 9}}), slots(faults={"outages": {"per_day": 30}})
    at_s = share * DAY_S
    early, late = (outages_of(s, ["A"], DAY_S)[0] for s in (old, new))
    both = outages_of(new, ["A"], DAY_S, Before(old, at_s))[0]
    grid_s = np.linspace(0.0, DAY_S, 4001)[:-1]
    wanted = np.where(grid_s < at_s, _inside(early, grid_s), _inside(late, grid_s))
    assert np.array_equal(_inside(both, grid_s), wanted)
    assert (both.begin_s[1:] > both.end_s[:-1]).all()


def _inside(of: Spells, time_s: np.ndarray) -> np.ndarray:
    held = (of.begin_s[:, None] <= time_s) & (time_s < of.end_s[:, None])
    return np.asarray(held.any(axis=0))


# -- presence


AWAY = st.lists(st.integers(0, 200), max_size=8, unique=True).map(
    lambda edges: spells(*sorted(edges)[: len(edges) // 2 * 2])
)
EDGE = st.integers(0, 210)


@settings(max_examples=60)
@given(st.lists(AWAY, min_size=1, max_size=4), EDGE, EDGE, st.integers(1, 90))
@example([spells(10, 20, 30, 40)], 10, 20, 10)  # from a begin to an end
@example([spells(10, 20, 30, 40)], 20, 30, 10)  # from an end to a begin, with work until then
@example([spells(10, 20, 30, 40)], 0, 10, 10)
@example([spells(10, 20), spells(20, 30)], 20, 20, 1)
@example([spells(0, 5)], 0, 5, 1)
def test_who_is_there_agrees_with_a_walk_over_a_fine_grid(
    away: list[Spells], one: int, other: int, work: int
) -> None:
    """All edges are whole seconds, so that a walk in half seconds is exact."""
    presence, k = Presence(away), len(away)
    from_s, to_s = np.full(k, float(min(one, other))), np.full(k, float(max(one, other)))
    step_s = 0.5
    grid_s = np.arange(0.0, 900.0, step_s)
    there = np.array([~_inside(each, grid_s) for each in away])
    here = grid_s == from_s[0]
    assert np.array_equal(presence.present(from_s), there[:, here][:, 0])
    between = (grid_s >= from_s[0]) & (grid_s < to_s[0])
    assert presence.present_s(from_s, to_s) == pytest.approx(there[:, between].sum(axis=1) * step_s)
    after = grid_s >= from_s[0]
    first = [grid_s[after][row[after]][0] for row in there]
    assert presence.returns_s(from_s).tolist() == first
    worked = np.cumsum(there[:, after], axis=1) * step_s
    done = [grid_s[after][row >= work][0] + step_s for row in worked]
    assert presence.after_s(from_s, np.full(k, float(work))).tolist() == done
    for leaves_s, each in zip(presence.leaves_s(from_s), away, strict=True):
        assert leaves_s == min(each.begin_s[each.begin_s > from_s[0]], default=np.inf)


def test_what_is_said_of_a_device_that_is_never_ready_is_a_number_or_never() -> None:
    presence = Presence([spells(1.0, 2.0), NO_SPELLS])
    never = np.full(2, np.inf)
    assert presence.present(never).tolist() == [True, True]
    assert presence.after_s(np.array([0.5, 0.5]), np.array([0.0, 1.0])).tolist() == [0.5, 1.5]
    assert not np.isnan(presence.leaves_s(never)).any()


# -- outages


@given(st.lists(AWAY, min_size=2, max_size=2), st.data())
def test_pieces_of_windows_are_the_windows_without_the_outages(
    out: list[Spells], data: st.DataObject
) -> None:
    """As sets of instants; and none of no length, in the promised order."""
    count = data.draw(st.integers(1, 6))
    rise_s = np.array(sorted(data.draw(st.integers(0, 150)) for _ in range(count)), float)
    lasts_s = np.array([data.draw(st.integers(1, 60)) for _ in range(count)], float)
    satellite = np.sort(np.array([data.draw(st.integers(0, 1)) for _ in range(count)]))
    windows = orbits.windows.bare_windows(
        rise_s=rise_s + np.arange(count) / 8, culminate_s=rise_s + lasts_s / 2,
        set_s=rise_s + lasts_s + 1, satellite=satellite, site=np.arange(count),
    )  # fmt: skip
    pieces, of = cut(windows, out)
    grid_s = np.arange(0.0, 250.0, 1 / 16) + 1 / 64
    for number in range(count):
        mine = Spells(pieces.rise_s[of == number], pieces.set_s[of == number])
        whole = spells(windows.rise_s[number], windows.set_s[number])
        wanted = _inside(whole, grid_s) & ~_inside(out[satellite[number]], grid_s)
        assert np.array_equal(_inside(mine, grid_s), wanted)
    assert np.array_equal(pieces.site, of)
    late = pieces.rise_s > windows.rise_s[of]
    assert np.array_equal(pieces.clipped_start, late)
    assert ((pieces.culminate_s >= pieces.rise_s) & (pieces.culminate_s <= pieces.set_s)).all()


def test_what_is_cut_off_a_pass_shows_what_is_seen_at_its_ends() -> None:
    """Against look angles all along a piece; the pass's own where its highest point is left."""
    view = view_of(orbit(faults={"outages": {"per_day": 100, "mean_hours": 0.1}}, stop={"days": 3}))
    lower = 0
    for number, of in enumerate(view.of.tolist()):
        piece = {name: values[number] for name, values in vars(view.windows).items()}
        time_s = np.linspace(piece["rise_s"], piece["set_s"], 3001)
        satellite, site = view.satellites[piece["satellite"]], view.places[piece["site"]]
        seen = orbits.look_angles(satellite, site, view.start, time_s)
        highest_deg = seen.elevation_deg[:, 0].max()
        assert piece["max_elevation_deg"] == pytest.approx(highest_deg, abs=0.01)
        assert piece["min_slant_range_km"] == pytest.approx(seen.slant_range_km.min(), rel=1e-4)
        for event, row in (("rise", 0), ("set", -1)):
            for name in ("azimuth_deg", "slant_range_km", "range_rate_km_s"):
                there = getattr(seen, name)[row, 0]
                assert piece[f"{event}_{name}"] == pytest.approx(there, rel=1e-6)
        lower += view.passes.culminate_s[of] != piece["culminate_s"]
    assert 2 < lower < len(view.of) < len(view.passes) + 10


def test_the_chance_of_a_pass_stays_its_own_when_others_are_lost() -> None:
    """The draws of paths are numbered by passes, not by the pieces that are left."""
    said = {"link": {"environment": "suburban"}, "stop": {"days": 1.0}}
    whole = {c.rise_s: c for c in make_plan(orbit(**said)).contacts}
    plan = make_plan(orbit(**said, faults={"outages": {"per_day": 6, "mean_hours": 2}}))
    same = [c for c in plan.contacts if c.rise_s in whole and whole[c.rise_s].set_s == c.set_s]
    assert 0 < len(same) <= len(plan.contacts) < len(whole)
    assert same[-1].contact_id < whole[same[-1].rise_s].contact_id
    for contact in same:
        other = whole[contact.rise_s]
        assert np.array_equal(contact.uplink.curve.rate_bps, other.uplink.curve.rate_bps)


@pytest.mark.parametrize("make", [slots, orbit])
def test_a_cluster_whose_satellite_is_always_out_is_told_so(make: object) -> None:
    with pytest.raises(InputError, match=r"its satellites are out in all of its .* windows; lower"):
        make_plan(make(faults={"outages": {"per_day": 100, "mean_hours": 8000}}))  # type: ignore[operator]
