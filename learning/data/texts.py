"""Data sets of texts, from rows of any reader."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import cast

import numpy as np

from learning.config import LearningConfig
from learning.data.federation import cluster_domains
from learning.data.samples import Dataset, Encoding, InputSpec, Rows
from learning.data.table import class_numbers, cluster_files, column_names
from learning.data.text_rows import ROLES, Question, Text, TextTable
from learning.data.tokenizer import encode_questions, encode_texts, make_tokenizer

Reader = Callable[[str, Mapping[str, str]], TextTable]


def text_dataset(config: LearningConfig, read: Reader) -> Dataset:
    """Return the texts that ``read`` makes of each file and the names of its columns.

    Raises :class:`ValueError` for files of different forms.
    """
    columns = column_names(config.data, ROLES)
    tables = [read(file, columns) for file in cluster_files(config)]
    for table in tables:
        if table.form != tables[0].form:
            raise ValueError(
                f"{table.table.file}: holds {table.form}, but {tables[0].table.file} holds "
                f"{tables[0].form}; give files of one form"
            )
    content = list(chain.from_iterable(table.content for table in tables))
    if tables[0].form == "choices":
        numbers = [np.array(table.table.labels, np.int64) for table in tables]
        classes = max(len(row.options) for row in cast(list[Question], content))
    else:
        numbers, classes = class_numbers([table.table for table in tables])
    domains = cluster_domains([table.table for table in tables], numbers, config)
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
