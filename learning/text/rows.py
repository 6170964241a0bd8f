"""Rows of text data: single texts, pairs, and questions with options."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from learning.data.samples import Form
from learning.data.table import Table, check_label
from learning.settings import Objective

IS_TEST = {"train": False, "test": True, "validation": True, "dev": True}


class Text(NamedTuple):
    """A text, and a second one ("" for none)."""

    first: str
    second: str

    @property
    def strings(self) -> tuple[str, ...]:
        """The texts that there are."""
        return tuple(filter(None, self))


class Question(NamedTuple):
    """A question and its options."""

    question: str
    options: tuple[str, ...]

    @property
    def strings(self) -> tuple[str, ...]:
        """The question and its options."""
        return self.question, *self.options


@dataclass(frozen=True)
class TextTable(Table):
    """The rows of one file, all of one form."""

    form: Form
    content: Sequence[Text | Question]


def read_rows(
    file: str,
    rows: Iterable[tuple[str, Mapping[str, Any]]],
    columns: Mapping[str, str],
    objective: Objective = "label",
) -> TextTable:
    """Read (place, cells) rows; the first one decides the form.

    With ``next_token`` a row is its text, whatever its label: of a question that is the question, a
    newline and the right option.

    Raises :class:`ValueError` that names the place and the column of what is wrong.
    """
    names = NAMES | {role: (column,) for role, column in columns.items()}
    named = [Row(place, cells, names) for place, cells in rows]
    if not named:
        raise ValueError(f"{file}: holds no samples; give a file with some")
    form = _form(named[0], columns, has_label=objective == "label")
    content: Sequence[Text | Question]
    labels: list[int | str]
    if objective == "next_token":
        content = [_plain_text(row, form) for row in named]
        labels, form = [0] * len(named), "next_token"
    elif form == "choices":
        read = [_question(row) for row in named]
        content = [question for question, _ in read]
        labels = [answer for _, answer in read]
    else:
        content = [Text(row.string("text"), row.pair()) for row in named]
        labels = [check_label(*row.need("label")) for row in named]
    split = "split" in columns or any(row.has("split") for row in named)
    has_domain = "domain" in columns or any(row.has("domain") for row in named)
    is_test = np.array([_is_test(row) for row in named]) if split else None
    domains = [_domain(row) for row in named] if has_domain else None
    return TextTable(file, labels, is_test, domains, lambda row: named[row].place, form, content)


def _plain_text(row: Row, form: Form) -> Text:
    """Return what is to be predicted token by token of a row."""
    if form == "choices":
        asked, right = _question(row)
        return Text(f"{asked.question}\n{asked.options[right]}", "")
    pair = row.pair()
    return Text(row.string("text") + (f"\n{pair}" if pair else ""), "")


def _form(row: Row, columns: Mapping[str, str], *, has_label: bool = True) -> Form:
    """Return the form of a file from its first row, and from the columns that were named."""
    named_text = any(role in columns for role in ("text", "text_pair", "label"))
    if row.has("question", "options", "answer") and not named_text:
        return "choices"
    if row.has("text", *(("label",) if has_label else ())):
        return "text"
    if any(role in columns for role in ("question", "options", "answer")):
        return "choices"
    if named_text or row.has("text"):
        return "text"
    found = ", ".join(f"{name!r:.40}" for name in [*row.cells][:6]) or "no columns"
    more = ", ..." if len(row.cells) > 6 else ""
    raise ValueError(
        f"{row.place}: has {found}{more}, and neither text and label nor question, options and "
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


# The cells of one row, by role: text, label, question, ...


#: Role of a column -> names that it has where the configuration gives none.
NAMES = {
    "text": ("text", "text_a"),
    "text_pair": ("text_pair", "text_b"),
    "label": ("label",),
    "question": ("question",),
    "options": ("options",),
    "answer": ("answer",),
    "domain": ("domain",),
    "split": ("split",),
}
ROLES = tuple(NAMES)


class Row(NamedTuple):
    """One row: its cells by column, and the columns that each role may have.

    Every error names the row and the column.
    """

    place: str
    cells: Mapping[str, Any]
    names: Mapping[str, tuple[str, ...]]

    def column(self, role: str) -> str | None:
        """Return the name of the column of ``role`` that the row has, None for none."""
        return next((name for name in self.names[role] if name in self.cells), None)

    def has(self, *roles: str) -> bool:
        """Whether the row has a column for each of ``roles``."""
        return all(self.column(role) is not None for role in roles)

    def need(self, role: str) -> tuple[Any, str]:
        """Return the cell of ``role``, and what to call it in a message."""
        name = self.column(role)
        if name is None:
            wanted = " or ".join(map(repr, self.names[role]))
            raise ValueError(
                f"{self.place}: no column {wanted}; add it, or name another one in "
                f"learning.data.columns.{role}"
            )
        return self.cells[name], f"{self.place}: {name}"

    def string(self, role: str) -> str:
        """Return the text of ``role``."""
        return check_text(*self.need(role))

    def pair(self) -> str:
        """Return the second text, "" where the row has none."""
        name = self.column("text_pair")
        given = name is not None and self.cells[name] not in (None, "")
        return self.string("text_pair") if given else ""


def check_text(value: Any, where: str) -> str:
    """Return a text. Raises :class:`ValueError` unless it is a string that is not blank."""
    if not isinstance(value, str):
        raise ValueError(f"{where} is {value!r:.60}; it must be a string")
    if not value.strip():
        raise ValueError(f"{where} is blank; fill it in, or remove the row")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{where} holds half a surrogate pair; write it as UTF-8") from None
    return value
