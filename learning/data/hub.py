"""Data sets of the Hugging Face package ``datasets``, an optional extra."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from learning.config import LearningConfig
from learning.data.samples import Dataset
from learning.data.table import HUB
from learning.data.text_rows import NAMES
from learning.data.texts import text_dataset

#: What ``save_to_disk`` writes into a folder.
SAVED = ("dataset_dict.json", "state.json")
#: The label that stands for one that is kept secret, as in the test splits of GLUE.
HIDDEN = -1
_ON_THE_HUB = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*(:[\w.-]+)?")


def hf(config: LearningConfig) -> Dataset:
    """Return the texts of data sets of the package ``datasets``."""
    return text_dataset(config, _rows)


def _rows(path: str, columns: Mapping[str, str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
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
            "learning.data.kind hf needs the package datasets; pip install 'leomix[hf]'"
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
