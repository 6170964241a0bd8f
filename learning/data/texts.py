"""Data sets of texts: of JSON lines (``jsonl``), and of rows of any reader."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Any, cast

import numpy as np

from learning.config import LearningConfig
from learning.data.federation import cluster_domains
from learning.data.samples import Dataset, Encoding, InputSpec, Rows
from learning.data.table import class_numbers, cluster_files, column_names
from learning.data.text_rows import ROLES, Question, Text, read_rows
from learning.data.tokenizer import encode_questions, encode_texts, make_tokenizer

LONGEST_LINE = 10_000_000
"""Bytes of one sample: a book has less."""

Reader = Callable[[str, Mapping[str, str]], Iterator[tuple[str, Mapping[str, Any]]]]
"""Yields (place, cells) rows of a file, whose columns have names by role."""


def jsonl(config: LearningConfig) -> Dataset:
    """Return the texts of JSON-lines files."""
    return text_dataset(config, json_rows)


def json_rows(path: str, columns: Mapping[str, str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the rows of a file of JSON lines; blank lines count, but hold nothing.

    Raises :class:`ValueError` that names file and line.
    """
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


def text_dataset(config: LearningConfig, read: Reader) -> Dataset:
    """Return the texts of the rows that ``read`` finds in each file.

    Raises :class:`ValueError` for files of different forms.
    """
    columns = column_names(config.data, ROLES)
    tables = [read_rows(file, read(file, columns), columns) for file in cluster_files(config)]
    for table in tables:
        if table.form != tables[0].form:
            raise ValueError(
                f"{table.file}: holds {table.form}, but {tables[0].file} holds "
                f"{tables[0].form}; give files of one form"
            )
    content = list(chain.from_iterable(table.content for table in tables))
    if tables[0].form == "choices":
        numbers = [np.array(table.labels, np.int64) for table in tables]
        classes = max(len(row.options) for row in cast(list[Question], content))
    else:
        numbers, classes = class_numbers(tables)
    domains = cluster_domains(tables, numbers, config)
    return Dataset(domains, lambda trial: text_encoding(content, trial, classes, config))


def text_encoding(
    content: Sequence[Text | Question], trial: Rows, classes: int, config: LearningConfig
) -> Encoding:
    """Return how rows of ``content`` become token ids; see ``make_tokenizer`` for what ids."""
    tokenizer = make_tokenizer(config.model, _strings(content[row] for row in trial))
    tokens, vocabulary = config.data.tokens, tokenizer.vocabulary
    if isinstance(content[0], Question):
        questions = cast(Sequence[Question], content)
        return Encoding(
            InputSpec("choices", (classes, 2, tokens), classes, vocabulary),
            lambda rows: encode_questions(
                [questions[row] for row in rows], tokenizer, classes, tokens
            ),
        )
    texts = cast(Sequence[Text], content)
    return Encoding(
        InputSpec("text", (tokens,), classes, vocabulary),
        lambda rows: encode_texts([texts[row] for row in rows], tokenizer, tokens),
    )


def _strings(rows: Iterator[Text | Question]) -> Iterator[str]:
    for row in rows:
        if isinstance(row, Question):
            yield row.question
            yield from row.options
        else:
            yield row.first
            if row.second:
                yield row.second
