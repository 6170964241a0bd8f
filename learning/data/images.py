"""``images``: files of images in a folder for each class, read by Pillow."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from learning.data.federation import cluster_domains
from learning.data.npz import BRIGHTEST
from learning.data.samples import Dataset, Encoding, InputSpec, Rows
from learning.data.table import Table, check_label, class_numbers, cluster_files
from learning.files import files_under
from learning.hardware import beyond_memory
from learning.own.raised import ANYTHING
from learning.settings import LearningConfig

TRAIN = "train"
TESTS = ("test", "val")
"""Folders of a split: the one that is trained on, and those that the other may be called."""
OTHER_WORDS = ("training", "testing", "valid", "validation")
"""What people call such folders, too."""
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
"""What is read; other formats of Pillow run programs, or are no photographs."""
GREY_MODES = ("1", "L", "LA", "I", "I;16", "I;16B", "I;16L")
"""Pillow's names of pixels without colour: of one bit, of 8 bits, and of 16."""
LARGEST_OF_16_BITS = 65535


def images(config: LearningConfig) -> Dataset:
    """Return the images of a folder that holds a folder for each class, or ``train`` and ``test``.

    They are scaled to ``size`` x ``size`` pixels, in 0..1, and have three channels, unless all are
    grey: then they have one. Raises :class:`ValueError` that names the folder or the file.
    """
    size = config.data.size
    folders = cluster_files(config)
    found = [_files(folder) for folder in folders]
    paths = [path for own in found for path, _, _ in own]
    tables = [_table(folder, own) for folder, own in zip(folders, found, strict=True)]
    numbers, classes = class_numbers(tables)
    domains = cluster_domains(tables, numbers, config)
    channels = 1 if all(_mode(path) in GREY_MODES for path in paths) else 3
    shape = (channels, size, size)

    def features(rows: Rows) -> NDArray[np.float32]:
        _check_memory(paths, len(rows), shape)
        out = np.empty((len(rows), *shape), np.float32)
        for place, row in enumerate(rows.tolist()):
            out[place] = _pixels(paths[row], shape) / BRIGHTEST
        return out

    return Dataset(domains, lambda _: Encoding(InputSpec("image", shape, classes), features))


Files = Sequence[tuple[Path, str, bool | None]]
"""Images, each with its class, and whether it is of the test: None where no folder says so."""


def _table(folder: str, files: Files) -> Table:
    paths, labels, tests = zip(*files, strict=True)
    is_test = None if tests[0] is None else np.array(tests, bool)
    checked = [check_label(label, str(path)) for path, label in zip(paths, labels, strict=True)]
    return Table(folder, checked, is_test, None, lambda row: str(paths[row]))


def _files(folder: str) -> Files:
    """Return the images below a folder in an order that is the same on every file system."""
    root = Path(folder)
    try:
        parts = _folders(root)
    except OSError as error:
        raise ValueError(
            f"{folder}: cannot be read ({error.strerror}); name a folder that holds a folder of "
            "images for each class (a file of arrays has learning.data.kind: npz)"
        ) from None
    split = [name for name in (TRAIN, *TESTS) if name in parts]
    words = {TRAIN, *TESTS, *OTHER_WORDS}
    if not parts.keys() <= {TRAIN, *TESTS} or TRAIN not in parts:
        alike = [name for name in parts if name.lower() in words]
        if len(alike) == len(parts) > 1 and all(map(_folders, parts.values())):
            raise ValueError(
                f"{folder}: holds {' and '.join(map(repr, alike))}, which seem to be a split; "
                f"call them '{TRAIN}' and {' or '.join(map(repr, TESTS))}, or name one of them"
            )
    if TRAIN not in split or not _folders(parts[TRAIN]):  # a class may be called so
        return _of_classes(root, is_test=None)
    if others := [name for name in parts if name not in split[:2]]:
        raise ValueError(
            f"{folder}: holds {', '.join(map(repr, split[:2]))} and {others[0]!r}; keep '{TRAIN}' "
            f"and one of {' and '.join(map(repr, TESTS))} there, or name a folder of classes"
        )
    if len(split) == 1:
        return _of_classes(parts[TRAIN], is_test=None)
    return [
        *_of_classes(parts[TRAIN], is_test=False),
        *_of_classes(parts[split[1]], is_test=True),
    ]


def _of_classes(root: Path, *, is_test: bool | None) -> Files:
    """Return the images of a folder for each class, with all that is in folders of these."""
    classes = _folders(root)
    if not classes:
        raise ValueError(
            f"{root}: holds no folders; put the images of each class into a folder of their own"
        )
    found: list[tuple[Path, str, bool | None]] = []
    for name, folder in classes.items():
        own = [
            path
            for path in files_under(str(folder))
            if not any(part.startswith(".") for part in path.relative_to(folder).parts)
        ]
        if not own:
            raise ValueError(f"{folder}: holds no images; add some, or remove the folder")
        found += [(path, name, is_test) for path in own]
    return found


def _folders(root: Path) -> Mapping[str, Path]:
    """Return the folders in a folder by name, sorted, but for hidden ones."""
    found = (path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    return {path.name: path for path in sorted(found)}


def _check_memory(paths: Sequence[Path], count: int, shape: tuple[int, int, int]) -> None:
    if share := beyond_memory(4 * count * int(np.prod(shape))):
        raise ValueError(
            f"learning.data.size: {count} images like {paths[0]} take {share}; lower it, or "
            "learning.data.train_samples"
        )


def _opened(path: Path) -> Any:
    """Open an image of which no more than the header is read."""
    from PIL import Image

    with warnings.catch_warnings():
        # An image of so many pixels that it may be made to fill the memory.
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        return Image.open(path, formats=FORMATS)


def _mode(path: Path) -> str:
    """Return Pillow's name of what the pixels of an image are."""
    try:
        with _opened(path) as image:
            return str(image.mode)
    except ANYTHING as error:
        raise _unreadable(path, error) from None


def _pixels(path: Path, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Return the pixels of an image (C, H, W), scaled to this shape."""
    from PIL import Image

    channels, height, width = shape
    try:
        with _opened(path) as image:
            eight = _of_8_bits(image).convert("L" if channels == 1 else "RGB")
            scaled = eight.resize((width, height), Image.Resampling.BILINEAR)
    except ANYTHING as error:
        raise _unreadable(path, error) from None
    pixels = np.asarray(scaled, np.uint8).reshape(height, width, channels)
    return np.moveaxis(pixels, -1, 0)


def _of_8_bits(image: Any) -> Any:
    """Return an image of at most 8 bits a channel: Pillow itself cuts off what is brighter."""
    from PIL import Image

    if image.mode == "F":
        raise ValueError("floating-point numbers: save them as arrays, with kind npz")
    if not image.mode.startswith("I"):
        return image
    values = np.asarray(image)
    if values.min() < 0 or values.max() > LARGEST_OF_16_BITS:
        raise ValueError("numbers of more than 16 bits: save them as arrays, with kind npz")
    return Image.fromarray((values / LARGEST_OF_16_BITS * 255.0).round().astype(np.uint8))


def _unreadable(path: Path, error: BaseException) -> ValueError:
    from PIL import UnidentifiedImageError

    unknown = isinstance(error, UnidentifiedImageError)
    why = f"none of {', '.join(FORMATS)}" if unknown else " ".join(str(error).split())
    return ValueError(f"{path}: is no image that can be read ({why}); replace it, or remove it")
