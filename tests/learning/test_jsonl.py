"""JSON lines: what users write, what they get, and what they are told."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest

from learning.data import data_files, load_samples
from tests.kit.learning import DataConfig, LearningConfig, ModelConfig, Question, Text, read_jsonl

MODEL = ModelConfig(kind="mixtral", vocabulary=300)


def write(path, rows):
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


def config(clusters="ab", devices=2, model=MODEL, **data):
    data = {"kind": "jsonl", "tokens": 24, "trial_samples": 2, **data}
    names = tuple(clusters)
    return LearningConfig(5, names, (devices,) * len(names), model=model, data=DataConfig(**data))


def numbered(count, **more):
    """Texts that can be told apart by their bytes, with labels 0 and 1 in turn."""
    return [{"text": f"t{i:03}", "label": i % 2, **more} for i in range(count)]


def told(part):
    """What tells the texts of a part apart: their token ids."""
    return [row.tobytes() for row in part.x]


def train(samples, cluster):
    return [samples.trial[cluster], *samples.shards[cluster]]


def test_the_three_layouts_are_recognised_by_their_columns(tmp_path):
    single = read_jsonl(write(tmp_path / "1", [{"text_a": "x", "label": 0, "text_b": ""}]), {})
    pair = read_jsonl(write(tmp_path / "2", [{"text": "x", "text_pair": "y", "label": "no"}]), {})
    rows = [{"question": "q", "options": ["x", "y", "z"], "answer": 2, "id": 7}]
    choices = read_jsonl(write(tmp_path / "3", rows), {})
    assert (single.form, single.content, single.table.labels) == ("text", [Text("x", "")], [0])
    assert (pair.form, pair.content, pair.table.labels) == ("text", [Text("x", "y")], ["no"])
    assert (choices.form, choices.table.labels) == ("choices", [2])
    assert choices.content == [Question("q", ("x", "y", "z"))]


def test_columns_may_be_named_and_then_decide_the_layout(tmp_path):
    row = {"question": "q", "options": ["x", "y"], "answer": 1, "tag": "good", "second": "s"}
    columns = {"text": "question", "label": "tag", "text_pair": "second"}
    table = read_jsonl(write(tmp_path / "f", [row]), columns)
    assert (table.content, table.table.labels) == ([Text("q", "s")], ["good"])


def test_blank_lines_and_a_byte_order_mark_are_no_rows_but_lines_are_counted(tmp_path):
    file = tmp_path / "f"
    file.write_bytes(b'\xef\xbb\xbf{"text": "x", "label": 0}\r\n\r\n{"text": "y", "label": -1}\r\n')
    with pytest.raises(ValueError, match=re.escape(f"{file}: line 3: label is -1")):
        read_jsonl(str(file), {})


def test_every_row_is_used_once_and_the_split_is_kept(tmp_path):
    splits = ["train", "train", "train", "test", "validation", "dev"]
    rows = [row | {"split": splits[i % 6]} for i, row in enumerate(numbered(60))]
    samples = load_samples(config(path=write(tmp_path / "f", rows)))
    held = [told(part) for c in "ab" for part in train(samples, c)]
    trained = sorted(row for part in held for row in part)
    tested = sorted(told(samples.test["a"]))
    assert (len(trained), len(tested)) == (30, 30)
    assert len({*trained, *tested}) == 60
    assert samples.test["a"].x is samples.test["b"].x
    assert [set(samples.test[c].domain.tolist()) for c in "ab"] == [{0}, {1}]
    assert [len(part.y) for part in samples.shards["a"]] == [7, 6]


def test_a_share_is_held_out_where_nothing_says_what_is_test(tmp_path):
    file = write(tmp_path / "f", numbered(50))
    samples, again = (load_samples(config(path=file, test_fraction=0.3)) for _ in range(2))
    assert len(samples.test["a"].y) == 15
    assert np.array_equal(samples.test["a"].x, again.test["a"].x)
    trained = {row for c in "ab" for part in train(samples, c) for row in told(part)}
    assert len(trained) == 35
    assert trained.isdisjoint(told(samples.test["a"]))


def test_sorted_domains_are_dealt_to_the_clusters_in_contiguous_groups(tmp_path):
    rows = [row | {"field": "edcba"[i % 5]} for i, row in enumerate(numbered(100))]
    file = write(tmp_path / "f", rows)
    samples = load_samples(config(path=file, columns=(("domain", "field"),), test_fraction=0.25))
    # five domains, two clusters: a, b, c and d, e
    sizes = [sum(len(part.y) for part in train(samples, c)) for c in "ab"]
    assert sizes == [45, 30]
    assert [len(samples.test[c].y) for c in "ab"] == [15, 10]
    assert {d for part in train(samples, "b") for d in part.domain.tolist()} == {1}


def test_a_file_each_is_a_domain_each_and_labels_are_shared(tmp_path):
    one = write(tmp_path / "1", [{"text": f"x{i}", "label": "pq"[i % 2]} for i in range(20)])
    two = write(tmp_path / "2", [{"text": f"y{i}", "label": "qr"[i % 2]} for i in range(30)])
    samples = load_samples(config(paths=(("b", two), ("a", one))))
    assert samples.classes == 3
    assert {y for part in train(samples, "a") for y in part.y.tolist()} == {0, 1}
    assert {y for part in train(samples, "b") for y in part.y.tolist()} == {1, 2}
    assert [len(samples.test[c].y) for c in "ab"] == [4, 6]
    assert data_files(DataConfig(paths=(("b", two), ("a", one)))) == sorted([one, two])


def test_a_clusters_samples_do_not_depend_on_another_clusters_file_or_devices(tmp_path):
    tokenizer = tmp_path / "tokenizer.json"
    tokenizers = pytest.importorskip("tokenizers")
    tokenizers.Tokenizer(tokenizers.models.WordLevel({"[UNK]": 0, "a": 1}, "[UNK]")).save(
        str(tokenizer)
    )
    model = ModelConfig(tokenizer=str(tokenizer))
    files = [write(tmp_path / name, numbered(n)) for name, n in (("1", 40), ("2", 50), ("3", 60))]
    mine, theirs = (
        load_samples(config(model=model, paths=(("a", files[0]), ("b", other)), partition=kind))
        for other, kind in ((files[1], "dirichlet"), (files[2], "dirichlet"))
    )
    for one, other in zip(train(mine, "a"), train(theirs, "a"), strict=True):
        assert np.array_equal(one.y, other.y)
    assert np.array_equal(mine.test["a"].y, theirs.test["a"].y)


def test_limits_keep_the_first_of_a_shuffle_and_all_classes(tmp_path):
    file = write(tmp_path / "f", [{"text": f"t{i}", "label": i} for i in range(40)])
    limited = config(path=file, train_samples=5, test_samples=3)
    samples = load_samples(limited)
    assert [sum(len(part.y) for part in train(samples, c)) for c in "ab"] == [5, 5]
    assert len(samples.test["a"].y) == 3
    assert samples.test["a"].x is samples.test["b"].x
    assert samples.classes == 40


def test_choices_have_as_many_options_as_the_longest_question_of_all_files(tmp_path):
    def questions(options):
        return [
            {"question": f"q{i}", "options": list("uvwxy")[:options], "answer": i % options}
            for i in range(12)
        ]

    files = [write(tmp_path / str(n), questions(n)) for n in (3, 5)]
    samples = load_samples(config(paths=tuple(zip("ab", files, strict=True))))
    assert samples.spec.shape == (5, 2, 24)
    assert (samples.spec.form, samples.classes) == ("choices", 5)
    exists = samples.test["a"].x[:, :, 1].any(axis=2)
    assert exists.tolist() == [[True, True, True, False, False]] * len(exists)
    assert samples.trial["b"].x[:, :, 1].any(axis=2).all()


Q = {"question": "q", "options": ["x", "y"], "answer": 1}
T = {"text": "x", "label": 0}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "holds no samples"),
        (["", "  "], "holds no samples"),
        ([T, "{"], "line 2: is not JSON"),
        ([T, "[1]"], "line 2: is no JSON object"),
        (["[" * 100_000], "line 1: is not JSON"),
        ([{"a": 1}], "line 1: has 'a', and neither text and label nor question"),
        ([{"text": "x"}], "line 1: no column 'label'.*learning.data.columns.label"),
        ([T, {"label": 0}], "line 2: no column 'text' or 'text_a'"),
        ([T, T | {"text": 3}], "line 2: text is 3; it must be a string"),
        ([T | {"text": " "}], "line 1: text is blank"),
        (['{"text": "\\ud800", "label": 0}'], "line 1: text holds half a surrogate"),
        ([T | {"text_pair": ["y"]}], "line 1: text_pair is "),
        ([T | {"label": -1}], "line 1: label is -1; labels are numbered from 0"),
        ([T | {"label": 1.0}], "line 1: label is 1.0; it must be a whole number"),
        ([T | {"label": True}], "line 1: label is True; it must be a whole number"),
        ([T | {"label": None}], "line 1: label is None"),
        ([T | {"label": 10**30}], "line 1: label is 10{30}; .* less than 100000"),
        ([T, T | {"label": "x"}], "line 2: label 'x' and 0 before it"),
        (
            [T | {"split": "train"}, T | {"split": "test", "label": 3}],
            "line 2: label 3 is in no train sample",
        ),
        ([T | {"split": "train"}, T], "line 2: no column 'split'"),
        ([T, T | {"split": "train"}], "line 1: no column 'split'"),
        ([T | {"split": "exam"}], "line 1: split is 'exam'; it must be one of train, test"),
        ([T | {"split": "train"}] * 9, "holds no test samples"),
        ([T | {"split": "dev"}] * 9, "holds no train samples"),
        ([T], "one sample cannot be both"),
        ([T, T], "1 train samples for 2 clusters"),
        ([T] * 6, "1 samples are left for 2 devices"),
        ([Q | {"answer": 2}], "line 1: answer is 2; it must be the number of one of the 2"),
        ([Q | {"answer": -1}], "line 1: answer is -1"),
        ([Q | {"answer": "B"}], "line 1: answer is 'B'"),
        ([Q | {"answer": True}], "line 1: answer is True"),
        ([Q | {"options": ["x"]}], "line 1: options is .* list of two strings or more"),
        ([Q | {"options": "xy"}], "line 1: options is 'xy'"),
        ([Q | {"options": ["x", 2]}], r"line 1: options\[1\] is 2"),
        ([Q, {"question": "q", "answer": 0}], "line 2: no column 'options'"),
        ([T | {"domain": 1.5}] * 9, "line 1: domain is 1.5"),
        ([T | {"domain": "x"}] * 9, "1 domains for 2 clusters"),
        ([T | {"domain": "x"}, T | {"domain": 1}], "line 2: domain 1 and 'x' before it"),
        ([T | {"domain": "x"}, T], "line 2: no column 'domain'"),
        ([T, T | {"domain": "x"}], "line 1: no column 'domain'"),
        (
            [T | {"label": label} for label in [*range(10), 7000]],
            "line 11: label 7000, but no train sample has label 10; number classes from 0",
        ),
        ([T | {"label": n % 2 * 5} for n in range(9)], "line 2: label 5, but no .* label 1; "),
        (
            [T | {"domain": d, "split": s} for d, s in (("x", "train"), ("y", "test"))],
            r"domains of cluster 'a' \('x'\): no test samples",
        ),
        ([T | {"domain": "x"}] * 9 + [T | {"domain": "y"}], "cluster 'b' .'y'.: one sample"),
    ],
)
def test_what_is_wrong_in_a_file_is_said_in_one_line_that_names_it(rows, message, tmp_path):
    file = write(tmp_path / "data.jsonl", rows)
    with pytest.raises(ValueError, match=message) as refusal:
        load_samples(config(path=file))
    assert "\n" not in str(refusal.value)
    assert file in str(refusal.value) or "left for" in message


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "give either path .one file. or paths"),
        ({"path": "{0}/f", "paths": (("a", "{0}/f"), ("b", "{0}/f"))}, "give either path"),
        ({"path": "{0}/none"}, "none: cannot be read .No such file"),
        ({"path": "{0}"}, "is a folder; name a regular file"),
        ({"paths": (("a", "{0}/f"),)}, "no file for cluster 'b'; clusters: a, b"),
        ({"paths": tuple((c, "{0}/f") for c in "abc")}, "no cluster 'c'; clusters: a, b"),
        ({"paths": (("a", "{0}/f"), ("b", "{0}/q"))}, "q: holds choices, but .*f holds text"),
        ({"path": "{0}/f", "columns": (("image", "x"),)}, "columns.image: is not used by kind"),
        ({"path": "{0}/f", "columns": (("domain", "x"),)}, "line 1: no column 'x'"),
        ({"path": "{0}/f", "columns": (("split", "x"),)}, "line 1: no column 'x'"),
        ({"path": "{0}/f", "test_fraction": 1.0}, "test_fraction is 1.0"),
        (
            {
                "paths": (("a", "{0}/f"), ("b", "{0}/f")),
                "columns": (("domain", "label"),),
            },
            "columns.domain: is not used with learning.data.paths",
        ),
        ({"path": "{0}/latin"}, "latin: line 2: is not UTF-8"),
    ],
)
def test_what_is_wrong_in_a_configuration_is_said_in_one_line(data, message, tmp_path):
    write(tmp_path / "f", numbered(20))
    write(tmp_path / "q", [Q] * 20)
    (tmp_path / "latin").write_bytes(json.dumps(T).encode() + b'\n{"text": "\xe9"}\n')
    if "path" in data:
        data["path"] = data["path"].format(tmp_path)
    if "paths" in data:
        data["paths"] = tuple((c, file.format(tmp_path)) for c, file in data["paths"])
    with pytest.raises(ValueError, match=message) as refusal:
        load_samples(config(**data))
    assert "\n" not in str(refusal.value)


def test_too_few_samples_are_blamed_on_the_key_that_limits_them(tmp_path):
    file = write(tmp_path / "f", numbered(40))
    with pytest.raises(ValueError, match=r"raise learning.data.train_samples \(3\), lower"):
        load_samples(config(path=file, train_samples=3, trial_samples=3))
    with pytest.raises(ValueError, match=r"behind 16 trial samples; lower learning.data.trial_s"):
        load_samples(config(path=file, trial_samples=16))


def test_digested_files_must_exist(tmp_path):
    assert data_files(DataConfig()) == []
    with pytest.raises(ValueError, match="none: no such file"):
        data_files(DataConfig(kind="jsonl", path=str(tmp_path / "none")))


@pytest.fixture(scope="module")
def shared_data():
    root = Path(__file__).resolve().parents[2]
    folder = Path(os.environ.get("LEOMIX_DATA", root.parent / "shared" / "data"))
    if not (folder / "cmexam.jsonl").is_file():
        pytest.skip("no data files here: set LEOMIX_DATA to the folder that holds cmexam.jsonl")
    return folder


def test_chinese_questions_survive_the_tokenizer_of_their_trial_texts(shared_data):
    from tests.kit.learning import as_tokenizer, train_bpe

    content = read_jsonl(str(shared_data / "cmexam.jsonl"), {}).content
    raw = train_bpe([row.question for row in content[:30]], 4096)
    tokenizer = as_tokenizer(raw)
    for row in content:
        [ids] = tokenizer.ids([row.question])
        assert raw.decode(ids, skip_special_tokens=False) == row.question
        assert max(ids) < tokenizer.vocabulary


def test_four_tasks_of_text_and_three_of_questions_load(shared_data):
    names = ("cola", "qnli", "rte", "sst2")
    paths = tuple((name, str(shared_data / f"glue_{name}.jsonl")) for name in names)
    samples = load_samples(config(names, paths=paths))
    for name in names:
        table = read_jsonl(str(shared_data / f"glue_{name}.jsonl"), {}).table
        counted = sum(len(part.y) for part in train(samples, name))
        assert counted == np.count_nonzero(~table.is_test)
        assert len(samples.test[name].y) == np.count_nonzero(table.is_test)
    assert samples.classes == 2

    names = ("cmexam", "medmcqa", "mmlu")
    paths = tuple((name, str(shared_data / f"{name}.jsonl")) for name in names)
    samples = load_samples(config(names, paths=paths))
    assert samples.spec.shape == (5, 2, 24)
    assert [len(samples.test[name].y) for name in names] == [500] * 3
