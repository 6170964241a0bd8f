"""Texts and multiple choice questions as padded arrays of token ids."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from learning.data.rows import Question, Text
from learning.data.tokens import Tokenizer

PADDING = -1


def encode_texts(rows: Sequence[Text], tokenizer: Tokenizer, tokens: int) -> NDArray[np.int64]:
    """Return token ids (n, T = ``tokens``), padded with -1.

    The tokenizer's own first and last ids stand around a text, its separator between two. A text
    that is too long loses its end; of a pair the longer one does, until both are as long.
    """
    first = tokenizer.ids([row.first for row in rows])
    second = tokenizer.ids([row.second for row in rows])
    out = np.full((len(rows), tokens), PADDING, np.int64)
    for line, row, one, two in zip(out, rows, first, second, strict=True):
        _check_tokens(one, row.first)
        between = list(tokenizer.separator) if row.second else []
        added = len(tokenizer.begin) + len(between) + len(tokenizer.end)
        one_size, two_size = cut_pair(len(one), len(two), tokens - added)
        ids = [*tokenizer.begin, *one[:one_size], *between, *two[:two_size], *tokenizer.end]
        line[: len(ids)] = ids[:tokens]
    return out


def cut_pair(first: int, second: int, room: int) -> tuple[int, int]:
    """Return how much of two lengths is kept in ``room``: the longer one is cut first.

    A last token that two cannot divide goes to the longer one, of equals to the second.
    """
    if first + second <= room:
        return first, second
    short = min(first, second, max(room, 0) // 2)
    long = max(room, 0) - short
    return (long, short) if first > second else (short, long)


def encode_questions(
    rows: Sequence[Question], tokenizer: Tokenizer, options: int, tokens: int
) -> NDArray[np.int64]:
    """Return token ids and option marks (n, O = ``options``, 2, T = ``tokens``).

    A line is the question, a newline and one option. Question and option are tokenized apart, so
    a mark is exact. A line that is too long loses the start of its question; at least one token
    stays before the option, which is cut at the end only if it alone is too long: each token that
    is scored has one that it is predicted from.
    """
    questions = tokenizer.ids([row.question + "\n" for row in rows])
    answers = iter(tokenizer.ids(list(chain.from_iterable(row.options for row in rows))))
    out = np.full((len(rows), options, 2, tokens), PADDING, np.int64)
    out[:, :, 1] = 0
    for sample, row, question in zip(out, rows, questions, strict=True):
        _check_tokens(question, row.question)
        for (ids, marks), text, answer in zip(sample, row.options, answers, strict=False):
            _check_tokens(answer, text)
            option = answer[: tokens - 1]
            context = _keep_end(tokenizer.begin, question, tokens - len(option))
            end = len(context) + len(option)
            ids[:end] = [*context, *option]
            marks[len(context) : end] = 1
    return out


def _keep_end(begin: Sequence[int], question: list[int], room: int) -> list[int]:
    kept = max(room - len(begin), 0)
    return [*begin[:room], *question[max(len(question) - kept, 0) :]]


def _check_tokens(ids: list[int], text: str) -> None:
    if not ids:
        raise ValueError(
            f"learning.model.tokenizer: makes no token of {text!r:.60}; remove that row, or use "
            "another tokenizer"
        )
