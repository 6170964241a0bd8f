"""Personal parts: which tensors of a model each device keeps and trains for itself, by patterns."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase

from learning.architecture.shapes import ModelTensors
from learning.settings import LearningConfig

KEY = "learning.personal"


def matching(patterns: Iterable[str], paths: Iterable[str]) -> set[str]:
    """Return the ``paths`` that a pattern names, or a module above them, or that fit it."""
    asked = [*patterns]
    return {path for path in paths if any(_matches(pattern, path) for pattern in asked)}


def _matches(pattern: str, path: str) -> bool:
    return path == pattern or path.startswith(f"{pattern}.") or fnmatchcase(path, pattern)


def personal_tensors(config: LearningConfig, tensors: ModelTensors) -> frozenset[str]:
    """Return the stored names of the tensors that ``config.personal`` matches.

    Parameters that the model freezes are no part of it. Raises ValueError for a pattern that
    matches nothing, or a tensor of an expert, and for patterns that leave nothing to be sent.
    """
    if not config.personal:
        return frozenset()
    experts = tensors.expert_paths(config.model.experts)
    stored = tensors.stored_by_path
    for pattern in config.personal:
        if of_experts := sorted(matching([pattern], experts)):
            raise ValueError(
                f"{KEY}: {pattern!r} matches {of_experts[0]!r}, a tensor of an expert, and experts "
                "are held by number; name parts of the gate, the backbone or the head"
            )
        if not matching([pattern], stored):
            raise ValueError(
                f"{KEY}: {pattern!r} matches no parameter that is trained, and no buffer, of "
                f"{config.model.kind!r}; the nearest name is {_nearest(pattern, stored)!r}"
            )
    found = matching(config.personal, stored)
    if not experts and len(found) == len(stored):
        raise ValueError(
            f"{KEY}: {_listed(config.personal)} matches all of {config.model.kind!r}, and nothing "
            "is left to send; name a part of it, or train without a server by learning.method: "
            "local"
        )
    return frozenset(stored[path] for path in found)


def _nearest(pattern: str, paths: Collection[str]) -> str:
    """Return the path, or the module above some, that is most like a pattern."""
    parts = {
        ".".join(names[:depth])
        for names in (path.split(".") for path in paths)
        for depth in range(1, len(names) + 1)
    }
    return get_close_matches(pattern, sorted(parts), n=1, cutoff=0.0)[0]


def _listed(patterns: Sequence[str]) -> str:
    return ", ".join(map(repr, patterns))
