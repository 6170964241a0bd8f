"""Pictures of runs and sweeps: the numbers behind them are those of the tables."""

from __future__ import annotations

import base64
import io
import shutil
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure

import orbit
import sim
from sim.pictures import Pictures
from tests.kit import small
from tests.kit.network import InputError, cluster_sites
from tests.kit.records import COLUMNS, Result
from tests.kit.results import (
    COLOURS,
    TARGETS,
    Spent,
    comparison,
    heat_map,
    lines,
    name,
    new_axes,
    spent_text,
)
from tests.runs import Runs

EMPTY = {name: pa.schema(list(columns.items())).empty_table() for name, columns in COLUMNS.items()}
ODD = ("$a$ and $b$", "_hidden <b>&", "=cmd|' /C'!A0", r"\alpha $x_1")


@pytest.fixture
def trained(runs: Runs) -> Result:
    return runs.result("slots")


@pytest.fixture
def passes(runs: Runs) -> Result:
    return runs.result("orbit-timing")


def renamed(result: Result, names: dict[str, str]) -> Pictures:
    """The pictures of a run whose clusters are called otherwise."""
    tables = dict(result.tables)
    for key, table in tables.items():
        texts = [names.get(text, text) for text in table["cluster"].to_pylist()]
        place = table.column_names.index("cluster")
        tables[key] = table.set_column(place, "cluster", pa.array(texts, pa.string()))
    return Pictures(tables, result.manifest)


def test_accuracy_over_time_and_over_cycles_is_that_of_the_metrics(trained: Result) -> None:
    rows = trained.metrics[trained.metrics.scope == "global"]
    axes = trained.plot.accuracy()
    line = axes.lines[0]
    assert axes.get_xlabel() == "simulated minutes"
    np.testing.assert_allclose(line.get_xdata(), rows.time_s / 60)
    np.testing.assert_array_equal(line.get_ydata(), rows.accuracy)
    low, high = axes.get_ylim()
    targets = [other.get_ydata()[0] for other in axes.lines[1:]]
    assert targets == [target for target in TARGETS if low <= target <= high]
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


def test_of_a_named_contact_what_is_not_served_is_shaded() -> None:
    """Two places see every pass together, with one beam for both; the run ends early."""
    places = [
        {"name": name, "latitude_deg": latitude_deg, "longitude_deg": 20, "devices": 2}
        for name, latitude_deg in (("A", 60), ("B", 59))
    ]
    changes = {"ground": {"clusters": places}, "stop": {"cycles": 4}}
    crowded = sim.run(small.orbit(**changes, learning={"train": False}))
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


def test_experts_of_devices_are_counted(runs: Runs) -> None:
    result = runs.result("nmoe")
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


DRAWINGS = ("accuracy", "timeline", "map", "contact", "assignment", "where_time_went", "gating")


def test_what_does_not_suit_a_run_is_refused_in_a_line(runs: Runs) -> None:
    manifest: dict[str, Any] = {"simulated_s": 0.0, "scenario": {"orbit": {"source": "slots"}}}
    empty, untrained = Pictures(EMPTY, manifest), runs.result("slots-timing").plot
    refused = [(empty, what, r"\A[^\n]+\Z") for what in DRAWINGS]
    refused += [(untrained, what, "^the run") for what in ("accuracy", "map", "contact", "gating")]
    for plot, what, says in refused:
        with pytest.raises(InputError, match=says):
            getattr(plot, what)()


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


def test_given_axes_are_drawn_on_and_axes_show_themselves_in_notebooks(passes: Result) -> None:
    mine = Figure(layout="constrained").subplots(2)
    assert passes.plot.timeline(mine[0]) is mine[0]
    assert passes.plot.map(mine[1]) is mine[1]
    axes = new_axes()
    axes.plot([1, 2], [3, 4])
    png = axes._repr_png_()  # type: ignore[attr-defined]
    assert png.startswith(b"\x89PNG\r\n")
    assert axes.figure.canvas.manager is None


@pytest.mark.process
def test_pictures_of_a_timing_only_run_need_no_torch(runs: Runs) -> None:
    code = (
        "import sys, sim\n"
        f"plot = sim.load({str(runs['orbit-timing'])!r}).plot\n"
        "plot.timeline(), plot.map(), plot.contact(), plot.where_time_went()\n"
        "assert not {'torch', 'matplotlib.pyplot'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# -- results in notebooks and in the terminal


def test_a_result_is_a_line(trained: Result, runs: Runs) -> None:
    accuracy = trained.summary["accuracy_final"]
    wanted = f"Result(emsfl, 0.06 days, 3 cycles, accuracy {accuracy:.3f}, {trained.folder})"
    assert repr(trained) == wanted
    timing = runs.result("slots-timing")
    failed = Result(timing.tables, {**timing.manifest, "status": "failed"})
    assert repr(failed) == "Result(emsfl, 0.06 days, 3 cycles, failed)"


def test_a_notebook_gets_an_escaped_table_and_the_picture(runs: Runs, tmp_path: Path) -> None:
    trained = sim.load(shutil.copytree(runs["slots"], tmp_path / "<i>run"))
    shown = trained._repr_html_()
    page = ElementTree.fromstring(shown)  # well-formed, so that nothing of a name is markup
    cells = {row[0].text: row[1].text for row in page.iter("tr")}
    assert cells["folder"] == str(trained.folder)
    assert "<i>" in cells["folder"]
    assert cells["method"] == "emsfl (seed 3, complete)"
    assert cells["critical path"] == spent_text(trained.critical_path.spent)
    image = page.find("img")
    assert image is not None
    kind, picture = image.attrib["src"].split(";base64,")
    assert kind == "data:image/svg+xml"
    svg = ElementTree.fromstring(base64.b64decode(picture))
    assert svg.tag == "{http://www.w3.org/2000/svg}svg"
    timing = runs.result("slots-timing")._repr_html_()
    assert "<img" not in timing
    assert "accuracy" not in timing


def test_shares_of_time_are_sorted() -> None:
    spent = Spent(transmitting_s=1, queueing_s=0, training_s=25, waiting_s=74)
    assert spent_text(spent) == "74.0% waiting, 25.0% training, 1.0% transmitting, 0.0% queueing"


# -- pictures of a sweep are what pandas computes from the same rows

ROWS = pa.table(
    {
        "orbit.altitude_km": [400, 400, 400, 800, 800, 800, 400, 800],
        "learning.method": ["emsfl"] * 6 + ["$a$_b"] * 2,
        "seed": [1, 2, 3, 1, 2, 3, 1, 1],
        "hours": [5.0, 7.0, 12.0, 3.0, None, 4.0, None, 9.0],
    }
)


def test_fields_are_the_medians_and_say_where_runs_have_no_value() -> None:
    axes = heat_map(ROWS, "orbit.altitude_km", "learning.method", "hours")
    fields = axes.images[0].get_array()
    # "$a$_b" sorts before "emsfl"; without a value at 400 km.
    np.testing.assert_array_equal(np.ma.filled(fields, np.nan), [[np.nan, 9.0], [7.0, 3.5]])
    assert [text.get_text() for text in axes.texts] == ["9", "7", "3.5"]
    hatched = sorted((patch.get_x(), patch.get_y()) for patch in axes.patches)
    assert hatched == [(-0.5, -0.5), (0.5, 0.5)]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["400", "800"]
    axes.figure.draw_without_rendering()
    assert axes.get_yticklabels()[0].get_text() == r"\$a\$_b"  # matplotlib writes $a$_b


@given(
    st.lists(
        st.tuples(st.integers(0, 4), st.sampled_from("abcd"), st.none() | st.floats(-1e6, 1e6)),
        min_size=1,
        max_size=40,
    )
)
def test_any_heat_map_and_any_lines_are_the_medians_of_pandas(
    rows: list[tuple[int, str, float | None]],
) -> None:
    frame = pd.DataFrame(rows, columns=["x", "group", "value"]).astype({"value": float})
    table = pa.Table.from_pandas(frame, preserve_index=False)
    wanted = frame.groupby(["group", "x"]).value.median().unstack("x")
    fields = heat_map(table, "x", "group", "value").images[0].get_array()
    found = np.ma.filled(np.ma.asarray(fields, float), np.nan)
    np.testing.assert_allclose(found, wanted.to_numpy(), rtol=1e-12)
    drawn = lines(table, "x", "value", "group").lines
    for line, medians in zip(drawn, wanted.to_numpy(), strict=True):
        np.testing.assert_array_equal(line.get_xdata(), wanted.columns)
        np.testing.assert_allclose(line.get_ydata(), medians, rtol=1e-12)


def test_the_band_reaches_from_the_least_to_the_most() -> None:
    axes = lines(ROWS, "orbit.altitude_km", "hours", "learning.method")
    band = axes.collections[1]
    assert isinstance(band, PolyCollection)
    edge = band.get_paths()[0].vertices
    assert (edge[:, 1].min(), edge[:, 1].max()) == (3.0, 12.0)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [r"\$a\$_b", "emsfl"]


def test_names_on_the_axis_keep_their_order_and_nothing_warns() -> None:
    rows = ROWS.append_column("kind", pa.array(["_b", "_b", "a", "a", None, "a", "_b", "a"]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        axes = lines(rows, "kind", "hours")
        axes.figure.draw_without_rendering()
        heat_map(rows, "kind", "seed", "hours").figure.draw_without_rendering()
    assert [label.get_text() for label in axes.get_xticklabels()] == ["_b", "a", "none"]


@pytest.mark.parametrize(
    ("x", "value", "says"),
    [("altitude", "hours", "no column 'altitude'"), ("seed", "learning.method", "no numbers")],
)
def test_a_column_that_cannot_be_drawn_is_named(x: str, value: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        heat_map(ROWS, x, "seed", value)
    with pytest.raises(InputError, match=says):
        lines(ROWS, x, value)
