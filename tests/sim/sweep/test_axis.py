"""A sweep over numbers: rows by value, and where the best is."""

import math
import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.sweep import compare
from tests.kit.inner.sim import compare_rows, comparison_text, curve
from tests.kit.sweep_place import by_hand

KM = "orbit.altitude_km"
DEGREES = "orbit.inclination_deg"
METHOD = "learning.method"


def rows_of(points, seeds=(1,)):
    """Rows of points without training: keys and figures, None where nothing is seen."""
    none = {"accuracy_final": None, "folder": "", "error": "", "drawn": False}
    none |= {"round_mean_s": None}
    found = []
    for keys, figures in points:
        for seed in seeds:
            row = {**none, **keys, "seed": seed, "status": "complete", "cycles": None}
            own = figures(seed) if callable(figures) else figures
            missing = {"status": "refused", "code": "never_seen"}
            found.append(row | {"contacts_served": 5} | (missing if own is None else own))
    return found


def told(points, keys, seeds=(1,)):
    return compare_rows(rows_of(points, seeds), keys)


def shown(points, keys, seeds=(1,), *, in_full=False):
    """What a terminal shows of it, but for what limits it."""
    lines = comparison_text(told(points, keys, seeds), in_full=in_full).splitlines()
    assert max(map(len, lines)) <= 79
    return "\n".join(lines)


def text(words):
    return textwrap.dedent(words).strip("\n")


def test_over_one_number_each_value_has_a_row_and_the_best_are_marked():
    cycles = {400: 30, 600: 36, 800: 40, 1000: 40, 1200: 32}
    served = {400: 90, 600: 95, 800: 99, 1000: 101, 1200: 120}
    points = [({KM: km}, {"cycles": cycles[km], "contacts_served": served[km]}) for km in cycles]
    assert shown(points[::-1], [KM]) == (
        "Most cycles: 40 at 800 to 1,000 km; 30 at 400 km\n"
        "Nothing here is drawn at random: every seed gives the same figures.\n\n"
        + text(
            """
            altitude          30                 40  contacts
                (km)  cycles  |                   |    served
                 400     30   ●····················       90
                 600     36   ············●········       95
                 800     40*  ····················●       99
               1,000     40*  ····················●      101
               1,200     32   ····●················      120*

            * best
            """
        )
    )


def test_of_many_values_some_are_shown_with_both_ends_and_a_best_one():
    rising = [({KM: km}, {"cycles": km}) for km in range(400, 1201, 8)]
    table = shown(rising, [KM])
    own = [line.split()[0] for line in table.splitlines() if "●" in line]
    assert (len(own), own[0], own[-1]) == (12, "400", "1,200")
    assert "89 more in sweep.parquet" in table
    assert "a better one may lie beyond it" in table.replace("\n", " ")
    assert shown(rising, [KM], in_full=True).count("\n") > 100


def test_two_numbers_are_a_table_of_one_by_the_other_and_names_are_columns():
    cycles = {
        (km, deg): 10 + km // 100 - abs(deg - 50) // 10
        for km in (400, 600, 800)
        for deg in (40, 50)
    }
    points = [({DEGREES: deg, KM: km}, {"cycles": own}) for (km, deg), own in cycles.items()]
    assert shown(points, [DEGREES, KM]) == (
        "Most cycles: 18 at 50 degrees and 800 km; 13 at 40 degrees and 400 km\n"
        "50 degrees is the greatest value that was tried: a better one may lie beyond\n"
        "it. 800 km is the greatest value that was tried: a better one may lie beyond\n"
        "it. Nothing here is drawn at random: every seed gives the same figures.\n\n"
        + text(
            """
            cycles, by inclination (degrees)
            altitude
                (km)  40   50
                 400  13  14
                 600  15  16
                 800  17  18*

            * best
            """
        )
    )
    names = [
        (
            {METHOD: name, KM: km},
            None if name == "far" else {"cycles": km // 100 + 3 * (name == "b")},
        )
        for name in ("a", "b", "far")
        for km in (400, 600, 800)
    ]
    screen = shown(names, [METHOD, KM])
    assert screen.startswith(
        "Most cycles: 11 at 800 km with b, 8 at 800 km with a, no contact with far\n"
    )
    assert "     800  8*  11*  no contact" in screen


def test_a_value_without_a_figure_is_named_and_two_values_are_names():
    points = [
        ({KM: km}, None if km < 500 else {"cycles": km // 100}) for km in (300, 400, 500, 600)
    ]
    found = told(points, [KM])
    assert found.headline == "Most cycles: 6 at 600 km; 5 at 500 km"
    tried = "600 km is the greatest value that was tried: a better one may lie beyond it."
    assert found.notes[0] == tried
    assert "No contact: 300 to 400 km." in found.notes
    assert told(points[-2:], [KM]).numeric is None
    assert told([({"seed": s}, {"cycles": s}) for s in (1, 2, 3)], ["seed"]).numeric is None


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        ("refused", "never_seen", "no contact"),
        ("refused", "wrong_value", "refused"),
        ("failed", "", "failed"),
        ("crashed", "", "failed"),
        ("missing", "", "missing"),
    ],
)
def test_why_a_value_has_no_figure_stands_in_its_place(status, code, said):
    points = [({KM: km}, {"cycles": km // 100}) for km in (400, 500, 600)]
    lacking = {"status": status, "code": code, "cycles": None, "contacts_served": None}
    text = shown([*points, ({KM: 700}, lacking)], [KM])
    [row] = [line for line in text.splitlines() if line.split()[:1] == ["700"]]
    assert said in row


def test_the_headline_is_on_the_first_figure_in_which_values_differ():
    unseen = {"status": "refused", "code": "never_seen", "contacts_served": None}
    seen = {500: {"cycles": 5, "contacts_served": 9}, 600: {"cycles": 5, "contacts_served": 8}}
    points = [({KM: km}, seen.get(km, unseen)) for km in (300, 400, 500, 600)]
    found = told(points, [KM])
    assert found.headline == "Most contacts served: 9 at 500 km; 8 at 600 km"
    assert "No contact: 300 to 400 km." in found.notes


def test_a_picture_shows_the_means_and_rings_the_best():
    """In the unit of its title."""
    minutes = {400: 90, 600: 60, 800: 60, 1000: 120}
    points = [({KM: km}, {"round_mean_s": 60.0 * own, "cycles": 3}) for km, own in minutes.items()]
    found = told(points, [KM]).numeric
    axes = curve(found, found.first)
    line, dots, rings = axes.lines
    assert axes.get_title("left") == "Mean round (h)"
    assert line.get_xdata().tolist() == dots.get_xdata().tolist() == list(minutes)
    assert line.get_ydata().tolist() == [1.5, 1.0, 1.0, 2.0]
    assert rings.get_xdata().tolist() == [600, 800]


def test_values_of_a_key_are_written_with_all_of_their_digits():
    values = [0.000125, 1234.5678, 1234567]
    text = shown([({KM: km}, {"cycles": n + 1}) for n, km in enumerate(values)], [KM])
    assert "3 at 1,234,567 km; 1 at 0.000125 km" in text
    rows = [line.split()[0] for line in text.splitlines() if "●" in line]
    assert rows == ["0.000125", "1,234.5678", "1,234,567"]


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        ([0.01, 0.1, 1.0], "log"),
        ([1, 2, 4, 8, 16], "log"),
        ([400, 600, 800], "linear"),
        ([1, 2, 4], "linear"),
        ([0, 0.1, 1.0], "linear"),
    ],
)
def test_values_that_are_spread_over_magnitudes_are_drawn_by_powers(values, scale):
    points = [({KM: km}, {"cycles": n + 1}) for n, km in enumerate(values)]
    found = told(points, [KM]).numeric
    assert curve(found, found.first).get_xscale() == scale


@given(
    st.dictionaries(
        st.integers(1, 60), st.none() | st.floats(0.1, 1e6) | st.integers(1, 5), min_size=3
    )
)
def test_whatever_is_measured_rows_are_in_order_and_the_best_is_the_greatest(lengths):
    points = [
        ({KM: km}, None if own is None else {"round_mean_s": float(own), "cycles": 4})
        for km, own in lengths.items()
    ]
    known = {km: float(own) for km, own in lengths.items() if own is not None}
    if not known:
        assert told(points, [KM]).numeric is None
        return
    screen = shown(points, [KM])
    found = told(points, [KM]).numeric
    assert found.along(found.axes[0], found.groups) == sorted(lengths)
    best = found.along(found.axes[0], found.first.best())
    least = min(known.values())
    assert any(math.isclose(known[km], least) for km in best)
    assert {km for km in known if known[km] <= least} <= {*best}
    rows = [line for line in screen.splitlines() if "●" in line and "seed" not in line]
    assert len(rows) <= 12
    assert len({*known.values()}) == 1 or any("*" in row for row in rows)


def test_no_run_is_opened_for_what_the_rows_of_many_points_say(tmp_path):
    """There are no runs: each figure is of ``sweep.parquet``."""
    points = [({KM: n}, 1, {"cycles": n, "hours": 24.0}) for n in range(1, 201)]
    found = compare(by_hand(tmp_path, points))
    assert found.headline == "Most cycles: 200 at 200 km; 1 at 1 km"
    assert found.runs == {} and len(found.rows) == 200
