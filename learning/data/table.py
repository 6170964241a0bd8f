"""Labels, splits and domains of a data file, and which files a data set reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from learning.data.samples import LEFT_OUT, Rows, columns_of
from learning.files import check_regular, files_under
from learning.settings import Data, LearningConfig

#: Largest number of classes: a label above is taken for a mistake.
MAX_CLASSES = 100_000


@dataclass(frozen=True)
class Table:
    """The n rows of one file.

    ``labels`` and ``domains`` are all numbers or all strings, or labels an array of targets.
    ``is_test`` (n,) is None where the file does not say what is test, ``domains`` where it has
    none. ``place`` names a row in messages. Raises :class:`ValueError` for a file, or a split of
    it, without rows.
    """

    file: str
    labels: Sequence[int | str] | NDArray[Any]
    is_test: NDArray[np.bool_] | None
    domains: Sequence[int | str] | None
    place: Callable[[int], str]

    def __post_init__(self) -> None:
        if not len(self.labels):
            raise ValueError(f"{self.file}: holds no samples; give a file with some")
        if self.is_test is not None and (self.is_test.all() or not self.is_test.any()):
            empty = "train" if self.is_test.all() else "test"
            raise ValueError(
                f"{self.file}: holds no {empty} samples; add some, or leave the split out to "
                "hold out learning.data.test_fraction"
            )


def check_label(value: object, where: str) -> int | str:
    """Return a label. Raises :class:`ValueError` unless it is a string or a number from 0."""
    if isinstance(value, str) and value.strip():
        return value
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{where} is {value!r:.60}; it must be a whole number from 0, or a string")
    if not 0 <= value < MAX_CLASSES:
        raise ValueError(
            f"{where} is {value}; labels are numbered from 0 and less than {MAX_CLASSES}"
        )
    return value


def check_one_type(values: Sequence[object], what: str, place: Callable[[int], str]) -> None:
    """Raise :class:`ValueError` at the first value of another type than the first one."""
    for row, value in enumerate(values):
        if type(value) is not type(values[0]):
            raise ValueError(
                f"{place(row)}: {what} {value!r:.60} and {values[0]!r:.60} before it; "
                "use numbers only or strings only"
            )


def class_numbers(tables: Sequence[Table]) -> tuple[list[Rows], int]:
    """Return the class of each row (n,) by table, and the number of classes.

    Numbers stay, -100 of what is left out too; strings are numbered in sorted order. Classes are
    those of the rows that can be trained on. Raises :class:`ValueError` for a label that only test
    rows have, and where numbers leave one out.
    """
    rows = [(table, row) for table in tables for row in range(len(table.labels))]
    labels = [table.labels[row] for table, row in rows]

    def place(index: int) -> str:
        table, row = rows[index]
        return table.place(row)

    check_one_type(labels, "label", place)
    trained = (table.is_test is None or not table.is_test[row] for table, row in rows)
    known: list[Any] = sorted(
        {label for label, here in zip(labels, trained, strict=True) if here and label != LEFT_OUT}
    )
    number = {label: index for index, label in enumerate(known)} | {LEFT_OUT: LEFT_OUT}
    for index, label in enumerate(labels):
        if label not in number:
            raise ValueError(
                f"{place(index)}: label {label!r:.60} is in no train sample; remove the test "
                "sample, or add train samples of its kind"
            )
    gap = next((n for n, label in enumerate(known) if isinstance(label, int) and n != label), None)
    if gap is not None:
        index = labels.index(next(label for label in labels if int(label) > gap))
        raise ValueError(
            f"{place(index)}: label {labels[index]}, but no train sample has label {gap}; number "
            "classes from 0 without gaps, or write labels as strings"
        )
    ends = np.cumsum([len(table.labels) for table in tables])
    return np.split(np.array([number[label] for label in labels], np.int64), ends[:-1]), len(known)


def targets_of(tables: Sequence[Table]) -> tuple[list[NDArray[Any]], int | None, int]:
    """Return targets (n, ...) by table as they are, how many classes, and columns of floats.

    Classes are those of whole numbers, up to the largest. Raises :class:`ValueError` for targets of
    another type or shape than the first ones.
    """
    targets = [np.asarray(table.labels) for table in tables]
    first = targets[0]
    for table, own in zip(tables, targets, strict=True):
        if own.shape[1:] != first.shape[1:] or own.dtype.kind != first.dtype.kind:
            raise ValueError(
                f"{table.file}: one target is {own.dtype} of shape {own.shape[1:]}, but of "
                f"{tables[0].file} {first.dtype} of {first.shape[1:]}; give targets of one shape"
            )
    if first.dtype.kind == "f":
        return targets, None, columns_of(first)
    classes = max(1, *(int(own.max(initial=0)) + 1 for own in targets))
    return targets, classes, 0


#: Kinds whose paths are files, never folders.
FILES_ONLY = ("jsonl", "npz")


def cluster_files(config: LearningConfig) -> list[str]:
    """Return the one file of ``data.path``, or the file of each cluster in ``data.paths``.

    Raises :class:`ValueError` where there is neither or both, and for a cluster without a file.
    """
    data = config.data
    paths = config.data.paths
    if (data.path is None) == (not paths):
        raise ValueError(
            f"learning.data: kind {data.kind!r} reads files; give either path (one file) or paths "
            "(a file for each cluster)"
        )
    strangers = sorted(set(paths) - set(config.clusters))
    missing = [cluster for cluster in config.clusters if paths and cluster not in paths]
    if strangers or missing:
        what = f"no file for cluster {missing[0]!r}" if missing else f"no cluster {strangers[0]!r}"
        raise ValueError(f"learning.data.paths: {what}; clusters: {', '.join(config.clusters)}")
    files = [paths[cluster] for cluster in config.clusters] if paths else list(data.named)
    for path in files if data.kind in FILES_ONLY else ():
        if Path(path).exists():  # a missing file is reported where it is opened
            if data.kind == "npz" and Path(path).is_dir():
                raise ValueError(
                    f"{path}: is a folder; name a regular file, or set learning.data.kind to "
                    "images for a folder of images per class"
                )
            check_regular(path)
    return files


def data_files(data: Data) -> list[str]:
    """Return the local files that decide the data, sorted: what a digest must cover.

    A folder stands for all files in it. What is downloaded or found by its name in a cache is not
    among them. Raises :class:`ValueError` for a file that does not exist.
    """
    if lacks := missing_file(data):
        raise ValueError(f"{lacks}; {', or '.join(BESIDE)}")
    return sorted({str(file) for path in data.named for file in files_under(path)})


BESIDE = ("put your data there, beside the scenario file", "name another file")
"""What to do about a file that is missing, one way or another."""


def missing_file(data: Data) -> str:
    """Say which local file is named and does not exist; "" for none."""
    key = "learning.data.paths" if data.paths else "learning.data.path"
    for path in data.named:
        if data.kind != "hf" and not Path(path).exists():
            return f"{key}: {path}: no such file"
    return ""


def column_names(data: Data, roles: tuple[str, ...]) -> dict[str, str]:
    """Return the names of ``data.columns`` by role.

    Raises :class:`ValueError` for a role that is not in ``roles``.
    """
    columns = data.columns.by_role
    for role in columns:
        if role not in roles:
            raise ValueError(
                f"learning.data.columns.{role}: is not used by kind {data.kind!r}; it knows "
                f"{', '.join(roles)}"
            )
        if role == "domain" and data.paths:
            raise ValueError(
                "learning.data.columns.domain: is not used with learning.data.paths, where a file "
                "is a domain; remove it"
            )
    return columns
