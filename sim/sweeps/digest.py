"""The digest of a resolved scenario, which names the folder of its run."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from typing import TYPE_CHECKING, Any

from learning.files import Stamps, stamps_under
from sim.build import portable
from sim.fingerprints import without_places

if TYPE_CHECKING:
    from scenarios import Scenario

DIGEST_BYTES = 12
OUTSIDE = ("description",)
"""Keys of a scenario that change nothing in a run."""


def digest_of(scenario: Scenario) -> str:
    """Return 24 hexadecimal digits of what ``scenario`` says, in all that changes a run.

    Files that it names count by what they hold and not by where they lie.
    """
    said = {key: value for key, value in portable(scenario).items() if key not in OUTSIDE}
    named = _named(said["learning"])
    files = _files(json.dumps(named), stamps_under(_places(named)))
    text = json.dumps([said | {"learning": _merged(said["learning"], files)}], sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=DIGEST_BYTES).hexdigest()


def _named(learning: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the keys of a learning section that name files."""
    named = {"model": ("checkpoints", "tokenizer", "adapter"), "data": ("path", "paths")}
    return {part: {key: learning[part][key] for key in keys} for part, keys in named.items()}


def _merged(learning: dict[str, Any], files: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return learning | {part: learning[part] | held for part, held in files.items()}


def _places(named: dict[str, dict[str, Any]]) -> list[str]:
    """Return the names of all files and folders."""
    model, data = named["model"], named["data"]
    alone = [model["tokenizer"], model["adapter"], data["path"]]
    return [*model["checkpoints"], *data["paths"].values(), *(name for name in alone if name)]


@cache
def _files(named: str, when: Stamps) -> dict[str, dict[str, Any]]:
    """Return digests of the files that are named: read once, unless they change."""
    found: dict[str, dict[str, Any]] = without_places({"learning": json.loads(named)})["learning"]
    return found
