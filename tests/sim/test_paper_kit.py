"""`leomix report --paper`: what a paper shows is what `compare` says, and LaTeX takes it."""

import json
import re
import shutil
import subprocess
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import scenarios
import sim
from sim.report import report
from sim.sweep import read_sweep, sweep
from tests.kit.network import InputError
from tests.kit.results import LONGEST, escaped, labels_of
from tests.kit.small import SLOTS, merged

ROOT = Path(__file__).resolve().parents[2]


def has_tex(style):
    """Whether LaTeX is installed, with this style."""
    if shutil.which("pdflatex") is None or shutil.which("kpsewhich") is None:
        return False
    return subprocess.run(["kpsewhich", style], capture_output=True, check=False).returncode == 0


ODD = "50 % & more_steps #1 {x} $y$ ~^\\"
PLAIN = "emsfl"
VARIANTS = {
    PLAIN: {},
    ODD: {"learning.steps_per_round": 3},
    "synchronous": {"learning.method": "synchronous"},
}


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """Three variants, three seeds: some milliseconds of training each."""
    place = tmp_path_factory.mktemp("swept")
    powered = {"description": "small", "compute": {"power_w": 5}, "learning": {"step_size": 0.3}}
    (place / "small.yaml").write_text(yaml.safe_dump(merged(SLOTS, powered)))
    made = sweep(
        place / "small.yaml", {}, place / "sweep", variants=VARIANTS, replications=3, cache=False
    )
    return made.folder


@pytest.fixture(scope="module")
def kit(swept, tmp_path_factory):
    place = tmp_path_factory.mktemp("kit") / "paper"
    report([swept], tmp_path_factory.mktemp("page") / "page.html", paper=place)
    return place


def test_the_table_of_results_has_the_means_and_intervals_of_compare(leomix, swept, kit):
    compared = json.loads(leomix("compare", swept, "--json").out)["comparison"]
    table = pd.read_csv(kit / "tables/results.csv")
    groups = {group["label"]: group for group in compared["groups"]}
    assert table.group.tolist() == list(groups) == list(VARIANTS)
    columns = {name.rpartition("_")[0] for name in table.columns[2:]}
    always = {"accuracy_final", "uplink_bytes", "downlink_bytes", "energy_j", "device_memory_bytes"}
    shared = compared["shared_target"]
    assert columns == always | {f"hours_to_{shared}"}
    for row in table.to_dict("records"):
        group = groups[row["group"]]
        assert row["seeds"] == group["runs"] == 3
        for name in sorted(always):
            for end in ("mean", "low", "high"):
                assert row[f"{name}_{end}"] == pytest.approx(group[name][end])
        time = group["hours_to"][shared]
        geometric = time["geometric_mean"] is not None
        wanted = time["geometric_mean" if geometric else "mean"]
        found = row[f"hours_to_{shared}_mean"]
        assert pd.isna(found) if wanted is None else found == pytest.approx(wanted)
    shown = (kit / "tables/results.tex").read_text()
    for group in groups.values():
        assert f"{group['accuracy_final']['mean']:.3f}" in shown
    tests = pd.read_csv(kit / "tables/tests.csv")
    pairs = {frozenset(pair) for pair in zip(tests.group, tests.against, strict=True)}
    assert pairs == {frozenset(pair) for pair in combinations(VARIANTS, 2)}
    wanted = [one["t_p_holm"] for one in compared["tests"]]
    tests = tests[tests.against == compared["reference"]]
    assert tests.t_p_holm.astype(object).where(tests.t_p_holm.notna(), None).tolist() == wanted


@pytest.mark.wide
def test_the_kit_has_the_target_of_compare_not_one_that_was_reached_at_the_start(leomix, tmp_path):
    """Every run is above 0.1 before it has learnt anything: a time to that says nothing."""
    easy = {"learning": {"step_size": 0.3, "targets": [0.01, *(n / 20 for n in range(4, 20))]}}
    (tmp_path / "easy.yaml").write_text(yaml.safe_dump(merged(SLOTS, easy)))
    made = sweep(
        tmp_path / "easy.yaml", {"learning.step_size": [0.3, 1e-9]}, tmp_path / "s",
        replications=3, cache=False,
    )  # fmt: skip
    compared = json.loads(leomix("compare", made.folder, "--json").out)["comparison"]
    report([made.folder], tmp_path / "page.html", paper=tmp_path / "kit")
    columns = pd.read_csv(tmp_path / "kit/tables/results.csv").columns
    times = {name.rpartition("_")[0] for name in columns if name.startswith("hours_to_")}
    assert times == {f"hours_to_{compared['shared_target']}"}


def test_figures_have_the_labels_of_the_groups_and_the_name_of_the_target(leomix, swept, kit):
    shared = json.loads(leomix("compare", swept, "--json").out)["comparison"]["shared_target"]
    names = [f"accuracy-over-{over}" for over in ("time", "bytes", "energy")]
    for name in names:
        nodes = ElementTree.parse(kit / f"figures/{name}.svg").iter()
        written = ["".join(node.itertext()).strip() for node in nodes if node.tag.endswith("}text")]
        assert {*VARIANTS, shared, "accuracy"} <= set(written)
        assert (kit / f"figures/{name}.pdf").read_bytes().startswith(b"%PDF")
        picture = (kit / f"figures/{name}.pgf").read_text()
        assert all(f" {escaped(label)}}}" in picture for label in (*VARIANTS, shared))
        data = pd.read_csv(kit / f"figures/{name}.csv")
        means = data[data.mean_of.notna()]
        assert set(means.line) == set(VARIANTS)
        assert (means.low.fillna(0.0) <= means.accuracy).all()


def test_scenarios_of_the_kit_are_those_of_its_groups(leomix, swept, kit):
    groups = json.loads(leomix("compare", swept, "--json").out)["comparison"]["groups"]
    files = sorted((kit / "scenarios").iterdir())
    assert [file.name for file in files] == [f"group-{n}.yaml" for n in (1, 2, 3)]
    ran = {
        (run.summary["seed"], run.summary["method"], run.scenario.learning.steps_per_round): run
        for run in map(sim.load, read_sweep(swept).finished)
    }
    for file, group in zip(files, groups, strict=True):
        assert file.read_text().startswith(f"# {group['label']}: seeds 3, 4 and 5\n")
        found = scenarios.load(file)
        run = ran.pop((3, found.learning.method, found.learning.steps_per_round))
        assert found.model_dump() == run.scenario.model_dump()


def test_captions_say_what_was_compared_and_how(leomix, swept, kit):
    said = (kit / "captions.md").read_text()
    for words in (
        "over 3 seeds (3, 4, 5)",
        "(Student's t)",
        "paired t test",
        "(Holm)",
        "are clipped",
    ):
        assert words in said
    groups = json.loads(leomix("compare", swept, "--json").out)["comparison"]["groups"]
    trained = [f"{one['device_rounds']['median']:,.0f} rounds" for one in groups]
    assert len(set(trained)) > 1 and all(f"{words} (" in said for words in trained)
    assert "scenario small, 3 cycles, orbit slots" in said and "with leomix 0." in said
    macros = (kit / "captions.tex").read_text()
    paper = (kit / "paper.tex").read_text()
    used = set(re.findall(r"\\caption\{\\(\w+)\}", paper))
    assert used and used < set(re.findall(r"\\newcommand\{\\([A-Za-z]+)\}", macros))
    for file in re.findall(r"^ .*\{((?:figures|tables)/[\w-]+)", paper, re.M):
        assert list(kit.glob(f"{file}*"))


@pytest.mark.skipif(not has_tex("pgf.sty"), reason="install a TeX with pgf: papers are compiled")
def test_pdflatex_takes_the_paper_and_a_picture_of_pgf(kit, tmp_path):
    place = shutil.copytree(kit, tmp_path / "paper")
    text = (place / "paper.tex").read_text()
    picture = r"\input{figures/accuracy-over-time.pgf}\end{document}"
    text = text.replace(r"\usepackage{graphicx}", r"\usepackage{graphicx,pgf}")
    (place / "paper.tex").write_text(text.replace(r"\end{document}", picture))
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper"]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Missing character" not in (place / "paper.log").read_text(errors="replace")


@pytest.fixture(scope="module")
def over_key(tmp_path_factory):
    """The kit of a sweep over a key with numbers, whose targets the user has named."""
    place = tmp_path_factory.mktemp("over-key")
    named = {"description": "small", "learning": {"targets": [0.05, 0.1, 0.99]}}
    (place / "small.yaml").write_text(yaml.safe_dump(merged(SLOTS, named)))
    varied = {"learning.steps_per_round": [1, 3]}
    made = sweep(place / "small.yaml", varied, place / "s", replications=3, cache=False)
    report([made.folder], place / "page.html", paper=place / "paper")
    return place / "paper"


@pytest.mark.wide
def test_a_key_with_numbers_has_figures_over_its_values_with_the_means_of_the_table(over_key):
    results = pd.read_csv(over_key / "tables/results.csv")
    data = pd.read_csv(over_key / "figures/accuracy-final-over-steps-per-round.csv")
    assert data["learning.steps_per_round"].tolist() == [1, 3]
    for end in ("mean", "low", "high"):
        found = data["final accuracy" if end == "mean" else end]
        assert found.tolist() == pytest.approx(results[f"accuracy_final_{end}"].tolist())
    assert (
        r"\newcommand{\leomixAccuracyFinalOverStepsPerRound}"
        in (over_key / "captions.tex").read_text()
    )


def test_each_target_of_the_user_has_a_line_with_its_name_right_of_the_axes(over_key):
    nodes = list(ElementTree.parse(over_key / "figures/accuracy-over-time.svg").iter())
    texts = {"".join(one.itertext()).strip() for one in nodes if one.tag.endswith("}text")}
    assert {"0.05", "0.10", "0.99"} <= texts
    said = (over_key / "captions.md").read_text()
    assert "the targets, accuracies of 0.05, 0.10 and 0.99" in said


def test_all_times_are_in_hours_where_no_run_lasts_two_days(over_key):
    simulated = [(over_key / name).read_text() for name in ("captions.md", "tables/results.tex")]
    assert all("ours" in one for one in simulated)
    assert not any(re.search(r"\bdays to\b", one, re.I) for one in simulated)
    assert "simulated_hours" in (over_key / "figures/accuracy-over-time.csv").read_text()


def test_equal_figures_are_not_bold_and_intervals_have_two_ends(over_key):
    for path in (over_key / "tables").glob("*.tex"):
        shown = path.read_text()
        assert not [e for e in re.findall(r"\[([\d.]+), ([\d.]+)\]", shown) if e[0] == e[1]]
        for bold in re.findall(r"\\textbf\{(.*?)\}", shown):
            assert len(re.findall(rf"[ {{]{re.escape(bold)}[ }}]", shown)) == 1
        assert "energy" not in shown
    assert "Energy is not modelled" in (over_key / "captions.md").read_text()


def test_a_kit_of_an_interrupted_sweep_says_on_stderr_how_many_points_are_missing(
    leomix, swept, tmp_path
):
    place = shutil.copytree(swept, tmp_path / "cut")
    path = place / "sweep.parquet"
    rows = pq.read_table(path)
    statuses = [
        "interrupted" if row["variant"] == "synchronous" else row["status"]
        for row in rows.to_pylist()
    ]
    column = rows.column_names.index("status")
    pq.write_table(rows.set_column(column, "status", [statuses]), path)
    told = leomix("report", place, "--paper", tmp_path / "kit")
    assert told.err.count("warning: 3 of 9 points of cut are not complete.") == 1


def test_what_cannot_be_written_is_refused_before_anything_is(leomix, swept, kit, tmp_path):
    page = tmp_path / "page.html"
    one = next((swept / "points").iterdir())
    refused = leomix("report", one, "-o", page, "--paper", tmp_path / "new")
    assert (refused.status, refused.err.count("\n")) == (2, 1)
    assert "has 1 seed, and a 95 % interval takes 3, as data and start weights are" in refused.err
    assert "run 3 seeds or more (--seed), or take --figures DIR" in refused.err
    refused = leomix("report", swept, "-o", page, "--paper", kit)
    assert refused.status == 2 and "is not an empty folder; name another one" in refused.err
    assert not page.exists() and not (tmp_path / "new").exists()
    with pytest.raises(InputError, match="not an empty folder"):
        report([swept], page, paper=swept / "sweep.json")


def test_the_same_folders_give_the_same_bytes(swept, kit, tmp_path):
    again = tmp_path / "again"
    report([swept], tmp_path / "page.html", paper=again)
    files = sorted(path.relative_to(kit) for path in kit.rglob("*") if path.is_file())
    assert len(files) > 15
    assert all((kit / file).read_bytes() == (again / file).read_bytes() for file in files)


@pytest.mark.wide
def test_of_a_key_without_effect_one_map_is_drawn_and_without_chance_one_seed_is_enough(
    leomix, tmp_path
):
    """Of the step size, where nothing is trained: maps of each would be equal."""
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(merged(SLOTS, {"description": "small"})))
    varied = {
        "compute.seconds_per_round": "100,200",
        "orbit.slots.idle": "0,1",
        "learning.step_size": "0.1,0.3",
    }
    keys = [word for key, values in varied.items() for word in ("-p", f"{key}={values}")]
    timing = ("--set", "learning.train=false", "--set", "learning.method=synchronous", "--quiet")
    leomix("sweep", tmp_path / "small.yaml", *keys, *timing, "-o", tmp_path / "s")
    out = ("-o", tmp_path / "page.html", "--figures", tmp_path / "figures")
    assert leomix("report", tmp_path / "s", *out, "--paper", tmp_path / "paper").status == 0
    assert "Nothing is drawn at random" in (tmp_path / "paper/captions.md").read_text()
    drawn = {path.stem for path in (tmp_path / "paper/figures").glob("*.svg")}
    over = ("cycles-over-seconds-per-round", "cycles-over-idle", "cycles-over-step-size")
    assert {"cycles-over-time", "sent-bytes-over-time"} < drawn
    assert drawn & set(over), drawn
    names = [path.stem for path in (tmp_path / "figures").glob("map-of-*.svg")]
    assert names and not [name for name in names if "step-size" in name]


# -- labels

WORDS = ("min", "max", "used", "elevation", "stations", "altitude", "size", "planes")
UNITS = ("", "_deg", "_km", "_s", "_bytes")
KEYS = st.builds(
    lambda sections, words, unit: ".".join([*sections, f"{'_'.join(words)}{unit}"]),
    st.lists(st.sampled_from(("orbit", "ground", "link", "uplink")), min_size=1, max_size=2),
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=3),
    st.sampled_from(UNITS),
)
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(0, 2000),
    st.sampled_from(("shannon", "modcod", "data/" + "long" * 20 + ".npz")),
    st.lists(st.integers(0, 9), max_size=30),
)


@st.composite
def some_settings(draw):
    """Settings of different groups, as a scenario has them: the same keys in all."""
    keys = draw(st.lists(KEYS, unique=True, min_size=1, max_size=6))
    rows = st.tuples(*(VALUES for _ in keys))
    found = draw(st.lists(rows, min_size=1, max_size=8, unique_by=json.dumps))
    return [dict(zip(keys, row, strict=True)) for row in found]


@given(some_settings())
def test_labels_are_unique_short_and_name_only_what_differs(settings):
    labels = labels_of(settings)
    assert len(set(labels)) == len(labels) == len(settings)
    assert max(map(len, labels)) <= LONGEST
    constant = {"ground.places": 7, "seed": 1, **settings[0]}
    with_same = [{**one, "ground.places": 7, "seed": 1} for one in settings]
    if len(settings) > 1:
        assert labels_of(with_same, beside=constant) == labels_of(settings, beside=constant)


def test_labels_say_little_words_only_where_there_is_room():
    keys = ("orbit.min_elevation_deg", "ground.stations_used", "ground.antennas")
    grid = [
        dict(zip(keys, (m, s, a), strict=True)) for m in (5, 15) for s in (1, 2) for a in (1, 2)
    ]
    assert labels_of(grid)[-1] == "elevation=15deg stations=2 antennas=2"
    fewer = [{**one, "ground.antennas": 2} for one in grid[::2]]
    assert labels_of(fewer)[-1] == "min_elevation_deg=15 stations_used=2"
    # Where one key goes with another, it is left out if there is no room.
    zipped = [{**one, "link.name_of_the_whole_budget": f"b{n}"} for n, one in enumerate(grid)]
    assert len(set(labels_of(zipped))) == 8
    sides = [{"link.uplink.rate": u, "link.downlink.rate": d} for u in "ab" for d in "cd"]
    assert labels_of(sides)[0] == "uplink.rate=a downlink.rate=c"
    rates = [{"link.uplink.rate": rate} for rate in ("shannon", "modcod")]
    assert labels_of(rates) == ["shannon", "modcod"]
    assert labels_of([{"link.environment": None}, {"link.environment": "urban"}]) == [
        "no environment",
        "environment=urban",
    ]


@given(st.text(max_size=20))
def test_any_text_is_escaped_for_latex(text):
    shown = escaped(text)
    assert "\n" not in shown
    plain = re.sub(r"\\(?:[{}$&#%_]|text\w+\{\}|ldots\{\})|\[U\+[0-9A-F]{4,6}\]|\$-\$", "", shown)
    assert not re.search(r"[\\$&#%_~^\"`]", plain)


def test_a_mapping_is_named_by_its_keys_and_nothing_by_that():
    grid = {"between_planes": "grid", "route": "earliest"}
    mesh = {"within_plane": "ring", **grid}
    given = [{"link.isl": one} for one in (None, json.dumps(grid), mesh)]
    assert labels_of(given) == ["no isl", "isl", "within_plane=ring"]
    assert labels_of(given[::2]) == ["no isl", "isl"]
    nested = [{"isl": {"rate": {"mbps": number}}} for number in (1, 2)]
    assert labels_of(nested) == ["mbps=1", "mbps=2"]


def test_fewer_bytes_of_fewer_rounds_are_not_bold(tmp_path):
    timed = merged(SLOTS, {"learning": {"train": False}})
    (tmp_path / "timed.yaml").write_text(yaml.safe_dump(timed))
    made = sweep(
        tmp_path / "timed.yaml", {"stop.cycles": [2, 4]}, tmp_path / "sweep", replications=3
    )
    report([made.folder], tmp_path / "page.html", paper=tmp_path / "paper")
    shown = (tmp_path / "paper/tables/results.tex").read_text()
    [few, many] = [line.split(" & ") for line in shown.splitlines() if line.startswith("cycles=")]
    assert "textbf" in many[2]
    assert not any("textbf" in cell for cell in (*few, *many[4:])), shown
