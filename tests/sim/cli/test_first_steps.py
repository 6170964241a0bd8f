"""A newcomer's way: ``leomix new``, elements and data of one's own, and what mistakes are told."""

import json
import random
import re

import jsonschema
import numpy as np
import pytest
from PIL import Image

import scenarios
import sim
from tests.kit.results import write_scenario
from tests.kit.scenarios import parse_yaml

TLE = """\
ISS (ZARYA)
1 25544U 98067A   26234.50053383  .00009133  00000+0  17025-3 0  9997
2 25544  51.6331 331.8814 0007668  72.6488 287.5339 15.49570248582031
"""
EDITS = (
    ("days: 3 ", "days: 0.6 "),
    (
        "{name: Munich,  latitude_deg: 48.14, longitude_deg: 11.58, devices: 3}",
        "{name: Vienna,  latitude_deg: 48.21, longitude_deg: 16.37, devices: 2}",
    ),
    ("\n  model: {kind: vector-mlp}", ""),
    ("\n  data: {kind: digits}", ""),
    (
        "  # model: {kind: text-mean, hidden: 32, vocabulary: 8192}",
        "  model: {kind: text-mean, hidden: 32, vocabulary: 8192}",
    ),
    ("  # data: {kind: jsonl, path: my.jsonl", "  data: {kind: jsonl, path: my.jsonl"),
    ("{text: text, label: label}", "{text: review, label: stars}"),
)
"""What a newcomer changes in the template: each piece of text is there once."""


def write_reviews(path):
    """300 reviews of four words; one of them tells good from bad."""
    draw = random.Random(7)
    words = {"good": ("moving", "sturdy", "sharp"), "bad": ("dull", "leaky", "noisy")}
    with path.open("w", encoding="utf-8") as file:
        for _ in range(300):
            kind = draw.choice(("good", "bad"))
            said = ["the", draw.choice(("plot", "kettle")), "is", draw.choice(words[kind])]
            print(json.dumps({"review": " ".join(said), "stars": kind}), file=file)


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A folder with a newcomer's scenario, elements and data."""
    folder = tmp_path_factory.mktemp("own")
    path, _ = write_scenario(str(folder / "mine"))
    (folder / "my.tle").write_text(TLE)
    write_reviews(folder / "my.jsonl")
    text = path.read_text(encoding="utf-8")
    elements = re.search(r"  elements: \|\n(?:    .*\n)+", text)
    for old, new in ((elements.group(), "  path: my.tle\n"), *EDITS):
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")
    return folder


def test_a_newcomer_gets_to_a_scenario_of_his_own(leomix, own, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert leomix("new", "mine").status == 0
    quick = ["--set", "stop.days=0.5", "--quiet", "--no-cache"]
    assert leomix("run", "mine.yaml", *quick, "-o", "first").status == 0
    checked = leomix("validate", own / "mine.yaml")
    assert (checked.status, checked.err, "Vienna" in checked.out) == (0, "", True)
    done = leomix("run", own / "mine.yaml", "--quiet", "--no-cache", "-o", "second", "--json")
    assert done.status == 0, done.err
    assert json.loads(done.out)["accuracy_final"] > 0.5
    manifest = json.loads((tmp_path / "second" / "manifest.json").read_text())
    assert manifest["scenario"]["orbit"]["elements"] == TLE
    assert manifest["start_utc"].startswith("2026-08-22T12:00:46")


def test_validate_says_what_a_run_would_lack(leomix, own, tmp_path):
    for name in ("mine.yaml", "my.tle"):
        (tmp_path / name).write_text((own / name).read_text())
    done = leomix("validate", tmp_path / "mine.yaml")
    told = "warning: learning.data.path: my.jsonl: no such file: put your data there, beside the "
    told += "scenario file, name another file, or simulate the timing alone: learning.train: false"
    assert (done.status, done.err.strip().replace(f"{tmp_path}/", "")) == (0, told)
    timing = leomix("validate", tmp_path / "mine.yaml", "--set", "learning.train=false")
    assert (timing.status, timing.err) == (0, "")
    change = ["--set", "learning.model={kind: image-moe}"]
    for line in (["validate", own / "mine.yaml"], ["run", own / "mine.yaml", "-o", tmp_path / "r"]):
        done = leomix(*line, *change)
        assert (done.status, "text" in done.err, "'mixtral'" in done.err) == (2, True, True)


# -- leomix new


def test_new_writes_a_scenario_and_the_schema_for_editors(leomix, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = leomix("new", "mine")
    assert (done.status, done.err, "leomix run mine.yaml" in done.out) == (0, "", True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["leomix.schema.json", "mine.yaml"]
    text = (tmp_path / "mine.yaml").read_text(encoding="utf-8")
    named = re.match(r"# yaml-language-server: \$schema=(\S+)\n", text)
    schema = json.loads((tmp_path / named[1]).read_text())
    assert schema == json.loads(leomix("list", "--schema").out)
    check = jsonschema.Draft202012Validator(schema)
    said = parse_yaml(text).value
    check.validate(said)
    said["learning"]["options"] = {"threshol": 0.2}
    assert not check.is_valid(said)
    sections = [schema, *schema["$defs"].values()]
    ranked = [(key, of) for one in sections for key, of in one.get("properties", {}).items()]
    common = {key for key, of in ranked if of["rank"] == "common"}
    assert set(re.findall(r"^ *(?:- \{)?([a-z_]+):", text, re.MULTILINE)) <= common
    again = leomix("new", "mine")
    assert (again.status, again.err.count("\n")) == (2, 1)
    assert (tmp_path / "mine.yaml").read_text(encoding="utf-8") == text
    assert leomix("new", "studies/alps-2.1.yml").status == 0
    assert scenarios.load(str(tmp_path / "studies" / "alps-2.1.yaml")).seed == 1
    assert (tmp_path / "studies" / "leomix.schema.json").is_file()


def write_rows(folder, form):
    """200 samples of a form, easy ones: one word or colour tells the class."""
    draw = random.Random(3)
    if form == "images":
        rng = np.random.default_rng(3)
        y = rng.integers(0, 3, 200)
        x = rng.integers(0, 60, (200, 8, 8, 3)) + 180 * np.eye(3, dtype=int)[y][:, None, None]
        for row, (image, label) in enumerate(zip(x.astype(np.uint8), y, strict=True)):
            path = folder / "photos" / "rgb"[label] / f"{row}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path)
        return
    with (folder / "my.jsonl").open("w") as file:
        for _ in range(200):
            kind = draw.choice(["good", "bad"])
            place = draw.choice(["film", "soup"])
            word = draw.choice(["fine", "nice"] if kind == "good" else ["dull", "sad"])
            text = f"the {place} was {word}"
            row = {"text": text, "label": kind}
            if form == "pairs":
                row["text_pair"] = f"about a {place}"
            if form == "choice":
                options = ["fine", "dull"]
                row = {"question": text, "options": options, "answer": int(kind == "bad")}
            print(json.dumps(row), file=file)


FORMS = [
    (form, kind) for form in ("text", "pairs", "choice", "images") for kind in ("plain", "moe")
]
FORMS.remove(("choice", "plain"))


@pytest.mark.wide
@pytest.mark.parametrize(("form", "kind"), FORMS)
def test_new_writes_a_scenario_for_data_of_each_form(leomix, tmp_path, form, kind, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = leomix("new", "mine", "--data", form, "--model", kind)
    file = "photos" if form == "images" else "my.jsonl"
    assert (done.status, done.err, file in done.out) == (0, "", True)
    missing = leomix("validate", "mine.yaml")
    wanted = rf"learning\.data\.path: {file}: no such file[:;] put your data there"
    found = re.search(wanted, missing.err)
    assert (missing.err.count("\n"), found is not None) == (1, True), missing
    write_rows(tmp_path, form)
    checked = leomix("validate", "mine.yaml")
    assert (checked.status, checked.err) == (0, "")
    # What is written bounds the rounds between contacts, for methods that train there.
    if (form, kind) == ("images", "plain"):
        fedbuff = ["validate", "mine.yaml", "--set", "learning.method=fedbuff"]
        assert leomix(*fedbuff).err == ""
        endless = leomix(*fedbuff, "--set", "learning.rounds.per_gap_max=null")
        begins = (
            "warning: learning.rounds.per_gap_max: up to 2\\d,\\d{3} device rounds of training, as"
        )
        assert re.match(begins, endless.err), endless.err
        assert endless.err.endswith(": give it, like 3\n")
    quick = ["--set", "stop.days=0.5", "--quiet", "--no-cache", "--json"]
    done = leomix("run", "mine.yaml", *quick, "-o", "out") if kind == "plain" else None
    assert done is None or json.loads(done.out)["accuracy_final"] > 0.9, done


# -- what says that nothing can be learnt


def test_validate_looks_at_the_memory_of_devices(leomix):
    plain = ["--set", "learning.model={kind: vector-mlp}", "--set", "learning.method=fedavg"]
    scenario = ["validate", "paper-slots", *plain]
    good = leomix(*scenario)
    assert (good.status, good.err) == (0, "")
    done = leomix(*scenario, "--set", "compute.memory_gib=1e-5")
    found = "a round of 'vector-mlp' takes" in done.err
    assert (done.status, done.err.count("\n"), found) == (0, 1, True), done


def test_devices_without_the_memory_are_counted_before_the_run_and_once(leomix, tmp_path):
    kinds = [{"devices": 2, "memory_gib": 8}, {"devices": 1, "memory_gib": 1e-9}]
    said = {
        "learning.method": "fedprox", "learning.train": False, "stop.cycles": 1,
        "orbit.slots.count": 1, "ground.clusters": [{"name": "A", "kinds": kinds}],
    }  # fmt: skip
    keys = [part for key, value in said.items() for part in ("--set", f"{key}={json.dumps(value)}")]
    done = leomix("run", "paper-slots", *keys, "-o", str(tmp_path / "run"))
    doubt = "1 of 3 devices cannot train, as a round of"
    assert (done.status, done.err.count(doubt)) == (0, 1), done
    seen = []

    class Seen(sim.Observer):
        def doubted(self, doubts):
            seen.extend(map(str, doubts))

        def started(self, start):
            seen.append("started")

    sim.run(scenarios.load("paper-slots", said), observers=[Seen()])
    assert "cannot train" in seen[0] and seen[-1] == "started"


def test_validate_finds_what_a_run_would_refuse(leomix, tmp_path, monkeypatch):
    (tmp_path / "bad_shape.py").write_text(
        "import torch\ndef bad():\n    return torch.nn.Linear(64, 7)\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    keys = ["--set", "learning.model.kind=bad_shape:bad", "--set", "learning.method=fedavg"]
    done = leomix("validate", "paper-slots", *keys)
    assert (done.status, done.err.count("\n"), "'bad_shape:bad' returns" in done.err) == (
        2,
        1,
        True,
    )


NOTHING = [
    # A link that is far too weak, for any payload.
    ({"link.uplink.tx_power_dbm": -40}, ("large-payload", "link.uplink.tx_power_dbm", -30)),
    # 2.46e15 FLOPs of a round at 1e10 FLOP/s are 68 h: more than any pass or gap.
    ({"compute.tflops": 0.01}, ("no-update", "compute.tflops", 0.1)),
    (
        {"compute.memory_gib": 20, "learning.method": "synchronous"},
        ("memory", "compute.memory_gib", 39),
    ),
    (
        {"learning.lora.download": "full", "learning.method": "fedavg"},
        ("large-payload", "link.downlink", None),
    ),
]
"""Changes of `quickstart-8b` with which nothing arrives, and the last check: why, and the key."""


@pytest.mark.parametrize(("tx_power_dbm", "code"), [(-60, 4), (23, 0)])
def test_the_exit_code_says_that_a_run_that_trains_used_no_update(
    leomix, tmp_path, tx_power_dbm, code
):
    keys = ["stop.days=0.5", f"link.uplink.tx_power_dbm={tx_power_dbm}"]
    set_ = [word for key in keys for word in ("--set", key)]
    out = tmp_path / "run"
    assert leomix("run", "plain-fedavg", *set_, "-o", out, "--quiet").status == code
    assert leomix("run", "plain-fedavg", *set_, "-o", out, "--quiet", "--resume").status == code
    codes = [check.code for check in sim.load(out).checks]
    assert ("no-update" in codes) == (code == 4)


@pytest.mark.parametrize(("keys", "last"), NOTHING, ids=lambda part: str(part)[:30])
@pytest.mark.quick(2)
def test_a_run_of_which_nothing_arrived_says_so_first_and_names_the_key(
    leomix, tmp_path, keys, last
):
    asked = {"learning.train": "false", "stop.days": 1, "stop.cycles": "null", **keys}
    set_ = [word for key, value in asked.items() for word in ("--set", f"{key}={value}")]
    done = leomix("run", "quickstart-8b", *set_, "-o", tmp_path / "run", "--quiet")
    shown = leomix("show", tmp_path / "run")
    assert (done.status, shown.status) == (0, 0)  # a run for its timing
    first, *_, final = (checks := sim.load(tmp_path / "run").checks)[0], checks[-1]
    assert first.code == "no-update" and (final.code, final.key, final.value) == last
    title = f"No result: {first.sentence[:1].lower()}{first.sentence[1:]}"
    for said in (done, shown):
        assert " ".join(said.out.split()).startswith(title)
        assert final.advice in " ".join(said.out.split())
    leomix("report", tmp_path / "run")
    page = (tmp_path / "run" / "report.html").read_text()
    assert f"<h1>{title}</h1>" in page and final.advice in page
