"""Papers: their registry, `leomix reproduce`, and what is refused."""

import json
import math
import re
from pathlib import Path
from pkgutil import resolve_name
from types import SimpleNamespace

import pandas as pd
import pytest
import yaml
from matplotlib.colors import to_hex

import sim
from tests.kit import small
from tests.kit.papers import (
    FORMS,
    NARROW,
    SHIPPED,
    PaperRun,
    Predicted,
    Reproduction,
    flyovers,
    paper_of,
    predictions,
    tallied,
    visits,
)

OURS = {"ems-fl", "nmoe", "alignment"}
OUTSIDE = {"crosatfl", "dove", "fedsat", "fedsatschedule", "flystack", "planes"}
SHORT = {"stop": {"cycles": 3}, "learning": {"gate_tuning_cycles": 0}}


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """Write the file of a paper of one's own, ``mine:paper``, beside its scenario."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    scenario = small.merged(small.SLOTS, SHORT) | {"description": "two clusters in slots"}
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(scenario))
    name = f"mine_{abs(hash(str(tmp_path)))}"
    (tmp_path / f"{name}.py").write_text(
        "from pathlib import Path\ndef paper():\n    return Path('paper.yaml').resolve()\n"
    )

    def written(**changes):
        (tmp_path / "paper.yaml").write_text(yaml.safe_dump(paper(**changes)))
        return f"{name}:paper"

    return written


def paper(**changes):
    method = {name: {"learning.method": name} for name in ("emsfl", "synchronous")}
    show = {"form": "accuracy-over-cycles", "runs": "both"}
    show["options"] = {"panel": "learning.step_size", "line": "variant", "target": 0.3}
    printed = [{"figure": "step size 0.05, emsfl: largest fall", "most": 1.0}]
    printed += [{"figure": "step size 0.05, emsfl: largest fall", "least": 1.5}]
    entries = {
        "fig-1": {"kind": "figure", "label": "Fig. 1", "about": "a drawing", "state": "missing"},
        "fig-2": {
            **{"kind": "figure", "label": "Fig. 2", "about": "accuracy", "state": "implemented"},
            **{"show": show, "printed": printed},
            "claims": [{"claim": "it learns", "verdict": "partly", "why": "it is small"}],
        },
    }
    both = {"scenario": "small.yaml", "variants": method, "vary": {"learning.step_size": [0.05]}}
    return {
        **{"name": "mine", "method": "Mine", "title": "A paper", "authors": ["A. Author"]},
        **{"year": 2026, "text": "All of it.", "runs": {"both": both}, "entries": entries},
        **changes,
    }


def test_a_method_has_one_colour_in_curves_and_bars():
    methods = {"EMS-FL": "emsfl-enhanced", "standard": "emsfl", "baseline": "synchronous"}
    made = []
    for name, method in methods.items():
        found = sim.run(small.slots(stop={"cycles": 1}, learning={"method": method}))
        made.append(PaperRun(name, {"learning.step_size": 0.1}, 0, found))
    options = {"panel": "learning.step_size", "line": "variant"}
    curves = FORMS.find("accuracy-over-cycles")(made, **options).figure.axes[0]
    of_curves = [to_hex(line.get_color()) for line in curves.lines[: len(made)]]
    assert len(set(of_curves)) == len(made)
    for kept in (made, made[::-2]):  # also where a figure has not all of them
        bars = FORMS.find("test-sets")(kept, start=True).figure.axes[0].containers
        drawn = [each.patches[0] for each in bars if hasattr(each, "patches")]
        start, *own = [to_hex(each.get_facecolor()) for each in drawn]
        assert own == [of_curves[made.index(run)] for run in kept] and start not in of_curves


# -- what is shipped


@pytest.mark.parametrize("name", sorted(OURS | OUTSIDE))
def test_a_shipped_paper_names_code_forms_and_runs_that_there_are(name, tmp_path):
    shipped = paper_of(name)
    assert (shipped.name, set(SHIPPED)) == (name, OURS | OUTSIDE)
    assert bool(shipped.predictions) == (name in OUTSIDE)
    for entry in shipped.entries.values():
        for code in entry.code:
            assert callable(resolve_name(code)), code
        assert entry.code or entry.state == "missing", entry.label
        assert entry.state != "missing" or not entry.show
    for quick in (True, False):
        Reproduction(shipped, list(shipped.shown), tmp_path, quick).check()


def test_papers_are_listed_with_their_verdicts(leomix):
    lines = leomix("reproduce").out.splitlines()
    for name in OURS:
        [row] = [line.split() for line in lines if line.startswith(f"{name} ")]
        assert row[-5:] == [str(count) for count in paper_of(name).verdicts().values()]
    rows = [line for line in lines if not re.match(r"\S+ \S+ - ", line)]  # a reason
    foreseen = [line.split()[-1] for line in rows if line.split(" ")[0] in OUTSIDE]
    assert len(foreseen) == sum(
        len(prediction.figures)
        for name in OUTSIDE
        for prediction in paper_of(name).predictions.values()
    )
    assert set(foreseen) <= {"predicted", "equal", "different", "printed"}
    listed = {one["name"]: one for one in json.loads(leomix("reproduce", "--json").out)}
    assert listed["ems-fl"]["entries"]["table-1"]["show"]["form"] in FORMS.names()


# -- an entry is run


@pytest.mark.process
def test_an_entry_is_a_sweep_with_a_table_a_figure_and_the_numbers_of_the_paper(leomix, mine):
    name = mine()
    done = leomix("reproduce", name, "-o", "out", "--quiet")
    assert done.status == 0, done.err
    swept = sim.sweep.read_sweep("out/runs/both")
    final = {}
    for row, folder in zip(swept.rows.to_pylist(), swept.folders, strict=True):
        final[row["variant"]] = sim.load(folder).summary["accuracy_final"]
    shown = Path("out/fig-2.txt").read_text()
    assert shown.strip() in done.out
    for method, accuracy in final.items():
        [row] = [line.split() for line in shown.splitlines() if f" {method} " in line][:1]
        assert f"{accuracy:.3f}" in row
    assert [line.split()[-1] for line in shown.splitlines()[-2:]] == ["equal", "different"]
    assert "partly: it is small" in done.out and "out/fig-2.svg" in done.out
    picture = Path("out/fig-2.svg").read_bytes()
    assert picture.startswith(b"<?xml")

    made = {path: path.stat().st_mtime_ns for path in Path("out/runs").rglob("manifest.json")}
    assert len(made) == 2
    again = leomix("reproduce", name, "-o", "out", "--quiet", "--json")
    assert {path: path.stat().st_mtime_ns for path in made} == made  # nothing is run again
    assert Path("out/fig-2.svg").read_bytes() == picture
    [row] = json.loads(again.out)
    assert [one["equal"] for one in row["printed"]] == [True, False]


@pytest.mark.process
def test_without_its_data_the_timing_alone_is_run_and_named(leomix, mine):
    both = {"scenario": "paper-exp2-cifar", "set": {"stop.cycles": 1}}
    both["stand_in"] = {"learning.data": {"kind": "digit-images"}}
    name = mine(runs={"both": both})
    done = leomix("reproduce", name, "--figure", "fig-2", "-o", "out", "--quiet")
    assert (done.status, done.err.count("\n")) == (2, 1)
    assert "cifar10.npz: no such file" in done.err
    assert "timing only" in done.out and Path("out/fig-2.txt").is_file()


# -- what is predicted

FIG_2 = paper()["entries"]["fig-2"]


def foreseen(**changes):
    figure = {
        **{"figure": "visits", "unit": "visits", "value": 6, "low": 6, "high": 6},
        **{"why": "three slots of two clusters", "look": "Fig. 2"},
        **changes.pop("figure", {}),
    }
    prediction = {"commit": "0" * 40, "missing": ["a"], "figures": [figure], **changes}
    shown = {"show": {"form": "visits", "runs": "both"}, "prediction": prediction}
    return {**{key: FIG_2[key] for key in ("kind", "label", "about", "state")}, **shown}


READ = {"value": 7, "source": "Fig. 2", "why": "they count one more"}
NONE = {"value": None, "source": "Fig. 2"}


@pytest.mark.process
@pytest.mark.parametrize(
    ("read", "state"),
    [(None, "predicted"), (READ | {"value": 6}, "equal"), (READ, "different"),
     (NONE, "not printed")],
)  # fmt: skip
def test_what_was_predicted_is_shown_beside_what_comes_out(read, state, leomix, mine):
    runs = {"both": {"scenario": "small.yaml", "set": {"learning.train": False}}}
    name = mine(runs=runs, entries={"fig-2": foreseen(figure={"read": read})})
    done = leomix("reproduce", name, "-o", "out", "--quiet", "--json")
    assert done.status == 0, done.err
    [row] = json.loads(done.out)
    [figure] = row["predicted"]
    assert (figure["value"], figure["here"], figure["in_range"]) == (6, 6, True)
    assert (figure["state"], row["verdict"]) == (state, f"1 {state}")
    assert Path(row["picture"]).read_bytes().startswith(b"<?xml")
    text = leomix("reproduce", name, "-o", "out", "--quiet").out
    assert f"verdict  1 {state}" in text and ("they count one more" in text) == (
        state in ("equal", "different")
    )


@pytest.mark.parametrize(
    ("figure", "here", "width", "at", "read"),
    [
        ({"low": 4, "high": 8}, 5, 1, 0.25, None),
        ({"low": 4, "high": 8, "read": READ}, 5, 1, 0.25, ("o", 0.75)),
        ({"low": 4, "high": 8, "read": READ | {"value": 24}}, 4, 0.2, 0, ("X", 1)),
        ({"low": 4, "high": 8, "read": NONE}, math.nan, 1, None, None),
        ({}, 6, NARROW, 0.5, None),
        ({"read": READ}, 6, NARROW, 0, ("X", 1)),
    ],
)
def test_a_prediction_is_drawn_as_its_range_what_came_out_and_what_was_read(
    figure, here, width, at, read
):
    one = Predicted.model_validate(foreseen(figure=figure)["prediction"]["figures"][0])
    left, right = predictions([one], {"visits": here}).axes
    bar = left.containers[0].patches[0]
    marks = [line for line in left.lines[:2] if math.isfinite(line.get_xdata()[0])]
    drawn = [(line.get_marker(), line.get_xdata()[0]) for line in marks]
    assert bar.get_width() == pytest.approx(width)
    assert drawn == ([("|", at)] if at is not None else []) + ([read] if read else [])
    [label] = [text.get_text() for text in right.get_yticklabels()]
    printed = "-" if read is None else f"{one.read.value:g}"
    assert label == f"{one.ends_text} | {'-' if at is None else f'{here:g}'} | {printed}"


def test_figures_of_visits_are_those_of_the_tables(runs):
    result = runs.result("batteries")
    shown = visits([PaperRun("", {}, 1, result)], groups={"all": ""}, training_min=[0, 1e6])
    found = shown.measured
    assert found["visits"] == found["visits, all"] == result.summary["contacts"]
    assert found["mean visit (min)"] * 60 * len(result.contacts) == pytest.approx(
        result.contacts.duration_s.sum()
    )
    longer = "next visit longer than {} min (%)".format
    assert (found[longer("0")], found[longer("1e+06")]) == (100, 0)
    done = result.transfers[result.transfers.outcome == "delivered"]
    assert found["uploads"] + found["downloads"] == len(done) > 0
    assert found["rounds"] == result.summary["rounds"]["count"]


def test_a_model_that_a_visit_carries_twice_and_a_round_of_all_are_those_of_the_tables(runs):
    result = runs.result("batteries")
    capacity = result.contacts.downlink_capacity_bytes_per_device
    size_mb = float(capacity.median()) / 2e6
    found = visits([PaperRun("", {}, 1, result)], model_mb=size_mb).measured
    assert (
        found["visits that carry the model twice (%)"]
        == 100 * (capacity >= 2 * size_mb * 1e6).mean()
    )
    rate_bps = 8 * capacity.sum() / result.contacts.duration_s.sum()
    assert found["model once (min)"] == pytest.approx(size_mb * 8e6 / rate_bps / 60)
    rises = {name: sorted(own.rise_s) for name, own in result.contacts.groupby("satellite")}
    rounds = []
    for start in result.contacts.rise_s:
        second = [[t for t in times if t >= start][1:2] for times in rises.values()]
        if all(second):
            rounds.append(max(one[0] for one in second) - start)
    ends = (found["shortest round of all (h)"], found["longest round of all (h)"])
    assert ends == pytest.approx((min(rounds) / 3600, max(rounds) / 3600))


def test_who_trains_over_places_uploads_or_fetches():
    """Two satellites, by hand: a visit fetches, places train, and the next visit uploads."""
    home, away = True, False
    passes = [
        *(("a", away), ("a", home)),  # trains nothing yet; fetches
        *(("a", away), ("a", away), ("a", home)),  # trains once; uploads: version 1
        *(("b", home), ("b", home)),  # fetches; there is no newer model
        *(("a", away), ("a", home)),  # again: uploads; once: fetches version 1
    ]
    planes = {"a": "A", "b": "B"}
    again = tallied(passes, planes, 1, "again")
    once = tallied(passes, planes, 1, "once")
    assert (again.uploaded, again.fetched) == ({"A": 2}, {"A": 1, "B": 1})
    assert (once.uploaded, once.fetched) == ({"A": 1}, {"A": 2, "B": 1})
    assert again.idle == once.idle == {"B": 1}
    assert (again.planes_a_buffer, once.planes_a_buffer) == ([1, 1], [1])
    # Both begin with a model: each update of a is of the newest, that of b is not.
    newest = tallied([*passes, ("b", away), ("b", home)], planes, 1, "newest only")
    assert (newest.uploaded, newest.fetched) == ({"A": 3}, {"B": 2})
    assert (newest.discarded, newest.idle) == ({"B": 1}, {"B": 1})


def test_the_share_of_trainings_that_are_discarded_is_of_all_that_come_to_the_station():
    """Each of two satellites trains and comes; the second has the model from before the first."""
    passes = {
        "home": pd.DataFrame({"satellite": ["A-P0-S0", "B-P0-S0"], "rise_s": [2.0, 3.0]}),
        "away": pd.DataFrame({"satellite": ["A-P0-S0", "B-P0-S0"], "rise_s": [0.0, 1.0]}),
    }
    made = [PaperRun(name, {}, 1, SimpleNamespace(contacts=own)) for name, own in passes.items()]
    found = flyovers(made, station="home", places="away", buffer_size=1).measured
    assert found["uploads, newest only"] == found["discarded, newest only"] == 1
    assert found["trainings discarded (%), newest only"] == 50


# -- what is refused

WRONG = {
    "no form": ({"entries": {"fig-2": {**FIG_2, "show": {**FIG_2["show"], "form": "curve"}}}},
                "no form 'curve'"),
    "no option": ({"entries": {"fig-2": {**FIG_2, "show": {"form": "timing", "runs": "both",
                                                           "options": {"panel": "a"}}}}},
                  "entries.fig-2.show.options"),
    "no runs": ({"runs": {}}, "there are no runs 'both'"),
    "nothing to run": ({"entries": {"fig-1": paper()["entries"]["fig-1"]}}, "no entry can be run"),
    "no scenario": ({"runs": {"both": {"set": {}}}}, "runs.both.scenario: is missing"),
    "unknown scenario": ({"runs": {"both": {"scenario": "smal.yaml"}}}, "smal.yaml"),
    "unknown key": ({"runs": {"both": {"scenario": "small.yaml", "set": {"stop.cycle": 1}}}},
                    "stop.cycle"),
    "key of the paper": ({"colour": "red"}, "colour: is not a key"),
    "no reason": ({"entries": {"fig-2": {**FIG_2, "claims": [{"claim": "it learns",
                                                              "verdict": "partly"}]}}}, "say why"),
    "predicted without a scenario": ({"entries": {"fig-2": {**foreseen(), "show": None}}},
                                     "entries.fig-2: predicts figures, and has no scenario"),
    "predicted out of its range": ({"entries": {"fig-2": foreseen(figure={"low": 7, "high": 8})}},
                                   "outside of its range"),
    "read before it was committed": ({"entries": {"fig-2": foreseen(figure={"read": NONE},
                                                                    commit=None)}},
                                     "no commit has fixed the prediction"),
    "different for no reason": ({"entries": {"fig-2": foreseen(figure={"read": NONE | {
        "value": 9}})}}, "read.why"),
    "no windows": ({"runs": {"both": {"scenario": "small.yaml", "set": {"orbit": {
        "source": "contacts", "path": "windows.csv"}}}}}, "windows.csv"),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_paper_is_one_line_before_anything_is_run(what, leomix, mine):
    changes, said = WRONG[what]
    done = leomix("reproduce", mine(**changes), "-o", "out", "--quiet")
    assert (done.status, done.err.count("\n"), said in done.err) == (2, 1, True), done.err
    assert not Path("out").exists()


@pytest.mark.parametrize("line", [["mine", "--quiet"], ["mine", "--figure", "fig-2"]])
@pytest.mark.parametrize("raises", ["raise KeyError('a\\nb')", "raise SystemExit(1)"])
def test_a_paper_whose_function_raises_is_one_line_with_its_place(raises, line, leomix, mine):
    name = mine()
    module = Path(f"{name.partition(':')[0]}.py")
    module.write_text(f"def paper():\n    {raises}\n")
    done = leomix("reproduce", name, *line[1:], "-o", "out")
    assert (done.status, done.err.count("\n")) == (2, 1), done.err
    kind = raises.split()[1].partition("(")[0]
    assert f"its function fails: {kind}: " in done.err and f"({module}:2)" in done.err
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (["emsfl"], "did you mean 'ems-fl'?"),
        (["ems-fl", "--figure", "fig5"], "did you mean 'fig-5'?"),
        (["ems-fl", "--figure", "fig-1"], "Fig. 1 is not run"),
        (["--figure", "fig-5"], "name the paper"),
        (["--quick"], "name the paper, or give --all"),
        (["ems-fl", "--all"], "leave one of them out"),
        (["ems-fl", "-j", "-1"], "-j -1"),
    ],
)
def test_a_wrong_line_is_one_line_and_exit_2(line, said, leomix):
    done = leomix("reproduce", *line)
    assert (done.status, done.err.count("\n"), said in done.err) == (2, 1, True), done.err
