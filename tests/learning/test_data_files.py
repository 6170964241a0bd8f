"""Texts, questions and images from files: what users write, what they get, what they are told."""

import io
import json
import socket
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from learning import LearningConfig, ModelConfig
from learning.data import data_files, load_samples
from learning.data.npz import channels_first
from learning.declarations import FrozenDict
from learning.settings import Columns, Data, Split
from learning.text.rows import Question, Text
from tests.kit.learning_inputs import read_jsonl

MODEL = ModelConfig(kind="mixtral", vocabulary=300)
RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (60, 4, 6, 3), np.uint8)
LABELS = np.arange(60) % 5


def load(kind, clusters="ab", devices=2, model=MODEL, **data):
    paths = FrozenDict(data.pop("paths", {}))
    columns = Columns(**data.pop("columns", {}))
    more = {"paths": paths, "columns": columns, **data}
    how = Data(**{"kind": kind, "tokens": 24, "trial_samples": 2, **more})
    names = tuple(clusters)
    return load_samples(LearningConfig(5, names, (devices,) * len(names), model=model, data=how))


def refused(message, kind, **data):
    with pytest.raises(ValueError, match=message) as refusal:
        load(kind, **data)
    said = str(refusal.value)
    assert "\n" not in said and "pickle" not in said
    return said


def write(path, rows):
    if isinstance(rows, bytes):
        path.write_bytes(rows)
    elif isinstance(rows, dict):
        np.savez(path, **rows)
    else:
        lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


def trained(samples, clusters="ab"):
    return [part for c in clusters for part in (samples.trial[c], *samples.shards[c])]


def sizes(samples):
    return [(sum(len(p.y) for p in trained(samples, c)), len(samples.test[c].y)) for c in "ab"]


def labels(samples, cluster):
    return {y for part in trained(samples, cluster) for y in part.y.tolist()}


def domains(samples, cluster):
    return {d for part in trained(samples, cluster) for d in part.domain.tolist()}


def told(*parts):
    return [row.tobytes() for part in parts for row in part.x]


def numbered(count, **more):
    return [{"text": f"t{i:03}", "label": i % 2, **more} for i in range(count)]


ROW = {"question": "q", "options": ["x", "y"], "answer": 1, "tag": "good", "second": "s"}
NAMED = {"text": "question", "label": "tag", "text_pair": "second"}


def test_columns_and_their_names_decide_the_layout(tmp_path):
    for row, columns, form, content, label in (
        ({"text_a": "x", "label": 0, "text_b": ""}, {}, "text", Text("x", ""), 0),
        (ROW, {}, "choices", Question("q", ("x", "y")), 1),
        (ROW, NAMED, "text", Text("q", "s"), "good"),
    ):
        table = read_jsonl(write(tmp_path / "f", [row]), columns)
        assert (table.form, table.content, table.labels) == (form, [content], [label])


def test_every_row_is_used_once_by_the_split_of_a_column(tmp_path):
    splits = ["train", "train", "train", "test", "validation", "dev"]
    rows = [row | {"split": splits[i % 6]} for i, row in enumerate(numbered(60))]
    samples = load("jsonl", path=write(tmp_path / "f", rows))
    everything = told(*trained(samples), samples.test["a"])
    assert (len(everything), len(set(everything)), len(samples.test["a"].y)) == (60, 60, 30)
    assert samples.test["a"].x is samples.test["b"].x
    assert [set(samples.test[c].domain.tolist()) for c in "ab"] == [{0}, {1}]
    assert [len(part.y) for part in samples.shards["a"]] == [7, 6]


def test_domains_of_a_column_go_to_clusters_in_groups_and_a_file_each_is_one(tmp_path):
    rows = [row | {"field": "edcba"[i % 5]} for i, row in enumerate(numbered(100))]
    file = write(tmp_path / "f", rows)
    samples = load("jsonl", path=file, columns={"domain": "field"}, test_fraction=0.25)
    assert sizes(samples) == [(45, 15), (30, 10)]  # a, b, c and d, e
    assert domains(samples, "b") == {1}
    one = write(tmp_path / "1", [{"text": f"x{i}", "label": "pq"[i % 2]} for i in range(20)])
    two = write(tmp_path / "2", [{"text": f"y{i}", "label": "qr"[i % 2]} for i in range(30)])
    samples = load("jsonl", paths={"b": two, "a": one})
    assert (samples.spec.classes, labels(samples, "a"), labels(samples, "b")) == (3, {0, 1}, {1, 2})
    assert sizes(samples) == [(16, 4), (24, 6)]
    assert data_files(Data(paths=FrozenDict(b=two, a=one))) == [one, two]


def test_choices_have_as_many_options_as_the_longest_question_of_all_files(tmp_path):
    for n in (3, 5):
        some = {"question": "q", "options": [*"uvwxy"[:n]]}
        write(tmp_path / str(n), [some | {"answer": i % n} for i in range(12)])
    samples = load("jsonl", paths={"a": str(tmp_path / "3"), "b": str(tmp_path / "5")})
    assert (samples.spec.shape, samples.spec.classes) == ((5, 2, 24), 5)
    exists = samples.test["a"].x[:, :, 1].any(axis=2)
    assert exists.tolist() == [[True, True, True, False, False]] * len(exists)
    assert samples.trial["b"].x[:, :, 1].any(axis=2).all()


Q = {"question": "q", "options": ["x", "y"], "answer": 1}
TEXTS = [("line 2: is not UTF-8", b'{"text": "x", "label": 0}\n{"text": "\xe9"}\n')]


def test_files_of_two_forms_keys_that_do_not_fit_and_a_missing_package_are_named(
    tmp_path, monkeypatch
):
    paths = {"a": write(tmp_path / "f", numbered(20)), "b": write(tmp_path / "q", [Q] * 20)}
    refused("q: holds choices, but .*f holds text", "jsonl", paths=paths)
    few = {"path": paths["a"], "train_samples": 3, "trial_samples": 3}
    refused(r"raise learning.data.train_samples \(3\), lower", "jsonl", **few)
    refused("columns.text: is not used by kind", "npz", path=paths["a"], columns={"text": "x"})
    monkeypatch.setitem(sys.modules, "datasets", None)
    refused("needs the package datasets: pip install datasets", "hf", path=str(tmp_path))


def split(**more):
    arrays = {"x": IMAGES, "y": LABELS, **more}
    train = {f"{name}_train": array[:40] for name, array in arrays.items()}
    return train | {f"{name}_test": array[40:] for name, array in arrays.items()}


def features(image):
    """Channels first, float32: of bytes v / 255, floats as they are."""
    most = np.float32(255 if image.dtype == np.uint8 else 1)
    return np.stack([image[:, :, c].astype("f4") / most for c in range(3)])


@pytest.mark.parametrize("images", [IMAGES, IMAGES / 64 - 2])
def test_images_are_channels_first_each_with_its_label(tmp_path, images):
    samples = load("npz", path=write(tmp_path / "f.npz", split(x=images)))
    assert (samples.spec.form, samples.spec.shape, samples.spec.classes) == ("image", (3, 4, 6), 5)
    place = {features(image).tobytes(): row for row, image in enumerate(images)}
    for part in [*trained(samples), samples.test["a"]]:
        assert part.x.dtype == np.float32 and part.x.flags.c_contiguous
        found = [place[image.tobytes()] for image in part.x]
        assert LABELS[found].tolist() == part.y.tolist()
        assert {row >= 40 for row in found} == {part is samples.test["a"]}
    assert len(set(told(*trained(samples)))) == 40


def test_without_test_arrays_a_share_is_held_out_of_arrays_too(tmp_path):
    vectors = RNG.normal(size=(60, 7)) * 100
    samples = load("npz", path=write(tmp_path / "f.npz", xy(vectors)), test_fraction=0.1)
    assert (samples.spec.form, samples.spec.shape) == ("vector", (7,))
    assert sizes(samples) == [(27, 6)] * 2
    assert sorted(told(samples.test["a"], *trained(samples))) == sorted(
        row.tobytes() for row in vectors.astype("f4")
    )


def test_arrays_of_two_shapes_are_refused(tmp_path):
    paths = {"a": write(tmp_path / "0.npz", split())}
    paths["b"] = write(tmp_path / "3.npz", xy(IMAGES[:, :3]))
    refused(r"3.npz: x: one sample has shape .3, 3, 6., but of", "npz", paths=paths)


def packed(**members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as parts:
        for name, content in members.items():
            parts.writestr(f"{name}.npy", content)
    return file.getvalue()


ONE_NAN = np.where(np.arange(60) == 7, np.nan, 0.5)[:, None]
OBJECTS = np.array([{"a": 1}] * 60, dtype=object)
PICKLE = b"\x80\x04K\x01."


def xy(x=IMAGES, y=LABELS, **more):
    return {"x": x, "y": y, **more}


ARRAYS = [
    ("cannot be read .no .npz file", PICKLE),
    ("cannot be read", packed(x=IMAGES.tobytes(), y=b"")[:3000]),
    (r"cannot be read \([xy]: ", packed(x=PICKLE, y=PICKLE)),
    ("x: Python objects or no array", xy(OBJECTS)),
    ("no array 'x_train' or 'x'", {"y": LABELS}),
    (
        r"no array 'x_train' or 'x'; add .* \(the file has 'train_images', 'train_labels'\)",
        {"train_images": LABELS, "train_labels": LABELS},
    ),
    (
        r"no array 'y'; add .* \(the file has 'labels'\)",
        {"x": np.zeros((len(LABELS), 3), np.float32), "labels": LABELS},
    ),
    (r"y has shape \(9,\); it must be \(60,\)", xy(y=LABELS[:9])),
    (r"y has shape \(60, 1\); a label is a number: save y.reshape\(-1\)", xy(y=LABELS[:, None])),
    ("y is float64, which cross_entropy does not take; set learning.loss: mse", xy(y=LABELS * 1.0)),
    ("x is int32; save it as uint8", xy(IMAGES.astype("i4"))),
    (r"x\[7\] holds nan; it must be finite, as float32 too: fill what is not", xy(ONE_NAN)),
    (r"x\[7\] holds inf; it must be", xy(np.where(np.isnan(ONE_NAN), np.inf, 0.5).astype("f2"))),
    (r"x\[0\] holds 1e\+300; .* divide by the largest magnitude", xy(np.full((60, 2), 1e300))),
    (r"put channels last, .*: x = np.moveaxis\(x, 1, -1\)", xy(IMAGES.transpose(0, 3, 1, 2))),
    ("holds no samples", xy(IMAGES[:0], LABELS[:0])),
    ("one and the same label; a classifier needs two", xy(y=LABELS * 0)),
]
WRONG = [("jsonl", *row) for row in TEXTS] + [("npz", *row) for row in ARRAYS]


@given(st.tuples(*[st.integers(1, 14)] * 3))
@example((4, 16, 16))
@example((2, 16, 20))
@example((13, 64, 64))
def test_images_with_bands_first_are_refused_and_what_is_advised_is_taken(shape):
    images = np.zeros((2, *shape), np.uint8)
    if not shape[0] < min(shape[1:]):
        assert channels_first("x", images).shape == (2, shape[2], *shape[:2])
        return
    with pytest.raises(ValueError, match="put channels last") as refusal:
        channels_first("x", images)
    bands, rows, columns = shape
    assert channels_first("x", np.moveaxis(images, 1, -1)).shape == (2, bands, rows, columns)
    assert ("np.swapaxes(x, 1, 2)" in str(refusal.value)) == (rows != columns)
    if rows != columns:
        assert channels_first("x", np.swapaxes(images, 1, 2)).shape == (2, columns, rows, bands)


@pytest.mark.parametrize(("kind", "message", "rows"), WRONG)
def test_what_is_wrong_in_a_file_is_said_in_one_line_that_names_it(kind, message, rows, tmp_path):
    file = write(tmp_path / f"data.{kind}", rows)
    said = refused(message, kind, path=file)
    of_all = ("left for", "one and the same", "learning.loss: mse")  # which no file alone has
    assert file in said or any(words in message for words in of_all)


def test_the_loading_script_of_a_folder_is_not_run(tmp_path, monkeypatch):
    (tmp_path / "sent.py").write_text("open('ran', 'w').close()\n")
    monkeypatch.chdir(tmp_path)
    refused(r"sent\.py: is a loading script, which is not run; give data", "hf", path=str(tmp_path))
    assert not (tmp_path / "ran").exists()


SENTENCES = [{"sentence": f"t{i}", "label": i % 2} for i in range(20)]
COLUMNS = {"text": "sentence"}


@pytest.fixture
def datasets(monkeypatch, tmp_path):
    """The package, from disk only: whoever asks another machine fails."""
    library = pytest.importorskip("datasets", reason="needs the extra leomix[hf]")
    monkeypatch.setattr(socket, "getaddrinfo", lambda *where: pytest.fail(f"asked for {where}"))
    monkeypatch.setattr(library.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.chdir(tmp_path)
    return library


def test_saved_splits_are_kept_and_a_folder_of_files_is_as_jsonl_of_its_rows(datasets, tmp_path):
    hidden = [row | {"label": -1} for row in SENTENCES]  # left out
    parts = {"train": SENTENCES, "validation": SENTENCES[:7], "test": hidden}
    made = {name: datasets.Dataset.from_list(rows) for name, rows in parts.items()}
    datasets.DatasetDict(made).save_to_disk("all")
    samples = load("hf", path="all", columns=COLUMNS)
    assert (sizes(samples), samples.spec.classes) == ([(10, 7), (10, 7)], 2)
    (tmp_path / "folder").mkdir()
    for name in ("train", "test"):
        write(tmp_path / "folder" / f"{name}.jsonl", SENTENCES)
    rows = [row | {"split": split} for split in ("train", "test") for row in SENTENCES]
    expected = load("jsonl", path=write(tmp_path / "both.jsonl", rows), columns=COLUMNS)
    found = load("hf", path="folder", columns=COLUMNS)
    for some in (trained, lambda samples: samples.test.values()):
        assert told(*some(found)) == told(*some(expected))


def test_data_sets_that_cannot_be_loaded_are_refused_and_nothing_is_downloaded(datasets, tmp_path):
    rows = [*SENTENCES[:3], {"sentence": " ", "label": 0}]
    datasets.DatasetDict({"train": datasets.Dataset.from_list(rows)}).save_to_disk("wrong")
    write(tmp_path / "mine.json", SENTENCES)
    for message, path in (
        (r"cannot be loaded .* or hub:OWNER/NAME to download", "no-such-owner/none"),
        ("is no folder here; a data set's name is OWNER/NAME", "json"),
        (r"train\[3\]: sentence is blank", "wrong"),
    ):
        refused(message, "hf", path=path, columns=COLUMNS)


# Images in a folder for each class, as torchvision's ImageFolder has them.


def photograph(path, pixels, **how):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **how)


def album(root, classes=("ant", "bee"), count=10, size=(8, 8, 3)):
    """A class each of darker and of brighter images; returns all of them by their path."""
    made = {}
    for number, name in enumerate(classes):
        for place in range(count):
            pixels = RNG.integers(80 * number, 80 * number + 80, size, np.uint8)
            photograph(root / name / f"{place}.png", pixels)
            made[root / name / f"{place}.png"] = pixels
    return made


def test_images_are_read_from_a_folder_for_each_class(tmp_path):
    made = album(tmp_path / "photos", ("bee", "10", "ant"))
    (tmp_path / "photos" / "ant" / ".DS_Store").write_bytes(b"no image")
    (tmp_path / "photos" / ".hidden").mkdir()
    (tmp_path / "photos" / "LICENSE").write_text("of all")
    samples = load("images", path=str(tmp_path / "photos"), size=8)
    assert (samples.spec.form, samples.spec.shape, samples.spec.classes) == ("image", (3, 8, 8), 3)
    classes = {features(pixels).tobytes(): path.parent.name for path, pixels in made.items()}
    seen = []
    for part in [*trained(samples), samples.test["a"]]:
        for image, label in zip(part.x, part.y, strict=True):
            seen.append(classes[image.tobytes()])
            assert ["10", "ant", "bee"][label] == seen[-1]  # sorted as texts
    assert len(seen) == 30 and len(samples.test["a"].y) == 6


@pytest.mark.parametrize("test", ["test", "val"])
def test_folders_of_train_and_test_are_the_split_in_any_order_of_a_file_system(tmp_path, test):
    """Files that are made in another order come in another one from many file systems."""
    made = album(tmp_path / "a" / "train")
    held_out = album(tmp_path / "a" / test, count=3)
    for path, pixels in sorted((made | held_out).items(), reverse=True):
        photograph(tmp_path / "b" / path.relative_to(tmp_path / "a"), pixels)
    samples, other = (load("images", path=str(tmp_path / name), size=8) for name in "ab")
    tested = {image.tobytes() for image in samples.test["b"].x}
    assert tested == {features(pixels).tobytes() for pixels in held_out.values()}
    assert sum(len(part.y) for part in trained(samples)) == 20
    assert told(*trained(samples)) == told(*trained(other))


GREY = np.linspace(0, 255, 64).reshape(8, 8)


def test_grey_images_have_one_channel_and_sixteen_bits_their_whole_range(tmp_path):
    for name, pixels in {"8": GREY.astype("u1"), "16": (GREY * 257).astype("u2")}.items():
        for place in range(8):
            photograph(tmp_path / "grey" / name / f"{place}.png", pixels)
    samples = load("images", path=str(tmp_path / "grey"), size=8)
    assert samples.spec.shape == (1, 8, 8)
    for image in samples.test["a"].x:
        assert np.abs(image[0] - GREY / 255).max() < 1 / 255
    photograph(tmp_path / "grey" / "8" / "colour.png", np.stack([GREY.astype("u1")] * 3, axis=-1))
    assert load("images", path=str(tmp_path / "grey"), size=4).spec.shape == (3, 4, 4)


def test_images_of_any_shape_are_scaled_to_one(tmp_path):
    album(tmp_path, size=(40, 20, 3))
    halves = np.zeros((40, 20, 3), np.uint8)
    halves[:20] = 255
    photograph(tmp_path / "ant" / "halves.bmp", halves)
    samples = load("images", path=str(tmp_path), size=4)
    images = np.concatenate([part.x for part in [*trained(samples), samples.test["a"]]])
    assert images.shape == (21, 3, 4, 4)
    [found] = [image for image in images if image[:, 0].min() == 1.0 and image[:, 3].max() == 0.0]
    assert (found[:, 1] > found[:, 2]).all()


PNG = "PNG"
CLASSES = {"ant/0.png": PNG, "bee/0.png": PNG}
SPLIT = {"train/ant/0.png": PNG, "test/ant/0.png": PNG}
NO_ALBUM = [
    ("photos: cannot be read .No such file or directory.; name a folder", {}),
    ("photos: holds no folders; put the images of each class", {"0.png": PNG}),
    ("photos/cat: holds no images; add some, or remove", {**CLASSES, "cat/.hidden.png": PNG}),
    ("photos/ant/b.txt: is no image .* .none of .*JPEG", {**CLASSES, "ant/b.txt": b"text"}),
    ("photos/bee/b.tif: .*floating-point numbers: .* npz", {**CLASSES, "bee/b.tif": "TIFF"}),
    ("holds 'train', 'test' and 'ant'; keep", {**SPLIT, "ant/0.png": PNG}),
    ("'Test' and 'Train', which seem .* call", {"Train/ant/0.png": PNG, "Test/ant/0.png": PNG}),
    ("photos/test/cat/0.png: label 'cat' is in no train", {**SPLIT, "test/cat/0.png": PNG}),
]


@pytest.mark.parametrize(("message", "files"), NO_ALBUM)
def test_what_is_wrong_in_a_folder_of_images_is_said_in_one_line(message, files, tmp_path):
    for name, what in files.items():
        path = tmp_path / "photos" / name
        pixels = RNG.random((8, 8)).astype("f4") if what == "TIFF" else IMAGES[0]
        photograph(path, pixels, format=what if what == "TIFF" else PNG)
        if isinstance(what, bytes):
            path.write_bytes(what)
    few = {"clusters": "a", "devices": 1, "trial_samples": 1}
    refused(message, "images", path=str(tmp_path / "photos"), **few)


def test_a_folder_of_images_is_no_npz_and_one_for_each_cluster_is_a_domain(tmp_path):
    folder, more = (str(tmp_path / name) for name in ("photos", "more"))
    for place in (folder, more):
        album(Path(place))
    refused("photos: is a folder; .* set learning.data.kind to images", "npz", path=folder)
    said = "f.npz: cannot be read .Not a directory.; .* has learning.data.kind: npz"
    refused(said, "images", path=write(tmp_path / "f.npz", split()))
    said = "has no domains; use another kind, or paths"
    refused(said, "images", path=folder, split=Split(kind="domains"))
    assert domains(load("images", paths={"a": folder, "b": more}, size=8), "b") == {1}
