"""Rows of named cells as texts: single, in pairs, or a question and its options."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from learning.data.cells import Row, check_text
from learning.data.samples import Form
from learning.data.table import Table, check_label

IS_TEST = {"train": False, "test": True, "validation": True, "dev": True}


class Text(NamedTuple):
    """A text, and a second one ("" for none)."""

    first: str
    second: str


class Question(NamedTuple):
    """A question and its options."""

    question: str
    options: tuple[str, ...]


@dataclass(frozen=True)
class TextTable:
    """The rows of one file, all of one form."""

    table: Table
    form: Form
    content: Sequence[Text | Question]


def read_rows(
    file: str, rows: Iterable[tuple[str, Mapping[str, Any]]], columns: Mapping[str, str]
) -> TextTable:
    """Read (place, cells) rows; the first one decides the form.

    Raises :class:`ValueError` that names the place and the column of what is wrong.
    """
    named = [Row(place, cells, columns) for place, cells in rows]
    if not named:
        raise ValueError(f"{file}: holds no samples; give a file with some")
    form = _form(named[0], columns)
    content: Sequence[Text | Question]
    labels: list[int | str]
    if form == "choices":
        read = [_question(row) for row in named]
        content, labels = [question for question, _ in read], [answer for _, answer in read]
    else:
        content = [Text(row.string("text"), row.pair()) for row in named]
        labels = [_label(row) for row in named]
    split = "split" in columns or any(row.has("split") for row in named)
    dealt = "domain" in columns or any(row.has("domain") for row in named)
    table = Table(
        file,
        labels,
        np.array([_is_test(row) for row in named]) if split else None,
        [_domain(row) for row in named] if dealt else None,
        lambda row: named[row].place,
    )
    table.check()
    return TextTable(table, form, content)


def _form(row: Row, columns: Mapping[str, str]) -> Form:
    """Return the form of a file from its first row, and from the columns that were named."""
    named_text = any(role in columns for role in ("text", "text_pair", "label"))
    if row.has("question", "options", "answer") and not named_text:
        return "choices"
    if row.has("text", "label"):
        return "text"
    if any(role in columns for role in ("question", "options", "answer")):
        return "choices"
    if named_text or row.has("text"):
        return "text"
    raise ValueError(
        f"{row.place}: has {row.columns()}, and neither text and label nor question, options and "
        "answer; say which is which in learning.data.columns, like {text: review, label: stars}"
    )


def _question(row: Row) -> tuple[Question, int]:
    options, where = row.need("options")
    if not isinstance(options, list) or len(options) < 2:
        raise ValueError(f"{where} is {options!r:.60}; it must be a list of two strings or more")
    texts = tuple(check_text(option, f"{where}[{index}]") for index, option in enumerate(options))
    answer, where = row.need("answer")
    if isinstance(answer, bool) or not isinstance(answer, int) or not 0 <= answer < len(texts):
        raise ValueError(
            f"{where} is {answer!r:.60}; it must be the number of one of the {len(texts)} "
            "options, from 0"
        )
    return Question(row.string("question"), texts), answer


def _label(row: Row) -> int | str:
    return check_label(*row.need("label"))


def _is_test(row: Row) -> bool:
    value, where = row.need("split")
    if not isinstance(value, str) or value not in IS_TEST:
        raise ValueError(f"{where} is {value!r:.60}; it must be one of {', '.join(IS_TEST)}")
    return IS_TEST[value]


def _domain(row: Row) -> int | str:
    value, where = row.need("domain")
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError(f"{where} is {value!r:.60}; it must be a string or a whole number")
    return value
