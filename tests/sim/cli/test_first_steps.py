"""A newcomer's way: ``leomix new`` for data of each form, and what tells that nothing is learnt."""

import json
import re

import jsonschema
import numpy as np
import pytest
from PIL import Image

import scenarios
from tests.kit.inner.scenarios import parse_yaml

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
    rng = np.random.default_rng(3)
    if form == "images":
        for row, label in enumerate(rng.integers(0, 3, 200)):
            image = rng.integers(0, 60, (8, 8, 3)) + 180 * np.eye(3, dtype=int)[label]
            path = folder / "photos" / "rgb"[label] / f"{row}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image.astype(np.uint8)).save(path)
        return
    rows = []
    for bad, place in zip(rng.integers(0, 2, 200).tolist(), 100 * ["film", "soup"], strict=True):
        text = f"the {place} was {('fine', 'dull')[bad]}"
        row = {"text": text, "label": ("good", "bad")[bad]}
        row |= {"text_pair": f"about a {place}"} if form == "pairs" else {}
        asked = {"question": text, "options": ["fine", "dull"], "answer": bad}
        rows.append(json.dumps(asked if form == "choice" else row))
    (folder / "my.jsonl").write_text("\n".join(rows))


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
    assert missing.err.count("\n") == 1
    assert f"learning.data.path: {file}: no such file" in missing.err
    timing = leomix("validate", "mine.yaml", "--set", "learning.train=false")
    assert timing.status == (2 if form == "images" else 0)  # whose sizes are those of the files
    write_rows(tmp_path, form)
    checked = leomix("validate", "mine.yaml")
    assert (checked.status, checked.err) == (0, "")
    quick = ["--set", "stop.days=0.5", "--quiet", "--no-cache", "--json"]
    done = leomix("run", "mine.yaml", *quick, "-o", "out") if kind == "plain" else None
    assert done is None or json.loads(done.out)["accuracy_final"] > 0.9, done
