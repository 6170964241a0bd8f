"""The local files and folders that `learning:` names: data, checkpoints, a tokenizer."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scenarios.scenario import Scenario

HUB = "hub:"
"""What a name begins with that is to be fetched from the hub: never a local path."""


def local_path(scenario: "Scenario", name: str) -> str:
    """Return where a path of a scenario lies: beside its file, else as counted from here.

    A shipped scenario has no data beside it, so that what is given by `--set` counts from the
    current folder. Names of the hub are returned as they are.
    """
    if name.startswith(HUB) or scenario.source_path is None:
        return name
    beside = scenario.source_path.parent / name
    return str(beside if beside.exists() else Path(name))
