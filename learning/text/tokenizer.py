"""Tokenizers, and texts encoded and cut to a length."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from learning.files import LARGEST_JSON_BYTES, check_size, read_regular
from learning.settings import WORDS, ModelConfig
from learning.text.rows import Question, Text

if TYPE_CHECKING:
    import tokenizers


SEPARATOR = "<sep>"
FILE = "tokenizer.json"
BYTES = 256


@dataclass(frozen=True)
class Tokenizer:
    """Ids of texts, and the ids that a tokenizer puts before, between and after them.

    ``ids`` adds no such ids itself. All ids are less than ``vocabulary``. ``special_separator`` is
    the separator if it is one token that no text has.
    """

    ids: Callable[[Sequence[str]], list[list[int]]]
    begin: tuple[int, ...]
    separator: tuple[int, ...]
    end: tuple[int, ...]
    vocabulary: int
    special_separator: int | None


def make_tokenizer(model: ModelConfig, texts: Iterable[str]) -> Tokenizer:
    """Return the tokenizer of ``model``, or one of at most ``model.vocabulary`` made of ``texts``.

    Raises :class:`ValueError` for a file that is missing or broken and for a vocabulary too small.
    """
    if model.tokenizer == WORDS:
        return hashed_words(model.vocabulary)
    file = tokenizer_file(model)
    if file is None:
        return as_tokenizer(train_bpe(texts, model.vocabulary))
    return as_tokenizer(read_tokenizer(file))


def read_tokenizer(file: str) -> tokenizers.Tokenizer:
    """Return the tokenizer of a tokenizer.json.

    Raises :class:`ValueError` for what is none, and for one that makes very much of little text.
    """
    import tokenizers

    check_size(file, LARGEST_JSON_BYTES)
    data = read_regular(Path(file))
    with failing(f"{file}: is no tokenizer", "save it anew"):
        read = tokenizers.Tokenizer.from_buffer(data)
    _check_growth(file, read)
    return read


@contextmanager
def failing(what: str, remedy: str) -> Iterator[None]:
    """Turn an error of the library, or its panic, into a ValueError that says ``what`` and why."""
    try:
        yield
    except BaseException as error:  # the library raises no narrower class
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        reason = str(error).partition("\n")[0]
        raise ValueError(f"{what} ({reason:.200}); {remedy}") from None


MOST_GROWTH = 4096
"""How many times as long a text may become in a tokenizer, by the bounds below. SentencePiece with
all that is used in practice has less than half of that."""
LONGEST_TOKEN = 10_000
"""Characters of a token: those of published vocabularies have hundreds."""
UNCHANGED = {
    *("NFC", "NFD", "NFKC", "NFKD", "Lowercase", "Nmt", "Strip", "StripAccents"),
    *("CharDelimiterSplit", "Digits", "FixedLength", "Punctuation", "Split", "UnicodeScripts"),
    *("Whitespace", "WhitespaceSplit", "ByteFallback", "Fuse"),
}
"""Stages that make no text longer, or only the first time."""


def _check_growth(file: str, raw: tokenizers.Tokenizer) -> None:
    """Raise :class:`ValueError` for a tokenizer that could take all memory at a short text."""
    for parts in (("normalizer", "pre_tokenizer", "post_processor"), ("decoder",)):
        growth = 1
        for part in parts:
            for stage in _stages(getattr(raw, part)):
                growth *= _growth(stage)
                if growth > MOST_GROWTH:
                    raise ValueError(
                        f"{file}: its {part} ({stage['type']}) may make more than {MOST_GROWTH} "
                        "times as much of a text; use another tokenizer"
                    )
    affixes = [
        getattr(raw.model, name, None) or ""
        for name in ("continuing_subword_prefix", "end_of_word_suffix")
    ]
    tokens = raw.get_vocab(with_added_tokens=True)
    if not tokens:
        raise ValueError(f"{file}: has no tokens; use another tokenizer")
    longest = max(map(len, [*affixes, *tokens]))
    if longest > LONGEST_TOKEN:
        raise ValueError(
            f"{file}: has a token of {longest} characters; at most {LONGEST_TOKEN} are read; "
            "use another tokenizer"
        )


def _stages(part: Any) -> Iterator[dict[str, Any]]:
    """Yield what a part of a tokenizer does, step by step."""
    if part is None:
        return
    left = [json.loads(part.__getstate__())]
    while left:
        stage = left.pop()
        if stage["type"] == "Sequence":
            [inner] = [value for value in stage.values() if isinstance(value, list)]
            left += reversed(inner)
        else:
            yield stage


def _growth(stage: Mapping[str, Any]) -> int:
    """Return how many times as many bytes a stage makes of a text, at most."""
    match stage:
        case {"type": "Replace", "pattern": {"String": str(old)}, "content": new} if old:
            return max(1, -(-len(new.encode()) // len(old.encode())))
        case {"type": "Replace", "content": new}:  # an expression may fit between any two letters
            return 1 + len(new.encode())
        case {"type": "Prepend", "prepend": added}:
            return 1 + len(added.encode())
        case {"type": "Metaspace"}:
            return 4  # a letter that may have three bytes, for a space and before a word
        case {"type": "ByteLevel"}:
            return 3  # two bytes for each, and for a space before it
        case {"type": "Precompiled", "precompiled_charsmap": charsmap}:
            return max(1, *map(len, _replacements(charsmap)))
        case {"type": "TemplateProcessing", "special_tokens": special}:
            return max(
                sum(
                    len(special[piece["SpecialToken"]["id"]]["ids"])
                    if "SpecialToken" in piece
                    else 1
                    for piece in stage[template]
                )
                for template in ("single", "pair")
            )
        case {"type": "BertProcessing" | "RobertaProcessing"}:
            return 3
        case _:
            return 1 if stage["type"] in UNCHANGED else 2


def _replacements(charsmap: str) -> list[bytes]:
    """Return the texts that SentencePiece's map of characters puts; they stand behind its trie."""
    data = base64.b64decode(charsmap)
    trie_bytes = int.from_bytes(data[:4], "little")
    return data[4 + trie_bytes :].split(b"\0")


_WORD = re.compile(r"\w+|[^\w\s]")


def hashed_words(vocabulary: int) -> Tokenizer:
    """Return a tokenizer that knows no words: a word's id is a hash of its lower case.

    It is the same for all clients, who need not agree on a vocabulary (Weinberger et al., Feature
    Hashing for Large Scale Multitask Learning, ICML 2009). Id 0 separates two texts.
    """

    def ids(texts: Sequence[str]) -> list[list[int]]:
        words = (_WORD.findall(text.lower()) for text in texts)
        return [[1 + crc32(word.encode()) % (vocabulary - 1) for word in own] for own in words]

    return Tokenizer(ids, (), (0,), (), vocabulary, 0)


def tokenizer_file(model: ModelConfig) -> str | None:
    """Return the tokenizer.json that ``model`` names or its first checkpoint holds.

    None for a model without checkpoints that names none, and for a checkpoint that is not there,
    whose bytes may be counted all the same. Raises :class:`ValueError` where one is named and
    missing, or of another format, and for a checkpoint without one: ids of a tokenizer that is made
    here would mean nothing to embeddings that were trained with another.
    """
    if model.tokenizer is not None:
        named = Path(model.tokenizer)
        file = named / FILE if named.is_dir() else named
        if not file.is_file():
            raise ValueError(f"learning.model.tokenizer: no file {file}; give a {FILE}")
        return str(file)
    if not model.checkpoints or not Path(model.checkpoints[0]).exists():
        return None
    folder = Path(model.checkpoints[0])
    if (folder / FILE).is_file():
        return str(folder / FILE)
    for other in ("tokenizer.model", "vocab.json", "vocab.txt"):
        if (folder / other).exists():
            raise ValueError(f"{folder / other}: only {FILE} is read; convert the tokenizer to it")
    raise ValueError(
        f"{folder}: has no {FILE}; copy that of the published model there, or name it in "
        "learning.model.tokenizer"
    )


def train_bpe(texts: Iterable[str], vocabulary: int) -> tokenizers.Tokenizer:
    """Train byte-level byte-pair encoding of at most ``vocabulary`` tokens.

    All 256 bytes are tokens, so no text of any language is unknown. Same texts, same tokenizer.
    """
    if vocabulary <= BYTES:
        raise ValueError(
            f"learning.model.vocabulary: got {vocabulary}; a tokenizer made of trial texts takes "
            f"{BYTES + 1} tokens or more"
        )
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        min_frequency=2,
        show_progress=False,
        special_tokens=[SEPARATOR],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    )
    made.train_from_iterator(texts, trainer)
    return made


def as_tokenizer(raw: tokenizers.Tokenizer) -> Tokenizer:
    """Return what encoding needs of a tokenizer, without the cutting and padding it was saved with.

    The separator is its ``[SEP]`` or ``<sep>``, else a newline. Such a token that is spelt out in
    a user's text is text like any other. Raises :class:`ValueError`, here or later, for a tokenizer
    that fails at a text.
    """
    raw.no_truncation()
    raw.no_padding()
    raw.encode_special_tokens = True

    def ids(texts: Sequence[str]) -> list[list[int]]:
        with failing(*UNREAD):
            read = raw.encode_batch_fast(list(texts), add_special_tokens=False)
        return [text.ids for text in read]

    with failing(*UNREAD):
        probe = raw.encode("a")
    added = probe.special_tokens_mask
    inside = [place for place, special in enumerate(added) if not special] or [len(added)]
    known = [raw.token_to_id(name) for name in ("[SEP]", SEPARATOR)]
    special = next((token for token in known if token is not None), None)
    separator = ids(["\n"])[0] if special is None else [special]
    return Tokenizer(
        ids,
        tuple(probe.ids[: inside[0]]),
        tuple(separator),
        tuple(probe.ids[inside[-1] + 1 :]),
        1 + max(raw.get_vocab(with_added_tokens=True).values()),
        special,
    )


UNREAD = ("learning.model.tokenizer: cannot read every text", "use one that can")
"""What is said of a tokenizer that fails at a text, as one without an unknown word does."""


# Texts and multiple choice questions as padded arrays of token ids.


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


def encode_continuations(
    rows: Sequence[Text], tokenizer: Tokenizer, tokens: int
) -> NDArray[np.int64]:
    """Return token ids (n, T = ``tokens``) as :func:`encode_texts`, of two tokens at least.

    Raises :class:`ValueError` for a text of one token: there is nothing to predict in it.
    """
    ids = encode_texts(rows, tokenizer, tokens)
    short = np.flatnonzero(ids[:, 1] == PADDING)
    if len(short):
        raise ValueError(
            f"learning.data.objective: next_token needs two tokens of a text or more, and "
            f"{rows[short[0]].first!r:.60} is one; remove that row"
        )
    return ids


def cut_pair(first: int, second: int, space: int) -> tuple[int, int]:
    """Return how much of two lengths is kept in ``space``: the longer one is cut first.

    A last token that two cannot divide goes to the longer one, of equals to the second.
    """
    if first + second <= space:
        return first, second
    short = min(first, second, max(space, 0) // 2)
    long = max(space, 0) - short
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
            space = tokens - len(option)
            kept = max(space - len(tokenizer.begin), 0)
            context = [*tokenizer.begin[:space], *question[max(len(question) - kept, 0) :]]
            end = len(context) + len(option)
            ids[:end] = [*context, *option]
            marks[len(context) : end] = 1
    return out


def _check_tokens(ids: list[int], text: str) -> None:
    if not ids:
        raise ValueError(
            f"learning.model.tokenizer: makes no token of {text!r:.60}; remove that row, or use "
            "another tokenizer"
        )
