"""What local files and folders hold, as short digests: two runs of the same data are the same."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from learning.files import files_under

WHOLE_BYTES = 200_000_000
"""Files up to this size are read as a whole."""

ENDS_BYTES = 1_000_000
"""Of a larger one (weights) this much at either end: header, first and last tensors."""


def fingerprint(name: str) -> str:
    """Return a digest of a file, or of all files in a folder; the name itself if there is none."""
    if not (files := files_under(name)):
        return name
    if files == [Path(name)]:
        return _of_file(files[0])
    parts = [(str(file.relative_to(name)), _of_file(file)) for file in files]
    return hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()


def without_places(said: dict[str, Any]) -> dict[str, Any]:
    """Return a portable scenario with digests of what it learns from in place of paths."""
    learning = said["learning"]
    model, data = dict(learning["model"]), dict(learning["data"])
    model["checkpoints"] = [fingerprint(name) for name in model["checkpoints"]]
    for section, key in ((model, "tokenizer"), (model, "adapter"), (data, "path")):
        section[key] = None if section[key] is None else fingerprint(section[key])
    data["paths"] = {cluster: fingerprint(name) for cluster, name in data["paths"].items()}
    return {**said, "learning": {**learning, "model": model, "data": data}}


def _of_file(path: Path) -> str:
    size = path.stat().st_size
    digest = hashlib.blake2b(str(size).encode(), digest_size=16)
    with path.open("rb") as file:
        if size <= WHOLE_BYTES:
            digest.update(file.read())
        else:
            digest.update(file.read(ENDS_BYTES))
            file.seek(size - ENDS_BYTES)
            digest.update(file.read())
    return digest.hexdigest()
