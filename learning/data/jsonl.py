"""Data sets of JSON lines (`jsonl`)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from learning.config import LearningConfig
from learning.data.samples import Dataset
from learning.data.text_rows import TextTable, read_rows
from learning.data.texts import text_dataset

LONGEST_LINE = 10_000_000
"""Bytes of one sample: a book has less."""


def read_jsonl(path: str, columns: Mapping[str, str]) -> TextTable:
    """Read a file of texts; blank lines count, but hold nothing.

    ``columns`` are names by role, where they differ from those of
    :data:`learning.data.text_rows.NAMES`. Raises :class:`ValueError` that names file and line.
    """
    return read_rows(path, _rows(path), columns)


def _rows(path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    try:
        with open(path, "rb") as file:
            for number, line in enumerate(iter(partial(file.readline, LONGEST_LINE + 1), b""), 1):
                place = f"{path}: line {number}"
                if len(line) > LONGEST_LINE:
                    raise ValueError(f"{place}: is longer than {LONGEST_LINE} bytes; is it JSON?")
                if line.strip():
                    yield place, _object(line, place)
    except OSError as error:
        raise ValueError(
            f"{path}: cannot be read ({error.strerror}); see learning.data.path and paths"
        ) from None


def _object(line: bytes, place: str) -> Mapping[str, Any]:
    try:
        cells = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise ValueError(f"{place}: is not UTF-8; convert the file") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{place}: is not JSON ({error}); write one object per line") from None
    if not isinstance(cells, dict):
        raise ValueError(f"{place}: is not a JSON object; write one object per line")
    return cells


def jsonl(config: LearningConfig) -> Dataset:
    """Return the texts of JSON-lines files."""
    return text_dataset(config, read_jsonl)
