"""Pictures of runs and sweeps: the numbers behind them are those of the tables."""

import base64
import io
import shutil
import warnings
from itertools import combinations
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure

import orbit
import scenarios
import sim
from tests.kit import small
from tests.kit.handmade import tables_of
from tests.kit.inner.sim import (
    COLOURS,
    COLUMNS,
    HEAT,
    TARGETS,
    InputError,
    Result,
    comparison,
    data_behind,
    draw_staleness,
    ground_sites,
    looks_of,
)

EMPTY = {name: pa.schema(list(columns.items())).empty_table() for name, columns in COLUMNS.items()}


@pytest.fixture
def trained(runs):
    return runs.result("slots")


@pytest.fixture
def passes(runs):
    return runs.result("orbit-timing")


def texts_of(artists):
    return [artist.get_text() for artist in artists]


def test_accuracy_over_time_and_over_cycles_is_that_of_the_metrics(trained):
    rows = trained.metrics[trained.metrics.scope == "global"]
    axes = trained.plot.accuracy()
    line = axes.lines[0]
    np.testing.assert_allclose(line.get_xdata(), rows.time_s / 60)
    np.testing.assert_array_equal(line.get_ydata(), rows.accuracy)
    [loss] = trained.plot.loss().lines
    np.testing.assert_array_equal(loss.get_ydata(), rows.loss)
    rows = trained.metrics.groupby(["scope", "cluster", "cycle"], dropna=False).accuracy.first()
    axes = trained.plot.accuracy(over="cycle", clusters=True)
    for line, cluster in zip(axes.lines, ("A", "B"), strict=False):
        np.testing.assert_array_equal(line.get_xdata(), [0, 1, 2, 3])
        np.testing.assert_array_equal(line.get_ydata(), rows["cluster", cluster])
    assert texts_of(axes.get_legend().texts) == ["A", "B", "all"]


def test_runs_are_compared_by_their_labels(trained, passes):
    axes = comparison.accuracy({"timing": passes, "one": trained, "_two": trained})
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), axes.lines[1].get_ydata())
    # The first has its method's colour on every page; another one of the same method has its own.
    own = trained.plot.accuracy().lines[0].get_color()
    drawn = comparison.accuracy({"one": trained, "two": trained}).lines[:2]
    assert own == drawn[0].get_color() != drawn[1].get_color()
    assert drawn[0].get_marker() != drawn[1].get_marker()
    assert len(axes.get_legend().get_texts()) == 2
    with pytest.raises(InputError, match="none of the runs"):
        comparison.accuracy({"timing": passes})


KNOWN = ("emsfl", "emsfl-enhanced", "synchronous", "fedavg", "local", "select", "MODULE:Own")


@given(st.lists(st.none() | st.sampled_from(KNOWN), min_size=1, max_size=8))
def test_of_eight_lines_no_two_are_nearly_alike(methods):
    """Colours that some eyes hardly tell apart have other dashes; and no marker comes twice."""
    looks = looks_of(methods)
    assert len({look.hue for look in looks}) == len({look.mark for look in looks}) == len(looks)
    for one, other in combinations(looks, 2):
        near = min(distance(one.line["color"], other.line["color"], eyes) for eyes in EYES)
        in_print = len(looks) > 4  # colours are equally dark
        assert (near >= 20 and in_print) or one.line["linestyle"] != other.line["linestyle"]


EYES = {
    "all cones": np.eye(3),
    "no red ones": np.array(
        [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]]
    ),
    "no green ones": np.array(
        [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]]
    ),
}
"""What eyes make of linear RGB, after Machado, Oliveira and Fernandes (2009)."""
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def distance(one, other, eyes):
    """How far apart two colours are in CIELAB, white being that of sRGB."""

    def lab(colour):
        shares = np.array(to_rgb(colour))
        linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
        xyz = XYZ @ np.clip(EYES[eyes] @ linear, 0.0, 1.0) / XYZ.sum(axis=1)
        root = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
        return np.array([116 * root[1] - 16, 500 * (root[0] - root[1]), 200 * (root[1] - root[2])])

    return np.linalg.norm(lab(one) - lab(other))


def test_a_contact_is_as_high_as_the_satellite_stands(passes):
    served = passes.contacts[passes.contacts.served.astype(bool)]
    longest = served.loc[(served.service_end_s - served.service_start_s).idxmax()]
    axes = passes.plot.contact()
    time_s = longest.rise_s + axes.lines[0].get_xdata() * 60
    assert time_s[-1] == pytest.approx(longest.set_s, abs=1e-3)
    scenario = small.orbit()
    site = next(s for s in ground_sites(scenario) if s.name == longest.cluster)
    satellite = orbit.circular_satellite("it", 600.0, 97.8, 0.0, 0.0, scenario.start)
    looks = orbit.look_angles(satellite, site, scenario.start, time_s)
    np.testing.assert_allclose(axes.lines[0].get_ydata(), looks.elevation_deg[:, 0], atol=1e-3)
    assert max(axes.figure.axes[-1].lines[0].get_ydata()) > 0


def fields_of(axes):
    """The colours of fields by row and column."""
    return {
        (int(row + 0.5), int(column + 0.5)): patch.get_facecolor()
        for patch in axes.patches
        for column, row in patch.get_path().vertices[::5]
    }


def test_fields_of_the_assignment_have_the_colour_of_the_owner(runs, trained):
    picture = fields_of(trained.plot.assignment())
    rows = trained.assignments
    rows = rows[rows.device.isna() & rows.assigned.astype(bool)]
    times = sorted(rows.time_s.unique())
    opacity = {}
    assert len(rows) == len(picture) == (rows.expert.max() + 1) * len(times)
    for row in rows.itertuples():
        field = picture[int(row.expert), times.index(row.time_s)]
        assert to_hex(field[:3]) == COLOURS["AB".index(str(row.cluster))]
        opacity[float(row.relevance)] = float(field[3])
    ordered = [opacity[relevance] for relevance in sorted(opacity)]
    assert ordered == sorted(ordered)


@pytest.mark.parametrize(("cities", "devices", "labels"), [(7, 7, 30), (50, 1, 16)])
def test_samples_of_clients_are_drawn_by_class(cities, devices, labels):
    """Of more than 48 devices the clusters, of more clusters the first 48, and 15 classes."""
    drawn = np.random.default_rng(labels).integers(0, 5, (cities, devices, labels))
    rows = [(f"c{c:02}", d, label, n) for (c, d, label), n in np.ndenumerate(drawn) if n]
    columns = dict(zip(COLUMNS["clients"], zip(*rows, strict=True), strict=True))
    table = pa.table(columns, schema=EMPTY["clients"].schema)
    axes = Result({**EMPTY, "clients": table}, {"method": "fedavg"}).plot.clients()
    shown = data_behind(axes).to_pandas()
    samples = shown.pivot(index="client", columns="class", values="samples")
    samples = samples.reindex(shown["client"].unique(), columns=shown["class"].unique())
    expected = drawn.sum(1)[:48]
    assert axes.get_ylabel() == "cluster" + (", the first 48 of 50" if cities == 50 else "")
    np.testing.assert_array_equal(samples.sum(axis=1), expected.sum(1))
    names = [*samples.columns]
    assert labels == 16 or (names.pop(), len(names)) == ("15 others", 15)
    np.testing.assert_array_equal(samples[names], expected[:, list(map(int, names))])
    row, column = np.unravel_index(samples.to_numpy().argmax(), samples.shape)
    assert to_hex(fields_of(axes)[row, column]) == HEAT[-1]


def test_what_does_not_suit_a_run_is_refused_in_a_line(runs):
    run = runs.result("slots-timing")
    empty = Result(EMPTY, {**run.manifest, "simulated_s": 0.0}).plot
    untrained = run.plot
    refused = ["accuracy", "map", "contact", "gating", "clients"]
    for plot, drawings in (
        (empty, [*refused, "timeline", "assignment", "where_time_went"]),
        (untrained, refused),
    ):
        for what in drawings:
            with pytest.raises(InputError, match=r"\A[^\n]+\Z"):
                getattr(plot, what)()


def test_odd_names_are_written_as_they_are(trained):
    """Into SVG with text: no formula, no markup, nothing hidden, no warning."""
    names = ("$a$ and $b$", "_hidden <b>&")
    tables = dict(trained.tables)
    for key, table in tables.items():
        called = {None: None, **dict(zip("AB", names, strict=True))}
        texts = [called.get(text, text) for text in table["cluster"].to_pylist()]
        place = table.column_names.index("cluster")
        tables[key] = table.set_column(place, "cluster", pa.array(texts, pa.string()))
    plot = Result(tables, trained.manifest).plot
    out = io.BytesIO()
    with warnings.catch_warnings(), matplotlib.rc_context({"svg.fonttype": "none"}):
        warnings.simplefilter("error")
        figure = Figure(figsize=(9, 7), layout="constrained")
        axes = figure.subplots(2, 2)
        plot.accuracy(axes[0, 0], clusters=True)
        plot.timeline(axes[0, 1])
        plot.assignment(axes[1, 0])
        plot.where_time_went(axes[1, 1])
        figure.savefig(out, format="svg")
    written = ["".join(node.itertext()) for node in ElementTree.fromstring(out.getvalue()).iter()]
    assert min(written.count(name) for name in names) >= 4


def spans_of(rows):
    """Contacts of a cluster, of which each is served all the time."""
    return [
        {"contact_id": n, "cluster": "A", "satellite": "s", "served": True}
        | {"rise_s": begin, "set_s": end, "service_start_s": begin, "service_end_s": end}
        for n, (begin, end) in enumerate(rows)
    ]


@given(st.lists(st.tuples(st.integers(0, 900), st.integers(1, 60)), min_size=1, max_size=12))
def test_bars_of_a_timeline_are_the_union_of_spans_without_gaps_that_nobody_sees(rows):
    """A gap of the 800th part of what is shown is closed: of 1,600 s one of two."""
    spans = sorted((float(begin), float(begin + lasts)) for begin, lasts in rows)
    tables = tables_of(contacts=spans_of(spans))
    axes = Result(tables, {"method": "", "simulated_s": 1600.0}).plot.timeline()
    wanted = []
    for begin, end in spans:
        if wanted and begin - wanted[-1][1] <= 2.0:
            wanted[-1] = wanted[-1][0], max(end, wanted[-1][1])
        else:
            wanted.append((begin, end))
    for what in ("in view", "connected"):
        shown = [row for row in data_behind(axes).to_pylist() if row["what"] == what]
        assert [(row["begin_s"], row["end_s"]) for row in shown] == wanted
    drawn = [patch.get_path().get_extents() for patch in axes.patches]
    assert max(box.x1 for box in drawn) == pytest.approx(max(end for _, end in spans) / 60)


def test_what_lasts_beyond_the_end_of_a_timeline_is_cut_there():
    tables = tables_of(contacts=spans_of([(100.0, 200.0), (700.0, 2000.0), (1700.0, 1900.0)]))
    plot = Result(tables, {"method": "", "simulated_s": 1600.0}).plot
    for days, end_s in ((None, 1600.0), (800 / 86400, 800.0)):
        shown = data_behind(plot.timeline(days=days)).to_pylist()
        spans = [(row["begin_s"], row["end_s"]) for row in shown if row["what"] == "in view"]
        assert spans == [(100.0, 200.0), (700.0, pytest.approx(end_s))]


def test_all_targets_among_what_is_shown_are_lines():
    ends = zip((0.0, 3600.0, 7200.0), (0.74, 0.8, 0.91), strict=True)
    rows = [{"time_s": t, "cycle": 0, "scope": "global", "accuracy": a} for t, a in ends]
    manifest = {"method": "fedavg", "simulated_s": 7200.0, "scenario": {"learning": {}}}
    axes = Result(tables_of(metrics=rows), manifest).plot.accuracy()
    drawn = [line.get_ydata()[0] for line in axes.lines[1:]]
    assert drawn == [0.75, 0.8, 0.85, 0.88, 0.9] == [*TARGETS]
    assert [text.get_text() for text in axes.texts] == ["0.75", "0.80", "0.85", "0.88", "0.90"]


def test_rounds_are_drawn_with_their_mean():
    ends_s = [3600.0, 7200.0, 18000.0]
    events = [{"time_s": t, "kind": "aggregate", "clusters": 1} for t in ends_s]
    axes = Result(tables_of(events=events), {"method": "", "simulated_s": 2e4}).plot.rounds()
    steps, mean = axes.lines
    assert data_behind(axes)["lasted_s"].to_pylist() == [3600.0, 3600.0, 10800.0]
    assert "minutes" in axes.get_ylabel() or "hours" in axes.get_ylabel()
    scale = 60.0 if "minutes" in axes.get_ylabel() else 3600.0
    assert mean.get_ydata()[0] * scale == pytest.approx(6000.0)  # and not the one in the middle
    assert steps.get_ydata()[-1] * scale == pytest.approx(10800.0)
    scale = 60.0 if "minutes" in axes.get_xlabel() else 3600.0
    assert steps.get_xdata() * scale == pytest.approx([0.0, *ends_s])


@pytest.mark.parametrize(("most", "width"), [(4, 1), (99, 1), (100, 2), (250, 3)])
def test_a_bar_of_the_staleness_stands_over_the_versions_that_it_counts(most, width):
    counts = {0: 5, 1: 2, most: 7}
    axes = Figure().subplots()
    draw_staleness(axes, counts)
    for version, count in counts.items():
        [bar] = [
            bar
            for bar in axes.patches
            if bar.get_height() and abs(bar.get_x() + bar.get_width() / 2 - version) < width / 2
        ]
        together = sum(n for v, n in counts.items() if v // width == version // width)
        assert bar.get_height() == together >= count


def test_a_share_too_small_for_the_scale_stands_where_it_begins_and_none_stands_nowhere():
    """Ten seconds of training in twelve days, and nothing sent."""
    trained = [(t, kind) for t, kind in ((5.0, "train_start"), (15.0, "train_end"))]
    events = [
        {"time_s": t, "kind": kind, "cluster": "A", "device": 0, "rounds": 1} for t, kind in trained
    ]
    result = Result(tables_of(events=events), {"method": "", "simulated_s": 1e6})
    axes = result.plot.where_time_went()
    drawn = {row["part"]: row["percent"] for row in data_behind(axes).to_pylist()}
    assert drawn["training"] == pytest.approx(1e-3) and drawn["waiting"] == pytest.approx(99.999)
    shown = [line.get_xdata()[0] for line in axes.lines if line.get_marker() not in ("", "None")]
    low, high = axes.get_xlim()
    places = [x for x in shown if not np.isnan(x)]
    assert len(shown) == 4 and len(places) == 2  # nobody sends or queues
    assert all(low < x < high for x in places) and min(places) == 0.01


# -- results in notebooks and in the terminal


def test_a_result_is_a_line_and_in_notebooks_an_escaped_table_with_a_picture(runs, tmp_path):
    trained = sim.load(shutil.copytree(runs["slots"], tmp_path / "<i>run"))
    accuracy = trained.summary["accuracy_final"]
    wanted = f"Result(emsfl, 0.06 days, 3 cycles, accuracy {accuracy:.3f}, {trained.folder})"
    assert repr(trained) == wanted
    page = ElementTree.fromstring(trained._repr_html_())  # nothing of a name is markup
    cells = {row[0].text: row[1].text for row in page.iter("tr")}
    assert cells["folder"] == str(trained.folder)
    kind, picture = page.find("img").attrib["src"].split(";base64,")
    assert kind == "data:image/svg+xml"
    assert ElementTree.fromstring(base64.b64decode(picture)).tag.endswith("svg")
    timing = runs.result("slots-timing")
    failed = Result(timing.tables, {**timing.manifest, "status": "failed"})
    assert repr(failed) == "Result(emsfl, 0.06 days, 3 cycles, failed)"
    assert "<img" not in timing._repr_html_()
    assert trained.plot.accuracy()._repr_png_().startswith(b"\x89PNG\r\n")


def test_a_network_study_is_a_line_and_in_notebooks_a_table(tmp_path):
    sim.run(scenarios.load("three-stations", {"stop.days": 0.05}), tmp_path / "study")
    study = sim.load(tmp_path / "study")
    assert repr(study) == f"Result(network study, 0.05 days, {study.folder})"
    page = ElementTree.fromstring(study._repr_html_())
    cells = {row[0].text: row[1].text for row in page.iter("tr")}
    assert cells["folder"] == str(study.folder) and page.find("img") is None
    assert (study.held_back, study.gating_pattern) == (None, None)
    with pytest.raises(InputError, match="a network study has no rounds"):
        _ = study.critical_path
    with pytest.raises(InputError, match=r"has no picture of this kind \(accuracy\): nobody"):
        study.plot.accuracy()
