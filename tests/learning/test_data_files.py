"""Texts, questions and images from files: what users write, what they get, what they are told."""

import importlib.util
import io
import json
import os
import socket
import zipfile
from pathlib import Path

import numpy as np
import pytest

from learning.data import data_files, load_samples
from tests.kit.learning import DataConfig, LearningConfig, ModelConfig, Question, Text, read_jsonl

MODEL = ModelConfig(kind="mixtral", vocabulary=300)
RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (60, 4, 6, 3), np.uint8)
LABELS = np.arange(60) % 5


def config(kind, clusters="ab", devices=2, model=MODEL, **data):
    how = DataConfig(**{"kind": kind, "tokens": 24, "trial_samples": 2, **data})
    names = tuple(clusters)
    return LearningConfig(5, names, (devices,) * len(names), model=model, data=how)


def load(kind, *clusters_and_devices, **data):
    return load_samples(config(kind, *clusters_and_devices, **data))


def write(path, rows):
    if isinstance(rows, bytes):
        path.write_bytes(rows)
    else:
        lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


def save(path, **arrays):
    np.savez(path, **arrays)
    return str(path)


def train(samples, cluster):
    return [samples.trial[cluster], *samples.shards[cluster]]


def trained(samples, clusters="ab"):
    return [part for cluster in clusters for part in train(samples, cluster)]


def sizes(samples):
    """Train and test samples of each cluster."""
    return [(sum(len(p.y) for p in train(samples, c)), len(samples.test[c].y)) for c in "ab"]


def numbered(count, **more):
    """Texts that can be told apart by their token ids, with labels 0 and 1 in turn."""
    return [{"text": f"t{i:03}", "label": i % 2, **more} for i in range(count)]


def told(*parts):
    return [row.tobytes() for part in parts for row in part.x]


def refused(message, of):
    with pytest.raises(ValueError, match=message) as refusal:
        load_samples(of)
    said = str(refusal.value)
    assert "\n" not in said and "pickle" not in said
    return said


# -- JSON lines

ROW = {"question": "q", "options": ["x", "y"], "answer": 1, "tag": "good", "second": "s"}


@pytest.mark.parametrize(
    ("row", "columns", "content", "label"),
    [
        ({"text_a": "x", "label": 0, "text_b": ""}, {}, Text("x", ""), 0),
        ({"text": "x", "text_pair": "y", "label": "no"}, {}, Text("x", "y"), "no"),
        (ROW, {}, Question("q", ("x", "y")), 1),
        (
            ROW,
            {"text": "question", "label": "tag", "text_pair": "second"},
            Text("q", "s"),
            "good",
        ),
    ],
)
def test_columns_and_their_names_decide_the_layout(row, columns, content, label, tmp_path):
    table = read_jsonl(write(tmp_path / "f", [row]), columns)
    assert (table.content, table.table.labels) == ([content], [label])
    assert table.form == ("choices" if isinstance(content, Question) else "text")


def test_every_row_is_used_once_and_the_split_is_kept(tmp_path):
    splits = ["train", "train", "train", "test", "validation", "dev"]
    rows = [row | {"split": splits[i % 6]} for i, row in enumerate(numbered(60))]
    samples = load("jsonl", path=write(tmp_path / "f", rows))
    everything = told(*trained(samples), samples.test["a"])
    assert (len(everything), len(set(everything)), len(samples.test["a"].y)) == (60, 60, 30)
    assert samples.test["a"].x is samples.test["b"].x
    assert [set(samples.test[c].domain.tolist()) for c in "ab"] == [{0}, {1}]
    assert [len(part.y) for part in samples.shards["a"]] == [7, 6]


def test_a_share_is_held_out_where_nothing_says_what_is_test(tmp_path):
    file = write(tmp_path / "f", numbered(50))
    samples = load("jsonl", path=file, test_fraction=0.3)
    tested = told(samples.test["a"])
    everything = {*told(*trained(samples)), *tested}
    assert (len(tested), len(everything)) == (15, 50)


def test_sorted_domains_are_dealt_to_the_clusters_in_contiguous_groups(tmp_path):
    rows = [row | {"field": "edcba"[i % 5]} for i, row in enumerate(numbered(100))]
    file = write(tmp_path / "f", rows)
    samples = load("jsonl", path=file, columns=(("domain", "field"),), test_fraction=0.25)
    assert sizes(samples) == [(45, 15), (30, 10)]  # a, b, c and d, e
    assert {d for part in train(samples, "b") for d in part.domain.tolist()} == {1}


def test_a_file_each_is_a_domain_each_and_labels_are_shared(tmp_path):
    one = write(tmp_path / "1", [{"text": f"x{i}", "label": "pq"[i % 2]} for i in range(20)])
    two = write(tmp_path / "2", [{"text": f"y{i}", "label": "qr"[i % 2]} for i in range(30)])
    samples = load("jsonl", paths=(("b", two), ("a", one)))
    assert samples.classes == 3
    assert {y for part in train(samples, "a") for y in part.y.tolist()} == {0, 1}
    assert {y for part in train(samples, "b") for y in part.y.tolist()} == {1, 2}
    assert sizes(samples) == [(16, 4), (24, 6)]
    assert data_files(DataConfig(paths=(("b", two), ("a", one)))) == sorted([one, two])
    assert data_files(DataConfig()) == []


def test_a_clusters_samples_do_not_depend_on_another_clusters_file(tmp_path):
    tokenizers = pytest.importorskip("tokenizers")
    words = tokenizers.models.WordLevel({"[UNK]": 0, "a": 1}, "[UNK]")
    tokenizers.Tokenizer(words).save(str(tmp_path / "tokenizer.json"))
    model = ModelConfig(tokenizer=str(tmp_path / "tokenizer.json"))
    files = [write(tmp_path / f"{n}", numbered(n)) for n in (40, 50, 60)]
    mine, theirs = (
        load(
            "jsonl", "ab", 2, model, paths=(("a", files[0]), ("b", other)), partition="dirichlet"
        )
        for other in files[1:]
    )  # fmt: skip
    for one, other in zip(train(mine, "a"), train(theirs, "a"), strict=True):
        assert np.array_equal(one.y, other.y)
    assert np.array_equal(mine.test["a"].y, theirs.test["a"].y)


def test_limits_keep_the_first_of_a_shuffle_and_all_classes(tmp_path):
    file = write(tmp_path / "f", [{"text": f"t{i}", "label": i} for i in range(40)])
    samples = load("jsonl", path=file, train_samples=5, test_samples=3)
    assert sizes(samples) == [(5, 3), (5, 3)]
    assert samples.test["a"].x is samples.test["b"].x
    assert samples.classes == 40


def test_choices_have_as_many_options_as_the_longest_question_of_all_files(tmp_path):
    def questions(options):
        some = list("uvwxy")[:options]
        return [{"question": f"q{i}", "options": some, "answer": i % options} for i in range(12)]

    files = [write(tmp_path / str(n), questions(n)) for n in (3, 5)]
    samples = load("jsonl", paths=tuple(zip("ab", files, strict=True)))
    assert (samples.spec.form, samples.spec.shape, samples.classes) == ("choices", (5, 2, 24), 5)
    exists = samples.test["a"].x[:, :, 1].any(axis=2)
    assert exists.tolist() == [[True, True, True, False, False]] * len(exists)
    assert samples.trial["b"].x[:, :, 1].any(axis=2).all()


Q = {"question": "q", "options": ["x", "y"], "answer": 1}
T = {"text": "x", "label": 0}
BOM = b'\xef\xbb\xbf{"text": "x", "label": 0}\r\n\r\n{"text": "y", "label": -1}\r\n'


@pytest.mark.parametrize(
    ("message", "rows"),
    [
        ("holds no samples", ["", "  "]),
        ("line 2: is not JSON", [T, "{"]),
        ("line 1: is not JSON", ["[" * 100_000]),
        ("line 2: is no JSON object", [T, "[1]"]),
        ("line 2: is not UTF-8", json.dumps(T).encode() + b'\n{"text": "\xe9"}\n'),
        ("line 3: label is -1; labels are numbered from 0", BOM),
        ("line 1: has 'a', and neither text and label nor question", [{"a": 1}]),
        ("line 1: no column 'label'.*learning.data.columns.label", [{"text": "x"}]),
        ("line 2: no column 'text' or 'text_a'", [T, {"label": 0}]),
        ("line 2: text is 3; it must be a string", [T, T | {"text": 3}]),
        ("line 1: text is blank", [T | {"text": " "}]),
        ("line 1: text holds half a surrogate", ['{"text": "\\ud800", "label": 0}']),
        ("line 1: text_pair is ", [T | {"text_pair": ["y"]}]),
        ("line 1: label is 1.0; it must be a whole number", [T | {"label": 1.0}]),
        ("line 1: label is True; it must be a whole number", [T | {"label": True}]),
        ("line 1: label is 10{5}; .* less than 100000", [T | {"label": 10**5}]),
        ("line 2: label 'x' and 0 before it", [T, T | {"label": "x"}]),
        (
            "line 2: label 3 is in no train sample",
            [T | {"split": "train"}, T | {"split": "test", "label": 3}],
        ),
        ("line 2: label 5, but no .* label 1; ", [T | {"label": n % 2 * 5} for n in range(9)]),
        (
            "line 11: label 7000, but no train sample has label 10; number classes from 0",
            [T | {"label": label} for label in [*range(10), 7000]],
        ),
        ("line 2: no column 'split'", [T | {"split": "train"}, T]),
        ("line 1: no column 'split'", [T, T | {"split": "train"}]),
        ("line 1: split is 'exam'; it must be one of train, test", [T | {"split": "exam"}]),
        ("holds no test samples", [T | {"split": "train"}] * 9),
        ("holds no train samples", [T | {"split": "dev"}] * 9),
        ("one sample cannot be both", [T]),
        ("1 train samples for 2 clusters", [T, T]),
        ("1 samples are left for 2 devices", [T] * 6),
        ("line 1: answer is 2; it must be the number of one of the 2", [Q | {"answer": 2}]),
        ("line 1: answer is -1", [Q | {"answer": -1}]),
        ("line 1: answer is 'B'", [Q | {"answer": "B"}]),
        ("line 1: answer is True", [Q | {"answer": True}]),
        ("line 1: options is .* list of two strings or more", [Q | {"options": ["x"]}]),
        ("line 1: options is 'xy'", [Q | {"options": "xy"}]),
        (r"line 1: options\[1\] is 2", [Q | {"options": ["x", 2]}]),
        ("line 2: no column 'options'", [Q, {"question": "q", "answer": 0}]),
        ("line 1: domain is 1.5", [T | {"domain": 1.5}] * 9),
        ("1 domains for 2 clusters", [T | {"domain": "x"}] * 9),
        ("line 2: domain 1 and 'x' before it", [T | {"domain": "x"}, T | {"domain": 1}]),
        ("line 1: no column 'domain'", [T, T | {"domain": "x"}]),
        (
            r"domains of cluster 'a' \('x'\): no test samples",
            [T | {"domain": d, "split": s} for d, s in (("x", "train"), ("y", "test"))],
        ),
        ("cluster 'b' .'y'.: one sample", [T | {"domain": "x"}] * 9 + [T | {"domain": "y"}]),
    ],
)
def test_what_is_wrong_in_lines_is_said_in_one_line_that_names_them(message, rows, tmp_path):
    file = write(tmp_path / "data.jsonl", rows)
    said = refused(message, config("jsonl", path=file))
    assert file in said or "left for" in message


@pytest.mark.parametrize(
    ("message", "data"),
    [
        ("give either path .one file. or paths", {}),
        ("give either path", {"path": "f", "paths": (("a", "f"), ("b", "f"))}),
        ("none: cannot be read .No such file", {"path": "none"}),
        ("is a folder; name a regular file", {"path": "."}),
        ("no file for cluster 'b'; clusters: a, b", {"paths": (("a", "f"),)}),
        ("no cluster 'c'; clusters: a, b", {"paths": (("a", "f"), ("b", "f"), ("c", "f"))}),
        ("q: holds choices, but f holds text", {"paths": (("a", "f"), ("b", "q"))}),
        ("columns.image: is not used by kind", {"path": "f", "columns": (("image", "x"),)}),
        ("line 1: no column 'x'", {"path": "f", "columns": (("domain", "x"),)}),
        ("line 1: no column 'x'", {"path": "f", "columns": (("split", "x"),)}),
        ("test_fraction is 1.0", {"path": "f", "test_fraction": 1.0}),
        (
            "columns.domain: is not used with learning.data.paths",
            {"paths": (("a", "f"), ("b", "f")), "columns": (("domain", "label"),)},
        ),
        (
            r"raise learning.data.train_samples \(3\), lower",
            {"path": "f", "train_samples": 3, "trial_samples": 3},
        ),
        (
            "behind 8 trial samples; lower learning.data.trial_s",
            {"path": "f", "trial_samples": 8},
        ),
    ],
)
def test_keys_that_do_not_fit_the_files_are_named(message, data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "f", numbered(20))
    write(tmp_path / "q", [Q] * 20)
    refused(message, config("jsonl", **data))
    with pytest.raises(ValueError, match="none: no such file"):
        data_files(DataConfig(kind="jsonl", path="none"))


# -- arrays


def split(**more):
    x = {"x_train": IMAGES[:40], "x_test": IMAGES[40:]}
    return {**x, "y_train": LABELS[:40], "y_test": LABELS[40:], **more}


def features(image):
    """One image (H, W, C) by the definition: channels first, float32 of v / 255."""
    high, wide, channels = (range(size) for size in image.shape)
    one = np.float32
    return np.array(
        [[[one(image[h, w, c]) / one(255) for w in wide] for h in high] for c in channels]
    )


def test_images_are_channels_first_in_0_to_1_each_with_its_label(tmp_path):
    samples = load("npz", path=save(tmp_path / "f.npz", **split()))
    assert (samples.spec.form, samples.spec.shape, samples.classes) == ("image", (3, 4, 6), 5)
    label = {
        features(image).tobytes(): (int(y), row >= 40)
        for row, (image, y) in enumerate(zip(IMAGES, LABELS, strict=True))
    }
    for part in [*trained(samples), samples.test["a"]]:
        assert part.x.dtype == np.float32 and part.x.flags.c_contiguous
        found = [label[image.tobytes()] for image in part.x]
        assert [y for y, _ in found] == part.y.tolist()
        assert {test for _, test in found} == {part is samples.test["a"]}
    assert len(set(told(*trained(samples)))) == 40
    assert samples.test["a"].x is samples.test["b"].x


@pytest.mark.parametrize(
    ("x", "form", "shape"),
    [
        (IMAGES[..., 0], "image", (1, 4, 6)),
        (IMAGES.astype("f8") / 255, "image", (3, 4, 6)),
        (RNG.normal(size=(60, 7)) * 100, "vector", (7,)),
        (IMAGES[:, 0, :, 0], "vector", (6,)),
    ],
)
def test_without_test_arrays_a_share_is_held_out_of_arrays_too(x, form, shape, tmp_path):
    samples = load("npz", path=save(tmp_path / "f.npz", x=x, y=LABELS), test_fraction=0.1)
    assert (samples.spec.form, samples.spec.shape) == (form, shape)
    everything = [samples.test["a"], *trained(samples)]
    assert [sum(len(part.y) for part in some) for some in (everything, everything[:1])] == [60, 6]
    total = x.astype("f8").sum() / (255 if x.dtype == np.uint8 else 1)
    found = sum(part.x.astype("f8").sum() for part in everything)
    assert found == pytest.approx(total, rel=1e-5, abs=1e-2)


def test_classes_and_an_array_can_be_domains(tmp_path):
    fields = np.array(["sea", "air"])[LABELS % 2]
    file = save(tmp_path / "f.npz", **split(domain_train=fields[:40], domain_test=fields[40:]))
    by_field = load("npz", path=file)
    for cluster, odd in zip("ab", (1, 0), strict=True):
        for part in [*train(by_field, cluster), by_field.test[cluster]]:
            assert set((part.y % 2).tolist()) == {odd}
    by_class = load("npz", path=file, columns=(("domain", "y"),))
    assert [set(by_class.test[c].y.tolist()) for c in "ab"] == [{0, 1, 2}, {3, 4}]
    assert by_class.classes == 5


def test_a_file_each_may_mix_bytes_and_floats_but_not_shapes(tmp_path):
    one = save(tmp_path / "1.npz", **split())
    two = save(tmp_path / "2.npz", x=IMAGES[:50].astype("f4") / np.float32(255), y=LABELS[:50])
    mixed = train(load("npz", paths=(("a", one), ("b", two)), own_domain_fraction=0.5), "a")
    assert set(told(*mixed)) <= {features(image).tobytes() for image in IMAGES}
    assert {d for part in mixed for d in part.domain.tolist()} == {0, 1}
    three = save(tmp_path / "3.npz", x=IMAGES[:, :3], y=LABELS)
    message = r"3.npz: x: one sample has shape .3, 6, 3., but of"
    refused(message, config("npz", paths=(("a", one), ("b", three))))


def test_labels_may_be_words_and_have_another_name(tmp_path):
    words = np.array(["cat", "ant", "bee"])[LABELS % 3]
    file = save(tmp_path / "f.npz", **split(kind_train=words[:40], kind_test=words[40:]))
    samples = load("npz", path=file, columns=(("label", "kind"),))
    assert samples.classes == 3
    assert np.count_nonzero(samples.test["a"].y == 0) == np.count_nonzero(words[40:] == "ant")


def in_memory(**arrays):
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def zipped(content):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as parts:
        parts.writestr("x.npy", content)
        parts.writestr("y.npy", content)
    return file.getvalue()


NAN = np.where(np.arange(60) == 7, np.nan, 0.5)[:, None]
OBJECTS = np.array([{"a": 1}] * 60, dtype=object)
PICKLE = b"\x80\x04K\x01."


@pytest.mark.parametrize(
    ("message", "arrays"),
    [
        ("cannot be read .no .npz file", b""),
        ("cannot be read .no .npz file", b"PK\x03\x04 broken"),
        ("cannot be read .no .npz file", PICKLE),
        ("cannot be read", b"\x93NUMPY\x01\x00v\x00" + b"{'descr': '<i8'}".ljust(118)),
        ("cannot be read", in_memory(x=IMAGES, y=LABELS)[:3000]),
        (r"cannot be read \([xy]: ", zipped(b"\x93NUMPY\x01\x00junk")),
        (r"cannot be read \([xy]: ", zipped(PICKLE)),
        ("x: Python objects or no array", {"x": OBJECTS, "y": LABELS}),
        ("y: Python objects or no array", {"x": IMAGES, "y": OBJECTS}),
        ("no array 'x_train' or 'x'", {"y": LABELS}),
        ("no array 'y'; add it", {"x": IMAGES}),
        ("no array 'y_test'", {"x": IMAGES, "y": LABELS, "x_test": IMAGES}),
        (r"y has shape \(9,\); it must be \(60,\)", {"x": IMAGES, "y": LABELS[:9]}),
        (r"y has shape \(60, 1\); it must be \(60,\)", {"x": IMAGES, "y": LABELS[:, None]}),
        ("y is float64; save whole numbers", {"x": IMAGES, "y": LABELS * 1.0}),
        (r"y\[0\] is -1; labels are numbered from 0", {"x": IMAGES, "y": LABELS - 1}),
        (r"y_test\[0\]: label 8 is in no train sample", split(y_test=np.full(20, 8))),
        ("x is int32; save it as uint8", {"x": IMAGES.astype("i4"), "y": LABELS}),
        (r"x\[0\] holds .* in 0 to 1 .or uint8.", {"x": IMAGES.astype("f4"), "y": LABELS}),
        (r"x\[7\] holds nan; it must be finite", {"x": NAN, "y": LABELS}),
        (r"x\[0\] holds 1e\+300; it must be finite", {"x": NAN * 0 + 1e300, "y": LABELS}),
        (r"x has shape \(60,\); it must be", {"x": LABELS.astype("u1"), "y": LABELS}),
        ("put channels last", {"x": IMAGES.transpose(0, 3, 1, 2), "y": LABELS}),
        (r"x has shape \(60, 0, 6, 3\)", {"x": IMAGES[:, :0], "y": LABELS}),
        ("holds no samples", {"x": IMAGES[:0], "y": LABELS[:0]}),
        ("holds no test samples", split(x_test=IMAGES[:0], y_test=LABELS[:0])),
        (r"x_test: one sample has shape \(2, 6, 3\)", split(x_test=IMAGES[40:, :2])),
        ("no array 'domain_test'", split(domain_train=LABELS[:40])),
        ("1 domains for 2 clusters", {"x": IMAGES, "y": LABELS, "domain": LABELS * 0}),
        (r"y\[1\]: label 2, but no train sample has label 1", {"x": IMAGES, "y": LABELS * 2}),
        ("one and the same label; a classifier needs two", {"x": IMAGES, "y": LABELS * 0}),
    ],
)
def test_what_is_wrong_in_arrays_is_said_in_one_line_that_names_them(message, arrays, tmp_path):
    place = tmp_path / "data.npz"
    if isinstance(arrays, bytes):
        place.write_bytes(arrays)
    file = str(place) if isinstance(arrays, bytes) else save(place, **arrays)
    said = refused(message, config("npz", trial_samples=3, path=file))
    assert file in said or "one and the same" in message


# -- published data sets, where they lie beside the repository


def published(name):
    root = Path(__file__).resolve().parents[2]
    file = Path(os.environ.get("LEOMIX_DATA", root.parent / "shared" / "data")) / name
    if not file.is_file():
        pytest.skip(f"no data here: set LEOMIX_DATA to the folder that holds {name}")
    return str(file)


def test_cifar_classes_are_domains_of_four_clusters():
    file = published("cifar10.npz")
    samples = load("npz", "abcd", 50, path=file, columns=(("domain", "y"),))
    assert (samples.spec.shape, samples.spec.classes) == ((3, 32, 32), 10)
    assert [len(np.unique(samples.test[c].y)) for c in "abcd"] == [3, 3, 2, 2]
    parts = trained(samples, "abcd")
    with np.load(file) as arrays:
        total = arrays["x_train"].sum(dtype="i8") / 255
    assert sum(len(part.y) for part in parts) == 10_000
    assert sum(part.x.sum(dtype="f8") for part in parts) == pytest.approx(total, rel=1e-7)


@pytest.mark.parametrize(
    ("names", "shape"),
    [
        (("glue_cola", "glue_qnli", "glue_rte", "glue_sst2"), (24,)),
        (("cmexam", "medmcqa", "mmlu"), (5, 2, 24)),
    ],
)
def test_published_texts_and_questions_load(names, shape):
    files = [published(f"{name}.jsonl") for name in names]
    samples = load("jsonl", names, paths=tuple(zip(names, files, strict=True)))
    assert samples.spec.shape == shape and samples.classes == (5 if len(shape) > 1 else 2)
    for name, file in zip(names, files, strict=True):
        tested = read_jsonl(file, {}).table.is_test
        counted = sum(len(part.y) for part in train(samples, name))
        assert [counted, len(samples.test[name].y)] == [(~tested).sum(), tested.sum()]


# -- data sets of the package ``datasets``: from disk, offline

INSTALLED = importlib.util.find_spec("datasets") is not None
SENTENCES = [{"sentence": f"t{i}", "label": i % 2} for i in range(20)]
COLUMNS = (("text", "sentence"),)


@pytest.fixture
def datasets(monkeypatch):
    library = pytest.importorskip("datasets", reason="needs the extra leomix[hf]")

    def refuse(*where):
        raise AssertionError(f"asked for {where}")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    return library


@pytest.mark.skipif(INSTALLED, reason="datasets is installed here")
def test_without_the_package_one_line_names_the_extra(tmp_path):
    refused(r"pip install 'leomix\[hf\]'", config("hf", path=str(tmp_path)))


def test_saved_splits_are_kept_and_hidden_labels_left_out(datasets, tmp_path):
    hidden = [row | {"label": -1} for row in SENTENCES]
    parts = {"train": SENTENCES, "validation": SENTENCES[:7], "test": hidden}
    made = {name: datasets.Dataset.from_list(rows) for name, rows in parts.items()}
    datasets.DatasetDict(made).save_to_disk(tmp_path)
    samples = load("hf", path=str(tmp_path), columns=COLUMNS)
    assert (len(told(*trained(samples))), len(samples.test["a"].y), samples.classes) == (20, 7, 2)
    files = data_files(DataConfig(kind="hf", path=str(tmp_path)))
    assert str(tmp_path / "train" / "state.json") in files
    made["train"].save_to_disk(tmp_path / "one")
    one = load("hf", path=str(tmp_path / "one"), columns=COLUMNS, test_fraction=0.25)
    assert (len(told(*trained(one))), len(one.test["a"].y)) == (15, 5)


def test_a_folder_of_files_is_the_same_as_jsonl_of_its_rows(datasets, tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in ("train", "test"):
        write(folder / f"{name}.jsonl", SENTENCES)
    rows = [row | {"split": split} for split in ("train", "test") for row in SENTENCES]
    expected = load("jsonl", path=write(tmp_path / "both.jsonl", rows), columns=COLUMNS)
    found = load("hf", path=str(folder), columns=COLUMNS)
    for cluster in "ab":
        assert told(found.test[cluster]) == told(expected.test[cluster])
        for one, other in zip(found.shards[cluster], expected.shards[cluster], strict=True):
            assert told(one) == told(other) and (one.y == other.y).all()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no-such-owner/no-such-data", r"cannot be loaded .* or hub:OWNER/NAME to download"),
        ("./none", r"cannot be loaded .* or hub:OWNER/NAME to download"),
        ("json", "is no folder here; a data set's name is OWNER/NAME"),
        ("hub:json", "is no folder here; a data set's name is OWNER/NAME"),
        ("wrong", r"train\[3\]: sentence is blank"),
    ],
)
def test_other_names_are_refused_without_asking_another_machine(
    datasets, name, message, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "mine.json", SENTENCES)
    rows = [*SENTENCES[:3], {"sentence": " ", "label": 0}]
    made = datasets.DatasetDict({"train": datasets.Dataset.from_list(rows)})
    made.save_to_disk(tmp_path / "wrong")
    offline = datasets.config.HF_HUB_OFFLINE
    refused(message, config("hf", path=name, columns=COLUMNS))
    assert offline == datasets.config.HF_HUB_OFFLINE
