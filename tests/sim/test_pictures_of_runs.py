"""Pictures of a run: the numbers behind them are those of its tables."""

from __future__ import annotations

import io
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pyarrow as pa
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure

import orbit
import sim
from sim.pictures import Pictures
from tests.kit import small, small_nmoe
from tests.kit.network import InputError, cluster_sites
from tests.kit.records import COLUMNS, Result
from tests.kit.results import COLOURS, TARGETS, comparison, name, new_axes

EMPTY = {name: pa.schema(list(columns.items())).empty_table() for name, columns in COLUMNS.items()}
ODD = ("$a$ and $b$", "_hidden <b>&", "=cmd|' /C'!A0", r"\alpha $x_1")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Result:
    return sim.run(small.slots(), tmp_path_factory.mktemp("runs") / "trained")


@pytest.fixture(scope="module")
def passes() -> Result:
    return sim.run(small.orbit(learning={"train": False}))


@pytest.fixture(scope="module")
def crowded() -> Result:
    """Two places that see every pass together, with one beam for both; the run ends early."""
    both = [{"latitude_deg": 60 - k, "longitude_deg": 20, "devices": 2} for k in range(2)]
    places = [{"name": name, **place} for name, place in zip("AB", both, strict=True)]
    changes = {"ground": {"clusters": places}, "stop": {"cycles": 4}}
    return sim.run(small.orbit(**changes, learning={"train": False}))


def renamed(result: Result, names: dict[str, str]) -> Pictures:
    """The pictures of a run whose clusters are called otherwise."""
    tables = dict(result.tables)
    for key, table in tables.items():
        texts = [names.get(text, text) for text in table["cluster"].to_pylist()]
        place = table.column_names.index("cluster")
        tables[key] = table.set_column(place, "cluster", pa.array(texts, pa.string()))
    return Pictures(tables, result.manifest)


def test_accuracy_over_time_is_that_of_the_metrics(trained: Result) -> None:
    rows = trained.metrics[trained.metrics.scope == "global"]
    axes = trained.plot.accuracy()
    line = axes.lines[0]
    assert axes.get_xlabel() == "simulated minutes"
    np.testing.assert_allclose(line.get_xdata(), rows.time_s / 60)
    np.testing.assert_array_equal(line.get_ydata(), rows.accuracy)
    low, high = axes.get_ylim()
    targets = [other.get_ydata()[0] for other in axes.lines[1:]]
    assert targets == [target for target in TARGETS if low <= target <= high]


def test_accuracy_over_cycles_has_each_cycle_once(trained: Result) -> None:
    rows = trained.metrics.groupby(["scope", "cluster", "cycle"], dropna=False).accuracy.first()
    axes = trained.plot.accuracy(over="cycle", clusters=True)
    for line, cluster in zip(axes.lines, ("A", "B"), strict=False):
        np.testing.assert_array_equal(line.get_xdata(), [0, 1, 2, 3])
        np.testing.assert_array_equal(line.get_ydata(), rows["cluster", cluster])
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["A", "B", "all"]


def test_runs_are_compared_by_their_labels(trained: Result, passes: Result) -> None:
    runs = {"timing": passes, "one": trained, "_two": trained.tables}
    axes = comparison.accuracy(runs)
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), axes.lines[1].get_ydata())
    assert [line.get_color() for line in axes.lines[:2]] == list(COLOURS[1:3])
    axes.figure.draw_without_rendering()
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["one", "_two"]
    with pytest.raises(InputError, match="none of the runs"):
        comparison.accuracy({"timing": passes})


def test_bars_of_the_timeline_cover_what_happened(passes: Result) -> None:
    """A grid of instants away from the edges: a bar is there exactly where a row says so."""
    axes = passes.plot.timeline(days=1.0)
    assert axes.get_xlabel() == "simulated hours"
    contacts, moved = passes.contacts, passes.transfers
    served = contacts[contacts.served.astype(bool)]
    drawn = [[path.get_extents() for path in bars.get_paths()] for bars in axes.collections]
    assert len(drawn) == 4 * 2
    said = {
        0: (contacts.cluster, contacts.rise_s, contacts.set_s),
        1: (served.cluster, served.service_start_s, served.service_end_s),
        3: (moved.cluster, moved.start_s, moved.end_s),
    }
    for kind, (cluster, begin_s, end_s) in said.items():
        for lane, place in enumerate(("North", "South")):
            mine = (cluster == place) & (begin_s < 86400)
            bars = drawn[2 * kind + lane]
            covered_s = sum(bar.x1 - bar.x0 for bar in bars) * 3600
            assert bool(bars) == bool(mine.any())
            wanted_s = (end_s.clip(upper=86400) - begin_s)[mine]
            # Transfers of devices overlap, and gaps too small to be seen are closed.
            if kind < 2:
                assert covered_s == pytest.approx(wanted_s.sum(), rel=1e-9)
            for middle_s in ((begin_s + end_s) / 2)[mine & (end_s < 86400)]:
                assert any(bar.x0 <= middle_s / 3600 <= bar.x1 for bar in bars)


def test_a_contact_is_as_high_as_the_satellite_stands(passes: Result) -> None:
    served = passes.contacts[passes.contacts.served.astype(bool)]
    longest = served.loc[(served.service_end_s - served.service_start_s).idxmax()]
    axes = passes.plot.contact()
    line = axes.lines[0]
    time_s = longest.rise_s + line.get_xdata() * 60
    assert time_s[-1] == pytest.approx(longest.set_s, abs=1e-3)
    scenario = small.orbit()
    site = next(s for s in cluster_sites(scenario) if s.name == longest.cluster)
    start = scenario.start
    assert start is not None
    satellite = orbit.circular_satellite("it", 600.0, 97.8, 0.0, 0.0, start)
    looks = orbit.look_angles(satellite, site, start, time_s)
    np.testing.assert_allclose(line.get_ydata(), looks.elevation_deg[:, 0], atol=1e-3)
    rates = axes.figure.axes[-1]
    assert rates.get_ylabel() == "rate in Mbit/s"
    assert max(rates.lines[0].get_ydata()) > 0


def test_of_a_named_contact_what_is_not_served_is_shaded(crowded: Result) -> None:
    contacts = crowded.contacts
    served_s = (contacts.service_end_s - contacts.service_start_s).fillna(0.0)
    shares = served_s / contacts.duration_s
    for row in (contacts[shares == 0].iloc[0], contacts[(shares > 0) & (shares < 1)].iloc[0]):
        axes = crowded.plot.contact(int(row.contact_id))
        assert f"{row.rise_utc:%Y-%m-%d %H:%M:%S}" in axes.get_xlabel()
        shaded_s = sum(patch.get_width() for patch in axes.patches) * 60
        assert shaded_s == pytest.approx(row.duration_s - served_s[row.contact_id])
        names = [text.get_text() for text in axes.get_legend().get_texts()]
        assert names == ["elevation", "uplink", "downlink", "not served"]
    with pytest.raises(InputError, match="no contact 999; it has 0 to"):
        crowded.plot.contact(999)


def test_fields_of_the_assignment_have_the_colour_of_the_owner(trained: Result) -> None:
    axes = trained.plot.assignment()
    picture = np.asarray(axes.images[0].get_array())
    rows = trained.assignments
    rows = rows[rows.device.isna() & rows.assigned.astype(bool)]
    times = sorted(rows.time_s.unique())
    assert picture.shape == (rows.expert.max() + 1, len(times), 4)
    assert len(rows) == picture.shape[0] * picture.shape[1]
    opacity = {}
    for row in rows.itertuples():
        field = picture[int(row.expert), times.index(row.time_s)]
        assert to_hex(field[:3]) == COLOURS["AB".index(str(row.cluster))]
        opacity[float(row.relevance)] = float(field[3])
    ordered = [opacity[relevance] for relevance in sorted(opacity)]
    assert ordered == sorted(ordered)
    assert ordered[-1] == 1.0


def test_experts_of_devices_are_counted() -> None:
    result = sim.run(small_nmoe.nmoe())
    rows = result.assignments
    axes = result.plot.assignment()
    devices = np.asarray(axes.images[0].get_array())
    assert devices.sum() == rows.assigned.astype(bool).sum()
    assert set(axes.get_yticks()) == set(rows.expert)
    assert result.plot.gating().get_xlabel() == "expert selected first"


def test_bars_of_where_time_went_are_the_critical_path(passes: Result) -> None:
    axes = passes.plot.where_time_went()
    path = passes.critical_path
    widths_s = np.array([[bar.get_width() for bar in part] for part in axes.containers]) * 3600
    left_s = np.array([[bar.get_x() for bar in part] for part in axes.containers]) * 3600
    spent = [*path.clusters.values(), path.spent]
    np.testing.assert_allclose(widths_s[0], [part.transmitting_s for part in spent])
    np.testing.assert_allclose(widths_s[2], [part.training_s for part in spent])
    np.testing.assert_allclose(left_s[1:], np.cumsum(widths_s, axis=0)[:-1], atol=1e-6)
    np.testing.assert_allclose(widths_s.sum(axis=0), [part.total_s for part in spent])


DRAWINGS: dict[str, Callable[[Pictures], Axes]] = {
    "accuracy": lambda plot: plot.accuracy(),
    "timeline": lambda plot: plot.timeline(),
    "map": lambda plot: plot.map(),
    "contact": lambda plot: plot.contact(),
    "assignment": lambda plot: plot.assignment(),
    "where_time_went": lambda plot: plot.where_time_went(),
    "gating": lambda plot: plot.gating(),
}


@pytest.mark.parametrize("what", DRAWINGS)
def test_a_run_without_anything_is_refused_in_a_line(what: str) -> None:
    manifest: dict[str, Any] = {"simulated_s": 0.0, "scenario": {"orbit": {"source": "slots"}}}
    with pytest.raises(InputError) as refused:
        DRAWINGS[what](Pictures(EMPTY, manifest))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("what", ["accuracy", "map", "contact", "gating"])
def test_what_does_not_suit_a_run_is_refused_in_a_line(what: str) -> None:
    timing = sim.run(small.slots(learning={"train": False}))
    with pytest.raises(InputError, match=r"^the run"):
        DRAWINGS[what](timing.plot)


@pytest.mark.parametrize("names", [ODD[:2], ODD[2:]])
def test_odd_names_are_written_as_they_are(trained: Result, names: tuple[str, str]) -> None:
    """Into SVG with text: no formula, no markup, nothing hidden, no warning."""
    odd = renamed(trained, dict(zip("AB", names, strict=True)))
    for draw in (
        lambda axes: odd.accuracy(axes, clusters=True),
        odd.timeline,
        odd.assignment,
        odd.where_time_went,
    ):
        out = io.BytesIO()
        with warnings.catch_warnings(), matplotlib.rc_context({"svg.fonttype": "none"}):
            warnings.simplefilter("error")
            figure = Figure(figsize=(4.6, 3.2), layout="constrained")
            draw(figure.subplots())
            figure.savefig(out, format="svg")
        texts = {"".join(node.itertext()) for node in ElementTree.fromstring(out.getvalue()).iter()}
        assert texts >= set(names)


def test_a_name_keeps_both_ends() -> None:
    assert name("Osaka") == "Osaka"
    assert name("a\n b\t") == "a b"
    assert name("a name that is too long 17") == "a name th… long 17"
    assert len(name("x" * 99, 14)) == 14


def test_given_axes_are_drawn_on_and_returned(passes: Result) -> None:
    mine = Figure(layout="constrained").subplots(2)
    assert passes.plot.timeline(mine[0]) is mine[0]
    assert passes.plot.map(mine[1]) is mine[1]


def test_colours_can_be_seen_on_white_and_on_dark_paper() -> None:
    """Contrast as WCAG 2 defines it: 2.5 at least."""

    def luminance(colour: str) -> float:
        linear = [((c + 0.055) / 1.055) ** 2.4 if c > 0.04 else c / 12.92 for c in to_rgb(colour)]
        return float(np.dot([0.2126, 0.7152, 0.0722], linear))

    for colour in COLOURS:
        light = luminance(colour) + 0.05
        assert 1.05 / light > 2.5
        assert light / (luminance("#16181c") + 0.05) > 2.5
    assert len(set(COLOURS)) == len(COLOURS)


def test_axes_show_themselves_in_notebooks_and_pyplot_knows_none() -> None:
    axes = new_axes()
    axes.plot([1, 2], [3, 4])
    png = axes._repr_png_()  # type: ignore[attr-defined]
    assert png.startswith(b"\x89PNG\r\n")
    assert axes.figure.canvas.manager is None


def test_pictures_of_a_timing_only_run_need_no_torch(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    sim.run(small.orbit(learning={"train": False}), folder)
    code = (
        "import sys; from pathlib import Path; from sim.result import load\n"
        f"plot = load({str(folder)!r}).plot\n"
        "plot.timeline(), plot.map(), plot.contact(), plot.where_time_went()\n"
        "assert not {'torch', 'matplotlib.pyplot'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
