"""Images and vectors from .npz files."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from learning.data import load_samples
from tests.kit.learning import DataConfig, LearningConfig

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (60, 4, 6, 3), np.uint8)
LABELS = np.arange(60) % 5


def save(path, **arrays):
    np.savez(path, **arrays)
    return str(path)


def config(clusters="ab", devices=2, **data):
    data = {"kind": "npz", "trial_samples": 3, **data}
    return LearningConfig(5, tuple(clusters), (devices,) * len(clusters), data=DataConfig(**data))


def train(samples, cluster):
    return [samples.trial[cluster], *samples.shards[cluster]]


def split(**more):
    return {
        "x_train": IMAGES[:40],
        "y_train": LABELS[:40],
        "x_test": IMAGES[40:],
        "y_test": LABELS[40:],
        **more,
    }


def as_features(image):
    """One image (H, W, C) by the definition: channels first, float32 of v / 255."""
    height, width, channels = image.shape
    return np.array(
        [
            [
                [np.float32(image[h, w, c]) / np.float32(255) for w in range(width)]
                for h in range(height)
            ]
            for c in range(channels)
        ]
    )


def test_images_are_channels_first_in_0_to_1_each_with_its_label(tmp_path):
    samples = load_samples(config(path=save(tmp_path / "f.npz", **split())))
    assert (samples.spec.form, samples.spec.shape, samples.classes) == ("image", (3, 4, 6), 5)
    label = {
        as_features(image).tobytes(): (int(y), row >= 40)
        for row, (image, y) in enumerate(zip(IMAGES, LABELS, strict=True))
    }
    trained = [part for c in "ab" for part in train(samples, c)]
    for part in [*trained, samples.test["a"]]:
        assert part.x.dtype == np.float32 and part.x.flags.c_contiguous
        found = [label[image.tobytes()] for image in part.x]
        assert [y for y, _ in found] == part.y.tolist()
        assert {test for _, test in found} == {part is samples.test["a"]}
    assert len({image.tobytes() for part in trained for image in part.x}) == 40
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
def test_without_test_arrays_a_share_is_held_out(x, form, shape, tmp_path):
    file = save(tmp_path / "f.npz", x=x, y=LABELS)
    samples = load_samples(config(path=file, test_fraction=0.1))
    assert (samples.spec.form, samples.spec.shape) == (form, shape)
    everything = [samples.test["a"], *(part for c in "ab" for part in train(samples, c))]
    assert len(samples.test["a"].y) == 6
    expected = x.astype("f8") / (255 if x.dtype == np.uint8 else 1)
    total = sum(part.x.astype("f8").sum() for part in everything)
    assert total == pytest.approx(expected.sum(), rel=1e-5, abs=1e-2)
    assert sum(len(part.y) for part in everything) == 60


def test_classes_as_domains_and_an_array_of_domains(tmp_path):
    fields = np.array(["sea", "air"])[LABELS % 2]
    file = save(tmp_path / "f.npz", **split(domain_train=fields[:40], domain_test=fields[40:]))
    by_field = load_samples(config(path=file))
    for cluster, odd in zip("ab", (1, 0), strict=True):
        for part in [*train(by_field, cluster), by_field.test[cluster]]:
            assert set((part.y % 2).tolist()) == {odd}
    by_class = load_samples(config(path=file, columns=(("domain", "y"),)))
    assert set(by_class.test["a"].y.tolist()) == {0, 1, 2}
    assert set(by_class.test["b"].y.tolist()) == {3, 4}
    assert by_class.classes == 5


def test_a_file_each_may_mix_bytes_and_floats_but_not_shapes(tmp_path):
    one = save(tmp_path / "1.npz", **split())
    two = save(tmp_path / "2.npz", x=IMAGES[:50].astype("f4") / np.float32(255), y=LABELS[:50])
    samples = load_samples(config(paths=(("a", one), ("b", two)), own_domain_fraction=0.5))
    mixed = train(samples, "a")
    known = {as_features(image).tobytes() for image in IMAGES}
    assert all(image.tobytes() in known for part in mixed for image in part.x)
    assert {d for part in mixed for d in part.domain.tolist()} == {0, 1}
    three = save(tmp_path / "3.npz", x=IMAGES[:, :3], y=LABELS)
    with pytest.raises(ValueError, match=r"3.npz: x: one sample has shape .3, 6, 3., but of"):
        load_samples(config(paths=(("a", one), ("b", three))))


def test_labels_may_be_words_and_have_another_name(tmp_path):
    words = np.array(["cat", "ant", "bee"])[LABELS % 3]
    arrays = split(kind_train=words[:40], kind_test=words[40:])
    file = save(tmp_path / "f.npz", **arrays)
    samples = load_samples(config(path=file, columns=(("label", "kind"),)))
    assert samples.classes == 3
    ants = np.count_nonzero(words[40:] == "ant")
    assert np.count_nonzero(samples.test["a"].y == 0) == ants


NAN = np.where(np.arange(60) == 7, np.nan, 0.5)[:, None]
OBJECTS = np.array([{"a": 1}] * 60, dtype=object)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": OBJECTS, "y": LABELS}, "x: Python objects or no array"),
        ({"x": IMAGES, "y": OBJECTS}, "y: Python objects or no array"),
        ({"y": LABELS}, "no array 'x_train' or 'x'"),
        ({"x": IMAGES}, "no array 'y'; add it"),
        ({"x": IMAGES, "y": LABELS, "x_test": IMAGES}, "no array 'y_test'"),
        ({"x": IMAGES, "y": LABELS[:9]}, r"y has shape \(9,\); it must be \(60,\)"),
        ({"x": IMAGES, "y": LABELS[:, None]}, r"y has shape \(60, 1\); it must be \(60,\)"),
        ({"x": IMAGES, "y": LABELS * 1.0}, "y is float64; save whole numbers"),
        ({"x": IMAGES, "y": LABELS - 1}, r"y\[0\] is -1; labels are numbered from 0"),
        (split(y_test=np.full(20, 8)), r"y_test\[0\]: label 8 is in no train sample"),
        ({"x": IMAGES.astype("i4"), "y": LABELS}, "x is int32; save it as uint8"),
        ({"x": IMAGES.astype("f4"), "y": LABELS}, r"x\[0\] holds .* in 0 to 1 .or uint8."),
        ({"x": NAN, "y": LABELS}, r"x\[7\] holds nan; it must be finite"),
        ({"x": NAN[:, None] + [[0.1, 0]], "y": LABELS}, r"x\[7\] holds nan"),
        ({"x": NAN * 0 + 1e300, "y": LABELS}, r"x\[0\] holds 1e\+300; it must be finite"),
        ({"x": LABELS.astype("u1"), "y": LABELS}, r"x has shape \(60,\); it must be"),
        ({"x": IMAGES.transpose(0, 3, 1, 2), "y": LABELS}, "put channels last"),
        ({"x": IMAGES[:, :0], "y": LABELS}, r"x has shape \(60, 0, 6, 3\)"),
        ({"x": IMAGES[:0], "y": LABELS[:0]}, "holds no samples"),
        (split(x_test=IMAGES[:0], y_test=LABELS[:0]), "holds no test samples"),
        (split(x_test=IMAGES[40:, :2]), r"x_test: one sample has shape \(2, 6, 3\)"),
        (split(domain_train=LABELS[:40]), "no array 'domain_test'"),
        ({"x": IMAGES, "y": LABELS, "domain": LABELS * 0}, "1 domains for 2 clusters"),
        ({"x": IMAGES, "y": LABELS * 2}, r"y\[1\]: label 2, but no train sample has label 1"),
        ({"x": IMAGES, "y": LABELS + 1}, r"y\[0\]: label 1, but no train sample has label 0"),
    ],
)
def test_what_is_wrong_in_a_file_is_said_in_one_line_that_names_it(arrays, message, tmp_path):
    file = save(tmp_path / "data.npz", **arrays)
    with pytest.raises(ValueError, match=message) as refusal:
        load_samples(config(path=file))
    assert "\n" not in str(refusal.value)
    assert file in str(refusal.value)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 broken", b"some text", b"\x80\x04K\x01."])
def test_what_is_no_npz_file_is_refused_in_one_line(content, tmp_path):
    file = tmp_path / "data.npz"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"data\.npz: cannot be read \(no .npz file") as refusal:
        load_samples(config(path=str(file)))
    assert "\n" not in str(refusal.value) and "pickle" not in str(refusal.value)


def test_a_zip_of_something_else_is_refused(tmp_path):
    for number, content in enumerate((b"junk", b"\x93NUMPY\x01\x00junk", b"\x80\x04K\x01.")):
        file = tmp_path / f"{number}.npz"
        with zipfile.ZipFile(file, "w") as parts:
            parts.writestr("x.npy", content)
            parts.writestr("y.npy", content)
        with pytest.raises(ValueError, match=rf"{number}\.npz: cannot be read \([xy]: ") as refusal:
            load_samples(config(path=str(file)))
        assert "\n" not in str(refusal.value) and "pickle" not in str(refusal.value)


def test_one_class_is_nothing_to_learn(tmp_path):
    file = save(tmp_path / "f.npz", x=IMAGES, y=LABELS * 0)
    with pytest.raises(ValueError, match="one and the same label; a classifier needs two"):
        load_samples(config(path=file))


def test_a_single_array_and_a_cut_file_are_refused(tmp_path):
    np.save(tmp_path / "one.npy", LABELS)
    with pytest.raises(ValueError, match=r"one.npy: cannot be read"):
        load_samples(config(path=str(tmp_path / "one.npy")))
    whole = Path(save(tmp_path / "f.npz", x=IMAGES, y=LABELS)).read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"cut.npz: cannot be read"):
        load_samples(config(path=str(tmp_path / "cut.npz")))


def test_cifar_classes_are_domains_of_four_clusters():
    root = Path(__file__).resolve().parents[2]
    file = Path(os.environ.get("LEOMIX_DATA", root.parent / "shared" / "data")) / "cifar10.npz"
    if not file.is_file():
        pytest.skip("no images here: set LEOMIX_DATA to the folder that holds cifar10.npz")
    samples = load_samples(config("abcd", 50, path=str(file), columns=(("domain", "y"),)))
    assert samples.spec.shape == (3, 32, 32)
    assert [len(np.unique(samples.test[c].y)) for c in "abcd"] == [3, 3, 2, 2]
    assert sum(len(part.y) for c in "abcd" for part in train(samples, c)) == 10_000
    with np.load(file) as arrays:
        total = arrays["x_train"].sum(dtype="i8") / 255
    loaded = sum(part.x.sum(dtype="f8") for c in "abcd" for part in train(samples, c))
    assert loaded == pytest.approx(total, rel=1e-7)
