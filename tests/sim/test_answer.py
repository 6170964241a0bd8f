"""`leomix answer` and `Result.generate`: what a run's language model writes behind questions."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

import scenarios
import sim
from tests.kit import tiny_checkpoints as tiny
from tests.kit.learning import InputSpec
from tests.kit.next_words import next_words, scenario

ASKED = ("w3 w4 w5", "w20")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run that has learnt, beside its checkpoints."""
    place = next_words(tmp_path_factory.mktemp("answer"))
    return sim.run(scenario(place, step_size=0.03), place / "run")


@torch.no_grad()
def test_greedy_decoding_is_hugging_faces(tmp_path):
    tiny.llamas(tmp_path, 1)
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "0", local_files_only=True).eval()
    gates = {f"model.layers.{layer}.mlp.gate.weight": torch.zeros(1, 32) for layer in range(2)}
    ours = tiny.loaded(
        tiny.merged_config(tmp_path, 1), InputSpec("next_token", (9,), 1, 61), **gates
    )
    ids = [5, 17, 3]
    for _ in range(12):  # each token anew from all before it: nothing is kept
        ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
    made = ours.continued(ids[:3], 12, ends=())
    assert made == ids[3:]
    first_end = made.index(made[5])
    assert ours.continued(ids[:3], 12, ends={made[5]}) == made[:first_end]


def test_a_run_answers_by_what_it_has_learnt(leomix, run, tmp_path):
    before, after = (run.generate(ASKED, tokens=5, before=first) for first in (True, False))
    assert before != after and all(1 <= len(text.split()) <= 5 for text in after)
    (tmp_path / "asked.txt").write_text(f"{ASKED[1]}\n\n")
    options = ("--file", tmp_path / "asked.txt", "--tokens", 5, "--before")
    told = json.loads(leomix("answer", run.folder, ASKED[0], *options, "--json").out)
    assert [one["after"] for one in told] == after and [one["before"] for one in told] == before
    shown = leomix("answer", run.folder, ASKED[0], "--tokens", 5).out
    assert shown.splitlines() == [f"question  {ASKED[0]}", f"after     {after[0]}"]


def test_moved_checkpoints_are_named_and_changed_ones_refused(leomix, run, tmp_path):
    for name in ("0", "1", "run"):
        shutil.copytree(run.folder.parent / name, tmp_path / name)
    gone = tmp_path / "elsewhere"
    shutil.move(tmp_path / "0", gone)
    options = ("--checkpoints", gone, "--checkpoints", tmp_path / "1")
    told = leomix("answer", tmp_path / "run", ASKED[0], "--tokens", 5, *options)
    assert told.status == 0, told
    assert told.out.splitlines()[1] == f"after     {run.generate(ASKED[:1], tokens=5)[0]}"


@pytest.mark.parametrize(
    ("source", "asked", "said"),
    [
        ("slots", ["q"], "writes no texts; merged-llama and mixtral do"),
        ("orbit-timing", ["q"], "has no weights (learning.train was false)"),
        ("text", [], "answer: has no question: name one, or a --file of them"),
        ("text", ["w1", " "], "question 2 is blank"),
    ],
)
def test_what_cannot_be_answered_is_refused_in_one_line(leomix, runs, run, source, asked, said):
    folder = run.folder if source == "text" else runs[source]
    done = leomix("answer", folder, *asked)
    assert (done.status, done.out) == (2, "") and said in done.err
    assert done.err.count("\n") == 1


def test_a_classifier_of_texts_is_refused(leomix, tmp_path):
    place = next_words(tmp_path)
    for name in "AB":
        rows = [{"text": f"w{n} w{n % 5}", "label": n % 2} for n in range(40)]
        Path(place, f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    stored = scenario(place).model_dump(mode="json")
    stored["learning"]["data"]["objective"] = "label"
    stored["stop"]["cycles"] = 1
    sim.run(scenarios.from_dict(stored), place / "labels")
    done = leomix("answer", place / "labels", "w1")
    assert done.status == 2 and "head for classes (score.weight), and none for tokens" in done.err
    assert done.err.count("\n") == 1
