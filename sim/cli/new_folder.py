"""The new folder that a command writes weights to: looked at first, and where they come from."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sim.errors import InputError
from sim.files import write_text
from sim.formatting import data_size
from statements import Code, Other

SOURCE = "SOURCE.json"
"""The file that says where weights come from."""


def write_source(folder: Path, facts: Mapping[str, Any]) -> None:
    """Write where the weights of a folder come from."""
    write_text(folder / SOURCE, json.dumps(facts, indent=2) + "\n")


def check_new_folder(folder: Path, room_bytes: int) -> None:
    """Raise InputError for a place that is taken, cannot be written, or lacks so much room."""
    if os.path.lexists(folder) and not (folder.is_dir() and not any(folder.iterdir())):
        raise InputError.of_file(
            folder, Code.WRONG_FILE, "is not an empty folder", Other(said="name another one")
        )
    above = next(one for one in folder.absolute().parents if os.path.lexists(one))
    if not (above.is_dir() and os.access(above, os.W_OK | os.X_OK)):
        raise InputError.of_file(
            folder,
            Code.WRONG_FILE,
            "nothing can be written to {above}",
            Other(said="name a folder elsewhere"),
            above=above,
        )
    free_bytes = shutil.disk_usage(above).free
    if free_bytes < room_bytes:
        raise InputError.of_file(
            folder,
            Code.NO_MEMORY,
            "takes up to {needed} on the disk at {above}, where {free} are free",
            Other(said="free some space"),
            Other(said="name a folder on a larger disk"),
            needed=data_size(room_bytes),
            free=data_size(free_bytes),
            above=above,
        )
