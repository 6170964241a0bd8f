"""Data sets of texts: JSON lines (``jsonl``) and those of the package ``datasets`` (``hf``)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from learning.data.federation import cluster_domains
from learning.data.samples import Dataset, Encoding, InputSpec, Rows
from learning.data.table import class_numbers, cluster_files, column_names
from learning.files import HUB
from learning.settings import LearningConfig
from learning.text.rows import NAMES, ROLES, Question, Text, read_rows
from learning.text.tokenizer import (
    encode_continuations,
    encode_questions,
    encode_texts,
    make_tokenizer,
)

LONGEST_LINE = 10_000_000
"""Bytes of one sample: a book has less."""

Cells = Iterator[tuple[str, Mapping[str, Any]]]
"""Rows of a file: the place of each, and its cells by column."""
Reader = Callable[[str, Mapping[str, str]], Cells]
"""Yields the rows of a file, whose columns have names by role."""


def jsonl(config: LearningConfig) -> Dataset:
    """Return the texts of JSON-lines files."""
    return text_dataset(config, json_rows)


def json_rows(path: str, _columns: Mapping[str, str]) -> Cells:
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
    """Return the texts of the rows that ``read`` finds; ValueError for files of several forms."""
    columns = column_names(config.data, ROLES)
    objective = config.data.objective
    files = cluster_files(config)
    tables = [read_rows(file, read(file, columns), columns, objective) for file in files]
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
    strings = chain.from_iterable(content[row].strings for row in trial)
    tokenizer = make_tokenizer(config.model, strings)
    tokens = config.data.tokens
    encode = cast(Callable[..., NDArray[np.int64]], encode_texts)
    spec = InputSpec("text", (tokens,), classes, tokenizer.vocabulary, tokenizer.special_separator)
    if isinstance(content[0], Question):
        spec = InputSpec("choices", (classes, 2, tokens), classes, tokenizer.vocabulary)
        encode = partial(encode_questions, options=classes)
    elif config.data.objective == "next_token":
        spec = InputSpec("next_token", (tokens,), classes, tokenizer.vocabulary)
        encode = encode_continuations
    return Encoding(
        spec, lambda rows: encode([content[row] for row in rows], tokenizer, tokens=tokens)
    )


# Data sets of the Hugging Face package ``datasets``, an optional extra.


#: What ``save_to_disk`` writes into a folder.
SAVED = ("dataset_dict.json", "state.json")
#: The label that stands for one that is kept secret, as in the test splits of GLUE.
HIDDEN = -1
_ON_THE_HUB = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*(:[\w.-]+)?")


def hf(config: LearningConfig) -> Dataset:
    """Return the texts of data sets of the package ``datasets``."""
    return text_dataset(config, hub_rows)


def hub_rows(path: str, columns: Mapping[str, str]) -> Cells:
    """Yield the rows of a data set of texts.

    ``path`` is a folder written by ``save_to_disk``, a folder of data files, or the name of a
    data set in the cache; nothing is downloaded. ``hub:OWNER/NAME``, with ``:CONFIGURATION`` after
    it where there are several, downloads. Its own splits count as the column ``split``; one
    whose labels are all hidden (-1) is left out.
    """
    names = {columns.get(role, name) for role, known in NAMES.items() for name in known}
    loaded = _load(path)
    splits = loaded.items() if isinstance(loaded, dict) else [(None, loaded)]
    for split, data in splits:
        rows = data.select_columns([name for name in data.column_names if name in names]).to_list()
        label = columns.get("label", "label")
        if rows and all(row.get(label) == HIDDEN for row in rows):
            continue
        own = {} if split is None else {columns.get("split", "split"): str(split)}
        for number, row in enumerate(rows):
            yield f"{path}: {split or 'row'}[{number}]", row | own


def _load(path: str) -> Any:
    name = path.removeprefix(HUB)
    if "/" not in name and not Path(path).is_dir():
        # a bare word such as json would make the package read every such file it finds from here
        raise ValueError(f"{path}: is no folder here; a data set's name is OWNER/NAME")
    if path.startswith(HUB) and not _ON_THE_HUB.fullmatch(name):
        raise ValueError(f"{path}: is no name on the hub; write {HUB}OWNER/NAME")
    if Path(path).is_dir() and (scripts := sorted(Path(path).glob("*.py"))):
        # old versions of the package would run it
        raise ValueError(f"{scripts[0]}: is a loading script, which is not run; give data files")
    try:
        datasets = import_module("datasets")
    except ImportError:
        raise ValueError(
            "learning.data.kind hf needs the package datasets: pip install datasets"
        ) from None
    try:
        if path.startswith(HUB):
            return datasets.load_dataset(*name.split(":"))
        with _offline(datasets):
            if any((Path(path) / file).is_file() for file in SAVED):
                return datasets.load_from_disk(path)
            return datasets.load_dataset(path)
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"{path}: cannot be loaded ({reason}); give a folder written by save_to_disk or of "
            f"data files, or {HUB}OWNER/NAME to download"
        ) from None


@contextmanager
def _offline(datasets: Any) -> Iterator[None]:
    """Keep the package from downloading, whatever the environment says."""
    switches = (datasets.config, import_module("huggingface_hub").constants)
    before = [switch.HF_HUB_OFFLINE for switch in switches]
    for switch in switches:
        switch.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        for switch, value in zip(switches, before, strict=True):
            switch.HF_HUB_OFFLINE = value
